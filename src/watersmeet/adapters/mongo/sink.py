"""Published tables as MongoDB collections, one document a row (`document.py` says which).

    <table>              the rows
    watersmeet_tables    {_id: table, shape, turn}: what it looks like, and the number of the last turn taken
    watersmeet_scopes    {_id: {table, scope}, sequence, turn}: who wrote a piece of it last

A write takes a **turn**, a number that nobody else has and that is higher than all before. It then claims its piece:
the piece's sequence number must not be higher than its own, nor its turn. Every document carries the turn that put it,
and only a higher turn replaces or deletes it: what an overtaken writer has still on its way changes nothing that its
successor wrote.

On a replica set, claim and change are one transaction: readers see the piece as before or as after. A mongod alone has
no transactions, and a change of more than `_TRANSACTION_ROWS` rows may be too large for one: there the change follows
the claim document by document, new before old, and the claim is looked at again at the end; an overtaken writer then
takes back what it inserted. A crash in between leaves a mixture until the write is repeated, as `write` and `replace`
may be at any time. Only a writer that is overtaken, then inserts a document that its successor had deleted, and is
killed before it takes it back, leaves that document.

Indexes: partition, order and key columns together; the turns of a piece; the scope, as a TTL index if the table has a
``ttl`` and the scope is a time: a row goes ``ttl`` after the time that it is about. Without such a scope it goes
``ttl`` after it was last written.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
from pymongo import DeleteMany, ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError, CollectionInvalid, DuplicateKeyError, PyMongoError

from watersmeet.core.address import Address
from watersmeet.core.errors import ConflictError, RequestError, UnavailableError
from watersmeet.core.failpoint import declare, hit
from watersmeet.core.record import Records
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table
from watersmeet.formats.naming import path_name
from watersmeet.formats.native import key_texts, native_rows
from watersmeet.formats.table_rows import TableRows, check_sequence, check_shape, described, is_nested

from .connection import Connection, Document, code_of
from .document import OWN, converters, is_time

declare("mongo.turn.after", "mongo.claim.after", "mongo.upserts.after", "mongo.deletes.after", "mongo.commit.after")
_TABLES, _SCOPES = "watersmeet_tables", "watersmeet_scopes"
_ATTEMPTS = 100
_CHUNK = 1000
_INDEX_COLUMNS = 32
_NAME_BYTES = 150  # of the 255 that database and collection have together
_DUPLICATE = 11000
_TRANSACTION_ROWS = 10_000
_PART = 5_000  # documents in one request
_TOO_LARGE = (257, 388)  # TransactionTooLarge, TransactionTooLargeForCache
_TRANSIENT = "TransientTransactionError"
_UP = 1
_decode_shape = msgspec.json.Decoder(Shape).decode
_Rows = Collection[Document]


class MongoSink:
    """The `Sink` port on the collections of one MongoDB database. Safe to share between threads and processes.

    Args:
        address: ``mongodb://user:password@host:port/database?option=…``, see `MongoOptions`.

    Raises:
        SettingsError: the address names no database, or an option is unknown.
    """

    def __init__(self, address: Address) -> None:
        self._connection = Connection(address)
        self._rows = TableRows()
        self._atomic: bool | None = None
        self._mutex = threading.Lock()

    def prepare(self, table: Table, shape: Shape) -> None:
        """Make the collection and its indexes if they are missing; bring its ``ttl`` up to date.

        Raises:
            ConflictError: it exists in another shape, or was made by somebody else.
            RequestError: a column cannot be held, or the key, scope, partition or order names none.
        """
        new = described(shape)
        converters(new)
        subject = f"table {shape.name}"
        database, name = self._connection.database, collection_name(shape.name)
        with self._connection.call(subject):
            there = database[_TABLES].find_one({"_id": shape.name})
            if there is None:
                if name in database.list_collection_names():
                    remedy = "give the table another name"
                    raise ConflictError(subject, expected="a new name", got="one in use", remedy=remedy)
                first = {"shape": msgspec.json.encode(new).decode(), "turn": 0}
                database[_TABLES].update_one({"_id": shape.name}, {"$setOnInsert": first}, upsert=True)
                there = database[_TABLES].find_one({"_id": shape.name}) or first
            check_shape(_decode_shape(str(there["shape"])), new)
            if name not in database.list_collection_names():
                with suppress(CollectionInvalid):  # somebody else was faster
                    database.create_collection(name)
            _index(database[name], shape)

    def write(self, shape: Shape, scope: object, upserts: Records, deletes: Records, sequence: int) -> None:
        """Put and delete rows of one scope, by key; a key in both is put."""
        where = self._rows.scope_text(shape, scope)
        documents = self._documents(shape, where, upserts)
        gone = key_texts(self._rows, shape, self._rows.typed(shape, deletes, shape.key))
        gone = [key for key in dict.fromkeys(gone) if key not in documents]
        parts = [gone[start : start + _CHUNK] for start in range(0, len(gone), _CHUNK)]
        self._change(shape, where, sequence, documents, [{"_id": {"$in": part}} for part in parts])

    def replace(self, shape: Shape, scope: object, rows: Records, sequence: int) -> None:
        """Make a scope hold exactly ``rows``: at once on a replica set, else new rows first."""
        where = self._rows.scope_text(shape, scope)
        self._change(shape, where, sequence, self._documents(shape, where, rows), None)

    def probe(self) -> str:
        """Reach the database and say what it is."""
        with self._connection.call("MongoDB"):
            version = self._connection.client.server_info()["version"]
            self._connection.database.command("ping")
            kind = "with transactions" if self._has_transactions() else "alone: without transactions"
        return f"MongoDB {version} at {self._connection.address}, {kind}"

    def close(self) -> None:
        """Close the connections; nothing may be asked afterwards."""
        self._connection.close()

    def _has_transactions(self) -> bool:
        if self._atomic is None:
            self._atomic = self._connection.options.transactions and self._connection.transactions()
        return self._atomic

    def _documents(self, shape: Shape, scope: str | None, records: Records) -> dict[str, Document]:
        """Rows by the text of their key, without a turn."""
        rows = self._rows.typed(shape, records, [name for name, _ in shape.columns])
        self._rows.check_scope(shape, scope, rows)
        self._rows.check_keys(shape, rows)
        keys = key_texts(self._rows, shape, rows)
        out = dict[str, Document]()
        for key, (values, rest) in zip(keys, native_rows(self._rows, shape, rows, converters(shape)), strict=True):
            own: Document = {"turn": 0, "scope": scope, **({"rest": rest} if rest else {})}
            out[key] = dict(zip(rows.column_names, values, strict=True)) | {OWN: own}
        return out

    def _change(
        self,
        shape: Shape,
        scope: str | None,
        sequence: int,
        documents: dict[str, Document],
        gone: Sequence[Document] | None,
    ) -> None:
        """Put ``documents`` and delete what ``gone`` matches, None: all else of the piece."""
        subject, fits = f"rows of table {shape.name}", len(documents) <= _TRANSACTION_ROWS
        with self._mutex, self._connection.call(subject):
            for _ in range(_ATTEMPTS):
                turn = self._take_turn(shape)
                write = _Write(self._connection, shape.name, scope, sequence, turn)
                try:
                    if fits and self._has_transactions():
                        write.at_once(shape, documents, gone)
                    else:
                        write.in_order(shape, documents, gone)
                except _RacedError:
                    continue
                except _TooLargeError:
                    fits = False
                    continue
                return
        remedy = "it is tried again; what a writer that died has begun is undone after a minute"
        raise UnavailableError(subject, expected="a turn to write", got="others writing all the time", remedy=remedy)

    def _take_turn(self, shape: Shape) -> int:
        tables = self._connection.database[_TABLES]
        there = tables.find_one_and_update({"_id": shape.name}, {"$inc": {"turn": 1}}, return_document=True)
        if there is None:
            raise RequestError(f"table {shape.name}", kind="unknown", expected="a table", remedy="apply it first")
        check_shape(_decode_shape(str(there["shape"])), described(shape))
        hit("mongo.turn.after")
        return int(str(there["turn"]))


class _TooLargeError(Exception):
    """The server does not take so much in one transaction."""


class _RacedError(Exception):
    """Another writer came in between; a new turn is needed."""


class _Write:
    """One attempt of one write, under a turn of its own."""

    def __init__(self, connection: Connection, table: str, scope: str | None, sequence: int, turn: int) -> None:
        self._database, self._client = connection.database, connection.client
        self._table, self._scope, self._sequence, self._turn = table, scope, sequence, turn
        self._rows = self._database[collection_name(table)]
        self._piece: Document = {"table": table, "scope": scope}
        self._session: ClientSession | None = None
        self._inserted: list[str] = []

    def at_once(self, shape: Shape, documents: dict[str, Document], gone: Sequence[Document] | None) -> None:
        """Claim and change in one transaction."""
        with self._client.start_session() as session:
            self._session = session
            try:
                with session.start_transaction():
                    self._claim()
                    self._put(shape, documents)
                    self._delete(gone)
            except PyMongoError as error:
                if code_of(error) in _TOO_LARGE:
                    raise _TooLargeError from error
                if error.has_error_label(_TRANSIENT):
                    raise _RacedError from error
                raise
            hit("mongo.commit.after")

    def in_order(self, shape: Shape, documents: dict[str, Document], gone: Sequence[Document] | None) -> None:
        """Claim, put, delete, and see whether the claim still stands; else take back what was inserted."""
        try:
            self._claim()
            self._put(shape, documents)
            self._delete(gone)
            there = self._database[_SCOPES].find_one({"_id": self._piece}) or {}
            if there.get("turn") != self._turn:
                raise _RacedError
        except _RacedError:
            if self._inserted:
                self._rows.delete_many({"_id": {"$in": self._inserted}, f"{OWN}.turn": self._turn})
            raise

    def _claim(self) -> None:
        """Take the piece over; `ConflictError` if the stored sequence number is higher."""
        scopes, new = self._database[_SCOPES], {"sequence": self._sequence, "turn": self._turn}
        free: Document = {"_id": self._piece, "sequence": {"$lte": self._sequence}, "turn": {"$lt": self._turn}}
        try:
            scopes.update_one(free, {"$set": new}, upsert=True, session=self._session)
        except DuplicateKeyError as error:
            there = scopes.find_one({"_id": self._piece}) or {}  # outside the transaction, which is over
            check_sequence(self._table, self._scope, int(str(there.get("sequence", self._sequence))), self._sequence)
            raise _RacedError from error
        hit("mongo.claim.after")

    def _put(self, shape: Shape, documents: dict[str, Document]) -> None:
        """Put documents, unless somebody with a higher turn has put one of them."""
        if not documents:
            return
        stamped = shape.ttl_us is not None and not _ages_by_scope(shape)
        puts = [_put(key, document, self._turn, stamped=stamped) for key, document in documents.items()]
        for start in range(0, len(puts), _PART):
            try:
                done = self._rows.bulk_write(puts[start : start + _PART], ordered=False, session=self._session)
                self._inserted += (done.upserted_ids or {}).values()
            except BulkWriteError as error:
                self._inserted += (each["_id"] for each in error.details["upserted"])
                if any(fault["code"] == _DUPLICATE for fault in error.details["writeErrors"]):
                    raise _RacedError from error
                raise
        hit("mongo.upserts.after")

    def _delete(self, gone: Sequence[Document] | None) -> None:
        older = "$lt" if gone is None else "$lte"
        within: Document = {f"{OWN}.scope": self._scope, f"{OWN}.turn": {older: self._turn}}
        deletes = [DeleteMany({**within, **which}) for which in ([{}] if gone is None else gone)]
        if deletes:
            self._rows.bulk_write(deletes, ordered=False, session=self._session)
        hit("mongo.deletes.after")


def collection_name(table: str) -> str:
    """A table's collection: its own name; ``=`` and that of `path_name` where MongoDB or this sink cannot have it."""
    odd = set("$%\0") & set(table) or table.startswith((".", "=", "system.", "watersmeet_")) or ".." in table
    if not odd and 0 < len(table.encode()) <= _NAME_BYTES and not table.endswith("."):
        return table
    return "=" + path_name(table).replace(".", "%2E")


def _put(key: str, document: Document, turn: int, *, stamped: bool) -> UpdateOne | ReplaceOne[Document]:
    own: Any = document[OWN]
    new = {**document, OWN: {**own, "turn": turn}}
    which = {"_id": key, f"{OWN}.turn": {"$lte": turn}}
    if not stamped:
        return ReplaceOne(which, new, upsert=True)
    at = {OWN: {"$mergeObjects": [f"${OWN}", {"at": "$$NOW"}]}}
    return UpdateOne(which, [{"$replaceWith": {"$literal": new}}, {"$set": at}], upsert=True)


def _ages_by_scope(shape: Shape) -> bool:
    return shape.scope is not None and is_time(shape, shape.scope)


def _index(rows: _Rows, shape: Shape) -> None:
    """Make the indexes that are missing, and anew those that differ."""
    nested = {name for name, type_ in shape.columns if is_nested(type_)}
    place = [name for name in dict.fromkeys((*shape.partition, *shape.order, *shape.key)) if name not in nested]
    wanted: dict[str, tuple[list[str], int | None]] = {"watersmeet_turn": ([f"{OWN}.scope", f"{OWN}.turn"], None)}
    if place:
        wanted["watersmeet_place"] = (place[:_INDEX_COLUMNS], None)
    if shape.scope is not None and shape.scope not in nested:
        wanted["watersmeet_scope"] = ([shape.scope], None)
    if shape.ttl_us is not None:
        seconds = -(-shape.ttl_us // 1_000_000)
        name, column = ("watersmeet_scope", shape.scope) if _ages_by_scope(shape) else ("watersmeet_age", f"{OWN}.at")
        wanted[name] = ([str(column)], seconds)
    there = rows.index_information()
    for name in ("watersmeet_scope", "watersmeet_age"):
        if name in there and there[name].get("expireAfterSeconds") != wanted.get(name, ([], None))[1]:
            rows.drop_index(name)
    for name, (columns, after) in wanted.items():
        age: dict[str, Any] = {} if after is None else {"expireAfterSeconds": after}
        rows.create_index([(column, _UP) for column in columns], name=name, **age)
