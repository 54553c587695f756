from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings

import watersmeet as wm
from tests.engines.columnar.chunks import COLUMNS, logged, topic
from watersmeet.core.engine import Lifted
from watersmeet.core.errors import WatersmeetError
from watersmeet.core.user_window import UserWindow
from watersmeet.core.view import CellSpec
from watersmeet.engines.columnar.decode import Decoder
from watersmeet.engines.columnar.lift import lift
from watersmeet.engines.columnar.merge import merge
from watersmeet.engines.columnar.placement import placed
from watersmeet.engines.reference.window import user_panes

pytestmark = pytest.mark.unit

NOON = datetime(2024, 1, 1, 12)
MINUTE = timedelta(minutes=1)
TIMES = [NOON, NOON + MINUTE, NOON + 2 * MINUTE]
EVENTS = topic({"at": "timestamp not null", "k": "varchar", "tags": "varchar[]"}, event_time="at")


def giving(answer: Callable[[Sequence[datetime]], Any]) -> UserWindow:
    def mistaken(event_time: Sequence[datetime]) -> Any:
        return answer(event_time)

    return wm.window(version=2)(mistaken)


def asked(times: Sequence[datetime] = TIMES) -> pa.Table:
    rows = range(len(times))
    return pa.table(
        {
            "partition": pa.array([0 for _ in rows], pa.int32()),
            "offset": pa.array(rows, pa.int64()),
            "_place": pa.array([0 for _ in rows], pa.int32()),
            "event_time": pa.array(times, pa.timestamp("us")),
        }
    )


def bounds(found: pa.Table) -> list[tuple[int, datetime, datetime]]:
    return [(row["offset"], row["_pane"], row["_pane_end"]) for row in found.to_pylist()]


HOUR_OF_ALL = [(i, NOON, NOON + 60 * MINUTE) for i in range(3)]


@pytest.mark.parametrize(
    "column",
    [
        lambda at: [at] * 3,
        lambda at: (at, at, at),
        lambda at: [at.replace(tzinfo=UTC)] * 3,
        lambda at: [at.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=5)))] * 3,
        lambda at: np.array([at] * 3, "datetime64[us]"),
        lambda at: np.array([at] * 3, "datetime64[s]"),
        lambda at: np.array([at] * 3, "datetime64[ns]"),
        lambda at: np.array([at] * 3, object),
        lambda at: pa.array([at] * 3, pa.timestamp("ms")),
        lambda at: pa.chunked_array([[at], [at, at]]),
    ],
    ids=["list", "tuple", "UTC", "zone", "us", "s", "ns", "objects", "Arrow", "chunked"],
)
def test_columns_of_times_may_be_of_many_kinds(column: Callable[[datetime], Any]) -> None:
    found, unusable = placed(giving(lambda at: (column(NOON), column(NOON + 60 * MINUTE))), asked())
    assert (bounds(found), unusable) == (HOUR_OF_ALL, 0)


def test_days_are_taken_for_their_midnights() -> None:
    days = np.array([NOON] * 3, "datetime64[D]")
    found, _ = placed(giving(lambda at: (days, days + 1)), asked())
    assert bounds(found)[0][1:] == (datetime(2024, 1, 1), datetime(2024, 1, 2))


@pytest.mark.parametrize(
    ("starts", "ends", "placed_offsets", "unusable"),
    [
        (TIMES, [at + MINUTE for at in TIMES], [0, 1, 2], 0),
        ([None, *TIMES[1:]], [at + MINUTE for at in TIMES], [1, 2], 0),
        ([None] * 3, [None] * 3, [], 0),
        (TIMES, [None] * 3, [], 3),
        (TIMES, TIMES, [], 3),
        ([NOON] * 3, [NOON + MINUTE] * 3, [0], 2),
        ([NOON + MINUTE] * 3, [NOON + 5 * MINUTE] * 3, [1, 2], 1),
        ([NOON + 5 * MINUTE] * 3, [NOON] * 3, [], 3),
        ([NOON] * 3, [datetime.max] * 3, [0, 1, 2], 0),
        (np.array(["NaT", *TIMES[1:]], "datetime64[us]"), np.array([NOON + 60 * MINUTE] * 3, "M8[us]"), [1, 2], 0),
        (np.array([NOON] * 3, "M8[ns]") - np.array([0, 1, 1000]), np.array([NOON + 60 * MINUTE] * 3, "M8[ns]"), [0, 2], 1),
        (np.array([NOON] * 3, "M8[us]"), np.array(["2024-01-02", "9999-12-31", "10000-01-01"], "M8[us]"), [0, 1], 1),
        (np.array(["2024-01-01", "0001-01-01", "0000-12-31"], "M8[us]"), np.array(["2024-01-02"] * 3, "M8[us]"), [0, 1], 1),
    ],
)  # fmt: skip
def test_a_row_lies_in_its_window_or_in_none_or_is_unusable(
    starts: Any, ends: Any, placed_offsets: list[int], unusable: int
) -> None:
    found, bad = placed(giving(lambda at: (starts, ends)), asked())
    assert ([offset for offset, *_ in bounds(found)], bad) == (placed_offsets, unusable)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda at: 1 // 0, "ZeroDivisionError"),
        (lambda at: None, "expected two columns, starts and ends; got NoneType"),
        (lambda at: at, "expected two columns"),
        (lambda at: (at, at, at, at), "expected two columns"),
        (lambda at: (at[:-1], at), "expected columns of 3 values; got 2 values"),
        (lambda at: (at, [*at, at[0]]), "expected columns of 3 values; got 4 values"),
        (lambda at: (at, at[0]), "expected columns of times"),
        (lambda at: ("abc", at), "expected columns of times"),
        (lambda at: (at, [1, 2, 3]), "expected columns of times; got values of type int"),
        (lambda at: (at, ["2024-01-01"] * 3), "expected columns of times; got values of type str"),
        (lambda at: (at, [*at[:2], "later"]), "expected columns of times"),
        (lambda at: (at, [*at[:2], 1.5]), "expected columns of times; got values of type float"),
        (lambda at: (at, np.array([1.5] * 3)), "expected columns of times; got values of type double"),
        (lambda at: (at, np.array(["1", "2", "3"])), "expected columns of times; got values of type string"),
        (lambda at: (at, np.array([*at[:2], 1], object)), "expected columns of times; got values of type int"),
        (lambda at: (at, {"a": 1}), "expected columns of times"),
    ],
)
def test_a_function_that_breaks_its_promise_is_named(result: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(WatersmeetError, match=r"window function mistaken \(version 2\)") as caught:
        placed(giving(result), asked())
    assert words in str(caught.value)
    assert __file__ in caught.value.where


def test_of_no_rows_nothing_is_asked() -> None:
    found, unusable = placed(giving(lambda at: 1 // 0), asked([]))
    assert (found.num_rows, unusable) == (0, 0)


INSTANTS = st.datetimes(NOON - 3 * MINUTE, NOON + 3 * MINUTE)


@settings(max_examples=50)
@given(st.lists(st.tuples(INSTANTS, st.none() | INSTANTS, st.none() | INSTANTS), max_size=20))
def test_it_is_judged_as_the_reference_judges_it(rows: list[tuple[datetime, datetime | None, datetime | None]]) -> None:
    times = [at for at, _, _ in rows]
    window = giving(lambda at: ([start for _, start, _ in rows], [end for _, _, end in rows]))
    found, unusable = placed(window, asked(times))
    expected = user_panes(window, {"event_time": times})
    us = timedelta(microseconds=1)
    epoch = datetime(1970, 1, 1)
    mine = {offset: ((start - epoch) // us, (end - epoch) // us) for offset, start, end in bounds(found)}
    assert mine == {i: pane for i, pane in enumerate(expected) if pane is not None}
    assert len(rows) == len(mine) + unusable + sum(start is None for _, start, _ in rows)


# -- in a lift


@wm.window(version=1)
def by_tag(event_time: Sequence[datetime], tag: Sequence[str | None]) -> Any:
    """An hour for "a", a minute for "b"; nothing for "c"; nonsense for all others."""
    lengths = {"a": 60 * MINUTE, "b": MINUTE}
    starts = [None if name == "c" else at.replace(minute=0) for at, name in zip(event_time, tag, strict=True)]
    return starts, [start and start + lengths.get(name or "", -MINUTE) for start, name in zip(starts, tag, strict=True)]


VIEW = wm.View(
    "tagged",
    topic=EVENTS,
    dimensions=["tag", "1 / (len(k) - 1) as d"],
    explode="tags as tag",
    where="cast(k as integer) > 0",
    window=by_tag,
    measures={"n": wm.count()},
)


def lifted(spec: CellSpec, rows: list[tuple[str, str, list[str]]]) -> Lifted:
    payloads = [json.dumps({"at": f"2024-01-01T{at}Z", "k": k, "tags": tags}).encode() for at, k, tags in rows]
    return lift(COLUMNS, EVENTS, [spec], Decoder(COLUMNS).decode(EVENTS, logged(payloads)).rows)[spec.fingerprint]


def test_elements_lie_in_windows_of_their_own_and_what_lies_in_none_is_not_looked_at() -> None:
    """
    a, b of 12:00 and a of 12:30; c is in none, z in none that can be; "x" and "-1" are not asked about at all, and
    only the condition on "x" fails: it and z are unusable.
    """
    rows = [("12:00:00", "10", ["a", "b", "c", "z"]), ("12:30:00", "20", ["a"]), ("12:40:00", "x", ["a"])]
    found = lifted(VIEW.cells, [*rows, ("12:40:00", "-1", ["b"])])
    cells = pa.table(found.cells).to_pylist()
    assert [(row["pane"], row["pane_end"], row["tag"], row["p0_n"]) for row in cells if row["tag"] == "a"] == [
        (NOON, NOON + 60 * MINUTE, "a", 2)
    ]
    assert [(row["pane"], row["pane_end"], row["tag"], row["p0_n"]) for row in cells if row["tag"] == "b"] == [
        (NOON, NOON + MINUTE, "b", 1)
    ]
    assert (len(cells), found.rows, found.unusable) == (2, 3, 2)


def test_cells_add_up_only_where_both_bounds_are_equal() -> None:
    @wm.window(version=1)
    def either(event_time: Sequence[datetime]) -> Any:
        return [NOON for _ in event_time], [NOON + MINUTE * (1 if at < NOON + MINUTE else 5) for at in event_time]

    spec = wm.View("either", topic=EVENTS, window=either, measures={"n": wm.count()}).cells
    parts = [lifted(spec, [("12:00:30", "", [])]), lifted(spec, [("12:00:40", "", []), ("12:02:00", "", [])])]
    merged = pa.table(merge(COLUMNS.database, spec, [part.cells for part in parts])).to_pylist()
    assert [tuple(row.values()) for row in merged] == [(NOON, NOON + MINUTE, 2), (NOON, NOON + 5 * MINUTE, 1)]


def test_where_no_record_is_in_a_window_there_is_no_cell() -> None:
    found = lifted(VIEW.cells, [("12:00:00", "10", ["c"])])
    assert (pa.table(found.cells).num_rows, found.rows, found.unusable) == (0, 0, 0)
    assert pa.table(found.cells).column_names == ["pane", "pane_end", "tag", "d", "p0_n"]
