"""The local copies of parts are bounded, and each reader keeps its own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from watersmeet.adapters.lake.parts import Parts
from watersmeet.formats.part import Part

pytestmark = pytest.mark.unit


def part(data: bytes) -> Part:
    return Part(0, 1, len(data), len(data), hashlib.sha256(data).hexdigest())


def test_those_used_longest_ago_go_first(tmp_path: Path) -> None:
    parts, fetched = Parts(tmp_path, 25), list[bytes]()

    def use(data: bytes, at: int) -> None:
        def fetch(path: Path) -> None:
            fetched.append(data)
            path.write_bytes(data)

        with parts.working() as folder:
            parts.place(folder, part(data), fetch)
            assert (folder / "part-00000.parquet").read_bytes() == data
        os.utime(tmp_path / f"{part(data).sha256}.parquet", (at, at))

    a, b, c, large = b"a" * 10, b"b" * 10, b"c" * 10, b"d" * 100
    for at, data in enumerate((a, b, a, c, a, b)):
        use(data, at)
    assert fetched == [a, b, c, b], "b was used longest ago when c came"
    use(large, 9)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [100], "a part may be larger than all may be"


def test_a_folder_of_its_own_is_deleted(tmp_path: Path) -> None:
    parts = Parts(None, 1)
    with parts.working() as folder:
        mine = folder.parent
        assert mine.stat().st_mode & 0o077 == 0
    parts.close()
    assert not mine.exists()
