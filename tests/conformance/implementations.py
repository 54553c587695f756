"""Every implementation of a port, by name: the one table that its conformance suite runs over.

An entry opens a fresh handle. Two handles opened over the same directory are two processes' views of one store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.cache import LocalCache
from watersmeet.adapters.local.sink import CsvSink, JsonSink, ParquetSink
from watersmeet.adapters.local.sqlite_sink import SqliteSink
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.archive import Archive
from watersmeet.core.cache import Cache
from watersmeet.core.clock import Clock
from watersmeet.core.sink import Shape, Sink
from watersmeet.core.state import State
from watersmeet.formats.naming import path_name

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Destination:
    """A sink, and a reader of its tables that knows nothing of how it works.

    Args:
        open: a handle on the sink in a directory.
        rows: all rows of a table there, as values of the shape's types, in any order.
    """

    open: Callable[[Path], AbstractContextManager[Sink]]
    rows: Callable[[Path, Shape], Rows]


def _scan(directory: Path, shape: Shape, ending: str, read: str, columns: str = "*") -> Rows:
    """Read a table's files with DuckDB; no files are no rows."""
    table = directory / path_name(shape.name)
    if not list(table.glob(f"**/*.{ending}")):
        return []
    with closing(duckdb.connect()) as connection:
        query = f"select {columns} from {read}".replace("FILES", f"'{table}/**/*.{ending}'")
        query = query.replace("WIDE", "max_line_size=10000000")
        found: Rows = connection.sql(query).to_arrow_table().to_pylist()
        return found


def _parquet_rows(directory: Path, shape: Shape) -> Rows:
    return _scan(directory, shape, "parquet", "read_parquet(FILES, hive_partitioning=false)")


def _csv_rows(directory: Path, shape: Shape) -> Rows:
    """Text cells lose the ``'`` that guards formulas, as in a spreadsheet."""
    columns = []
    for name, type_ in shape.columns:
        text = f'"{name}"'
        if not type_.startswith(("DECIMAL", "DOUBLE", "INT", "BIGINT", "HUGEINT")):
            text = f"""case when {text} similar to '''+[=+\\-@＝\\t\\r\\n](.|\\s)*' then {text}[2:] else {text} end"""
        nested = type_.endswith("]") or type_.startswith("STRUCT")
        columns.append(f'cast({text}{"::json" * nested} as {type_}) as "{name}"')
    names = ", ".join(f"'{name}': 'VARCHAR'" for name, _ in shape.columns)
    nulls = "nullstr='', allow_quoted_nulls=false"
    marks = """quote='"', escape='"', delim=',', new_line='\\n', WIDE"""
    read = f"read_csv(FILES, header=true, auto_detect=false, columns={{{names}}}, {nulls}, {marks})"
    return _scan(directory, shape, "csv", read, ", ".join(columns))


def _json_rows(directory: Path, shape: Shape) -> Rows:
    """Lines are cast as wholes, since DuckDB's `read_json` takes long decimals for doubles; bytes are base64."""
    fields = ", ".join(f'"{name}" {"VARCHAR" if type_ == "BLOB" else type_}' for name, type_ in shape.columns)
    values = ", ".join(
        f'from_base64(o."{n}") as "{n}"' if type_ == "BLOB" else f'o."{n}"' for n, type_ in shape.columns
    )
    lines = "read_csv(FILES, columns={'line': 'VARCHAR'}, header=false, auto_detect=false, delim='', quote='', WIDE)"
    read = f"(select cast(cast(line as json) as struct({fields})) as o from {lines})"
    return _scan(directory, shape, "ndjson", read, values)


def _sqlite_rows(directory: Path, shape: Shape) -> Rows:
    with closing(sqlite3.connect(directory / "tables.db")) as connection:
        if not connection.execute("select 1 from sqlite_master where name = ?", (shape.name,)).fetchone():
            return []
        found = connection.execute("select * from " + '"' + shape.name.replace('"', '""') + '"').fetchall()
    if not found:
        return []
    stored = {
        name: [v if v is None or isinstance(v, bytes | float) else str(v) for v in column]
        for (name, _), column in zip(shape.columns, zip(*found, strict=True), strict=False)
    }
    columns = ", ".join(
        f'cast("{name}"{"::json" * (type_.endswith("]") or type_.startswith("STRUCT"))} as {type_}) as "{name}"'
        for name, type_ in shape.columns
    )
    with closing(duckdb.connect()) as connection:
        connection.register("stored", pa.table(stored))
        rows: Rows = connection.sql(f"select {columns} from stored").to_arrow_table().to_pylist()
        return rows


STATES: Mapping[str, Callable[[Path, Clock], AbstractContextManager[State]]] = {
    "local": lambda directory, clock: closing(LocalState(directory / "state.db", clock)),
}
ARCHIVES: Mapping[str, Callable[[Path], AbstractContextManager[Archive]]] = {
    "local": lambda directory: nullcontext(LocalArchive(directory / "archive")),
}
SINKS: Mapping[str, Destination] = {
    "parquet": Destination(lambda directory: nullcontext(ParquetSink(directory)), _parquet_rows),
    "csv": Destination(lambda directory: nullcontext(CsvSink(directory)), _csv_rows),
    "json": Destination(lambda directory: nullcontext(JsonSink(directory)), _json_rows),
    "sqlite": Destination(lambda directory: closing(SqliteSink(directory / "tables.db")), _sqlite_rows),
}
CACHES: Mapping[str, Callable[[], AbstractContextManager[Cache]]] = {
    "local": lambda: nullcontext(LocalCache()),
}
