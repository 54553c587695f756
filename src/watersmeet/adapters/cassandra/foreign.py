"""Tables that others made in Cassandra: what `watersmeet compare` reads."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from watersmeet.core.address import Address
from watersmeet.core.errors import RequestError

from .session import open_reading


def read_table(address: Address) -> pa.Table:
    """All rows of ``cassandra://host/keyspace/table``; what Arrow has no type for is text.

    Raises:
        RequestError: there is no such table.
        UnavailableError: no node answers.
    """
    keyspace, _, table = address.path.partition("/")
    session = open_reading(replace(address, path=""))
    try:
        query = "select column_name from system_schema.columns where keyspace_name = ? and table_name = ?"
        names = sorted(name for (name,) in session.read(query, [keyspace, table]))
        if not names:
            raise RequestError(f"table {address.path}", kind="unknown", expected="keyspace/table", got="no such table")
        columns = ", ".join(map(_quoted, names))
        rows = session.read(f"select {columns} from {_quoted(keyspace)}.{_quoted(table)}")  # noqa: S608  # names are quoted
    finally:
        session.close()
    return pa.table({name: _column([row[at] for row in rows]) for at, name in enumerate(names)})


def _column(values: list[object]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
