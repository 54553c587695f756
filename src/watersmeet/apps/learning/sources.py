"""Where events come from, beside those that are posted: the detector, which reads what the app itself answers."""

from __future__ import annotations

import logging
from importlib.util import find_spec

import watersmeet as wm

from .detector import LearnedDetector

log = logging.getLogger(__name__)


def sources(clock: wm.Clock, reader: wm.Reader) -> list[wm.Source]:
    """The learned detector; without scikit-learn, which is optional, nothing, and that is logged."""
    if find_spec("sklearn") is None:
        log.warning("anomalies are not learned: scikit-learn is missing; pip install 'watersmeet[learned]'")
        return []
    return [LearnedDetector(reader)]
