"""Chunks as a log hands them over."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from watersmeet.core.topic import Topic
from watersmeet.engines.columnar.columns import Columns
from watersmeet.engines.columnar.database import Database

ARRIVAL_US = 1_766_000_000_000_000
COLUMNS = Columns(Database(threads=1))


def logged(
    payloads: Sequence[bytes | None],
    *,
    arrivals: Sequence[int] | None = None,
    partitions: Sequence[int] | None = None,
    slices: Sequence[int] | None = None,
) -> pa.Table:
    """Payloads as LOGGED; offsets count up in each partition."""
    partitions = partitions or [0] * len(payloads)
    ends: dict[int, int] = {}
    offsets = []
    for partition in partitions:
        ends[partition] = ends.get(partition, -1) + 1
        offsets.append(ends[partition])
    columns = {
        "partition": pa.array(partitions, pa.int32()),
        "offset": pa.array(offsets, pa.int64()),
        "arrival": pa.array(arrivals or [ARRIVAL_US] * len(payloads), pa.int64()),
        "key": pa.array([b"k"] * len(payloads), pa.binary()),
        "value": pa.array(payloads, pa.binary()),
        "headers": pa.array([None] * len(payloads), pa.map_(pa.string(), pa.binary())),
    }
    if slices is not None:
        columns["slice"] = pa.array(slices, pa.int64())
    return pa.table(columns)


def topic(schema: dict[str, str], **more: object) -> Topic:
    """A topic called ``t``."""
    return Topic("t", schema=schema, **more)  # type: ignore[arg-type]  # whatever a test declares
