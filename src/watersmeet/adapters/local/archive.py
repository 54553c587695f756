"""The archive in Parquet files.

    <topic>/epoch=00000012/part-00003.parquet   the records of partition 3, in offset order
    <topic>/epoch=00000012/_manifest.json       bounds, slices, and what each part must be
    <topic>/.epoch=00000012                     an epoch that is being written, or whose writer died
    <topic>/.lock                               held while an epoch is written

An epoch is there if its directory has its name. It gets the name when every file in it is synced, by a rename that is
synced too; from then on nothing in it changes. A file is compared with its SHA-256 before a record of it is used.
Topics are spelled by `path_name`. A topic's directory is a hive table, partitioned by ``epoch``; who reads such tables
passes over names that begin with ``_`` or a dot.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from watersmeet.core.archive import Sealed
from watersmeet.core.errors import ConflictError, RequestError
from watersmeet.core.failpoint import declare, hit
from watersmeet.core.record import Records
from watersmeet.formats.disk import DIRECTORY_MODE, locked, open_file, reachable, sync_directory
from watersmeet.formats.epoch import Stored, check_bounds, read_manifest, write_manifest
from watersmeet.formats.epoch_rows import read_chunks, verify_part, write_parts
from watersmeet.formats.naming import path_name
from watersmeet.formats.part import damaged

declare(
    "archive.append.before",
    "archive.clear.before",
    "archive.clear.after",
    "archive.parts.written",
    "archive.manifest.written",
    "archive.rename.before",
    "archive.rename.after",
    "archive.append.after",
)
_EPOCH = re.compile(r"epoch=(\d{8,})")


class LocalArchive:
    """The `Archive` port on local files. Safe to share between threads; any number of processes may open one root.

    Args:
        root: directory of all topics; made, for its owner only, if it is missing.

    Raises:
        UnavailableError: it cannot be read or written.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._stored: dict[tuple[str, int], Stored] = {}
        with reachable(root):
            root.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
            for directory in root.iterdir():
                _clear_if_idle(directory)

    def append(self, topic: str, epoch: Sealed, records: Iterable[Records]) -> Sealed:
        """Store an epoch's LOGGED chunks, each partition in offset order; idempotent by (topic, epoch).

        Raises:
            ConflictError: the epoch is there already, with other bounds or slices.
            RequestError: a record does not belong to the epoch, or not after the one before it.
            UnavailableError: it cannot be written; nothing of it is left.
        """
        check_bounds(topic, epoch)
        directory = self._root / path_name(topic)
        final = directory / _name(epoch.number)
        with reachable(directory):
            if not directory.exists():
                directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
                sync_directory(self._root)
        with locked(directory / ".lock"), reachable(directory):
            if not final.exists():
                _clear(directory)
                self._write(directory, topic, epoch, records)
        there = self._known(topic, epoch.number).epoch
        if (there.lower, there.upper, there.slices) != (epoch.lower, epoch.upper, epoch.slices):
            raise ConflictError(
                f"epoch {epoch.number} of topic {topic}",
                expected=f"the interval [{there.lower}, {there.upper}) in {len(there.slices)} slices, as archived",
                got=f"[{epoch.lower}, {epoch.upper}) in {len(epoch.slices)}",
            )
        return there

    def read(self, topic: str, number: int, limit: int) -> Iterator[Records]:
        """The epoch as LOGGED chunks of about ``limit``, with ``slice``, ordered by (slice, partition, offset).

        Raises:
            RequestError: there is no such epoch.
            CorruptError: a file of it is missing or damaged.
        """
        stored = self._known(topic, number)
        return read_chunks(self._directory(topic, number), stored, limit)

    def epochs(self, topic: str) -> Sequence[Sealed]:
        """The epochs it holds, by number; none of a topic that it does not know."""
        directory = self._root / path_name(topic)
        with reachable(directory):
            names = os.listdir(directory) if directory.exists() else []
        numbers = sorted(int(match[1]) for name in names if (match := _EPOCH.fullmatch(name)))
        found = (self._read(topic, number) for number in numbers)
        return [stored.epoch for stored in found if stored is not None]

    def verify(self, topic: str, number: int) -> Sealed:
        """Read the epoch back and check it against its checksums and interval.

        Raises:
            RequestError: there is no such epoch.
            CorruptError: a file is missing, damaged, or not the manifest's.
        """
        self._stored.pop((topic, number), None)
        stored, directory = self._known(topic, number), self._directory(topic, number)
        strange = set(os.listdir(directory)) - {"_manifest.json", *(part.file for part in stored.parts)}
        if strange:
            raise damaged(directory, "the files of its manifest", f"{min(strange)} too")
        for part in stored.parts:
            verify_part(directory, stored, part)
        return stored.epoch

    def _write(self, directory: Path, topic: str, epoch: Sealed, records: Iterable[Records]) -> None:
        working = directory / f".{_name(epoch.number)}"
        hit("archive.append.before")
        working.mkdir(mode=DIRECTORY_MODE)
        try:
            parts = write_parts(working, topic, epoch, records)
            hit("archive.parts.written")
            write_manifest(working, topic, epoch, parts)
            hit("archive.manifest.written")
            sync_directory(working)
            hit("archive.rename.before")
            working.rename(directory / _name(epoch.number))
            hit("archive.rename.after")
            sync_directory(directory)
            hit("archive.append.after")
        finally:
            shutil.rmtree(working, ignore_errors=True)

    def _directory(self, topic: str, number: int) -> Path:
        return self._root / path_name(topic) / _name(number)

    def _read(self, topic: str, number: int) -> Stored | None:
        """The manifest of an epoch; what it says never changes."""
        stored = self._stored.get((topic, number))
        directory = self._directory(topic, number)
        with reachable(directory):
            if stored is None and directory.exists():
                self._stored[topic, number] = stored = read_manifest(directory, topic, number)
        return stored

    def _known(self, topic: str, number: int) -> Stored:
        stored = self._read(topic, number)
        if stored is None:
            raise RequestError(f"epoch {number} of topic {topic}", kind="unknown", expected="an archived epoch")
        return stored


def _name(number: int) -> str:
    return f"epoch={number:08}"


def _clear(directory: Path) -> None:
    """Delete what writers that died have left; under the lock."""
    for left in directory.glob(".epoch=*"):
        hit("archive.clear.before")
        shutil.rmtree(left)
        hit("archive.clear.after")


def _clear_if_idle(directory: Path) -> None:
    """Delete what writers that died have left, unless somebody is writing now."""
    if not (directory / ".lock").exists():
        return
    descriptor = open_file(directory / ".lock", os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clear(directory)
    except BlockingIOError:
        return
    finally:
        os.close(descriptor)
