"""Avro schemas, parsed: what a writer's text says.

Logical types are kept where the specification knows them and they are valid on their type; otherwise they are ignored,
as it says. So is a logical type that stands beside a field's type and not within it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from .errors import RequestError
from .schemas import MAX_SCHEMA_BYTES

PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
MAX_DEPTH = 100
MAX_DIGITS = 1_800
MAX_VALUES = 10_000
"""Of one record, as far as its schema tells: types used over and over can make a short schema very large."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_SIMPLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_TIMES = [f"{local}timestamp-{unit}" for local in ("", "local-") for unit in ("millis", "micros", "nanos")]
_LOGICAL = {
    "date": ("int",),
    "time-millis": ("int",),
    "time-micros": ("long",),
    **dict.fromkeys(_TIMES, ("long",)),
    "decimal": ("bytes", "fixed"),
    "uuid": ("string", "fixed"),
}
_UUID_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class AvroType:
    """One type. Types may contain themselves, so they are compared by identity.

    Args:
        type: a primitive, record, enum, array, map, union or fixed.
        name: full name of a record, enum or fixed.
        aliases: its other full names.
        logical: its logical type, empty if none.
        precision, scale: of a decimal.
        size: bytes of a fixed.
        symbols: of an enum; ``default`` is the one for unknown symbols, or None.
        fields: of a record.
        parts: the branches of a union; the one type of an array's items or a map's values.
    """

    type: str
    name: str = ""
    aliases: tuple[str, ...] = ()
    logical: str = ""
    precision: int = 0
    scale: int = 0
    size: int = 0
    symbols: tuple[str, ...] = ()
    default: str | None = None
    fields: list[AvroField] = field(default_factory=list)
    parts: tuple[AvroType, ...] = ()

    @property
    def branches(self) -> tuple[AvroType, ...]:
        """Those of a union; the type itself if it is none."""
        return self.parts if self.type == "union" else (self,)

    def __str__(self) -> str:
        """As people say it: ``string``, ``long (timestamp-millis)``, ``union of null, int``."""
        if self.type in ("array", "map", "union"):
            inner = [str(part) if part.type in PRIMITIVES else part.type for part in self.parts]
            return f"{self.type} of {', '.join(inner)}"
        detail = f"decimal({self.precision},{self.scale})" if self.logical == "decimal" else self.logical or self.name
        return f"{self.type} ({detail})" if detail else self.type


@dataclass(frozen=True, slots=True, eq=False)
class AvroField:
    """One field of a record; ``optional`` if it has a default."""

    name: str
    type: AvroType
    optional: bool = False
    aliases: tuple[str, ...] = ()


def parse_avro(text: str) -> AvroType:
    """Read a schema.

    Raises:
        RequestError: it is larger than 1 MiB, nested deeper than 100, its records have more than 10,000 values, or it
            is no Avro schema.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_SCHEMA_BYTES:
        raise _refusal(f"more than {MAX_SCHEMA_BYTES} bytes")
    if text.strip() in PRIMITIVES:  # which may be written without quotation marks
        return AvroType(text.strip())
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refusal(f"no JSON: {error}") from error
    return _Parser().read(found, "", 0)


def _refusal(got: str) -> RequestError:
    return RequestError("Avro schema", expected="a schema by the Avro specification", got=got[:200])


class _Parser:
    """Reads nested JSON, remembering the types that have names."""

    def __init__(self) -> None:
        self._named: dict[str, AvroType] = {}
        self._values: dict[str, int] = {}

    def read(self, given: Any, space: str, depth: int) -> AvroType:  # type: ignore[explicit-any]  # parsed JSON
        if depth > MAX_DEPTH:
            raise _refusal(f"nested deeper than {MAX_DEPTH}")
        if isinstance(given, str):
            return self._by_name(given, space)
        if isinstance(given, list):
            return self._union(given, space, depth)
        if not isinstance(given, dict):
            raise _refusal(repr(given))
        kind = given.get("type")
        if isinstance(kind, dict | list):
            return self.read(kind, space, depth + 1)
        match kind:
            case "record" | "error":
                return self._record(given, space, depth)
            case "enum":
                return self._enum(given, space)
            case "fixed":
                return self._fixed(given, space)
            case "array" | "map":
                inner = given.get("items" if kind == "array" else "values")
                return AvroType(kind, parts=(self.read(inner, space, depth + 1),))
            case str():
                found = self._by_name(kind, space)
                return _annotated(found, given) if kind in PRIMITIVES else found
        raise _refusal(f"type {kind!r}")

    def _by_name(self, name: str, space: str) -> AvroType:
        if name in PRIMITIVES:
            return AvroType(name)
        full = name if "." in name or not space else f"{space}.{name}"
        found = self._named.get(full) or self._named.get(name)
        if found is None:
            raise _refusal(f"type {name!r}, which is not defined in it")
        return found

    def _union(self, given: list[Any], space: str, depth: int) -> AvroType:  # type: ignore[explicit-any]  # parsed JSON
        parts = tuple(self.read(item, space, depth + 1) for item in given)
        kinds = [part.name or part.type for part in parts]
        if not parts or "union" in kinds or len(set(kinds)) < len(kinds):
            raise _refusal(f"a union of {', '.join(kinds) or 'nothing'}")
        return AvroType("union", parts=parts)

    def _record(self, given: dict[str, Any], space: str, depth: int) -> AvroType:  # type: ignore[explicit-any]  # parsed JSON
        name, aliases = _full_name(given, space)
        found = self._define(AvroType("record", name, aliases))
        fields = given.get("fields")
        if not isinstance(fields, list):
            raise _refusal(f"record {name} without fields")
        for item in fields:
            if not isinstance(item, dict) or not _is_simple(item.get("name")):
                raise _refusal(f"field {item!r} of record {name}")
            kind = self.read(item.get("type"), name.rpartition(".")[0], depth + 1)
            other = tuple(a for a in item.get("aliases") or () if isinstance(a, str))
            found.fields.append(AvroField(item["name"], kind, "default" in item, other))
        self._values[name] = 1 + sum(self._count(item.type) for item in found.fields)
        if self._values[name] > MAX_VALUES:
            raise _refusal(f"record {name} of more than {MAX_VALUES} values")
        names = [item.name for item in found.fields]
        if len(set(names)) < len(names):
            raise _refusal(f"record {name} with two fields of one name")
        return found

    def _count(self, kind: AvroType) -> int:
        return self._values.get(kind.name, 1) + sum(map(self._count, kind.parts))

    def _enum(self, given: dict[str, Any], space: str) -> AvroType:  # type: ignore[explicit-any]  # parsed JSON
        name, aliases = _full_name(given, space)
        symbols, default = given.get("symbols"), given.get("default")
        if not isinstance(symbols, list) or not all(map(_is_simple, symbols)) or len(set(symbols)) < len(symbols):
            raise _refusal(f"enum {name} of {symbols!r}")
        if default is not None and default not in symbols:
            raise _refusal(f"enum {name} with the default {default!r}")
        return self._define(AvroType("enum", name, aliases, symbols=tuple(symbols), default=default))

    def _fixed(self, given: dict[str, Any], space: str) -> AvroType:  # type: ignore[explicit-any]  # parsed JSON
        name, aliases = _full_name(given, space)
        size = given.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise _refusal(f"fixed {name} of {size!r} bytes")
        return self._define(_annotated(AvroType("fixed", name, aliases, size=size), given))

    def _define(self, found: AvroType) -> AvroType:
        if found.name in self._named:
            raise _refusal(f"two types called {found.name}")
        self._named[found.name] = found
        return found


def _full_name(given: dict[str, Any], space: str) -> tuple[str, tuple[str, ...]]:  # type: ignore[explicit-any]  # parsed JSON
    name, own = given.get("name"), given.get("namespace", space)
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(own, str) or name in PRIMITIVES:
        raise _refusal(f"a {given.get('type')} called {name!r}")
    full = name if "." in name or not own else f"{own}.{name}"
    inside = full.rpartition(".")[0]
    aliases = [a for a in given.get("aliases") or () if isinstance(a, str)]
    return full, tuple(a if "." in a or not inside else f"{inside}.{a}" for a in aliases)


def _is_simple(name: object) -> bool:
    return isinstance(name, str) and bool(_SIMPLE.fullmatch(name))


def _annotated(of: AvroType, given: dict[str, Any]) -> AvroType:  # type: ignore[explicit-any]  # parsed JSON
    """The type with the logical type that stands beside it, if that is valid on it."""
    logical = given.get("logicalType")
    if not isinstance(logical, str) or of.type not in _LOGICAL.get(logical, ()):
        return of
    if logical == "uuid" and of.type == "fixed" and of.size != _UUID_BYTES:
        return of
    precision, scale = 0, 0
    if logical == "decimal":
        precision, scale = given.get("precision", 0), given.get("scale", 0)
        plain = type(precision) is int and type(scale) is int
        if not plain or not 0 <= scale <= precision or precision < 1:
            return of
        if precision > MAX_DIGITS:
            raise _refusal(f"a decimal of {precision} digits")
    return AvroType(of.type, of.name, of.aliases, logical, precision=precision, scale=scale, size=of.size)
