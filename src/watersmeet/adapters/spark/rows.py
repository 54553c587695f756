"""What executors hand on: rows that Spark moves, shuffles and keeps without looking inside.

Spark has no type for some columns of the engine (unsigned and 128-bit integers), and no need to know any of them. So a
chunk travels as one binary value:

    kind     what `data` is: one of the constants below
    bucket   where the shuffle takes it: cells of equal dimensions have equal buckets
    name     of cells: the fingerprint
    data     an Arrow IPC stream, or JSON for FACTS
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa

SCHEMA = "kind string, bucket int, name string, data binary"
CELLS, DEAD, FACTS, IDS, ROWS = "cells", "dead", "facts", "ids", "rows"
_ARROW = pa.schema([("kind", pa.string()), ("bucket", pa.int32()), ("name", pa.string()), ("data", pa.binary())])


@dataclass(frozen=True, slots=True)
class Row:
    """One of them."""

    kind: str
    data: bytes | bytearray
    bucket: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a chunk came to, beside its tables; each is a field of `watersmeet.formats.absorption.Part`.

    Args:
        lifted: fingerprint -> (rows, unusable).
    """

    counts: dict[int, tuple[int, int, int, int]] = field(default_factory=dict)
    newest: dict[int, int] = field(default_factory=dict)
    arrivals: dict[int, int] = field(default_factory=dict)
    logged: dict[int, int] = field(default_factory=dict)
    died: dict[int, int] = field(default_factory=dict)
    late: dict[int, int] = field(default_factory=dict)
    lifted: dict[str, tuple[int, int]] = field(default_factory=dict)


_decode_facts = msgspec.json.Decoder(Facts).decode


def packed(table: pa.Table) -> bytes:
    """A table as bytes. Not compressed: Spark does that to what it sends."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def unpacked(data: bytes | bytearray) -> pa.Table:
    """Read back what `packed` wrote."""
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()


def facts_row(facts: Facts) -> Row:
    """Facts on their way to the driver."""
    return Row(FACTS, msgspec.json.encode(facts))


def read_facts(row: Row) -> Facts:
    """Read back what `facts_row` wrote."""
    return _decode_facts(row.data)


def as_batch(row: Row) -> pa.RecordBatch:
    """A row as Spark takes it from Python: a batch of its own, since its data may be large."""
    return pa.RecordBatch.from_pydict(
        {"kind": [row.kind], "bucket": [row.bucket], "name": [row.name], "data": [row.data]}, schema=_ARROW
    )


def rows_of(batches: Iterable[pa.RecordBatch]) -> Iterator[Row]:
    """The rows that Spark hands to Python."""
    for batch in batches:
        for index in range(batch.num_rows):
            kind, bucket, name, data = (batch.column(column)[index].as_py() for column in _ARROW.names)
            yield Row(kind, data, bucket, name)
