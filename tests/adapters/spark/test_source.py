"""What Spark's connector reads, as LOGGED columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from watersmeet.adapters.spark.source import _consumed
from watersmeet.core.errors import ConflictError
from watersmeet.formats.logged import LOGGED

pytestmark = pytest.mark.unit
HEADERS = pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))
AT = datetime(2026, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC)


def batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    schema = pa.schema(
        [
            ("partition", pa.int32()),
            ("offset", pa.int64()),
            ("timestamp", pa.timestamp("us", "UTC")),
            ("timestampType", pa.int32()),
            ("key", pa.binary()),
            ("value", pa.binary()),
            ("headers", HEADERS),
        ]
    )
    plain = {"partition": 0, "timestamp": AT, "timestampType": 1, "key": None, "value": b"{}", "headers": None}
    return pa.RecordBatch.from_pylist([{**plain, "offset": n, **row} for n, row in enumerate(rows)], schema)


def test_columns_and_types_are_those_of_the_log() -> None:
    twice = [{"key": "origin", "value": b"1"}, {"key": "origin", "value": b"2"}, {"key": "none", "value": None}]
    [found] = _consumed(True, [batch([{"headers": twice}, {"key": b"k", "value": None}]), batch([{"headers": []}])])
    assert found.schema.equals(LOGGED)
    rows = found.to_pylist()
    assert [row["arrival"] for row in rows] == [1_767_225_600_001_000] * 3
    assert [row["value"] for row in rows] == [b"{}", b"", b"{}"]
    assert [row["headers"] for row in rows] == [[("origin", b"1"), ("origin", b"2"), ("none", b"")], None, None]


def test_a_producers_time_is_refused() -> None:
    with pytest.raises(ConflictError, match="LogAppendTime"):
        list(_consumed(True, [batch([{}, {"timestampType": 0}])]))


def test_a_task_is_read_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watersmeet.adapters.spark.source.CHUNK_RECORDS", 3)
    found = list(_consumed(True, [batch([{}, {}]) for _ in range(5)]))
    assert [chunk.num_rows for chunk in found] == [4, 4, 2]


def test_a_simulations_own_times_are_taken_where_the_log_says_so() -> None:
    [found] = _consumed(False, [batch([{}, {"timestampType": 0}])])
    assert found.num_rows == 2
