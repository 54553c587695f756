"""Windows tile: every instant lies in exactly the windows that its family promises, before 1970 too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pytest
from hypothesis import given

import watersmeet as wm
from watersmeet.core.window import Unit, Window, composes
from watersmeet.engines import reference
from watersmeet.engines.reference.window import fixed_windows, pane_of, unit_of

from .worlds import SECOND, cases

pytestmark = pytest.mark.unit

DAY = 86_400 * SECOND
INSTANTS = st.integers(-40 * 365 * DAY, 80 * 365 * DAY) | st.integers(-30, 30) | st.sampled_from([-DAY, 0, DAY, -1, 1])
SIZES = st.sampled_from(["1s", "7s", "5m", "90m", "1d", "1w"])
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "America/Sao_Paulo",
    "Asia/Beirut",
]
UNITS: list[Unit] = ["day", "week", "month", "quarter", "year"]
UNIT_WINDOWS = st.builds(wm.calendar, st.sampled_from(UNITS), st.sampled_from(ZONES))


def us(text: str) -> int:
    """µs of an ISO time; UTC where it names no zone."""
    at = datetime.fromisoformat(text)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@cases(100, 5000)
@given(INSTANTS, SIZES, st.integers(-(10**12), 10**12))
def test_an_instant_lies_in_one_tumbling_window(t: int, size: str, origin: int) -> None:
    """[───)[───)[───) from the origin on, in both directions."""
    window = wm.tumbling(size, origin=origin)
    [(start, end)] = fixed_windows(window, pane_of(window, t))
    assert start <= t < end == start + window.size_us
    assert (start - origin) % window.size_us == 0


@cases(100, 5000)
@given(INSTANTS, st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**7))
def test_an_instant_lies_in_each_hopping_window_that_holds_it(t: int, size: int, every: int, origin: int) -> None:
    """
    [─────────)          size 3, every 2: an instant lies in one or two of them,
        [──x──────)      the x in both
            [─────────)
    """
    window = wm.hopping(f"{max(size, every)}s", f"{min(size, every)}s", origin=origin)
    found = sorted(fixed_windows(window, pane_of(window, t)))
    near = range(-(window.size_us // window.every_us) - 2, 3)
    base = (t - origin) // window.every_us * window.every_us + origin
    starts = [base + k * window.every_us for k in near]
    assert found == [(s, s + window.size_us) for s in starts if s <= t < s + window.size_us]


@cases(80, 3000)
@given(INSTANTS, UNIT_WINDOWS)
def test_calendar_windows_tile(t: int, window: Window) -> None:
    start, end = unit_of(window, t)
    assert start <= t < end
    assert unit_of(window, start) == (start, end)
    assert unit_of(window, end - 1) == (start, end)
    assert unit_of(window, end)[0] == end
    assert unit_of(window, start - 1)[1] == start


@cases(50, 2000)
@given(INSTANTS, st.sampled_from(ZONES))
def test_a_day_starts_at_the_first_instant_that_shows_its_date(t: int, zone: str) -> None:
    start, end = unit_of(wm.calendar("day", zone), t)

    def date_at(us: int) -> object:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).astimezone(ZoneInfo(zone)).date()

    assert date_at(start - SECOND) != date_at(start)
    assert all(date_at(start - hours * 3600 * SECOND) != date_at(start) for hours in range(1, 30))
    assert date_at(end) != date_at(start)


@cases(80, 3000)
@given(INSTANTS, UNIT_WINDOWS, st.sampled_from(UNITS))
def test_coarser_units_are_made_of_whole_finer_ones(t: int, fine: Window, unit: Unit) -> None:
    coarse = wm.calendar(unit, fine.zone)
    if composes(coarse, fine):
        (a, b), (start, end) = unit_of(fine, t), unit_of(coarse, t)
        assert start <= a
        assert b <= end


@pytest.mark.parametrize(
    ("zone", "day", "start", "hours"),
    [
        ("Europe/Berlin", "2024-03-31T12:00", "2024-03-30T23:00", 23),
        ("Europe/Berlin", "2024-10-27T12:00", "2024-10-26T22:00", 25),
        ("America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T03:00", 23),
        ("Asia/Beirut", "2022-03-27T12:00", "2022-03-26T22:00", 23),
        ("Pacific/Apia", "2011-12-31T00:00", "2011-12-30T10:00", 24),
        ("Pacific/Apia", "2011-12-30T09:59", "2011-12-29T10:00", 24),
    ],
)
def test_days_whose_clocks_change_have_their_own_length(zone: str, day: str, start: str, hours: int) -> None:
    assert unit_of(wm.calendar("day", zone), us(day)) == (us(start), us(start) + hours * 3600 * SECOND)


def test_where_midnight_comes_twice_the_day_starts_at_the_first() -> None:
    """
    Santiago, 2022-04-02/03: clocks go back from 24:00 to 23:00.

    local   … 23:00 ── 23:59 │ 23:00 ── 23:59 │ 00:00 …      the second 23 h is still the 2nd
    """
    saturday = unit_of(wm.calendar("day", "America/Santiago"), us("2022-04-03T03:30"))
    assert saturday == (us("2022-04-02T03:00"), us("2022-04-03T04:00"))


def topic() -> wm.Topic:
    """A topic of times alone."""
    return wm.Topic("times", schema={"at": "timestamp not null", "k": "varchar"}, event_time="at")


def logged(*times: str, key: str = "a") -> list[dict[str, object]]:
    """Records at the given times of one day, by minute and second."""
    late = us("2024-01-02T00:00")
    payloads = [f'{{"at": "2024-01-01T{time}Z", "k": "{key}"}}'.encode() for time in times]
    return [{"partition": 0, "offset": i, "arrival": late, "value": value} for i, value in enumerate(payloads)]


def windows(view: wm.View, *times: str) -> list[tuple[str, str, int]]:
    """(start, end, count) of a view over records at the given times, as hh:mm:ss."""
    found = reference.answer(view, logged(*times))

    def clock(us: int) -> str:
        return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).strftime("%H:%M:%S")

    return [(clock(row["window_start"]), clock(row["window_end"]), row["n"]) for row in found]


def test_a_session_lasts_as_long_as_events_come_nearer_than_the_gap() -> None:
    """
    00:00   00:04  00:08           00:13        gap 5 s
    [─x───────x──────x──────)      [x──────)    13 − 8 = 5 s is not nearer than the gap
                        00:13           00:18
    """
    view = wm.View("s", topic=topic(), window=wm.session("5s"), measures={"n": wm.count()})
    found = windows(view, "00:00:13", "00:00:04", "00:00:00", "00:00:08")
    assert found == [("00:00:00", "00:00:13", 3), ("00:00:13", "00:00:18", 1)]


def test_a_running_window_has_a_row_at_each_boundary_up_to_the_newest_event() -> None:
    """
    │   x x │       │     x │       boundaries every 10 s; an event at a boundary is after it
            2       2       3
    """
    view = wm.View("r", topic=topic(), window=wm.running("10s"), measures={"n": wm.count()})
    found = windows(view, "00:00:03", "00:00:05", "00:00:20")
    assert found == [
        ("00:00:00", "00:00:10", 2),
        ("00:00:10", "00:00:20", 2),
        ("00:00:20", "00:00:30", 3),
    ]


def test_a_silence_longer_than_expire_cuts_a_running_history() -> None:
    """
    │ x     │       │       │     x │     expire 10 s: panes 0 and 10 s apart keep, 30 s apart cut
            1       1       –       1
    """
    view = wm.View("r", topic=topic(), window=wm.running("10s"), measures={"n": wm.count()}, expire="10s")
    found = windows(view, "00:00:03", "00:00:35")
    assert found == [("00:00:00", "00:00:10", 1), ("00:00:10", "00:00:20", 1), ("00:00:30", "00:00:40", 1)]


def test_windows_count_from_their_origin() -> None:
    """
        2 s                12 s
    ────[──────────────────)[────      tumbling(10s, origin=2 s)
    """
    view = wm.View("t", topic=topic(), window=wm.tumbling("10s", origin=2 * SECOND), measures={"n": wm.count()})
    found = windows(view, "00:00:01", "00:00:02", "00:00:11", "00:00:12")
    assert found == [("23:59:52", "00:00:02", 1), ("00:00:02", "00:00:12", 2), ("00:00:12", "00:00:22", 1)]
