"""Published tables as Cassandra tables (`published.py` says which).

    <table>              the rows
    watersmeet_tables    name -> shape: what each looks like
    watersmeet_scopes    (name, scope) -> sequence, turn: who wrote a piece of a table last; by compare-and-set
    watersmeet_places    (name, scope, bucket), key, place: under which primary keys a piece may have rows

A write takes a **turn** of its piece by a compare-and-set that refuses a lower sequence number. Turns grow, and follow
the servers' clock. All that the write does carries its turn as Cassandra's own timestamp: whatever a writer who was
overtaken has still on its way, even in a coordinator's queue, loses against what its successor wrote or deleted.

    turn → look up where the rows are now → note where they will be → is the turn still mine? → rows → forget old places

A successor takes its turn before that question, and then the write begins anew or is refused; or after it, and then he
finds the notes and deletes what is written under them later than he looked. So a crash at any step leaves rows of which
the places are known, and repeating the write ends it. A deletion must be remembered (``gc_grace_seconds``) for longer
than a request can be on its way.

Rows of one partition are written as one batch, deletions included: readers see that partition as before or as after, if
the change fits (`_BATCH_ROWS`, `_BATCH_BYTES`). Several partitions change one after the other: new rows come before old
ones go. ``ttl`` counts from when a row was last written.
"""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec
import pyarrow as pa

from watersmeet.core.address import Address
from watersmeet.core.errors import ConflictError, RequestError, UnavailableError
from watersmeet.core.failpoint import declare, hit
from watersmeet.core.record import Records
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table
from watersmeet.formats.native import key_texts, native_rows, text_of
from watersmeet.formats.statement import statement
from watersmeet.formats.table_rows import TableRows, check_sequence, check_shape, described, is_nested, types_of

from .published import Published
from .session import Request, Session, open_session

declare(
    "tables.turn.after",
    "tables.places.after",
    "tables.claim.after",
    "tables.rows.after",
    "tables.vanished.after",
    "tables.forgotten.after",
)
_OWN = {
    "watersmeet_tables": "(name text primary key, shape text)",
    "watersmeet_scopes": "(name text, scope text, sequence bigint, turn bigint, primary key ((name, scope)))",
    "watersmeet_places": "(name text, scope text, bucket int, key text, place text,"
    " primary key ((name, scope, bucket), key, place))",
}
_FORGET = (
    "delete from watersmeet_places using timestamp ?"
    " where name = ? and scope = ? and bucket = ? and key = ? and place = ?"
)
_ATTEMPTS = 100
_BUCKETS_OF_ALL, _BUCKETS_OF_SCOPE = 16, 4
_BATCH_ROWS, _BATCH_BYTES = 500, 512 << 10
_KEYS = 100
_LONGEST_TTL = 630_720_000  # Cassandra's own bound: 20 years
_TTL_MARGIN = 3600
_decode_shape = msgspec.json.Decoder(Shape).decode
_Values = tuple[object, ...]
Places = dict[tuple[str, str], _Values]
"""(key, place), both as texts -> the values of the primary key."""
_published = lru_cache(maxsize=256)(Published)


class CassandraSink:
    """The `Sink` port on one keyspace of a Cassandra cluster. Safe to share between threads and processes.

    Connects when it is first asked.

    Args:
        address: ``cassandra://user:password@host:port/keyspace?option=…``, see `Options`; ``app`` is put in front of
            the tables' names.

    Raises:
        SettingsError: later, when it connects: an option is wrong.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._rows = TableRows()
        self._mutex, self._turn = threading.Lock(), threading.Lock()
        self._opened: Session | None = None

    def prepare(self, table: Table, shape: Shape) -> None:
        """Make the table if it is missing; bring its ``ttl`` up to date.

        Raises:
            ConflictError: it exists in another shape, or was made by somebody else.
            RequestError: a column cannot be held, or the key, scope, partition or order names none.
        """
        new = described(shape)
        session = self._session()
        published = self._published(new)
        there = _columns(session, published.name)
        if there and self._stored_shape(session, published) is None:
            raise _taken(published, there)
        text = msgspec.json.encode(new).decode()
        if self._stored_shape(session, published) is None:
            session.decide(
                "insert into watersmeet_tables (name, shape) values (?, ?) if not exists", (published.name, text)
            )
        stored = self._stored_shape(session, published)
        if stored is None:
            subject = f"table {shape.name}"
            raise UnavailableError(subject, expected="to be noted down", got="no answer", remedy="it is tried again")
        check_shape(stored, new)
        seconds = _ttl_seconds(shape)
        if not there:
            grace = session.options.gc_grace_seconds
            session.define(published.made(f"default_time_to_live = {seconds} and gc_grace_seconds = {grace}"))
            return
        if there != published.columns:
            raise _taken(published, there)
        query = "select default_time_to_live from system_schema.tables where keyspace_name = ? and table_name = ?"
        if session.read(query, (_keyspace(session), published.name)) != [(seconds,)]:
            alter = "alter table {table} with default_time_to_live = " + str(seconds)
            session.define(statement(alter, table=published.name))

    def write(self, shape: Shape, scope: object, upserts: Records, deletes: Records, sequence: int) -> None:
        """Put and delete rows of one scope, by key; a key in both is put."""
        change = self._change(shape, scope, upserts)
        gone = key_texts(self._rows, shape, self._rows.typed(shape, deletes, shape.key))
        self._write(change, sequence, [*dict.fromkeys([key for key, _ in change.places] + gone)])

    def replace(self, shape: Shape, scope: object, rows: Records, sequence: int) -> None:
        """Make a scope hold exactly ``rows``: at once if they and the old ones are of one partition, else new first."""
        self._write(self._change(shape, scope, rows), sequence, None)

    def probe(self) -> str:
        """Reach the cluster and say what it is."""
        session = self._session()
        ((version, cluster),) = session.read("select release_version, cluster_name from system.local")
        return f"Cassandra {version}, cluster {cluster}, at {self._address}"

    def close(self) -> None:
        """Close the connections; nothing may be asked afterwards."""
        if self._opened is not None:
            self._opened.close()

    def _session(self) -> Session:
        with self._mutex:
            if self._opened is None:
                try:
                    session = open_session(self._address)
                except UnavailableError as error:
                    error.remedy = error.remedy or "look whether Cassandra runs and can be reached"
                    raise
                query = "select table_name from system_schema.tables where keyspace_name = ?"
                there = {name for (name,) in session.read(query, (_keyspace(session),))}
                for name in _OWN.keys() - there:
                    session.define(f"create table if not exists {name} {_OWN[name]}")
                self._opened = session
            return self._opened

    def _published(self, shape: Shape) -> Published:
        app = self._address.options.get("app", "")
        return _published(shape, f"{app.lower()}_" if app else "")

    def _stored_shape(self, session: Session, published: Published, *, serial: bool = True) -> Shape | None:
        query = "select shape from watersmeet_tables where name = ?"
        found = session.read(query, (published.name,), serial=serial)
        stored = _decode_shape(found[0][0]) if found else None
        if stored is not None and stored.name != published.shape.name:
            subject, remedy = f"table {published.shape.name}", "give the table another name"
            raise ConflictError(subject, expected="a name of its own", got=f"that of {stored.name}", remedy=remedy)
        return stored

    def _change(self, shape: Shape, scope: object, records: Records) -> _Change:
        """Rows that are to be put, and under which keys and places."""
        published, where = self._published(shape), self._rows.scope_text(shape, scope)
        rows = self._rows.typed(shape, records, [name for name, _ in shape.columns])
        self._rows.check_scope(shape, where, rows)
        self._rows.check_keys(shape, rows)
        keys, places = key_texts(self._rows, shape, rows), self._place_texts(published, rows)
        natives = native_rows(self._rows, shape, rows, published.converters)
        names = rows.column_names
        found = {
            at: published.primary(names, row) for at, row in zip(zip(keys, places, strict=True), natives, strict=True)
        }
        return _Change(published, where, found, [published.row(names, row) for row in natives])

    def _place_texts(self, published: Published, rows: pa.Table) -> list[str]:
        types = dict(types_of(published.shape))
        parts = [text_of(name, types[name]) for name in published.place]
        query = statement("select cast(to_json([{parts}]) as varchar) as place from given", parts=parts)
        texts: list[str] = self._rows.run(f"rows of table {published.shape.name}", query, given=rows)[
            "place"
        ].to_pylist()
        return texts

    def _primaries(self, published: Published, found: Sequence[tuple[str, str]]) -> Places:
        """The primary keys of places."""
        types, names = dict(types_of(published.shape)), published.place
        texts = [json.loads(place) for _, place in found]
        columns = {str(n): pa.array([text[n] for text in texts], pa.string()) for n in range(len(names))}
        casts = []
        for number, name in enumerate(names):
            value = statement("cast({n} as json)" if is_nested(types[name]) else "{n}", n=str(number))
            casts.append(statement("cast({value} as {type}) as {name}", value=value, type=types[name], name=name))
        query = statement("select {casts} from given", casts=casts)
        subject = f"rows of table {published.shape.name}"
        rows = self._rows.run(subject, query, given=pa.table(columns)).select(list(names))
        natives = native_rows(self._rows, published.shape, rows, published.converters)
        return {at: published.primary(names, row) for at, row in zip(found, natives, strict=True)}

    def _write(self, change: _Change, sequence: int, keys: Sequence[str] | None) -> None:
        """Put rows and take away what else there is of ``keys``, None: of the whole piece."""
        session, published = self._session(), change.published
        stored = self._stored_shape(session, published, serial=False)
        subject = f"table {published.shape.name}"
        if stored is None:
            raise RequestError(subject, kind="unknown", expected="a table", remedy="apply it first")
        check_shape(stored, described(published.shape))
        with self._turn:
            for _ in range(_ATTEMPTS):
                turn = _take_turn(session, change, sequence)
                if turn is None:
                    continue
                hit("tables.turn.after")
                found = [at for at in _places(session, change, keys) if at not in change.places]
                gone = self._primaries(published, found) if found else {}
                _send(session, _notes(change, turn))
                hit("tables.places.after")
                state = _state(session, change)
                if state is None or state[1] != turn:
                    continue
                hit("tables.claim.after")
                _put(session, change, gone, turn)
                forget = [
                    (change.address(key), (_FORGET, (turn, *change.address(key), key, place))) for key, place in gone
                ]
                _send(session, forget)
                hit("tables.forgotten.after")
                return
        remedy = "it is tried again"
        raise UnavailableError(subject, expected="a turn to write", got="others writing all the time", remedy=remedy)


@dataclass(frozen=True)
class _Change:
    """Rows of one piece that are to be put.

    Args:
        published: the table.
        scope: as text.
        places: of the rows, in their order.
        rows: values for `Published.insert`.
    """

    published: Published
    scope: str | None
    places: Places
    rows: Sequence[_Values]

    @property
    def piece(self) -> tuple[str, str]:
        """Names the piece in the tables beside the rows."""
        return self.published.name, "" if self.scope is None else f"={self.scope}"

    @property
    def buckets(self) -> int:
        return _BUCKETS_OF_ALL if self.published.shape.scope is None else _BUCKETS_OF_SCOPE

    def address(self, key: str) -> tuple[str, str, int]:
        """The partition of ``watersmeet_places`` in which a key's places are."""
        return *self.piece, zlib.crc32(key.encode()) % self.buckets


def _state(session: Session, change: _Change) -> tuple[int, int, int] | None:
    """The sequence number and the turn of a piece, and the time of the servers in µs."""
    query = "select sequence, turn, tounixtimestamp(now()) from watersmeet_scopes where name = ? and scope = ?"
    found = session.read(query, change.piece, serial=True)
    return (int(found[0][0]), int(found[0][1]), int(found[0][2]) * 1000) if found else None


def _take_turn(session: Session, change: _Change, sequence: int) -> int | None:
    """A turn higher than all before; None if another writer got one instead, or nobody knows.

    Raises:
        ConflictError: the stored sequence number is higher.
    """
    state = _state(session, change)
    if state is None:
        ((milliseconds,),) = session.read("select tounixtimestamp(now()) from system.local")
        turn = int(milliseconds) * 1000
        cql = "insert into watersmeet_scopes (sequence, turn, name, scope) values (?, ?, ?, ?) if not exists"
        return turn if session.decide(cql, (sequence, turn, *change.piece)) else None
    stored, last, now_us = state
    check_sequence(change.published.shape.name, change.scope, stored, sequence)
    turn = max(now_us, last + 1)
    cql = "update watersmeet_scopes set sequence = ?, turn = ? where name = ? and scope = ? if turn = ?"
    return turn if session.decide(cql, (sequence, turn, *change.piece, last)) else None


def _places(session: Session, change: _Change, keys: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Where there may be rows of ``keys``; of the whole piece if None."""
    query = "select key, place from watersmeet_places where name = ? and scope = ? and bucket = ?"
    requests: list[Request] = []
    if keys is None:
        requests = [(query, (*change.piece, bucket)) for bucket in range(change.buckets)]
    else:
        by_address: dict[tuple[str, str, int], list[str]] = {}
        for key in keys:
            by_address.setdefault(change.address(key), []).append(key)
        for address, all_ in by_address.items():
            parts = [all_[start : start + _KEYS] for start in range(0, len(all_), _KEYS)]
            requests += [(f"{query} and key in ?", (*address, part)) for part in parts]
    for found in session.read_all(requests):
        yield from ((str(key), str(place)) for key, place in found)


def _notes(change: _Change, turn: int) -> Iterator[tuple[object, Request]]:
    """Where the rows will be; notes live a little longer than the rows."""
    seconds = _ttl_seconds(change.published.shape)
    seconds = min(seconds + _TTL_MARGIN, _LONGEST_TTL) if seconds else 0
    cql = "insert into watersmeet_places (name, scope, bucket, key, place) values (?, ?, ?, ?, ?)"
    for key, place in change.places:
        address = change.address(key)
        yield address, (f"{cql} using timestamp ? and ttl ?", (*address, key, place, turn, seconds))


def _put(session: Session, change: _Change, gone: Mapping[tuple[str, str], _Values], turn: int) -> None:
    """Put the rows, then take away what is gone; all of a partition at once if it fits."""
    published, width = change.published, len(change.published.partition)
    puts = _by_partition((repr(row[:width]), (published.insert, (*row, turn))) for row in change.rows)
    takes = _by_partition((repr(place[:width]), (published.delete, (turn, *place))) for place in gone.values())
    for partition in puts.keys() & takes.keys():
        whole = [*puts[partition], *takes[partition]]
        if len(whole) <= _BATCH_ROWS and sum(map(_size, whole)) <= _BATCH_BYTES:
            puts[partition] = whole
            del takes[partition]
    _send(session, ((partition, each) for partition, requests in puts.items() for each in requests))
    hit("tables.rows.after")
    _send(session, ((partition, each) for partition, requests in takes.items() for each in requests))
    hit("tables.vanished.after")


def _send(session: Session, requests: Iterable[tuple[object, Request]]) -> None:
    """Make writes, each with its partition: those of one partition in batches."""
    alone = list[Request]()
    for found in _by_partition(requests).values():
        for part in _parts(found):
            if len(part) == 1:
                alone += part
            else:
                session.write_batch(part)
    session.write_all(alone)


def _by_partition(requests: Iterable[tuple[object, Request]]) -> dict[object, list[Request]]:
    out: dict[object, list[Request]] = {}
    for partition, request in requests:
        out.setdefault(partition, []).append(request)
    return out


def _parts(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Batches that fit; a row that does not fit is one by itself."""
    part, size = list[Request](), 0
    for request in requests:
        more = _size(request)
        if part and (len(part) >= _BATCH_ROWS or size + more > _BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(request)
        size += more
    if part:
        yield part


def _size(request: Request) -> int:
    return 50 + sum(len(value) if isinstance(value, str | bytes) else 16 for value in request[1])


def _ttl_seconds(shape: Shape) -> int:
    return 0 if shape.ttl_us is None else min(-(-shape.ttl_us // 1_000_000), _LONGEST_TTL)


def _keyspace(session: Session) -> str:
    return str(session.driver.keyspace)


def _columns(session: Session, table: str) -> dict[str, tuple[str, str]]:
    """The columns of a table that is there, as `Published.columns` has them; none: there is no table."""
    query = (
        "select column_name, kind, position, type from system_schema.columns where keyspace_name = ? and table_name = ?"
    )
    found = session.read(query, (_keyspace(session), table))
    return {name: (kind if position < 0 else f"{kind} {position}", type_) for name, kind, position, type_ in found}


def _taken(published: Published, there: Mapping[str, tuple[str, str]]) -> ConflictError:
    """The error for a table that somebody else has made or changed, with how it differs."""
    wanted = published.columns
    names = [name for name in {**there, **wanted} if there.get(name) != wanted.get(name)]
    expected = ", ".join(f"{name} {' '.join(wanted.get(name, ('absent',)))}" for name in names)
    got = ", ".join(f"{name} {' '.join(there.get(name, ('absent',)))}" for name in names)
    return ConflictError(
        f"table {published.shape.name}",
        expected=expected or "a new name",
        got=got or "one in use, which somebody else has made",
        remedy=f"give the table another name, or drop {published.name} at the destination",
    )
