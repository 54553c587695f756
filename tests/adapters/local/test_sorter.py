from __future__ import annotations

import itertools
from typing import cast

import pyarrow as pa
import pytest

from watersmeet.adapters.local.sorter import HEADERS_BYTES, KEY_BYTES, Sorter
from watersmeet.core.errors import RequestError
from watersmeet.core.record import Record

pytestmark = pytest.mark.unit


def sorter(partitions: int = 4, value_bytes: int = 100) -> Sorter:
    return Sorter("ratings", partitions, value_bytes, itertools.count())


def test_the_partition_of_a_key_is_fixed_for_ever() -> None:
    keys = [b"", b"user-1", b"user-2", b"user-3", "wärter".encode(), bytes(range(256))]
    assert [sorter(7).take(0, Record(b"", key)) for key in keys] == [0, 5, 3, 2, 1, 5]
    assert [sorter(1024).take(0, Record(b"", key)) for key in keys] == [0, 532, 942, 824, 1022, 115]


def test_records_without_a_key_take_turns() -> None:
    taken = sorter(3)
    keyed = taken.take(0, Record(b"", b"user-1"))
    assert [taken.take(1, Record(b"")) for _ in range(5)] == [0, 1, 2, 0, 1]
    assert keyed == taken.take(6, Record(b"", b"user-1"))


def test_pieces_keep_the_order_of_each_partition() -> None:
    taken = sorter(2, value_bytes=1 << 20)
    records = [Record(b"%d" % i + b"x" * 200_000, headers={"n": b"%d" % i} if i % 3 else {}) for i in range(20)]
    routes = [taken.take(i, record) for i, record in enumerate(records)]
    pieces = taken.pieces()
    assert set(pieces) == {0, 1}
    for partition, parts in pieces.items():
        assert [piece.count for piece in parts] == [6, 4]
        keys, values, headers = (pa.concat_arrays(column) for column in zip(*(p.columns for p in parts), strict=True))
        expected = [record for record, route in zip(records, routes, strict=True) if route == partition]
        assert keys.to_pylist() == [record.key for record in expected]
        assert values.to_pylist() == [record.value for record in expected]
        assert headers.to_pylist() == [list(record.headers.items()) or None for record in expected]


@pytest.mark.parametrize(
    ("record", "part"),
    [
        (Record(b"x" * 101), "value"),
        (Record(b"", b"k" * (KEY_BYTES + 1)), "key"),
        (Record(b"", headers={"a": b"x" * HEADERS_BYTES}), "headers"),
        (Record(b"", headers={"ä" * (HEADERS_BYTES // 4): b"", "b": b"x" * (HEADERS_BYTES // 2)}), "headers"),
    ],
)
def test_what_is_too_large_is_named_by_its_index(record: Record, part: str) -> None:
    with pytest.raises(RequestError, match=f"^{part} of record 17 for topic ratings; expected at most") as caught:
        sorter().take(17, record)
    assert caught.value.kind == "too_large"


def test_the_limits_themselves_are_allowed() -> None:
    taken = sorter()
    taken.take(0, Record(b"x" * 100, b"k" * KEY_BYTES, {"a": b"x" * (HEADERS_BYTES - 1)}))
    assert sum(piece.count for pieces in taken.pieces().values() for piece in pieces) == 1


@pytest.mark.parametrize(
    "record",
    [
        Record(cast("bytes", "text")),
        Record(cast("bytes", None)),
        Record(cast("bytes", bytearray(b"x"))),
        Record(b"", cast("bytes", "text")),
        Record(b"", headers={"a": cast("bytes", "text")}),
        Record(b"", headers={cast("str", b"a"): b""}),
        Record(b"", headers={"\udc80": b""}),
    ],
)
def test_what_is_malformed_is_named_by_its_index(record: Record) -> None:
    with pytest.raises(RequestError, match=r"of record 3 for topic ratings") as caught:
        sorter().take(3, record)
    assert caught.value.kind == "invalid"
