from __future__ import annotations

import logging

import pytest

import watersmeet as wm
from watersmeet.apps.learning.detector import LearnedDetector
from watersmeet.runtime.loading import load
from watersmeet.runtime.wiring import manual_clock

pytestmark = pytest.mark.unit


class Silent:
    """A reader that is never asked."""

    def read(self, request: wm.Request) -> wm.Answer:
        raise wm.UnavailableError(str(request.of))


def made() -> list[wm.Source]:
    return load("watersmeet.apps.learning").sources(manual_clock(0), Silent())


def test_the_app_has_the_detector_as_a_source() -> None:
    [source] = made()
    assert isinstance(source, LearnedDetector)
    assert source.name == "learned_detector"


def test_without_the_library_it_has_none_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("watersmeet.apps.learning.sources.find_spec", lambda name: None)
    with caplog.at_level(logging.WARNING):
        assert made() == []
    assert "pip install 'watersmeet[learned]'" in caplog.text
