"""The range law and the roll-up law.

read(range) = filter(read(everything), range)          whatever is derived, lagged or had
view.at(window, by=) = the view declared with that window and those dimensions
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import watersmeet as wm
from watersmeet.core.engine import Filter, Order, Selection
from watersmeet.core.errors import DeclarationError
from watersmeet.core.window import Window
from watersmeet.engines import reference

from .worlds import SECOND, World, cases, topic, turns, views, worlds

pytestmark = pytest.mark.unit

LOGS = worlds(chosen=7, steps=st.just(("roll",)))


def everything(view: wm.View, world: World, selection: Selection | None = None) -> list[dict[str, Any]]:
    """The answer over all records of a world, in one slice."""
    return reference.answer(view, world.records, selection=selection)


@cases(15, 800)
@given(LOGS, st.sampled_from(["tumbling", "hopping", "sessions", "running", "days", "turns"]), st.data())
def test_a_range_selects_rows_and_changes_none(world: World, name: str, data: st.DataObject) -> None:
    view = world.views[name]
    whole = everything(view, world)
    starts = sorted({row["window_start"] for row in whole}) or [0]
    lower = data.draw(st.none() | st.sampled_from(starts)) if whole else None
    upper = data.draw(st.none() | st.sampled_from(starts).map(lambda start: start + data.draw(st.integers(-1, 1))))
    found = everything(view, world, Selection(lower, upper))
    assert found == [
        row
        for row in whole
        if (lower is None or row["window_start"] >= lower) and (upper is None or row["window_start"] < upper)
    ]


@cases(15, 800)
@given(LOGS, st.sampled_from(["tumbling", "hopping", "running", "turns"]), st.integers(0, 5))
def test_pages_in_key_order_make_up_the_whole(world: World, name: str, size: int) -> None:
    view = world.views[name]
    whole = everything(view, world)
    pages: list[dict[str, Any]] = []
    while True:
        after = tuple(pages[-1][column] for column in view.key) if pages else ()
        page = everything(view, world, Selection(limit=size + 1, after=after))
        pages += page
        if len(page) <= size:
            break
    assert pages == whole


@cases(15, 800)
@given(LOGS, st.booleans())
def test_where_and_order_come_last(world: World, descending: bool) -> None:
    view = world.views["tumbling"]
    whole = everything(view, world)
    kept = [row for row in whole if row["total"] is not None and row["total"] > 1]
    chosen = Selection(where=(Filter("total", ">", 1),), order=(Order("change", descending),), limit=3)
    found = everything(view, world, chosen)
    with_change = sorted((r for r in kept if r["change"] is not None), key=lambda r: r["change"], reverse=descending)
    expected = [*with_change, *(row for row in kept if row["change"] is None)]
    assert found == expected[:3], "a row that is filtered out was still there for lag"


WIDER: dict[str, Window | None] = {
    "the same": wm.tumbling("10s"),
    "three panes": wm.tumbling("30s"),
    "hopping": wm.hopping("40s", "10s"),
    "running": wm.running("20s"),
    "all time": None,
}


@cases(15, 800)
@given(LOGS, st.sampled_from(sorted(WIDER)), st.booleans())
def test_a_roll_up_equals_the_view_declared_so(world: World, wider: str, grouped: bool) -> None:
    view, window = world.views["tumbling"], WIDER[wider]
    rolled = view.at(window, by=None if grouped else [])
    declared = replace(
        view,
        name="declared",
        window=window,
        dimensions=["k"] if grouped else [],
        derive=view.derive if window is not None else {"share": view.derive["share"]},
    )
    assert rolled.cells.fingerprint == view.cells.fingerprint, "nothing more is stored"
    assert rolled.columns == declared.columns
    assert everything(rolled, world) == everything(declared, world)


@cases(10, 500)
@given(LOGS, st.sampled_from(["week", "month", "quarter", "year", None]))
def test_calendar_units_roll_up_into_coarser_ones(world: World, unit: Any) -> None:
    view = world.views["days"]
    window = wm.calendar(unit, "Europe/Berlin") if unit else None
    assert everything(view.at(window), world) == everything(replace(view, window=window), world)


@cases(10, 500)
@given(LOGS)
def test_sessions_roll_up_over_dimensions(world: World) -> None:
    view = world.views["sessions"]
    assert everything(view.at(view.frame, by=[]), world) == everything(replace(view, dimensions=[]), world)


@cases(10, 500)
@given(LOGS, st.booleans())
def test_a_users_own_windows_roll_up_over_dimensions_and_to_all_time(world: World, always: bool) -> None:
    """What no window holds is in none of them, so all time is the sum of the windows, too."""
    view = world.views["turns"]
    rolled = view.at(None if always else view.frame, by=["odd"])
    names = ["odd"] if always else ["window_start", "window_end", "odd"]
    sums: dict[tuple[Any, ...], int] = defaultdict(int)
    for row in everything(view, world):
        sums[tuple(row[name] for name in names)] += row["records"]
    assert {tuple(row[name] for name in names): row["records"] for row in everything(rolled, world)} == sums


@cases(10, 500)
@given(LOGS)
def test_a_roll_up_through_another_view_groups_by_its_columns(world: World) -> None:
    """Each k has its latest n; rows regrouped by it are as if the record had carried it."""
    latest = wm.View("latest", topic=world.topic, dimensions=["k"], measures={"n": wm.last("n")})
    facts = everything(latest, world)
    rolled = world.views["tumbling"].at("10s", by=["n"], through=latest)
    found = reference.answer(rolled, world.records, through=facts)
    n_of = {row["k"]: row["n"] for row in facts}
    cells = everything(world.views["tumbling"], world)
    for row in found:
        mine = [c for c in cells if c["window_start"] == row["window_start"] and n_of[c["k"]] == row["n"]]
        assert row["records"] == sum(c["records"] for c in mine)
        totals = [c["total"] for c in mine if c["total"] is not None]
        assert row["total"] == (sum(totals) if totals else None)


def test_what_could_not_be_equal_is_refused() -> None:
    mine = views(topic("7d", 2, excluded=False))
    for view, window in (
        (mine["tumbling"], wm.tumbling("15s")),
        (mine["tumbling"], wm.tumbling("10s", origin=SECOND)),
        (mine["days"], wm.calendar("day", "UTC")),
        (mine["sessions"], None),
        (mine["sessions"], wm.session("5s")),
        (mine["tags"], wm.tumbling("1h")),
        (mine["turns"], wm.tumbling("10s")),
        (mine["turns"], wm.running("10s")),
        (mine["turns"], wm.calendar("day")),
        (mine["turns"], wm.window(version=2)(turns.function.call)),  # type: ignore[arg-type]  # it gives two columns
        (mine["tumbling"], mine["turns"].frame),
    ):
        with pytest.raises(DeclarationError):
            view.at(window)
    with pytest.raises(DeclarationError):
        mine["tumbling"].at("10s", by=["nothing"])
