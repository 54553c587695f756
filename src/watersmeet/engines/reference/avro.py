"""Framed Avro, value by value, as its specification says it; nothing skipped, nothing guessed.

What a schema says, and whether a topic can read it, is core's to tell (`watersmeet.core.avro_resolution`). How bytes
become values is told here a second time.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from ...core.avro_resolution import Reading, reading, takes_one
from ...core.avro_schema import AvroType
from ...core.errors import RequestError
from ...core.schema import SqlType
from ...core.schemas import Schemas
from ...core.topic import Topic

MAX_DEPTH = 100
MAX_BITS = 6_000
YEARS_US = (-62_135_596_800_000_000, 253_402_300_799_999_999)


class NotATimeError(ValueError):
    """A string that is no time, or a time outside the years 1 to 9999."""


@dataclass(frozen=True, slots=True)
class Written:
    """A value as it stood there; ``of`` is never a union."""

    of: AvroType
    value: Any


class _DeadError(ValueError):
    """The record is dead; its text is the reason."""


def body(topic: Topic, payload: bytes, schemas: Schemas) -> tuple[dict[str, Any], tuple[str, ...]] | str:
    """Column -> `Written`, a list of such, or None; and the fields that the topic does not have. Or why it is dead."""
    try:
        how = _how(topic, payload, schemas)
        rest, fields = _record(how.writer, payload[5:], 1)
        if rest:
            raise _DeadError("trailing_bytes")
    except _DeadError as error:
        return str(error)
    names = [item.name for item in how.writer.fields]
    columns = {name: fields[names.index(name)] for name, _ in topic.types if name in names}
    return {name: _opened(written) for name, written in columns.items()}, how.unexpected


def value(kind: SqlType, written: Any, of_text: Callable[[SqlType, str], Any]) -> Any:
    """What a column holds of a value that is not null; `ValueError` if it does not accept it.

    Args:
        kind: of the column.
        written: what was read; a list of an array.
        of_text: what a column holds of a string, as in JSON.
    """
    if not isinstance(written, Written) or not takes_one(kind, written.of):
        raise ValueError(written)
    raw, logical = written.value, written.of.logical
    if logical == "uuid" and written.of.type == "fixed":
        return str(uuid.UUID(bytes=raw))
    if written.of.type in ("string", "bytes") and logical != "decimal":
        return of_text(kind, raw.decode())
    if kind.name == "varchar":
        return of_text(kind, raw)
    if kind.name == "decimal":
        return _decimal(kind, raw, written.of.scale)
    if kind.name == "double":
        if not isfinite(raw):
            raise ValueError(raw)
        return float(raw) + 0.0
    if kind.name == "date":
        try:
            return date(1970, 1, 1) + timedelta(days=raw)
        except OverflowError:
            raise ValueError(raw) from None
    if kind.name.startswith("timestamp"):
        unit = logical.rpartition("-")[2] or kind.name
        us: int = (
            raw // 1000
            if unit == "nanos"
            else raw * {"millis": 1000, "timestamp_ms": 1000, "micros": 1}.get(unit, 10**6)
        )
        if not YEARS_US[0] <= us <= YEARS_US[1]:
            raise NotATimeError(us)
        return us
    return raw


def _how(topic: Topic, payload: bytes, schemas: Schemas) -> Reading:
    if payload[:1] != b"\0":
        raise _DeadError("bad_magic")
    if len(payload) < 5:
        raise _DeadError("truncated_bytes")
    try:
        text = schemas.get(int.from_bytes(payload[1:5], "big"))
    except RequestError:
        raise _DeadError("unknown_schema") from None
    try:
        return reading(topic, text)
    except RequestError:
        raise _DeadError("incompatible_schema") from None


def _opened(written: Written) -> Any:
    if written.of.type == "null":
        return None
    if written.of.type == "array":
        return [None if item.of.type == "null" else item for item in written.value]
    return written


def _record(of: AvroType, data: bytes, depth: int) -> tuple[bytes, list[Written]]:
    """The values of a record's fields, behind what follows them."""
    if depth > MAX_DEPTH:
        raise _DeadError("malformed_avro")
    found = []
    for item in of.fields:
        data, written = _value(item.type, data, depth)
        found.append(written)
    return data, found


def _value(of: AvroType, data: bytes, depth: int) -> tuple[bytes, Written]:
    found: Any = None
    if of.type == "union":
        data, place = _number(data, 32)
        return _value(_at(of.parts, place), data, depth)
    if of.type == "record":
        data, found = _record(of, data, depth + 1)
    elif of.type in ("array", "map"):
        data, found = _blocks(of, data, depth + 1)
    elif of.type == "boolean":
        data, byte = _cut(data, 1)
        found = _at((False, True), byte[0])
    elif of.type in ("int", "long"):
        data, found = _number(data, 32 if of.type == "int" else 64)
    elif of.type in ("float", "double"):
        data, bits = _cut(data, 4 if of.type == "float" else 8)
        [found] = struct.unpack("<f" if of.type == "float" else "<d", bits)
    elif of.type == "enum":
        data, place = _number(data, 32)
        found = _at(of.symbols, place)
    elif of.type != "null":
        size = of.size
        if of.type != "fixed":
            data, size = _number(data, 64)
        data, found = _cut(data, size)
    return data, Written(of, found)


def _blocks(of: AvroType, data: bytes, depth: int) -> tuple[bytes, list[Written]]:
    if depth > MAX_DEPTH:
        raise _DeadError("malformed_avro")
    found: list[Written] = []
    while True:
        data, count = _number(data, 64)
        if count == 0:
            return data, found
        before, size = len(data), None
        if count < 0:
            data, size = _number(data, 64)
            before = len(data)
        for _ in range(abs(count)):
            start = len(data)
            if of.type == "map":
                data, length = _number(data, 64)
                data, _ = _cut(data, length)
            data, written = _value(of.parts[0], data, depth)
            if len(data) == start:  # as empty as all that follow it
                break
            found.append(written)
        if size not in (None, before - len(data)):
            raise _DeadError("malformed_avro")


def _number(data: bytes, bits: int) -> tuple[bytes, int]:
    for count in range(1, 11):
        if count > len(data):
            raise _DeadError("truncated_bytes")
        if data[count - 1] < 128:
            break
    total = sum((byte & 127) << 7 * place for place, byte in enumerate(data[:count]))
    if data[count - 1] >= 128 or total >= 1 << bits:
        raise _DeadError("malformed_avro")
    return data[count:], total // 2 if total % 2 == 0 else -(total + 1) // 2


def _cut(data: bytes, size: int) -> tuple[bytes, bytes]:
    if size < 0:
        raise _DeadError("malformed_avro")
    if size > len(data):
        raise _DeadError("truncated_bytes")
    return data[size:], data[:size]


def _at(choices: Any, place: int) -> Any:
    if not 0 <= place < len(choices):
        raise _DeadError("malformed_avro")
    return choices[place]


def _decimal(kind: SqlType, raw: Any, scale: int) -> Decimal:
    number = raw if isinstance(raw, int) else int.from_bytes(raw, "big", signed=True)
    if raw == b"" or number.bit_length() > MAX_BITS:
        raise ValueError(raw)
    whole, rest = divmod(abs(number) * 10**kind.scale, 10**scale)
    if rest and not kind.rounded:
        raise ValueError(raw)
    whole += 2 * rest >= 10**scale if rest else 0
    if whole >= 10**kind.precision:
        raise ValueError(raw)
    return Decimal((int(number < 0 < whole), tuple(map(int, str(whole))), -kind.scale))
