"""Measures are commutative monoids that equal their naive definition.

The laws alone do not make a measure right: keeping the largest instead of the smallest hashes passes every one of
them. So each measure is also computed the way a textbook says it, over the bare values, and must come out the same
however the records were split.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from functools import reduce
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

import watersmeet as wm
from watersmeet.core.measure import Measure
from watersmeet.engines import reference

from .worlds import cases

pytestmark = pytest.mark.unit

TOPIC = wm.Topic(
    "values",
    schema={
        "at": "timestamp_s not null",
        "x": "decimal(6,2)",
        "f": "double",
        "n": "integer",
        "s": "varchar",
        "b": "boolean",
        "d": "date",
        "w": "timestamp",
    },
    event_time="at",
)
K = 16

MEASURES: dict[str, Measure] = {
    "records": wm.count(),
    "large": wm.count(where="n > 2"),
    "sum_x": wm.sum("x"),
    "sum_f": wm.sum("f"),
    "sum_n": wm.sum("n", where="x >= 0"),
    "sum_f2": wm.sum("f", scale=2),
    "mean_x": wm.mean("x"),
    "mean_f": wm.mean("f", digits=3),
    "mean_n": wm.mean("n", digits=0),
    "variance_x": wm.variance("x"),
    "variance_n": wm.variance("n"),
    "stddev_x": wm.stddev("x", digits=2),
    "stddev_f": wm.stddev("f"),
    "min_x": wm.min("x"),
    "max_f": wm.max("f"),
    "min_s": wm.min("s"),
    "first_n": wm.first("n"),
    "last_n": wm.last("n"),
    "last_null": wm.last("n", nulls=True),
    "first_s": wm.first("s", where="n = 1"),
    "distinct_n": wm.distinct("n", size=K),
    "distinct_all": wm.distinct("s", exact=True),
    "top_s": wm.top("s", 2),
    "top_n": wm.top("n", 3, where="x > 0"),
}
VIEW = wm.View("all", topic=TOPIC, measures=MEASURES)

ROW = st.fixed_dictionaries(
    {
        "x": st.none()
        | st.integers(-300, 300).map(lambda cents: Decimal(cents).scaleb(-2))
        | st.just(Decimal("9999.99")),
        "f": st.none()
        | st.sampled_from([0.1, 0.2, -0.3, 5e-10, 1.5e-9, 2.5e-9, 1e15 / 3, 1e18, 1e19, -1e300, 0.0, 7.0]),
        "n": st.none() | st.integers(-2, 30) | st.sampled_from([2**31 - 1, -(2**31)]),
        "s": st.none() | st.sampled_from(["", "a", "b", "B", "ä", "Ω", "10", "9"]),
        "at": st.integers(-5, 5),
    }
)
ROWS = st.lists(ROW, max_size=40)

Row = dict[str, Any]


def laid_out(rows: Sequence[Row]) -> list[Row]:
    """Rows as a topic decodes them, at positions of two partitions."""
    fixed = {"b": None, "d": None, "w": None, "arrived_at": 0}
    return [
        {**fixed, **row, "at": row["at"] * 10**6, "event_time": row["at"] * 10**6, "partition": i % 2, "offset": i // 2}
        for i, row in enumerate(rows)
    ]


def cells(parts: Sequence[Sequence[Row]]) -> dict[str, reference.Cells]:
    """Each part lifted for itself, then merged."""
    return {
        spec.fingerprint: reference.merge(
            spec,
            *(reference.lift(spec, [x for found in reference.inputs(spec, part) for x in found]) for part in parts),
        )
        for spec in VIEW.specs
    }


def half_up(value: Fraction, digits: int) -> Decimal:
    """Rounded by `decimal`, from a quotient with a hundred digits."""
    with localcontext(prec=200):
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def quantised(value: float | Decimal | int, scale: int = 9) -> Fraction | None:
    """A double as the decimal that a sum takes it for: the nearest, to even on a tie; None if it is out of range."""
    if not isinstance(value, float):
        return Fraction(value)
    if not abs(value * 10.0**scale) < 1e28:
        return None
    product = Fraction(value * 10.0**scale)
    low = product.numerator // product.denominator
    rest = product - low
    return Fraction(low + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1)), 10**scale)


def numbers(rows: Sequence[Row], column: str, scale: int = 9) -> list[Fraction]:
    """The usable values of a column."""
    found = (quantised(row[column], scale) for row in rows if row[column] is not None)
    return [value for value in found if value is not None]


def variance(values: Sequence[Fraction]) -> Fraction | None:
    """By its definition: the mean squared distance from the mean."""
    if len(values) < 2:
        return None
    middle = sum(values, Fraction()) / len(values)
    return sum(((v - middle) ** 2 for v in values), Fraction()) / (len(values) - 1)


def deviation(values: Sequence[Fraction], digits: int) -> Decimal | None:
    """The decimal that is nearest to the root of the variance."""
    found = variance(values)
    if found is None:
        return None
    with localcontext(prec=120):
        root = (Decimal(found.numerator) / Decimal(found.denominator)).sqrt()
        return root.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def ordered(rows: Sequence[Row]) -> list[Row]:
    """By event time, partition, offset."""
    return sorted(rows, key=lambda row: (row["event_time"], row["partition"], row["offset"]))


def edge(rows: Sequence[Row], column: str, place: int, *, nulls: bool = False) -> Any:
    """The first (0) or last (-1) value."""
    found = [row[column] for row in ordered(rows) if nulls or row[column] is not None]
    return found[place] if found else None


def ranking(values: Sequence[Any], limit: int) -> tuple[dict[str, Any], ...] | None:
    """The most frequent values; over nothing None."""
    counted = sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))
    return tuple({"value": value, "count": n} for value, n in counted[:limit]) or None


def estimate(values: set[Any]) -> int:
    """From the K least of all hashes, taken at once."""
    if len(values) <= K:
        return len(values)
    hashes = sorted(int.from_bytes(hashlib.md5(str(v).encode()).digest()[8:], "little") for v in values)
    return int(half_up(Fraction((K - 1) * 2**64, hashes[K - 1]), 0))


def total(values: Sequence[Fraction], digits: int) -> Decimal | None:
    return half_up(sum(values, Fraction()), digits) if values else None


def average(values: Sequence[Fraction], digits: int) -> Decimal | None:
    return half_up(sum(values, Fraction()) / len(values), digits) if values else None


def spread(values: Sequence[Fraction], digits: int) -> Decimal | None:
    found = variance(values)
    return None if found is None else half_up(found, digits)


def non_null(rows: Sequence[Row], column: str) -> list[Any]:
    return [row[column] for row in rows if row[column] is not None]


NAIVE: dict[str, Callable[[Sequence[Row]], Any]] = {
    "records": len,
    "large": lambda rows: sum(row["n"] is not None and row["n"] > 2 for row in rows),
    "sum_x": lambda rows: total(numbers(rows, "x"), 2),
    "sum_f": lambda rows: total(numbers(rows, "f"), 9),
    "sum_n": lambda rows: total(numbers([r for r in rows if r["x"] is not None and r["x"] >= 0], "n"), 0),
    "sum_f2": lambda rows: total(numbers(rows, "f", 2), 2),
    "mean_x": lambda rows: average(numbers(rows, "x"), 6),
    "mean_f": lambda rows: average(numbers(rows, "f"), 3),
    "mean_n": lambda rows: average(numbers(rows, "n"), 0),
    "variance_x": lambda rows: spread(numbers(rows, "x"), 6),
    "variance_n": lambda rows: spread(numbers(rows, "n"), 4),
    "stddev_x": lambda rows: deviation(numbers(rows, "x"), 2),
    "stddev_f": lambda rows: deviation(numbers(rows, "f"), 13),
    "min_x": lambda rows: min(non_null(rows, "x"), default=None),
    "max_f": lambda rows: max(non_null(rows, "f"), default=None),
    "min_s": lambda rows: min(non_null(rows, "s"), key=lambda s: s.encode(), default=None),
    "first_n": lambda rows: edge(rows, "n", 0),
    "last_n": lambda rows: edge(rows, "n", -1),
    "last_null": lambda rows: edge(rows, "n", -1, nulls=True),
    "first_s": lambda rows: edge([r for r in rows if r["n"] == 1], "s", 0),
    "distinct_n": lambda rows: estimate(set(non_null(rows, "n"))),
    "distinct_all": lambda rows: len(set(non_null(rows, "s"))),
    "top_s": lambda rows: ranking(non_null(rows, "s"), 2),
    "top_n": lambda rows: ranking(non_null([r for r in rows if r["x"] is not None and r["x"] > 0], "n"), 3),
}


def test_every_measure_has_a_naive_definition() -> None:
    assert set(NAIVE) == set(MEASURES)
    kinds = {"count", "sum", "mean", "variance", "stddev", "min", "max", "first", "last", "distinct", "top"}
    assert {measure.kind for measure in MEASURES.values()} == kinds


@cases(80, 4000)
@given(ROWS, st.data())
def test_a_measure_equals_its_naive_definition_however_records_are_split(rows: list[Row], data: st.DataObject) -> None:
    laid = laid_out(rows)
    parts: list[list[Row]] = [[], [], []]
    for row in laid:
        parts[data.draw(st.integers(0, 2))].append(row)
    found = reference.rows(VIEW, cells(parts))
    if not laid:
        assert found == []
        return
    [shown] = found
    for name, naive in NAIVE.items():
        expected = naive(laid)
        if isinstance(expected, Decimal) and len(expected.as_tuple().digits) > 38:
            expected = None  # too wide for any decimal column
        assert shown[name] == expected, name


LIFTS = [lift for spec in VIEW.specs for lift in spec.lifts]


def partial(lift_index: int, rows: Sequence[Row]) -> reference.Partial:
    """The partial of some rows for one lift of the view's own cells."""
    spec = VIEW.cells
    given_rows = [x for found in reference.inputs(spec, rows) for x in found]
    units = [reference.unit(spec.lifts[lift_index], x, lift_index) for x in given_rows]
    lift = spec.lifts[lift_index]
    return reduce(lambda a, b: reference.add(lift, a, b), units, reference.zero(lift))


@cases(40, 1500)
@given(ROWS, st.data())
def test_each_lift_is_a_commutative_monoid(rows: list[Row], data: st.DataObject) -> None:
    laid = laid_out(rows)
    thirds = [laid[i::3] for i in range(3)]
    index = data.draw(st.integers(0, len(VIEW.cells.lifts) - 1))
    lift = VIEW.cells.lifts[index]
    a, b, c = (partial(index, part) for part in thirds)

    def plus(x: reference.Partial, y: reference.Partial) -> reference.Partial:
        return reference.add(lift, x, y)

    assert plus(a, b) == plus(b, a)
    assert plus(plus(a, b), c) == plus(a, plus(b, c))
    assert plus(a, reference.zero(lift)) == a
    assert plus(plus(a, b), c) == partial(index, laid), "merging equals lifting at once"


def test_measures_of_one_column_share_their_partials() -> None:
    """A mean, a sum and a variance of one column keep one sum between them; equal cells are the same cells."""
    pairs = {
        ("sum", "mean"): 1,
        ("sum", "variance"): 2,
        ("mean", "stddev"): 2,
        ("variance", "stddev"): 2,
        ("count", "sum"): 2,
        ("min", "max"): 2,
        ("first", "last"): 2,
    }
    made: dict[str, Measure] = {"count": wm.count()}
    for name in ("sum", "mean", "variance", "stddev", "min", "max", "first", "last"):
        made[name] = getattr(wm, name)("x")
    for (a, b), lifts in pairs.items():
        both = wm.View("v", topic=TOPIC, measures={"a": made[a], "b": made[b]})
        turned = wm.View("w", topic=TOPIC, measures={"b": made[b], "a": made[a]})
        assert len(both.cells.lifts) == lifts, (a, b)
        assert both.cells.fingerprint == turned.cells.fingerprint
        assert both.fingerprint != turned.fingerprint


def test_lifts_that_differ_in_anything_are_kept_apart() -> None:
    view = wm.View(
        "v",
        topic=TOPIC,
        measures={
            "a": wm.sum("f"),
            "b": wm.sum("f", scale=2),
            "c": wm.sum("f", where="n > 0"),
            "d": wm.last("n"),
            "e": wm.last("n", nulls=True),
            "f": wm.distinct("n", size=16),
            "g": wm.distinct("n", size=17),
        },
    )
    assert len(view.cells.lifts) == len(view.measures)


CANONICAL = [
    ("x", "12.5", "12.50"),
    ("x", "-0.0", "0.00"),
    ("n", "-7", "-7"),
    ("s", '"Ω"', "Ω"),
    ("b", "true", "true"),
    ("d", '"2024-02-29"', "2024-02-29"),
    ("w", '"2024-02-29T00:00:00.000001Z"', "1709164800000001"),
    ("f", "0.1", "0.1"),
    ("f", "-0.0", "0.0"),
    ("f", "1e300", "1e+300"),
    ("f", "3", "3.0"),
]


@pytest.mark.parametrize(("column", "token", "text"), CANONICAL)
def test_what_is_hashed_is_the_canonical_text(column: str, token: str, text: str) -> None:
    view = wm.View("v", topic=TOPIC, measures={"d": wm.distinct(column, size=16)})
    record = {"partition": 0, "offset": 0, "arrival": 0, "value": f'{{"at": 0, "{column}": {token}}}'.encode()}
    [decoded] = reference.decode(TOPIC, [record])
    [[given_row]] = reference.inputs(view.cells, [decoded.row])
    digest = hashlib.md5(text.encode()).digest()
    assert reference.unit(view.cells.lifts[0], given_row, 0) == ((int.from_bytes(digest[8:], "little"),), False)
