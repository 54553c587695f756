"""Range law of queries: what a range is pushed into gives the same rows as reading everything and filtering.

The catalogue says for each query how far a range must reach, so that an analysis that pushes nothing fails as well as one
that pushes too much. Each claim is then tried on generated tables and ranges.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watersmeet.core.sql.lineage import Shift, pushdown, trace

from .statements import CASES, DAY, HOUR, INPUTS, MINUTE, Case, Reach

pytestmark = pytest.mark.unit

EXAMPLES = 300 if os.environ.get("WATERSMEET_PROVE") else 10
SIZES = {"a": 5 * MINUTE, "b": 5 * MINUTE, "h": HOUR}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LEAP = (datetime(2024, 2, 29, 21, 0, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
BEFORE_EPOCH = -2 * HOUR
Rows = list[tuple[object, ...]]


def at(us: int | None) -> str:
    return "null" if us is None else f"make_timestamp({us})"


@dataclass(frozen=True)
class Tables:
    """Rows by table; of those with a window (start, k, n), of ``q`` the same with a start that may be missing."""

    timed: Mapping[str, list[tuple[int | None, int, int]]]
    labels: Mapping[int, str]

    def within(self, shifts: Mapping[str, Shift | None], lower: int | None, upper: int | None) -> Tables:
        """What is left when the range goes down into the tables."""
        timed = {}
        for name, rows in self.timed.items():
            shift = shifts.get(name)
            lo, hi = shift.apply(lower, upper) if shift else (None, None)
            bounded = lo is not None or hi is not None
            timed[name] = [
                (t, k, n)
                for t, k, n in rows
                if not bounded or (t is not None and (lo is None or t >= lo) and (hi is None or t < hi))
            ]
        return Tables(timed, self.labels)

    def create(self, connection: duckdb.DuckDBPyConnection, names: Collection[str]) -> None:
        for name, rows in self.timed.items():
            if name not in names:
                continue
            if name == "q":
                columns = "t timestamp, k integer, n integer"
                values = [f"({at(t)}, {k}, {n})" for t, k, n in rows]
            else:
                columns = "window_start timestamp, window_end timestamp, k integer, n integer"
                values = [f"({at(t)}, {at(t and t + SIZES[name])}, {k}, {n})" for t, k, n in rows]
            fill(connection, name, columns, values)
        if "d" in names:
            fill(connection, "d", "k integer, label varchar", [f"({k}, '{label}')" for k, label in self.labels.items()])


def fill(connection: duckdb.DuckDBPyConnection, name: str, columns: str, values: list[str]) -> None:
    connection.execute(f"create or replace table {name} ({columns})")
    if values:
        connection.execute(f"insert into {name} values {', '.join(values)}")


minutes = st.one_of(st.integers(0, 12), st.integers(0, 40)).map(lambda i: i * 5 * MINUTE)
days = st.sampled_from((0, 0, 0, DAY, 31 * DAY))
rows = st.tuples(st.builds(lambda a, b: a + b, minutes, days), st.integers(0, 2), st.integers(0, 5))
lists = st.lists(rows, max_size=7)
nullable = st.lists(st.tuples(st.one_of(st.none(), minutes), st.integers(0, 2), st.integers(0, 5)), max_size=6)
edges = st.one_of(
    st.none(), st.builds(lambda i, j: i * 5 * MINUTE + j, st.integers(-14, 50), st.sampled_from((0, 0, 1, -1)))
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[Tables, int]:
    """Tables, and the time from which they count."""
    base = draw(st.sampled_from((LEAP, BEFORE_EPOCH)))
    timed = {name: draw(lists) for name in ("a", "b", "h")} | {"q": draw(nullable)}
    moved = {name: [(None if t is None else t + base, k, n) for t, k, n in rows] for name, rows in timed.items()}
    return Tables(moved, draw(st.dictionaries(st.integers(0, 2), st.sampled_from("xyz"), max_size=3))), base


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:", config={"threads": "1"}) as found:
        found.execute("set timezone = 'UTC'")
        found.execute("create macro ratio(a, b, digits) as round(a::decimal(18, 4) / nullif(b, 0), digits)")
        yield found


def shifts_of(case: Case) -> Mapping[str, Shift | None]:
    found = pushdown(trace(case.sql, INPUTS, subject="query", where="here:1"), "t")
    return {name: shift for name, shift in found.items() if name in case.reach}


def answer(
    connection: duckdb.DuckDBPyConnection, found: Tables, case: Case, lower: int | None, upper: int | None
) -> Rows:
    """The rows in the range, in an order of their own."""
    found.create(connection, case.reach)
    conditions = [f"t >= {at(lower)}"] * (lower is not None) + [f"t < {at(upper)}"] * (upper is not None)
    text = f"select * from ({case.sql}) where {' and '.join(conditions) or 'true'}"
    return sorted(connection.execute(text).fetchall(), key=repr)


@pytest.mark.parametrize("name", CASES)
def test_a_range_reaches_as_far_as_it_must_and_no_further(name: str) -> None:
    expected: Reach = CASES[name].reach
    assert shifts_of(CASES[name]) == {table: span and Shift(*span) for table, span in expected.items()}


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if any(case.reach.values())])
def test_reading_a_range_is_filtering_everything(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    case = CASES[name]
    shifts = shifts_of(case)

    @settings(max_examples=EXAMPLES)
    @given(tables(), edges, edges)
    def law(made: tuple[Tables, int], lower: int | None, upper: int | None) -> None:
        everything, base = made
        lower, upper = (None if edge is None else edge + base for edge in (lower, upper))
        part = everything.within(shifts, lower, upper)
        expected = answer(connection, everything, case, lower, upper)
        assert answer(connection, part, case, lower, upper) == expected

    law()


def test_most_of_the_catalogue_is_pushed_and_some_is_not() -> None:
    verdicts = [shift is not None for case in CASES.values() for shift in shifts_of(case).values()]
    assert len(CASES) >= 40
    assert sum(verdicts) > 50
    assert len(verdicts) - sum(verdicts) > 30
