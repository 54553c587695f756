"""Statements over tables that are handed in: declared queries, and selections of their rows.

They run in a database of their own with a memory limit of their own, locked like every other: no file, no network, no
extension, no setting, no Python variable is in reach. What a statement may say was checked where it was declared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import duckdb
import pyarrow as pa

from ...core.engine import Selection
from ...core.errors import RequestError
from ...core.record import Records
from ...core.sql import query as statements
from . import macros
from .database import Database, fetched
from .selection import ending, moment

MEMORY = "1GB"


def fetch(cursor: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, object] | None = None) -> pa.Table:
    """Run one statement with its parameters; its rows as Arrow."""
    cursor.execute(sql, dict(values or {}))
    return fetched(cursor)


def refused(subject: str, error: duckdb.Error) -> RequestError:
    """What a caller may know of a statement that failed."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return RequestError(
            subject,
            kind="too_large",
            expected="an answer that fits the memory for queries",
            remedy="ask for less time, or publish it as a table",
        )
    return RequestError(subject, expected="a statement that runs", got=str(error).splitlines()[0])


class Queries:
    """Where queries run. Used by many threads.

    Args:
        memory: what all queries of the process may take together, such as ``"1GB"``.
    """

    def __init__(self, memory: str = MEMORY) -> None:
        self._database = Database(memory=memory)
        with self._database.cursor() as cursor:
            macros.install(cursor)

    def run(self, sql: str, tables: Mapping[str, Records], *, as_of_us: int, limit: int | None = None) -> pa.Table:
        """Run a checked SELECT over tables; ``:as_of`` is the time of the answer.

        Timestamps come out in µs, UTC, without a zone. ``limit`` keeps the first rows, in the statement's order.
        Raises `RequestError` when it fails or takes too much memory.
        """
        text = sql
        if ":as_of" in sql:  # as written: DuckDB spells a named parameter with a dollar, as the canonical text does
            text = statements.parse(sql, subject="query", where="").sql(dialect="duckdb", comments=False)
        with self._database.cursor(tables) as cursor:
            try:
                found = cursor.extract_statements(text)
                if len(found) != 1:
                    raise RequestError("query", expected="one statement", got=str(len(found)))
                values: dict[str, object] = {"as_of": moment(as_of_us)} if found[0].named_parameters else {}
                if limit is not None:
                    # A line of its own: the statement may end in a comment.
                    text, values["row_limit"] = f"SELECT * FROM ({text.rstrip(' ;')}\n) LIMIT $row_limit", limit
                return _plain(fetch(cursor, text, values))
            except duckdb.Error as error:
                raise refused("query", error) from None

    def select(self, rows: Records, selection: Selection, *, key: Sequence[str], time: str | None) -> pa.Table:
        """Range, where, page, order and limit over finished rows; ties are broken by ``key``."""
        with self._database.cursor({"finished": rows}) as cursor:
            types = {name: kind for name, kind, *_ in cursor.execute("DESCRIBE finished").fetchall()}
            if time is not None and time not in types:
                raise RequestError(f"time {time!r}", expected="a column of the query", got=", ".join(types))
            end = ending(selection, types, key, time)
            try:
                return fetch(cursor, f"SELECT * FROM finished{end.sql}", end.values)
            except duckdb.Error as error:
                raise refused("selection", error) from None

    def close(self) -> None:
        """Free the memory."""
        self._database.close()


def _plain(rows: pa.Table) -> pa.Table:
    """Every timestamp in µs without a zone: DuckDB hands zoned ones out in UTC."""
    fields = [
        field.with_type(pa.timestamp("us")) if pa.types.is_timestamp(field.type) else field for field in rows.schema
    ]
    return rows.cast(pa.schema(fields))
