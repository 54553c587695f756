from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watersmeet.core.errors import RequestError
from watersmeet.core.sink import Shape
from watersmeet.formats.native import Converter, key_texts, microseconds_of, milliseconds, native_rows
from watersmeet.formats.table_rows import TableRows

pytestmark = pytest.mark.unit
ROWS = TableRows()
SHAPE = Shape("t", (("at", "TIMESTAMP"), ("n", "DECIMAL(4,1)"), ("top", "STRUCT(a INTEGER)[]")), ("at", "n"), None)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None)


def rows(*values: dict[str, Any]) -> pa.Table:
    types = [("at", pa.timestamp("us")), ("n", pa.decimal128(4, 1)), ("top", pa.list_(pa.struct([("a", pa.int32())])))]
    return ROWS.typed(SHAPE, pa.Table.from_pylist(list(values), schema=pa.schema(types)), [n for n, _ in SHAPE.columns])


def half(value: Decimal) -> tuple[object, bool]:
    """A store that holds whole numbers only."""
    return int(value), value == int(value)


CONVERT: dict[str, Converter | None] = {"at": milliseconds, "n": half, "top": None}


def test_what_the_store_cannot_hold_stands_beside_the_row_as_text() -> None:
    found = native_rows(
        ROWS,
        SHAPE,
        rows(
            {"at": NOON, "n": Decimal("1.0"), "top": [{"a": 1}, None]},
            {"at": NOON + timedelta(microseconds=1), "n": Decimal("1.5"), "top": None},
            {"at": None, "n": None, "top": []},
        ),
        CONVERT,
    )
    noon_ms = int(NOON.replace(tzinfo=UTC).timestamp()) * 1000
    assert found == [
        ([noon_ms, 1, '[{"a":1},null]'], {}),
        ([noon_ms, 1, None], {"at": "2026-03-01 12:00:00.000001", "n": "1.5"}),
        ([None, None, "[]"], {}),
    ]
    assert native_rows(ROWS, SHAPE, rows(), CONVERT) == []


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "at": st.none() | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)),
                "n": st.none() | st.decimals(-99, 99, places=1),
            }
        ),
        max_size=8,
    )
)
def test_equal_keys_and_no_others_have_equal_texts(keys: list[dict[str, Any]]) -> None:
    texts = key_texts(ROWS, SHAPE, rows(*({**key, "top": None} for key in keys)))
    assert [len(json.loads(text)) for text in texts] == [2] * len(keys)
    for mine, key in zip(texts, keys, strict=True):
        for other, text in zip(keys, texts, strict=True):
            assert (mine == text) == (key == other)


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
def test_a_time_is_cut_downwards(time: datetime) -> None:
    whole_us = microseconds_of(time)
    assert datetime(1970, 1, 1) + timedelta(microseconds=whole_us) == time
    cut, exact = milliseconds(time)
    assert 0 <= whole_us - 1000 * cut < 1000
    assert exact == (whole_us == 1000 * cut)
    assert milliseconds(whole_us) == (cut, exact)


def test_a_time_with_a_zone_is_the_same_instant() -> None:
    zoned = datetime(2026, 3, 1, 17, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert microseconds_of(zoned) == microseconds_of(NOON)


def test_a_value_that_python_has_not_is_refused_with_its_column() -> None:
    shape = Shape("t", (("id", "INTEGER"), ("days", "DATE[]")), ("id",), None)
    far = pa.table({"id": [1], "days": pa.array([[10**7]], pa.list_(pa.date32()))})
    convert: dict[str, Converter | None] = {"id": lambda value: (value, True), "days": lambda value: (value, True)}
    with pytest.raises(RequestError, match="column days of table t"):
        native_rows(ROWS, shape, ROWS.typed(shape, far, ["id", "days"]), convert)
