"""Reading between two frontiers, through a consumer that is told where to read and belongs to no group.

What holds:

- A record is handed out once, each partition in offset order, and only if its transaction was committed.
- Offsets without a record (transaction markers, aborted records, what compaction took) are passed over only when the
  broker has shown what follows them: a later record, or the end of the partition. `Lane.seen` is how far that goes. So
  a chunk with fewer than ``limit`` records is the whole interval, and never a part of it that came in time.
- An offset that the broker does not have any more stops reading; the driver is never let to go on elsewhere.
- What the consumer brings beyond the interval waits in the lane for the next read, so a reader that goes on where it
  was fetches nothing twice. A lane that holds much of it is detached, and attached again at `Lane.seen` when wanted.
"""

from __future__ import annotations

import itertools
import logging
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from watersmeet.core.address import Address
from watersmeet.core.errors import UnavailableError
from watersmeet.core.frontier import Frontier
from watersmeet.formats.logged import LOGGED
from watersmeet.formats.shares import shares

from .columns import Columns
from .failure import told, translated
from .options import DRIVER_LOGGER, KafkaOptions, client

_TURN_RECORDS = 600  # below the 700 new objects after which Python looks for garbage
_TURN_SECONDS = 0.02
_AHEAD_RECORDS = 20_000
_AHEAD_BYTES = 16 << 20
_PREFETCH_KBYTES = 16 << 10
_FINAL = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError._AUTHENTICATION,
}
_logger = logging.getLogger(__name__)


class OutOfRangeError(Exception):
    """The broker has no such offset; for `KafkaLog`, which finds out why."""


@dataclass(slots=True)
class Lane:
    """One partition of a reader.

    Args:
        floor: no record lies in ``[floor, at)``, so a read may begin anywhere in there.
        at: the offset from which it hands out next.
        seen: all records below are known: handed out or in ``ahead``.
        ahead: records at or above ``at``.
        attached: the consumer fetches it.
    """

    floor: int
    at: int
    seen: int
    ahead: Columns = field(default_factory=Columns)
    attached: bool = False

    def reaches(self, offset: int) -> bool:
        """True if a read from an offset can begin with what is here."""
        return self.floor <= offset <= self.seen

    def take(self, below: int) -> Columns:
        """Hand out what is below an offset, all of which is seen."""
        taken = self.ahead.cut(bisect_left(self.ahead.offsets, below))
        self.floor = taken.offsets[-1] + 1 if taken.offsets else self.floor
        self.at = max(self.at, below)
        return taken

    def is_full(self, goal: int) -> bool:
        """True if it has what is wanted, and enough beyond it."""
        held = self.ahead
        return self.seen >= goal and (len(held.offsets) > _AHEAD_RECORDS or held.size_bytes > _AHEAD_BYTES)


class Reader:
    """A consumer on one topic. For one thread at a time.

    Args:
        address, options: of the cluster.
        topic: which is known to exist.
    """

    def __init__(self, address: Address, options: KafkaOptions, topic: str) -> None:
        self._topic = topic
        self._seconds, self._arrival = options.timeout_seconds, options.arrival
        self._lanes: dict[int, Lane] = {}
        with told(f"{address}"):
            self._consumer = Consumer(
                {
                    **client(address, options),
                    "group.id": "watersmeet",
                    "enable.auto.commit": False,
                    "enable.auto.offset.store": False,
                    "auto.offset.reset": "error",
                    "enable.partition.eof": True,
                    "isolation.level": "read_committed",
                    "check.crcs": True,
                    "fetch.wait.max.ms": 50,
                    "fetch.error.backoff.ms": 100,
                    "queued.max.messages.kbytes": _PREFETCH_KBYTES,
                    "allow.auto.create.topics": False,
                },
                logger=DRIVER_LOGGER,
            )

    def fit(self, lower: Frontier) -> int:
        """In how many partitions it stands where a read is to begin."""
        return sum(lane.reaches(lower[partition]) for partition, lane in self._lanes.items())

    def read(self, lower: Frontier, upper: Frontier, limit: int) -> pa.Table:
        """At most ``limit`` records of the interval, partition by partition; fewer only if that is all.

        Raises:
            OutOfRangeError: the broker has not kept an offset of the interval.
            UnavailableError: nothing new came within the time-out.
        """
        found: dict[int, list[Columns]] = {}
        with told(f"topic {self._topic}"):
            while limit > 0 and lower != upper:
                takes = shares(lower, upper, limit)
                goals = {p: lower[p] + take for p, take in enumerate(takes) if take}
                self._place(lower, goals)
                self._fetch(goals)
                for partition, goal in goals.items():
                    part = self._lanes[partition].take(goal)
                    found.setdefault(partition, []).append(part)
                    limit -= len(part.offsets)
                lower = tuple(goals.get(p, low) for p, low in enumerate(lower))
        batches = [b for p in sorted(found) for part in found[p] for b in part.batches(p) if b.num_rows]
        return pa.Table.from_batches(batches, LOGGED)

    def close(self) -> None:
        """Let go of the brokers."""
        self._consumer.close()

    def _place(self, lower: Frontier, goals: dict[int, int]) -> None:
        """Have a lane at the beginning of each partition that is wanted, attached if there is more to fetch."""
        lost = [p for p in goals if p in self._lanes and not self._lanes[p].reaches(lower[p])]
        self._detach([p for p in lost if self._lanes[p].attached])
        for partition in goals:
            low = lower[partition]
            if partition in lost or partition not in self._lanes:
                self._lanes[partition] = Lane(low, low, low, Columns(arrival=self._arrival))
            self._lanes[partition].take(low)  # nothing, unless the caller has left something out
        wanted = [p for p, goal in goals.items() if self._lanes[p].seen < goal and not self._lanes[p].attached]
        if wanted:
            self._consumer.incremental_assign([TopicPartition(self._topic, p, self._lanes[p].seen) for p in wanted])
            for partition in wanted:
                self._lanes[partition].attached = True

    def _detach(self, partitions: Sequence[int]) -> None:
        if partitions:
            self._consumer.incremental_unassign([TopicPartition(self._topic, p) for p in partitions])
            for partition in partitions:
                self._lanes[partition].attached = False

    def _fetch(self, goals: dict[int, int]) -> None:
        """Fetch until all records below the goals are seen."""
        idle_seconds = 0.0
        while missing := sum(max(goal - self._lanes[p].seen, 0) for p, goal in goals.items()):
            messages = self._consumer.consume(min(missing, _TURN_RECORDS), _TURN_SECONDS)
            if self._sort(messages):
                idle_seconds = 0.0
                self._detach([p for p, lane in self._lanes.items() if lane.attached and lane.is_full(goals.get(p, 0))])
                continue
            idle_seconds += _TURN_SECONDS
            if idle_seconds >= self._seconds:
                late = ", ".join(str(p) for p, goal in goals.items() if self._lanes[p].seen < goal)
                raise UnavailableError(
                    f"topic {self._topic}, partition {late}",
                    expected="records from the brokers",
                    got=f"none for {self._seconds:g} s",
                    remedy="look whether the brokers run",
                )

    def _sort(self, messages: Sequence[Message[bytes, bytes]]) -> bool:
        """Put what came into its lanes; true if there was anything new."""
        new = False
        for partition, group in itertools.groupby(messages, Message.partition):
            run = list(group)
            if any(map(Message.error, run)):
                for message in run:
                    new |= self._note(message) if message.error() else self._add(partition, [message])
            else:
                new |= self._add(partition, run)
        return new

    def _add(self, partition: int | None, run: list[Message[bytes, bytes]]) -> bool:
        lane = self._lanes[partition or 0]
        first, last = run[0].offset(), run[-1].offset()
        if last is None or first is None or last < lane.seen:
            return False  # fetched before the lane was moved
        lane.ahead.add(run if first >= lane.seen else [m for m in run if (m.offset() or 0) >= lane.seen])
        lane.seen = last + 1
        return True

    def _note(self, message: Message[bytes, bytes]) -> bool:
        """What the driver says in place of a record: the end of a partition, or an error."""
        error, partition, offset = message.error(), message.partition(), message.offset()
        if error is None:
            return False
        lane = self._lanes.get(partition if partition is not None else -1)
        if error.code() == KafkaError._PARTITION_EOF:
            if lane is None or offset is None or offset <= lane.seen:
                return False
            lane.seen = offset
            return True
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise OutOfRangeError
        if error.fatal() or error.code() in _FINAL:
            raise translated(error, f"topic {self._topic}")
        _logger.info("topic %s: %s", self._topic, error.str())
        return False
