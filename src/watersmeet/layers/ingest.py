"""Ingest: from producers and sources into the log.

A record is acknowledged when the log has made it durable. What is accepted here is bytes: whether a payload is usable
is decided by the topic when it is decoded, alike in both layers, and what is not becomes a dead letter instead of a
refusal that only its producer would ever see.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from watersmeet.core import failpoint
from watersmeet.core.clock import Clock
from watersmeet.core.errors import ConflictError, UnavailableError
from watersmeet.core.frontier import size
from watersmeet.core.log import Log
from watersmeet.core.record import Position, Record
from watersmeet.core.source import Source
from watersmeet.core.state import State
from watersmeet.core.topic import Topic

failpoint.declare("ingest.append.before", "ingest.append.after", "ingest.position.after")
log = logging.getLogger(__name__)
LOOK_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0


def record(topic: Topic, value: bytes, *, headers: dict[str, bytes] | None = None) -> Record:
    """A record for ``topic``, its key taken from the payload's key column if it has one."""
    key: bytes | None = None
    if topic.key is not None:
        try:
            payload = json.loads(value)
        except (ValueError, RecursionError):
            payload = None
        if isinstance(payload, dict) and payload.get(topic.key) is not None:
            key = str(payload[topic.key]).encode("utf-8", "surrogatepass")
    return Record(value, key, headers or {})


def append(source: Log, topic: Topic, values: Sequence[bytes]) -> list[Position]:
    """Append payloads; durable when it returns."""
    return source.append(topic.name, [record(topic, value) for value in values])


class Backlog:
    """How far the layers are behind a topic's log, and so for how long producers had better wait.

    A log takes records faster than they can be counted. Without a bound the backlog of a burst grows until a log on a
    small disk is full, and a source that can wait would never learn that it should.

    A topic is looked at once a second, and again whenever this process has added as much as there was room for: its
    backlog exceeds the bound by one batch of each producer, and by what other processes add within a second.

    Args:
        source, state, clock: the ports.
        most_records: unread records of a topic from which on producers wait.
    """

    def __init__(self, source: Log, state: State, clock: Clock, most_records: int) -> None:
        self._log, self._state, self._clock, self._most = source, state, clock, most_records
        self._looks: dict[str, _Look] = {}
        self._lock, self._added = threading.Lock(), dict[str, int]()

    def add(self, topic: str, count: int) -> None:
        """Tell that so many records have been appended."""
        with self._lock:
            self._added[topic] = self._added.get(topic, 0) + count

    def wait_seconds(self, topic: str) -> float:
        """0, or how long it will take to come below the bound at the rate of the last look, from 1 s to a minute."""
        before, now = self._looks.get(topic), self._clock.monotonic()
        fresh = before is not None and now - before.at < LOOK_SECONDS
        if before is not None and fresh and (before.wait or self._added.get(topic, 0) <= before.room):
            return before.wait
        with self._lock:
            self._added[topic] = 0  # before looking: what is appended meanwhile may count twice, never not at all
        m = self._state.manifest(topic)
        unread = size(m.frontier, self._log.end(topic)) if m.version else 0
        wait, read = 0.0, sum(m.frontier)
        if unread > self._most:
            rate = (read - before.read) / (now - before.at) if before is not None and now > before.at else 0.0
            wait = min(max((unread - self._most) / rate, LOOK_SECONDS), LONGEST_WAIT_SECONDS) if rate > 0 else 5.0
        self._looks[topic] = _Look(now, read, wait, self._most - unread)
        return wait


@dataclass(frozen=True, slots=True)
class _Look:
    at: float
    read: int
    wait: float
    room: int


class Pull:
    """Drives one source into the log, for ever.

    The position is stored after the records are durable: a crash in between brings the same records again, and the
    topic's id removes the copies.

    Args:
        source: what is pulled.
        target, state, clock: the ports.
        backlog: says when to wait for the layers; None: never.
        retry_seconds: how long to wait after the outside could not be reached, in the clock's seconds.
    """

    def __init__(
        self,
        source: Source,
        target: Log,
        state: State,
        clock: Clock,
        *,
        backlog: Backlog | None = None,
        retry_seconds: float = 5.0,
    ) -> None:
        self._source, self._log, self._state, self._clock = source, target, state, clock
        self._backlog, self._retry_seconds = backlog, retry_seconds
        self._fed: set[str] = set()

    def run(self, stop: threading.Event) -> None:
        """Pull until ``stop`` is set."""
        while not stop.is_set():
            try:
                wait = self.once()
            except UnavailableError as error:
                log.warning("source %s: %s", self._source.name, error)
                wait = self._retry_seconds
            if wait > 0:
                self._clock.sleep(wait, stop)

    def once(self) -> float:
        """One pull: append what came, then remember the position. Returns how long to wait.

        While a topic that it feeds is too far behind, nothing is pulled.
        """
        behind = max((self._backlog.wait_seconds(topic) for topic in self._fed), default=0.0) if self._backlog else 0.0
        if behind:
            return behind
        stored = self._state.get("positions", self._source.name)
        pulled = self._source.pull(stored.data if stored else None)
        by_topic: dict[str, list[Record]] = {}
        for topic, item in pulled.records:
            by_topic.setdefault(topic, []).append(item)
        self._fed |= set(by_topic)
        failpoint.hit("ingest.append.before")
        for topic, records in by_topic.items():
            self._log.append(topic, records)
            if self._backlog:
                self._backlog.add(topic, len(records))
        failpoint.hit("ingest.append.after")
        try:
            self._state.put("positions", self._source.name, pulled.position, stored.version if stored else 0)
        except ConflictError:
            log.warning("source %s is pulled by another process too; its copies are removed by id", self._source.name)
        failpoint.hit("ingest.position.after")
        return pulled.wait_seconds
