"""Topics in Avro: the schema that a declaration means, and its rows as Avro bytes.

    boolean      boolean                    varchar        string
    integer      int                        date           int, date
    bigint       long                       timestamp      long, timestamp-micros
    double       double                     timestamp_ms   long, timestamp-millis
    decimal      bytes, decimal(p, s)       timestamp_s    long
    T[]          array of T

A column that may be null is a union ``["null", T]`` with the default null; one that must not be null has no default.
So the former can be added and taken away at every level, the latter added at FORWARD and taken away at BACKWARD.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal

from .errors import RequestError
from .plain import Plain
from .schema import SqlType
from .topic import Topic

_PRIMITIVES: dict[str, Plain] = {
    "boolean": "boolean",
    "integer": "int",
    "bigint": "long",
    "double": "double",
    "varchar": "string",
    "date": {"type": "int", "logicalType": "date"},
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
    "timestamp_ms": {"type": "long", "logicalType": "timestamp-millis"},
    "timestamp_s": "long",
}
_UNITS_US = {"timestamp": 1, "timestamp_ms": 1_000, "timestamp_s": 1_000_000}
_EXACT = Context(prec=2000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def schema_of(topic: Topic) -> str:
    """The schema of a topic's values, as text: what `apply` registers.

    >>> schema_of(Topic("shop.sales", schema={"id": "varchar not null", "paid": "decimal(8,2)"}, format="avro"))[:70]
    '{"type":"record","name":"sales","namespace":"shop","fields":[{"name":"'
    """
    *spaces, name = [_name(part) for part in topic.name.split(".")]
    record: dict[str, Plain] = {"type": "record", "name": name}
    if spaces:
        record["namespace"] = ".".join(spaces)
    record["fields"] = [_field(column, kind) for column, kind in topic.types]
    return json.dumps(record, separators=(",", ":"))


def _name(part: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_]", "_", part)
    return name if name[:1].isalpha() else f"_{name}"


def _field(column: str, kind: SqlType) -> Plain:
    if kind.required:
        return {"name": column, "type": _type(kind)}
    return {"name": column, "type": ["null", _type(kind)], "default": None}


def _type(kind: SqlType) -> Plain:
    one: Plain = _PRIMITIVES.get(kind.name)
    if kind.name == "decimal":
        one = {"type": "bytes", "logicalType": "decimal", "precision": kind.precision, "scale": kind.scale}
    return {"type": "array", "items": one} if kind.many else one


def encode(topic: Topic, row: Mapping[str, object]) -> bytes:
    """A row as an Avro body by `schema_of` the topic.

    Args:
        topic: whose row.
        row: column -> bool, int, float, Decimal, str, date, datetime or µs since 1970-01-01Z for every timestamp, a
            list of such, or None. What is left out is None; what the topic does not have is left out.

    Raises:
        RequestError: a value is not one of its column.
    """
    out = bytearray()
    for column, kind in topic.types:
        value = row.get(column)
        if not kind.required:
            out += b"\0" if value is None else b"\2"
        if value is not None or kind.required:
            try:
                out += _many(kind, value) if kind.many else _one(kind, value)
            except (TypeError, ValueError, ArithmeticError, AttributeError, struct.error) as error:
                subject = f"column {column!r} of topic {topic.name}"
                raise RequestError(subject, expected=f"a value of {kind.sql.lower()}", got=repr(value)) from error
    return bytes(out)


def _many(kind: SqlType, value: object) -> bytes:
    if not isinstance(value, list | tuple):
        raise TypeError(value)
    items = b"".join(_one(kind, item) for item in value)
    return (_long(len(value), 64) + items if value else b"") + b"\0"


def _one(kind: SqlType, value: object) -> bytes:
    match kind.name, value:
        case ("boolean", bool()):
            return b"\1" if value else b"\0"
        case ("double", int() | float()) if not isinstance(value, bool):
            return struct.pack("<d", value)
        case ("decimal", int() | Decimal()) if not isinstance(value, bool):
            return _decimal(kind, Decimal(value))
        case ("varchar", str()):
            data = value.encode()
            return _long(len(data), 64) + data
        case ("date", date()) if not isinstance(value, datetime):
            return _long(value.toordinal() - date(1970, 1, 1).toordinal(), 32)
        case ("timestamp" | "timestamp_ms" | "timestamp_s", datetime() | int()) if not isinstance(value, bool):
            return _instant(kind, value)
        case ("integer" | "bigint", int()) if not isinstance(value, bool):
            return _long(value, 32 if kind.name == "integer" else 64)
    raise TypeError(value)


def _instant(kind: SqlType, value: datetime | int) -> bytes:
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        value = (moment - _EPOCH) // timedelta(microseconds=1)
    whole, rest = divmod(value, _UNITS_US[kind.name])
    if rest:
        raise ValueError(value)
    return _long(whole, 64)


def _decimal(kind: SqlType, value: Decimal) -> bytes:
    scaled = value.scaleb(kind.scale, _EXACT)
    unscaled = int(scaled)
    if unscaled != scaled or abs(unscaled) >= 10**kind.precision:
        raise ValueError(value)
    data = unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)
    return _long(len(data), 64) + data


def _long(value: int, bits: int) -> bytes:
    """Zigzag, then seven bits a byte, the lowest first."""
    if not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise ValueError(value)
    rest, out = (value << 1) ^ (value >> bits - 1), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)
