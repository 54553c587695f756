"""Windows of a user's own: how they are declared, known and refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

import watersmeet as wm
from watersmeet.core.function import Column
from watersmeet.core.query import Query
from watersmeet.core.user_window import UserWindow
from watersmeet.core.window import Window

from .refusals import refusal

pytestmark = pytest.mark.unit

LOGINS = wm.Topic("logins", schema={"at": "timestamp not null", "faculty": "varchar", "n": "integer"}, event_time="at")


@wm.window(version=3)
def shifts(event_time: Sequence[datetime], faculty: Sequence[str | None]) -> Sequence[Column]:
    """Eight hours, in every faculty alike."""
    starts = [at.replace(hour=at.hour // 8 * 8, minute=0, second=0, microsecond=0) for at in event_time]
    return starts, [start + timedelta(hours=8) for start in starts]


def view(window: Window | None = shifts, dimensions: Sequence[str] = ("faculty",), **more: object) -> wm.View:
    return wm.View("by_shift", LOGINS, {"n": wm.count()}, dimensions, window, **more)  # type: ignore[arg-type]  # any


def test_it_knows_its_name_version_parameters_and_place() -> None:
    assert (shifts.kind, str(shifts)) == ("user", "shifts, version 3")
    assert (shifts.parameters, shifts.lengths_us, shifts.pane_us) == (("event_time", "faculty"), None, 0)
    assert shifts.function.where.startswith(f"{__file__}:")


def test_it_is_still_called_like_a_function() -> None:
    noon, eight = datetime(2024, 1, 1, 12, 30), datetime(2024, 1, 1, 8)
    assert shifts([noon], ["arts"]) == ([eight], [eight + timedelta(hours=8)])


def test_its_rows_are_told_apart_by_both_bounds() -> None:
    assert view().key == ("window_start", "window_end", "faculty")
    assert view().at(None).key == ("window_start", "faculty")
    assert view(wm.tumbling("8h")).key == ("window_start", "faculty")
    assert view().time == "window_start"


def changed(**fields: object) -> UserWindow:
    return replace(shifts, function=replace(shifts.function, **fields))  # type: ignore[arg-type]  # whatever a test changes


@pytest.mark.parametrize("fields", [{"version": 4}, {"source_hash": "aaaa"}, {"name": "turns"}], ids=str)
def test_version_source_and_name_are_part_of_both_fingerprints(fields: Mapping[str, object]) -> None:
    other = view(changed(**fields))
    assert other.cells.fingerprint != view().cells.fingerprint
    assert other.fingerprint != view().fingerprint


def test_where_it_stands_and_what_it_compiles_to_is_not() -> None:
    same = view(changed(where="elsewhere.py:1", call=lambda *columns: columns))
    assert (same.cells.fingerprint, same.fingerprint) == (view().cells.fingerprint, view().fingerprint)


def test_nothing_bounds_its_length_so_no_query_over_it_settles() -> None:
    ended = Query("ended", inputs={"v": view()}, key=["t"], time="t", sql="select window_end as t, n from v")
    assert (ended.shifts["v"], ended.settles_us) == (None, None)
    begun = Query("begun", inputs={"v": view()}, key=["t"], time="t", sql="select window_start as t, n from v")
    assert begun.shifts["v"] is not None
    assert begun.settles_us is None


def by_keyword(event_time: Column, *, faculty: Column) -> Sequence[Column]:
    return event_time, faculty


def of_any(*event_time: Column) -> Sequence[Column]:
    return event_time


def timeless(faculty: Column) -> Sequence[Column]:
    return faculty, faculty


def of_faculties(event_time: Column, facultie: Column) -> Sequence[Column]:
    return event_time, facultie


make = wm.window(version=1)
WRONG: Mapping[str, tuple[Callable[[], object], str, str]] = {
    "version": (lambda: wm.window(version=0), "function version", "version=1"),
    "name": (lambda: make(lambda event_time: (event_time, event_time)), "window function column", "rename"),
    "keyword": (lambda: make(by_keyword), "window function by_keyword", "def by_keyword(event_time, …)"),
    "any number": (lambda: make(of_any), "window function of_any", "def of_any(event_time, …)"),
    "without time": (lambda: make(timeless), "window function timeless", "def timeless(event_time, …)"),
    "unknown dimension": (lambda: view(make(of_faculties)), "window of view by_shift", "did you mean 'faculty'?"),
    "a column that is no dimension": (lambda: view(dimensions=["coalesce(faculty, 'all') as place"]), "window of view by_shift", "known are event_time"),
    "undeclared": (lambda: view(timeless), "window of view by_shift", "@wm.window(version=1)"),  # type: ignore[arg-type]  # as users do
    "running": (lambda: view().at(wm.running("8h")), "by_shift.at(running, every 8h)", "declare a view with that"),
    "a length": (lambda: view().at("8h"), "by_shift.at(8h)", "declare a view with that window"),
    "another": (lambda: view().at(changed(version=4)), "by_shift.at(shifts, version 4)", "declare a view with that"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_is_refused(name: str) -> None:
    declare, subject, remedy = WRONG[name]
    error = refusal(declare)
    assert error.subject == subject
    assert remedy in error.remedy


def test_dimensions_that_it_takes_may_be_left_out_when_it_is_read() -> None:
    assert view().at(shifts, by=[]).columns == ("window_start", "window_end", "n")
