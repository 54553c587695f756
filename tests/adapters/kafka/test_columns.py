"""The driver's messages as columns."""

from __future__ import annotations

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Message

from watersmeet.adapters.kafka import columns
from watersmeet.adapters.kafka.columns import Columns
from watersmeet.core.errors import ConflictError
from watersmeet.formats.logged import LOGGED

pytestmark = pytest.mark.unit


def message(offset: int, value: bytes | None = b"v", **more: object) -> Message[bytes, bytes]:
    stamp = (TIMESTAMP_LOG_APPEND_TIME, 1_000 + offset)
    given: dict[str, object] = {"topic": "ratings", "partition": 3, "timestamp": stamp, **more}
    return Message(offset=offset, value=value, **given)  # type: ignore[arg-type]  # given by name


def test_messages_become_logged_rows() -> None:
    found = Columns()
    found.add([message(5, b"a", key=b"k", headers=[("h", b"1"), ("h", None)]), message(7, None), message(8, b"")])
    (batch,) = found.batches(3)
    assert batch.schema.equals(LOGGED)
    batch.validate(full=True)
    assert [tuple(row.values()) for row in batch.to_pylist()] == [
        (3, 5, 1_005_000, b"k", b"a", [("h", b"1"), ("h", b"")]),
        (3, 7, 1_007_000, None, b"", None),
        (3, 8, 1_008_000, None, b"", None),
    ]


def test_what_is_cut_off_and_what_is_left_are_the_whole() -> None:
    found = Columns()
    found.add([message(i, bytes(i)) for i in range(10)])
    taken = found.cut(4)
    assert (taken.offsets, found.offsets) == ([0, 1, 2, 3], [4, 5, 6, 7, 8, 9])
    assert (taken.size_bytes, found.size_bytes) == (6, 39)
    assert [len(part.values) for part in (taken, found)] == [4, 6]


def test_more_than_one_column_can_hold_becomes_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_LARGEST_BYTES", 25)
    found = Columns()
    found.add([message(i, b"0123456789") for i in range(7)])
    batches = found.batches(0)
    assert [offset for batch in batches for offset in batch.column("offset").to_pylist()] == list(range(7))
    assert max(batch.num_rows for batch in batches) <= 2


def test_a_producers_time_is_refused() -> None:
    with pytest.raises(
        ConflictError, match=r"topic ratings; expected message.timestamp.type=LogAppendTime.*record 3:9"
    ):
        Columns().add([message(9, timestamp=(TIMESTAMP_CREATE_TIME, 5))])
