"""Published tables as Delta tables: on S3, in HDFS, or in a folder of this machine.

    <root>/<table>/_delta_log/00000000000000000007.json     a version

Tables are spelled by `path_name` with ``=`` in place of ``%``, which drivers take for the escape of a URL. The root of
an address is the ``tables`` below it; that of ``delta:///folder`` is the folder.

A write is one commit. It holds the rows of one scope as they are now, in place of those that were there, and the
sequence number of that scope as the ``txn`` of an application that is named ``watersmeet`` and the scope. Two commits
of one application exclude each other, so a write looks, commits, and looks again if somebody else was first; a write
that is repeated repeats itself, and a writer that was overtaken finds a number above its own.

Times are ``timestamp`` (instants, µs), HUGEINT is ``decimal(38,0)``, lists and structs are Delta's own. Versions are
kept and can be read (``versionAsOf``) for as long as Delta's retention says, 7 days by default. Each hundredth version
packs small files into larger ones and deletes those that are older than that; a scope is found again by the statistics
of its files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import deltalake
import msgspec
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from watersmeet.core.address import Address, options
from watersmeet.core.errors import ConflictError, RequestError, SettingsError, UnavailableError
from watersmeet.core.record import Records
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table
from watersmeet.formats.naming import path_name
from watersmeet.formats.statement import Sql, statement
from watersmeet.formats.table_rows import TableRows, check_sequence, check_shape, described, types_of

from .hdfs import HdfsOptions
from .s3 import place_of

_SHAPE = "watersmeet.shape"
_TRIES = 100
_TIDY_VERSIONS = 100
_FILE_BYTES = 64 << 20
_SAID = 300
_UNSIGNED = {pa.uint8(): pa.int16(), pa.uint16(): pa.int32(), pa.uint32(): pa.int64(), pa.uint64(): pa.decimal128(20)}
_decode_shape = msgspec.json.Decoder(Shape).decode


class DeltaSink:
    """The `Sink` port on Delta tables. Safe to share between threads; processes may share a root.

    Args:
        address: ``s3+delta://bucket/prefix``, ``hdfs+delta://namenode:9870/folder?rpc=8020`` or ``delta:///folder``.

    Raises:
        SettingsError: the address means nothing.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._root, self._options = _root(address)
        self._rows = TableRows()

    def prepare(self, table: Table, shape: Shape) -> None:
        """Make the table if it is missing.

        Raises:
            ConflictError: it exists in another shape, or was made by somebody else.
            RequestError: a column has no type, or one that Delta lacks, or the key, scope, partition or order no
                column.
        """
        new = described(shape)
        schema = _stored(shape, self._empty(shape)).schema
        for _ in range(_TRIES):
            there = self._table(shape)
            if there is not None:
                self._check_shape(there, new)
                return
            configuration = {_SHAPE: msgspec.json.encode(new).decode()}
            with self._reached(shape.name, again=True):
                DeltaTable.create(
                    self._uri(shape),
                    schema,
                    mode="error",
                    configuration=configuration,
                    storage_options=dict(self._options),
                    raise_if_key_not_exists=False,
                )

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
        with self._reached("probe"):
            DeltaTable.is_deltatable(f"{self._root}/.probe", dict(self._options))
        return f"Delta tables in {self._address} (delta-rs {deltalake.__version__})"

    def tidy(self, shape: Shape) -> None:
        """Pack small files of a table into larger ones and delete what no version that is still kept needs."""
        there = self._table(shape)
        if there is not None:
            with self._reached(shape.name, again=True):  # who was first has changed what would have been packed
                there.optimize.compact(target_size=_FILE_BYTES)
                there.vacuum(dry_run=False)
                there.create_checkpoint()
                there.cleanup_metadata()

    def close(self) -> None:
        """Do nothing: connections close with the tables that they were opened for."""

    def _replace(self, shape: Shape, scope: str | None, sequence: int, change: Callable[[pa.Table], pa.Table]) -> None:
        application = "watersmeet" if scope is None else f"watersmeet={scope}"
        if shape.scope is None:
            application = "watersmeet:table"
        names, within = [name for name, _ in shape.columns], _within(shape, scope, self._rows)
        for _ in range(_TRIES):
            there = self._table(shape)
            if there is None:
                raise RequestError(f"table {shape.name}", kind="unknown", expected="a table", remedy="apply it first")
            self._check_shape(there, described(shape))
            with self._reached(shape.name):
                stored = there.transaction_version(application)
                found = pa.table(there.scan(predicate=within))
            old = self._rows.merged(
                shape, self._empty(shape), self._rows.typed(shape, found, names), self._empty(shape)
            )
            check_sequence(shape.name, scope, -1 if stored is None else stored, sequence)
            new = change(old)
            same = new.equals(old)
            if same and stored == sequence:
                return
            rows = _stored(shape, new)
            self._rows.check_same(shape, new, self._rows.typed(shape, rows, names), "Delta")
            properties = CommitProperties(app_transactions=[Transaction(application, sequence)], max_commit_retries=0)
            with self._reached(shape.name, again=True):
                if same:  # the sequence number alone
                    there.create_write_transaction([], "append", there.schema(), commit_properties=properties)
                elif rows.num_rows:
                    write_deltalake(there, rows, mode="overwrite", predicate=within, commit_properties=properties)
                else:
                    there.delete(within, commit_properties=properties)
                if there.version() and there.version() % _TIDY_VERSIONS == 0:
                    self.tidy(shape)
                return
        remedy = "look which other processes publish this table"
        raise UnavailableError(f"table {shape.name}", got=f"others that were first {_TRIES} times", remedy=remedy)

    def _empty(self, shape: Shape) -> pa.Table:
        return self._rows.typed(shape, pa.table({}), [name for name, _ in shape.columns])

    def _table(self, shape: Shape) -> DeltaTable | None:
        """The table as it is now; None if there is none."""
        with self._reached(shape.name):
            try:
                return DeltaTable(self._uri(shape), storage_options=dict(self._options))
            except TableNotFoundError:
                return None

    def _check_shape(self, there: DeltaTable, wanted: Shape) -> None:
        said = there.metadata().configuration.get(_SHAPE)
        if said is None:
            remedy = "give the table another name"
            raise ConflictError(f"table {wanted.name}", expected="a new name", got="one in use", remedy=remedy)
        check_shape(_decode_shape(said), wanted)

    def _uri(self, shape: Shape) -> str:
        return f"{self._root}/{path_name(shape.name).replace('%', '=')}"

    @contextmanager
    def _reached(self, name: str, *, again: bool = False) -> Iterator[None]:
        """Turn the driver's errors into `UnavailableError`; with ``again``, a lost race ends the block silently."""
        try:
            yield
        except CommitFailedError:
            if not again:
                raise
        except (DeltaError, OSError, TimeoutError) as error:
            if again and "already exists" in str(error):
                return
            got = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:_SAID]
            remedy = "check its address, its credentials and rights, and the network"
            raise UnavailableError(f"{self._address}, table {name}", got=got, remedy=remedy) from error


def _root(address: Address) -> tuple[str, Mapping[str, str]]:
    """The driver's URL of an address's root, and its options."""
    if address.scheme == "s3+delta":
        place = place_of(address)
        return "/".join(["s3:/", place.bucket, *([quote(place.prefix)] if place.prefix else []), "tables"]), (
            place.storage_options()
        )
    if address.scheme == "hdfs+delta":
        port = options(address, HdfsOptions).rpc
        if not port or len(address.hosts) != 1:
            remedy = "append ?rpc=8020, the port of fs.defaultFS"
            raise SettingsError(f"sink {address}", expected="one name node and its RPC port", remedy=remedy)
        return f"hdfs://{address.hosts[0][0]}:{port}/{quote(address.path)}/tables", {}
    if address.hosts or not address.path or address.options:
        raise SettingsError(f"sink {address}", expected="an absolute path, as in delta:///srv/tables")
    root = Path("/", address.path)
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    return root.as_uri(), {}


def _within(shape: Shape, scope: str | None, rows: TableRows) -> str | None:
    """SQL of the driver that holds for the rows of a scope; None: for all."""
    if shape.scope is None:
        return None
    name = '"' + shape.scope.replace('"', '""') + '"'
    if scope is None:
        return f"{name} is null"
    type_ = dict(types_of(shape))[shape.scope]
    spelled = {"VARCHAR": "varchar", "HUGEINT": "decimal(38,0)"}.get(type_, str(type_))

    def value(text: str) -> str:
        quoted = "'" + text.replace("'", "''") + "'"
        if type_.startswith("TIMESTAMP"):
            return f"""arrow_cast({quoted}, 'Timestamp(Microsecond, Some("UTC"))')"""
        return quoted if type_ == "VARCHAR" else f"cast({quoted} as {spelled})"

    if not shape.scope_us:
        return f"{name} = {value(scope)}"
    query = statement("select cast(cast($1 as {type}) + to_microseconds($2) as varchar) as value", type=Sql(type_))
    end = rows.run(f"scope of table {shape.name}", query, [scope, shape.scope_us])["value"][0].as_py()
    return f"{name} >= {value(scope)} and {name} < {value(end)}"


def _stored(shape: Shape, table: pa.Table) -> pa.Table:
    """Rows in the types that Delta has."""
    types = dict(types_of(shape))
    fields = [pa.field(f.name, _delta_type(f"column {f.name}, {types[f.name]}", f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


def _delta_type(subject: str, type_: pa.DataType) -> pa.DataType:
    if type_ in _UNSIGNED:
        return _UNSIGNED[type_]
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us", "UTC")
    if pa.types.is_list(type_):
        return pa.list_(_delta_type(subject, type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(f.name, _delta_type(subject, f.type)) for f in type_])
    if pa.types.is_map(type_):
        return pa.map_(_delta_type(subject, type_.key_type), _delta_type(subject, type_.item_type))
    if pa.types.is_time(type_) or pa.types.is_duration(type_) or pa.types.is_interval(type_):
        raise RequestError(subject, expected="a type that Delta has", remedy="cast the column to text or a number")
    return type_
