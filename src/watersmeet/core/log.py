"""The port to the log: where records arrive and in which order they count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .frontier import Frontier
from .record import Position, Record, Records


class Log(Protocol):
    """An append-only, partitioned sequence of records a topic.

    The log assigns arrival (from its `Clock`, never from the producer, never going back within a partition), partition
    and offset. Offsets of a partition grow by one in the local log; elsewhere they may have holes.
    """

    def create(self, topic: str, partitions: int, retention_us: int | None = None) -> None:
        """Make the topic if it is missing; called by apply. A different partition count raises `ConflictError`.

        ``retention_us`` is for a log that deletes by itself: what it may delete, in microseconds, at the earliest;
        None leaves it to the log's own settings. One that deletes in `trim` alone does not look at it.
        """
        ...

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; `RequestError` (unknown) if there is no such topic."""
        ...

    def append(self, topic: str, records: Sequence[Record]) -> list[Position]:
        """Append and return where each record went, in order. Durable when it returns; called by many threads.

        When it raises, any prefix may have been appended: the caller retries and the topic's id removes the copies.
        """
        ...

    def read(self, topic: str, lower: Frontier, upper: Frontier, limit: int) -> Records:
        """Up to about ``limit`` records of ``[lower, upper)`` as one LOGGED chunk, each partition in offset order.

        Takes partitions fairly, so that none starves. Never skips: offsets below the oldest kept raise `GapError`.
        Fewer than ``limit`` records mean that the whole interval was read, to its end: what is missing are holes.
        """
        ...

    def start(self, topic: str) -> Frontier:
        """The oldest offset kept in each partition."""
        ...

    def end(self, topic: str) -> Frontier:
        """The offset after the last durable record of each partition. Called at every turn of the speed loop."""
        ...

    def trim(self, topic: str, below: Frontier) -> None:
        """Allow deletion of records below ``below``; called only with a frontier that the archive holds."""
        ...

    def mirror(self, topic: str, frontier: Frontier) -> None:
        """Show the log's own tools how far a topic is absorbed, after each commit; decides nothing, never fails."""
        ...
