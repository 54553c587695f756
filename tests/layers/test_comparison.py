from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watersmeet.core.errors import RequestError
from watersmeet.layers.comparison import compare

pytestmark = pytest.mark.unit
HOUR = datetime(2026, 1, 1, 5)


def test_equal_tables_match_whatever_their_types() -> None:
    ours = pa.table({"film": [1], "hour": pa.array([HOUR], pa.timestamp("us")), "mean": [Decimal("1.50")]})
    theirs = pa.table({"FILM": ["1"], "hour": [HOUR.replace(tzinfo=UTC)], "mean": [1.5], "more": ["x"]})
    found = compare(ours, theirs, key=["film", "hour"])
    assert (found.match_rate, found.equal, found.columns, found.differences) == (1.0, 1, ("mean",), [])


def test_each_kind_of_difference_is_counted_and_shown() -> None:
    ours = pa.table({"k": ["a", "b", "c"], "n": [1, 2, None], "s": ["x", "y", "z"]})
    theirs = pa.table({"k": ["b", "c", "d"], "n": ["two", None, "4"], "s": ["Y", "z", "w"]})
    found = compare(ours, theirs, key=["k"])
    assert (found.equal, found.differing, found.only_ours, found.only_theirs) == (1, 1, 1, 1)
    assert found.match_rate == 0.25
    assert found.differences == [
        {"k": "a", "column": None, "ours": "a row", "theirs": None},
        {"k": "b", "column": "n", "ours": "2", "theirs": None},
        {"k": "b", "column": "s", "ours": "y", "theirs": "Y"},
        {"k": "d", "column": None, "ours": None, "theirs": "a row"},
    ]


def test_a_key_that_is_there_twice_counts_twice() -> None:
    ours, theirs = pa.table({"k": [1], "n": [1]}), pa.table({"k": [1, 1], "n": [1, 1]})
    found = compare(ours, theirs, key=["k"])
    assert (found.equal, found.only_theirs, found.match_rate) == (1, 1, 0.5)


def test_null_keys_meet() -> None:
    table = pa.table({"k": pa.array([None], pa.int64()), "n": [1]})
    assert compare(table, table, key=["k"]).match_rate == 1.0


def test_names_columns_tolerance_and_limit() -> None:
    ours = pa.table({"k": [1, 2], "mean": [1.0, 2.0], "n": [1, 2]})
    theirs = pa.table({"id": [1, 2], "avg": [1.0000001, 2.5], "n": [9, 9]})
    names = {"k": "id", "mean": "avg"}
    exact = compare(ours, theirs, key=["k"], columns=["mean"], names=names)
    near = compare(ours, theirs, key=["k"], columns=["mean"], names=names, tolerance=1e-6)
    assert (exact.equal, near.equal) == (0, 1)
    assert len(compare(ours, theirs, key=["k"], names=names, limit=3).differences) == 3


@pytest.mark.parametrize(("names", "said"), [({"kk": "id"}, "'kk'"), ({"k": "idd"}, "'idd'"), ({}, "'k'")])
def test_a_column_that_one_side_lacks_is_named(names: dict[str, str], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        compare(pa.table({"k": [1]}), pa.table({"id": [1]}), key=["k"], names=names)


def test_two_empty_tables_agree() -> None:
    empty = pa.table({"k": pa.array([], pa.int64())})
    assert compare(empty, empty, key=["k"]).match_rate == 1.0


ROWS = st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 2))), max_size=8)


@given(ROWS, ROWS)
def test_every_row_of_both_sides_is_counted_once(mine: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    def table(rows: list[tuple[int, int]]) -> pa.Table:
        return pa.table(
            {"k": pa.array([k for k, _ in rows], pa.int64()), "n": pa.array([n for _, n in rows], pa.int64())}
        )

    found = compare(table(mine), table(other), key=["k"])
    assert found.equal + found.differing + found.only_ours == len(mine)
    assert found.equal + found.differing + found.only_theirs == len(other)
    assert (found.match_rate == 1.0) == (not found.differences)
