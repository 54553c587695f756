"""The port through which time is read.

No other module reads the machine's clock. A record's arrival, an alert's age and a schedule all come from here, so a
test moves time by hand and the demo runs 48 hours in minutes.
"""

from __future__ import annotations

import threading
from typing import Protocol


class Clock(Protocol):
    """Time as one process sees it. Asked often; never goes back."""

    def now_us(self) -> int:
        """The time of day, in microseconds since 1970-01-01Z, of the world whose events are counted."""
        ...

    def monotonic(self) -> float:
        """Real seconds from an arbitrary start: for latencies, time-outs and rates, never for events."""
        ...

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        """Wait ``seconds`` of this clock's time, or until ``stop`` is set. True if stopped."""
        ...
