"""Rows of published tables: typed, checked, merged by key and sorted, in an engine that reaches nothing outside.

Keys compare as values do and null equals null, since null is a dimension value of its own. Rows are sorted by the
table's partition columns, its order columns and its key, nulls last: equal rows always give equal files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import duckdb
import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from watersmeet.core.errors import ConflictError, RequestError, UnavailableError
from watersmeet.core.record import Records
from watersmeet.core.sink import Shape

from .statement import Sql, statement

_START = datetime(1970, 1, 1, tzinfo=UTC)
_SAID = 300
_NESTED = re.compile(r"\]$|^(STRUCT|MAP|UNION)\b")


class TableRows:
    """An in-memory DuckDB without files, extensions or a view of Python's variables. Safe to share between threads."""

    def __init__(self) -> None:
        self._connection = duckdb.connect()
        for setting in (
            # A piece is small: waking another thread would take longer than its share of the work.
            "threads=1",
            "autoinstall_known_extensions=false",
            "autoload_known_extensions=false",
            "TimeZone='UTC'",
            "python_enable_replacements=false",
            "enable_external_access=false",
            "lock_configuration=true",
        ):
            self._connection.execute(f"set {setting}")

    def run(self, subject: str, query: Sql, parameters: Sequence[object] = (), **tables: pa.Table) -> pa.Table:
        """Run a query over ``tables``, each under its name.

        Raises:
            RequestError: it fails: a column is missing, a value does not fit its type.
            UnavailableError: there is not enough memory.
        """
        with closing(self._connection.cursor()) as cursor:
            try:
                for name, table in tables.items():
                    cursor.register(name, table)
                return cursor.sql(query, params=list(parameters)).to_arrow_table()
            except duckdb.OutOfMemoryException as error:
                raise UnavailableError(subject, got=str(error), remedy="publish the table in smaller scopes") from error
            except duckdb.Error as error:
                got = str(error).partition("\n")[0][:_SAID]
                raise RequestError(subject, expected="what the table's shape says", got=got) from error

    def typed(self, shape: Shape, records: Records, names: Sequence[str]) -> pa.Table:
        """The columns ``names`` of a chunk in the types of ``shape``; a chunk without rows may have any columns."""
        given, types = pa.table(records), dict(types_of(shape))
        cast = "cast({name} as {type}) as {name}" if given.num_rows else "cast(null as {type}) as {name}"
        columns = [statement(cast, name=name, type=types[name]) for name in names]
        query = "select {columns} from given" if given.num_rows else "select {columns} limit 0"
        tables = {"given": given} if given.num_rows else {}
        return self.run(f"rows of table {shape.name}", statement(query, columns=columns), **tables)

    def merged(self, shape: Shape, old: pa.Table, upserts: pa.Table, deletes: pa.Table) -> pa.Table:
        """``old`` without the keys of ``deletes`` and ``upserts``, and with the rows of ``upserts``, sorted."""
        self.check_keys(shape, upserts)
        same = [statement("o.{name} is not distinct from g.{name}", name=name) for name in shape.key]
        query = """
            with gone as (select {keys} from upserts union select {keys} from deletes)
            select * from (
                select o.* from old o anti join gone g on {same} union all by name select * from upserts
            ) order by {order}
            """
        order = dict.fromkeys((*shape.partition, *shape.order, *shape.key))
        filled = statement(query, keys=shape.key, same=Sql(" and ".join(same)), order=order)
        return self.run(f"rows of table {shape.name}", filled, old=old, upserts=upserts, deletes=deletes)

    def changed(
        self, shape: Shape, scope: object, upserts: Records, deletes: Records | None = None
    ) -> tuple[str | None, Callable[[pa.Table], pa.Table]]:
        """What a write does: the scope as text, and the rows of it that were there -> the rows that shall be.

        Args:
            shape, scope: of the table and the piece.
            upserts: rows; a key in ``deletes`` too is put.
            deletes: keys; None: nothing that was there stays.

        Raises:
            RequestError: the rows are not of the shape or the scope, or two have one key.
        """
        where, new = self.scope_text(shape, scope), self.typed(shape, upserts, [name for name, _ in shape.columns])
        self.check_scope(shape, where, new)
        if deletes is None:
            nothing = new.slice(0, 0)
            return where, lambda _: self.merged(shape, nothing, new, nothing)
        gone = self.typed(shape, deletes, shape.key)
        return where, lambda old: self.merged(shape, old, new, gone)

    def check_same(self, shape: Shape, rows: pa.Table, back: pa.Table, form: str) -> None:
        """Refuse rows that a file of format ``form`` does not give back as they were."""
        lost = self.run(f"rows of table {shape.name}", Sql("from a except all from b limit 1"), a=rows, b=back)
        if lost.num_rows or rows.num_rows != back.num_rows:
            expected = f"rows that {form} can hold"
            remedy = "cast the column that it cannot hold to text, or choose another sink"
            raise RequestError(
                f"rows of table {shape.name}", expected=expected, got=str(lost.to_pylist())[:_SAID], remedy=remedy
            )

    def check_keys(self, shape: Shape, rows: pa.Table) -> None:
        """Refuse rows of which two have one key."""
        query = statement("select {keys} from given group by all having count(*) > 1 limit 1", keys=shape.key)
        twice = self.run(f"rows of table {shape.name}", query, given=rows)
        if twice.num_rows:
            got = f"two with {twice.to_pylist()[0]}"[:_SAID]
            raise RequestError(f"rows of table {shape.name}", expected="each key once", got=got)

    def scope_text(self, shape: Shape, scope: object) -> str | None:
        """A scope as text, the same for every spelling of one value; None for null and for the whole table.

        A time may be a `datetime`, text, or a whole number of µs since 1970-01-01Z.

        Raises:
            RequestError: it is not a value of the scope's column.
        """
        if shape.scope is None:
            if scope is not None:
                raise RequestError(f"scope of table {shape.name}", expected="none: it is one piece", got=repr(scope))
            return None
        type_ = dict(types_of(shape))[shape.scope]
        if type_.startswith("TIMESTAMP") and isinstance(scope, int):
            scope = _START + timedelta(microseconds=scope)
        if isinstance(scope, datetime) and scope.tzinfo is not None:
            scope = scope.astimezone(UTC).replace(tzinfo=None)
        value = _piece(shape, statement("cast($1 as {type})", type=type_))
        query = statement("select cast({value} as varchar) as value", value=value)
        text: str | None = self.run(f"scope of table {shape.name}", query, [scope])["value"][0].as_py()
        return text

    def check_scope(self, shape: Shape, scope: str | None, rows: pa.Table) -> None:
        """Refuse rows of another scope: nothing would ever take them away again."""
        if shape.scope is None:
            return
        text = statement("cast({value} as varchar)", value=_piece(shape, statement("{name}", name=shape.scope)))
        query = statement("select {text} as value from given where {text} is distinct from $1 limit 1", text=text)
        strange = self.run(f"rows of table {shape.name}", query, [scope], given=rows)
        if strange.num_rows:
            got = f"one of {strange['value'][0].as_py()}"[:_SAID]
            raise RequestError(f"rows of table {shape.name}", expected=f"rows of {shape.scope} = {scope}", got=got)

    def within(self, shape: Shape, scope: str | None, rows: pa.Table) -> pa.Table:
        """The rows of a scope, as `scope_text` spells it, among others."""
        if shape.scope is None:
            return rows
        text = statement("cast({value} as varchar)", value=_piece(shape, statement("{name}", name=shape.scope)))
        query = statement("select * from given where {text} is not distinct from $1", text=text)
        return self.run(f"rows of table {shape.name}", query, [scope], given=rows)


def _piece(shape: Shape, value: Sql) -> Sql:
    """SQL: the piece in which a value of the scope's column lies."""
    if not shape.scope_us:
        return value
    return Sql(f"time_bucket(to_microseconds({int(shape.scope_us)}), {value}, make_timestamp(0))")


@lru_cache(maxsize=256)
def types_of(shape: Shape) -> tuple[tuple[str, Sql], ...]:
    """The columns as (name, DuckDB's spelling of the type).

    Raises:
        RequestError: a type is unknown, or the key, scope, partition or order names no column.
    """
    out = []
    for name, type_ in shape.columns:
        try:
            out.append((name, Sql(DuckDBPyType(type_))))
        except duckdb.Error as error:
            raise RequestError(f"column {name} of table {shape.name}", expected="an SQL type", got=type_) from error
    known = {name for name, _ in out}
    named = {*shape.key, *shape.partition, *shape.order, *([shape.scope] if shape.scope is not None else [])}
    if not shape.key or not named <= known:
        expected = "a key, and columns as key, scope, partition and order"
        got = ", ".join(sorted(named - known)) or "no key"
        raise RequestError(f"table {shape.name}", expected=expected, got=got)
    return tuple(out)


def described(shape: Shape) -> Shape:
    """A shape as it is remembered: types in one spelling, without what is no matter of the layout."""
    columns = tuple((name, str(type_)) for name, type_ in types_of(shape))
    return replace(shape, columns=columns, ttl_us=None)


def check_shape(there: Shape, wanted: Shape) -> None:
    """Refuse a table that exists in another shape; both as `described`."""
    names = [field.name for field in fields(Shape) if getattr(there, field.name) != getattr(wanted, field.name)]
    if names:
        raise ConflictError(
            f"table {wanted.name}",
            expected=", ".join(f"{name} {getattr(there, name)}" for name in names) + ", as it was made",
            got=", ".join(f"{name} {getattr(wanted, name)}" for name in names),
            remedy="give the table another name, or delete the one at the destination",
        )


def check_sequence(table: str, scope: str | None, stored: int, sequence: int) -> None:
    """Refuse a writer that was overtaken."""
    if sequence < stored:
        subject = f"table {table}" if scope is None else f"table {table}, scope {scope}"
        expected = f"a sequence number from {stored} on"
        raise ConflictError(subject, expected=expected, got=str(sequence), remedy="another writer took over; read anew")


def is_nested(type_: str) -> bool:
    """True of lists, structs, maps and unions."""
    return bool(_NESTED.search(type_))
