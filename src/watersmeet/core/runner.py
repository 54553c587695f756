"""The port to what drives an engine over a topic: a loop in this process, or a fleet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from .engine import Absorbed, Known
from .frontier import Frontier
from .manifest import Epoch
from .topic import Topic
from .view import CellSpec

Progress = Callable[[int, int], None]
"""Called with (records done, records in all), at least every second of work."""


class Runner(Protocol):
    """Moves records through an `Engine`. Never touches `State`."""

    def stream(
        self,
        topic: Topic,
        specs: Callable[[], Sequence[CellSpec]],
        start: Frontier,
        known: Known,
        commit: Callable[[Absorbed], Frontier],
        stop: threading.Event,
    ) -> None:
        """Absorb the log from ``start`` until ``stop`` is set, calling ``commit`` for every slice, in order.

        ``commit`` returns the frontier to go on from, and may be called again with the same interval after a failure.
        ``specs`` is asked before every slice. When nothing is unread it calls ``commit`` with an empty interval about
        once a second, so that idle partitions can be noticed. Returns when stopped, after the slice at hand.
        """
        ...

    def recompute(
        self, topic: Topic, specs: Sequence[CellSpec], epoch: Epoch, known: Known, progress: Progress
    ) -> Absorbed:
        """Compute an archived epoch from the archive alone, in the order (slice, partition, offset).

        ``known`` looks up the ids kept before the epoch.
        """
        ...
