"""The engine's DuckDB: in memory, locked down, shared by all threads of a process.

The law of every chunk: what an engine computes of it depends on the chunk alone. Nothing outlives a call but cells that
are held for reading. No statement can reach a file, the network, an extension, a Python variable or a setting: declared
SQL runs here.

One optimiser is off: DuckDB takes a subexpression that occurs twice out of the TRY that guards it, so an expression
whose failure should be a null would stop a chunk.

Planning a wide statement takes some 20 ms, running it over ten records 1 ms. So a statement that comes back chunk after
chunk is prepared once, over *feeds*: named inputs whose content is exchanged between runs. A feed keeps its schema; the
plan is found by (statement, schemas of its inputs).
"""

from __future__ import annotations

import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
import pyarrow as pa

from ...core.errors import UnavailableError
from ...core.record import Records

BATCH_ROWS = 65_536
MAX_PLANS = 256
_LOCKS = (
    "SET GLOBAL TimeZone = 'UTC'",
    "SET GLOBAL python_enable_replacements = false",
    "SET GLOBAL lock_configuration = true",
)


class Database:
    """One in-memory DuckDB.

    Args:
        threads: how many DuckDB may use; None: one a core.
        memory: such as ``"4GB"``; a statement that needs more fails. None: DuckDB's default, 80 % of the machine.
    """

    def __init__(self, threads: int | None = None, memory: str | None = None) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "disabled_optimizers": "common_subexpressions",
        }
        if threads is not None:
            config["threads"] = str(threads)
        if memory is not None:
            config["memory_limit"] = memory
        self._connection = duckdb.connect(":memory:", config=config)
        for statement in _LOCKS:
            self._connection.execute(statement).fetchall()
        [(self.threads,)] = self._connection.execute("SELECT current_setting('threads')::INTEGER").fetchall()
        self._idle: OrderedDict[object, list[_Plan]] = OrderedDict()
        self._lock = threading.Lock()
        # An open connection at interpreter exit makes the driver complain on stderr.
        self._close = weakref.finalize(self, _close, self._connection, self._idle)

    @contextmanager
    def cursor(self, tables: Mapping[str, Records] | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of one's own for one call, in which ``tables`` can be read by name."""
        cursor = self._connection.cursor()
        try:
            for name, records in (tables or {}).items():
                cursor.register(name, records)
            yield cursor
        finally:
            cursor.close()

    def select(self, sql: str, tables: Mapping[str, pa.Table]) -> pa.Table:
        """The result of a SELECT over ``tables``, for statements that come back: planned once.

        Raises `UnavailableError` when it takes more memory than there is.
        """
        key = (sql, tuple((name, found.schema) for name, found in tables.items()))
        with self._lock:
            waiting = self._idle.get(key)
            plan = waiting.pop() if waiting else None
        if plan is None:
            plan = _Plan(self._connection.cursor(), sql, tables)
        try:
            result = plan.run(tables)
        except duckdb.OutOfMemoryException as error:
            plan.close()
            raise UnavailableError(
                "memory of the engine",
                expected="room for a chunk",
                got=str(error).splitlines()[0],
                remedy="allow it more memory, or make slices shorter",
            ) from None
        except duckdb.Error:
            plan.close()
            raise
        with self._lock:
            self._idle.setdefault(key, []).append(plan)
            self._idle.move_to_end(key)
            dropped = self._idle.popitem(last=False)[1] if len(self._idle) > MAX_PLANS else []
        for old in dropped:
            old.close()
        return result

    def close(self) -> None:
        """Free the memory; afterwards nothing works."""
        self._close()


class _Feed:
    """A named input whose content is exchanged; DuckDB asks for the stream anew at each run."""

    def __init__(self, content: pa.Table) -> None:
        self.content = content

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> Any:
        return self.content.__arrow_c_stream__(requested_schema)


class _Plan:
    """A prepared statement with its feeds, on a connection of its own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, sql: str, tables: Mapping[str, pa.Table]) -> None:
        self._connection = connection
        self._feeds = {name: _Feed(found.schema.empty_table()) for name, found in tables.items()}
        for name, feed in self._feeds.items():
            connection.register(name, feed)
        try:
            connection.execute(f"PREPARE plan AS {sql}").fetchall()
        except duckdb.Error:
            connection.close()
            raise

    def run(self, tables: Mapping[str, pa.Table]) -> pa.Table:
        for name, feed in self._feeds.items():
            feed.content = tables[name]
        try:
            if sum(content.num_rows for content in tables.values()) > BATCH_ROWS:
                return self._connection.sql("EXECUTE plan").to_arrow_table()
            self._connection.execute("EXECUTE plan")
            return fetched(self._connection)
        finally:
            for feed in self._feeds.values():
                feed.content = feed.content.schema.empty_table()

    def close(self) -> None:
        self._connection.close()


def _close(connection: duckdb.DuckDBPyConnection, idle: OrderedDict[object, list[_Plan]]) -> None:
    for plans in idle.values():
        for plan in plans:
            plan.close()
    idle.clear()
    with suppress(duckdb.Error):  # another thread is in the middle of a statement; then the process's end closes it
        connection.close()


def table(records: Records) -> pa.Table:
    """A chunk as an Arrow table, without a copy."""
    return records if isinstance(records, pa.Table) else pa.table(records)


def fetched(cursor: duckdb.DuckDBPyConnection) -> pa.Table:
    """The rows of the statement that was executed last.

    The driver warns of the copy that this makes. But ``cursor.sql(…)``, which makes none, binds each statement twice: a
    third of the time of a point read.
    """
    warnings.filterwarnings("ignore", "Arrow output on a DB-API result", UserWarning)
    return cursor.to_arrow_table()


def run(cursor: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The result of a SELECT that is run once."""
    return cursor.sql(sql).to_arrow_table()
