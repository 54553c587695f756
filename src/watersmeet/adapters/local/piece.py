"""A piece of a published table: one file that is replaced as a whole, and the sequence number it was written under.

Two files cannot be replaced at once, and a CSV file has no room for a number. So a note beside the file names its
contents by digest, before *and* after a write, and is replaced first:

    _part.csv.json   4: aaaa           4: aaaa, 5: bbbb         4: aaaa, 5: bbbb
    part.csv         aaaa              aaaa                     bbbb
                     sequence 4        still 4                  5: the write has happened

A file whose digest is not named was changed by somebody else or is damaged; it is refused and not overwritten.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from watersmeet.core.errors import CorruptError
from watersmeet.core.failpoint import declare, hit
from watersmeet.formats.disk import DIRECTORY_MODE, open_file, sync_directory, write_at

declare(
    "sink.sequence.before",
    "sink.sequence.synced",
    "sink.sequence.after",
    "sink.data.before",
    "sink.data.synced",
    "sink.data.after",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """Contents by SHA-256 in hexadecimal, empty for no file, and the sequence number they were written under."""

    sequence: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Note:
    """What the note beside a piece's file says."""

    table: str
    scope: str | None
    entries: tuple[Entry, ...]


_decode = msgspec.json.Decoder(Note).decode


class Piece:
    """A piece as it was found; the caller holds the table's lock as long as it uses it.

    Args:
        directory: of the piece; made, with its name synced, if it is missing.
        file: name of its file.
        table, scope: whose piece it is.

    Raises:
        CorruptError: the file is not what was last written, or the piece is another scope's.
    """

    def __init__(self, directory: Path, file: str, table: str, scope: str | None) -> None:
        if not directory.exists():
            directory.mkdir(mode=DIRECTORY_MODE)
            sync_directory(directory.parent)
        self._path, self._note = directory / file, directory / f"_{file}.json"
        self._table, self._scope = table, scope
        self.data = read_file(self._path)
        self._sha256 = _digest(self.data)
        found = self._read_note().entries
        known = [entry.sequence for entry in found if entry.sha256 == self._sha256]
        self.sequence = max(known, default=-1)
        if not known and (found or self.data is not None):
            remedy = f"restore it from a copy, or delete {directory} and publish the table anew"
            expected, got = "the file as it was last written", "another one" if self.data is not None else "none"
            raise CorruptError(str(self._path), expected=expected, got=got, remedy=remedy)

    def write(self, data: bytes | None, sequence: int) -> None:
        """Replace the file, or with None leave it as it is, and take up the sequence number, durably."""
        new = Entry(sequence, self._sha256 if data is None else _digest(data))
        old = () if new.sha256 == self._sha256 else (Entry(self.sequence, self._sha256),)
        self._write_note(*old, new)
        if data is not None and old:
            hit("sink.data.before")
            replace_file(self._path, data, "sink.data.synced")
            hit("sink.data.after")
            if not self._sha256:
                # Or else the file could be lost, and would be taken for one that was never written.
                self._write_note(new)

    def _write_note(self, *entries: Entry) -> None:
        hit("sink.sequence.before")
        note = msgspec.json.encode(Note(self._table, self._scope, entries))
        replace_file(self._note, note, "sink.sequence.synced")
        hit("sink.sequence.after")

    def _read_note(self) -> Note:
        path = self._note
        data = read_file(path)
        if data is None:
            return Note(self._table, self._scope, ())
        try:
            note = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            remedy = f"restore it from a copy, or delete {path.parent} and publish the table anew"
            raise CorruptError(
                str(path), expected="a piece's sequence number", got=str(error), remedy=remedy
            ) from error
        if (note.table, note.scope) != (self._table, self._scope):
            expected, got = f"table {self._table}, scope {self._scope}", f"table {note.table}, scope {note.scope}"
            raise CorruptError(str(path), expected=expected, got=got, remedy="move it back to where it belongs")
        return note


def read_file(path: Path) -> bytes | None:
    """What a file holds, or None if there is none; never through a symbolic link."""
    try:
        descriptor = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def replace_file(path: Path, data: bytes, failpoint: str) -> None:
    """Make ``path`` hold ``data``, at once and durably, for those to read for whom its directory is open."""
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = open_file(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.fchmod(descriptor, path.parent.stat().st_mode & 0o666)
        write_at(descriptor, 0, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    hit(failpoint)
    temporary.rename(path)
    sync_directory(path.parent)


def _digest(data: bytes | None) -> str:
    return "" if data is None else hashlib.sha256(data).hexdigest()
