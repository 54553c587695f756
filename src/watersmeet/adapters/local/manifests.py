"""The manifests of every topic in the state file, now and as they were.

``head`` holds the newest head of a topic, ``history`` every head since the floor, ``entries`` what was live in any of
them. Versions of a topic are 1, 2, 3 …; their times never go back, whatever the clocks of several processes say.

A manifest once read is kept in memory. When the head has moved on, only the entries that died or were born since are
read, unless the kept version lies below the floor: then some that died may be gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import xor

from watersmeet.core.errors import ConflictError, RequestError
from watersmeet.core.failpoint import declare, hit
from watersmeet.core.manifest import Manifest, Transition
from watersmeet.formats.manifest_rows import (
    Head,
    advance,
    assemble,
    check,
    checksum,
    corrupt,
    difference,
    head_bytes,
    head_of,
    listed,
    read_head,
)

declare("state.entries.written", "state.head.written")
_LIVE = 2**63 - 1
SCHEMA = (
    "create table head(topic text primary key, at_us integer, version integer, crc integer, body blob) without rowid",
    "create table history(topic text, at_us integer, version integer, crc integer, body blob,"
    " primary key(topic, at_us, version)) without rowid",
    "create table entries(topic text, kind text, identity text, born integer, died integer, crc integer, body blob)",
    f"create unique index live on entries(topic, kind, identity) where died = {_LIVE}",
    "create index lives on entries(topic, died, born)",
)
_ENTRIES = "select kind, identity, born, crc, body from entries where topic=? and "
_LATEST = "select at_us, version, crc, body from history where topic=? and at_us<=? order by at_us desc, version desc"
_END = "update entries set died=? where topic=? and kind=? and identity=? and died=?"
_NEXT = "select at_us, version from history where topic=? and at_us>? order by at_us, version"
_OLDEST = "select version from history where topic=? order by at_us, version"
_Row = tuple[str, str, int, int, bytes]


@dataclass(frozen=True, slots=True)
class Known:
    """A manifest in memory, with its head and the bytes of that in the file."""

    body: bytes
    head: Head
    manifest: Manifest


class Manifests:
    """Manifests by topic. Each call is given the connection, and so the transaction, that it works in."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}

    def newest(self, connection: sqlite3.Connection, topic: str) -> Manifest:
        """The manifest as of the last commit."""
        return self._newest(connection, topic).manifest

    def past(self, connection: sqlite3.Connection, topic: str, as_of_us: int) -> Manifest:
        """The manifest as it was at a time."""
        newest = self._newest(connection, topic).head.manifest.version
        row = connection.execute(_LATEST, (topic, as_of_us)).fetchone()
        after = connection.execute(_NEXT, (topic, as_of_us)).fetchone()
        follows = 1 if row is None else row[1] + 1
        if row is None and after is not None and after[1] > 1:
            expected = f"{after[0]} µs or later, which is kept"
            raise RequestError(f"topic {topic} as of {as_of_us} µs", kind="gone", expected=expected)
        if follows != (newest + 1 if after is None else after[1]):
            raise corrupt(f"history of topic {topic}", f"version {follows} after {as_of_us} µs", "another, or none")
        return Manifest(topic) if row is None else _whole(connection, topic, *_checked_head(topic, row)).manifest

    def change(self, connection: sqlite3.Connection, topic: str, transition: Transition, now_us: int) -> Known | None:
        """Write what a transition changes; `keep` the result once it is committed. None if it changes nothing."""
        old = self._newest(connection, topic)
        new = transition(old.manifest)
        if new is old.manifest:
            return None
        version = old.head.manifest.version + 1
        if (new.topic, new.version) != (topic, version):
            expected, got = f"version {version}", f"version {new.version} of {new.topic}"
            raise ConflictError(f"transition of topic {topic}", expected=expected, got=got)
        live, sum_ = _write_entries(connection, old, new)
        hit("state.entries.written")
        head = head_of(new, live, sum_)
        body = head_bytes(head)
        last = connection.execute("select at_us from head where topic=?", (topic,)).fetchone()
        at_us = max(now_us, last[0]) if last else now_us
        row = (topic, at_us, version, checksum(body, topic, at_us, version), body)
        connection.execute("replace into head values(?, ?, ?, ?, ?)", row)
        connection.execute("insert into history values(?, ?, ?, ?, ?)", row)
        hit("state.head.written")
        return Known(body, head, new)

    def keep(self, known: Known) -> None:
        """Remember a manifest that has been committed."""
        self._known[known.manifest.topic] = known

    def forget(self, connection: sqlite3.Connection, topic: str, before_us: int) -> None:
        """Drop the heads older than the newest at or before ``before_us``, and the entries that no head can see."""
        row = connection.execute(_LATEST, (topic, before_us)).fetchone()
        if row is not None:
            _checked_head(topic, row)
            connection.execute("delete from history where topic=? and (at_us, version)<(?, ?)", (topic, *row[:2]))
            connection.execute("delete from entries where topic=? and died<=?", (topic, row[1]))

    def listed(self, connection: sqlite3.Connection, topic: str) -> set[tuple[str, str]]:
        """The blobs, as (kind, owner), that some manifest lists, now or as it was."""
        rows = connection.execute(_ENTRIES + "true", (topic,))
        return {address for row in _checked(topic, rows) for address in listed(row[0], row[4])}

    def _newest(self, connection: sqlite3.Connection, topic: str) -> Known:
        row = connection.execute("select at_us, version, crc, body from head where topic=?", (topic,)).fetchone()
        known = self._known.get(topic)
        if row is not None and known is not None and known.body == row[3]:
            return known
        witness = connection.execute(_LATEST, (topic, _LIVE)).fetchone()
        if witness != row:
            got = " and ".join("none" if r is None else f"version {r[1]}" for r in (row, witness))
            raise corrupt(f"head of topic {topic}", "the newest of its history", got)
        if row is None:
            return Known(b"", head_of(Manifest(topic), 0, 0), Manifest(topic))
        body, head = _checked_head(topic, row)
        found = known and _advanced(connection, known, body, head)
        self._known[topic] = found = found or _whole(connection, topic, body, head)
        return found


def _checked_head(topic: str, row: tuple[int, int, int, bytes]) -> tuple[bytes, Head]:
    at_us, version, crc, body = row
    body = check(f"version {version} of topic {topic}", body, crc, topic, at_us, version)
    return body, read_head(body)


def _checked(topic: str, rows: Iterable[_Row]) -> list[_Row]:
    rows = list(rows)
    for kind, identity, born, crc, body in rows:
        check(f"{kind} {identity} of topic {topic}", body, crc, topic, kind, identity, born)
    return rows


def _whole(connection: sqlite3.Connection, topic: str, body: bytes, head: Head) -> Known:
    version = head.manifest.version
    rows = _checked(topic, connection.execute(_ENTRIES + "died>? and born<=?", (topic, version, version)))
    if (len(rows), _sum(rows)) != (head.live, head.sum):
        raise corrupt(f"entries of topic {topic}", f"{head.live} at version {version}", f"{len(rows)}, or others")
    return Known(body, head, assemble(head, ((row[0], row[4]) for row in rows)))


def _advanced(connection: sqlite3.Connection, known: Known, body: bytes, head: Head) -> Known | None:
    """What ``known`` has become; None if that cannot be told from what is left of the past."""
    topic, version = known.manifest.topic, known.head.manifest.version
    (oldest,) = connection.execute(_OLDEST, (topic,)).fetchone()
    if not oldest <= version < head.manifest.version:
        return None
    gone = _ENTRIES + "died>? and died<=? and born<=?"
    dead = _checked(topic, connection.execute(gone, (topic, version, head.manifest.version, version)))
    added = _checked(topic, connection.execute(_ENTRIES + "died=? and born>?", (topic, _LIVE, version)))
    live = known.head.live - len(dead) + len(added)
    if (live, known.head.sum ^ _sum(dead) ^ _sum(added)) != (head.live, head.sum):
        return None
    ends = [(row[0], row[1]) for row in dead]
    return Known(body, head, advance(known.manifest, head, ends, ((row[0], row[4]) for row in added)))


def _write_entries(connection: sqlite3.Connection, old: Known, new: Manifest) -> tuple[int, int]:
    """Let entries die and be born; return how many are live then, and the sum of their checksums."""
    topic, version = new.topic, new.version
    change = difference(old.manifest, new)
    sum_ = old.head.sum
    for kind, identity in change.gone:
        where = (topic, kind, identity, _LIVE)
        rows = _checked(topic, connection.execute(_ENTRIES + "kind=? and identity=? and died=?", where))
        if len(rows) != 1:
            raise corrupt(f"{kind} {identity} of topic {topic}", "one live entry", str(len(rows)))
        connection.execute(_END, (version, *where))
        sum_ ^= _sum(rows)
    for kind, identity, body in change.added:
        crc = checksum(body, topic, kind, identity, version)
        row = (topic, kind, identity, version, _LIVE, crc, body)
        connection.execute("insert into entries values(?, ?, ?, ?, ?, ?, ?)", row)
        sum_ ^= crc
    return old.head.live + len(change.added) - len(change.gone), sum_


def _sum(rows: Iterable[_Row]) -> int:
    return reduce(xor, (row[3] for row in rows), 0)
