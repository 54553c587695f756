"""Small values: a space is one partition, and every change of it one decision.

The space counts its changes, the versions it has given and the values it holds. A change is made from what was read at
one count, and comes to be only if the count is still that; so a version is never given twice, and a value that was
deleted and made again does not pass for the old one. The last attempts are kept, to tell what became of a change whose
outcome is unknown, as with manifests.

A scan of a whole space compares the number of values with the count: one that was lost is noticed, and not read as one
that never was.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from watersmeet.core.errors import ConflictError, UnavailableError
from watersmeet.core.state import Value
from watersmeet.formats.manifest_rows import check, checksum, corrupt

from .session import Session

RECENT = 32
_TRIES = 1_000
_SCANS = 8
_COUNTS = "select distinct app, space, changes, last, live, recent from facts where app = ? and space = ?"
_ROW = "select version, crc, data from facts where app = ? and space = ? and key = ?"
_ROWS = "select key, version, crc, data, changes, live from facts where app = ? and space = ?"
_SET = "update facts set changes = ?, last = ?, live = ?, recent = ? where app = ? and space = ? if changes = ?;"
_INSERT = "insert into facts (app, space, key, version, crc, data) values (?, ?, ?, ?, ?, ?);"
_DELETE = "delete from facts where app = ? and space = ? and key = ?;"


@dataclass(frozen=True, slots=True)
class _Counts:
    changes: int | None = None
    last: int = 0
    live: int = 0
    recent: tuple[str, ...] = ()


class Facts:
    """The values of every space. Safe to share between threads.

    Args:
        session: the connection.
        app: whose.
    """

    def __init__(self, session: Session, app: str) -> None:
        self._session, self._app = session, app

    def get(self, space: str, key: str) -> Value | None:
        """A value, or None."""
        rows = self._session.read(_ROW, (self._app, space, key.encode()))
        return _value(space, key, *rows[0]) if rows else None

    def put(self, space: str, key: str, data: bytes | None, expected: int | None) -> int:
        """Store or delete a value if its version is ``expected``; return the new version, 0 when deleted."""
        for _ in range(_TRIES):
            counts = self._counts(space)
            old = self.get(space, key)  # read after the counts: if they still hold later, so does this
            version = old.version if old else 0
            if expected is not None and expected != version:
                raise ConflictError(f"{space} {key}", expected=f"version {expected}", got=f"version {version}")
            if old is None and data is None:
                return 0
            if self._change(space, key, data, counts, counts.live + (data is not None) - (old is not None)):
                return counts.last + 1 if data is not None else 0
        raise UnavailableError(f"{space} {key}", expected="a turn", got=f"{_TRIES} others that were first")

    def scan(self, space: str, prefix: str) -> Mapping[str, Value]:
        """The values whose key begins with ``prefix``, by key, as of one count of changes."""
        cql, values = _ROWS, list[object]([self._app, space])
        if prefix:
            least = prefix.encode()
            cql, values = f"{_ROWS} and key >= ? and key < ?", [*values, least, _after(least)]
        for _ in range(_SCANS):
            rows = self._session.read(cql, values)
            if len({row[4] for row in rows}) <= 1:
                break
        else:
            raise UnavailableError(f"values of {space}", expected="to be read at rest", got="changes in between")
        found = {row[0].decode(): row for row in rows if row[0] is not None}  # without values there are counts alone
        if not prefix and rows and rows[0][5] != len(found):
            raise corrupt(f"values of {space}", f"the {rows[0][5]} that were stored", str(len(found)))
        return {key: _value(space, key, *row[1:4]) for key, row in found.items()}

    def changes(self, spaces: Sequence[str]) -> list[int]:
        """How many changes each space has seen."""
        found = self._session.read_all([(_COUNTS, (self._app, space)) for space in spaces])
        return [rows[0][2] if rows else 0 for rows in found]

    def _counts(self, space: str, *, serial: bool = False) -> _Counts:
        rows = self._session.read(_COUNTS, (self._app, space), serial=serial)
        if not rows:
            return _Counts()
        _, _, changes, last, live, recent = rows[0]
        return _Counts(changes, last, live, tuple(recent.split()))

    def _change(self, space: str, key: str, data: bytes | None, counts: _Counts, live: int) -> bool:
        """Set or delete a value if the space is still at ``counts``."""
        attempt = uuid.uuid4().hex[:16]
        changes = (counts.changes or 0) + 1
        last = counts.last + (data is not None)
        recent = " ".join((*counts.recent, attempt)[-RECENT:])
        place = (self._app, space)
        values: tuple[object, ...] = (changes, last, live, recent, *place, counts.changes, *place, key.encode())
        if data is not None:
            values += (last, checksum(data, space, key, last), data)
        cql = f"begin batch {_SET} {_DELETE if data is None else _INSERT} apply batch"
        for _ in range(self._session.options.tries):
            if self._session.decide(cql, values):
                return True
            now = self._counts(space, serial=True)
            if now.changes == counts.changes:
                continue  # not yet, and perhaps later: ask for the same again
            past = (now.changes or 0) - changes
            if past >= len(now.recent):
                raise UnavailableError(f"{space} {key}", expected="a change among the last", got=f"{past} later ones")
            return now.recent[-1 - past] == attempt
        raise UnavailableError(f"{space} {key}", expected="a change to be decided", got="no answer")


def _value(space: str, key: str, version: int, crc: int, data: bytes) -> Value:
    return Value(check(f"{space} {key}", data, crc, space, key, version), version)


def _after(prefix: bytes) -> bytes:
    """The least bytes above all that begin with ``prefix``, which is UTF-8 and so has no byte 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1])
