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

from watersmeet.core import failpoint
from watersmeet.core.clock import Clock
from watersmeet.core.errors import ConflictError, UnavailableError
from watersmeet.core.log import Log
from watersmeet.core.record import Position, Record
from watersmeet.core.source import Source
from watersmeet.core.state import State
from watersmeet.core.topic import Topic

failpoint.declare("ingest.append.before", "ingest.append.after", "ingest.position.after")
log = logging.getLogger(__name__)


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


class Pull:
    """Drives one source into the log, for ever.

    The position is stored after the records are durable: a crash in between brings the same records again, and the
    topic's id removes the copies.

    Args:
        source: what is pulled.
        target, state, clock: the ports.
        retry_seconds: how long to wait after the outside could not be reached, in the clock's seconds.
    """

    def __init__(self, source: Source, target: Log, state: State, clock: Clock, *, retry_seconds: float = 5.0) -> None:
        self._source, self._log, self._state, self._clock = source, target, state, clock
        self._retry_seconds = retry_seconds

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
        """One pull: append what came, then remember the position. Returns how long to wait."""
        stored = self._state.get("positions", self._source.name)
        pulled = self._source.pull(stored.data if stored else None)
        by_topic: dict[str, list[Record]] = {}
        for topic, item in pulled.records:
            by_topic.setdefault(topic, []).append(item)
        failpoint.hit("ingest.append.before")
        for topic, records in by_topic.items():
            self._log.append(topic, records)
        failpoint.hit("ingest.append.after")
        try:
            self._state.put("positions", self._source.name, pulled.position, stored.version if stored else 0)
        except ConflictError:
            log.warning("source %s is pulled by another process too; its copies are removed by id", self._source.name)
        failpoint.hit("ingest.position.after")
        return pulled.wait_seconds
