"""Windows: their panes, their names, and which are composed of which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

import pytest

import watersmeet as wm
from watersmeet.core.function import Column
from watersmeet.core.window import ALL_TIME, Window, composes

from .refusals import refusal

pytestmark = pytest.mark.unit

MINUTE = 60_000_000


def own(version: int) -> Window:
    """Windows of a user's own."""

    def minutes(event_time: Sequence[datetime]) -> Sequence[Column]:
        return event_time, [at + timedelta(minutes=1) for at in event_time]

    return wm.window(version=version)(minutes)


@pytest.mark.parametrize(
    ("window", "pane_us", "name"),
    [
        (wm.tumbling("5m"), 5 * MINUTE, "5m"),
        (wm.hopping("1h", "5m"), 5 * MINUTE, "1h every 5m"),
        (wm.hopping("50m", "15m"), 5 * MINUTE, "50m every 15m"),
        (wm.hopping("1h", "1h"), 60 * MINUTE, "1h"),
        (wm.running("5m"), 5 * MINUTE, "running, every 5m"),
        (wm.calendar("month", "Europe/Berlin"), 0, "month in Europe/Berlin"),
        (wm.session("30m"), 0, "sessions with a gap of 30m"),
        (own(2), 0, "minutes, version 2"),
        (ALL_TIME, 0, "all time"),
    ],
)
def test_a_window_has_a_name_and_panes_of_one_width(window: Window, pane_us: int, name: str) -> None:
    assert (window.pane_us, str(window)) == (pane_us, name)


def test_an_origin_is_counted_within_one_window() -> None:
    assert wm.tumbling("5m", origin=7 * MINUTE) == wm.tumbling("5m", origin=2 * MINUTE) != wm.tumbling("5m")
    assert wm.hopping("1h", "5m", origin=-MINUTE) == wm.hopping("1h", "5m", origin=4 * MINUTE)
    assert wm.running("5m", origin=5 * MINUTE) == wm.running("5m")


@pytest.mark.parametrize(
    ("window", "pane", "composed"),
    [
        (wm.tumbling("1h"), wm.tumbling("5m"), True),
        (wm.tumbling("7m"), wm.tumbling("5m"), False),
        (wm.hopping("1h", "10m"), wm.tumbling("5m"), True),
        (wm.hopping("1h", "7m"), wm.tumbling("5m"), False),
        (wm.tumbling("5m"), wm.hopping("1h", "5m"), True),
        (wm.running("10m"), wm.tumbling("5m"), True),
        (wm.tumbling("5m"), wm.running("5m"), True),
        (wm.tumbling("10m", origin=MINUTE), wm.tumbling("5m"), False),
        (wm.tumbling("10m", origin=6 * MINUTE), wm.tumbling("5m", origin=MINUTE), True),
        (wm.tumbling("1d"), wm.calendar("day"), False),
        (wm.calendar("day"), wm.tumbling("5m"), False),
        (wm.calendar("year"), wm.calendar("month"), True),
        (wm.calendar("month"), wm.calendar("year"), False),
        (wm.calendar("month"), wm.calendar("week"), False),
        (wm.calendar("week"), wm.calendar("day"), True),
        (wm.calendar("week"), wm.calendar("day", "Europe/Berlin"), False),
        (wm.session("5m"), wm.session("5m"), True),
        (wm.session("10m"), wm.session("5m"), False),
        (ALL_TIME, wm.tumbling("5m"), True),
        (ALL_TIME, wm.calendar("day"), True),
        (ALL_TIME, ALL_TIME, True),
        (ALL_TIME, wm.session("5m"), False),
        (wm.tumbling("5m"), ALL_TIME, False),
        (own(1), own(1), True),
        (own(2), own(1), False),
        (ALL_TIME, own(1), True),
        (wm.tumbling("1m"), own(1), False),
        (wm.running("1m"), own(1), False),
        (wm.calendar("day"), own(1), False),
        (own(1), wm.tumbling("1m"), False),
        (own(1), ALL_TIME, False),
    ],
)
def test_a_window_is_composed_of_whole_panes(window: Window, pane: Window, composed: bool) -> None:
    assert composes(window, pane) is composed


@pytest.mark.parametrize(
    ("window", "lengths_us", "carries_end"),
    [
        (wm.tumbling("5m"), (5 * MINUTE, 5 * MINUTE), False),
        (wm.running("5m"), (5 * MINUTE, 5 * MINUTE), False),
        (wm.session("30m"), None, True),
        (own(1), None, True),
        (ALL_TIME, None, False),
    ],
)
def test_a_window_has_a_length_or_its_cells_carry_its_end(
    window: Window, lengths_us: object, carries_end: bool
) -> None:
    assert (window.lengths_us, window.carries_end) == (lengths_us, carries_end)


def test_a_window_means_its_fields_and_the_fingerprint_rests_on_them() -> None:
    assert wm.hopping("1h", "5m").meaning == ("hopping", 60 * MINUTE, 5 * MINUTE, 0, None, "UTC")
    assert own(1).meaning[:3] == ("user", "minutes", 1)


WRONG: Mapping[str, tuple[Callable[[], object], str, str]] = {
    "size": (lambda: wm.tumbling("5"), "window size", "units"),
    "hop": (lambda: wm.hopping("5m", "often"), "window hop", "units"),
    "hop beyond the size": (lambda: wm.hopping("5m", "1h"), "window hop", "tumbling(every)"),
    "gap": (lambda: wm.session("0s"), "session gap", "units"),
    "boundaries": (lambda: wm.running(""), "running window", "units"),
    "unit": (lambda: wm.calendar("fortnight"), "calendar unit", "tumbling"),  # type: ignore[arg-type]  # as users do
    "zone": (lambda: wm.calendar("day", "Mars/Olympus"), "calendar zone", "UTC"),
    "zone of nothing": (lambda: wm.calendar("day", ""), "calendar zone", "UTC"),
    "zone outside": (lambda: wm.calendar("day", "../etc"), "calendar zone", "UTC"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_window_is_refused(name: str) -> None:
    declare, subject, remedy = WRONG[name]
    error = refusal(declare)
    assert error.subject == subject
    assert remedy in error.remedy
