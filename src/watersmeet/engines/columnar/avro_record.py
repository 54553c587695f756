"""One framed Avro payload, read alone: what it is, or exactly why it is dead.

What this module accepts and refuses *is* the rule for topics in Avro; `decode_avro` accepts a part of it, by columns.
One reason a record, the first that holds:

    1  bad_magic             no payload, or its first byte is not 0
    2  truncated_bytes       it ends within the header
    3  unknown_schema        the registry has no schema of that id
    4  incompatible_schema   the topic cannot read what that schema writes
    5  truncated_bytes       it ends within a value
       malformed_avro        what the schema does not allow: a branch or symbol that it does not have, a boolean that
                             is neither 0 nor 1, a number too long, a negative length, a block that is not as long as
                             it says, nesting deeper than 100. Of the two the one that stands first in the bytes
    6  trailing_bytes        it does not end where the value ends
    7  missing_field …       as in JSON from here on: see `decode_record`, steps 3 to 7. A string that is not UTF-8 is
                             an ``invalid_value``
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from ...core.avro_resolution import Reading, takes_one
from ...core.avro_schema import MAX_DEPTH, AvroType
from ...core.schema import SqlType
from ...core.schemas import HEADER_BYTES, MAGIC
from ...core.topic import Topic
from .decode_record import MAX_US, MIN_US, InvalidError, Letter, NoTimeError, Number, letter, scalar_of, values

_WHOLE_BYTES = 10
_MAX_DECIMAL_BITS = 6_000
"""A little more than `MAX_DIGITS` of a schema."""
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Value:
    """What was read, with the type that it was written as; never a union."""

    type: AvroType
    raw: object

    def __str__(self) -> str:
        return str(self.type)


class _TruncatedError(ValueError):
    """The bytes end within a value."""


class _MalformedError(ValueError):
    """The bytes are none that the schema writes."""


def header(payload: bytes | None) -> int | Letter:
    """The id of the writer's schema."""
    if not payload:
        return Letter("bad_magic", "empty payload")
    if payload[0] != MAGIC:
        return Letter("bad_magic", f"the first byte is {payload[0]}, not {MAGIC}")
    if len(payload) < HEADER_BYTES:
        return Letter("truncated_bytes", f"{len(payload)} bytes, of a header of {HEADER_BYTES}")
    return int.from_bytes(payload[1:HEADER_BYTES], "big")


def read_avro(topic: Topic, how: Reading, payload: bytes) -> dict[str, object] | Letter:
    """Column -> value, timestamps as µs since 1970-01-01Z; or the reason why not (5 to 7, but for the skew)."""
    body = _Body(payload)
    try:
        fields = body.record(how.writer, 1)
    except _TruncatedError:
        return Letter("truncated_bytes", f"{len(payload)} bytes are not all of it")
    except _MalformedError as error:
        return letter("malformed_avro", str(error))
    if body.at < len(payload):
        return Letter("trailing_bytes", f"{len(payload) - body.at} bytes after the value")
    found = {column: fields[place] for column, place in how.columns.items()}
    there = {column: None if value.type.type == "null" else value for column, value in found.items()}
    missing = [column for column, kind in topic.types if kind.required and there.get(column) is None]
    if missing:
        return Letter("missing_field", ", ".join(missing))
    if topic.extra == "reject" and how.unexpected:
        return letter("unexpected_field", ", ".join(how.unexpected))
    return values(topic, {column: _listed(value) for column, value in there.items()}, _scalar)


def _listed(value: _Value | None) -> object:
    """An array as a list, with nulls as None; anything else as it is."""
    if value is None or value.type.type != "array" or not isinstance(value.raw, list):
        return value
    return [None if item.type.type == "null" else item for item in value.raw]


def _scalar(kind: SqlType, value: object) -> object:
    if not isinstance(value, _Value) or not takes_one(kind, value.type):
        raise InvalidError(str(value.type) if isinstance(value, _Value) else "an array")
    token = _token(value)
    if isinstance(token, int) and not isinstance(token, bool):
        if not MIN_US <= token <= MAX_US:
            raise NoTimeError(f"{value.raw} lies outside the years 1 to 9999")
        return token
    return token if isinstance(token, date) else scalar_of(kind, token)


def _token(value: _Value) -> object:
    """What JSON would have in its place; of a logical date the date, of a logical timestamp whole µs."""
    match value.type.type, value.type.logical, value.raw:
        case "string" | "bytes", "" | "uuid", bytes() as raw:
            return _text(raw)
        case _, "uuid", bytes() as raw:
            return str(uuid.UUID(bytes=raw))
        case _, "decimal", bytes() as raw:
            return _decimal(raw, value.type.scale)
        case _, "date", int() as days:
            return _day(days)
        case _, "", bool() | str() as raw:
            return raw
        case _, "", int() | float() as number:
            return Number(repr(number))
        case _, logical, int() as number:
            return number * 1_000 if logical.endswith("millis") else number // (1_000 if "nanos" in logical else 1)
    raise InvalidError(str(value.type))


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidError("a string that is not UTF-8") from None


def _decimal(raw: bytes, scale: int) -> Number:
    unscaled = int.from_bytes(raw, "big", signed=True)
    if not raw or unscaled.bit_length() > _MAX_DECIMAL_BITS:
        raise InvalidError(f"a decimal of {len(raw)} bytes")
    return Number(f"{unscaled}E-{scale}" if scale else str(unscaled))


def _day(days: int) -> date:
    try:
        return date.fromordinal(days + _EPOCH_DAY)
    except (ValueError, OverflowError):
        raise InvalidError(f"day {days}, outside the years 1 to 9999") from None


class _Body:
    """A cursor over a payload, behind its header."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = HEADER_BYTES

    def record(self, kind: AvroType, depth: int) -> list[_Value]:
        """The fields of a record, in order."""
        if depth > MAX_DEPTH:
            raise _MalformedError(f"nested deeper than {MAX_DEPTH}")
        return [self._value(item.type, depth) for item in kind.fields]

    def _value(self, kind: AvroType, depth: int) -> _Value:
        match kind.type:
            case "union":
                return self._value(self._chosen(kind.parts, "branch"), depth)
            case "record":
                return _Value(kind, self.record(kind, depth + 1))
            case "array" | "map":
                return _Value(kind, self._items(kind, depth + 1))
            case "null":
                return _Value(kind, None)
            case "boolean":
                return _Value(kind, self._boolean())
            case "int" | "long":
                return _Value(kind, self._whole(32 if kind.type == "int" else 64))
            case "float":
                return _Value(kind, struct.unpack("<f", self._take(4))[0])
            case "double":
                return _Value(kind, struct.unpack("<d", self._take(8))[0])
            case "enum":
                return _Value(kind, self._chosen(kind.symbols, "symbol"))
            case "fixed":
                return _Value(kind, self._take(kind.size))
        return _Value(kind, self._take(self._whole(64)))

    def _take(self, count: int) -> bytes:
        if count < 0:
            raise _MalformedError(f"a length of {count}")
        if self.at + count > len(self._data):
            raise _TruncatedError
        self.at += count
        return self._data[self.at - count : self.at]

    def _whole(self, bits: int) -> int:
        number = shift = 0
        for _ in range(_WHOLE_BYTES):
            [byte] = self._take(1)
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if byte >= 0x80 or number >> bits:
            raise _MalformedError(f"a number of more than {bits} bits")
        return number >> 1 ^ -(number & 1)

    def _boolean(self) -> bool:
        [byte] = self._take(1)
        if byte > 1:
            raise _MalformedError(f"a boolean of {byte}")
        return bool(byte)

    def _chosen(self, of: Sequence[_T], what: str) -> _T:
        place = self._whole(32)
        if not 0 <= place < len(of):
            raise _MalformedError(f"{what} {place} of {len(of)}")
        return of[place]

    def _items(self, kind: AvroType, depth: int) -> list[_Value]:
        """An array's items or a map's values."""
        if depth > MAX_DEPTH:
            raise _MalformedError(f"nested deeper than {MAX_DEPTH}")
        found: list[_Value] = []
        [item] = kind.parts
        # Items that take no bytes may be as many as a header says: they are not made.
        is_empty = kind.type == "array" and takes_no_bytes(item)
        while count := self._whole(64):
            size = self._whole(64) if count < 0 else None
            start = self.at
            for _ in range(0 if is_empty else abs(count)):
                if kind.type == "map":
                    self._take(self._whole(64))
                found.append(self._value(item, depth))
            if size is not None and self.at - start != size:
                raise _MalformedError(f"a block of {self.at - start} bytes that says {size}")
        return found


def takes_no_bytes(kind: AvroType, within: tuple[AvroType, ...] = ()) -> bool:
    """Whether every value of a type is written as nothing."""
    if kind.type == "record":
        return kind not in within and all(takes_no_bytes(f.type, (*within, kind)) for f in kind.fields)
    return kind.type == "null" or (kind.type == "fixed" and kind.size == 0)
