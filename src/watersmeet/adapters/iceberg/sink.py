"""Published tables as Iceberg tables, with a catalogue in an SQL database.

    iceberg:///srv/tables                                                  files and catalogue in a folder
    iceberg://bucket/prefix?catalogue=postgresql+psycopg://user@host/db    files on S3
    iceberg://KEY:SECRET@127.0.0.1:9000/bucket/prefix?catalogue=…          the same on another server than Amazon's

A write is one commit of the catalogue: new contents of one scope, and the sequence number of that scope as the table's
property ``watersmeet.sequence=<scope>``. Every commit makes a snapshot and asks that none was made since it looked, so
a write looks, commits, and looks again if somebody else was first; a write that is repeated repeats itself, and a
writer that was overtaken finds a number above its own.

Times are ``timestamp`` (UTC, µs), HUGEINT is ``decimal(38,0)``, whole numbers have at least 32 bits and a sign. Every
write is a snapshot that can be read until `IcebergSink.expire` forgets it; packing small files is left to an engine.

Servers that stumble over the checksums which Amazon's client adds of itself ("BadRequest" at the end of an upload)
want ``AWS_REQUEST_CHECKSUM_CALCULATION=when_required`` in the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pyiceberg
from pyiceberg import expressions
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from sqlalchemy.exc import SQLAlchemyError

from watersmeet.core.address import Address, options
from watersmeet.core.errors import ConflictError, RequestError, SettingsError, UnavailableError
from watersmeet.core.record import Records
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table
from watersmeet.formats.naming import path_name
from watersmeet.formats.statement import statement
from watersmeet.formats.table_rows import TableRows, check_sequence, check_shape, described, types_of

_e: Any = expressions  # their constructors are made at run time, and no checker sees what they take
_SHAPE, _SEQUENCE = "watersmeet.shape", "watersmeet.sequence"
_TRIES = 100
_SAID = 300
_LOST = (CommitFailedException, CommitStateUnknownException, TableAlreadyExistsError, ValidationException)
_WIDER = {
    pa.int8(): pa.int32(),
    pa.int16(): pa.int32(),
    pa.uint8(): pa.int32(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20),
}
_PROPERTIES = {
    "commit.retry.num-retries": "0",  # a lost race must be looked at anew, not committed again
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "100",
}
_decode_shape = msgspec.json.Decoder(Shape).decode


@dataclass(frozen=True, slots=True)
class IcebergOptions:
    """What an ``iceberg://`` address may say after its question mark.

    Args:
        catalogue: SQLAlchemy's URL of the database; default an SQLite file in the folder of the tables.
        namespace: of the tables in the catalogue.
        region: of the bucket.
        tls: of a server that is named by host and port.
        timeout_seconds: of a request to S3.
    """

    catalogue: str = ""
    namespace: str = "watersmeet"
    region: str = "us-east-1"
    tls: bool = False
    timeout_seconds: float = 30.0


class IcebergSink:
    """The `Sink` port on Iceberg tables. Safe to share between threads; processes may share a catalogue.

    Args:
        address: ``iceberg://…``.

    Raises:
        SettingsError: the address means nothing.
        UnavailableError: the catalogue cannot be opened.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        chosen = options(address, IcebergOptions)
        self._namespace = chosen.namespace
        self._root, properties = _warehouse(address, chosen)
        self._rows = TableRows()
        with self._reached("catalogue"):
            self._catalogue = SqlCatalog("watersmeet", **properties)

    def prepare(self, table: Table, shape: Shape) -> None:
        """Make the table if it is missing.

        Raises:
            ConflictError: it exists in another shape, or was made by somebody else.
            RequestError: a column has no type, or one that Iceberg lacks, or the key, scope, partition or order no
                column.
        """
        new = described(shape)
        schema = _stored(shape, self._empty(shape)).schema
        with self._reached(shape.name):
            try:
                self._catalogue.create_namespace(self._namespace)
            except NamespaceAlreadyExistsError:
                pass
            except SQLAlchemyError:
                if not self._catalogue.namespace_exists(self._namespace):  # or else another was first
                    raise
        for _ in range(_TRIES):
            there = self._table(shape)
            if there is not None:
                self._check_shape(there, new)
                return
            with self._reached(shape.name, again=True):
                self._catalogue.create_table(
                    (self._namespace, shape.name),
                    schema,
                    location=f"{self._root}/{path_name(shape.name).replace('%', '=')}",
                    properties={**_PROPERTIES, _SHAPE: msgspec.json.encode(new).decode()},
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
        """Reach the catalogue and say what this is; `UnavailableError` with a remedy if it cannot."""
        with self._reached("catalogue"):
            tables = len(self._catalogue.list_tables(self._namespace)) if self._made() else 0
            dialect = self._catalogue.engine.dialect.name
        return f"{tables} Iceberg tables at {self._address}, catalogue in {dialect} (pyiceberg {pyiceberg.__version__})"

    def expire(self, shape: Shape, before: datetime) -> None:
        """Forget the snapshots of a table that are older than a time; the present one is kept."""
        there = self._table(shape)
        if there is not None:
            with self._reached(shape.name, again=True):
                there.maintenance.expire_snapshots().older_than(before).commit()

    def close(self) -> None:
        """Close the catalogue's connections."""
        self._catalogue.engine.dispose()

    def _replace(self, shape: Shape, scope: str | None, sequence: int, change: Callable[[pa.Table], pa.Table]) -> None:
        name = f"{_SEQUENCE}={scope}" if scope is not None else _SEQUENCE + ("" if shape.scope is None else ".null")
        names, within = [name for name, _ in shape.columns], _within(shape, scope, self._rows)
        for _ in range(_TRIES):
            there = self._table(shape)
            if there is None:
                raise RequestError(f"table {shape.name}", kind="unknown", expected="a table", remedy="apply it first")
            self._check_shape(there, described(shape))
            stored = int(there.properties.get(name, -1))
            check_sequence(shape.name, scope, stored, sequence)
            with self._reached(shape.name):
                found = self._rows.typed(shape, _read(there, within), names)
            old = self._rows.merged(
                shape, self._empty(shape), self._rows.within(shape, scope, found), self._empty(shape)
            )
            new = change(old)
            if new.equals(old) and stored == sequence:
                return
            rows = _stored(shape, new)
            self._rows.check_same(shape, new, self._rows.typed(shape, rows, names), "Iceberg")
            with self._reached(shape.name, again=True):
                with there.transaction() as transaction:
                    if old.num_rows and not new.equals(old):
                        transaction.delete(within)
                    if new.num_rows and not new.equals(old):
                        transaction.add_files([_written(there, rows)], check_duplicate_files=False)
                    else:
                        # It makes a snapshot, and so asks that none was made since.
                        transaction.append(rows.slice(0, 0))
                    transaction.set_properties({name: str(sequence)})
                return
        remedy = "look which other processes publish this table"
        raise UnavailableError(f"table {shape.name}", got=f"others that were first {_TRIES} times", remedy=remedy)

    def _made(self) -> bool:
        return bool(self._catalogue.namespace_exists(self._namespace))

    def _empty(self, shape: Shape) -> pa.Table:
        return self._rows.typed(shape, pa.table({}), [name for name, _ in shape.columns])

    def _table(self, shape: Shape) -> Any:
        """The table as it is now; None if there is none."""
        with self._reached(shape.name):
            try:
                return self._catalogue.load_table((self._namespace, shape.name))
            except NoSuchTableError:
                return None

    def _check_shape(self, there: Any, wanted: Shape) -> None:
        said = there.properties.get(_SHAPE)
        if said is None:
            remedy = "give the table another name"
            raise ConflictError(f"table {wanted.name}", expected="a new name", got="one in use", remedy=remedy)
        check_shape(_decode_shape(said), wanted)

    @contextmanager
    def _reached(self, name: str, *, again: bool = False) -> Iterator[None]:
        """Turn the driver's errors into `UnavailableError`; with ``again``, a lost race ends the block silently."""
        try:
            yield
        except (*_LOST, SQLAlchemyError, OSError) as error:
            if again and isinstance(error, _LOST):
                return
            got = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:_SAID]
            remedy = "check the catalogue and the store, their credentials and rights, and the network"
            raise UnavailableError(f"{self._address}, {name}", got=got, remedy=remedy) from error


def _warehouse(address: Address, chosen: IcebergOptions) -> tuple[str, dict[str, str]]:
    """Where tables lie, and what the driver is told."""
    if not address.hosts:
        root = Path("/", address.path)
        if not address.path:
            raise SettingsError(f"sink {address}", expected="an absolute path, as in iceberg:///srv/tables")
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return root.as_uri(), {"uri": chosen.catalogue or f"sqlite:///{root}/catalogue.db", "warehouse": root.as_uri()}
    if not chosen.catalogue:
        remedy = "append ?catalogue=, with SQLAlchemy's URL of a database"
        raise SettingsError(f"sink {address}", expected="a catalogue", remedy=remedy)
    if address.hosts[0][1]:
        place, server = address.path, f"{'https' if chosen.tls else 'http'}://{address.servers()}"
    else:
        place, server = f"{address.hosts[0][0]}/{address.path}".rstrip("/"), ""
    seconds = f"{chosen.timeout_seconds:g}"
    found = {"uri": chosen.catalogue, "warehouse": f"s3://{place}", "s3.region": chosen.region}
    found |= {"s3.connect-timeout": seconds, "s3.request-timeout": seconds}
    if server:
        found["s3.endpoint"] = server
    if address.user:
        found |= {"s3.access-key-id": address.user, "s3.secret-access-key": address.password}
    return f"s3://{place}", found


def _read(there: Any, within: Any) -> pa.Table:
    """The rows of all files that may have some of a scope.

    The driver's own way, which is left to tables that others have deleted single rows of, makes empty lists of null
    ones if they are lists of structs, when it reads and when it writes.
    """
    scan = there.scan(row_filter=within)
    tasks = list(scan.plan_files())
    if any(task.delete_files for task in tasks):
        return scan.to_arrow()
    tables = []
    for task in tasks:
        with there.io.new_input(task.file.file_path).open() as file:
            tables.append(pq.read_table(file).replace_schema_metadata(None))
    return pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({})


def _written(there: Any, rows: pa.Table) -> str:
    """Write a data file, and say where; none reads it before it is committed."""
    place = f"{there.location()}/data/{uuid4()}.parquet"
    with there.io.new_output(place).create() as file:
        pq.write_table(rows, file, compression="zstd")
    return place


def _within(shape: Shape, scope: str | None, rows: TableRows) -> Any:
    """What holds for the rows of a scope."""
    if shape.scope is None:
        return _e.AlwaysTrue()
    if scope is None:
        return _e.IsNull(shape.scope)
    type_ = dict(types_of(shape))[shape.scope]
    query = statement("select cast($1 as {type}) as value", type=type_)
    value = rows.run(f"scope of table {shape.name}", query, [scope])["value"][0].as_py()
    if shape.scope_us:
        end = value + timedelta(microseconds=shape.scope_us)
        return _e.And(_e.GreaterThanOrEqual(shape.scope, _literal(value)), _e.LessThan(shape.scope, _literal(end)))
    return _e.EqualTo(shape.scope, _literal(value))


def _literal(value: object) -> Any:
    """A value as the driver's expressions take it."""
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return value if isinstance(value, Decimal | str | int | float | bytes) else str(value)


def _stored(shape: Shape, table: pa.Table) -> pa.Table:
    """Rows in the types that Iceberg has."""
    types = dict(types_of(shape))
    fields = [pa.field(f.name, _iceberg_type(f"column {f.name}, {types[f.name]}", f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


def _iceberg_type(subject: str, type_: pa.DataType) -> pa.DataType:
    if type_ in _WIDER:
        return _WIDER[type_]
    if pa.types.is_timestamp(type_):
        return pa.timestamp("us")
    if pa.types.is_list(type_):
        return pa.list_(_iceberg_type(subject, type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([pa.field(f.name, _iceberg_type(subject, f.type)) for f in type_])
    if pa.types.is_map(type_):
        return pa.map_(_iceberg_type(subject, type_.key_type), _iceberg_type(subject, type_.item_type))
    if pa.types.is_time(type_) or pa.types.is_duration(type_) or pa.types.is_interval(type_):
        raise RequestError(subject, expected="a type that Iceberg has", remedy="cast the column to text or a number")
    return type_
