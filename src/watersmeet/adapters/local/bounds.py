"""The start and end of each partition, in memory that all processes share.

``end`` is what readers may see: the writer stores it after the sync, so no reader acts on a record that a power cut
could still take back. It costs a reader no system call, however often it asks.

The file is a promise that is not itself synced. It may be older than the segments after a power cut, never newer; when
a topic is opened, what lies beyond it is checked and published, and what lies below it must be there. One word holds
an offset in 48 bits and a checksum in 16, so that it is read and written at once; a word that is not true, such as the
zeros of a lost block, promises nothing.
"""

from __future__ import annotations

import binascii
import mmap
import os
from pathlib import Path

from watersmeet.core.errors import CorruptError
from watersmeet.core.frontier import Frontier
from watersmeet.formats.disk import open_file, write_at

_OFFSET_BITS = 48
_WORD_BYTES = 8


class Bounds:
    """The words of one topic's file. Read by anyone, stored only under the topic's lock.

    Args:
        path: the file; made, promising nothing, if it is missing or of another size. Call under the topic's lock.
        partitions: how many partitions the topic has.
    """

    def __init__(self, path: Path, partitions: int) -> None:
        self._path = path
        self._partitions = range(partitions)
        size_bytes = 2 * partitions * _WORD_BYTES
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
        try:
            if os.fstat(descriptor).st_size != size_bytes:
                os.ftruncate(descriptor, 0)
                write_at(descriptor, 0, bytes(size_bytes))
                os.fsync(descriptor)
            self._map = mmap.mmap(descriptor, size_bytes)
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("Q")

    def starts(self) -> Frontier:
        """The oldest offset kept in each partition."""
        return tuple([self._told(2 * partition) for partition in self._partitions])

    def ends(self) -> Frontier:
        """The offset after the last durable record of each partition."""
        return tuple([self._told(2 * partition + 1) for partition in self._partitions])

    def start(self, partition: int) -> int:
        """The oldest offset kept in one partition."""
        return self._told(2 * partition)

    def end(self, partition: int) -> int:
        """The offset after the last durable record of one partition."""
        return self._told(2 * partition + 1)

    def promised_end(self, partition: int) -> int:
        """The end that was published before, or 0 when nothing true is stored."""
        offset = _offset(self._words[2 * partition + 1])
        return 0 if offset is None else offset

    def set_start(self, partition: int, offset: int) -> None:
        """Publish that records below ``offset`` are gone."""
        self._words[2 * partition] = _word(offset)

    def set_end(self, partition: int, offset: int) -> None:
        """Publish that records below ``offset`` are durable."""
        self._words[2 * partition + 1] = _word(offset)

    def close(self) -> None:
        """Release the mapping; nothing may be asked afterwards."""
        self._words.release()
        self._map.close()

    def _told(self, index: int) -> int:
        offset = _offset(self._words[index])
        if offset is None:
            raise CorruptError(f"{self._path}, word {index}", remedy="stop every process of this log and start again")
        return offset


def _word(offset: int) -> int:
    return offset << 16 | _check(offset)


def _offset(word: int) -> int | None:
    offset = word >> 16
    return offset if _check(offset) == word & 0xFFFF else None


def _check(offset: int) -> int:
    # begins at 0xFFFF, so that a word of zeros is not true
    return binascii.crc_hqx(offset.to_bytes(_OFFSET_BITS // 8, "little"), 0xFFFF)
