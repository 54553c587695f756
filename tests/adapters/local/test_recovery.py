"""Ends of a partition that a crash, a power cut or a bad disk can leave, and what is made of them."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import pytest

from watersmeet.adapters.local.frame import encode, make_piece
from watersmeet.adapters.local.recovery import mend
from watersmeet.adapters.local.segment import Segment
from watersmeet.core import failpoint
from watersmeet.core.errors import CorruptError

pytestmark = pytest.mark.integration
SALT = 99


@pytest.fixture(autouse=True)
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip real syncs in sweeps of hundreds of files: what is found afterwards does not depend on them."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def frames(*groups: tuple[int, int], arrival: int = 50) -> list[bytes]:
    """One frame of one record for each (offset, group)."""
    found = []
    for offset, group in groups:
        piece = make_piece([None], [b"value %d" % offset], [{}], 8)
        _, head, payload = encode([piece], offset, group, arrival + offset, SALT)
        found.append(head + bytes(payload))
    return found


def partition(directory: Path, base: int, parts: list[bytes]) -> Path:
    directory.mkdir(exist_ok=True)
    path = Segment(directory, base).path
    path.write_bytes(b"".join(parts))
    return path


def test_a_sound_end_is_kept_as_it_is(tmp_path: Path) -> None:
    parts = frames((0, 0), (1, 1), (2, 2))
    path = partition(tmp_path, 0, parts)
    for promised in range(4):
        (tail,) = mend(tmp_path, promised, SALT, fsync=True)
        assert (tail.next_offset, tail.next_position, tail.last_arrival) == (3, len(b"".join(parts)), 52)
    assert path.read_bytes() == b"".join(parts)
    assert os.listdir(tmp_path) == [path.name]


def test_a_tail_torn_at_any_byte_is_cut_and_kept_beside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second, last = frames((0, 0), (1, 1), (2, 2))
    sound = first + second
    caplog.set_level(logging.WARNING)
    for cut in range(1, len(last)):
        directory = tmp_path / str(cut)
        path = partition(directory, 0, [sound, last[:cut]])
        (tail,) = mend(directory, 2, SALT, fsync=True)
        assert (tail.next_offset, tail.next_position) == (2, len(sound))
        assert path.read_bytes() == sound
        (kept,) = directory.glob("*.torn")
        assert kept.name.startswith(f"{path.name}.{len(sound)}-")
        assert kept.read_bytes() == last[:cut]
        assert kept.stat().st_mode & 0o777 == 0o600
        assert f"cut {cut} bytes" in caplog.records[-1].getMessage()
        shutil.rmtree(directory)
    assert len(caplog.records) == len(last) - 1


@pytest.mark.parametrize("promised", [0, 1, 2])
def test_a_last_frame_with_a_flipped_bit_is_cut(tmp_path: Path, promised: int) -> None:
    first, second, last = frames((0, 0), (1, 1), (2, 2))
    for at in range(len(last)):
        harmed = bytearray(last)
        harmed[at] ^= 1 << at % 8
        path = partition(tmp_path, 0, [first, second, bytes(harmed)])
        (tail,) = mend(tmp_path, promised, SALT, fsync=False)
        assert tail.next_offset == 2
        assert path.read_bytes() == first + second


def test_a_flipped_bit_elsewhere_is_damage(tmp_path: Path) -> None:
    parts = frames((0, 0), (1, 1), (2, 2))
    for at in range(len(parts[0]) + len(parts[1])):
        harmed = bytearray(b"".join(parts))
        harmed[at] ^= 1 << at % 8
        path = partition(tmp_path, 0, [bytes(harmed)])
        begin = 0 if at < len(parts[0]) else len(parts[0])
        with pytest.raises(CorruptError, match=f"{path.name} at byte {begin};"):
            mend(tmp_path, 0, SALT, fsync=True)
        assert path.read_bytes() == bytes(harmed)


@pytest.mark.parametrize("lost", [0, 1])
def test_a_group_that_was_cut_short_in_its_middle_is_no_damage(tmp_path: Path, lost: int) -> None:
    # one group of three frames, one of which the disk has not got: none of it was acknowledged
    parts = [*frames((0, 0)), *frames((1, 1), (2, 1), (3, 1))]
    parts[1 + lost] = bytes(len(parts[1 + lost]))
    partition(tmp_path, 0, parts)
    (tail,) = mend(tmp_path, 1, SALT, fsync=True)
    assert tail.next_offset == 1 + lost


@pytest.mark.parametrize("cut", [0, 1, 60])
def test_promised_records_that_are_gone_are_damage(tmp_path: Path, cut: int) -> None:
    first, last = frames((0, 0), (1, 1))
    path = partition(tmp_path, 0, [first, last[:cut]])
    with pytest.raises(CorruptError, match="expected offsets up to 1, which were acknowledged"):
        mend(tmp_path, 2, SALT, fsync=True)
    assert path.read_bytes() == first + last[:cut]


def test_a_forged_frame_inside_a_torn_value_proves_nothing(tmp_path: Path) -> None:
    (forged,) = frames((9, 9))
    foreign = encode([make_piece([None], [b"x"], [{}], 1)], 9, 9, 0, SALT + 1)
    hidden = foreign[1] + bytes(foreign[2])
    _, head, payload = encode([make_piece([None], [hidden], [{}], 1)], 0, 0, 0, SALT)
    partition(tmp_path, 0, [(head + bytes(payload))[:-1]])
    (tail,) = mend(tmp_path, 0, SALT, fsync=True)
    assert tail.next_offset == 0
    partition(tmp_path, 0, [(head + bytes(payload))[:-1], forged])
    with pytest.raises(CorruptError):
        mend(tmp_path, 0, SALT, fsync=True)


def test_bytes_that_nobody_promised_are_written_again_before_they_are_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = frames((0, 0), (1, 1), (2, 2))
    partition(tmp_path, 0, parts)
    steps: list[tuple[object, ...]] = []
    pwrite = os.pwrite

    def written(descriptor: int, data: memoryview, position: int) -> int:
        steps.append((position, bytes(data)))
        return pwrite(descriptor, data, position)

    def synced(descriptor: int) -> None:
        steps.append(("sync",))

    monkeypatch.setattr(os, "pwrite", written)
    monkeypatch.setattr(os, "fsync", synced)
    mend(tmp_path, 1, SALT, fsync=True)
    assert steps == [(len(parts[0]), parts[1] + parts[2]), ("sync",), ("sync",)]
    steps.clear()
    mend(tmp_path, 3, SALT, fsync=True)
    assert steps == []


def test_an_empty_new_segment_goes_on_from_the_one_before(tmp_path: Path) -> None:
    partition(tmp_path, 0, frames((0, 0), (1, 1)))
    partition(tmp_path, 2, [b"torn"])
    before, tail = mend(tmp_path, 2, SALT, fsync=True)
    assert (before.base, tail.base, tail.next_offset, tail.next_position, tail.last_arrival) == (0, 2, 2, 0, 51)


def test_a_hole_before_an_empty_segment_is_damage(tmp_path: Path) -> None:
    path = partition(tmp_path, 0, frames((0, 0), (1, 1)))
    partition(tmp_path, 3, [])
    with pytest.raises(CorruptError, match=f"{path.name} at byte .* expected the records up to offset 2"):
        mend(tmp_path, 3, SALT, fsync=True)


def test_a_frame_of_another_place_is_not_taken(tmp_path: Path) -> None:
    partition(tmp_path, 5, frames((0, 0)))
    (tail,) = mend(tmp_path, 5, SALT, fsync=True)
    assert tail.next_offset == 5
    with pytest.raises(CorruptError, match="acknowledged"):
        mend(tmp_path, 6, SALT, fsync=True)


def test_a_partition_without_segments_is_damage(tmp_path: Path) -> None:
    with pytest.raises(CorruptError, match="expected at least one segment"):
        mend(tmp_path, 0, SALT, fsync=True)


def test_a_crash_inside_recovery_changes_nothing_of_its_result(tmp_path: Path) -> None:
    parts = frames((0, 0), (1, 1), (2, 2))
    live, images, hits = tmp_path / "live", tmp_path / "images", []
    partition(live, 0, [*parts, frames((3, 3))[0][:-5]])

    def copy(name: str) -> None:
        hits.append(name)
        shutil.copytree(live, images / str(len(hits)))

    failpoint.install(copy)
    try:
        mend(live, 1, SALT, fsync=True)
    finally:
        failpoint.install(None)
    steps = ["log.keep", "log.cut", "log.rewrite"]
    assert hits == [f"{step}.{side}" for step in steps for side in ("before", "after")]
    for image in images.iterdir():
        (tail,) = mend(image, 1, SALT, fsync=True)
        assert tail.next_offset == 3
        assert tail.path.read_bytes() == b"".join(parts)
        assert [kept.read_bytes() for kept in image.glob("*.torn")] == [frames((3, 3))[0][:-5]]
