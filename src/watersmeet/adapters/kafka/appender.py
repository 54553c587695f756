"""One producer for all threads: idempotent, and nothing is reported written before brokers have confirmed it.

What holds:

- `append` returns when every record of it is confirmed. When it raises, no record of it is still on its way: the driver
  has confirmed or given up each, within the time-out, and a part of them may have been appended.
- Records of one partition arrive in the order in which a thread hands them over; retries neither swap nor copy them.
- Threads share requests to the brokers: a record waits ``linger_ms`` for others, whoever sends them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from watersmeet.core.address import Address
from watersmeet.core.clock import Clock
from watersmeet.core.errors import UnavailableError
from watersmeet.core.record import Position, Record

from .failure import told, translated
from .options import DRIVER_LOGGER, KafkaOptions, client

_QUEUE_RECORDS = 200_000
_QUEUE_KBYTES = 128 << 10
_POLL_SECONDS = 0.1
_ROOM_SECONDS = 0.02
_GRACE_SECONDS = 10.0
_UNKNOWN = -1


class _Delivery:
    """The records of one append, as they are confirmed. One thread sends, another one hears, without a lock."""

    def __init__(self, count: int) -> None:
        self.offsets = [_UNKNOWN] * count
        self.error: KafkaError | None = None
        self.done = threading.Event()
        self._heard = 0
        self._sent = -1

    def note(self, index: int, error: KafkaError | None, message: Message[bytes, bytes] | None) -> None:
        """The driver tells what became of a record."""
        offset = message.offset() if message is not None and error is None else None
        if offset is not None:
            self.offsets[index] = offset
        self.error = self.error or error
        self._heard += 1
        if self._heard == self._sent:
            self.done.set()

    def expect(self, count: int) -> None:
        """So many were handed to the driver, and no more will be."""
        self._sent = count
        if self._heard == count:
            self.done.set()


class Appender:
    """A producer, and the thread that hears what becomes of its records. Safe to share between threads.

    Args:
        address, options: of the cluster.
        clock: gives arrivals where the options say so.
    """

    def __init__(self, address: Address, options: KafkaOptions, clock: Clock) -> None:
        self._seconds = options.timeout_seconds
        self._clock = clock if options.arrival == "clock" else None
        timeout_ms = int(options.timeout_seconds * 1_000)
        with told(f"{address}"):
            self._producer = Producer(
                {
                    **client(address, options),
                    "enable.idempotence": options.acks == "all",
                    "acks": options.acks,
                    "compression.type": options.compression,
                    "max.in.flight.requests.per.connection": options.in_flight,
                    "retries": options.retries,
                    "linger.ms": options.linger_ms,
                    "message.timeout.ms": timeout_ms,
                    "request.timeout.ms": min(timeout_ms, 30_000),
                    "message.max.bytes": 1_000_000_000,
                    "queue.buffering.max.messages": _QUEUE_RECORDS,
                    "queue.buffering.max.kbytes": _QUEUE_KBYTES,
                    "retry.backoff.max.ms": 1_000,
                },
                logger=DRIVER_LOGGER,
            )
        self.broken = False
        self._found = set[str]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="kafka-appender", daemon=True)
        self._thread.start()

    def append(self, topic: str, records: Sequence[Record], partitions: Sequence[int]) -> list[Position]:
        """Append each record to its partition and return where they went.

        Raises:
            UnavailableError: the brokers did not confirm all of them within the time-out.
            RequestError: the brokers refuse one.
        """
        delivery, sent = _Delivery(len(records)), 0
        at_ms = self._clock.now_us() // 1_000 if self._clock else 0
        with told(f"topic {topic}"):
            if topic not in self._found:
                self._producer.list_topics(topic, self._seconds)  # else it asks once a second
                self._found.add(topic)
            try:
                for record, partition in zip(records, partitions, strict=True):
                    self._send(topic, record, partition, partial(delivery.note, sent), at_ms)
                    sent += 1
            except KafkaException as error:
                self.broken = self.broken or error.args[0].fatal()
                raise
            finally:
                delivery.expect(sent)
                heard = delivery.done.wait(self._seconds + _GRACE_SECONDS)
        if delivery.error is not None:
            self.broken = self.broken or delivery.error.fatal() or delivery.error.code() == KafkaError._FATAL
            raise translated(delivery.error, f"topic {topic}")
        if not heard or min(delivery.offsets, default=0) < 0:
            # brokers know a copy of a record as such even after they have forgotten where the first one went
            got = "records confirmed without their offsets" if heard else "nothing from the driver"
            raise UnavailableError(f"topic {topic}", expected="where the records went", got=got, remedy="append again")
        return [Position(*place) for place in zip(partitions, delivery.offsets, strict=True)]

    def close(self) -> None:
        """Stop listening, after whatever is on its way."""
        self._producer.flush(self._seconds)
        self._stop.set()
        self._thread.join()

    def _send(self, topic: str, record: Record, partition: int, heard: Callable[..., None], at_ms: int) -> None:
        headers: dict[str, str | bytes | None] | None = dict(record.headers) or None
        for _ in range(int(self._seconds / _ROOM_SECONDS)):
            try:
                self._producer.produce(topic, record.value, record.key, partition, heard, None, at_ms, headers)
                return
            except BufferError:
                self._stop.wait(_ROOM_SECONDS)
        got = "brokers that take nothing"
        raise UnavailableError(f"topic {topic}", expected="room in the queue of records to send", got=got)

    def _listen(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(_POLL_SECONDS)
