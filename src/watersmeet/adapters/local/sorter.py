"""What happens to records before the log takes its lock: each is checked, routed, and put into columns.

It runs in the appender's own thread, so a record that cannot be taken fails its own append and nobody else's.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from watersmeet.core.errors import RequestError
from watersmeet.core.record import Record

from .frame import Piece, make_piece

KEY_BYTES = 64 << 10
HEADERS_BYTES = 64 << 10
_PIECE_BYTES = 1 << 20


class Sorter:
    """The records of one append, checked and sorted by partition. For one thread.

    Args:
        topic: named in errors.
        partitions: how many the topic has.
        value_bytes: the largest value accepted.
        turns: counts up; gives records without a key their partition.
    """

    def __init__(self, topic: str, partitions: int, value_bytes: int, turns: Iterator[int]) -> None:
        self._topic = topic
        self._partitions = partitions
        self._value_bytes = value_bytes
        self._turns = turns
        self._open: dict[int, list[Record]] = {}
        self._open_bytes: dict[int, int] = {}
        self._pieces: dict[int, list[Piece]] = {}

    def take(self, index: int, record: Record) -> int:
        """Accept the record at ``index`` and return its partition."""
        value, key = record.value, record.key
        if not isinstance(value, bytes):
            raise self._wrong(index, "value", "bytes", type(value).__name__)
        size_bytes = len(value)
        if size_bytes > self._value_bytes:
            raise self._too_large(index, "value", self._value_bytes, size_bytes)
        if key is None:
            partition = next(self._turns) % self._partitions
        elif not isinstance(key, bytes):
            raise self._wrong(index, "key", "bytes or None", type(key).__name__)
        elif len(key) > KEY_BYTES:
            raise self._too_large(index, "key", KEY_BYTES, len(key))
        else:
            size_bytes += len(key)
            partition = zlib.crc32(key) % self._partitions
        if record.headers:
            size_bytes += self._headers_bytes(index, record)
        self._open.setdefault(partition, []).append(record)
        self._open_bytes[partition] = self._open_bytes.get(partition, 0) + size_bytes
        if self._open_bytes[partition] >= _PIECE_BYTES:
            self._close_piece(partition)
        return partition

    def pieces(self) -> dict[int, list[Piece]]:
        """All that was taken, as pieces by partition."""
        for partition in list(self._open):
            self._close_piece(partition)
        return self._pieces

    def _close_piece(self, partition: int) -> None:
        records = self._open.pop(partition)
        piece = make_piece(
            [record.key for record in records],
            [record.value for record in records],
            [record.headers for record in records],
            self._open_bytes.pop(partition),
        )
        self._pieces.setdefault(partition, []).append(piece)

    def _headers_bytes(self, index: int, record: Record) -> int:
        size_bytes = 0
        for name, value in record.headers.items():
            if not isinstance(name, str) or not isinstance(value, bytes):
                raise self._wrong(index, "header", "text with bytes", f"{name!r} with {type(value).__name__}")
            try:
                size_bytes += len(name.encode()) + len(value)
            except UnicodeEncodeError:
                raise self._wrong(index, "header", "a name in Unicode", ascii(name)) from None
        if size_bytes > HEADERS_BYTES:
            raise self._too_large(index, "headers", HEADERS_BYTES, size_bytes)
        return size_bytes

    def _wrong(self, index: int, part: str, expected: str, got: str) -> RequestError:
        return RequestError(f"{part} of record {index} for topic {self._topic}", expected=expected, got=got)

    def _too_large(self, index: int, part: str, most: int, size_bytes: int) -> RequestError:
        subject = f"{part} of record {index} for topic {self._topic}"
        return RequestError(subject, kind="too_large", expected=f"at most {most:,} bytes", got=f"{size_bytes:,}")
