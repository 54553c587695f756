"""Values as canonical JSON, and back to equal values.

The JSON has null, booleans, numbers, strings and lists as they are. Every object has a key ``$`` that says what it is:
a data class by its name, with its fields beside it, or one of

    {"$": "tuple", "of": [...]}      {"$": "dict", "of": [[key, value], ...]}     (in order)
    {"$": "decimal" | "datetime" | "date" | "time" | "float", "of": text}
    {"$": "microseconds", "of": whole number}  (a length of time)      {"$": "bytes", "of": hex digits}

Equal values give equal bytes if they are equal in kind and order too: keys are sorted, nothing is spaced. Reading knows
the data classes it is given and runs nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from .errors import CorruptError, DeclarationError

UNWRITTEN = {"unwritten": True}
"""Metadata of a field that is left out while it has its default: what was written before it was there stays equal."""
Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"
Kinds = Mapping[str, type]
_TEXTS: dict[str, Callable[[str], object]] = {
    "decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "float": float,
    "bytes": bytes.fromhex,
}


def dumps(value: Plain) -> bytes:
    """The canonical bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def loads(data: bytes, *, subject: str) -> dict[str, Plain]:
    """Back from `dumps` of an object; `CorruptError` naming ``subject`` if it is none."""
    try:
        found: Plain = json.loads(data)
    except ValueError as error:
        raise CorruptError(subject, expected="JSON", got=str(error)) from error
    if not isinstance(found, dict):
        raise CorruptError(subject, expected="a JSON object", got=type(found).__name__)
    return found


def write(value: object, refer: Callable[[object], Plain] = lambda _: None) -> Plain:
    """The plain form of a value.

    Args:
        value: None, booleans, numbers, strings, bytes, dates and times, lengths of time, lists, tuples, mappings and
            data classes of such.
        refer: asked of every data class first; what it returns stands for it, None writes it out.

    Raises `DeclarationError` for anything else.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else _tagged("float", repr(value))
        case list():
            return [write(item, refer) for item in value]
        case tuple():
            return _tagged("tuple", [write(item, refer) for item in value])
        case Mapping():
            return _tagged("dict", [[write(k, refer), write(v, refer)] for k, v in value.items()])
        case Decimal():
            return _tagged("decimal", str(value))
        case datetime() | date() | time():
            return _tagged(type(value).__name__, value.isoformat())
        case timedelta():
            return _tagged("microseconds", value // timedelta(microseconds=1))
        case bytes():
            return _tagged("bytes", value.hex())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return refer(value) or written_out(value, refer)
    raise DeclarationError(
        f"value {value!r}", expected="plain data, so that it can be stored", got=type(value).__name__
    )


def written_out(value: object, refer: Callable[[object], Plain]) -> Plain:
    """The plain form of a data class itself, whatever ``refer`` says of it."""
    found = {f: getattr(value, f.name) for f in dataclasses.fields(value)}  # type: ignore[arg-type]  # asked by the caller
    written = {f.name: item for f, item in found.items() if not ("unwritten" in f.metadata and item == f.default)}
    return {"$": type(value).__name__} | {name: write(item, refer) for name, item in written.items()}


def _tagged(kind: str, of: Plain) -> Plain:
    return {"$": kind, "of": of}


def read(value: Plain, kinds: Kinds, follow: Callable[[str, Plain], object], *, subject: str) -> object:
    """Back from `write`.

    Args:
        value: the plain form.
        kinds: the data classes that may occur, by name.
        follow: given the kind and ``of`` of every other object.
        subject: what is being read, for errors.

    Raises `CorruptError` for what `write` does not write; whatever a data class raises comes through.
    """
    match value:
        case list():
            return [read(item, kinds, follow, subject=subject) for item in value]
        case dict():
            kind, of = value.get("$"), value.get("of")
            if isinstance(kind, str) and kind in kinds:
                fields = {k: read(v, kinds, follow, subject=subject) for k, v in value.items() if k != "$"}
                return _made(kinds[kind], fields, subject)
            match kind, of:
                case ("tuple", list()):
                    return tuple(read(item, kinds, follow, subject=subject) for item in of)
                case ("dict", list()):
                    return dict(_pair(read(item, kinds, follow, subject=subject), subject) for item in of)
                case ("microseconds", int()):
                    return timedelta(microseconds=of)
                case (str(), str()) if kind in _TEXTS:
                    return _parsed(kind, of, subject)
                case (str(), _):
                    return follow(kind, of)
            raise CorruptError(subject, expected="an object that says what it is", got=str(value)[:80])
    return value


def _made(cls: type, fields: dict[str, object], subject: str) -> object:
    names = {f.name: f for f in dataclasses.fields(cls)}
    needed = {
        name
        for name, f in names.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    if not needed <= fields.keys() <= names.keys():
        raise CorruptError(
            f"{cls.__name__} of {subject}",
            expected=f"the fields {', '.join(names)}",
            got=", ".join(sorted(fields.keys() ^ names.keys())),
            remedy="it was written by another version of watersmeet; use that one, or apply again",
        )
    return cls(**fields)


def _pair(item: object, subject: str) -> tuple[object, object]:
    if isinstance(item, list) and len(item) == 2:
        return item[0], item[1]
    raise CorruptError(subject, expected="a pair", got=str(item)[:80])


def _parsed(kind: str, text: str, subject: str) -> object:
    try:
        return _TEXTS[kind](text)
    except (ValueError, InvalidOperation) as error:
        raise CorruptError(subject, expected=f"a {kind}", got=repr(text)) from error
