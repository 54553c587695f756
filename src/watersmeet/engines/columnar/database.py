"""The engine's DuckDB: in memory, locked down, shared by all threads of a process.

Nothing is ever stored in it; each call works on chunks that it brings along. No statement can reach a file, the network,
an extension, a Python variable or a setting: declared SQL runs here.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from ...core.record import Records

BATCH_ROWS = 65_536
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
        config = {
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
        }
        if threads is not None:
            config["threads"] = str(threads)
        if memory is not None:
            config["memory_limit"] = memory
        self._connection = duckdb.connect(":memory:", config=config)
        for statement in _LOCKS:
            self._connection.execute(statement).fetchall()
        # An open connection at interpreter exit makes the driver complain on stderr.
        self._close = weakref.finalize(self, self._connection.close)

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

    def close(self) -> None:
        """Free the memory; afterwards nothing works."""
        self._close()


def table(records: Records) -> pa.Table:
    """A chunk as an Arrow table, without a copy."""
    return records if isinstance(records, pa.Table) else pa.table(records)


def run(cursor: duckdb.DuckDBPyConnection, sql: str) -> pa.Table:
    """The result of a SELECT."""
    return cursor.sql(sql).to_arrow_table()
