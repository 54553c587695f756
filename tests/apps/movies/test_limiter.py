"""The shared token bucket."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watersmeet import UnavailableError, WatersmeetError
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.apps.movies.limiter import RateLimit

from .upstream import START_US

pytestmark = pytest.mark.unit


@settings(max_examples=60, deadline=None)
@given(
    pauses=st.lists(st.integers(0, 3_000_000), min_size=1, max_size=80),
    per_second=st.sampled_from([0.5, 3.0, 4.0, 40.0]),
    burst=st.integers(1, 12),
)
def test_no_window_holds_more_than_the_burst_and_the_rate(pauses: list[int], per_second: float, burst: int) -> None:
    # time      ├──pause──●─wait─●─●──pause──●        ● = a call let through
    # window                  [──────────]            at most burst + per_second * t of them, for every window
    clock = ManualClock(START_US)
    limit = RateLimit(clock, per_second=per_second, burst=burst)
    passed: list[int] = []
    for pause in pauses:
        clock.advance(pause / 1e6)
        assert limit.acquire()
        passed.append(clock.now_us() // 1000)
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            seconds = (passed[last] - passed[first]) / 1000
            assert last - first + 1 <= burst + per_second * seconds + 1e-6


def test_a_burst_passes_at_once_and_then_the_rate_holds(clock: ManualClock) -> None:
    limit = RateLimit(clock, per_second=4, burst=10)
    for _ in range(10):
        limit.acquire()
    assert clock.now_us() == START_US
    for _ in range(40):
        limit.acquire()
    assert clock.now_us() - START_US == 10_000_000


def test_time_is_the_injected_clocks(clock: ManualClock) -> None:
    limit = RateLimit(clock, per_second=4, burst=1)
    assert limit.take() == 0.0
    assert limit.take() == pytest.approx(0.25)
    clock.advance(0.25)
    assert limit.take() == 0.0


def test_the_file_outlives_the_process_that_spent(clock: ManualClock, tmp_path: Path) -> None:
    first = RateLimit(clock, per_second=4, burst=2, path=tmp_path / "limit")
    assert (first.take(), first.take()) == (0.0, 0.0)
    first.close()
    second = RateLimit(clock, per_second=4, burst=2, path=tmp_path / "limit")
    assert second.take() == pytest.approx(0.25)
    second.close()


def test_two_processes_share_one_bucket(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from watersmeet.adapters.local.clock import ManualClock\n"
        "from watersmeet.apps.movies.limiter import RateLimit\n"
        f"limit = RateLimit(ManualClock({START_US}), per_second=4, burst=50, path=sys.argv[1])\n"
        "print(sum(limit.take() == 0.0 for _ in range(50)))\n"
        "limit.close()\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "limit")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    taken = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(taken) == 50


def test_a_state_from_a_clock_that_ran_ahead_does_not_stop_calls(clock: ManualClock, tmp_path: Path) -> None:
    ahead = ManualClock(START_US + 86_400_000_000)
    first = RateLimit(ahead, per_second=4, burst=10, path=tmp_path / "limit")
    first.take()
    first.close()
    second = RateLimit(clock, per_second=4, burst=10, path=tmp_path / "limit")
    assert second.take() == pytest.approx(0.25)
    second.close()


def test_stop_ends_the_wait(clock: ManualClock) -> None:
    limit = RateLimit(clock, per_second=4, burst=1)
    stop = threading.Event()
    assert limit.acquire(stop)
    stop.set()
    assert not limit.acquire(stop)


def test_a_file_that_cannot_be_opened_is_named(clock: ManualClock, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="no_such_folder"):
        RateLimit(clock, path=tmp_path / "no_such_folder" / "limit")


@pytest.mark.parametrize(("per_second", "burst"), [(0.0, 10), (-1.0, 10), (float("nan"), 10), (4.0, 0)])
def test_a_rate_must_let_something_through(clock: ManualClock, per_second: float, burst: int) -> None:
    with pytest.raises(WatersmeetError, match="positive rate"):
        RateLimit(clock, per_second=per_second, burst=burst)
