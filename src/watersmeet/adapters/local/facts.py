"""Small values in the state file.

A space counts the values it holds and the versions it has given: a version is never given twice, so a value that was
deleted and made again does not pass for the old one. The exclusive or of its values' checksums is kept beside them and
compared once a process, so that a value that was lost is noticed, and not read as one that never was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from watersmeet.core.errors import ConflictError
from watersmeet.core.failpoint import declare, hit
from watersmeet.core.state import Value
from watersmeet.formats.manifest_rows import check, checksum, corrupt

declare("state.put.before", "state.put.written")
SCHEMA = (
    "create table facts(space text, key text, version integer, crc integer, data blob,"
    " primary key(space, key)) without rowid",
    "create table spaces(space text primary key, last integer, live integer, sum integer, crc integer) without rowid",
)
_ROWS = "select key, version, crc, data from facts where space=? and key>=? order by key"


@dataclass(frozen=True, slots=True)
class _Space:
    last: int = 0
    live: int = 0
    sum: int = 0


class Facts:
    """The values of every space. Each call is given the connection, and so the transaction, that it works in."""

    def __init__(self) -> None:
        self._whole: set[str] = set()

    def get(self, connection: sqlite3.Connection, space: str, key: str) -> Value | None:
        """A value, or None."""
        self._check(connection, space)
        return _get(connection, space, key)

    def scan(self, connection: sqlite3.Connection, space: str, prefix: str) -> Mapping[str, Value]:
        """The values whose key begins with ``prefix``, by key."""
        self._check(connection, space)
        found: dict[str, Value] = {}
        for key, version, crc, data in connection.execute(_ROWS, (space, prefix)):
            value = Value(check(f"{space} {key}", data, crc, space, key, version), version)
            if not key.startswith(prefix):
                break
            found[key] = value
        return found

    def put(
        self, connection: sqlite3.Connection, space: str, key: str, data: bytes | None, expected: int | None
    ) -> int:
        """Store or delete a value if its version is ``expected``; return the new version, 0 when deleted."""
        self._check(connection, space)
        old = _get(connection, space, key)
        version = old.version if old else 0
        if expected is not None and expected != version:
            raise ConflictError(f"{space} {key}", expected=f"version {expected}", got=f"version {version}")
        state = _space(connection, space)
        last, live, sum_ = state.last, state.live, state.sum
        if old:
            live, sum_ = live - 1, sum_ ^ checksum(old.data, space, key, version)
            connection.execute("delete from facts where space=? and key=?", (space, key))
        version = 0
        if data is not None:
            last = version = last + 1
            crc = checksum(data, space, key, version)
            live, sum_ = live + 1, sum_ ^ crc
            connection.execute("insert into facts values(?, ?, ?, ?, ?)", (space, key, version, crc, data))
        crc = checksum(b"", space, last, live, sum_)
        connection.execute("replace into spaces values(?, ?, ?, ?, ?)", (space, last, live, sum_, crc))
        hit("state.put.written")
        return version

    def _check(self, connection: sqlite3.Connection, space: str) -> None:
        if space in self._whole:
            return
        state = _space(connection, space)
        live, sum_ = 0, 0
        for key, version, crc, data in connection.execute(_ROWS, (space, "")):
            check(f"{space} {key}", data, crc, space, key, version)
            live, sum_ = live + 1, sum_ ^ crc
        if (live, sum_) != (state.live, state.sum):
            raise corrupt(f"values of {space}", f"the {state.live} that were stored", f"{live}, or others")
        self._whole.add(space)


def _get(connection: sqlite3.Connection, space: str, key: str) -> Value | None:
    query = "select version, crc, data from facts where space=? and key=?"
    row = connection.execute(query, (space, key)).fetchone()
    return row and Value(check(f"{space} {key}", row[2], row[1], space, key, row[0]), row[0])


def _space(connection: sqlite3.Connection, space: str) -> _Space:
    row = connection.execute("select last, live, sum, crc from spaces where space=?", (space,)).fetchone()
    if row is None:
        return _Space()
    check(f"values of {space}", b"", row[3], space, *row[:3])
    return _Space(*row[:3])
