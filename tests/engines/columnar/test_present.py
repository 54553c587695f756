"""Rows against their definitions, and the laws of reading, over generated records."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction
from math import isqrt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import watersmeet as wm
from tests.engines.columnar.naive import MINUTE, World, at, dicts, read, us
from watersmeet.core.engine import Filter, Order, Selection
from watersmeet.core.errors import RequestError
from watersmeet.core.view import View
from watersmeet.core.window import Window

pytestmark = pytest.mark.unit

Row = dict[str, Any]
TOPIC = wm.Topic(
    "t",
    schema={
        "k": "integer",
        "user": "varchar",
        "x": "decimal(9,3)",
        "y": "bigint",
        "d": "double",
        "at_ms": "timestamp_ms",
    },
)
LAGS = {
    "change": "ratio(60 * (m - lag(m) over w), date_diff('minute', lag(window_start) over w, window_start), 4)",
    "second": "change - lag(change, 2) over w",
    "share": "pct(positive, n, 1)",
}
MEASURES = {
    "n": wm.count(),
    "positive": wm.count(where="y > 0"),
    "m": wm.mean("x"),
    "users": wm.distinct("user"),
    "late": wm.last("x"),
}
MORE = MEASURES | {"spread": wm.stddev("y", digits=3), "favourites": wm.top("user", 2)}
"""With those that take a statement more."""
RECORDS = st.lists(
    st.fixed_dictionaries(
        {
            "k": st.sampled_from([1, 2, None]),
            "user": st.sampled_from(["a", "b", "c", None]),
            "x": st.none() | st.decimals(-99999, 99999, places=3),
            "y": st.none() | st.integers(-9, 9),
            "d": st.none() | st.floats(-1e6, 1e6),
            "event_time": st.integers(-90, 90).map(lambda n: n * MINUTE // 3),
        }
    ),
    max_size=25,
)
WINDOWS = st.sampled_from(
    [
        wm.tumbling("5m"),
        wm.tumbling("2m", origin=MINUTE),
        wm.hopping("6m", "2m"),
        wm.hopping("5m", "3m"),
        wm.session("4m"),
        wm.running("3m"),
        wm.calendar("day", "Asia/Kathmandu"),
    ]
)
TIMES = st.integers(-100, 100).map(lambda n: n * MINUTE // 3)


def view(window: Window | None, **more: Any) -> View:
    given = {"dimensions": ["k"], "measures": MEASURES, "lookback": "20m", **more}
    return View("v", topic=TOPIC, window=window, **given)


def rows(view: View, found: list[Row], *, pieces: int = 2, **selection: Any) -> list[Row]:
    return dicts(read(view, found, Selection(**selection), pieces))


# Measures


def half_away(value: Fraction, digits: int) -> Decimal:
    scaled = abs(value) * 10**digits
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(f"{-whole if value < 0 else whole}E-{digits}")


def mean(values: list[Any], digits: int) -> Decimal | None:
    return half_away(sum(map(Fraction, values), Fraction(0)) / len(values), digits) if values else None


def variance(values: list[Any]) -> Fraction | None:
    if len(values) < 2:
        return None
    middle = sum(map(Fraction, values), Fraction(0)) / len(values)
    return sum(((Fraction(v) - middle) ** 2 for v in values), Fraction(0)) / (len(values) - 1)


def root(value: Fraction | None, digits: int) -> Decimal | None:
    if value is None:
        return None
    scaled = value * 10 ** (2 * digits)
    floor = isqrt(scaled.numerator // scaled.denominator)
    return Decimal(f"{floor + (Fraction(2 * floor + 1, 2) ** 2 <= scaled)}E-{digits}")


def quantised(values: list[float]) -> list[Fraction]:
    return [Fraction(round(value * 1e9), 10**9) for value in values]


def ranked(values: list[Any], limit: int) -> list[Row] | None:
    counts = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return [{"value": value, "count": count} for value, count in counts[:limit]] or None


@given(RECORDS)
@settings(max_examples=25)
def test_each_measure_is_what_its_definition_says(found: list[Row]) -> None:
    measures = {
        "n": wm.count(),
        "n_where": wm.count(where="y > 0"),
        "sum_x": wm.sum("x"),
        "sum_y": wm.sum("y", where="x > 0"),
        "sum_d": wm.sum("d"),
        "mean_x": wm.mean("x"),
        "mean_y": wm.mean("y", digits=0),
        "mean_d": wm.mean("d", digits=2),
        "variance_y": wm.variance("y"),
        "stddev_x": wm.stddev("x", digits=5),
        "least": wm.min("x"),
        "greatest": wm.max("user"),
        "first": wm.first("user"),
        "last": wm.last("user", nulls=True),
        "users": wm.distinct("user"),
        "ys": wm.distinct("y", exact=True),
        "favourites": wm.top("user", 2),
    }
    groups: dict[Any, list[Row]] = defaultdict(list)
    for record in found:
        groups[at(record["event_time"] // (5 * MINUTE) * 5 * MINUTE), record["k"]].append(record)
    shown = rows(view(wm.tumbling("5m"), measures=measures), found, pieces=3)
    assert [(row["window_start"], row["k"]) for row in shown] == sorted(
        groups, key=lambda g: (g[0], g[1] is None, g[1])
    )
    for row in shown:
        group = groups[row["window_start"], row["k"]]
        x, y, d, user = ([r[c] for r in group if r[c] is not None] for c in ("x", "y", "d", "user"))
        in_order = sorted(group, key=lambda r: r["event_time"])
        named = [r["user"] for r in in_order if r["user"] is not None]
        assert row == {
            "window_start": row["window_start"],
            "window_end": at(us(row["window_start"]) + 5 * MINUTE),
            "k": row["k"],
            "n": len(group),
            "n_where": len([v for v in y if v > 0]),
            "sum_x": sum(x) if x else None,
            "sum_y": next(
                iter([sum(p)] if (p := [r["y"] for r in group if r["y"] is not None and (r["x"] or 0) > 0]) else []),
                None,
            ),
            "sum_d": half_away(sum(quantised(d), Fraction(0)), 9) if d else None,
            "mean_x": mean(x, 7),
            "mean_y": mean(y, 0),
            "mean_d": mean(quantised(d), 2),
            "variance_y": None if (v := variance(y)) is None else half_away(v, 4),
            "stddev_x": root(variance(x), 5),
            "least": min(x, default=None),
            "greatest": max(user, default=None),
            "first": named[0] if named else None,
            "last": in_order[-1]["user"],
            "users": len(set(user)),
            "ys": len(set(y)),
            "favourites": ranked(user, 2),
        }


def record(minute: float, **more: Any) -> Row:
    return {"k": 1, "user": None, "x": None, "y": None, "d": None, "event_time": int(minute * MINUTE), **more}


def test_over_nothing_a_measure_is_null_and_a_count_is_nought() -> None:
    [row] = rows(
        view(None, lookback=None, measures={**MORE, "s": wm.sum("y"), "e": wm.distinct("y", exact=True)}),
        [record(0)],
    )
    assert {name: row[name] for name in ("m", "s", "late", "spread", "favourites")} == dict.fromkeys(
        ("m", "s", "late", "spread", "favourites")
    )
    assert (row["n"], row["positive"], row["users"], row["e"]) == (1, 0, 0, 0)


def test_a_view_over_nothing_has_no_row_and_all_its_columns() -> None:
    for dimensions in (["k"], []):
        empty = view(None, dimensions=dimensions, lookback=None)
        answer = read(empty, [], Selection())
        assert dicts(answer) == []
        assert tuple(answer.rows.schema.names) == empty.columns  # type: ignore[attr-defined]  # it is an Arrow table


def test_a_mean_of_more_than_38_digits_is_null() -> None:
    wide = view(None, lookback=None, measures={"m": wm.mean("y::decimal(38,0) * 1000000000000", digits=18)})
    assert [row["m"] for row in rows(wide, [record(0, y=9 * 10**9)])] == [None]


def test_a_distinct_beyond_its_size_is_an_estimate_and_says_so() -> None:
    found = [record(0, user=f"u{i}") for i in range(50)]
    answer = read(view(None, lookback=None, measures={"users": wm.distinct("user", size=16)}), found, Selection(), 4)
    hashes = sorted(int.from_bytes(hashlib.md5(f"u{i}".encode()).digest()[8:], "little") for i in range(50))
    assert [row["users"] for row in dicts(answer)] == [int(Fraction(15 << 64, hashes[15]) + Fraction(1, 2))]
    assert answer.errors == {"users": pytest.approx(14**-0.5)}


def test_only_rows_in_the_answer_count_as_estimates() -> None:
    found = [record(0, user=f"u{i}") for i in range(50)] + [record(9, user="u1")]
    sized = view(wm.tumbling("5m"), measures={"users": wm.distinct("user", size=16)})
    assert read(sized, found, Selection(5 * MINUTE, None)).errors == {}
    assert set(read(sized, found, Selection(None, 5 * MINUTE)).errors) == {"users"}


# Derived columns


def test_a_derived_column_that_fails_or_is_not_finite_is_null() -> None:
    derive = {
        "zero": "n % (n - n)",
        "over": "9223372036854775807 + n",
        "nan": "sqrt((n - 2)::double)",
        "infinite": "n / 0::double",
        "finite": "-0.0::double * n",
    }
    [row] = rows(view(None, lookback=None, derive=derive), [record(0)])
    assert {name: row[name] for name in derive} == dict.fromkeys(derive) | {"finite": 0.0}
    assert str(row["finite"]) == "0.0"


def test_a_lag_finds_the_row_before_if_it_starts_within_the_lookback() -> None:
    # windows of 5m   0 . . . 20 . 30        lookback 20m: 20 sees 0, 30 sees 20; 55 sees nothing
    found = [record(m, y=m) for m in (0, 20, 30, 55)]
    lagged = view(
        wm.tumbling("5m"), measures={"y": wm.last("y")}, derive={"before": "lag(y) over w", "two": "lag(y, 2) over w"}
    )
    assert [(row["before"], row["two"]) for row in rows(lagged, found)] == [
        (None, None),
        (0, None),
        (20, None),
        (None, None),
    ]


# Laws of reading


@given(WINDOWS, RECORDS, TIMES, TIMES, st.booleans(), st.booleans())
@settings(max_examples=30)
def test_a_read_of_a_range_is_what_it_is_in_a_read_of_everything(
    window: Window, found: list[Row], lower: int, upper: int, more: bool, upto: bool
) -> None:
    rule = "n > 1 or change is null" if more else None
    lagged = view(window, derive=LAGS, having=rule, measures=MORE if more else MEASURES)
    newest = max((r["event_time"] for r in found), default=None) if upto else None
    world = World(lagged, found, 2)
    everything = world.rows(upto_us=newest)
    for bounds in ((lower, upper), (lower, None), (None, upper)):
        low, high = (None if bound is None else at(bound) for bound in bounds)
        wanted = [
            row
            for row in everything
            if (low is None or row["window_start"] >= low) and (high is None or row["window_start"] < high)
        ]
        assert world.rows(lower_us=bounds[0], upper_us=bounds[1], upto_us=newest) == wanted


@given(WINDOWS, RECORDS, st.integers(0, 30))
@settings(max_examples=20)
def test_where_and_limit_choose_among_the_rows_and_change_none(window: Window, found: list[Row], limit: int) -> None:
    world = World(view(window, derive=LAGS), found, 2)
    everything = world.rows()
    most = sorted(everything, key=lambda row: -row["n"])
    assert world.rows(where=(Filter("n", ">", 1),)) == [row for row in everything if row["n"] > 1]
    assert world.rows(where=(Filter("k", "=", 1),)) == [row for row in everything if row["k"] == 1]
    assert world.rows(where=(Filter("k", "is_null"), Filter("share", ">=", "0.5"))) == [
        row for row in everything if row["k"] is None and row["share"] >= Decimal("0.5")
    ]
    assert world.rows(order=(Order("n", True),), limit=limit) == most[:limit]
    ones = [row for row in most if row["k"] == 1]
    assert world.rows(where=(Filter("k", "=", 1),), order=(Order("n", True),), limit=limit) == ones[:limit]


@given(WINDOWS, RECORDS)
@settings(max_examples=10)
def test_pages_put_together_are_the_whole(window: Window, found: list[Row]) -> None:
    world = World(view(window, derive=LAGS), found, 2)
    pages: list[Row] = []
    while True:
        after = tuple(pages[-1][column] for column in world.view.key) if pages else ()
        page = world.rows(after=after, limit=3)
        pages += page
        if len(page) < 3:
            break
    assert pages == world.rows()


@given(RECORDS, st.sampled_from([("k",), ()]))
@settings(max_examples=8)
def test_another_reading_of_the_same_cells_is_the_view_declared_so(found: list[Row], by: tuple[str, ...]) -> None:
    panes = World(view(wm.tumbling("1m"), dimensions=["k", "user"], derive=LAGS, measures=MORE), found, 2)
    for window in (wm.tumbling("5m"), wm.hopping("6m", "2m"), wm.running("3m"), None):
        derive = LAGS if window else {"share": LAGS["share"]}
        declared = view(window, dimensions=by, derive=derive, measures=MORE)
        assert panes.rows(panes.view.at(window, by=by)) == rows(declared, found)


@pytest.mark.parametrize(
    "rule",
    [
        Filter("n", "<", 10**30),
        Filter("n", ">", Decimal("1e-30")),
        Filter("n", "in", [1, 3]),
        Filter("m", "is_null"),
        Filter("window_start", ">=", 11 * MINUTE),
        Filter("users", "=", "0"),
    ],
)
@pytest.mark.parametrize(
    "asked", [{}, {"lower_us": 5 * MINUTE}, {"lower_us": 0, "upper_us": 20 * MINUTE, "fill": True}]
)
def test_a_point_read_gives_the_rows_that_are_in_a_read_of_everything(rule: Filter, asked: Row) -> None:
    world = World(view(wm.tumbling("5m"), derive=LAGS), [record(0), record(11), record(15, k=2), record(26)], 2)
    one = Filter("k", "=", 1)
    assert world.rows(where=(one, rule), **asked) == [
        row for row in world.rows(where=(rule,), **asked) if row["k"] == 1
    ]


# Fill


def test_fill_gives_empty_windows_of_the_range_a_row() -> None:
    # 0    5    10   15   20   25       asked for [5, 20)
    # |k=1 |    |k=1 |k=2 |    |k=1
    found = [record(0), record(11), record(15, k=2), record(26)]
    filled = view(wm.tumbling("5m"), derive={"before": "lag(n) over w", "plus": "n + 1"})
    shown = rows(filled, found, lower_us=5 * MINUTE, upper_us=20 * MINUTE, fill=True)
    assert [(us(r["window_start"]) // MINUTE, us(r["window_end"]) // MINUTE, r["k"], r["n"]) for r in shown] == [
        (5, 10, 1, 0),
        (5, 10, 2, 0),
        (10, 15, 1, 1),
        (10, 15, 2, 0),
        (15, 20, 1, 0),
        (15, 20, 2, 1),
    ]
    assert [(r["before"], r["plus"], r["users"], r["m"]) for r in shown[:3]] == [
        (None, None, 0, None),
        (None, None, 0, None),
        (1, 2, 0, None),
    ]


def test_fill_without_dimensions_fills_even_nothing() -> None:
    counted = view(wm.hopping("4m", "2m"), dimensions=[])
    shown = rows(counted, [], lower_us=MINUTE, upper_us=6 * MINUTE, fill=True)
    assert [(us(r["window_start"]) // MINUTE, us(r["window_end"]) // MINUTE, r["n"]) for r in shown] == [
        (2, 6, 0),
        (4, 8, 0),
    ]


def test_a_filled_row_is_a_row_to_having_and_to_where() -> None:
    found = [record(0), record(10)]
    asked = {"lower_us": 0, "upper_us": 15 * MINUTE, "fill": True}
    assert [r["n"] for r in rows(view(wm.tumbling("5m"), having="n > 0"), found, **asked)] == [1, 1]
    assert [r["n"] for r in rows(view(wm.tumbling("5m")), found, where=(Filter("n", "=", 0),), **asked)] == [0]


def test_fill_knows_the_days_of_a_zone() -> None:
    day = 24 * 60 * MINUTE
    daily = view(wm.calendar("day", "Europe/Berlin"), dimensions=[])
    shown = rows(daily, [record(0)], lower_us=-day, upper_us=2 * day, fill=True)
    assert [us(r["window_start"]) // MINUTE for r in shown] == [-60, 1380, 2820]
    assert [r["n"] for r in shown] == [1, 0, 0]


@pytest.mark.parametrize(
    ("window", "asked", "message"),
    [
        (wm.session("1m"), {"lower_us": 0, "upper_us": 1}, "tumbling, hopping or calendar"),
        (None, {}, "tumbling, hopping or calendar"),
        (wm.tumbling("1m"), {"lower_us": 0}, "both bounds"),
        (wm.tumbling("1ms"), {"lower_us": 0, "upper_us": 200_000_000}, "at most 100000 windows"),
    ],
)
def test_fill_is_refused_where_windows_are_not_given(window: Window | None, asked: Row, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        rows(view(window, lookback=None), [], fill=True, **asked)


def test_all_time_has_no_range() -> None:
    with pytest.raises(RequestError, match="the rows have no time"):
        rows(view(None, lookback=None), [], lower_us=0)
