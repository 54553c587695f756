"""A row of a published table as a MongoDB document.

    _id           the key as one JSON text, the same for ever: ["2026-03-01 12:00:00","17"]
    <column>      the value in its BSON type; a null stays a null
    _watersmeet   {turn, scope}: which write put it, in which piece of the table; ``rest`` beside them if there is any

| type of the column                           | BSON                                                                |
|----------------------------------------------|---------------------------------------------------------------------|
| BOOLEAN, FLOAT, DOUBLE, VARCHAR, BLOB, UUID  | bool, double, string, binary                                        |
| TINYINT … INTEGER; UINTEGER, BIGINT          | int; long                                                           |
| UBIGINT, HUGEINT, UHUGEINT, DECIMAL          | decimal: of 34 digits                                               |
| DATE, TIMESTAMP, TIMESTAMPTZ, _S, _MS        | date: of ms, in UTC                                                 |
| TIME, ENUM                                   | string                                                              |
| lists, arrays, structs                       | array, document                                                     |
| MAP, UNION, and lists and structs with them  | string, their JSON                                                  |
| TIMESTAMP_NS, INTERVAL, BIT, TIMETZ, …       | refused when the table is made, naming the column                   |

What a decimal or a date cannot hold is nearest to the value in the column and exact in ``_watersmeet.rest``, as text
under the column's name: a time with µs, a number of more than 34 digits.
"""

from __future__ import annotations

import decimal
import uuid
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128, create_decimal128_context
from bson.int64 import Int64
from duckdb.sqltypes import DuckDBPyType

from watersmeet.core.errors import RequestError
from watersmeet.core.sink import Shape
from watersmeet.formats.native import Converter, milliseconds, refuse_type
from watersmeet.formats.table_rows import is_nested, types_of

OWN = "_watersmeet"
_TAKEN = ("_id", OWN)
_DAY_MS = 86_400_000
_DIGITS = create_decimal128_context()
_TIMES = ("timestamp", "timestamp with time zone", "timestamp_s", "timestamp_ms", "date")


@lru_cache(maxsize=256)
def converters(shape: Shape) -> dict[str, Converter | None]:
    """For each column, from Arrow's values to BSON's; None: it is held as text.

    Raises:
        RequestError: a column cannot be held, for its type or its name.
    """
    out = dict[str, Converter | None]()
    for name, text in types_of(shape):
        type_ = DuckDBPyType(text)
        for each in [name, *_fields(type_)]:
            if each.startswith("$") or "." in each or "\0" in each or each in _TAKEN:
                expected = f"a name without '.', a leading '$', and not {' or '.join(_TAKEN)}"
                remedy = 'name it otherwise in the table\'s columns: "expression as name"'
                raise RequestError(f"column {name} of table {shape.name}", expected=expected, got=each, remedy=remedy)
        out[name] = _converter(type_)
        if out[name] is None and not is_nested(text):
            raise refuse_type(shape, name, type_, "MongoDB")
    return out


def is_time(shape: Shape, name: str) -> bool:
    """Whether a column is a BSON date, of which a TTL index can make use."""
    return DuckDBPyType(dict(types_of(shape))[name]).id in _TIMES


def _fields(type_: DuckDBPyType) -> list[str]:
    """The names of all structs' fields within a type."""
    if type_.id not in ("list", "array", "struct"):
        return []
    names = [name for name, _ in _inner(type_)] if type_.id == "struct" else []
    return names + [field for _, each in _inner(type_) for field in _fields(each)]


def _inner(type_: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return [(name, each) for name, each in type_.children if isinstance(each, DuckDBPyType)]


def _converter(type_: DuckDBPyType) -> Converter | None:
    kind = type_.id
    if kind in ("list", "array"):
        return _of_list(_inner(type_)[0][1])
    if kind == "struct":
        return _of_struct(dict(_inner(type_)))
    return _KINDS.get(kind)


def _of_list(inner: DuckDBPyType) -> Converter | None:
    convert = _converter(inner)

    def made(value: Any) -> tuple[object, bool]:
        pairs = [(None, True) if each is None or convert is None else convert(each) for each in value]
        return [each for each, _ in pairs], all(exact for _, exact in pairs)

    return made if convert else None


def _of_struct(fields: dict[str, DuckDBPyType]) -> Converter | None:
    inner = {name: _converter(type_) for name, type_ in fields.items()}

    def made(value: Any) -> tuple[object, bool]:
        pairs = {n: (None, True) if value[n] is None or c is None else c(value[n]) for n, c in inner.items()}
        return {name: each for name, (each, _) in pairs.items()}, all(exact for _, exact in pairs.values())

    return made if all(inner.values()) else None


def _exactly(convert: Callable[[Any], object]) -> Converter:
    return lambda value: (convert(value), True)


def _decimal(value: int | Decimal) -> tuple[object, bool]:
    with decimal.localcontext(_DIGITS) as context:
        context.traps[decimal.Inexact] = context.traps[decimal.Rounded] = False
        near = context.create_decimal(value)
    return Decimal128(near), near == value


def _time(value: int | datetime) -> tuple[object, bool]:
    whole, exact = milliseconds(value)
    return DatetimeMS(whole), exact


def _day(value: date) -> tuple[object, bool]:
    return DatetimeMS((value - date(1970, 1, 1)).days * _DAY_MS), True


_SAME, _LONG = _exactly(lambda value: value), _exactly(Int64)
_KINDS: dict[str, Converter] = {
    **dict.fromkeys(("boolean", "tinyint", "smallint", "integer", "utinyint", "usmallint"), _SAME),
    **dict.fromkeys(("float", "double", "varchar", "blob", "enum"), _SAME),
    **dict.fromkeys(("uinteger", "bigint"), _LONG),
    **dict.fromkeys(("ubigint", "hugeint", "uhugeint", "decimal"), _decimal),
    **dict.fromkeys(("timestamp", "timestamp with time zone", "timestamp_s", "timestamp_ms"), _time),
    "date": _day,
    "time": _exactly(str),
    "uuid": _exactly(lambda value: uuid.UUID(str(value))),
}
