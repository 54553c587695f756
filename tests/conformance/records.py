"""LOGGED chunks and epochs, for tests of what stores them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import pyarrow as pa

from watersmeet.core.archive import Sealed
from watersmeet.core.frontier import Frontier

SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("arrival", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.map_(pa.string(), pa.binary())),
    ]
)
Place = tuple[int, int]


def logged(places: Iterable[Place]) -> pa.Table:
    """A LOGGED chunk of records at (partition, offset); nothing in it is the same twice, some of it is odd."""
    rows = [
        {
            "partition": p,
            "offset": o,
            "arrival": 1_700_000_000_000_000 + o,
            "key": None if o % 3 == 0 else b"key %d" % o,
            "value": b"" if o % 7 == 0 else b"\0\xff %d/%d " % (p, o) + b"x" * (o % 50),
            "headers": [("origin", b"%d" % o), ("empty", b"")] if o % 5 == 0 else [],
        }
        for p, o in places
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def sealed(number: int, lower: Frontier, *uppers: Frontier) -> Sealed:
    """An epoch of slices that end at ``uppers``, numbered from ten times its own number."""
    return Sealed(number, lower, uppers[-1], tuple((10 * number + i, upper) for i, upper in enumerate(uppers)))


def in_order(epoch: Sealed, places: Iterable[Place]) -> list[tuple[int, int, int]]:
    """(slice, partition, offset) of records, in the order of decisions, as the port words it."""
    bounds = list(pairwise([epoch.lower, *(upper for _, upper in epoch.slices)]))
    found = []
    for p, o in places:
        (sequence,) = (
            number for (number, _), (low, up) in zip(epoch.slices, bounds, strict=True) if low[p] <= o < up[p]
        )
        found.append((sequence, p, o))
    return sorted(found)


def positions(chunks: Iterable[object]) -> list[tuple[int, int, int]]:
    """(slice, partition, offset) of the records of chunks, as they come."""
    tables = [pa.table(chunk) for chunk in chunks]
    return [
        row for t in tables for row in zip(*(t[c].to_pylist() for c in ("slice", "partition", "offset")), strict=True)
    ]


def contents(chunks: Sequence[object]) -> list[dict[str, object]]:
    """The records of chunks by position, without their slice."""
    rows = [row for chunk in chunks for row in pa.table(chunk).to_pylist()]
    for row in rows:
        row.pop("slice", None)
    return sorted(rows, key=lambda row: (row["partition"], row["offset"]))
