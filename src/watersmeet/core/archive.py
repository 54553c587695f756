"""The port to the master dataset: every record as received, for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from .frontier import Frontier
from .record import Records


@dataclass(frozen=True, slots=True)
class Sealed:
    """What the archive knows of an epoch.

    Args:
        number: of the epoch.
        lower, upper: its interval.
        slices: (sequence, upper frontier) of every slice, in order: the order in which outcomes were decided.
        records, bytes: how many records, and their size on disk.
    """

    number: int
    lower: Frontier
    upper: Frontier
    slices: tuple[tuple[int, Frontier], ...]
    records: int = 0
    bytes: int = 0


class Archive(Protocol):
    """Append-only, one part a (topic, epoch). Source of all recomputation."""

    def append(self, topic: str, epoch: Sealed, records: Iterable[Records]) -> Sealed:
        """Store an epoch's LOGGED chunks, each partition in offset order; idempotent by (topic, epoch).

        Every record must lie in the epoch's interval and every slice's bounds; each offset at most once. A crash leaves
        either the whole epoch or nothing that `epochs` lists.
        """
        ...

    def read(self, topic: str, number: int, limit: int) -> Iterator[Records]:
        """The epoch as LOGGED chunks of about ``limit``, with ``slice``, ordered by (slice, partition, offset)."""
        ...

    def epochs(self, topic: str) -> Sequence[Sealed]:
        """The epochs it holds, by number."""
        ...

    def verify(self, topic: str, number: int) -> Sealed:
        """Read the epoch back and check it against its checksums and interval; `CorruptError` if it does not hold."""
        ...
