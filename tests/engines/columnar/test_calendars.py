from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watersmeet.core.window import Unit
from watersmeet.engines.columnar.calendars import bounds, day_start

pytestmark = pytest.mark.unit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "year")
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu", "America/Toronto"]
)


def us(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("UTC", date(2024, 2, 29), "2024-02-29T00:00"),
        ("Europe/Berlin", date(2024, 3, 31), "2024-03-30T23:00"),
        ("America/Sao_Paulo", date(2018, 11, 4), "2018-11-04T03:00"),  # midnight was put forward to one o'clock
        ("America/Sao_Paulo", date(2018, 2, 18), "2018-02-18T03:00"),  # at midnight clocks were put back to eleven
        (
            "America/Toronto",
            date(1919, 3, 31),
            "1919-03-31T04:30",
        ),  # half past eleven was put forward to half past twelve
        ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00"),  # the day that Samoa left out has no length
        ("Pacific/Apia", date(2011, 12, 31), "2011-12-30T10:00"),
    ],
)
def test_a_day_starts_at_the_first_instant_of_its_date(zone: str, day: date, start: str) -> None:
    assert day_start(day, zone) == us(start)


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        ("day", "2024-05-15T00:00", "2024-05-16T00:00"),
        ("week", "2024-05-13T00:00", "2024-05-20T00:00"),
        ("month", "2024-05-01T00:00", "2024-06-01T00:00"),
        ("quarter", "2024-04-01T00:00", "2024-07-01T00:00"),
        ("year", "2024-01-01T00:00", "2025-01-01T00:00"),
    ],
)
def test_units_are_whole_days(unit: Unit, start: str, end: str) -> None:
    assert bounds(unit, "UTC", us("2024-05-15T12:34")) == (us(start), us(end))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Apia", "America/Sao_Paulo"])
def test_instants_at_the_ends_of_the_calendar_have_a_unit_too(unit: Unit, zone: str) -> None:
    assert bounds(unit, zone, us("0001-01-01")) == bounds(unit, zone, us("0003-01-01"))
    assert bounds(unit, zone, us("9999-12-31T23:59")) == bounds(unit, zone, us("9998-01-01"))


@given(st.sampled_from(UNITS), ZONES, st.integers(us("1900-01-01"), us("2100-01-01")))
@settings(max_examples=200)
def test_units_tile_the_time_axis(unit: Unit, zone: str, at_us: int) -> None:
    start, end = bounds(unit, zone, at_us)
    assert start <= at_us < end
    assert bounds(unit, zone, start) == bounds(unit, zone, end - 1) == (start, end)
    assert bounds(unit, zone, end)[0] == end


@given(ZONES, st.integers(us("1900-01-01"), us("2100-01-01")))
@settings(max_examples=200)
def test_the_clock_of_a_zone_shows_the_date_of_a_day_s_start(zone: str, at_us: int) -> None:
    start, _ = bounds("day", zone, at_us)
    clock = ZoneInfo(zone)
    first = (EPOCH + timedelta(microseconds=start)).astimezone(clock)
    assert (first - timedelta(microseconds=1)).astimezone(UTC).astimezone(clock).date() <= first.date()
    assert day_start(first.date(), zone) == start
