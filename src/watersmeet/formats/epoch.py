"""The manifest of an archived epoch: ``_manifest.json``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import msgspec

from watersmeet.core.archive import Sealed
from watersmeet.core.errors import RequestError, SettingsError
from watersmeet.core.frontier import covers

from .disk import write_file
from .part import Part, damaged

FORMAT = 1
_FILE = "_manifest.json"


@dataclass(frozen=True, slots=True)
class Stored:
    """An epoch as it is stored.

    Args:
        topic: its name.
        epoch: bounds, slices, records and bytes.
        parts: the partitions that have records.
        format: of the epoch's files.
        checksum: SHA-256 of all this written with an empty checksum, in hexadecimal.
    """

    topic: str
    epoch: Sealed
    parts: tuple[Part, ...]
    format: int = FORMAT
    checksum: str = ""


class _Version(msgspec.Struct):
    format: int


_decode = msgspec.json.Decoder(Stored).decode
_decode_version = msgspec.json.Decoder(_Version).decode


def write_manifest(directory: Path, topic: str, epoch: Sealed, parts: tuple[Part, ...]) -> Stored:
    """Write the manifest of an epoch, synced; its directory is the caller's to sync."""
    records, size = sum(p.records for p in parts), sum(p.bytes for p in parts)
    stored = Stored(topic, replace(epoch, records=records, bytes=size), parts)
    stored = replace(stored, checksum=_checksum(stored))
    write_file(directory / _FILE, msgspec.json.format(msgspec.json.encode(stored), indent=1))
    return stored


def read_manifest(directory: Path, topic: str, number: int) -> Stored:
    """Read the manifest of an epoch.

    Raises:
        CorruptError: it is missing, damaged, or another epoch's.
        SettingsError: it was written by a newer version of this package.
    """
    path = directory / _FILE
    try:
        data = path.read_bytes()
        version = _decode_version(data).format
        if version > FORMAT:
            expected, got = f"format {FORMAT} or older", f"format {version}"
            raise SettingsError(str(path), expected=expected, got=got, remedy="upgrade watersmeet")
        found = _decode(data)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise damaged(path, "the manifest of an epoch", str(error)) from error
    if found.checksum != _checksum(replace(found, checksum="")):
        raise damaged(path, f"contents with SHA-256 {found.checksum}", "others")
    if (found.topic, found.epoch.number) != (topic, number):
        raise damaged(path, f"epoch {number} of topic {topic}", f"epoch {found.epoch.number} of {found.topic}")
    return found


def check_bounds(topic: str, epoch: Sealed) -> None:
    """Refuse an epoch whose slices do not lead from its lower bound to its upper, one after the other."""
    ends = [epoch.lower, *(upper for _, upper in epoch.slices)]
    numbers = [sequence for sequence, _ in epoch.slices]
    ordered = all(covers(b, a) for a, b in pairwise(ends)) and numbers == sorted(set(numbers))
    if epoch.number < 0 or not epoch.slices or not ordered or ends[-1] != epoch.upper:
        raise RequestError(
            f"epoch {epoch.number} of topic {topic}",
            expected=f"slices in order from {epoch.lower} to {epoch.upper}",
            got=f"{len(epoch.slices)}, up to {ends[-1]}",
        )


def _checksum(stored: Stored) -> str:
    return hashlib.sha256(msgspec.json.encode(stored)).hexdigest()
