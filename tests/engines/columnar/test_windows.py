"""Windows composed of cells. Time runs to the right; a letter stands for a record of that user."""

from __future__ import annotations

from typing import Any

import pytest

import watersmeet as wm
from tests.engines.columnar.naive import MINUTE, at, dicts, read
from watersmeet.core.engine import Selection
from watersmeet.core.view import View
from watersmeet.core.window import Window

pytestmark = pytest.mark.unit

TOPIC = wm.Topic("t", schema={"room": "varchar", "user": "varchar", "seen": "timestamp_ms not null"}, event_time="seen")


def records(axis: str, room: str | None = "r", step: int = MINUTE) -> list[dict[str, Any]]:
    """One record for each letter, ``step`` apart from one character to the next, the first at 1970-01-01Z."""
    return [
        {"room": room, "user": user, "event_time": i * step, "seen": at(i * step)}
        for i, user in enumerate(axis)
        if user.isalpha()
    ]


def view(window: Window | None, **more: Any) -> View:
    return View(
        "v",
        topic=TOPIC,
        dimensions=["room"],
        window=window,
        measures={"n": wm.count(), "u": wm.distinct("user")},
        **more,
    )


def shown(view: View, found: list[dict[str, Any]], *columns: str, **selection: Any) -> list[tuple[Any, ...]]:
    """(start minute, end minute, columns …) of each row."""
    rows = dicts(read(view, found, Selection(**selection), pieces=3))
    return [(minute(row["window_start"]), minute(row["window_end"]), *(row[c] for c in columns)) for row in rows]


def minute(time: Any) -> float | None:
    return None if time is None else (time - at(0)).total_seconds() / 60


def test_tumbling_windows_touch() -> None:
    # 0    5    10   15
    # |a b |    |b b |a
    found = records("a.b.......bb...a")
    assert shown(view(wm.tumbling("5m")), found, "n") == [(0, 5, 2), (10, 15, 2), (15, 20, 1)]


def test_tumbling_windows_count_from_their_origin_before_1970_too() -> None:
    #     -3    2    7
    # a  b|    a|    |
    found = [{**r, "event_time": r["event_time"] - 5 * MINUTE} for r in records("a..b...a")]
    assert shown(view(wm.tumbling("5m", origin=2 * MINUTE)), found, "n") == [(-8, -3, 1), (-3, 2, 1), (2, 7, 1)]


def test_hopping_windows_overlap() -> None:
    # 0   2   4   6   8
    # a.......b
    # [───────)            0 to 4, every 2
    #     [───────)
    #         [───────)
    found = records("a...b")
    rows = shown(view(wm.hopping("4m", "2m")), found, "n", "u")
    assert rows == [(-2, 2, 1, 1), (0, 4, 1, 1), (2, 6, 1, 1), (4, 8, 1, 1)]


def test_a_record_in_two_windows_of_one_view_is_in_each_of_them_once() -> None:
    # 0   2   4   6
    # ab.a
    # [───────)   all of it
    #     [───────)
    found = records("ab.a")
    rows = shown(view(wm.hopping("4m", "2m")), found, "n", "u")
    assert rows == [(-2, 2, 2, 2), (0, 4, 3, 2), (2, 6, 1, 1)]


def test_hops_need_not_divide_the_size() -> None:
    # 0  2  4  6  8  10      size 5, every 2: a record is in two windows or three
    # ....a
    found = records("....a")
    assert shown(view(wm.hopping("5m", "2m")), found, "n") == [(0, 5, 1), (2, 7, 1), (4, 9, 1)]
    assert shown(view(wm.hopping("5m", "2m")), records(".....a"), "n") == [(2, 7, 1), (4, 9, 1)]


def test_all_time_is_one_row_a_key() -> None:
    rows = shown(view(None), records("a.b...a") + records("c", None), "room", "n", "u")
    assert rows == [(None, None, "r", 3, 2), (None, None, None, 1, 1)]


def test_a_session_lasts_while_records_come_nearer_than_the_gap() -> None:
    # 0    5    10   15        gap 3
    # a.b..a......bb
    # [──)
    #    exactly 3 apart: a new session
    rows = shown(view(wm.session("3m")), records("a.b..a......bb"), "n", "u")
    assert rows == [(0, 5, 2, 2), (5, 8, 1, 1), (12, 16, 2, 1)]


def test_fragments_of_one_session_that_slices_cut_are_joined() -> None:
    # owners    0000|1111|2222
    #           a.b..c.d.e..
    rows = shown(view(wm.session("4m")), records("a.b..c.d.e"), "n", "u")
    assert rows == [(0, 13, 5, 5)]


def test_a_session_by_fewer_dimensions_joins_those_of_each() -> None:
    # room r   a....a
    # room s   ...b....b
    found = records("a....a") + records("...b....b", "s")
    by_none = view(wm.session("4m")).at(wm.session("4m"), by=[])
    assert shown(by_none, found, "n") == [(0, 12, 4)]


def test_a_running_key_has_a_row_at_each_boundary_from_its_first_record_to_just_after_the_newest() -> None:
    # boundaries 0  2  4  6  8  10  12
    # room r        .a....b                 1 1 1 2 2
    # room s        ...........c  newest: minute 8 of the topic
    found = records(".a....b") + records("........c", "s")
    rows = shown(view(wm.running("2m")), found, "room", "n", upto_us=8 * MINUTE)
    assert rows == [
        (0, 2, "r", 1),
        (2, 4, "r", 1),
        (4, 6, "r", 1),
        (6, 8, "r", 2),
        (8, 10, "r", 2),
        (8, 10, "s", 1),
    ]


def test_a_running_key_counts_different_values_of_all_its_past() -> None:
    # 0  2  4  6
    # ab.ac.b
    rows = shown(view(wm.running("2m")), records("ab.ac.b"), "n", "u")
    assert rows == [(0, 2, 2, 2), (2, 4, 3, 2), (4, 6, 4, 3), (6, 8, 5, 3)]


def test_a_running_read_of_a_range_sums_what_is_before_it() -> None:
    #          [6 ────── 12)          asked for
    # ab.ac.b        d
    found = records("ab.ac.b........d")
    rows = shown(
        view(wm.running("2m")), found, "n", "u", lower_us=6 * MINUTE, upper_us=12 * MINUTE, upto_us=15 * MINUTE
    )
    assert rows == [(6, 8, 5, 3), (8, 10, 5, 3), (10, 12, 5, 3)]


def test_prefixes_longer_than_a_block_are_complete() -> None:
    found = records("ab" * 200)
    rows = shown(view(wm.running("1m")), found, "n", "u")
    assert [n for _, _, n, _ in rows] == list(range(1, 401))
    assert {u for *_, u in rows[1:]} == {2}


def test_a_silence_longer_than_expire_cuts_a_running_key() -> None:
    # boundaries 0  1  2  3  4  5  6  7  8  9       expire 3
    #            a  b                 c             six minutes of silence
    # rows       1  2  2  2  2  –  –  1  1
    found = records("ab.....c")
    rows = shown(view(wm.running("1m"), expire="3m"), found, "n", upto_us=8 * MINUTE)
    assert rows == [(0, 1, 1), (1, 2, 2), (2, 3, 2), (3, 4, 2), (4, 5, 2), (7, 8, 1), (8, 9, 1)]


def test_a_running_key_that_was_silent_just_as_long_as_expire_goes_on() -> None:
    # a..b    expire 3
    rows = shown(view(wm.running("1m"), expire="3m"), records("a..b"), "n")
    assert rows == [(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 4, 2)]


def test_a_local_day_with_a_clock_change_has_23_or_25_hours() -> None:
    # Europe/Berlin 2024-03-31 23:00Z the day before … 22:00Z
    day = 1_711_839_600_000_000  # 2024-03-30 23:00Z
    found = [{**records("a")[0], "event_time": day + hour * 60 * MINUTE} for hour in (0, 22, 23)]
    rows = dicts(read(view(wm.calendar("day", "Europe/Berlin")), found, Selection()))
    assert [(row["window_start"], row["window_end"], row["n"]) for row in rows] == [
        (at(day), at(day + 23 * 60 * MINUTE), 2),
        (at(day + 23 * 60 * MINUTE), at(day + 47 * 60 * MINUTE), 1),
    ]


def test_days_make_months_and_years_of_the_same_zone() -> None:
    found = records("a.b", step=20 * 24 * 60 * MINUTE)  # 1 January, 10 February
    days = view(wm.calendar("day", "America/New_York"))
    month, year = (days.at(wm.calendar(unit, "America/New_York")) for unit in ("month", "year"))
    assert [row["n"] for row in dicts(read(month, found, Selection()))] == [1, 1]  # December in New York, and February
    assert [(row["window_start"].year, row["n"]) for row in dicts(read(year, found, Selection()))] == [
        (1969, 1),
        (1970, 1),
    ]


def test_through_regroups_by_the_columns_of_an_all_time_view() -> None:
    """Users of two rooms of one kind are different users once."""
    kinds = View("kinds", topic=TOPIC, dimensions=["room"], window=None, measures={"kind": wm.min("user")})
    found = records("abc") + records("bc", "s") + records("bd", "u") + records("x", None)
    by_kind = view(wm.tumbling("5m")).at("5m", by=["kind"], through=kinds)
    assert shown(by_kind, found, "kind", "n", "u") == [(0, 5, "a", 3, 3), (0, 5, "b", 4, 3), (0, 5, "x", 1, 1)]


def test_what_through_does_not_know_is_under_null() -> None:
    kinds = View(
        "kinds", topic=TOPIC, dimensions=["room"], window=None, measures={"kind": wm.min("user")}, where="room = 'r'"
    )
    found = records("abc") + records("bc", "s")
    by_kind = view(wm.tumbling("5m")).at("5m", by=["kind"], through=kinds)
    assert shown(by_kind, found, "kind", "n") == [(0, 5, "a", 3), (0, 5, None, 2)]
