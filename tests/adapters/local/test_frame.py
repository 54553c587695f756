from __future__ import annotations

import struct
import zlib

import pyarrow as pa
import pytest

from watersmeet.adapters.local.frame import (
    HEADER_BYTES,
    Header,
    decode,
    encode,
    is_whole,
    later_group,
    make_piece,
    parse,
)
from watersmeet.formats.logged import PAYLOAD

pytestmark = pytest.mark.unit
SALT = 12345


def frame(base: int = 0, group: int = 0, salt: int = SALT, value: bytes = b"value") -> bytes:
    piece = make_piece([b"key"], [value], [{}], 8)
    _, head, payload = encode([piece], base, group, 99, salt)
    return head + bytes(payload)


def test_the_layout_of_a_header_is_fixed() -> None:
    rest = struct.pack("<IIIIqqqq", 1, 0xAABBCCDD, 640, 3, 100, 98, 1_000, 2_000)
    data = b"wmfr" + struct.pack("<I", zlib.crc32(rest, SALT)) + rest
    assert len(data) == HEADER_BYTES == 56
    header = parse(data, SALT)
    assert header == Header(100, 3, 98, 1_000, 2_000, 640, 0xAABBCCDD)
    assert (header.end, header.frame_bytes) == (103, 696)


def test_pieces_come_back_as_one_batch() -> None:
    pieces = [
        make_piece([b"a", None], [b"1", b""], [{"origin": b"x"}, {}], 3),
        make_piece([b""], [b"\0\xff"], [{}], 2),
    ]
    header, head, payload = encode(pieces, 40, 30, 77, SALT)
    assert parse(head, SALT) == header
    assert (header.base, header.end, header.group, header.first_arrival, header.last_arrival) == (40, 43, 30, 77, 77)
    assert is_whole(header, payload, SALT)
    batch = decode(payload)
    assert batch.schema.equals(PAYLOAD)
    assert batch.to_pylist() == [
        {"arrival": 77, "key": b"a", "value": b"1", "headers": [("origin", b"x")]},
        {"arrival": 77, "key": None, "value": b"", "headers": None},
        {"arrival": 77, "key": b"", "value": b"\0\xff", "headers": None},
    ]


def test_decoding_copies_no_value() -> None:
    data = memoryview(frame(value=b"v" * 1000))
    begin = pa.py_buffer(data).address
    buffer = decode(data[HEADER_BYTES:]).column("value").buffers()[2]
    assert begin < buffer.address < begin + len(data)


def test_a_frame_and_its_payload_keep_eight_byte_alignment() -> None:
    assert HEADER_BYTES % 8 == 0
    assert {len(frame(value=b"v" * length)) % 8 for length in range(9)} == {0}


def test_a_header_cut_short_is_none() -> None:
    whole = frame()
    assert [cut for cut in range(HEADER_BYTES) if parse(whole[:cut], SALT) is not None] == []
    assert parse(whole[:HEADER_BYTES], SALT) is not None


def test_a_header_with_a_flipped_bit_is_none() -> None:
    for bit in range(HEADER_BYTES * 8):
        data = bytearray(frame())
        data[bit // 8] ^= 1 << bit % 8
        assert parse(bytes(data), SALT) is None, bit


def test_a_payload_with_a_flipped_bit_or_cut_short_is_not_whole() -> None:
    data = frame()
    header, payload = parse(data, SALT), data[HEADER_BYTES:]
    assert header is not None
    assert is_whole(header, payload, SALT)
    for bit in range(len(payload) * 8):
        harmed = bytearray(payload)
        harmed[bit // 8] ^= 1 << bit % 8
        assert not is_whole(header, bytes(harmed), SALT)
    assert not is_whole(header, payload[:-1], SALT)


def test_a_frame_of_another_salt_is_none() -> None:
    assert parse(frame(salt=SALT + 1), SALT) is None


def test_a_newer_version_is_none() -> None:
    rest = struct.pack("<IIIIqqqq", 2, 0, 0, 1, 0, 0, 0, 0)
    assert parse(b"wmfr" + struct.pack("<I", zlib.crc32(rest, SALT)) + rest, SALT) is None


def test_only_a_later_group_proves_damage() -> None:
    same = frame(base=5, group=4)
    later = frame(base=6, group=6)
    foreign = frame(base=6, group=6, salt=1)
    assert later_group(b"torn" + same, 4, SALT) is None
    assert later_group(b"torn" + same + later, 4, SALT) == 4 + len(same)
    assert later_group(b"torn" + later[: HEADER_BYTES - 1], 4, SALT) is None
    assert later_group(b"wmfr" + frame(value=foreign), 0, SALT) is None
