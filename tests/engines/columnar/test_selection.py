from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.engines.columnar.naive import at
from watersmeet.core.engine import Filter, Order, Selection
from watersmeet.core.errors import RequestError
from watersmeet.engines.columnar.query import Queries
from watersmeet.engines.columnar.selection import conditions, moment

pytestmark = pytest.mark.unit

QUERIES = Queries()
ROWS = pa.table(
    {
        "n": pa.array([1, 2, 3, None], pa.int64()),
        "price": pa.array([Decimal("0.5"), Decimal("1.25"), Decimal("-3.00"), None], pa.decimal128(10, 2)),
        "ratio": pa.array([0.1, 0.2, 0.3, None]),
        "name": ["a", "b", "it's", None],
        "good": [True, False, True, None],
        "day": pa.array([date(2024, 1, 1), date(2024, 1, 2), date(2024, 1, 3), None]),
        "seen": pa.array([0, 1_000_000, 2_000_000, None], pa.timestamp("us")),
        "tags": [["x"], [], ["y"], None],
    }
)


def chosen(*where: Filter, **more: Any) -> list[int | None]:
    """The n of the rows that are selected."""
    found = QUERIES.select(ROWS, Selection(where=where, **more), key=["n"], time="seen")
    ns: list[int | None] = found["n"].to_pylist()
    return ns


@pytest.mark.parametrize(
    ("column", "op", "value", "wanted"),
    [
        ("n", "=", 2, [2]),
        ("n", "=", "2", [2]),
        ("n", "=", 2.0, [2]),
        ("n", ">", 1.5, [2, 3]),
        ("n", "<", 10**30, [1, 2, 3]),
        ("n", ">", "-1e37", [1, 2, 3]),
        ("n", ">", Decimal("0.1e-30"), [1, 2, 3]),
        ("ratio", "<", 1e300, [1, 2, 3]),
        ("ratio", ">", "1e-320", [1, 2, 3]),
        ("n", "!=", 2, [1, 3]),
        ("n", "in", [1, "3", 9], [1, 3]),
        ("n", "in", [], []),
        ("n", "is_null", None, [None]),
        ("n", "not_null", None, [1, 2, 3]),
        ("price", ">=", 0.5, [1, 2]),
        ("price", ">", "0.4999", [1, 2]),
        ("price", "<=", Decimal("-3"), [3]),
        ("ratio", "=", 0.3, [3]),
        ("name", "=", "it's", [3]),
        ("name", "in", ("a", "b"), [1, 2]),
        ("good", "=", True, [1, 3]),
        ("good", "=", "false", [2]),
        ("day", "<", date(2024, 1, 2), [1]),
        ("day", "=", "2024-01-03", [3]),
        ("seen", "<=", 1_000_000, [1, 2]),
        ("seen", ">", "1970-01-01T00:00:01", [3]),
        ("seen", "=", "1970-01-01T01:00:01+01:00", [2]),
        ("seen", "=", datetime(1970, 1, 1, 1, 0, 2, tzinfo=timezone(timedelta(hours=1))), [3]),
        ("seen", "=", datetime(1970, 1, 1, tzinfo=UTC), [1]),
        ("seen", ">=", date(1970, 1, 1), [1, 2, 3]),
        ("tags", "not_null", None, [1, 2, 3]),
    ],
)
def test_a_condition_compares_as_its_column_does(column: str, op: str, value: object, wanted: list[int | None]) -> None:
    assert chosen(Filter(column, op, value)) == wanted


@pytest.mark.parametrize(
    ("column", "op", "value", "message"),
    [
        ("nam", "=", 1, "Did you mean 'name'"),
        ("n", "like", 1, "one of = != "),
        ("n", "=", None, "is_null"),
        ("n", "=", "two", "a value of type bigint"),
        ("n", "=", True, "a value of type bigint"),
        ("n", "=", float("nan"), "a value of type bigint"),
        ("n", "<", 10**38, "a value of type bigint"),
        ("n", "<", "1e-39", "a value of type bigint"),
        ("ratio", "<", "inf", "a value of type double"),
        ("n", "in", 1, "a list of values"),
        ("name", "in", "ab", "a list of values"),
        ("name", "=", 1, "a value of type varchar"),
        ("good", "=", 1, "a value of type boolean"),
        ("day", "=", "soon", "a value of type date"),
        ("seen", "=", "soon", "a value of type timestamp"),
        ("tags", "=", ["x"], "a value of type varchar"),
    ],
)
def test_what_cannot_be_compared_is_refused(column: str, op: str, value: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        chosen(Filter(column, op, value))


def test_values_never_become_part_of_the_statement() -> None:
    texts, values = conditions([Filter("name", "=", "x' OR '1'='1")], {"name": "VARCHAR"})
    assert (texts, values) == (['"name" = $asked_w0'], {"asked_w0": "x' OR '1'='1"})


def test_rows_come_in_order_of_the_key_or_as_asked_with_nulls_last() -> None:
    assert chosen() == [1, 2, 3, None]
    assert chosen(order=(Order("price", True),)) == [2, 1, 3, None]
    assert chosen(order=(Order("good"),)) == [2, 1, 3, None]
    assert chosen(order=(Order("price"),), limit=2) == [3, 1]
    assert chosen(limit=0) == []


def test_a_range_is_half_open_and_leaves_out_rows_without_a_time() -> None:
    assert chosen(lower_us=0, upper_us=2_000_000) == [1, 2]
    assert chosen(lower_us=1_000_000) == [2, 3]
    assert chosen(upper_us=-(10**18)) == []


def test_a_page_begins_after_the_last_row_seen() -> None:
    assert chosen(after=(1,), limit=1) == [2]
    assert chosen(after=(3,)) == [None]
    assert chosen(after=(None,)) == []


def test_a_page_follows_a_key_of_several_columns_with_nulls() -> None:
    rows = pa.table({"a": [1, 1, 2, None, None], "b": ["x", None, "x", "x", None]})
    seen: tuple[object, ...] = ()
    found = []
    while True:
        page = QUERIES.select(rows, Selection(after=seen, limit=1), key=["a", "b"], time=None).to_pylist()
        if not page:
            break
        seen = (page[0]["a"], page[0]["b"])
        found.append(seen)
    assert found == [(1, "x"), (1, None), (2, "x"), (None, "x"), (None, None)]


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(after=(1, 2)), "a value for each of n"),
        (Selection(after=(1,), order=(Order("n"),)), "pages follow the key"),
        (Selection(order=(Order("m"),)), "a column of the answer"),
        (Selection(limit=-1), "0 or more"),
    ],
)
def test_a_selection_that_means_nothing_is_refused(selection: Selection, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        QUERIES.select(ROWS, selection, key=["n"], time="seen")


def test_rows_without_time_have_no_range() -> None:
    with pytest.raises(RequestError, match="no time"):
        QUERIES.select(ROWS, Selection(lower_us=0), key=["n"], time=None)


def test_a_moment_beyond_the_years_is_at_their_edge() -> None:
    assert moment(-(10**18)) == datetime.min
    assert moment(10**18) == datetime.max
    assert moment(1) == at(1)
