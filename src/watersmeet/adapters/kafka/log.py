"""The log on Kafka: topics as Kafka topics, frontiers as Kafka offsets.

What holds:

- `append` returns when the brokers have confirmed every record: with ``acks=all``, as many copies as ``min_insync``
  says. The driver's own retries neither copy nor swap records; if `append` raises, a part may have been appended.
- `end` is the *last stable offset*: what is below it is committed or aborted for good. A producer that leaves a
  transaction open holds it back, for as long as the brokers let it (``transaction.max.timeout.ms``); reading never
  waits for it. Our own records are seen behind such a transaction only when it has ended.
- Offsets have holes: transaction markers, aborted records, what compaction took. `read` passes over them by itself.
- Arrival is the time of the broker that leads the partition (``LogAppendTime``, milliseconds). It never goes back as
  long as one broker leads; over a change of leader it may, by as much as the brokers' clocks differ.
- A record with a key goes to partition ``crc32(key) % partitions`` as in the local log, whatever other producers do;
  those without one take the partitions by turns.
- Brokers delete what is older than the topic's retention, archived or not. `create` refuses one that is short, reading
  what is gone is a `GapError`; ``retention=forever`` leaves deletion to `trim`.
- Positions of a consumer group decide nothing: frontiers are kept in the manifest. `mirror` only shows them.
"""

from __future__ import annotations

import itertools
import re
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from confluent_kafka import KafkaError

from watersmeet.core.address import Address
from watersmeet.core.clock import Clock
from watersmeet.core.errors import ConflictError, GapError, RequestError, SettingsError, UnavailableError
from watersmeet.core.frontier import Frontier, covers
from watersmeet.core.record import Position, Record

from .appender import Appender
from .brokers import Brokers, Described
from .creation import check, demands
from .failure import translated, unknown
from .mirror import Mirror
from .options import of_topic, parse
from .reader import OutOfRangeError, Reader
from .version import release

_PARTITIONS = 4_096
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,248}")
_RECORD_BYTES = 256  # what a record takes beside its key, value and headers, and its batch
_HEADER_BYTES = 10
_READERS = 2
_ATTEMPTS = 3
_KNOWN_SECONDS = 60.0
_MADE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class _Known:
    topic: Described
    looked: float


class KafkaLog:
    """The `Log` port on Kafka. Safe to share between threads; connects when it is first asked something.

    Args:
        address: ``kafka://user:password@broker:9092,broker:9092?option=value``; see `KafkaOptions`.
        clock: says when what is known of a topic is looked at again; arrivals are the brokers'.
        topics: topic -> options of `KafkaOptions` that hold for it alone.

    Raises:
        SettingsError: an option is unknown or out of range.
    """

    def __init__(self, address: Address, clock: Clock, topics: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._address, self._clock = address, clock
        self._options = parse(address)
        self._overrides = dict(topics or {})
        self._own = {name: of_topic(address, name, given) for name, given in self._overrides.items()}
        self._lock = threading.Lock()
        self._brokers: Brokers | None = None
        self._appender: Appender | None = None
        self._mirror: Mirror | None = None
        self._readers: dict[str, list[Reader]] = {}
        self._known: dict[str, _Known] = {}
        self._ends: dict[str, Frontier] = {}
        self._turns = itertools.count()
        self._waiting = threading.Event()  # never set

    def __enter__(self) -> KafkaLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the brokers. A later call connects again; one that is running must have returned before."""
        with self._lock:
            readers, appender = [each for pool in self._readers.values() for each in pool], self._appender
            self._readers.clear()
            self._known.clear()
            self._appender = self._brokers = self._mirror = None
        for reader in readers:
            reader.close()
        if appender:
            appender.close()

    def create(self, topic: str, partitions: int, retention_us: int | None = None) -> None:
        """Make the topic if it is missing.

        Args:
            topic: letters, digits, ``_``, ``.`` and ``-``; at most 249, beginning with a letter or digit.
            partitions: 1 to 4,096; fixed for ever.
            retention_us: how long its records are kept; None: the option ``retention``.

        Raises:
            RequestError: the name or the count is not allowed.
            SettingsError: its records could go before they are archived, or there are too few brokers for its copies.
            ConflictError: the topic exists and differs; says in what, and nothing was changed.
        """
        if not _TOPIC.fullmatch(topic):
            expected = "at most 249 letters, digits, _ . and -, beginning with a letter or digit"
            raise RequestError("topic name", expected=expected, got=repr(topic))
        if not 1 <= partitions <= _PARTITIONS:
            raise RequestError(f"partitions of topic {topic}", expected=f"1 to {_PARTITIONS}", got=str(partitions))
        own, overridden = self._own.get(topic, self._options), "retention" in self._overrides.get(topic, {})
        wanted = demands(topic, own, retention_us, overridden=overridden)
        there = self._admin().describe(topic)
        if there is None:
            config = {demand.setting: demand.value for demand in wanted}
            refusal = self._admin().create(topic, partitions, own.replication, config)
            if refusal is not None and refusal.code() == KafkaError.INVALID_REPLICATION_FACTOR:
                expected = f"at least {own.replication} brokers, one for each copy"
                remedy = "start more brokers; or write replication=1&min_insync=1 and lose records with their broker"
                raise SettingsError(
                    f"topic {topic} on {self._address}", expected=expected, got=refusal.str(), remedy=remedy
                )
            if refusal is not None and refusal.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translated(refusal, f"topic {topic}")
            there = self._made(topic)
        check(topic, there, partitions, own, wanted)

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; `RequestError` (unknown) if there is no such topic."""
        return self._described(topic).partitions

    def append(self, topic: str, records: Sequence[Record]) -> list[Position]:
        """Append and return where each record went, in order. Durable when it returns.

        Raises:
            RequestError: no such topic, or a record is malformed or too large; then nothing was appended.
            UnavailableError: the brokers did not confirm all of them in time; any part may have been appended.
        """
        there = self._described(topic)
        most = int(there.config["max.message.bytes"])
        compacted = "compact" in there.config["cleanup.policy"]
        for index, record in enumerate(records):
            self._check_record(f"record {index} for topic {topic}", record, most, compacted)
        routes = [
            (next(self._turns) if record.key is None else zlib.crc32(record.key)) % there.partitions
            for record in records
        ]
        return self._sender().append(topic, records, routes) if routes else []

    def read(self, topic: str, lower: Frontier, upper: Frontier, limit: int) -> pa.Table:
        """Up to ``limit`` records of ``[lower, upper)``, never more, as a table of LOGGED columns.

        Partitions follow each other, each in offset order, with equal shares of ``limit``; what one has too little of
        goes to the others. Fewer than ``limit`` records are the whole interval: all other offsets of it are holes.

        Raises:
            RequestError: no such topic, frontiers of another width or order, or ``limit`` below 1.
            GapError: the interval begins below `start`, or ``upper`` is above `end`.
            UnavailableError: the brokers do not answer.
        """
        self._check_interval(topic, lower, upper)
        if limit < 1:
            raise RequestError(f"limit of a read of topic {topic}", expected="1 or more", got=str(limit))
        for _ in range(_ATTEMPTS):
            reader, found = self._borrow(topic, lower), None
            try:
                found = reader.read(lower, upper, limit)
            except OutOfRangeError:
                self._check_bounds(topic, lower, upper)
            finally:
                self._give_back(topic, reader, sound=found is not None)
            if found is not None:
                return found
        expected, got = f"records from {lower} on", "brokers that say they have none there, and that they do"
        raise UnavailableError(f"topic {topic}", expected=expected, got=got)

    def start(self, topic: str) -> Frontier:
        """The oldest offset kept in each partition."""
        return self._admin().starts(topic, self.partitions(topic))

    def end(self, topic: str) -> Frontier:
        """The offset after the last record of each partition that is committed for good; one request of the brokers."""
        found = self._admin().ends(topic, self.partitions(topic))
        self._ends[topic] = found
        return found

    def trim(self, topic: str, below: Frontier) -> None:
        """Delete the records below ``below``; a topic that is only compacted keeps them, since brokers refuse it.

        Raises:
            RequestError: no such topic, or a frontier of another width.
            GapError: ``below`` is above `end`.
        """
        self._check_interval(topic, below, below)
        if "delete" in self._described(topic).config["cleanup.policy"]:
            self._admin().delete(topic, below)

    def mirror(self, topic: str, frontier: Frontier) -> None:
        """Show how far a topic is absorbed as the positions of the consumer group of option ``group``, if there is one.

        Called after each commit of a slice. Returns at once and never raises: it is for information only.
        """
        if not self._options.group:
            return
        admin = self._admin()
        with self._lock:
            self._mirror = self._mirror or Mirror(admin, self._options.group)
            shown = self._mirror
        shown.show(topic, frontier)

    def probe(self) -> str:
        """What is there, in one line: releases, brokers, the cluster's id; `UnavailableError` if nothing is."""
        cluster, nodes = self._admin().describe_cluster()
        try:
            releases = " and ".join(sorted({release(*node, self._options) for node in nodes}))
        except OSError as error:
            releases = f"of a release that could not be asked for ({error})"
        return f"Kafka {releases}, {len(nodes)} broker{'s' * (len(nodes) > 1)}, cluster {cluster}"

    def _check_record(self, subject: str, record: Record, most: int, compacted: bool) -> None:
        size_bytes = _RECORD_BYTES
        parts: list[object] = [record.value, *record.headers.values()]
        if record.key is not None or compacted:
            parts.append(record.key)
        for part in parts:
            if not isinstance(part, bytes):
                what = "bytes in value, key and headers; no key only where the topic is not compacted"
                raise RequestError(subject, expected=what, got=type(part).__name__)
            size_bytes += len(part)
        for name in record.headers:
            try:
                size_bytes += len(name.encode()) + _HEADER_BYTES
            except (UnicodeEncodeError, AttributeError):
                raise RequestError(subject, expected="headers named in Unicode", got=ascii(name)) from None
        if size_bytes > most:
            expected, got = f"at most {most:,} bytes with what goes around them", f"{size_bytes:,}"
            raise RequestError(subject, kind="too_large", expected=expected, got=got)

    def _check_interval(self, topic: str, lower: Frontier, upper: Frontier) -> None:
        width = self.partitions(topic)
        if len(lower) != width or not covers(upper, lower) or min(lower) < 0:
            expected = f"two frontiers of {width} offsets, the lower one first"
            raise RequestError(f"interval of topic {topic}", expected=expected, got=f"{lower} to {upper}")
        if not covers(self._ends.get(topic, ()), upper):
            self._check_bounds(topic, lower, upper)

    def _check_bounds(self, topic: str, lower: Frontier, upper: Frontier) -> None:
        # the end first: a record between the two calls would otherwise look like a gap
        end, start = self.end(topic), self.start(topic)
        for partition in range(len(lower)):
            subject = f"topic {topic}, partition {partition}"
            if lower[partition] < upper[partition] and lower[partition] < start[partition]:
                got, expected = f"offset {lower[partition]}", f"{start[partition]}, the oldest kept, or above"
                remedy = "read older records from the archive, and lengthen the topic's retention"
                raise GapError(subject, expected=expected, got=got, remedy=remedy)
            if upper[partition] > end[partition]:
                expected, got = f"at most {end[partition]}, the end of the log", f"offset {upper[partition]}"
                remedy = "find out which of the two was restored from an older copy, or made anew"
                raise GapError(subject, expected=expected, got=got, remedy=remedy)

    def _described(self, topic: str) -> Described:
        """What is known of a topic, looked at again now and then: partitions that somebody adds must not go unread."""
        known, now = self._known.get(topic), self._clock.monotonic()
        if known is not None and now - known.looked < _KNOWN_SECONDS:
            return known.topic
        there = self._admin().describe(topic)
        if there is None:
            self._known.pop(topic, None)
            raise unknown(f"topic {topic!r} on {self._address}")
        if known is not None and known.topic.partitions != there.partitions:
            raise ConflictError(
                f"topic {topic}",
                expected=f"{known.topic.partitions} partitions, as when it was made",
                got=str(there.partitions),
                remedy="equal keys are in two partitions now: give the topic a new name",
            )
        self._known[topic] = _Known(there, now)
        return there

    def _made(self, topic: str) -> Described:
        for _ in range(int(self._options.timeout_seconds / _MADE_SECONDS)):
            there = self._admin().describe(topic)
            if there is not None and there.partitions:
                return there
            self._waiting.wait(_MADE_SECONDS)
        raise UnavailableError(f"topic {topic}", expected="to be there", got="brokers that do not know it yet")

    def _admin(self) -> Brokers:
        with self._lock:
            if self._brokers is None:
                self._brokers = Brokers(self._address, self._options)
            return self._brokers

    def _sender(self) -> Appender:
        with self._lock:
            if self._appender is not None and self._appender.broken:
                threading.Thread(target=self._appender.close, name="kafka-closer", daemon=True).start()
                self._appender = None
            if self._appender is None:
                self._appender = Appender(self._address, self._options, self._clock)
            return self._appender

    def _borrow(self, topic: str, lower: Frontier) -> Reader:
        with self._lock:
            pool = self._readers.setdefault(topic, [])
            if pool:
                best = max(pool, key=lambda reader: reader.fit(lower))
                pool.remove(best)
                return best
        return Reader(self._address, self._options, topic)

    def _give_back(self, topic: str, reader: Reader, *, sound: bool) -> None:
        with self._lock:
            pool = self._readers.setdefault(topic, [])
            if sound:
                pool.append(reader)
            spare = pool.pop(0) if len(pool) > _READERS else None if sound else reader
        if spare:
            spare.close()
