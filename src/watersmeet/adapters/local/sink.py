"""Published tables as files: Parquet, CSV, newline-delimited JSON; and which sink a name or address means.

    <table>/_shape.json                              what the table looks like
    <table>/scope=2026-01-01%2010%3A00%3A00/part.csv a piece: the rows of one scope, sorted
    <table>/scope=…/_part.csv.json                   the sequence number of the piece
    <table>/part.csv                                 the one piece of a table without scopes
    <table>/.lock                                    held while a piece is written

A piece is replaced as a whole, so a reader sees it as before a write or as after it. What would not change a file
leaves it alone. New contents are read back before they replace the old.

Tables and scopes are spelled by `path_name`; a scope that is null is the hive convention's
``__HIVE_DEFAULT_PARTITION__``. ``scope`` is a hive partition beside the columns, which are all in the file: types that
a reader guesses from a path do no harm. Partition and order columns are the order of the rows. Rows are never dropped
for their age: ``ttl`` allows that, it does not ask for it. Files are for their owner alone unless the table's
directory is opened to others; then so are the files written from there on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import duckdb
import msgspec
import pyarrow as pa

from watersmeet.core.errors import CorruptError, RequestError, SettingsError
from watersmeet.core.failpoint import declare, hit
from watersmeet.core.record import Records
from watersmeet.core.sink import Shape, Sink
from watersmeet.core.table import Table
from watersmeet.formats.disk import DIRECTORY_MODE, locked, reachable, sync_directory, write_file
from watersmeet.formats.naming import path_name
from watersmeet.formats.table_format import CSV, JSON, PARQUET, Format
from watersmeet.formats.table_rows import TableRows, check_sequence, check_shape, described

from .piece import Piece, read_file, replace_file
from .sqlite_sink import SqliteSink

declare("sink.shape.before", "sink.shape.synced", "sink.shape.after")
_SHAPE = "_shape.json"
_NULL = "__HIVE_DEFAULT_PARTITION__"
_decode_shape = msgspec.json.Decoder(Shape).decode


class FileSink:
    """The `Sink` port on files of one format. Safe to share between threads; processes may share a root.

    Args:
        root: directory of all tables; made, for its owner only, if it is missing.
        form: how files are written and read.
    """

    def __init__(self, root: Path, form: Format) -> None:
        self._root, self._form = root, form
        self._rows = TableRows()
        with reachable(root):
            root.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)

    def prepare(self, table: Table, shape: Shape) -> None:
        """Make the table if it is missing.

        Raises:
            ConflictError: it exists in another shape.
            RequestError: a column has no type, or the key, scope, partition or order no column.
        """
        new = described(shape)
        directory = self._root / path_name(shape.name)
        with reachable(directory):
            if not directory.exists():
                directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
                sync_directory(self._root)
        with locked(directory / ".lock"), reachable(directory):
            if (directory / _SHAPE).exists():
                check_shape(self._shape(directory), new)
                return
            hit("sink.shape.before")
            replace_file(directory / _SHAPE, msgspec.json.encode(new), "sink.shape.synced")
            hit("sink.shape.after")

    def write(self, shape: Shape, scope: object, upserts: Records, deletes: Records, sequence: int) -> None:
        """Put and delete rows of one scope, by key; a key in both is put."""
        where, change = self._rows.changed(shape, scope, upserts, deletes)
        self._replace(shape, where, sequence, change)

    def replace(self, shape: Shape, scope: object, rows: Records, sequence: int) -> None:
        """Make a scope hold exactly ``rows``, at once."""
        where, change = self._rows.changed(shape, scope, rows)
        self._replace(shape, where, sequence, change)

    def probe(self) -> str:
        """Write and delete a file, and say what this is."""
        path = self._root / ".probe"
        with reachable(path):
            write_file(path, b"")
            path.unlink()
        return f"{self._form.name} files in {self._root} (Arrow {pa.__version__}, DuckDB {duckdb.__version__})"

    def _replace(self, shape: Shape, scope: str | None, sequence: int, change: Callable[[pa.Table], pa.Table]) -> None:
        directory = self._root / path_name(shape.name)
        place = directory
        if shape.scope is not None:
            place = directory / f"scope={_NULL if scope is None else path_name(scope)}"
        if not (directory / _SHAPE).exists():
            raise RequestError(f"table {shape.name}", kind="unknown", expected="a table", remedy="apply it first")
        with locked(directory / ".lock"), reachable(directory):
            check_shape(self._shape(directory), described(shape))
            piece = Piece(place, self._form.file, shape.name, scope)
            check_sequence(shape.name, scope, piece.sequence, sequence)
            if piece.data is None:
                old = self._rows.typed(shape, pa.table({}), [name for name, _ in shape.columns])
            else:
                old = self._form.decode(self._rows, shape, piece.data)
            new = change(old)
            data = None
            if piece.data is None or not new.equals(old):
                data = self._form.encode(self._rows, shape, new)
                self._rows.check_same(shape, new, self._form.decode(self._rows, shape, data), self._form.name)
            piece.write(data, sequence)

    def _shape(self, directory: Path) -> Shape:
        path = directory / _SHAPE
        try:
            return _decode_shape(read_file(path) or b"")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            remedy = f"restore it from a copy, or delete {directory} and publish the table anew"
            raise CorruptError(str(path), expected="the shape of a table", got=str(error), remedy=remedy) from error


ParquetSink = partial(FileSink, form=PARQUET)
CsvSink = partial(FileSink, form=CSV)
JsonSink = partial(FileSink, form=JSON)
_FILES = {"parquet": ParquetSink, "csv": CsvSink, "json": JsonSink}


def open_sink(address: str, root: Path) -> Sink:
    """Open the sink that a table's ``to`` or a setting names.

    Args:
        address: ``parquet``, ``csv``, ``json`` or ``sqlite``: files under ``root``; or one of them with an absolute
            path, as ``parquet:///srv/tables`` or ``sqlite:///srv/tables.db``.
        root: directory for those without a path.

    Raises:
        SettingsError: it names none of these.
    """
    parts = urlsplit(address)
    kind = parts.scheme or address
    path = Path(unquote(parts.path)) if parts.scheme else root / (f"{kind}.db" if kind == "sqlite" else kind)
    strange = parts.netloc or parts.query or parts.fragment or (parts.scheme and not path.is_absolute())
    if strange or kind not in (*_FILES, "sqlite"):
        expected = "parquet, csv, json or sqlite, alone or with an absolute path as in parquet:///srv/tables"
        raise SettingsError("sink", expected=expected, got=repr(address))
    return SqliteSink(path) if kind == "sqlite" else _FILES[kind](path)
