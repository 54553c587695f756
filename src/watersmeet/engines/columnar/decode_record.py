"""One payload, read alone: what it is, or exactly why it is dead.

Only records that no columnar reading would vouch for come here. What this module accepts and refuses *is* the rule;
`decode_json` accepts a part of it, faster. One reason a record, the first that holds, in this order (the order of
``spec/engagement.md`` §2.4 with its first and third step split up):

    1  malformed_json     no payload, blank, not UTF-8, not JSON as RFC 8259 has it (so NaN, trailing commas, a byte
                          order mark, lone surrogates are not), or nested deeper than 100
    2  not_an_object      an array, a string, a number, true, false or null
    3  missing_field      a required column is absent or null
    4  unexpected_field   a field that the schema does not have, where the topic says ``extra="reject"``
    5  invalid_value      a value that its column does not accept; U+0000 in a string is one, since C strings end there
    6  invalid_timestamp  the event time is a string that is no time, lies outside the years 1 to 9999, or later than
                          arrival + skew
    7  the topic's own checks, in the order declared

Of a key that occurs twice the first counts. A number's digits are taken from its text: nothing passes through a double
on the way to a decimal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from math import isfinite

from ...core.schema import SqlType
from ...core.topic import Topic

MAX_DEPTH = 100
MIN_US = -62_135_596_800_000_000
MAX_US = 253_402_300_799_999_999
TIME = (
    r"(\d{4})-(\d\d)-(\d\d)[Tt ]([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,9}))?)?"
    r"([Zz]|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?"
)
_TIME = re.compile(TIME, re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = Context(prec=2000)
_INTEGERS = {"integer": 31, "bigint": 63}
_UNITS_US = {"timestamp_ms": 1_000, "timestamp_s": 1_000_000}
_DETAIL = 200


@dataclass(frozen=True, slots=True)
class Letter:
    """Why a record is dead."""

    reason: str
    detail: str


class Number(str):
    """The text of a JSON number."""

    __slots__ = ()


class InvalidError(ValueError):
    """A value that its column does not accept."""


class NoTimeError(InvalidError):
    """A string that is not a time, or a time outside the years 1 to 9999."""


def read(topic: Topic, payload: bytes | None) -> dict[str, object] | Letter:
    """Column -> value, timestamps as µs since 1970-01-01Z; or the reason why not (1 to 6, but for the skew)."""
    fields = parse(payload)
    if isinstance(fields, Letter):
        return fields
    missing = [name for name, kind in topic.types if kind.required and fields.get(name) is None]
    if missing:
        return Letter("missing_field", ", ".join(missing))
    if topic.extra == "reject":
        known = {name for name, _ in topic.types}
        unexpected = [name for name in fields if name not in known]
        if unexpected:
            return letter("unexpected_field", ", ".join(unexpected))
    return values(topic, fields)


def parse(payload: bytes | None) -> Mapping[str, object] | Letter:
    """The fields of a JSON object, numbers still text; or ``malformed_json`` or ``not_an_object``."""
    if payload is None or not payload.strip(b" \t\r\n"):
        return Letter("malformed_json", "empty payload")
    try:
        text = payload.decode()
        found = json.loads(
            text, parse_int=Number, parse_float=Number, parse_constant=_refuse_constant, object_pairs_hook=_first_wins
        )
        if _SURROGATE.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except (UnicodeError, ValueError) as error:
        return letter("malformed_json", str(error))
    except RecursionError:
        return Letter("malformed_json", f"nested deeper than {MAX_DEPTH}")
    if text.count("[") + text.count("{") > MAX_DEPTH and _depth(text) > MAX_DEPTH:
        return Letter("malformed_json", f"nested deeper than {MAX_DEPTH}")
    if not isinstance(found, dict):
        return Letter("not_an_object", _name(found))
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


def _first_wins(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        found = dict(reversed(pairs))
        return {key: found[key] for key, _ in pairs}
    return found


def _depth(text: str) -> int:
    depth = deepest = 0
    for mark in re.findall(r"[\[{\]}]", _STRING.sub("", text)):
        depth += 1 if mark in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def values(
    topic: Topic, fields: Mapping[str, object], scalar: Callable[[SqlType, object], object] | None = None
) -> dict[str, object] | Letter:
    """The columns' values of fields that are neither missing nor unexpected, or why not (5 or 6, but for the skew).

    Args:
        topic: whose columns.
        fields: JSON values, numbers as `Number`.
        scalar: reads one value that is no list; default `scalar_of`.
    """
    scalar = scalar or scalar_of
    out: dict[str, object] = {}
    late: Letter | None = None
    for name, kind in topic.types:
        value = fields.get(name)
        try:
            out[name] = None if value is None else _list(kind, value, scalar) if kind.many else scalar(kind, value)
        except NoTimeError as error:
            if name != topic.event_time:
                return _invalid(name, kind, value, error)
            late = letter("invalid_timestamp", f"{name}: {error}")
        except InvalidError as error:
            return _invalid(name, kind, value, error)
    return late or out


def _invalid(name: str, kind: SqlType, value: object, error: InvalidError) -> Letter:
    text = f"decimal({kind.precision},{kind.scale})" if kind.name == "decimal" else kind.name
    shown = value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False, default=str)
    return letter("invalid_value", f"{name}: expected {text}{'[]' * kind.many}, got {str(error) or shown}")


def letter(reason: str, detail: str) -> Letter:
    """A letter whose detail is cut to a readable length."""
    return Letter(reason, detail if len(detail) <= _DETAIL else detail[: _DETAIL - 1] + "…")


def _name(value: object) -> str:
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    return "an array" if isinstance(value, list) else "a number" if isinstance(value, Number) else "a string"


def _list(kind: SqlType, value: object, scalar: Callable[[SqlType, object], object]) -> list[object]:
    if not isinstance(value, list):
        raise InvalidError
    if any(item is None for item in value):
        raise InvalidError("null in the array")
    return [scalar(kind, item) for item in value]


def scalar_of(kind: SqlType, value: object) -> object:
    """A JSON value as its column holds it; `InvalidError` if the column does not accept it."""
    if kind.name == "boolean":
        if not isinstance(value, bool):
            raise InvalidError
        return value
    if kind.name in ("varchar", "date", "timestamp"):
        if not isinstance(value, str) or isinstance(value, Number):
            raise InvalidError
        return _text(value) if kind.name == "varchar" else _day(value) if kind.name == "date" else _instant(value)
    if not isinstance(value, Number):
        raise InvalidError
    if kind.name == "double":
        return _double(value)
    return _decimal(kind, value) if kind.name == "decimal" else _whole(kind, value)


def _text(value: str) -> str:
    if "\0" in value:
        raise InvalidError("a string with U+0000")
    return value


def _double(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise InvalidError
    return number + 0.0


def _whole(kind: SqlType, text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isdigit() or len(digits) > 20:
        raise InvalidError
    number = int(text)
    if kind.name in _UNITS_US:
        number *= _UNITS_US[kind.name]
        if not MIN_US <= number <= MAX_US:
            raise NoTimeError(f"{text} lies outside the years 1 to 9999")
        return number
    limit = 1 << _INTEGERS[kind.name]
    if not -limit <= number < limit:
        raise InvalidError
    return number


def _decimal(kind: SqlType, text: str) -> Decimal:
    try:
        number = Decimal(text, _EXACT)
        if number and number.adjusted() >= kind.precision:
            raise InvalidError
        fitted = number.quantize(Decimal(1).scaleb(-kind.scale), rounding=ROUND_HALF_UP, context=_EXACT)
    except InvalidOperation:
        raise InvalidError from None
    if (fitted != number and not kind.rounded) or len(fitted.as_tuple().digits) > kind.precision:
        raise InvalidError
    return fitted if fitted else abs(fitted)


def _day(text: str) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise InvalidError


def _instant(text: str) -> int:
    """µs since 1970-01-01Z of an ISO 8601 time; without a zone it is UTC; digits beyond the microsecond are dropped."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise NoTimeError(f"{text!r} is not a time")
    year, month, day, hour, minute = (int(match[i]) for i in range(1, 6))
    try:
        moment = datetime(year, month, day, hour, minute, int(match[6] or 0), tzinfo=UTC)
    except ValueError as error:
        raise NoTimeError(f"{text!r}: {error}") from None
    micros = int((match[7] or "").ljust(6, "0")[:6])
    number = (moment - _EPOCH) // timedelta(microseconds=1) + micros - _offset_us(match[8] or "Z")
    if not MIN_US <= number <= MAX_US:
        raise NoTimeError(f"{text!r} lies outside the years 1 to 9999")
    return number


def _offset_us(zone: str) -> int:
    if zone in "Zz":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (-1 if zone[0] == "-" else 1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60) * 1_000_000
