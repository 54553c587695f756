"""The few durable steps that every file of the log is made of."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from watersmeet.core.errors import UnavailableError

FILE_MODE = 0o600
DIRECTORY_MODE = 0o700


@contextmanager
def reachable(path: Path) -> Iterator[None]:
    """Turn an error of the operating system inside the block into `UnavailableError`, naming ``path``."""
    try:
        yield
    except OSError as error:
        got = f"{error.strerror or error} ({error.filename})" if error.filename else str(error.strerror or error)
        raise UnavailableError(str(path), got=got, remedy="check the disk, its free space and its rights") from error


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` alone, among the threads and processes of this machine; waits for it.

    The file is opened anew each time: a lock belongs to an open file, and one kept open would be shared by a fork.
    """
    with reachable(path):
        descriptor = open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        with reachable(path):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def open_file(path: Path, flags: int) -> int:
    """Open ``path`` for its owner only, never through a symbolic link."""
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)


def write_at(descriptor: int, position: int, data: bytes | memoryview) -> int:
    """Write all of ``data`` at byte ``position``, however often the system writes less; return the byte after it."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, position)
        position += written
        view = view[written:]
    return position


def write_file(path: Path, data: bytes) -> None:
    """Make ``path`` hold ``data`` and sync it; its directory is the caller's to sync."""
    descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        write_at(descriptor, 0, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Make the names in directory ``path`` durable: a synced file whose name is lost is lost."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
