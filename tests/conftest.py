"""What holds for every test: how many cases a law is tried on, and that each test says what kind it is.

Profiles of generated cases: ``default`` is the same every time; ``prove`` (``WATERSMEET_PROVE=1``) is many times larger
and draws anew at each run.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["watersmeet.testing.services.plugin"]
KINDS = frozenset({"unit", "integration", "performance", "data_quality"})
_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("default", derandomize=True, deadline=None, database=None, suppress_health_check=_SLOW)
settings.register_profile("prove", deadline=None, print_blob=True, suppress_health_check=_SLOW)
settings.load_profile("prove" if os.environ.get("WATERSMEET_PROVE") else "default")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuse a test that does not say which one kind it is."""
    wrong = [item.nodeid for item in items if len(KINDS & {mark.name for mark in item.iter_markers()}) != 1]
    if wrong:
        names = "\n  ".join(wrong)
        raise pytest.UsageError(f"expected exactly one of {', '.join(sorted(KINDS))} on each test; got:\n  {names}")
