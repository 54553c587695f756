from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from watersmeet.core.errors import UnavailableError
from watersmeet.formats.disk import locked, open_file, reachable, sync_directory, write_at, write_file

pytestmark = pytest.mark.unit


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    write_file(tmp_path / "a", b"abc")
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_no_file_is_opened_through_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"kept")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(OSError, match="symbolic links"):
        write_file(tmp_path / "link", b"lost")
    assert (tmp_path / "real").read_bytes() == b"kept"


def test_write_at_goes_on_after_a_short_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, position: whole(descriptor, data[:3], position))
    descriptor = open_file(tmp_path / "a", os.O_RDWR | os.O_CREAT)
    assert write_at(descriptor, 2, b"0123456789") == 12
    assert os.pread(descriptor, 100, 0) == b"\0\0" + b"0123456789"
    os.close(descriptor)


def test_a_lock_is_held_alone_and_released(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path):
        other = os.open(path, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)


def test_an_error_of_the_system_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught, reachable(tmp_path):
        sync_directory(tmp_path / "none")
    assert caught.value.subject == str(tmp_path)
    assert caught.value.got == f"No such file or directory ({tmp_path / 'none'})"
    with pytest.raises(UnavailableError, match="none"), locked(tmp_path / "none" / "lock"):
        pass
