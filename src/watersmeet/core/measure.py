"""Measures: commutative monoids over records, and how they are shown.

A measure is presented from partial states (`Lift`s); cells store the partials and nothing else. A lift makes a partial
from records and merges partials; both are associative and commutative, with the empty set as zero, so
cells may be added in any order and grouping. No lift has an inverse: nothing is ever subtracted from a cell.

    lift       partial columns                                        from records -> merged
    count      n bigint                                               count, sum
    sum        s decimal(38,scale), n bigint (non-null inputs)        sum, sum
    squares    hi, lo decimal(38,0): Σx² = hi·2^94 + lo               sum, sum
    min, max   v                                                      least, greatest
    first      t timestamp, p int, o bigint, i int, v                 the value at the least (t, p, o, i)
    last       the same                                               the value at the greatest
    distinct   h ubigint[] sorted, cut boolean                        the K least hashes of the union
    values     v T[] sorted                                           the union

Equal lifts of one view are stored once: a mean and a sum of the same column share their partial.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .errors import DeclarationError
from .site import caller

LiftKind = Literal["count", "sum", "squares", "min", "max", "first", "last", "distinct", "values"]
MeasureKind = Literal["count", "sum", "mean", "variance", "stddev", "min", "max", "first", "last", "distinct", "top"]
PARTIALS: dict[LiftKind, tuple[str, ...]] = {
    "count": ("n",),
    "sum": ("s", "n"),
    "squares": ("hi", "lo"),
    "min": ("v",),
    "max": ("v",),
    "first": ("t", "p", "o", "i", "v"),
    "last": ("t", "p", "o", "i", "v"),
    "distinct": ("h", "cut"),
    "values": ("v",),
}
SKETCH_SIZE = 4096
FLOAT_SCALE = 9


@dataclass(frozen=True, slots=True, order=True)
class Lift:
    """What is stored of a measure.

    Args:
        kind: the monoid.
        expr: SQL scalar over the topic's columns; empty for count.
        where: only records for which this SQL condition is true; empty for all.
        size: K of ``distinct``; scale to which doubles are quantised for ``sum`` and ``squares``; else 0.
        nulls: ``first``/``last`` let a null win.
    """

    kind: LiftKind
    expr: str = ""
    where: str = ""
    size: int = 0
    nulls: bool = False


@dataclass(frozen=True, slots=True)
class Measure:
    """A declared measure: what is shown, and of which lifts.

    Args:
        kind: how it presents.
        lifts: the partials it reads, in the order its presentation wants them.
        digits: decimals of a mean, variance or stddev; None takes the scale of the input plus 4, at most 18.
        limit: how many values of a ``top`` are shown.
        expr: what a ``top`` ranks: the extra dimension of the cells it keeps.
    """

    kind: MeasureKind
    lifts: tuple[Lift, ...]
    digits: int | None = None
    limit: int = 0
    expr: str = ""


def count(*, where: str = "") -> Measure:
    """How many records. Over nothing: 0."""
    return Measure("count", (Lift("count", where=where),))


def sum(expr: str, *, where: str = "", scale: int = FLOAT_SCALE) -> Measure:
    """Sum, exact in fixed point; over nothing: null.

    Decimals and integers keep their scale. Doubles are quantised first: round-half-even of ``x * 10**scale``.
    """
    return Measure("sum", (_sum(expr, where, scale),))


def mean(expr: str, *, where: str = "", digits: int | None = None, scale: int = FLOAT_SCALE) -> Measure:
    """Arithmetic mean as a decimal, rounded half away from zero to ``digits``; over nothing: null."""
    return Measure("mean", (_sum(expr, where, scale),), _digits(digits))


def variance(expr: str, *, where: str = "", digits: int | None = None, scale: int = FLOAT_SCALE) -> Measure:
    """Sample variance, (Σx² − (Σx)²/n) / (n − 1), from exact integers; fewer than two values: null."""
    return Measure("variance", (_sum(expr, where, scale), Lift("squares", _text(expr), where, scale)), _digits(digits))


def stddev(expr: str, *, where: str = "", digits: int | None = None, scale: int = FLOAT_SCALE) -> Measure:
    """Square root of the sample variance."""
    return Measure("stddev", (_sum(expr, where, scale), Lift("squares", _text(expr), where, scale)), _digits(digits))


def min(expr: str, *, where: str = "") -> Measure:
    """The least value; over nothing: null."""
    return Measure("min", (Lift("min", _text(expr), where),))


def max(expr: str, *, where: str = "") -> Measure:
    """The greatest value; over nothing: null."""
    return Measure("max", (Lift("max", _text(expr), where),))


def first(expr: str, *, where: str = "", nulls: bool = False) -> Measure:
    """The value of the earliest record by (event time, partition, offset, place in an exploded list)."""
    return Measure("first", (Lift("first", _text(expr), where, nulls=nulls),))


def last(expr: str, *, where: str = "", nulls: bool = False) -> Measure:
    """The value of the latest record by (event time, partition, offset, place in an exploded list).

    Nulls are passed over unless ``nulls`` is true.
    """
    return Measure("last", (Lift("last", _text(expr), where, nulls=nulls),))


def distinct(expr: str, *, where: str = "", size: int = SKETCH_SIZE, exact: bool = False) -> Measure:
    """How many different non-null values.

    Exact up to ``size`` values; beyond, an estimate (K−1)·2⁶⁴/u_K from the K least 64-bit hashes, whose relative error
    is 1/√(K−2) and stands in the receipt (Bar-Yossef et al. 2002, Beyer et al. 2007). ``exact=True`` keeps all values.
    """
    if not exact and not 16 <= size <= 1 << 20:
        raise DeclarationError(
            "distinct size",
            expected="16 to 1048576",
            got=repr(size),
            remedy="or keep all values with exact=True",
            where=caller(),
        )
    lift = Lift("values", _text(expr), where) if exact else Lift("distinct", _text(expr), where, size)
    return Measure("distinct", (lift,))


def top(expr: str, limit: int, *, where: str = "") -> Measure:
    """The ``limit`` most frequent non-null values with their counts, most frequent first, ties by value.

    All values and counts are kept; only what is shown is cut. Shape: a list of {value, count}.
    """
    if not 1 <= limit <= 10_000:
        raise DeclarationError(
            "top limit",
            expected="1 to 10000",
            got=repr(limit),
            remedy="to see all values, make them a dimension",
            where=caller(),
        )
    return Measure("top", (Lift("count", where=where),), limit=limit, expr=_text(expr))


def _sum(expr: str, where: str, scale: int) -> Lift:
    if not 0 <= scale <= 18:
        raise DeclarationError(
            "scale",
            expected="0 to 18",
            got=repr(scale),
            remedy="leave it out for 9, or declare the column a decimal",
            where=caller(),
        )
    return Lift("sum", _text(expr), where, scale)


def _text(expr: str) -> str:
    if not isinstance(expr, str) or not expr.strip():
        raise DeclarationError(
            "measure",
            expected="a column or SQL expression",
            got=repr(expr),
            remedy="name what is measured, such as wm.sum('amount')",
            where=caller(),
        )
    return expr.strip()


def _digits(digits: int | None) -> int | None:
    if digits is not None and not 0 <= digits <= 18:
        raise DeclarationError(
            "digits",
            expected="0 to 18",
            got=repr(digits),
            remedy="leave it out for the input's scale plus 4",
            where=caller(),
        )
    return digits
