"""The rows of an epoch on their way into its parts and back.

In:   chunks, each partition in offset order          Out:  chunks in the order of decisions

      p0 p0 p1 p1 | p0 p1 p1 | …                            slice 7: p0 p0 p1 | slice 8: p0 p1 p1 p1 | …

Which slice a record belongs to follows from its offset: the first slice whose upper bound lies above it. So slices
are sorted within a part already, and reading merges only across partitions, a few slices at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa

from watersmeet.core.archive import Sealed
from watersmeet.core.errors import RequestError
from watersmeet.core.frontier import Frontier, size
from watersmeet.core.record import Records

from .epoch import Stored
from .logged import ARCHIVED, LOGGED
from .part import GROUP_RECORDS, Integers, Part, PartReader, PartWriter, damaged, open_part

_CHUNK_BYTES = 256 << 20
_FURTHEST = 2**63 - 1
_MOST_RUNS = 64


class Places:
    """Where the records of an epoch belong.

    Args:
        topic: its name, for messages.
        epoch: bounds and slices.
    """

    def __init__(self, topic: str, epoch: Sealed) -> None:
        self._topic = topic
        self._epoch = epoch
        self._sequences: Integers = np.array([sequence for sequence, _ in epoch.slices], np.int64)
        self._uppers: Integers = np.array([upper for _, upper in epoch.slices], np.int64).T.copy()

    def slices(self, partition: int, offsets: Integers) -> Integers:
        """The slice of each record."""
        found: Integers = self._sequences[np.searchsorted(self._uppers[partition], offsets, side="right")]
        return found

    def misplaced(self, partition: int, offsets: Integers, last: int) -> str:
        """What is wrong with records that come after offset ``last``; empty if nothing is."""
        if not 0 <= partition < len(self._epoch.lower):
            return f"one of partition {partition}"
        lower, upper = self._epoch.lower[partition], self._epoch.upper[partition]
        before = np.concatenate(([last], offsets[:-1]))
        for wrong, got in (
            (offsets <= before, "after offset {0}"),
            ((offsets < lower) | (offsets >= upper), "outside of [{1}, {2})"),
        ):
            if wrong.any():
                at = int(wrong.argmax())
                return f"offset {offsets[at]} of partition {partition}, " + got.format(before[at], lower, upper)
        return ""


def write_parts(directory: Path, topic: str, epoch: Sealed, chunks: Iterable[Records]) -> tuple[Part, ...]:
    """Write an epoch's records into a directory, one synced file for each partition that has any.

    Raises:
        RequestError: a chunk is not LOGGED, or a record does not belong where it stands.
    """
    places, writers = Places(topic, epoch), dict[int, PartWriter]()
    try:
        for chunk in chunks:
            for partition, rows, offsets in _runs(_logged(topic, chunk)):
                wrong = places.misplaced(partition, offsets, writers[partition].last if partition in writers else -1)
                if wrong:
                    expected = f"records of [{epoch.lower}, {epoch.upper}), each partition in offset order"
                    raise RequestError(f"epoch {epoch.number} of topic {topic}", expected=expected, got=wrong)
                if partition not in writers:
                    writers[partition] = PartWriter(directory, partition)
                slices = pa.array(places.slices(partition, offsets))
                writers[partition].write(rows.append_column(ARCHIVED.field("slice"), slices), int(offsets[-1]))
        return tuple(writers[partition].close() for partition in sorted(writers))
    finally:
        for writer in writers.values():
            writer.abandon()


def read_chunks(directory: Path, stored: Stored, limit: int) -> Iterator[pa.Table]:
    """The records of an epoch in the order (slice, partition, offset), in chunks of about ``limit``.

    Raises:
        CorruptError: a part is missing or damaged.
    """
    lower, memory_bytes = stored.epoch.lower, sum(part.memory_bytes for part in stored.parts)
    limit = max(1, min(limit, _CHUNK_BYTES * stored.epoch.records // max(memory_bytes, 1)))
    with ExitStack() as stack:
        readers = [stack.enter_context(open_part(directory, part)) for part in stored.parts]
        for upper in _bounds(stored.epoch, limit):
            ends = [(reader, upper[reader.part.partition]) for reader in readers]
            yield from _merged(ends, limit) if size(lower, upper) <= limit else _one_by_one(ends, limit)
            lower = upper


def verify_part(directory: Path, stored: Stored, part: Part) -> None:
    """Read a part and check the place of each record; raises `CorruptError`."""
    places, last, records = Places(stored.topic, stored.epoch), -1, 0
    with open_part(directory, part) as reader:
        while (rows := reader.take(_FURTHEST, GROUP_RECORDS)).num_rows:
            offsets = rows["offset"].to_numpy()
            wrong = places.misplaced(part.partition, offsets, last)
            if not wrong and not (rows["partition"].to_numpy() == part.partition).all():
                wrong = "records of other partitions"
            if not wrong and not (rows["slice"].to_numpy() == places.slices(part.partition, offsets)).all():
                wrong = "records under other slices"
            if wrong:
                raise damaged(directory / part.file, f"the records of partition {part.partition}", wrong)
            last, records = int(offsets[-1]), records + len(offsets)
    if records != part.records:
        raise damaged(directory / part.file, f"{part.records} records", str(records))


def _merged(ends: Sequence[tuple[PartReader, int]], limit: int) -> Iterator[pa.Table]:
    """The rows up to the end of some slices, sorted by slice; none if there are none."""
    rows = pa.concat_tables([ARCHIVED.empty_table(), *(reader.take(end, limit) for reader, end in ends)])
    slices = rows["slice"].to_numpy()
    if (np.diff(slices) < 0).any():
        rows = rows.combine_chunks().take(np.argsort(slices, kind="stable"))
    if rows.num_rows:
        yield rows


def _one_by_one(ends: Sequence[tuple[PartReader, int]], limit: int) -> Iterator[pa.Table]:
    """The rows of one long slice, partition after partition."""
    for reader, end in ends:
        while (rows := reader.take(end, limit)).num_rows:
            yield rows


def _bounds(epoch: Sealed, limit: int) -> Iterator[Frontier]:
    """Upper bounds of groups of slices that have at most ``limit`` offsets together, or are one slice."""
    lower = last = epoch.lower
    for _, upper in epoch.slices:
        if size(lower, upper) > limit and last != lower:
            yield last
            lower = last
        last = upper
    yield last


def _logged(topic: str, chunk: Records) -> pa.Table:
    """A chunk with the columns and types of LOGGED."""
    table = pa.table(chunk)
    try:
        table = table.select(LOGGED.names).cast(LOGGED)
    except (KeyError, ValueError, pa.ArrowNotImplementedError) as error:
        raise RequestError(f"records of topic {topic}", expected="a LOGGED chunk", got=str(error)) from error
    for name in ("partition", "offset", "arrival"):
        if table[name].null_count:
            raise RequestError(f"records of topic {topic}", expected=f"each with its {name}", got="one without")
    return table


def _runs(table: pa.Table) -> Iterator[tuple[int, pa.Table, Integers]]:
    """Stretches of one partition as (partition, rows, offsets); they are long, whatever the order of the rows."""
    partitions = table["partition"].to_numpy()
    ends = np.flatnonzero(np.diff(partitions)) + 1
    if len(ends) >= _MOST_RUNS:
        order = np.argsort(partitions, kind="stable")
        table, partitions = table.combine_chunks().take(order), partitions[order]
        ends = np.flatnonzero(np.diff(partitions)) + 1
    offsets = table["offset"].to_numpy()
    for begin, end in zip([0, *ends], [*ends, len(partitions)], strict=True):
        if begin < end:
            yield int(partitions[begin]), table.slice(begin, end - begin), offsets[begin:end]
