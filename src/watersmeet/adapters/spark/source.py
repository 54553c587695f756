"""Where the records of an interval come from, as a frame of rows that executors turn into LOGGED tables.

    Kafka      Spark's connector reads `[lower, upper)` of each partition in an executor; offsets are exact
    epochs     an executor reads partitions of an archived epoch, checksums and all
    shipped    the driver reads, and sends what it read: for a log that executors cannot reach

Each source is a frame and a function for the executor's side: batches of the frame in, LOGGED tables out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from watersmeet.core.errors import ConflictError
from watersmeet.core.frontier import Frontier
from watersmeet.formats.epoch import read_manifest
from watersmeet.formats.epoch_rows import read_chunks
from watersmeet.formats.logged import LOGGED
from watersmeet.formats.naming import path_name

from .rows import packed, unpacked

CHUNK_RECORDS = 250_000
CHUNK_BYTES = 128 << 20
"""What an executor decodes at once: as much as it has of a task, up to these."""
_LOG_APPEND_TIME = 1
Batches = Iterable[pa.RecordBatch]
ReadEpoch = Callable[[str, int, Sequence[int]], Iterable[pa.Table]]
"""(topic, epoch, partitions) -> their records as LOGGED chunks with ``slice``; called in executors, so it can be
pickled, and what it reads can be reached from there."""


@dataclass(frozen=True, slots=True)
class Source:
    """Records to be read in executors.

    Args:
        frame: a Spark frame; its partitions are the tasks.
        read: makes LOGGED tables of a task's batches.
        tasks: how many there are.
    """

    frame: Any  # a pyspark frame; the driver has no types
    read: Callable[[Batches], Iterator[pa.Table]]
    tasks: int


@dataclass(frozen=True, slots=True)
class EpochFolder:
    """A `ReadEpoch` of an archive on files that executors see at the same path.

    Args:
        root: directory of all topics.
    """

    root: Path

    def __call__(self, topic: str, number: int, partitions: Sequence[int]) -> Iterator[pa.Table]:
        """The records; `CorruptError` if a file is not what it must be."""
        directory = self.root / path_name(topic) / f"epoch={number:08}"
        stored = read_manifest(directory, topic, number)
        wanted = tuple(part for part in stored.parts if part.partition in partitions)
        return read_chunks(directory, replace(stored, parts=wanted), CHUNK_RECORDS)


def kafka_source(
    session: Any, settings: dict[str, str], topic: str, lower: Frontier, upper: Frontier, arrival: str = "broker"
) -> Source:
    """The interval, read by Spark's Kafka connector.

    Args:
        session: of Spark.
        settings: of the connector; servers, security, at least so many tasks.
        topic, lower, upper: the interval.
        arrival: the log's option of this name: whose times arrivals must be.
    """
    reader = session.read.format("kafka").options(**settings)
    for name, frontier in (("startingOffsets", lower), ("endingOffsets", upper)):
        reader = reader.option(name, json.dumps({topic: {str(p): at for p, at in enumerate(frontier)}}))
    frame = reader.option("subscribe", topic).option("includeHeaders", "true").load()
    columns = ["partition", "offset", "timestamp", "timestampType", "key", "value", "headers"]
    some = sum(high > low for low, high in zip(lower, upper, strict=True))
    read = partial(_consumed, arrival == "broker")
    return Source(frame.select(*columns), read, max(some, int(settings.get("minPartitions", "0"))))


def shipped_source(session: Any, tables: Iterable[pa.Table], tasks: int) -> Source:
    """Chunks of the driver, cut into ``tasks`` pieces."""
    chunks = list(tables)
    each = max(1, -(-sum(chunk.num_rows for chunk in chunks) // tasks))
    pieces = [chunk.slice(at, each) for chunk in chunks for at in range(0, chunk.num_rows, each)]
    return _listed(session, [packed(piece) for piece in pieces], _received)


def epoch_source(session: Any, read: ReadEpoch, topic: str, number: int, partitions: Sequence[int]) -> Source:
    """An archived epoch, one task a partition."""
    return _listed(session, [json.dumps([topic, number, [p]]).encode() for p in partitions], partial(_read_epoch, read))


def _listed(session: Any, values: list[bytes], read: Callable[[Batches], Iterator[pa.Table]]) -> Source:
    """One row a task."""
    context = session.sparkContext
    made = context.parallelize([(value,) for value in values], max(1, len(values)))
    return Source(session.createDataFrame(made, "data binary"), read, len(values))


def _received(batches: Batches) -> Iterator[pa.Table]:
    for batch in batches:
        for value in batch.column("data"):
            yield unpacked(value.as_py())


def _read_epoch(read: ReadEpoch, batches: Batches) -> Iterator[pa.Table]:
    for batch in batches:
        for value in batch.column("data"):
            yield from read(*json.loads(value.as_py()))


def _consumed(checked: bool, batches: Batches) -> Iterator[pa.Table]:
    """What the connector read, in chunks."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(b.num_rows for b in waiting) >= CHUNK_RECORDS or sum(b.nbytes for b in waiting) >= CHUNK_BYTES:
            yield _logged(waiting, checked)
            waiting = []
    if waiting:
        yield _logged(waiting, checked)


def _logged(batches: list[pa.RecordBatch], checked: bool) -> pa.Table:
    table = pa.Table.from_batches(batches).combine_chunks()
    if checked and not pc.all(pc.equal(table.column("timestampType"), _LOG_APPEND_TIME)).as_py():
        raise ConflictError(
            "a topic of Kafka",
            expected="message.timestamp.type=LogAppendTime: arrivals are the brokers', never the producers'",
            got="a record with a producer's time",
        )
    columns = {
        "partition": table.column("partition"),
        "offset": table.column("offset"),
        "arrival": table.column("timestamp").cast(pa.timestamp("us", "UTC")).cast(pa.int64()),
        "key": table.column("key"),
        # A null is a record too, which no schema accepts.
        "value": pc.fill_null(table.column("value"), b""),
        "headers": _headers(table.column("headers")),
    }
    return pa.table([columns[name] for name in LOGGED.names], names=LOGGED.names).cast(LOGGED)


def _headers(found: pa.ChunkedArray) -> pa.Array:
    """Lists of (key, value) as maps; none instead of empty ones."""
    kind = LOGGED.field("headers").type
    if found.null_count == len(found):
        return pa.nulls(len(found), kind)
    lists = [[(h["key"], h["value"] or b"") for h in headers] if headers else None for headers in found.to_pylist()]
    return pa.array(lists, kind)
