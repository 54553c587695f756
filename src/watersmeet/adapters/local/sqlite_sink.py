"""Published tables as tables of one SQLite file.

A write is one transaction with its sequence number. A key has one row, whatever its scope: a row that moves to another
scope leaves the old one. Keys may hold nulls, which SQLite's own primary keys do not compare, so rows are put by
deleting and inserting. What SQLite has no type for is text: decimals with all their digits, times in UTC as
``YYYY-MM-DD HH:MM:SS[.ffffff]``, which sorts; nested values are JSON; whole numbers are text beyond 64 bits.

``_watersmeet_shapes`` and ``_watersmeet_sequences`` stand beside the tables.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from watersmeet.core.errors import ConflictError, RequestError
from watersmeet.core.failpoint import declare
from watersmeet.core.record import Records
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table
from watersmeet.formats.statement import Sql, statement
from watersmeet.formats.table_rows import TableRows, check_sequence, check_shape, described, is_nested, types_of

from .database import Database

declare("sink.commit.before", "sink.commit.after")
_WHOLE = re.compile(r"U?(TINY|SMALL)INT|U?INTEGER|BIGINT")
_WIDE = ("UBIGINT", "HUGEINT", "UHUGEINT")
_REAL = ("FLOAT", "DOUBLE")
_SCHEMA = (
    "create table if not exists _watersmeet_shapes(name text primary key collate nocase, shape blob)",
    "create table if not exists _watersmeet_sequences(name text, scope text, sequence integer,"
    " primary key(name, scope)) without rowid",
)
_decode_shape = msgspec.json.Decoder(Shape).decode
_Row = tuple[object, ...]


class SqliteSink:
    """The `Sink` port on an SQLite file. Safe to share between threads; processes may share the file.

    Args:
        path: the file; made, for its owner only, if it is missing. It may hold tables of others too.

    Raises:
        UnavailableError: it cannot be opened.
        CorruptError: it is not an SQLite file.
    """

    def __init__(self, path: Path) -> None:
        self._rows = TableRows()
        self._database = Database(path, _prepare, name="sink")

    def prepare(self, table: Table, shape: Shape) -> None:
        """Make the table if it is missing.

        Raises:
            ConflictError: it exists in another shape, or was made by somebody else.
            RequestError: a column has no type, or the key, scope, partition or order no column.
        """
        new = described(shape)
        if shape.name.lower().startswith(("sqlite_", "_watersmeet_")):
            raise RequestError(f"table {shape.name}", expected="a name that SQLite does not use itself")
        columns = [statement("{name} {type}", name=name, type=_declared(type_)) for name, type_ in new.columns]
        make = "create table {table} ({columns}, primary key ({key}))"
        index = "create index {index} on {table} ({scope})"
        with self._database.write() as connection:
            there = _shape(connection, shape.name)
            if there is not None:
                check_shape(there, new)
                return
            used = "select 1 from sqlite_master where name=? collate nocase"
            if connection.execute(used, (shape.name,)).fetchone():
                remedy = "give the table another name"
                raise ConflictError(f"table {shape.name}", expected="a new name", got="one in use", remedy=remedy)
            connection.execute(statement(make, table=shape.name, columns=columns, key=shape.key))
            if shape.scope not in (None, shape.key[0]):
                name = f"_watersmeet_scope_{shape.name}"
                connection.execute(statement(index, index=name, table=shape.name, scope=str(shape.scope)))
            row = (shape.name, msgspec.json.encode(new))
            connection.execute("insert into _watersmeet_shapes values(?, ?)", row)

    def write(self, shape: Shape, scope: object, upserts: Records, deletes: Records, sequence: int) -> None:
        """Put and delete rows of one scope, by key; a key in both is put."""
        where = self._rows.scope_text(shape, scope)
        gone = self._stored(shape, self._rows.typed(shape, deletes, shape.key))
        within, value = self._within(shape, where)
        take = statement(
            "delete from {table} where {key} and {within}", table=shape.name, key=_key(shape), within=within
        )
        self._change(shape, where, sequence, upserts, take, [(*key, *value) for key in gone])

    def replace(self, shape: Shape, scope: object, rows: Records, sequence: int) -> None:
        """Make a scope hold exactly ``rows``, at once."""
        where = self._rows.scope_text(shape, scope)
        within, value = self._within(shape, where)
        take = statement("delete from {table} where {within}", table=shape.name, within=within)
        self._change(shape, where, sequence, rows, take, [value])

    def probe(self) -> str:
        """Begin to write, and say what this is."""
        with self._database.write() as connection:
            version = connection.execute("select sqlite_version()").fetchone()[0]
        return f"SQLite {version}, file {self._database.path}"

    def close(self) -> None:
        """Close the file; nothing may be asked afterwards."""
        self._database.close()

    def _change(
        self, shape: Shape, scope: str | None, sequence: int, rows: Records, take: Sql, taken: Sequence[_Row]
    ) -> None:
        """Take rows away and put others, in one transaction with the sequence number."""
        new = self._rows.typed(shape, rows, [name for name, _ in shape.columns])
        self._rows.check_scope(shape, scope, new)
        self._rows.check_keys(shape, new)
        put, keys = self._stored(shape, new), self._stored(shape, new.select(shape.key))
        clear = statement("delete from {table} where {key}", table=shape.name, key=_key(shape))
        add = statement("insert into {table} values({marks})", table=shape.name, marks=[Sql("?")] * len(shape.columns))
        with self._database.write() as connection:
            _take_up(connection, shape, scope, sequence)
            connection.executemany(take, taken)
            connection.executemany(clear, keys)
            connection.executemany(add, put)

    def _stored(self, shape: Shape, table: pa.Table) -> list[_Row]:
        """Rows as SQLite holds them."""
        types = dict(types_of(shape))
        query = statement("select {columns} from given", columns=[_as_stored(n, types[n]) for n in table.column_names])
        found = self._rows.run(f"rows of table {shape.name}", query, given=table)
        values = [column.to_pylist() for column in found.columns]
        for number, name in enumerate(table.column_names):
            if types[name] in _WIDE:
                values[number] = [_narrowed(value) for value in values[number]]
            elif types[name] in _REAL:
                # SQLite would store it as null without a word.
                values[number] = ["nan" if value != value else value for value in values[number]]
        return list(zip(*values, strict=True))

    def _within(self, shape: Shape, scope: str | None) -> tuple[Sql, _Row]:
        """A condition that holds for the rows of a scope, and its values."""
        if shape.scope is None:
            return Sql("true"), ()
        type_ = dict(types_of(shape))[shape.scope]
        if shape.scope_us and scope is not None:
            query = statement(
                "select cast($1 as {type}) + to_microseconds(i * $2) as {name} from range(2) t(i) order by i",
                type=type_,
                name=shape.scope,
            )
            ends = self._stored(shape, self._rows.run(f"scope of table {shape.name}", query, [scope, shape.scope_us]))
            (lower,), (upper,) = ends
            return statement("{name} >= ? and {name} < ?", name=shape.scope), (lower, upper)
        query = statement("select cast($1 as {type}) as {name}", type=type_, name=shape.scope)
        (value,) = self._stored(shape, self._rows.run(f"scope of table {shape.name}", query, [scope]))
        return statement("{name} is ?", name=shape.scope), value


def _prepare(connection: sqlite3.Connection) -> None:
    for text in _SCHEMA:
        connection.execute(text)


def _shape(connection: sqlite3.Connection, name: str) -> Shape | None:
    query = "select name, shape from _watersmeet_shapes where name=?"
    row = connection.execute(query, (name,)).fetchone()
    if row is not None and row[0] != name:
        remedy = "give the table another name"
        raise ConflictError(f"table {name}", expected="a name of its own", got=f"that of {row[0]}", remedy=remedy)
    return None if row is None else _decode_shape(row[1])


def _take_up(connection: sqlite3.Connection, shape: Shape, scope: str | None, sequence: int) -> None:
    """Refuse a table that is not there or a writer that was overtaken; remember the sequence number."""
    there = _shape(connection, shape.name)
    if there is None:
        raise RequestError(f"table {shape.name}", kind="unknown", expected="a table", remedy="apply it first")
    check_shape(there, described(shape))
    where = (shape.name, "" if scope is None else f"={scope}")
    query = "select sequence from _watersmeet_sequences where name=? and scope=?"
    row = connection.execute(query, where).fetchone()
    check_sequence(shape.name, scope, -1 if row is None else row[0], sequence)
    connection.execute("replace into _watersmeet_sequences values(?, ?, ?)", (*where, sequence))


def _key(shape: Shape) -> Sql:
    return Sql(" and ".join(statement("{name} is ?", name=name) for name in shape.key))


def _declared(type_: str) -> Sql:
    """The column type in SQLite. ``INT``: an ``INTEGER`` key would be the row's number and could not be null."""
    if type_ in _WIDE:
        return Sql("")
    if type_ == "BOOLEAN" or _WHOLE.fullmatch(type_):
        return Sql("INT")
    return Sql({"FLOAT": "REAL", "DOUBLE": "REAL", "BLOB": "BLOB"}.get(type_, "TEXT"))


def _as_stored(name: str, type_: str) -> Sql:
    value = "{name}" if _declared(type_) in ("INT", "REAL", "BLOB") else "cast({name} as varchar)"
    if type_ == "BOOLEAN":
        value = "cast({name} as tinyint)"
    elif is_nested(type_):
        value = "cast(to_json({name}) as varchar)"
    return statement(value + " as {name}", name=name)


def _narrowed(value: str | None) -> int | str | None:
    if value is None:
        return None
    return int(value) if -(2**63) <= int(value) < 2**63 else value
