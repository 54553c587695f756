"""Published tables in a lake, and which sink an address means.

    s3+parquet://bucket/prefix     hdfs+parquet://namenode:9870/folder                    Parquet files, in this module
    s3+delta://bucket/prefix       hdfs+delta://namenode:9870/folder?rpc=8020
    delta:///srv/tables                                                                    Delta tables, see `delta`

    <root>/tables/<table>/_shape.json                                  what the table looks like
    <root>/tables/<table>/scope=2026-01-01%2010%3A00%3A00/part.parquet   a piece: the rows of one scope, sorted
    <root>/tables/<table>/part.parquet                                 the one piece of a table without scopes

A piece is one object, and is replaced as a whole, so a reader sees it as before a write or as after it. Its rows and
the sequence number that they were written under are in the one file: the number stands among the file's metadata, as
``watersmeet``, with a digest of the rest. A write looks at a piece, changes its rows, and replaces it if it is still
what was looked at; else it looks again. So a write that is repeated, whatever became of its first try, repeats itself,
and a writer that was overtaken finds a number above its own.

Paths, orders and types are those of `adapters.local.sink`'s Parquet tables.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from watersmeet.core.address import Address
from watersmeet.core.errors import CorruptError, RequestError, SettingsError, UnavailableError
from watersmeet.core.record import Records
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table
from watersmeet.formats.naming import path_name
from watersmeet.formats.table_rows import TableRows, check_sequence, check_shape, described

from .delta import DeltaSink
from .store import Store
from .stores import open_store

_NULL = "__HIVE_DEFAULT_PARTITION__"
_NOTE = b"watersmeet"
_TRIES = 100
_decode_shape = msgspec.json.Decoder(Shape).decode


@dataclass(frozen=True, slots=True)
class _Note:
    """What a piece says of itself.

    Args:
        table, scope: whose it is.
        sequence: number that it was written under.
        bytes: of the file before its footer.
        sha256: of these bytes, of what stands above, in hexadecimal.
    """

    table: str
    scope: str | None
    sequence: int
    bytes: int = 0
    sha256: str = ""


_decode_note = msgspec.json.Decoder(_Note).decode


class LakeSink:
    """The `Sink` port on Parquet files in S3 or HDFS. Safe to share between threads; processes may share a root.

    Args:
        address: ``s3+parquet://…`` or ``hdfs+parquet://…``; nothing is asked of it until it is needed.
        store: in place of the one at ``address``.

    Raises:
        SettingsError: the address means nothing.
    """

    def __init__(self, address: Address, store: Store | None = None) -> None:
        self._address = address
        self._store = store or open_store(address)
        self._rows = TableRows()

    def prepare(self, table: Table, shape: Shape) -> None:
        """Make the table if it is missing.

        Raises:
            ConflictError: it exists in another shape.
            RequestError: a column has no type, or the key, scope, partition or order no column.
        """
        new = described(shape)
        self._store.put_if_absent(_shape_key(shape), msgspec.json.encode(new))
        self._check_shape(shape, new)

    def write(self, shape: Shape, scope: object, upserts: Records, deletes: Records, sequence: int) -> None:
        """Put and delete rows of one scope, by key; a key in both is put."""
        where, change = self._rows.changed(shape, scope, upserts, deletes)
        self._replace(shape, where, sequence, change)

    def replace(self, shape: Shape, scope: object, rows: Records, sequence: int) -> None:
        """Make a scope hold exactly ``rows``, at once."""
        where, change = self._rows.changed(shape, scope, rows)
        self._replace(shape, where, sequence, change)

    def probe(self) -> str:
        """Reach the store and say what it is; `UnavailableError` with a remedy if it cannot."""
        return f"Parquet tables in {self._store.probe()} (Arrow {pa.__version__}, DuckDB {duckdb.__version__})"

    def close(self) -> None:
        """Close connections; nothing may be asked afterwards."""
        self._store.close()

    def _replace(self, shape: Shape, scope: str | None, sequence: int, change: Callable[[pa.Table], pa.Table]) -> None:
        self._check_shape(shape, described(shape))
        key = _piece_key(shape, scope)
        for _ in range(_TRIES):
            held = self._store.look(key)
            if held.data is None:
                stored, old = -1, self._rows.typed(shape, pa.table({}), [name for name, _ in shape.columns])
            else:
                stored, old = self._piece(shape, scope, key, held.data)
            check_sequence(shape.name, scope, stored, sequence)
            new = change(old)
            if held.data is not None and stored == sequence and new.equals(old):
                return
            data = _encode(new, _Note(shape.name, scope, sequence))
            self._rows.check_same(shape, new, self._piece(shape, scope, key, data)[1], "Parquet")
            if self._store.replace(key, data, held.version):
                return
        remedy = "look which other processes publish this table"
        raise UnavailableError(f"{self._address}, {key}", got=f"others that were first {_TRIES} times", remedy=remedy)

    def _piece(self, shape: Shape, scope: str | None, key: str, data: bytes) -> tuple[int, pa.Table]:
        """The sequence number and the rows of a piece."""
        remedy = f"restore it from a copy, or delete {key.rpartition('/')[0]} and publish the table anew"
        try:
            found = pq.ParquetFile(io.BytesIO(data))
            note = _decode_note((found.metadata.metadata or {})[_NOTE])
            if note.sha256 != _digest(data, note):
                raise ValueError("another SHA-256")
            rows = found.read()
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            expected, got = "a piece as it was last written", str(error).partition("\n")[0]
            raise CorruptError(f"{self._address}, {key}", expected=expected, got=got, remedy=remedy) from error
        if (note.table, note.scope) != (shape.name, scope):
            expected, got = f"table {shape.name}, scope {scope}", f"table {note.table}, scope {note.scope}"
            raise CorruptError(f"{self._address}, {key}", expected=expected, got=got, remedy="move it back")
        return note.sequence, self._rows.typed(shape, rows, [name for name, _ in shape.columns])

    def _check_shape(self, shape: Shape, wanted: Shape) -> None:
        key = _shape_key(shape)
        data = self._store.get(key)
        if data is None:
            raise RequestError(f"table {shape.name}", kind="unknown", expected="a table", remedy="apply it first")
        try:
            there = _decode_shape(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            remedy = f"restore it from a copy, or delete {key.rpartition('/')[0]} and publish the table anew"
            subject = f"{self._address}, {key}"
            raise CorruptError(subject, expected="the shape of a table", got=str(error), remedy=remedy) from error
        check_shape(there, wanted)


def open_lake_sink(address: Address) -> LakeSink | DeltaSink:
    """The sink of an ``s3+parquet``, ``hdfs+parquet``, ``s3+delta``, ``hdfs+delta`` or ``delta`` address.

    Raises:
        SettingsError: it is another one's, or lacks something.
    """
    if address.scheme in ("s3+parquet", "hdfs+parquet"):
        return LakeSink(address)
    if address.scheme in ("delta", "s3+delta", "hdfs+delta"):
        return DeltaSink(address)
    expected = "s3+parquet, hdfs+parquet, s3+delta, hdfs+delta or delta"
    raise SettingsError(f"sink {address}", expected=expected, got=address.scheme)


def _encode(table: pa.Table, note: _Note) -> bytes:
    """A file of rows whose footer holds the note; it is written last, and so can tell what stands before it."""
    file = io.BytesIO()
    with pq.ParquetWriter(file, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        note = replace(note, bytes=file.tell())
        note = replace(note, sha256=_digest(file.getbuffer(), note))
        writer.add_key_value_metadata({_NOTE: msgspec.json.encode(note)})
    return file.getvalue()


def _digest(data: bytes | memoryview, note: _Note) -> str:
    text = msgspec.json.encode(replace(note, sha256=""))
    return hashlib.sha256(text + bytes(data[: note.bytes])).hexdigest()


def _shape_key(shape: Shape) -> str:
    return f"tables/{path_name(shape.name)}/_shape.json"


def _piece_key(shape: Shape, scope: str | None) -> str:
    folder = f"tables/{path_name(shape.name)}"
    if shape.scope is not None:
        folder += f"/scope={_NULL if scope is None else path_name(scope)}"
    return f"{folder}/part.parquet"
