from __future__ import annotations

import pytest

from .readings import Readings


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Readings:
    """The three readings."""
    return Readings(monkeypatch)
