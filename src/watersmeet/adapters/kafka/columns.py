"""Records as the driver hands them over, put into LOGGED columns with no Python code a record.

Each column is one pass in C over the driver's messages. They are taken a few hundred at a time: fewer than the garbage
collector waits for before it looks through them, which would take longer than all passes together.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from watersmeet.core.errors import ConflictError
from watersmeet.formats.logged import LOGGED

if TYPE_CHECKING:
    from confluent_kafka._types import HeadersType

_HEADERS = LOGGED.field("headers").type
_LARGEST_BYTES = (1 << 31) - 1
_logger = logging.getLogger(__name__)
Header = Sequence[tuple[str, bytes]] | None


@dataclass(slots=True)
class Columns:
    """Records of one partition in offset order, and the size of their values; no key is None, and so are no headers.

    ``arrival`` is the option: whose times they must be.
    """

    offsets: list[int] = field(default_factory=list)
    arrivals_ms: list[int] = field(default_factory=list)
    keys: list[bytes | None] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    size_bytes: int = 0
    arrival: str = "broker"

    def add(self, messages: Sequence[Message[bytes, bytes]]) -> None:
        """Append messages of one partition, none of which is an error.

        A value that is null becomes empty: it is a record, and no schema accepts it, so it is a dead letter.

        Raises:
            ConflictError: their times are not the brokers'.
        """
        kinds, times = zip(*map(Message.timestamp, messages), strict=True)
        if self.arrival == "broker" and set(kinds) != {TIMESTAMP_LOG_APPEND_TIME}:
            raise ConflictError(
                f"topic {messages[0].topic()}",
                expected="message.timestamp.type=LogAppendTime: arrivals are the brokers', never the producers'",
                got=f"record {messages[0].partition()}:{messages[0].offset()} with a producer's time",
                remedy="give the topic a new name; what its producers say cannot be undone",
            )
        values: list[bytes | None] = list(map(Message.value, messages))
        self.offsets += map(Message.offset, messages)  # type: ignore[arg-type]  # None is of messages to be sent
        self.arrivals_ms += times
        self.keys += map(Message.key, messages)
        self.values += values if all(values) else [value or b"" for value in values]  # type: ignore[arg-type]  # no None
        self.headers += _headers(messages)
        self.size_bytes += sum(map(len, messages))

    def cut(self, count: int) -> Columns:
        """Take away the first ``count``."""
        parts = (self.offsets, self.arrivals_ms, self.keys, self.values, self.headers)
        taken = Columns(*(part[:count] for part in parts))  # type: ignore[arg-type]  # the same columns
        taken.arrival = self.arrival
        for part in parts:
            del part[:count]
        taken.size_bytes = sum(map(len, taken.values))
        self.size_bytes -= taken.size_bytes
        return taken

    def batches(self, partition: int) -> list[pa.RecordBatch]:
        """They as LOGGED batches: one, unless the values are more than one column can hold."""
        count = len(self.offsets)
        ends = np.zeros(count + 1, np.int64)
        np.cumsum(np.fromiter(map(len, self.values), np.int64, count), out=ends[1:])
        if ends[-1] > _LARGEST_BYTES:
            return [*self.cut(count // 2).batches(partition), *self.batches(partition)]
        # three times as fast as pa.array(self.values): none of them is null
        buffers = [None, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(self.values))]
        columns = [
            pa.array(np.full(count, partition, np.int32)),
            pa.array(np.array(self.offsets, np.int64)),
            pa.array(np.array(self.arrivals_ms, np.int64) * 1_000),
            pa.array(self.keys, pa.binary()),
            pa.Array.from_buffers(pa.binary(), count, buffers),
            pa.array(self.headers, _HEADERS) if any(self.headers) else pa.nulls(count, _HEADERS),
        ]
        return [pa.RecordBatch.from_arrays(columns, schema=LOGGED)]


def _headers(messages: Sequence[Message[bytes, bytes]]) -> list[Header]:
    try:
        found = list(map(Message.headers, messages))
    except UnicodeDecodeError:
        found = [_lenient(message) for message in messages]
    return [_pairs(each) for each in found] if any(found) else [None] * len(found)


def _pairs(headers: HeadersType | None) -> Header:
    pairs = headers.items() if isinstance(headers, dict) else headers or ()
    return [(name, value if isinstance(value, bytes) else (value or "").encode()) for name, value in pairs] or None


def _lenient(message: Message[bytes, bytes]) -> HeadersType | None:
    try:
        return message.headers()
    except UnicodeDecodeError:
        place = f"{message.topic()}, record {message.partition()}:{message.offset()}"
        _logger.warning("topic %s: its headers are left out, since a name is not UTF-8", place)
        return None
