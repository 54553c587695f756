"""One partition: its segments, the walk that reads them, and the writes at their end.

Two locks guard it. Whatever changes files (`write`, `sync`, `trim`, `open`) runs under the topic's lock, so one thread
of one process does so at a time. What this process knows of the segments is guarded by a mutex of its own, because
readers learn too; they hold no other lock and never look above the published end.

A partition that failed to write or sync refuses every further append until it is opened anew: after a failed sync the
system may have dropped the bytes and call the next sync a success.
"""

from __future__ import annotations

import contextlib
import os
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from watersmeet.core.errors import CorruptError, GapError, UnavailableError, WatersmeetError
from watersmeet.core.failpoint import declare, hit
from watersmeet.formats.disk import open_file, reachable, sync_directory, write_at

from .bounds import Bounds
from .frame import Header, Piece, decode, encode
from .recovery import mend
from .segment import READ_BLOCKS, STEP_BLOCKS, Segment, Window, bases, window

declare(
    "log.roll.before",
    "log.roll.after",
    "log.write.before",
    "log.write.after",
    "log.fsync.before",
    "log.fsync.after",
    "log.directory.before",
    "log.directory.after",
    "log.publish.before",
    "log.publish.after",
    "log.trim.before",
    "log.trim.after",
)
_FRAME_BYTES = 4 << 20


class Partition:
    """One partition of one topic.

    Args:
        directory: where its segments are.
        number: which partition it is.
        salt: what its checksums start from.
        bounds: the topic's published starts and ends.
        segment_bytes: a segment that would grow beyond this is followed by a new one; a single group may exceed it.
        fsync: sync before publishing.
    """

    def __init__(
        self, directory: Path, number: int, salt: int, bounds: Bounds, *, segment_bytes: int, fsync: bool
    ) -> None:
        self._directory = directory
        self._number = number
        self._salt = salt
        self._bounds = bounds
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._mutex = threading.Lock()
        self._segments: list[Segment] = []
        self._descriptor = -1
        self._descriptor_base = -1
        self._written: list[tuple[int, Header]] = []
        self._rolled = False
        self._failed = False

    def open(self) -> None:
        """Mend the end of the partition and publish its bounds. Called under the topic's lock."""
        promised = self._bounds.promised_end(self._number)
        with reachable(self._directory):
            segments = mend(self._directory, promised, self._salt, fsync=self._fsync)
        with self._mutex:
            self._segments = segments
        self._written, self._rolled = [], False
        self._bounds.set_start(self._number, segments[0].base)
        self._bounds.set_end(self._number, segments[-1].next_offset)

    def close(self) -> None:
        """Close the file that is being written."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = self._descriptor_base = -1

    def refuse_if_failed(self) -> None:
        """Raise `UnavailableError` if an earlier write or sync of this partition failed."""
        if self._failed:
            remedy = "check the disk, then restart this process"
            raise UnavailableError(f"{self._directory}: an earlier write or sync failed", remedy=remedy)

    def read(self, lower: int, upper: int) -> list[pa.RecordBatch]:
        """The records of ``[lower, upper)`` as PAYLOAD columns, a part of a frame each; all of them below the end.

        Raises:
            GapError: records were trimmed while this was reading them.
            CorruptError: bytes are damaged or missing.
        """
        taken: list[pa.RecordBatch] = []
        while lower < upper:
            segment, position, offset = self._find(lower)
            with self._opened(segment, lower, READ_BLOCKS) as bytes_:
                while lower < upper and (header := bytes_.header(position, offset, self._salt)):
                    if header.end > lower:
                        batch = decode(bytes_.payload(position, header, self._salt))
                        taken.append(batch.slice(lower - header.base, min(upper, header.end) - lower))
                        lower = min(upper, header.end)
                    with self._mutex:
                        segment.note(position, header)
                    position, offset = position + header.frame_bytes, header.end
            if lower < upper:
                self._follow(segment, offset)
        return taken

    def write(self, pieces: Sequence[Piece], now_us: int) -> int:
        """Write one group, not durable and not to be seen before `sync`; return the offset of its first record."""
        self.refuse_if_failed()
        tail = self._stand_at_end()
        group, arrival = tail.next_offset, max(now_us, tail.last_arrival)
        offset, frames = group, []
        for part in _packed(pieces):
            frames.append(encode(part, offset, group, arrival, self._salt))
            offset = frames[-1][0].end
        size_bytes = sum(header.frame_bytes for header, _, _ in frames)
        with reachable(tail.path):
            if tail.next_position and tail.next_position + size_bytes > self._segment_bytes:
                tail = self._roll(tail)
            if self._descriptor_base != tail.base:
                self._write_to(tail, os.O_WRONLY)
        with self._or_fail():
            position = tail.next_position
            hit("log.write.before")
            for header, head, payload in frames:
                self._written.append((position, header))
                position = write_at(self._descriptor, position, head)
                position = write_at(self._descriptor, position, payload)
            hit("log.write.after")
        return group

    def sync(self) -> None:
        """Make the group that was written durable, then publish it."""
        with self._or_fail():
            if self._fsync:
                hit("log.fsync.before")
                os.fsync(self._descriptor)
                hit("log.fsync.after")
            if self._fsync and self._rolled:
                hit("log.directory.before")
                sync_directory(self._directory)
                hit("log.directory.after")
            hit("log.publish.before")
            with self._mutex:
                tail = self._segments[-1]
                for position, header in self._written:
                    tail.note(position, header)
            self._written, self._rolled = [], False
            self._bounds.set_end(self._number, tail.next_offset)
            hit("log.publish.after")

    def trim(self, below: int) -> None:
        """Delete segments that end at or below ``below``, oldest first; never the newest. Under the topic's lock."""
        with reachable(self._directory):
            kept = bases(self._directory)
            doomed = [base for base, following in pairwise(kept) if following <= below]
            if not doomed:
                return
            start = kept[len(doomed)]
            self._bounds.set_start(self._number, start)
            for base in doomed:
                hit("log.trim.before")
                path = Segment(self._directory, base).path
                for torn in self._directory.glob(f"{path.name}.*.torn"):
                    torn.unlink()
                path.unlink()
                # one by one, so that no power cut can leave a hole between segments
                sync_directory(self._directory)
                hit("log.trim.after")
        with self._mutex:
            self._segments = [each for each in self._segments if each.base >= start]

    def _stand_at_end(self) -> Segment:
        """Learn what other processes have appended; mend what one that died has left. The segment to append to."""
        end = self._bounds.end(self._number)
        while self._segments[-1].next_offset < end:
            tail = self._segments[-1]
            with self._opened(tail, tail.next_offset, STEP_BLOCKS) as bytes_, self._mutex:
                while tail.next_offset < end:
                    header = bytes_.header(tail.next_position, tail.next_offset, self._salt)
                    if header is None:
                        break
                    tail.note(tail.next_position, header)
            if tail.next_offset < end:
                self._follow(tail, tail.next_offset)
        tail = self._segments[-1]
        with reachable(tail.path):
            unfinished = os.stat(tail.path).st_size != tail.next_position
            unfinished |= tail.base != end and Segment(self._directory, end).path.exists()
        if unfinished:
            self.open()
        return self._segments[-1]

    def _roll(self, tail: Segment) -> Segment:
        hit("log.roll.before")
        following = Segment(self._directory, tail.next_offset)
        following.last_arrival = tail.last_arrival
        with self._mutex:
            self._write_to(following, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            self._segments = [*self._segments, following]
        self._rolled = True
        hit("log.roll.after")
        return following

    def _find(self, offset: int) -> tuple[Segment, int, int]:
        """The known segment to look for ``offset`` in, and the byte and base offset of a frame to begin at."""
        with self._mutex:
            index = bisect_right(self._segments, offset, key=lambda each: each.base) - 1
            if index >= 0:
                return self._segments[index], *self._segments[index].find(offset)
        raise self._lost(offset)

    def _follow(self, ended: Segment, offset: int) -> None:
        """Learn of the segment that begins at ``offset``, where ``ended`` has ended."""
        with reachable(self._directory):
            found = bases(self._directory)
        if offset == ended.base or offset not in found:
            raise self._lost(offset)
        with self._mutex:
            known = {each.base for each in self._segments}
            fresh = [Segment(self._directory, base) for base in found if base not in known]
            self._segments = sorted([*self._segments, *fresh], key=lambda each: each.base)

    @contextmanager
    def _opened(self, segment: Segment, offset: int, blocks: tuple[int, int]) -> Iterator[Window]:
        with reachable(segment.path), ExitStack() as stack:
            try:
                bytes_ = stack.enter_context(window(segment, blocks))
            except FileNotFoundError:
                raise self._lost(offset) from None
            yield bytes_

    def _lost(self, offset: int) -> WatersmeetError:
        start = self._bounds.start(self._number)
        if offset < start:
            return GapError(f"{self._directory}: offset {offset}", expected=f"{start} or above", got="trimmed records")
        expected = f"the segment with offset {offset}"
        return CorruptError(str(self._directory), expected=expected, got="none", remedy="restore it from a copy")

    @contextmanager
    def _or_fail(self) -> Iterator[None]:
        """Fail the partition for good when the block does not come to its end."""
        with ExitStack() as undo, reachable(self._directory):
            undo.callback(self._fail)
            yield
            undo.pop_all()

    def _fail(self) -> None:
        self._failed = True
        # nothing of the group was acknowledged; bytes that stay are judged when the partition is next opened
        with contextlib.suppress(OSError):
            if self._written:
                os.ftruncate(self._descriptor, self._written[0][0])
        self.close()

    def _write_to(self, segment: Segment, flags: int) -> None:
        self.close()
        self._descriptor = open_file(segment.path, flags)
        self._descriptor_base = segment.base


def _packed(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pack pieces, in order, into as few frames as their size allows."""
    part: list[Piece] = []
    size_bytes = 0
    for piece in pieces:
        if part and size_bytes + piece.size_bytes > _FRAME_BYTES:
            yield part
            part, size_bytes = [], 0
        part.append(piece)
        size_bytes += piece.size_bytes
    yield part
