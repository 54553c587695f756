"""Lengths of time in SQL: what adding them can amount to, against what DuckDB makes of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import duckdb
import pytest
import sqlglot

from watersmeet.core.sql.interval import DAY_US, span_of, unit_us

pytestmark = pytest.mark.unit

HOUR_US = DAY_US // 24
LEAP, ORDINARY = datetime(2024, 1, 31), datetime(2023, 3, 1, 12, 30)


def read(text: str) -> tuple[int, int] | None:
    return span_of(sqlglot.parse_one(f"select {text}", read="duckdb").expressions[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval '5 minutes'", (300_000_000, 300_000_000)),
        ("interval 5 minute", (300_000_000, 300_000_000)),
        ("interval (5) minutes", (300_000_000, 300_000_000)),
        ("(interval '-5' minutes)", (-300_000_000, -300_000_000)),
        ("-interval '5 minutes'", (-300_000_000, -300_000_000)),
        ("'90 seconds'::interval", (90_000_000, 90_000_000)),
        ("interval '1 hour 30 minutes'", (3 * HOUR_US // 2, 3 * HOUR_US // 2)),
        ("interval '01:30:00'", (3 * HOUR_US // 2, 3 * HOUR_US // 2)),
        ("interval '2 weeks'", (14 * DAY_US, 14 * DAY_US)),
        ("interval '250 milliseconds'", (250_000, 250_000)),
        ("interval '7 microseconds'", (7, 7)),
        ("interval 1 month", (28 * DAY_US, 31 * DAY_US)),
        ("-interval 1 month", (-31 * DAY_US, -28 * DAY_US)),
        ("interval '1 quarter'", (84 * DAY_US, 93 * DAY_US)),
        ("interval '1 month 2 days'", (30 * DAY_US, 33 * DAY_US)),
        ("interval 2 centuries", (2 * 1200 * 28 * DAY_US, 2 * 1200 * 31 * DAY_US)),
    ],
)
def test_a_constant_interval_has_a_least_and_a_greatest_length(text: str, expected: tuple[int, int]) -> None:
    assert read(text) == expected
    for start in (LEAP, ORDINARY):
        [(end,)] = duckdb.execute(f"select timestamp '{start}' + {text}").fetchall()
        assert expected[0] <= (end - start) // timedelta(microseconds=1) <= expected[1]


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "'5 minutes'",
        "interval '1.5 hours'",
        "interval 1.5 hour",
        "interval (n) minutes",
        "to_minutes(5)",
        "n::interval",
        "interval 'soon'",
    ],
)
def test_anything_else_is_not_understood(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "unit", ["MICROSECOND", "SECOND", "minutes", "hour", "DAY", "week", "month", "quarter", "year", "decade", "century"]
)
def test_no_time_is_truncated_by_more_than_its_unit(unit: str) -> None:
    most = unit_us(unit)
    assert most is not None
    times = [f"timestamp '{year}-12-31 23:59:59.999999'" for year in (1960, 1969, 2023, 2024, 2099)]
    for time in times:
        [(lost,)] = duckdb.execute(f"select epoch_us({time}) - epoch_us(date_trunc('{unit}', {time}))").fetchall()
        assert 0 <= lost < most


def test_an_unknown_unit_is_not_understood() -> None:
    assert unit_us("FORTNIGHT") is None
