"""The format of a frame, the unit that the local log writes, checks and reads.

    frame    = header (56 bytes, little endian) · payload
    header   = magic "wmfr" · header CRC32 · version · payload CRC32 · payload bytes · record count   (uint32 each)
               · base offset · group · first arrival · last arrival                                    (int64 each)
    payload  = one Arrow record batch without its schema: arrival · key · value · headers

What holds:

- A frame is one partition's part of one group commit, or a piece of it when that is large. ``group`` is the offset at
  which the group began: a frame with a later group was written only after the bytes before its group were synced, so
  it proves that damage below its group is damage and not a write that was cut short.
- Both checksums start from a salt, drawn at random when the topic was made and different for each partition. So a
  frame of another topic or partition, a stale block, or a frame that a producer has hidden in a value is no frame.
- The header has its own checksum, so a reader may step from header to header without reading payloads. A payload is
  checked each time it is decoded.
- Offsets are ``base offset + row``: they are in no column and cannot disagree with their place.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from watersmeet.formats.logged import PAYLOAD

MAGIC = b"wmfr"
VERSION = 1
HEADER_BYTES = 56
_HEADER = struct.Struct("<4sIIIIIqqqq")
_CHECKED_FROM = 8
_HEADERS = PAYLOAD.field("headers").type


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a frame says.

    Args:
        base: offset of the first record.
        count: how many records; at least 1.
        group: offset at which the frame's group commit began; at most ``base``.
        first_arrival: microseconds; the arrival of the first record.
        last_arrival: microseconds; the arrival of the last record, the greatest of the frame.
        payload_bytes: size of the payload.
        payload_crc: salted CRC32 of the payload.
    """

    base: int
    count: int
    group: int
    first_arrival: int
    last_arrival: int
    payload_bytes: int
    payload_crc: int

    @property
    def end(self) -> int:
        """The offset after the last record."""
        return self.base + self.count

    @property
    def frame_bytes(self) -> int:
        """Size of header and payload."""
        return HEADER_BYTES + self.payload_bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Records of one partition on their way into a frame: the columns that their producer knows.

    Args:
        count: how many records.
        size_bytes: about how large they are; decides how pieces are packed into frames.
        columns: key, value and headers as Arrow arrays.
    """

    count: int
    size_bytes: int
    columns: tuple[pa.Array, pa.Array, pa.Array]


def make_piece(
    keys: Sequence[bytes | None], values: Sequence[bytes], headers: Sequence[Mapping[str, bytes]], size_bytes: int
) -> Piece:
    """Put records, given column by column and already checked, into Arrow arrays; empty headers become null."""
    pairs = [list(each.items()) or None for each in headers] if any(headers) else [None] * len(values)
    columns = (
        pa.array(keys, pa.binary()),
        pa.array(values, pa.binary()),
        pa.array(pairs, PAYLOAD.field("headers").type),
    )
    return Piece(len(values), size_bytes, columns)


def encode(pieces: Sequence[Piece], base: int, group: int, arrival: int, salt: int) -> tuple[Header, bytes, memoryview]:
    """Encode ``pieces`` as one frame: what its header says, the header's bytes and the payload's."""
    count = sum(piece.count for piece in pieces)
    columns = [pa.concat_arrays(parts) for parts in zip(*(piece.columns for piece in pieces), strict=True)]
    arrivals = pa.repeat(pa.scalar(arrival, pa.int64()), count)
    payload = memoryview(pa.RecordBatch.from_arrays([arrivals, *columns], schema=PAYLOAD).serialize())
    header = Header(base, count, group, arrival, arrival, len(payload), zlib.crc32(payload, salt))
    return header, _pack(header, salt), payload


def parse(data: bytes | memoryview, salt: int) -> Header | None:
    """Read the header that ``data`` begins with; ``None`` unless a whole and true one of this version stands there."""
    if len(data) < HEADER_BYTES:
        return None
    magic, crc, version, payload_crc, payload_bytes, count, base, group, first, last = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or zlib.crc32(data[_CHECKED_FROM:HEADER_BYTES], salt) != crc:
        return None
    return Header(base, count, group, first, last, payload_bytes, payload_crc)


def is_whole(header: Header, payload: bytes | memoryview, salt: int) -> bool:
    """True if ``payload`` is all of the header's payload, unharmed."""
    return len(payload) == header.payload_bytes and zlib.crc32(payload, salt) == header.payload_crc


def decode(payload: memoryview) -> pa.RecordBatch:
    """Make the record batch of a whole payload, as PAYLOAD columns; its arrays point into ``payload``."""
    return pa.ipc.read_record_batch(pa.py_buffer(payload), PAYLOAD)


def later_group(data: bytes, offset: int, salt: int) -> int | None:
    """Find in ``data`` the header of a group that began above ``offset``; its place in ``data``, or ``None``."""
    at = data.find(MAGIC)
    while at >= 0:
        header = parse(data[at : at + HEADER_BYTES], salt)
        if header is not None and header.group > offset:
            return at
        at = data.find(MAGIC, at + 1)
    return None


def _pack(header: Header, salt: int) -> bytes:
    packed = _HEADER.pack(
        MAGIC,
        0,
        VERSION,
        header.payload_crc,
        header.payload_bytes,
        header.count,
        header.base,
        header.group,
        header.first_arrival,
        header.last_arrival,
    )
    crc = zlib.crc32(packed[_CHECKED_FROM:], salt)
    return packed[:4] + struct.pack("<I", crc) + packed[_CHECKED_FROM:]
