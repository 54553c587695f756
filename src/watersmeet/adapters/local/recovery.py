"""Making the end of a partition sound, when it is opened and after another process died while appending to it.

Let ``promised`` be the end that was published. What is found in the newest segment, and what is made of it:

    frames below promised      were acknowledged: they must be there. Their headers are checked now, payloads when read.
    true frames from there on  were written, perhaps synced, never acknowledged or acknowledged just before a power cut:
                               they are kept. Nobody knows whether their sync failed, and a second sync of the same
                               pages may succeed without writing, so the bytes are written once more before the sync.
    other bytes at the end     a write that was cut short: copied to ``<segment>.<byte>-<crc>.torn``, then cut off.
    other bytes elsewhere      damage: `CorruptError`. "Elsewhere" is below promised, or before a frame whose group
                               began later, which proves that these bytes had been synced.

Older segments are not mended: no newer one is made before they are synced. All of it under the topic's lock.
"""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path

from watersmeet.core.errors import CorruptError
from watersmeet.core.failpoint import declare, hit
from watersmeet.formats.disk import open_file, sync_directory, write_at, write_file

from .frame import HEADER_BYTES, is_whole, later_group, parse
from .segment import STEP_BLOCKS, Segment, Window, bases, corrupt, window

declare(
    "log.keep.before",
    "log.keep.after",
    "log.cut.before",
    "log.cut.after",
    "log.rewrite.before",
    "log.rewrite.after",
)
_logger = logging.getLogger(__name__)


def mend(directory: Path, promised: int, salt: int, *, fsync: bool) -> list[Segment]:
    """Make the newest segment in ``directory`` end after its last true record; return all segments, in order.

    The last of them is walked to its end, so its ``next_offset`` and ``next_position`` say where to append.

    Raises:
        CorruptError: bytes are damaged, or records below ``promised`` are missing.
    """
    segments = [Segment(directory, base) for base in bases(directory)]
    if not segments:
        raise CorruptError(str(directory), expected="at least one segment", got="none", remedy="restore it from a copy")
    tail = segments[-1]
    descriptor = open_file(tail.path, os.O_RDWR)
    try:
        believed = _walk(descriptor, tail, promised, salt)
        if tail.next_offset < promised:
            expected = f"offsets up to {promised - 1}, which were acknowledged"
            raise corrupt(tail.path, tail.next_position, expected=expected, got="their frames cut short or damaged")
        _cut(descriptor, tail, salt, fsync=fsync)
        if believed < tail.next_position or tail.next_position == 0:
            _write_again(descriptor, tail, believed, fsync=fsync)
    finally:
        os.close(descriptor)
    if tail.next_position == 0 and len(segments) > 1:
        tail.last_arrival = _last_arrival(segments[-2], tail.base, salt)
    return segments


def _last_arrival(segment: Segment, end: int, salt: int) -> int:
    """Walk a segment that must end at ``end``; the arrival of its last record."""
    with window(segment, STEP_BLOCKS) as bytes_:
        while header := bytes_.header(segment.next_position, segment.next_offset, salt):
            segment.note(segment.next_position, header)
    if segment.next_offset != end:
        expected, got = f"the records up to offset {end - 1}", f"the end after offset {segment.next_offset - 1}"
        raise corrupt(segment.path, segment.next_position, expected=expected, got=got)
    return segment.last_arrival


def _walk(descriptor: int, tail: Segment, promised: int, salt: int) -> int:
    """Walk ``tail`` up to its first byte that is no true frame; return where the promised part ends."""
    believed, size_bytes = 0, os.fstat(descriptor).st_size
    bytes_ = Window(descriptor, tail.path, STEP_BLOCKS)
    while header := parse(bytes_.at(tail.next_position, HEADER_BYTES), salt):
        if header.base != tail.next_offset:
            break
        position = tail.next_position
        if position + header.frame_bytes > size_bytes:
            break
        if header.end > promised:
            payload = bytes_.at(position, header.frame_bytes)[HEADER_BYTES:]
            if not is_whole(header, payload, salt):
                break
        tail.note(position, header)
        if header.end <= promised:
            believed = tail.next_position
    return believed


def _cut(descriptor: int, tail: Segment, salt: int, *, fsync: bool) -> None:
    position = tail.next_position
    torn = os.pread(descriptor, os.fstat(descriptor).st_size - position, position)
    if not torn:
        return
    proof = later_group(torn, tail.next_offset, salt)
    if proof is not None:
        got = f"damaged bytes, followed by a later frame at byte {position + proof}"
        raise corrupt(tail.path, position, expected=f"the frame of offset {tail.next_offset}", got=got)
    kept = tail.path.with_name(f"{tail.path.name}.{position}-{zlib.crc32(torn):08x}.torn")
    hit("log.keep.before")
    write_file(kept, torn)
    sync_directory(kept.parent)
    hit("log.keep.after")
    hit("log.cut.before")
    os.ftruncate(descriptor, position)
    if fsync:
        os.fsync(descriptor)
    hit("log.cut.after")
    _logger.warning("cut %d bytes of an unfinished write off %s; a copy is in %s", len(torn), tail.path, kept.name)


def _write_again(descriptor: int, tail: Segment, begin: int, *, fsync: bool) -> None:
    hit("log.rewrite.before")
    write_at(descriptor, begin, os.pread(descriptor, tail.next_position - begin, begin))
    if fsync:
        os.fsync(descriptor)
        sync_directory(tail.path.parent)
    hit("log.rewrite.after")
