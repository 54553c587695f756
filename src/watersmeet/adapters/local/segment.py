"""A segment: one file of frames, and where frames begin in it.

A segment is named by the offset of its first record, in 20 digits. Its frames follow each other without a hole, and
the first record of the next segment follows the last record of this one. Only the newest segment of a partition is
ever written.

What a process knows of a segment grows as it walks along: ``next_offset`` and ``next_position`` are the end of what
it has seen, and one mark per 64 KiB leads near any offset below, so the memory of a segment stays small even where a
frame holds a single record.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watersmeet.core.errors import CorruptError
from watersmeet.formats.disk import open_file

from .frame import HEADER_BYTES, Header, is_whole, parse

READ_BLOCKS = (1 << 18, 1 << 21)
STEP_BLOCKS = (1 << 12, 1 << 12)
_MARK_BYTES = 1 << 16
_NAME = re.compile(r"(\d{20})\.log")


class Segment:
    """What this process knows of one segment file. Not safe to share between threads without a lock.

    Args:
        directory: the partition's directory.
        base: offset of the first record.
    """

    def __init__(self, directory: Path, base: int) -> None:
        self.base = base
        self.path = directory / f"{base:020}.log"
        self.next_offset = base
        self.next_position = 0
        self.last_arrival = 0
        self._offsets = [base]
        self._positions = [0]

    def find(self, offset: int) -> tuple[int, int]:
        """Where to begin walking to ``offset``: the byte and base offset of a known frame at or before it."""
        if offset >= self.next_offset:
            return self.next_position, self.next_offset
        mark = bisect_right(self._offsets, offset) - 1
        return self._positions[mark], self._offsets[mark]

    def note(self, position: int, header: Header) -> None:
        """Learn that a true frame stands at byte ``position``; no news unless it is where the known part ends."""
        if position != self.next_position:
            return
        self.next_offset = header.end
        self.next_position = position + header.frame_bytes
        self.last_arrival = header.last_arrival
        if position - self._positions[-1] >= _MARK_BYTES:
            self._offsets.append(header.base)
            self._positions.append(position)


class Window:
    """Bytes of an open file by position, read in blocks that double from the first to the last size of ``blocks``."""

    def __init__(self, descriptor: int, path: Path, blocks: tuple[int, int]) -> None:
        self._descriptor = descriptor
        self._path = path
        self._block, self._last_block = blocks
        self._data = memoryview(b"")
        self._position = 0

    def at(self, position: int, size: int) -> memoryview:
        """The ``size`` bytes at ``position``, or fewer where the file ends. Nothing is copied."""
        begin = position - self._position
        if begin < 0 or begin + size > len(self._data):
            self._data = memoryview(os.pread(self._descriptor, max(size, self._block), position))
            self._block = min(self._block * 2, self._last_block)
            self._position, begin = position, 0
        return self._data[begin : begin + size]

    def header(self, position: int, offset: int, salt: int) -> Header | None:
        """The header at ``position``, which must begin at ``offset``; ``None`` at the end of the file.

        Raises:
            CorruptError: other bytes stand there.
        """
        data = self.at(position, HEADER_BYTES)
        if not data:
            return None
        header = parse(data, salt)
        if header is None or header.base != offset:
            got = "bytes that are no frame of it" if header is None else f"the frame of offset {header.base}"
            raise corrupt(self._path, position, expected=f"the frame of offset {offset}", got=got)
        return header

    def payload(self, position: int, header: Header, salt: int) -> memoryview:
        """The payload of the frame at ``position``.

        Raises:
            CorruptError: it is cut short or does not match its checksum.
        """
        payload = self.at(position, header.frame_bytes)[HEADER_BYTES:]
        if not is_whole(header, payload, salt):
            expected = f"offsets {header.base} to {header.end - 1} with checksum {header.payload_crc:08x}"
            raise corrupt(self._path, position, expected=expected, got="other bytes")
        return payload


@contextmanager
def window(segment: Segment, blocks: tuple[int, int]) -> Iterator[Window]:
    """Open a segment for reading; `FileNotFoundError` if it has been trimmed."""
    descriptor = open_file(segment.path, os.O_RDONLY)
    try:
        yield Window(descriptor, segment.path, blocks)
    finally:
        os.close(descriptor)


def bases(directory: Path) -> list[int]:
    """The base offsets of the segments in ``directory``, in order."""
    return sorted(int(match[1]) for name in os.listdir(directory) if (match := _NAME.fullmatch(name)))


def corrupt(path: Path, position: int, *, expected: str, got: str) -> CorruptError:
    """Describe damage at byte ``position`` of ``path``."""
    remedy = "restore the file from a copy; the records before this byte are unharmed"
    return CorruptError(f"{path} at byte {position}", expected=expected, got=got, remedy=remedy)
