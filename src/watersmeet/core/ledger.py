"""The accounting identity of a topic.

    upper − lower = used + duplicates + dead + filtered + holes        for every partition of every slice and epoch

Holes are offsets that the log reports empty. There is no other place for a record to go;
`Entry.balance` is checked when a slice is committed, when an epoch is published and at the end of every test.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of the records of one partition in one interval.

    Args:
        partition: which.
        lower, upper: the interval ``[lower, upper)`` of offsets.
        used, duplicates, dead, filtered, holes: outcomes; they add up to ``upper - lower``.
        conflicts: duplicates whose content differs from the record they repeat (counted in ``duplicates`` too).
        late: used records whose event time lay behind the watermark before the slice (counted in ``used`` too).
    """

    partition: int
    lower: int
    upper: int
    used: int = 0
    duplicates: int = 0
    dead: int = 0
    filtered: int = 0
    holes: int = 0
    conflicts: int = 0
    late: int = 0

    @property
    def received(self) -> int:
        """How many offsets the interval has."""
        return self.upper - self.lower

    @property
    def balance(self) -> int:
        """Received less every outcome: 0, or the ledger is broken."""
        return self.received - (self.used + self.duplicates + self.dead + self.filtered + self.holes)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the batch layer decided of one epoch under a topic version.

    Args:
        topic_version: which.
        owner: of its ``ids`` and ``dead`` blobs.
        ledger: one entry a partition.
        newest: greatest accepted event time in µs, for each partition; empty if it is not known.
    """

    topic_version: str
    owner: str
    ledger: tuple[Entry, ...]
    newest: tuple[int | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of entries: over partitions, slices, epochs or topics."""

    received: int = 0
    used: int = 0
    duplicates: int = 0
    dead: int = 0
    filtered: int = 0
    holes: int = 0
    conflicts: int = 0
    late: int = 0

    @property
    def balanced(self) -> bool:
        """True if every record received has exactly one outcome."""
        return self.received == self.used + self.duplicates + self.dead + self.filtered + self.holes


def total(entries: Iterable[Entry | Totals]) -> Totals:
    """Add entries up.

    >>> total([Entry(0, 0, 3, used=2, dead=1), Entry(1, 0, 1, duplicates=1)]).balanced
    True
    """
    names = ("received", "used", "duplicates", "dead", "filtered", "holes", "conflicts", "late")
    sums = dict.fromkeys(names, 0)
    for entry in entries:
        for name in names:
            sums[name] += getattr(entry, name)
    return Totals(**sums)


def by_partition(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Join entries of adjacent intervals, in order, into one a partition.

    >>> by_partition([Entry(0, 0, 3, used=3), Entry(0, 3, 4, dead=1)])
    (Entry(partition=0, lower=0, upper=4, used=3, duplicates=0, dead=1, filtered=0, holes=0, conflicts=0, late=0),)
    """
    out: dict[int, Entry] = {}
    for entry in entries:
        old = out.get(entry.partition, Entry(entry.partition, entry.lower, entry.lower))
        out[entry.partition] = Entry(
            entry.partition,
            old.lower,
            entry.upper,
            old.used + entry.used,
            old.duplicates + entry.duplicates,
            old.dead + entry.dead,
            old.filtered + entry.filtered,
            old.holes + entry.holes,
            old.conflicts + entry.conflicts,
            old.late + entry.late,
        )
    return tuple(out[partition] for partition in sorted(out))
