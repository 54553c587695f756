"""Local days, weeks, months, quarters and years as stretches of time.

A day starts at the first instant whose local date is that day. So a day on which clocks are put forward at midnight
starts at one o'clock, a day that a zone skipped has no length, and where clocks are put back over midnight the day
starts at the first of its two midnights.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from ...core.window import Unit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LEAST_US, GREATEST_US = ((datetime(year, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND for year in (3, 9998))


@lru_cache(maxsize=65536)
def bounds(unit: Unit, zone: str, at_us: int) -> tuple[int, int]:
    """Start and end of the ``unit`` that holds an instant, in µs since 1970-01-01Z, half open.

    Python's calendar ends near the years 1 and 9999: an instant before `LEAST_US`, the start of year 3, or after
    `GREATEST_US`, the start of year 9998, is taken for that.
    """
    at_us = min(max(at_us, LEAST_US), GREATEST_US)
    local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(zone)).date()
    first = _first(unit, local)
    while day_start(_after(unit, first), zone) <= at_us:  # at_us stands in the second of two equal local days
        first = _after(unit, first)
    return day_start(first, zone), day_start(_after(unit, first), zone)


@lru_cache(maxsize=65536)
def day_start(day: date, zone: str) -> int:
    """The first instant whose local date is ``day``, or of the next day that there is, in µs since 1970-01-01Z."""
    clock = ZoneInfo(zone)
    midnight = datetime(day.year, day.month, day.day, tzinfo=clock).astimezone(UTC)
    if midnight.astimezone(clock).replace(tzinfo=None) == datetime(day.year, day.month, day.day):  # noqa: DTZ001 - local
        return (midnight - _EPOCH) // _MICROSECOND
    # No clock ever showed this midnight: the day starts when they were put forward, at a whole second near it.
    before, after = midnight - timedelta(days=2), midnight + timedelta(days=2)
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(clock).date() >= day:
            after = middle
        else:
            before = middle
    return (after - _EPOCH) // _MICROSECOND


def _first(unit: Unit, day: date) -> date:
    match unit:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
    return date(day.year, 1, 1)


def _after(unit: Unit, first: date) -> date:
    match unit:
        case "day":
            return first + timedelta(days=1)
        case "week":
            return first + timedelta(days=7)
    months = {"month": 1, "quarter": 3, "year": 12}[unit]
    years, month = divmod(first.month - 1 + months, 12)
    return date(first.year + years, month + 1, 1)
