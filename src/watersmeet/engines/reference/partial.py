"""Measures in plain Python: what a record lifts to, how partials add up, how they are shown.

Sums and squares are of integers in units of the last kept decimal. A value of 10^28 units or more is not usable by
either, and counts as null: ten thousand million of them would pass 38 digits.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ...core.measure import Lift, Measure
from ...core.user_window import UserWindow
from ...core.view import EXPLODE_LIMIT, CellSpec
from .decoding import Fate, column_types, handed
from .scalar import Row, evaluate, fixed, rounded, types_of
from .window import pane_of, user_panes

LIMIT = 1e28
DEFAULT_DIGITS = 4
MOST_DIGITS = 18

Partial = Any
"""count n · sum (s, n) · squares Σx² · min, max v · first, last (t, p, o, i, v) or None · distinct (hashes, cut) ·
values sorted."""

Cells = dict[tuple[Any, tuple[Any, ...]], tuple[Partial, ...]]
"""(pane, dimensions) -> one partial a lift. A pane is its start in µs; None for all time; (first, last) of a session's
fragment; (start, end) of a user's own window."""


@dataclass(frozen=True, slots=True)
class Input:
    """What one record, or one element of its exploded list, brings to the cells of a view."""

    pane: Any
    dimensions: tuple[Any, ...]
    values: tuple[Any, ...]
    counted: tuple[bool, ...]
    order: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Types:
    """SQL types of a view's dimensions and of the expressions of its lifts."""

    dimensions: tuple[str, ...]
    lifts: tuple[str, ...]


@lru_cache(maxsize=1024)
def types(spec: CellSpec) -> Types:
    """Bind a view's expressions on no rows."""
    found = types_of(_row_types(spec), [*(d.expr for d in spec.dimensions), *(x.expr or "1" for x in spec.lifts)])
    return Types(found[: len(spec.dimensions)], found[len(spec.dimensions) :])


def inputs(spec: CellSpec, rows: Sequence[Row]) -> list[list[Input]]:
    """What each used record brings: nothing, or one input, or one an element of its exploded list."""
    pieces = [(i, *piece) for i, pieces in enumerate(_explode(spec, rows)) for piece in pieces]
    kinds = types(spec)
    expressions = [spec.where or "true", *(d.expr for d in spec.dimensions)]
    for lift, kind in zip(spec.lifts, kinds.lifts, strict=True):
        expressions += [_text(lift.expr, kind) if lift.kind == "distinct" else lift.expr or "1", lift.where or "true"]
    columns = evaluate(_row_types(spec), [row for _, _, row in pieces], expressions)
    out: list[list[Input]] = [[] for _ in rows]
    width = 1 + len(spec.dimensions)
    kept = [(*piece, found) for piece, found in zip(pieces, zip(*columns, strict=True), strict=True) if found[0]]
    panes = _panes(spec, [(row["event_time"], found[1:width]) for _, _, row, found in kept])
    for (i, place, row, found), (is_placed, pane) in zip(kept, panes, strict=True):
        if is_placed:
            raw = zip(spec.lifts, kinds.lifts, found[width::2], strict=True)
            values = tuple(_usable(lift, kind, value) for lift, kind, value in raw)
            counted = tuple(bool(flag) for flag in found[width + 1 :: 2])
            order = (row["event_time"], row["partition"], row["offset"], place)
            out[i].append(Input(pane, found[1:width], values, counted, order))
    return out


def _panes(spec: CellSpec, given: Sequence[tuple[int, tuple[Any, ...]]]) -> list[tuple[bool, Any]]:
    """For each (event time, dimensions) whether it lies in a pane at all, and that pane."""
    if not isinstance(spec.pane, UserWindow):
        return [(True, pane_of(spec.pane, t)) for t, _ in given]
    columns = {"event_time": [handed(t, "TIMESTAMP") for t, _ in given]}
    for i, (dimension, kind) in enumerate(zip(spec.dimensions, types(spec).dimensions, strict=True)):
        columns[dimension.name] = [handed(values[i], kind) for _, values in given]
    return [(pane is not None, pane) for pane in user_panes(spec.pane, columns)]


def cells(specs: Iterable[CellSpec], fates: Iterable[Fate]) -> dict[str, Cells]:
    """The cells of the used among some records, by fingerprint."""
    used = [fate.decoded.row for fate in fates if fate.outcome == "used"]
    return {spec.fingerprint: lift(spec, [x for found in inputs(spec, used) for x in found]) for spec in specs}


def lift(spec: CellSpec, given: Iterable[Input]) -> Cells:
    """The cells of some records: one a pane and combination of dimensions that occurs."""
    return merge(
        spec, *({(x.pane, x.dimensions): tuple(unit(y, x, i) for i, y in enumerate(spec.lifts))} for x in given)
    )


def merge(spec: CellSpec, *many: Cells) -> Cells:
    """Add cells up, address by address."""
    out: Cells = {}
    for each in many:
        for address, partials in each.items():
            out[address] = added(spec.lifts, out[address], partials) if address in out else partials
    return out


def added(lifts: Sequence[Lift], a: tuple[Partial, ...], b: tuple[Partial, ...]) -> tuple[Partial, ...]:
    """Two tuples of partials, added."""
    return tuple(add(*each) for each in zip(lifts, a, b, strict=True))


def zero(lift: Lift) -> Partial:
    """The partial of no records."""
    match lift.kind:
        case "count" | "squares":
            return 0
        case "sum":
            return 0, 0
        case "distinct":
            return (), False
    return () if lift.kind == "values" else None


def unit(lift: Lift, given: Input, i: int) -> Partial:
    """The partial of one record, of whose inputs ``i`` is the one of this lift."""
    value = given.values[i]
    if not given.counted[i] or (value is None and lift.kind != "count" and not lift.nulls):
        return zero(lift)
    match lift.kind:
        case "count":
            return 1
        case "sum":
            return value, 1
        case "squares":
            return value * value
        case "first" | "last":
            return *given.order, value
        case "distinct":
            return (_hash(value),), False
    return (value,) if lift.kind == "values" else value


def add(lift: Lift, a: Partial, b: Partial) -> Partial:
    """Two partials of one lift, added."""
    match lift.kind:
        case "count" | "squares":
            return a + b
        case "sum":
            return a[0] + b[0], a[1] + b[1]
        case "distinct":
            union = sorted({*a[0], *b[0]})
            return tuple(union[: lift.size]), a[1] or b[1] or len(union) > lift.size
        case "values":
            return tuple(sorted({*a, *b}))
    if a is None or b is None:
        return b if a is None else a
    if lift.kind in ("first", "last"):  # the order is unique: the value never decides
        return (min if lift.kind == "first" else max)(a, b, key=lambda found: found[:4])
    return min(a, b) if lift.kind == "min" else max(a, b)


def present(measure: Measure, spec: CellSpec, partials: tuple[Partial, ...]) -> Any:
    """What a measure other than a top shows."""
    mine, kinds = [partials[spec.lifts.index(x)] for x in measure.lifts], types(spec)
    first, found = measure.lifts[0], mine[0]
    scale = _scale(first, kinds.lifts[spec.lifts.index(first)]) if first.kind == "sum" else 0
    match measure.kind:
        case "count":
            return found
        case "sum":
            return fixed(found[0], scale) if found[1] else None
        case "mean":
            return rounded(Fraction(found[0], found[1] * 10**scale), _digits(measure, scale)) if found[1] else None
        case "variance" | "stddev":
            return _spread(measure, found, mine[1], scale)
        case "distinct":
            return len(found) if first.kind == "values" else _estimate(first, *found)
        case "first" | "last":
            return None if found is None else found[4]
    return found


def shown_type(measure: Measure, spec: CellSpec) -> str:
    """The SQL type of what a measure other than a top shows."""
    if measure.kind in ("count", "distinct"):
        return "BIGINT"
    kind = types(spec).lifts[spec.lifts.index(measure.lifts[0])]
    if measure.kind in ("min", "max", "first", "last"):
        return kind
    scale = _scale(measure.lifts[0], kind)
    return f"DECIMAL(38,{scale if measure.kind == 'sum' else _digits(measure, scale)})"


def _spread(measure: Measure, total: tuple[int, int], squares: int, scale: int) -> Decimal | None:
    s, n = total
    if n < 2:
        return None
    variance = (squares - Fraction(s * s, n)) / (n - 1) / 10 ** (2 * scale)
    digits = _digits(measure, scale)
    if measure.kind == "variance":
        return rounded(variance, digits)
    twice = math.isqrt(math.floor(4 * variance * 10 ** (2 * digits)))  # 2·√x, rounded down: no digit is lost
    return fixed((twice + 1) // 2, digits)


def _estimate(lift: Lift, hashes: tuple[int, ...], truncated: bool) -> int:
    """(K − 1)·2⁶⁴ / u, where u is the K-th least hash; half up, and never beyond a bigint."""
    if not truncated:
        return len(hashes)
    return min(int(Fraction((lift.size - 1) * 2**64, hashes[-1]) + Fraction(1, 2)), 2**63 - 1)


def _digits(measure: Measure, scale: int) -> int:
    return min(scale + DEFAULT_DIGITS, MOST_DIGITS) if measure.digits is None else measure.digits


def _scale(lift: Lift, kind: str) -> int:
    if kind.startswith("DECIMAL"):
        return int(kind[:-1].split(",")[1])
    return lift.size if kind in ("DOUBLE", "FLOAT") else 0


def _usable(lift: Lift, kind: str, value: Any) -> Any:
    """What a lift adds up of a value: whole units for a sum or square, a text for a distinct, else the value."""
    if value is None or lift.kind not in ("sum", "squares", "distinct"):
        return value
    if lift.kind == "distinct":
        return _canonical(value)
    # The product is IEEE's and its rounding half-even; `round` of a float to a whole number is just that.
    scaled = value * float(10**lift.size) if isinstance(value, float) else Fraction(value) * 10 ** _scale(lift, kind)
    return round(scaled) if abs(scaled) < LIMIT else None


def _text(expr: str, kind: str) -> str:
    """The expression whose value is hashed; texts that Python has no say in are DuckDB's."""
    if kind in ("DOUBLE", "FLOAT"):
        return f"CASE WHEN isfinite({expr}) THEN (({expr}) + 0)::VARCHAR END"  # −0.0 is 0.0
    scalar = kind.startswith("DECIMAL(") or (kind.endswith(("INT", "INTEGER")) and "(" not in kind)
    known = scalar or kind in ("VARCHAR", "BOOLEAN", "DATE", "TIMESTAMP")
    return expr if known and not kind.endswith("[]") else f"({expr})::VARCHAR"


def _canonical(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.isoformat() if isinstance(value, date) else str(value)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def _explode(spec: CellSpec, rows: Sequence[Row]) -> list[list[tuple[int, Row]]]:
    """For each record its (place, row)s: place 0 and the record itself, or 1, 2 … and an element each."""
    if spec.explode is None:
        return [[(0, row)] for row in rows]
    name, (lists,) = spec.explode.name, evaluate(column_types(spec.topic), rows, [spec.explode.expr])
    return [
        [(place, row | {name: element}) for place, element in enumerate((found or ())[:EXPLODE_LIMIT], 1)]
        for row, found in zip(rows, lists, strict=True)
    ]


def _row_types(spec: CellSpec) -> dict[str, str]:
    known = column_types(spec.topic)
    if spec.explode is not None:
        known[spec.explode.name] = types_of(known, [spec.explode.expr])[0].removesuffix("[]")
    return known
