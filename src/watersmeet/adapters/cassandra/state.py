"""State in a Cassandra keyspace.

A change of a topic goes through these steps; whoever looks between any two of them sees the topic before or after it,
with all its blobs:

    1  read the head, serially        whatever was decided before is seen
    2  note the attempt               so that a sweep finds what it leaves behind if it dies
    3  write the blobs                under the attempt; nobody lists them
    4  write what changes             under the attempt; no head names it
    5  set the head                   one compare-and-set: now all of it is there. Lost: from 1 again
    6  strike out the attempt

* A sweep that finds an attempt older than the grace raises the fence first, a compare-and-set on the same head. From
  then on nothing that began before can be decided: a writer that was only slow loses step 5, sees why, and writes its
  blobs again under a new attempt. So no blob of a change that came to be is ever swept, however late it came.
* Blobs that a version let go of are deleted when the floor has passed it: no manifest that can be read lists them.
* An outcome that is unknown is found out (`Manifests.flip`). If even that fails, `UnavailableError`: the change has
  come to be or not, and asking for it again, from the manifest as it is then, is right in both cases.
* Time to live is a backstop for what the speed layer stored, and nothing relies on it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from watersmeet.core.address import Address, options
from watersmeet.core.clock import Clock
from watersmeet.core.errors import CorruptError, UnavailableError
from watersmeet.core.manifest import Manifest, Transition
from watersmeet.core.record import Records
from watersmeet.core.state import Blob, Value

from .attempts import Attempt, Attempts
from .blobs import Blobs, Packed, packed
from .facts import Facts
from .manifests import Manifests, Staged
from .options import KEYSPACE, Options
from .schema import make_tables
from .session import Session, open_session
from .sweep import Sweeper

_TRIES = 1_000
_HEADS = "select version from heads where app = ? and topic = ?"


class CassandraState:
    """State of any number of processes on any number of machines. Safe to share between threads.

    Args:
        address: ``cassandra://user:password@host:9042,host:9042/keyspace?…`` with `Options`.
        clock: tells when a version came to be.
        session: a connection to use, and to leave open; one of its own if there is none.

    Raises:
        SettingsError: the options, or what is there, will not do.
        UnavailableError: the cluster cannot be reached.
    """

    def __init__(self, address: Address, clock: Clock, session: Session | None = None) -> None:
        wanted = options(address, Options)
        self._clock, self._app = clock, wanted.app
        self._session = session or open_session(address)
        self._close = None if session else self._session.close
        make = f"state of {self._app}"
        self._session.once(make, lambda: make_tables(self._session, self._app, address.path or KEYSPACE))
        self._manifests, self._facts = Manifests(self._session, self._app), Facts(self._session, self._app)
        self._blobs, self._attempts = Blobs(self._session, self._app), Attempts(self._session, self._app)
        grace_us = wanted.grace_seconds * 1_000_000
        self._sweeper = Sweeper(self._manifests, self._attempts, self._blobs, grace_us)
        self._refresh_seconds = wanted.refresh_ms / 1e3
        self._turn = threading.Lock()
        self._named: set[tuple[str, str]] = set()
        self._seen: dict[tuple[str, str], int] = {}
        self._token, self._fresh_until = 0, float("-inf")
        self._own = self._own_seen = 0

    def manifest(self, topic: str, as_of_us: int | None = None) -> Manifest:
        """The manifest now, or as it was at a time; version 0 for a topic that has none."""
        tip = self._manifests.tip(topic)
        while True:
            try:
                if as_of_us is None:
                    return self._manifests.newest(topic, tip).manifest
                known = self._manifests.past(topic, tip, as_of_us)
                return known.manifest if known else Manifest(topic)
            except CorruptError:
                before, tip = tip, self._manifests.tip(topic)
                if (tip.version, tip.floor) == (before.version, before.floor):
                    raise  # no sweep took away what was looked for

    def change(self, topic: str, transition: Transition, blobs: Sequence[Blob] = ()) -> Manifest:
        """Apply a pure transition to the newest manifest, durably and together with ``blobs``."""
        stored = [packed(topic, blob) for blob in blobs]
        self._name("topic", topic)
        attempt: Attempt | None = None
        lost = True
        try:
            for number in range(_TRIES):
                tip = self._manifests.tip(topic)
                known = self._manifests.newest(topic, tip)
                new = transition(known.manifest)
                if new is known.manifest:
                    return new
                now_us, begun = self._clock.now_us(), attempt
                if attempt is None or attempt.fence != tip.fence:
                    if attempt and stored:
                        self._discard(topic, attempt)  # a sweep has, but perhaps before the last of it was written
                    attempt = self._attempts.begin(tip, now_us, [blob.address for blob in stored])
                staged = self._manifests.stage(known, tip, new, f"{attempt.name}.{number}", now_us)
                self._write(staged, stored if attempt is not begun else [], attempt)
                lost = False  # from here on it may come to be at any time
                lost = not self._manifests.flip(staged)
                if not lost:
                    self._end(topic, attempt, staged)
                    return new
            raise UnavailableError(f"change of topic {topic}", expected="a turn", got=f"{_TRIES} that were first")
        finally:
            if lost and attempt and stored:
                self._discard(topic, attempt)

    def load(self, topic: str, kind: str, owners: Sequence[str]) -> Mapping[str, Records]:
        """Blobs by owner, as Arrow tables, checked against their checksums."""
        return self._blobs.load(topic, kind, owners, self._manifests.lasting(topic))

    def sweep(self, topic: str, before_us: int) -> int:
        """Delete what left the manifest before ``before_us`` and blobs that no manifest lists; how many blobs went."""
        return self._sweeper.sweep(topic, before_us, self._clock.now_us())

    def get(self, space: str, key: str) -> Value | None:
        """A small value, or None."""
        return self._facts.get(space, key)

    def put(self, space: str, key: str, data: bytes | None, expected: int | None = None) -> int:
        """Store a value, or delete it with None; a version is never given twice in a space."""
        self._name("space", space)
        try:
            return self._facts.put(space, key, data, expected)
        finally:
            self._own += 1

    def scan(self, space: str, prefix: str = "") -> Mapping[str, Value]:
        """All values of a space whose key begins with ``prefix``, by key."""
        return self._facts.scan(space, prefix)

    def token(self) -> int:
        """A number that changes whenever any process has changed anything, within ``refresh_ms``.

        Own changes count at once. It means something within this object only.
        """
        with self._turn:
            now = self._clock.monotonic()
            own = self._own  # counted before the look: a change that ends during it is looked for again
            if now >= self._fresh_until or own != self._own_seen:
                seen = self._look()
                self._token += seen != self._seen
                self._seen, self._own_seen, self._fresh_until = seen, own, now + self._refresh_seconds
            return self._token

    def close(self) -> None:
        """Close the connection; nothing may be asked afterwards."""
        if self._close:
            self._close()

    def _write(self, staged: Staged, stored: Sequence[Packed], attempt: Attempt) -> None:
        """Write a change and the blobs of an attempt, which is noted before them."""
        topic = staged.known.manifest.topic
        noted = [self._attempts.note(topic, attempt)] if stored else []
        self._session.write_all([*noted, *staged.requests])
        if stored:
            self._blobs.write(topic, stored, attempt.name, staged.lasting)

    def _end(self, topic: str, attempt: Attempt, staged: Staged) -> None:
        """Strike out an attempt that came to be; one with blobs that it did not list is left for a sweep."""
        self._own += 1
        if not attempt.addresses:
            return
        strays = [address for address in attempt.addresses if address not in staged.listed]
        with suppress(UnavailableError):  # a sweep finds out that it came to be
            if strays:
                done = replace(attempt, done=True, addresses=strays)
                self._session.write_all([self._attempts.note(topic, done)])
            else:
                self._attempts.strike(topic, attempt)

    def _discard(self, topic: str, attempt: Attempt) -> None:
        """Delete the blobs of an attempt that cannot come to be any more."""
        with suppress(UnavailableError):  # a sweep does it
            self._blobs.delete(topic, attempt.addresses, attempt.name)
            self._attempts.strike(topic, attempt)

    def _name(self, sort: str, name: str) -> None:
        """Let everyone's token look at a topic or a space."""
        if (sort, name) not in self._named:
            self._session.write("insert into names (app, sort, name) values (?, ?, ?)", (self._app, sort, name))
            self._named.add((sort, name))

    def _look(self) -> dict[tuple[str, str], int]:
        """How often each topic and space has changed."""
        rows = self._session.read("select sort, name from names where app = ?", (self._app,))
        topics = [name for sort, name in rows if sort == "topic"]
        spaces = [name for sort, name in rows if sort == "space"]
        heads = self._session.read_all([(_HEADS, (self._app, topic)) for topic in topics])
        counts = {("topic", topic): head[0][0] for topic, head in zip(topics, heads, strict=True) if head}
        changes = zip(spaces, self._facts.changes(spaces), strict=True)
        return counts | {("space", space): count for space, count in changes if count}
