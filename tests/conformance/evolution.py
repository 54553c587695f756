"""How schemas change: what each level says of it, and what a topic declared before makes of records written after."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NONE, BACKWARD, FORWARD, FULL = "NONE", "BACKWARD", "FORWARD", "FULL"


@dataclass(frozen=True)
class Change:
    """One change of a record ``{x, y}``, where y is what changes.

    Args:
        name: of the change.
        fields: y before and after; empty where there is none.
        column: the type of the topic's column y; None: it has no such column.
        values: y as written before and after.
        read: y as read of the new record; a text that begins with ``!`` is the reason why that is dead.
        levels: those that allow it, beside NONE.
    """

    name: str
    fields: tuple[tuple[Any, ...], tuple[Any, ...]]
    column: str | None
    values: tuple[Any, Any]
    read: Any
    levels: tuple[str, ...]

    @property
    def before(self) -> str:
        """The schema before."""
        return _record(self.fields[0])

    @property
    def after(self) -> str:
        """The schema after."""
        return _record(self.fields[1])

    @property
    def schema(self) -> Mapping[str, str]:
        """The topic's columns."""
        return {"x": "bigint not null"} | ({} if self.column is None else {"y": self.column})

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The levels that allow it."""
        return (NONE, *self.levels)

    def written(self, number: int) -> dict[str, Any]:
        """The record before (0) or after (1)."""
        return {"x": 1} | {f["name"]: self.values[number] for f in self.fields[number]}


def _record(fields: tuple[Any, ...]) -> str:
    return json.dumps({"type": "record", "name": "r", "fields": [{"name": "x", "type": "long"}, *fields]})


def _y(of: Any, **more: Any) -> tuple[dict[str, Any], ...]:
    return ({"name": "y", "type": of, **more},)


def _enum(*symbols: str) -> dict[str, Any]:
    return {"type": "enum", "name": "e", "symbols": symbols}


def _inner(*names: str) -> list[Any]:
    fields = [{"name": name, "type": "int"} for name in names]
    return ["null", {"type": "record", "name": "inner", "fields": fields}]


_RENAMED = ({"name": "z", "type": "long"},)
_ALIASED = ({"name": "z", "type": "long", "aliases": ["y"]},)
_MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
_GONE = "!incompatible_schema"
_LONG, _INT, _TEXT = "bigint not null", "integer not null", "varchar not null"

CHANGES = (
    Change("add with default", ((), _y("long", default=5)), None, (None, 7), None, (BACKWARD, FORWARD, FULL)),
    Change("add without default", ((), _y("long")), None, (None, 7), None, (FORWARD,)),
    Change("remove", (_y("long"), ()), _LONG, (7, None), _GONE, (BACKWARD,)),
    Change("rename", (_y("long"), _RENAMED), _LONG, (7, 8), _GONE, ()),
    Change("rename with alias", (_y("long"), _ALIASED), _LONG, (7, 8), _GONE, (BACKWARD,)),
    Change("widen", (_y("int"), _y("long")), _INT, (7, 8), _GONE, (BACKWARD,)),
    Change("narrow", (_y("long"), _y("int")), _LONG, (7, 8), 8, (FORWARD,)),
    Change("int to string", (_y("int"), _y("string")), _INT, (7, "8"), _GONE, ()),
    Change("enum grows", (_y(_enum("A", "B")), _y(_enum("A", "B", "C"))), _TEXT, ("A", "C"), "C", (BACKWARD,)),
    Change("enum shrinks", (_y(_enum("A", "B", "C")), _y(_enum("A", "B"))), _TEXT, ("A", "B"), "B", (FORWARD,)),
    Change(
        "union grows",
        (_y(["null", "int"]), _y(["null", "int", "string"])),
        "integer",
        (7, "8"),
        "!invalid_value",
        (BACKWARD,),
    ),
    Change("union shrinks", (_y(["null", "int", "string"]), _y(["null", "int"])), "integer", (7, 8), 8, (FORWARD,)),
    Change(
        "record in a union grows",
        (_y(_inner("a")), _y(_inner("a", "b"))),
        None,
        ({"a": 1}, {"a": 1, "b": 2}),
        None,
        (FORWARD,),
    ),
    Change(
        "default changes", (_y("long", default=5), _y("long", default=6)), _LONG, (7, 8), 8, (BACKWARD, FORWARD, FULL)
    ),
    Change("logical type", (_y("long"), _y(_MILLIS)), _LONG, (7, 8), _GONE, (BACKWARD, FORWARD, FULL)),
)
