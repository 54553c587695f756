"""One topic: its directory, its partitions, and the group commit that appends to them.

Appenders put tickets in a queue. The first that finds no leader leads: it takes the whole queue, holds the topic's
lock, writes each partition's records as one group, syncs each touched file once, publishes, and wakes the others.
Those who came meanwhile are the next group, so the number of syncs falls as the load grows.

    <topic>/topic.json              what cannot change: partitions, salt, format
    <topic>/bounds                  start and end of each partition, shared by all processes
    <topic>/lock                    held by the one who appends, opens or trims
    <topic>/<partition>/<base>.log  segments
"""

from __future__ import annotations

import json
import shutil
import threading
import zlib
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path

from watersmeet.core.clock import Clock
from watersmeet.core.errors import CorruptError, UnavailableError, WatersmeetError
from watersmeet.core.failpoint import declare, hit
from watersmeet.formats.disk import DIRECTORY_MODE, locked, reachable, sync_directory, write_file

from .bounds import Bounds
from .frame import Piece
from .partition import Partition
from .segment import Segment

declare("log.create.before", "log.create.after")
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What a topic is for ever.

    Args:
        name: its name, so that a renamed directory is noticed.
        partitions: how many.
        salt: 16 hexadecimal digits, drawn at random; its checksums start from it.
    """

    name: str
    partitions: int
    salt: str


@dataclass(slots=True, eq=False)
class _Ticket:
    pieces: Mapping[int, Sequence[Piece]]
    bases: dict[int, int] = field(default_factory=dict)
    error: WatersmeetError | None = None
    done: bool = False


class Topic:
    """An open topic. Safe to share between threads.

    Args:
        directory: the topic's directory, made by `make`.
        clock: gives arrivals.
        segment_bytes: see `Partition`.
        fsync: see `Partition`.

    Raises:
        CorruptError: its files are damaged.
        UnavailableError: its files cannot be read or written.
    """

    def __init__(self, directory: Path, clock: Clock, *, segment_bytes: int, fsync: bool) -> None:
        facts = read_facts(directory)
        self._lock = directory / "lock"
        self._clock = clock
        self._turn = threading.Condition()
        self._queue: list[_Ticket] = []
        self._leading = False
        with locked(self._lock):
            with reachable(directory):
                self.bounds = Bounds(directory / "bounds", facts.partitions)
            self.partitions = [
                Partition(
                    directory / str(number),
                    number,
                    zlib.crc32(f"{facts.salt}/{number}".encode()),
                    self.bounds,
                    segment_bytes=segment_bytes,
                    fsync=fsync,
                )
                for number in range(facts.partitions)
            ]
            for partition in self.partitions:
                partition.open()

    def append(self, pieces: Mapping[int, Sequence[Piece]]) -> dict[int, int]:
        """Append each partition's pieces durably; return the offset that the first record of each partition got.

        Raises:
            UnavailableError: at least one partition could not be written; others may have been.
        """
        for number in pieces:
            self.partitions[number].refuse_if_failed()
        ticket = _Ticket(pieces)
        group: list[_Ticket] = []
        with self._turn:
            self._queue.append(ticket)
            while self._leading and not ticket.done:
                self._turn.wait()
            if not ticket.done:
                self._leading = True
                group, self._queue = self._queue, []
        if group:
            self._lead(group)
        if ticket.error is not None:
            raise copy(ticket.error) from ticket.error
        return ticket.bases

    def trim(self, below: Sequence[int]) -> None:
        """Delete whole segments below ``below``."""
        with locked(self._lock):
            for partition, offset in zip(self.partitions, below, strict=True):
                partition.trim(offset)

    def close(self) -> None:
        """Close the topic's files; nothing may be asked afterwards."""
        for partition in self.partitions:
            partition.close()
        self.bounds.close()

    def _lead(self, group: list[_Ticket]) -> None:
        try:
            with locked(self._lock):
                self._commit(group)
        finally:
            with self._turn:
                self._leading = False
                for ticket in group:
                    if ticket.error is None and len(ticket.bases) < len(ticket.pieces):
                        ticket.error = UnavailableError("an append was interrupted", remedy="append again")
                    ticket.done = True
                self._turn.notify_all()

    def _commit(self, group: list[_Ticket]) -> None:
        now_us = self._clock.now_us()
        written: dict[int, int] = {}
        for number in sorted({number for ticket in group for number in ticket.pieces}):
            pieces = [piece for ticket in group for piece in ticket.pieces.get(number, ())]
            try:
                written[number] = self.partitions[number].write(pieces, now_us)
            except WatersmeetError as error:
                _fail(group, number, error)
        for number, base in written.items():
            try:
                self.partitions[number].sync()
            except WatersmeetError as error:
                _fail(group, number, error)
            else:
                _place(group, number, base)


def _fail(group: Sequence[_Ticket], number: int, error: WatersmeetError) -> None:
    for ticket in group:
        if number in ticket.pieces:
            ticket.error = error


def _place(group: Sequence[_Ticket], number: int, base: int) -> None:
    for ticket in group:
        if number in ticket.pieces:
            ticket.bases[number] = base
            base += sum(piece.count for piece in ticket.pieces[number])


def make(directory: Path, facts: Facts) -> None:
    """Make a topic's directory, whole or not at all; called under a lock of the log."""
    draft = directory.with_name(f".{directory.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(DIRECTORY_MODE)
    content = {"format": _FORMAT, "name": facts.name, "partitions": facts.partitions, "salt": facts.salt}
    write_file(draft / "topic.json", json.dumps({**content, "crc": _crc(content)}).encode())
    Bounds(draft / "bounds", facts.partitions).close()
    for number in range(facts.partitions):
        (draft / str(number)).mkdir(DIRECTORY_MODE)
        write_file(Segment(draft / str(number), 0).path, b"")
        sync_directory(draft / str(number))
    sync_directory(draft)
    hit("log.create.before")
    draft.rename(directory)
    sync_directory(directory.parent)
    hit("log.create.after")


def read_facts(directory: Path) -> Facts:
    """Read a topic's ``topic.json``.

    Raises:
        CorruptError: it does not match its checksum, or was written by a release with another format.
    """
    path = directory / "topic.json"
    with reachable(path):
        raw = path.read_bytes()
    try:
        content = json.loads(raw)
        stored = content.pop("crc")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptError(str(path), expected="a JSON object with a crc", remedy="restore it from a copy") from error
    if stored != _crc(content):
        expected = f"content with crc {_crc(content)}"
        raise CorruptError(str(path), expected=expected, got=str(stored), remedy="restore it from a copy")
    if content["format"] != _FORMAT or content["name"] != directory.name:
        expected, got = f"{directory.name}, format {_FORMAT}", f"{content['name']}, format {content['format']}"
        raise CorruptError(str(path), expected=expected, got=got, remedy="open it under its own name and release")
    return Facts(content["name"], content["partitions"], content["salt"])


def _crc(content: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
