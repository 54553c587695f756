"""The partial columns of cells, as SQL: how each lift is made from rows, and how its partials add up.

Laws, for every lift and every multiset of rows however it is split:

    merge(lift(a), lift(b)) = lift(a + b)        bit for bit
    merge(x, zero) = x, where zero is what a lift gives over no usable row:
        count n = 0 · sum s = null, n = 0 · squares hi = lo = null · min, max v = null
        · first, last all null · distinct h = [], cut = false · values v = []

Aggregates never depend on the order in which DuckDB sees rows: sums are of integers, extremes are of total orders,
lists are sorted. A lift does not read the topic's columns but *input rows* (made in `lift`), one a used record, or an
element where the view explodes, with the key of the cell and

    _x{i}      the value of lift i: null where its expression is null, failed, or gave something unusable, and for a sum
               the integer that is added (``x * 10**scale``); for a distinct the 64-bit hash of its canonical text
    _w{i}      whether the lift counts the row (only where the lift has a condition)
    event_time, partition, offset, _place    the order of first and last; _place is the element's place in its list,
               from 1, and 0 where nothing is exploded
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...core.errors import DeclarationError
from ...core.measure import PARTIALS, Lift
from ...core.view import CellSpec

LIMB = 1 << 94
"""A sum of squares is ``hi * LIMB + lo``. Values are below 10^28, so each limb of a square is below 2^95: a thousand
million of the greatest fit 38 digits, as they do in a sum."""
_HALF = 47
SAFE_DIGITS = 28
"""A value of 10^28 units of its last digit or more is not usable in a sum: so many of them would pass 38 digits."""
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}
_WIDE = {"HUGEINT", "UHUGEINT"}
_FLOATS = {"FLOAT", "DOUBLE"}


def quoted(name: str) -> str:
    """A name as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def key_columns(spec: CellSpec) -> list[str]:
    """The columns that address a cell, quoted: pane, pane_end where it has a say, then the dimensions."""
    ends = ["pane_end"] if spec.pane.carries_end else []
    return [quoted(name) for name in ("pane", *ends, *(d.name for d in spec.dimensions))]


def partial_names(spec: CellSpec) -> list[str]:
    """The partial columns, in order: ``p{i}_{part}`` for each lift i and each of its parts."""
    return [f"p{i}_{part}" for i, lift in enumerate(spec.lifts) for part in PARTIALS[lift.kind]]


def partial_types(spec: CellSpec, types: Sequence[str]) -> dict[str, str]:
    """Partial column -> SQL type, given the type of each lift's expression (any text for a count)."""
    out: dict[str, str] = {}
    for i, (lift, kind) in enumerate(zip(spec.lifts, types, strict=True)):
        out.update({f"p{i}_{part}": text for part, text in _part_types(lift, kind).items()})
    return out


def _part_types(lift: Lift, kind: str) -> Mapping[str, str]:
    match lift.kind:
        case "count":
            return {"n": "BIGINT"}
        case "sum":
            return {"s": f"DECIMAL(38,{scale_of(lift, kind)})", "n": "BIGINT"}
        case "squares":
            return {"hi": "DECIMAL(38,0)", "lo": "DECIMAL(38,0)"}
        case "min" | "max":
            return {"v": kind}
        case "first" | "last":
            return {"t": "TIMESTAMP", "p": "INTEGER", "o": "BIGINT", "i": "INTEGER", "v": kind}
        case "distinct":
            return {"h": "UBIGINT[]", "cut": "BOOLEAN"}
    return {"v": f"{kind}[]"}


def scale_of(lift: Lift, kind: str) -> int:
    """Decimals that a sum of values of SQL type ``kind`` keeps; raises `DeclarationError` for what has no sum."""
    if kind in _INTEGERS or kind in _WIDE:
        return 0
    if kind.startswith("DECIMAL("):
        return int(kind[:-1].split(",")[1])
    if kind in _FLOATS:
        return lift.size
    raise DeclarationError(f"{lift.kind} of {lift.expr!r}", expected="a number", got=kind.lower())


def lift_columns(spec: CellSpec, types: Sequence[str]) -> list[str]:
    """Aggregates over input rows, ``"<aggregate> AS p{i}_{part}"``, in the order of `partial_names`."""
    out = []
    for i, (lift, kind) in enumerate(zip(spec.lifts, types, strict=True)):
        parts = _lifted(lift, kind, i)
        out += [f"{parts[part]} AS p{i}_{part}" for part in PARTIALS[lift.kind]]
    return out


def merge_columns(spec: CellSpec) -> list[str]:
    """Aggregates over partial columns, ``"<aggregate> AS p{i}_{part}"``, in the order of `partial_names`."""
    out = []
    for i, lift in enumerate(spec.lifts):
        parts = _merged(lift, i)
        out += [f"{parts[part]} AS p{i}_{part}" for part in PARTIALS[lift.kind]]
    return out


def _merged(lift: Lift, i: int) -> Mapping[str, str]:
    match lift.kind:
        case "count":
            return {"n": f"sum(p{i}_n)::BIGINT"}
        case "sum":
            return {"s": f"sum(p{i}_s)", "n": f"sum(p{i}_n)::BIGINT"}
        case "squares":
            return {"hi": f"sum(p{i}_hi)", "lo": f"sum(p{i}_lo)"}
        case "min" | "max":
            return {"v": f"{lift.kind}(p{i}_v)"}
        case "first" | "last":
            fields = {part: f"p{i}_{part}" for part in PARTIALS[lift.kind]}
            return _extreme(lift, fields, f"p{i}_t IS NOT NULL")
        case "distinct":
            union = f"list_distinct(flatten(list(p{i}_h)))"
            more = f"CASE WHEN sum(len(p{i}_h)) > {lift.size} THEN len({union}) > {lift.size} ELSE false END"
            return {"h": f"list_sort({union})[:{lift.size}]", "cut": f"bool_or(p{i}_cut) OR {more}"}
    return {"v": f"list_sort(list_distinct(flatten(list(p{i}_v))))"}


def _extreme(lift: Lift, fields: Mapping[str, str], condition: str) -> Mapping[str, str]:
    """All five columns from one record: the struct compares by its leading fields, and (t, p, o, i) is unique."""
    struct = ", ".join(f"'{part}': {column}" for part, column in fields.items())
    pick = f"{'min' if lift.kind == 'first' else 'max'}({{{struct}}}) FILTER (WHERE {condition})"
    return {part: f"struct_extract({pick}, '{part}')" for part in fields}


def _lifted(lift: Lift, kind: str, i: int) -> Mapping[str, str]:
    x = f"_x{i}"
    counted = f" FILTER (WHERE _w{i})" if lift.where else ""
    present = f"{x} IS NOT NULL" + (f" AND _w{i}" if lift.where else "")
    match lift.kind:
        case "count":
            return {"n": f"count(*){counted}"}
        case "sum":
            return {"s": _summed(f"sum({x}){counted}", lift, kind), "n": f"count({x}){counted}"}
        case "squares":
            return _squared(kind, x, counted)
        case "min" | "max":
            return {"v": f"{lift.kind}({x}){counted}"}
        case "first" | "last":
            fields = dict(zip(PARTIALS[lift.kind], ("event_time", "partition", '"offset"', "_place", x), strict=True))
            return _extreme(lift, fields, present if not lift.nulls else (f"_w{i}" if lift.where else "true"))
        case "distinct":
            hashes = f"list(DISTINCT {x}) FILTER (WHERE {present})"
            return {
                "h": f"coalesce(list_sort({hashes})[:{lift.size}], []::UBIGINT[])",
                "cut": f"coalesce(len({hashes}) > {lift.size}, false)",
            }
    return {"v": f"coalesce(list_sort(list(DISTINCT {x}) FILTER (WHERE {present})), []::{kind}[])"}


def _summed(total: str, lift: Lift, kind: str) -> str:
    scale = scale_of(lift, kind)
    if kind.startswith("DECIMAL("):
        return f"({total})::DECIMAL(38,{scale})"
    # The product of a whole decimal and the least step of a scale has the same digits: an exact reinterpretation.
    step = f" * 0.{'1'.zfill(scale)}::DECIMAL({scale},{scale})" if scale else ""
    return f"({total})::DECIMAL(38,0){step}"


def _squared(kind: str, x: str, counted: str) -> Mapping[str, str]:
    digits = decimal_digits(kind)
    if digits <= SAFE_DIGITS // 2:  # the whole square fits the low limb
        return {
            "hi": f"(sum({x}){counted} * 0)::DECIMAL(38,0)",
            "lo": f"(sum({x} * {x}){counted})::DECIMAL(38,0)",
        }
    # |x| = a·2^47 + b, so x² = a²·2^94 + ab·2^48 + b².
    a, b, half = f"(abs({x}) >> {_HALF})", f"(abs({x}) & {(1 << _HALF) - 1})", _HALF - 1
    return {
        "hi": f"(sum({a} * {a} + (({a} * {b}) >> {half})){counted})::DECIMAL(38,0)",
        "lo": f"(sum(((({a} * {b}) & {(1 << half) - 1}) << {_HALF + 1}) + {b} * {b}){counted})::DECIMAL(38,0)",
    }


def usable(lift: Lift, kind: str, value: str) -> str:
    """SQL that turns a value of SQL type ``kind`` into the lift's input ``_x{i}``; null where it is not usable."""
    if lift.kind == "sum":
        return _quantised(lift, kind, value)
    if lift.kind == "squares":
        return _scaled(lift, kind, value)
    if lift.kind == "distinct":
        return f"(md5_number({canonical(kind, finite(kind, value))}) >> 64)::UBIGINT"
    return finite(kind, value)


def _quantised(lift: Lift, kind: str, value: str) -> str:
    """What a sum adds: the number, or a double times 10**scale made whole; null where it is not usable."""
    scale = scale_of(lift, kind)
    if kind in _FLOATS:
        product = f"({value}::DOUBLE * 1e{lift.size})"
        # NaN is greater than every number here, so the comparison refuses it too. The cast rounds half to even.
        return f"CASE WHEN abs({product}) < 1e{SAFE_DIGITS} THEN {product}::HUGEINT END"
    if decimal_digits(kind) <= SAFE_DIGITS:
        return value
    whole = f"1{'0' * (SAFE_DIGITS - scale)}" if scale <= SAFE_DIGITS else f"0.{'1'.zfill(scale - SAFE_DIGITS)}"
    limit = f"'{whole}'::{f'DECIMAL(38,{scale})' if scale else 'HUGEINT'}"
    return f"CASE WHEN {value} > -{limit} AND {value} < {limit} THEN {value} END"


def _scaled(lift: Lift, kind: str, value: str) -> str:
    """What a sum adds, in units of its last digit, as an integer."""
    scale, added = scale_of(lift, kind), _quantised(lift, kind, value)
    if kind in _FLOATS:
        return added
    if decimal_digits(kind) + scale > 38:  # the product below would pass 38 digits
        return f"replace(({added})::VARCHAR, '.', '')::HUGEINT" if scale else f"({added})::HUGEINT"
    whole = f"({added} * 1{'0' * scale})" if scale else f"({added})"
    return f"{whole}::{'BIGINT' if decimal_digits(kind) <= 9 else 'HUGEINT'}"


def finite(kind: str, value: str) -> str:
    """SQL that refuses NaN and infinities and writes −0.0 as 0.0; other types pass as they are."""
    return f"CASE WHEN isfinite({value}) THEN {value} + 0 END" if kind in _FLOATS else value


def canonical(kind: str, value: str) -> str:
    """SQL for the text whose MD5 gives the hash of a value of SQL type ``kind``: its last 8 bytes, little-endian."""
    if kind.startswith("TIMESTAMP"):
        return f"epoch_us({value})::VARCHAR"
    return f"({value})::VARCHAR"


def decimal_digits(kind: str) -> int:
    """How many digits a number of the type may have; 0 for what is no number."""
    if kind.startswith("DECIMAL("):
        return int(kind[len("DECIMAL(") :].split(",")[0])
    if kind in _WIDE or kind in _FLOATS:
        return 39
    return 0 if kind not in _INTEGERS else 20 if kind.endswith("BIGINT") else 10
