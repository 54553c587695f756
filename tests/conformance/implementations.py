"""Every implementation of a port, by name: the one table that its conformance suite runs over.

An entry opens a fresh handle. Two handles opened over the same directory are two processes' views of one store. What
needs a server has a line in `SERVERS`, and is opened after `connect`; what it keeps there lies apart by directory.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import duckdb
import pyarrow as pa
import pytest

from watersmeet.adapters.cassandra.session import Session, open_session
from watersmeet.adapters.cassandra.sink import CassandraSink
from watersmeet.adapters.cassandra.state import CassandraState
from watersmeet.adapters.iceberg.sink import IcebergSink
from watersmeet.adapters.lake.archive import LakeArchive
from watersmeet.adapters.lake.sink import open_lake_sink
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.cache import LocalCache
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.adapters.local.sink import CsvSink, JsonSink, ParquetSink
from watersmeet.adapters.local.sqlite_sink import SqliteSink
from watersmeet.adapters.local.state import LocalState
from watersmeet.adapters.mongo.sink import MongoSink
from watersmeet.adapters.redis.cache import RedisCache
from watersmeet.core.address import Address, parse_address
from watersmeet.core.archive import Archive
from watersmeet.core.cache import Cache
from watersmeet.core.clock import Clock
from watersmeet.core.sink import Shape, Sink
from watersmeet.core.state import State
from watersmeet.formats.naming import path_name

from .lake_files import delta_rows, download, iceberg_rows, parquet_rows
from .readers import Rows, cassandra_rows, mongo_rows
from .scripted_cassandra import now_and_then, scripted

SERVERS: Mapping[str, str] = {
    "s3": "s3",
    "hdfs": "hdfs",
    "parquet-s3": "s3",
    "parquet-hdfs": "hdfs",
    "delta-s3": "s3",
    "mongo": "mongo",
    "mongo-alone": "mongo",
    "cassandra": "cassandra",
    "cassandra-in-trouble": "cassandra",
    "redis": "redis",
}
"""Row -> the fixture of the server that it needs."""
_urls: dict[str, str] = {}


def connect(request: pytest.FixtureRequest, name: str) -> None:
    """Start the server that a row needs, unless it runs; a fixture calls this before it opens the row."""
    server = SERVERS.get(name)
    if server:
        _urls[server] = request.getfixturevalue(server)


def served(server: str, directory: Path, scheme: str = "") -> Address:
    """Where a directory's store is on a server."""
    address = parse_address(_urls[server])
    own = hashlib.sha256(str(directory).encode()).hexdigest()[:16]
    return replace(address, scheme=scheme or address.scheme, path=f"{address.path}/{own}".strip("/"))


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


def _on_mongo(**options: str) -> Destination:
    def place(directory: Path) -> Address:
        return replace(served("mongo", directory), options=options)

    return Destination(
        lambda directory: closing(MongoSink(place(directory))),
        lambda directory, shape: mongo_rows(place(directory), shape),
    )


def _on_cassandra(directory: Path) -> Address:
    """Tables that no other test has: a keyspace of its own would take longer to make."""
    own = hashlib.sha256(str(directory).encode()).hexdigest()[:12]
    return replace(parse_address(_urls["cassandra"]), options={"app": f"t{own}"})


def _own_redis() -> Address:
    """Keys that no other test has."""
    return replace(parse_address(_urls["redis"]), options={"prefix": uuid4().hex, "timeout_seconds": "5"})


def _lake(server: str, form: str) -> Destination:
    """Tables of a form in a lake; what is read of them is downloaded anew each time."""
    read = parquet_rows if form == "parquet" else delta_rows

    def rows(directory: Path, shape: Shape) -> Rows:
        with TemporaryDirectory() as folder:
            place = download(served(server, directory), Path(folder))
            return read(place if form == "parquet" else place / "tables", shape)

    return Destination(lambda directory: closing(open_lake_sink(served(server, directory, f"{server}+{form}"))), rows)


def _delta(directory: Path) -> AbstractContextManager[Sink]:
    return closing(open_lake_sink(parse_address(f"delta://{directory}/tables")))


def _cassandra_state(directory: Path, clock: Clock, every: int = 0) -> AbstractContextManager[State]:
    """``every`` so many statements one goes wrong."""
    place = _on_cassandra(directory)
    place = replace(place, options={**place.options, "refresh_ms": "0"})
    session = _cassandra_session(_urls["cassandra"])
    return closing(CassandraState(place, clock, scripted(session, now_and_then(every)) if every else session))


@cache
def _cassandra_session(url: str) -> Session:
    """One connection for all tests; it ends with the process."""
    return open_session(parse_address(url))


def _iceberg(directory: Path) -> AbstractContextManager[Sink]:
    return closing(IcebergSink(parse_address(f"iceberg://{directory}/iceberg")))


STATES: Mapping[str, Callable[[Path, Clock], AbstractContextManager[State]]] = {
    "local": lambda directory, clock: closing(LocalState(directory / "state.db", clock)),
    "cassandra": _cassandra_state,
    "cassandra-in-trouble": partial(_cassandra_state, every=5),
}
ARCHIVES: Mapping[str, Callable[[Path], AbstractContextManager[Archive]]] = {
    "local": lambda directory: nullcontext(LocalArchive(directory / "archive")),
    "s3": lambda directory: closing(LakeArchive(served("s3", directory))),
    "hdfs": lambda directory: closing(LakeArchive(served("hdfs", directory))),
}
SINKS: Mapping[str, Destination] = {
    "parquet": Destination(lambda directory: nullcontext(ParquetSink(directory)), _parquet_rows),
    "csv": Destination(lambda directory: nullcontext(CsvSink(directory)), _csv_rows),
    "json": Destination(lambda directory: nullcontext(JsonSink(directory)), _json_rows),
    "sqlite": Destination(lambda directory: closing(SqliteSink(directory / "tables.db")), _sqlite_rows),
    "parquet-s3": _lake("s3", "parquet"),
    "parquet-hdfs": _lake("hdfs", "parquet"),
    "delta": Destination(_delta, lambda directory, shape: delta_rows(directory / "tables", shape)),
    "delta-s3": _lake("s3", "delta"),
    "iceberg": Destination(_iceberg, lambda directory, shape: iceberg_rows(directory / "iceberg", shape)),
    "mongo": _on_mongo(),
    "mongo-alone": _on_mongo(transactions="false"),
    "cassandra": Destination(
        lambda directory: closing(CassandraSink(_on_cassandra(directory))),
        lambda directory, shape: cassandra_rows(_on_cassandra(directory), shape),
    ),
}
CACHES: Mapping[str, Callable[[], AbstractContextManager[Cache]]] = {
    "local": lambda: nullcontext(LocalCache()),
    "redis": lambda: closing(RedisCache(_own_redis(), SystemClock())),
}
