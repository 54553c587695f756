from __future__ import annotations

from pathlib import Path

import pytest

from watersmeet.adapters.local.bounds import Bounds
from watersmeet.core.errors import CorruptError

pytestmark = pytest.mark.unit


def test_a_new_file_promises_nothing(tmp_path: Path) -> None:
    bounds = Bounds(tmp_path / "bounds", 3)
    assert [bounds.promised_end(partition) for partition in range(3)] == [0, 0, 0]
    with pytest.raises(CorruptError, match="bounds"):
        bounds.ends()


def test_what_one_stores_another_sees_at_once(tmp_path: Path) -> None:
    mine, other = Bounds(tmp_path / "bounds", 2), Bounds(tmp_path / "bounds", 2)
    for partition, (start, end) in enumerate([(3, 10), (0, 2**48 - 1)]):
        mine.set_start(partition, start)
        mine.set_end(partition, end)
    assert (other.starts(), other.ends()) == ((3, 0), (10, 2**48 - 1))
    assert (other.start(0), other.end(0), other.promised_end(1)) == (3, 10, 2**48 - 1)
    mine.close()
    other.close()
    assert Bounds(tmp_path / "bounds", 2).ends() == (10, 2**48 - 1)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "bounds"
    bounds = Bounds(path, 1)
    bounds.set_end(0, 123_456)
    bounds.close()
    sound = path.read_bytes()
    for bit in range(64):
        data = bytearray(sound)
        data[8 + bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        bounds = Bounds(path, 1)
        assert bounds.promised_end(0) == 0, bit
        with pytest.raises(CorruptError, match="word 1"):
            bounds.end(0)
        bounds.close()


def test_a_file_of_another_size_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "bounds"
    Bounds(path, 2).set_end(0, 7)
    assert Bounds(path, 1).promised_end(0) == 0
    assert path.stat().st_size == 16
