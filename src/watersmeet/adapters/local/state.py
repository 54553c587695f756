"""State in one SQLite file.

* A change is one transaction: entries, blobs and head of a manifest, or nothing. `Database` says what that means.
* What no manifest lists, now or back to the floor of its history, is deleted by a sweep and by nothing else.
* Every row has a checksum, and sums of them tell of rows that are missing (`manifest_rows`, `facts`). Damage is refused
  as `CorruptError` and never read as if it were an answer. A damaged write-ahead log is the exception: SQLite takes the
  file back to the last commit before the damage, whole.
* Once the file has been made, ``<file>.made`` stands beside it, so that a lost file is not taken for a new one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from watersmeet.core.clock import Clock
from watersmeet.core.errors import ConflictError, CorruptError, RequestError, SettingsError
from watersmeet.core.failpoint import declare, hit
from watersmeet.core.manifest import Manifest, Transition
from watersmeet.core.record import Records
from watersmeet.core.state import Blob, Value
from watersmeet.formats.chunk import pack, unpack
from watersmeet.formats.disk import reachable, sync_directory, write_file
from watersmeet.formats.manifest_rows import check, checksum, corrupt

from . import facts, manifests
from .database import Database
from .facts import Facts
from .manifests import Manifests

declare(
    "state.create.before",
    "state.create.after",
    "state.change.before",
    "state.change.begun",
    "state.blobs.written",
    "state.commit.before",
    "state.commit.after",
    "state.sweep.before",
    "state.sweep.floor",
    "state.sweep.blobs",
    "state.sweep.after",
)
FORMAT = 1
LARGEST_BLOB_BYTES = 999_000_000
_APPLICATION = int.from_bytes(b"WMST")
_SWEEP_BLOBS = 64
_SWEEP_PAGES = 2048
_SCHEMA = (
    *manifests.SCHEMA,
    *facts.SCHEMA,
    "create table blobs(topic text, kind text, owner text, crc integer, data blob, primary key(topic, kind, owner))",
    f"pragma application_id={_APPLICATION}",
    f"pragma user_version={FORMAT}",
)


class LocalState:
    """State of one machine's processes in an SQLite file. Safe to share between threads.

    Args:
        path: the file; made, for its owner only, if it is missing.
        clock: tells when a version came to be.
        busy_seconds: how long to wait for a transaction of another process.

    Raises:
        SettingsError: the file was made by a newer version of this package, or is something else.
        CorruptError: the file is damaged, or was there once and is lost.
        UnavailableError: it cannot be opened.
    """

    def __init__(self, path: Path, clock: Clock, *, busy_seconds: float = 10.0) -> None:
        self._clock = clock
        self._manifests = Manifests()
        self._facts = Facts()
        self._database = Database(path, lambda c: _prepare(path, c), name="state", busy_seconds=busy_seconds)

    def manifest(self, topic: str, as_of_us: int | None = None) -> Manifest:
        """The manifest now, or as it was at a time; version 0 for a topic that has none."""
        with self._database.read() as connection:
            if as_of_us is None:
                return self._manifests.newest(connection, topic)
            return self._manifests.past(connection, topic, as_of_us)

    def change(self, topic: str, transition: Transition, blobs: Sequence[Blob] = ()) -> Manifest:
        """Apply a pure transition to the newest manifest, durably and together with ``blobs``."""
        packed = [_packed(topic, blob) for blob in blobs]
        hit("state.change.before")
        with self._database.write() as connection:
            hit("state.change.begun")
            try:
                known = self._manifests.change(connection, topic, transition, self._clock.now_us())
                if known is None:
                    return self._manifests.newest(connection, topic)
                connection.executemany("insert into blobs values(?, ?, ?, ?, ?)", packed)
            except sqlite3.IntegrityError as error:
                expected = "entries listed once, and blobs of owners that have none of that kind yet"
                raise ConflictError(f"change of topic {topic}", expected=expected, got=str(error)) from error
            hit("state.blobs.written")
        self._manifests.keep(known)
        return known.manifest

    def load(self, topic: str, kind: str, owners: Sequence[str]) -> Mapping[str, Records]:
        """Blobs by owner, as Arrow tables, checked against their checksums."""
        found: dict[str, Records] = {}
        query = "select crc, data from blobs where topic=? and kind=? and owner=?"
        with self._database.read() as connection:
            for owner in owners:
                row = connection.execute(query, (topic, kind, owner)).fetchone()
                subject = f"blob {kind} of {owner}, topic {topic}"
                if row is None:
                    raise corrupt(subject, "a stored blob", "none")
                found[owner] = unpack(check(subject, row[1], row[0], topic, kind, owner))
        return found

    def sweep(self, topic: str, before_us: int) -> int:
        """Delete what left the manifest before ``before_us`` and blobs that no manifest lists; how many blobs went.

        The floor is raised first. Blobs go in small transactions and the file shrinks by little, so that no commit
        waits long; free pages are used again.
        """
        hit("state.sweep.before")
        with self._database.write() as connection:
            self._manifests.forget(connection, topic, before_us)
        hit("state.sweep.floor")
        with self._database.read() as connection:
            stored = connection.execute("select kind, owner from blobs where topic=?", (topic,)).fetchall()
            alive = self._manifests.listed(connection, topic)
        dead = [(topic, *address) for address in stored if address not in alive]
        for begin in range(0, len(dead), _SWEEP_BLOBS):
            with self._database.write() as connection:
                some = dead[begin : begin + _SWEEP_BLOBS]
                connection.executemany("delete from blobs where topic=? and kind=? and owner=?", some)
            hit("state.sweep.blobs")
        self._database.give_back(_SWEEP_PAGES)
        hit("state.sweep.after")
        return len(dead)

    def get(self, space: str, key: str) -> Value | None:
        """A small value, or None."""
        with self._database.read() as connection:
            return self._facts.get(connection, space, key)

    def put(self, space: str, key: str, data: bytes | None, expected: int | None = None) -> int:
        """Store a value, or delete it with None; a version is never given twice in a space."""
        hit("state.put.before")
        with self._database.write() as connection:
            return self._facts.put(connection, space, key, data, expected)

    def scan(self, space: str, prefix: str = "") -> Mapping[str, Value]:
        """All values of a space whose key begins with ``prefix``, by key."""
        with self._database.read() as connection:
            return self._facts.scan(connection, space, prefix)

    def token(self) -> int:
        """A number that changes whenever any process has changed anything. Means something within this object only."""
        return self._database.token()

    def close(self) -> None:
        """Close the file; nothing may be asked afterwards."""
        self._database.close()


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Make the tables of a new file; refuse one that is not ours, not old enough or not there any more."""
    marker = path.with_name(f"{path.name}.made")
    tables = connection.execute("select count(*) from sqlite_master").fetchone()[0]
    application = connection.execute("pragma application_id").fetchone()[0]
    version = connection.execute("pragma user_version").fetchone()[0]
    if marker.exists() and not tables:
        remedy = f"restore it from a copy, or delete {marker.name} too to start with nothing"
        raise CorruptError(str(path), expected="the state that was there", got="an empty file", remedy=remedy)
    if tables and application != _APPLICATION:
        raise SettingsError(str(path), expected="a state file", got="another SQLite file", remedy="name another path")
    if version > FORMAT:
        remedy = "upgrade watersmeet, or restore the copy made before the upgrade"
        raise SettingsError(str(path), expected=f"format {FORMAT} or older", got=f"format {version}", remedy=remedy)
    if not tables:
        hit("state.create.before")
        connection.execute("begin immediate")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.commit()
        hit("state.create.after")
    if not marker.exists():
        with reachable(marker):
            write_file(marker, b"")
            sync_directory(marker.parent)


def _packed(topic: str, blob: Blob) -> tuple[str, str, str, int, bytes]:
    data = pack(blob.records)
    if len(data) > LARGEST_BLOB_BYTES:
        subject, expected = f"blob {blob.kind} of {blob.owner}, topic {topic}", f"at most {LARGEST_BLOB_BYTES} bytes"
        raise RequestError(subject, kind="too_large", expected=expected, got=str(len(data)))
    return topic, blob.kind, blob.owner, checksum(data, topic, blob.kind, blob.owner), data
