from __future__ import annotations

import os
from pathlib import Path

import pytest

from watersmeet.adapters.local.frame import HEADER_BYTES, Header, encode, make_piece
from watersmeet.adapters.local.segment import READ_BLOCKS, STEP_BLOCKS, Segment, Window, bases, window
from watersmeet.core.errors import CorruptError

pytestmark = pytest.mark.unit
SALT = 7


def fill(segment: Segment, values: list[bytes]) -> list[tuple[int, Header]]:
    """Write one frame a value; where each stands, and its header."""
    placed, data, offset = [], b"", segment.base
    for value in values:
        header, head, payload = encode([make_piece([None], [value], [{}], len(value))], offset, offset, 5, SALT)
        placed.append((len(data), header))
        data += head + bytes(payload)
        offset = header.end
    segment.path.write_bytes(data)
    return placed


def test_a_segment_is_named_by_its_first_offset(tmp_path: Path) -> None:
    assert Segment(tmp_path, 1234).path == tmp_path / "00000000000000001234.log"


def test_only_segments_are_listed_in_order(tmp_path: Path) -> None:
    names = ["00000000000000000200.log", "00000000000000000003.log", "3.log", "00000000000000000003.log.8-0.torn"]
    for name in names:
        (tmp_path / name).touch()
    assert bases(tmp_path) == [3, 200]


def test_finding_begins_at_or_before_every_offset(tmp_path: Path) -> None:
    segment = Segment(tmp_path, 100)
    placed = fill(segment, [b"x" * 20_000] * 40)
    for position, header in placed[:30]:
        segment.note(position, header)
    starts = {header.base: position for position, header in placed}
    assert (segment.next_offset, segment.next_position) == (130, placed[30][0])
    for offset in range(100, 140):
        position, base = segment.find(offset)
        assert starts[base] == position
        assert base <= offset
        assert position >= min(starts[offset], segment.next_position) - (1 << 16) - 20_256
    assert segment.find(139) == (placed[30][0], 130)


def test_only_the_frame_at_the_end_is_news(tmp_path: Path) -> None:
    segment = Segment(tmp_path, 0)
    placed = fill(segment, [b"a", b"b", b"c"])
    segment.note(*placed[1])
    assert segment.next_offset == 0
    segment.note(*placed[0])
    segment.note(*placed[0])
    assert (segment.next_offset, segment.last_arrival) == (1, 5)


def test_a_window_gives_what_the_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "file"
    data = bytes(range(256)) * 40
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    bytes_ = Window(descriptor, path, (64, 512))
    for position in [0, 10, 5_000, 4_990, 10_200, 10_240, 20_000, 0]:
        for size in [0, 1, 63, 64, 65, 700]:
            assert bytes_.at(position, size) == data[position : position + size]
    os.close(descriptor)


def test_a_window_reads_in_blocks_that_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(tmp_path, 0)
    segment.path.write_bytes(bytes(10_000))
    sizes = []
    pread = os.pread

    def counted(descriptor: int, size: int, position: int) -> bytes:
        sizes.append(size)
        return pread(descriptor, size, position)

    monkeypatch.setattr(os, "pread", counted)
    with window(segment, (64, 256)) as bytes_:
        for position in range(0, 1_000, 8):
            bytes_.at(position, 8)
    assert sizes == [64, 128, 256, 256, 256, 256]


@pytest.mark.parametrize("blocks", [READ_BLOCKS, STEP_BLOCKS])
def test_walking_gives_every_frame_then_none(tmp_path: Path, blocks: tuple[int, int]) -> None:
    segment = Segment(tmp_path, 9)
    placed = fill(segment, [b"a", b"b" * 10_000, b""])
    with window(segment, blocks) as bytes_:
        for position, header in placed:
            assert bytes_.header(position, header.base, SALT) == header
            assert len(bytes_.payload(position, header, SALT)) == header.payload_bytes
        assert bytes_.header(segment.path.stat().st_size, 12, SALT) is None


def test_damage_is_named_by_file_and_byte(tmp_path: Path) -> None:
    segment = Segment(tmp_path, 0)
    placed = fill(segment, [b"a", b"b"])
    position, header = placed[1]
    data = bytearray(segment.path.read_bytes())
    data[-1] ^= 1
    segment.path.write_bytes(data)
    with window(segment, READ_BLOCKS) as bytes_:
        with pytest.raises(CorruptError, match=f"{segment.path.name} at byte {position}; expected offsets 1 to 1"):
            bytes_.payload(position, header, SALT)
        with pytest.raises(CorruptError, match="got the frame of offset 1"):
            bytes_.header(position, 2, SALT)
    os.truncate(segment.path, position + HEADER_BYTES - 1)
    with window(segment, READ_BLOCKS) as bytes_, pytest.raises(CorruptError, match="bytes that are no frame"):
        bytes_.header(position, 1, SALT)


def test_a_trimmed_segment_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), window(Segment(tmp_path, 0), READ_BLOCKS):
        pass
