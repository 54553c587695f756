"""A published table as a Cassandra table.

    partition key        the declared partition; else the key without the scope and the order, if that leaves any
    clustering columns   the declared order, the rest of the key, the scope, ``watersmeet_key``
    other columns        the rest, and ``watersmeet_rest``

| type of the column                                   | CQL                                                       |
|------------------------------------------------------|-----------------------------------------------------------|
| BOOLEAN; FLOAT, DOUBLE; VARCHAR, ENUM; BLOB; UUID    | boolean; float, double; text; blob; uuid                  |
| TINYINT, SMALLINT, INTEGER, BIGINT                   | tinyint, smallint, int, bigint                            |
| UTINYINT, USMALLINT, UINTEGER                        | smallint, int, bigint                                     |
| UBIGINT, HUGEINT, UHUGEINT; DECIMAL                  | varint; decimal                                           |
| DATE; TIME; TIMESTAMP, TIMESTAMPTZ, _S, _MS          | date; time; timestamp: of ms, in UTC                      |
| lists and arrays of these                            | frozen list                                               |
| STRUCT, MAP, UNION, lists of lists or of these       | text, their JSON                                          |
| TIMESTAMP_NS, INTERVAL, BIT, TIMETZ, …               | refused when the table is made, naming the column         |

Names are written in small letters. What a type cannot hold is nearest to the value in the column, or null for a list
with nulls in it, and exact in the map ``watersmeet_rest``, as text under the column's name. Keys of Cassandra have no
nulls, and a partition key that is one text cannot be empty: such a value is the type's zero, and ``watersmeet_key``,
which is empty otherwise, says in JSON what it stands for; so it does for a time with µs.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property
from typing import Any

from duckdb.sqltypes import DuckDBPyType

from watersmeet.core.errors import RequestError
from watersmeet.core.sink import Shape
from watersmeet.formats.native import Converter, Row, milliseconds, refuse_type
from watersmeet.formats.statement import Sql, statement
from watersmeet.formats.table_rows import is_nested, types_of

KEY, REST = "watersmeet_key", "watersmeet_rest"
_NAME = re.compile(r"(?!watersmeet_)[a-z0-9_]{1,48}")
_CUT = 30
_DAY = date(1970, 1, 1)


@dataclass(frozen=True)
class Published:
    """How one shape lies in Cassandra.

    Args:
        shape: what it looks like to watersmeet.
        prefix: of the table's name, such as ``shop_``.

    Raises:
        RequestError: a column cannot be held, for its type or its name.
    """

    shape: Shape
    prefix: str = ""

    def __post_init__(self) -> None:
        names = [name.lower() for name, _ in self.shape.columns]
        for name, type_ in types_of(self.shape):
            if name.lower() in (KEY, REST) or names.count(name.lower()) > 1 or not name:
                expected, remedy = (
                    "a name that no other has in small letters",
                    "name it otherwise in the table's columns",
                )
                raise RequestError(f"column {name} of table {self.shape.name}", expected=expected, remedy=remedy)
            if _cql(DuckDBPyType(type_)) is None:
                raise refuse_type(self.shape, name, DuckDBPyType(type_), "Cassandra")

    @cached_property
    def name(self) -> str:
        """The table's name: its own in small letters; a short form and a digest where Cassandra allows no such name."""
        wanted = self.prefix + self.shape.name.lower()
        if _NAME.fullmatch(wanted):
            return wanted
        digest = hashlib.sha256((self.prefix + self.shape.name).encode()).hexdigest()[:12]
        return f"{re.sub('[^a-z0-9_]', '_', wanted)[:_CUT]}_{digest}"

    @cached_property
    def partition(self) -> tuple[str, ...]:
        """Columns of the partition key."""
        shape = self.shape
        derived = [name for name in shape.key if name != shape.scope and name not in shape.order]
        return tuple(dict.fromkeys(shape.partition or derived or shape.key))

    @cached_property
    def place(self) -> tuple[str, ...]:
        """Columns of the primary key, but for `KEY`: rows of two scopes never share one."""
        scope = (self.shape.scope,) if self.shape.scope is not None else ()
        return tuple(dict.fromkeys((*self.partition, *self.shape.order, *self.shape.key, *scope)))

    @cached_property
    def others(self) -> tuple[str, ...]:
        """All other columns, but for `REST`."""
        return tuple(name for name, _ in self.shape.columns if name not in self.place)

    @cached_property
    def columns(self) -> dict[str, tuple[str, str]]:
        """Name in Cassandra -> its kind (``partition_key 0``, ``clustering 1``, ``regular``) and its CQL type."""
        types = {name: str(_cql(DuckDBPyType(type_))) for name, type_ in types_of(self.shape)}
        clustering = self.place[len(self.partition) :]
        out = {name.lower(): (f"partition_key {n}", types[name]) for n, name in enumerate(self.partition)}
        out |= {name.lower(): (f"clustering {n}", types[name]) for n, name in enumerate(clustering)}
        out[KEY] = (f"clustering {len(clustering)}", "text")
        out |= {name.lower(): ("regular", types[name]) for name in self.others}
        return out | {REST: ("regular", "map<text, text>")}

    @cached_property
    def converters(self) -> dict[str, Converter | None]:
        """For each column, from Arrow's values to the driver's; None: it is held as text."""
        return {name: _converter(DuckDBPyType(type_)) for name, type_ in types_of(self.shape)}

    def made(self, options: str) -> Sql:
        """CQL that makes the table."""
        columns = [statement("{name} " + type_, name=name) for name, (_, type_) in self.columns.items()]
        clustering = [name.lower() for name in self.place[len(self.partition) :]] + [KEY]
        text = (
            "create table if not exists {table} ({columns}, primary key (({partition}), {clustering})) with " + options
        )
        partition = [name.lower() for name in self.partition]
        return statement(text, table=self.name, columns=columns, partition=partition, clustering=clustering)

    @cached_property
    def insert(self) -> Sql:
        """CQL that puts a row: the values of `primary`, of `others`, `REST`, a timestamp."""
        names = [name.lower() for name in self.place] + [KEY, *(name.lower() for name in self.others), REST]
        marks = [Sql("?")] * len(names)
        text = "insert into {table} ({names}) values ({marks}) using timestamp ?"
        return statement(text, table=self.name, names=names, marks=marks)

    @cached_property
    def delete(self) -> Sql:
        """CQL that deletes a row: a timestamp, then the values of `primary`."""
        names = [name.lower() for name in self.place] + [KEY]
        where = Sql(" and ".join(statement("{name} = ?", name=name) for name in names))
        return statement("delete from {table} using timestamp ? where {where}", table=self.name, where=where)

    def primary(self, names: Sequence[str], row: Row) -> tuple[object, ...]:
        """The values of a row's primary key."""
        values, rest = dict(zip(names, row[0], strict=True)), row[1]
        types, marks = dict(types_of(self.shape)), dict[str, str | None]()
        out = list[object]()
        for name in self.place:
            value = values[name]
            alone = self.partition == (name,)
            if name in rest:
                marks[name] = rest[name]
            elif value is None or (alone and value in ("", b"")):
                marks[name] = None if value is None else ""
            if value is None or (alone and value in ("", b"")):
                value = _zero(str(_cql(DuckDBPyType(types[name]))), alone=alone)
            out.append(value)
        return (*out, json.dumps(marks, sort_keys=True) if marks else "")

    def row(self, names: Sequence[str], row: Row) -> tuple[object, ...]:
        """The values of a whole row, for `insert`."""
        values = dict(zip(names, row[0], strict=True))
        rest = {name: text for name, text in row[1].items() if name in self.others}
        return (*self.primary(names, row), *(values[name] for name in self.others), rest or None)


def _cql(type_: DuckDBPyType) -> str | None:
    """The CQL type; None if there is none."""
    if type_.id in ("list", "array"):
        inner = _inner(type_)
        if inner.id in _KINDS:
            return f"frozen<list<{_KINDS[inner.id][0]}>>"
    if is_nested(str(type_)):
        return "text"
    return _KINDS[type_.id][0] if type_.id in _KINDS else None


def _converter(type_: DuckDBPyType) -> Converter | None:
    if type_.id in ("list", "array"):
        inner = _inner(type_)
        return _of_list(_KINDS[inner.id][1]) if inner.id in _KINDS else None
    return _KINDS[type_.id][1] if type_.id in _KINDS else None


def _inner(type_: DuckDBPyType) -> DuckDBPyType:
    inner = type_.children[0][1]
    return inner if isinstance(inner, DuckDBPyType) else DuckDBPyType("VARCHAR")


def _of_list(convert: Converter) -> Converter:
    def made(value: Sequence[Any]) -> tuple[object, bool]:
        if None in value:
            return None, False
        pairs = [convert(each) for each in value]
        return [each for each, _ in pairs], all(exact for _, exact in pairs)

    return made


def _zero(type_: str, *, alone: bool) -> object:
    """What stands for a null in a key; ``alone``: it is the whole partition key, which may not be empty."""
    if type_.startswith("frozen"):
        return []
    zeros: dict[str, object] = {
        "boolean": False,
        "text": "\0" if alone else "",
        "blob": b"\0" if alone else b"",
        "decimal": Decimal(0),
        "date": _DAY,
        "time": time(),
        "uuid": uuid.UUID(int=0),
    }
    return zeros.get(type_, 0)


def _same(value: Any) -> tuple[object, bool]:
    return value, True


def _whole(value: int | Decimal) -> tuple[object, bool]:
    return int(value), True


def _time(value: int | datetime) -> tuple[object, bool]:
    return milliseconds(value)


def _uuid(value: object) -> tuple[object, bool]:
    return uuid.UUID(str(value)), True


_KINDS: dict[str, tuple[str, Converter]] = {
    "boolean": ("boolean", _same),
    "tinyint": ("tinyint", _same),
    "smallint": ("smallint", _same),
    "integer": ("int", _same),
    "bigint": ("bigint", _same),
    "utinyint": ("smallint", _same),
    "usmallint": ("int", _same),
    "uinteger": ("bigint", _same),
    "ubigint": ("varint", _whole),
    "hugeint": ("varint", _whole),
    "uhugeint": ("varint", _whole),
    "float": ("float", _same),
    "double": ("double", _same),
    "decimal": ("decimal", _same),
    "varchar": ("text", _same),
    "enum": ("text", _same),
    "blob": ("blob", _same),
    "uuid": ("uuid", _uuid),
    "date": ("date", _same),
    "time": ("time", _same),
    **dict.fromkeys(("timestamp", "timestamp with time zone", "timestamp_s", "timestamp_ms"), ("timestamp", _time)),
}
