"""Panes and windows in plain Python.

A pane is where a record's event time falls; a window is a run of panes. Both are start-inclusive and end-exclusive.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from ...core.user_window import UserWindow
from ...core.window import Unit, Window

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US = 1_000_000


def pane_of(pane: Window, t: int) -> Any:
    """The pane of an event time: its start in µs, None for all time, (t, t) for a session."""
    if pane.kind == "all":
        return None
    if pane.kind == "session":
        return t, t
    return unit_of(pane, t)[0] if pane.kind == "calendar" else floor(t, pane.pane_us, pane.origin_us)


def user_panes(window: UserWindow, columns: Mapping[str, Sequence[Any]]) -> list[tuple[int, int] | None]:
    """The window that a user's function gives each record; None where it gives none, or one that cannot be.

    Args:
        window: declares the function.
        columns: by parameter, as row functions are handed them; ``event_time`` among them.
    """
    if not columns["event_time"]:
        return []
    times = [_instant(t) for t in columns["event_time"]]
    found: Any = window(*(columns[name] for name in window.parameters))
    given = [(t, _instant(start), _instant(end)) for t, start, end in zip(times, *found, strict=True)]
    return [None if start is None or end is None or not start <= t < end else (start, end) for t, start, end in given]


def _instant(value: datetime | None) -> Any:
    """In µs; a time without a zone is UTC's."""
    if value is None:
        return None
    return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def floor(t: int, width: int, origin: int) -> int:
    """The last multiple of ``width`` from ``origin`` at or before ``t``, before 1970 too."""
    return (t - origin) // width * width + origin


def fixed_windows(window: Window, pane: int) -> Iterator[tuple[int, int]]:
    """The tumbling or hopping windows that a pane lies in, latest first."""
    start = floor(pane, window.every_us, window.origin_us)
    while start + window.size_us > pane:
        yield start, start + window.size_us
        start -= window.every_us


def windows_between(window: Window, lower: int, upper: int) -> Iterator[tuple[int, int]]:
    """The tumbling, hopping or calendar windows that start in [lower, upper)."""
    if window.kind == "calendar":
        start, end = unit_of(window, lower)
    else:
        start = floor(lower, window.every_us, window.origin_us)
        end = start + window.size_us
    while start < upper:
        if start >= lower:
            yield start, end
        start, end = (
            unit_of(window, end) if window.kind == "calendar" else (start + window.every_us, end + window.every_us)
        )


def unit_of(window: Window, t: int) -> tuple[int, int]:
    """The calendar window that an instant lies in."""
    assert window.unit is not None
    local = (_EPOCH + timedelta(seconds=t // _SECOND_US)).astimezone(ZoneInfo(window.zone)).date()
    first = first_day(local - timedelta(days=1), window.unit)
    # Clocks that were put back show a date again: the instant belongs to the day that had begun, whatever they show.
    while (end := day_start(next_day(first, window.unit), window.zone)) <= t:
        first = next_day(first, window.unit)
    return day_start(first, window.zone), end


def first_day(day: date, unit: Unit) -> date:
    """The first day of the unit that a day lies in."""
    match unit:
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "year":
            return day.replace(month=1, day=1)
    return day


def next_day(first: date, unit: Unit) -> date:
    """The first day of the next unit."""
    days = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}[unit]
    return first_day(first + timedelta(days=days), unit)


@lru_cache(maxsize=4096)
def day_start(day: date, zone: str) -> int:
    """The first instant, in µs, whose local date is ``day``; of a day that a zone left out, the next one's."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)

    def begun(seconds: int) -> bool:
        return (midnight + timedelta(seconds=seconds)).astimezone(ZoneInfo(zone)).date() >= day

    quarter = next(s for s in range(-26 * 3600, 50 * 3600, 900) if begun(s))
    second = next(s for s in range(quarter - 900, quarter + 1) if begun(s))
    return (midnight - _EPOCH) // timedelta(microseconds=1) + second * _SECOND_US
