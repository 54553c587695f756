"""The port to what drives an engine over a topic: a loop in this process, or a fleet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .engine import Absorbed, Known
from .frontier import Frontier
from .manifest import Epoch
from .topic import Topic
from .view import CellSpec

Progress = Callable[[int, int], None]
"""Called with (records done, records in all), at least once a second of work."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Under what the next slice is to be computed.

    Args:
        topic: as applied.
        specs: the cells to make.
        watermark_us: as of the last commit: used records before it are counted as late.
    """

    topic: Topic
    specs: Sequence[CellSpec]
    watermark_us: int | None = None


class Runner(Protocol):
    """Moves records through an `Engine`. Never touches `State`."""

    def stream(
        self,
        turn: Callable[[], Turn],
        start: Frontier,
        known: Known,
        commit: Callable[[Absorbed], Frontier],
        stop: threading.Event,
    ) -> None:
        """Absorb the log from ``start`` until ``stop`` is set, calling ``commit`` for every slice, in order.

        ``turn`` is asked before every slice. ``commit`` returns the frontier to go on from, and may be called again
        with the same interval after a failure. While nothing is unread it is called with an empty interval about once a
        second, so that idle partitions can be noticed. Returns when stopped, after the slice at hand.
        """
        ...

    def recompute(self, turn: Turn, epoch: Epoch, known: Known, progress: Progress) -> Absorbed:
        """Compute an archived epoch from the archive alone, in the order (slice, partition, offset).

        ``known`` looks up the ids kept before the epoch.
        """
        ...
