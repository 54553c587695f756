"""The three clocks. No other module reads the machine's time.

A clock that went back would give a later record an earlier arrival, so each of them keeps the greatest time it has
told and tells that again until the machine has caught up.
"""

from __future__ import annotations

import math
import threading
import time

from watersmeet.core.errors import SettingsError

_NEVER = threading.Event()


class SystemClock:
    """The machine's own time. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told_us = 0

    def now_us(self) -> int:
        """Microseconds since 1970-01-01Z; stands still while the machine's clock is set back."""
        with self._lock:
            self._told_us = max(self._told_us, time.time_ns() // 1_000)
            return self._told_us

    def monotonic(self) -> float:
        """Real seconds from an arbitrary start."""
        return time.monotonic()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Wait ``seconds``, or until ``stop`` is set. True if stopped."""
        return _wait(seconds, stop)


class ScaledClock:
    """Time that runs ``factor`` times as fast as real time, from ``start_us`` on. Safe to share between threads.

    Args:
        start_us: the time at the moment of construction, in microseconds since 1970-01-01Z.
        factor: seconds of events in one real second; above 0.

    Raises:
        SettingsError: ``factor`` is not a finite number above 0.
    """

    def __init__(self, start_us: int, factor: float) -> None:
        if not (math.isfinite(factor) and factor > 0):
            raise SettingsError("clock factor", expected="a finite number above 0", got=str(factor))
        self._start_us = start_us
        self._factor = factor
        self._began_ns = time.monotonic_ns()

    def now_us(self) -> int:
        """Microseconds since 1970-01-01Z in the scaled world."""
        return self._start_us + int((time.monotonic_ns() - self._began_ns) * self._factor / 1_000)

    def monotonic(self) -> float:
        """Real seconds from an arbitrary start, not scaled."""
        return time.monotonic()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Wait ``seconds / factor`` real seconds, or until ``stop`` is set. True if stopped."""
        return _wait(seconds / self._factor, stop)


class ManualClock:
    """Time that moves only when told to, for tests. Safe to share between threads.

    ``sleep`` moves the time at once and does not wait, so two threads that sleep by turns see the sum of both.

    Args:
        start_us: the first time, in microseconds since 1970-01-01Z.
    """

    def __init__(self, start_us: int) -> None:
        self._lock = threading.Lock()
        self._start_us = start_us
        self._now_us = start_us

    def advance(self, seconds: float) -> None:
        """Move the time on by ``seconds``; a negative number raises `SettingsError`."""
        if not (math.isfinite(seconds) and seconds >= 0):
            raise SettingsError("clock advance", expected="a finite number of seconds, 0 or more", got=str(seconds))
        with self._lock:
            self._now_us += round(seconds * 1_000_000)

    def now_us(self) -> int:
        """Microseconds since 1970-01-01Z, as last set."""
        with self._lock:
            return self._now_us

    def monotonic(self) -> float:
        """Seconds advanced since construction."""
        return (self.now_us() - self._start_us) / 1_000_000

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Advance by ``seconds`` at once, unless ``stop`` is set already. True if stopped."""
        if stop is not None and stop.is_set():
            return True
        self.advance(max(seconds, 0.0))
        return False


def _wait(seconds: float, stop: threading.Event | None) -> bool:
    return (stop or _NEVER).wait(min(max(seconds, 0.0), threading.TIMEOUT_MAX))
