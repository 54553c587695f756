from __future__ import annotations

import threading
import time
from itertools import pairwise

import pytest

from watersmeet.adapters.local.clock import ManualClock, ScaledClock, SystemClock
from watersmeet.core.clock import Clock
from watersmeet.core.errors import SettingsError

pytestmark = pytest.mark.unit

CLOCKS: list[Clock] = [SystemClock(), ScaledClock(0, 1000.0), ManualClock(0)]


class Machine:
    """The machine's clocks, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time_ns = 0
        self.monotonic_ns = 0
        monkeypatch.setattr(time, "time_ns", lambda: self.time_ns)
        monkeypatch.setattr(time, "monotonic_ns", lambda: self.monotonic_ns)


def stop_after(timeouts: list[float]) -> threading.Event:
    """An event that records for how long it is waited on, and does not wait."""

    class Recording(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            timeouts.append(timeout)
            return self.is_set()

    return Recording()


def test_system_clock_tells_the_machines_time(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.time_ns = 1_700_000_000_123_456_789
    assert SystemClock().now_us() == 1_700_000_000_123_456


def test_system_clock_stands_still_while_the_machine_goes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, clock = Machine(monkeypatch), SystemClock()
    told = []
    for machine.time_ns in (5_000, 9_000, 2_000, 8_000, 10_000):
        told.append(clock.now_us())
    assert told == [5, 9, 9, 9, 10]


def test_scaled_clock_runs_factor_times_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.monotonic_ns = 7_000_000_000
    clock = ScaledClock(1_000_000, 600.0)
    assert clock.now_us() == 1_000_000
    machine.monotonic_ns += 2_500_000_000
    assert clock.now_us() == 1_000_000 + 1_500 * 1_000_000


def test_sleep_waits_real_seconds_by_the_factor() -> None:
    timeouts: list[float] = []
    stop = stop_after(timeouts)
    assert not SystemClock().sleep(30.0, stop)
    assert not ScaledClock(0, 600.0).sleep(30.0, stop)
    assert not ScaledClock(0, 600.0).sleep(-1.0, stop)
    assert not SystemClock().sleep(float("inf"), stop)
    assert timeouts == [30.0, 0.05, 0.0, threading.TIMEOUT_MAX]


@pytest.mark.parametrize("clock", CLOCKS)
def test_sleep_says_that_it_was_stopped(clock: Clock) -> None:
    stop = threading.Event()
    stop.set()
    assert clock.sleep(3600.0, stop)
    assert not clock.sleep(0.0)


@pytest.mark.parametrize("clock", CLOCKS)
def test_no_thread_sees_a_clock_go_back(clock: Clock) -> None:
    def look() -> None:
        seen = [(clock.now_us(), clock.monotonic()) for _ in range(2_000)]
        if all(a <= b and s <= t for (a, s), (b, t) in pairwise(seen)):
            good.append(len(seen))

    good: list[int] = []
    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert good == [2_000] * 4


def test_monotonic_of_real_clocks_is_not_scaled() -> None:
    before = time.monotonic()
    between = [SystemClock().monotonic(), ScaledClock(0, 1e6).monotonic()]
    assert before <= between[0] <= between[1] <= time.monotonic()


def test_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(1_000)
    assert (clock.now_us(), clock.monotonic()) == (1_000, 0.0)
    clock.advance(1.5)
    assert not clock.sleep(0.25)
    assert (clock.now_us(), clock.monotonic()) == (1_751_000, 1.75)


def test_manual_clock_does_not_move_when_stopped() -> None:
    clock, stop = ManualClock(0), threading.Event()
    stop.set()
    assert clock.sleep(10.0, stop)
    assert clock.now_us() == 0


def test_manual_clock_loses_no_step_of_concurrent_threads() -> None:
    clock = ManualClock(0)
    threads = [threading.Thread(target=lambda: [clock.sleep(0.001) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.now_us() == 4 * 500 * 1_000


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_factor_must_be_above_zero(factor: float) -> None:
    with pytest.raises(SettingsError, match="clock factor; expected a finite number above 0"):
        ScaledClock(0, factor)


@pytest.mark.parametrize("seconds", [-0.001, float("nan"), float("inf")])
def test_time_cannot_be_set_back(seconds: float) -> None:
    with pytest.raises(SettingsError, match="clock advance"):
        ManualClock(0).advance(seconds)
