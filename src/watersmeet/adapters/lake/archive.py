"""The archive on S3 or HDFS.

    <root>/archive/topic=<name>/_epochs/00000012.json                     the epoch's manifest
    <root>/archive/topic=<name>/epoch=00000012/part-00003-<attempt>.parquet   records of partition 3, in offset order
    <root>/checkpoints/<runner>/topic=<name>                              where a runner keeps its own, see `checkpoint`

The manifest makes the epoch: it is put in one step, if there is none, when all its parts are there; from then on
nothing of it changes. It names the attempt whose parts count. So two writers of an epoch both may upload, one of them
puts, and the other is told of the same epoch; a crash leaves parts that no manifest names. Those are deleted by
whoever finds the epoch made: no other attempt at it can succeed any more. Parts of an epoch without a manifest are
left alone, for their writer may be at work; the epoch is owed, and the attempt that makes it deletes them.

A part is compared with its SHA-256 before a record of it is used. Topics are spelled by `path_name`. Readers of hive
tables pass over ``_epochs``; one that wants to be exact, or reads while an epoch is made, takes the parts that the
manifests name: ``part-<partition>-<attempt>.parquet`` for each of ``epoch.parts``. An epoch is a version: to see the
topic as it was is to read its first epochs.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from watersmeet.core.address import Address
from watersmeet.core.archive import Sealed
from watersmeet.core.errors import ConflictError, CorruptError, RequestError
from watersmeet.core.record import Records
from watersmeet.formats.epoch import Stored, check_bounds, read_manifest, write_manifest
from watersmeet.formats.epoch_rows import read_chunks, verify_part, write_parts
from watersmeet.formats.naming import path_name
from watersmeet.formats.part import Part

from .parts import Parts
from .store import Store
from .stores import location, open_store

_MANIFEST = "_manifest.json"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class _Made:
    """What an epoch's object says: whose parts count, and the manifest as a local archive has it."""

    attempt: str
    epoch: msgspec.Raw


_decode = msgspec.json.Decoder(_Made).decode


class LakeArchive:
    """The `Archive` port on S3 or HDFS. Safe to share between threads; any number of processes may open one.

    Args:
        address: ``s3://…`` or ``hdfs://…``; nothing is asked of it until it is needed.
        folder: for parts that are on their way, and those that were read; default one of its own, deleted by `close`.
        store: in place of the one at ``address``.

    Raises:
        SettingsError: the address means nothing.
    """

    def __init__(self, address: Address, folder: Path | None = None, store: Store | None = None) -> None:
        self._address = address
        self._store = store or open_store(address)
        self._parts = Parts(folder, int(address.options.get("cache_mib", 1024)) * _MIB)
        self._known: dict[tuple[str, int], tuple[str, Stored]] = {}
        self._swept: set[str] = set()

    def append(self, topic: str, epoch: Sealed, records: Iterable[Records]) -> Sealed:
        """Store an epoch's LOGGED chunks, each partition in offset order; idempotent by (topic, epoch).

        Raises:
            ConflictError: the epoch is there already, with other bounds or slices.
            RequestError: a record does not belong to the epoch, or not after the one before it.
            UnavailableError: it is not known to be written; append it again.
        """
        check_bounds(topic, epoch)
        found = self._look(topic, epoch.number)
        if found is None:
            self._write(topic, epoch, records)
            found = self._look(topic, epoch.number)
            if found is None:
                raise self._damaged(_epoch_key(topic, epoch.number), "the manifest that was just put", "none")
            self._sweep(topic, epoch.number, found[0])
        if topic not in self._swept:
            self.sweep(topic)
        there = found[1].epoch
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
        attempt, stored = self._epoch(topic, number)
        return self._read(topic, attempt, stored, limit)

    def epochs(self, topic: str) -> Sequence[Sealed]:
        """The epochs it holds, by number; none of a topic that it does not know."""
        found = (self._look(topic, number) for number in self._numbers(topic))
        return [made[1].epoch for made in found if made is not None]

    def verify(self, topic: str, number: int) -> Sealed:
        """Download the epoch, whatever was downloaded before, and check it against its checksums and interval.

        Raises:
            RequestError: there is no such epoch.
            CorruptError: a file is missing, damaged, or not the manifest's.
        """
        self._known.pop((topic, number), None)
        attempt, stored = self._epoch(topic, number)
        with self._parts.working() as folder:
            for part in stored.parts:
                self._fetch(topic, number, attempt, part, folder / part.file)
                verify_part(folder, stored, part)
                (folder / part.file).unlink()
        return stored.epoch

    def sweep(self, topic: str) -> int:
        """Delete what attempts that lost or died have left of epochs that are made; say how many objects."""
        made = {number: found[0] for number in self._numbers(topic) if (found := self._look(topic, number))}
        count = 0
        for key in self._store.keys(_topic_key(topic)):
            folder, _, name = key.rpartition("/")
            # A manifest on its way has a name such as .00000012.json.5eed.
            number = name[1:].partition(".")[0] if name.startswith(".") else folder.rpartition("/epoch=")[2]
            if number.isdigit() and int(number) in made and not name.endswith(f"-{made[int(number)]}.parquet"):
                self._store.delete(key)
                count += 1
        self._swept.add(topic)
        return count

    def probe(self) -> str:
        """Reach the store and say what it is; `UnavailableError` with a remedy if it cannot."""
        return self._store.probe()

    def close(self) -> None:
        """Close connections, and delete the local folder if it is one of its own."""
        self._store.close()
        self._parts.close()

    def _write(self, topic: str, epoch: Sealed, records: Iterable[Records]) -> None:
        """Upload the parts of an attempt, and put its manifest if no other is there; then delete what has lost."""
        attempt = secrets.token_hex(8)
        with self._parts.working() as folder:
            parts = write_parts(folder, topic, epoch, records)
            write_manifest(folder, topic, epoch, parts)
            made = msgspec.json.encode(_Made(attempt, msgspec.Raw((folder / _MANIFEST).read_bytes())))
            for part in parts:
                self._store.upload(_part_key(topic, epoch.number, attempt, part), folder / part.file)
        self._store.put_if_absent(_epoch_key(topic, epoch.number), made)

    def _sweep(self, topic: str, number: int, attempt: str) -> None:
        """Delete the parts of other attempts at an epoch that is made."""
        for key in self._store.keys(f"{_topic_key(topic)}/{_name(number)}"):
            if not key.endswith(f"-{attempt}.parquet"):
                self._store.delete(key)

    def _read(self, topic: str, attempt: str, stored: Stored, limit: int) -> Iterator[Records]:
        with self._parts.working() as folder:
            for part in stored.parts:
                self._parts.place(folder, part, partial(self._fetch, topic, stored.epoch.number, attempt, part))
            yield from read_chunks(folder, stored, limit)

    def _fetch(self, topic: str, number: int, attempt: str, part: Part, path: Path) -> None:
        key = _part_key(topic, number, attempt, part)
        if not self._store.download(key, path, part.bytes):
            raise self._damaged(key, f"{part.records} records", "no object")
        if path.stat().st_size != part.bytes:
            raise self._damaged(key, f"{part.bytes} bytes", str(path.stat().st_size))

    def _numbers(self, topic: str) -> list[int]:
        """The epochs that have a manifest; others' files beside them begin with a dot."""
        names = (key.rpartition("/")[2] for key in self._store.keys(f"{_topic_key(topic)}/_epochs"))
        return sorted(int(name[:-5]) for name in names if name.endswith(".json") and name[:-5].isdigit())

    def _epoch(self, topic: str, number: int) -> tuple[str, Stored]:
        found = self._look(topic, number)
        if found is None:
            raise RequestError(f"epoch {number} of topic {topic}", kind="unknown", expected="an archived epoch")
        return found

    def _look(self, topic: str, number: int) -> tuple[str, Stored] | None:
        """The attempt and the manifest of an epoch; what it says never changes."""
        found = self._known.get((topic, number))
        key = _epoch_key(topic, number)
        data = None if found or number < 0 else self._store.get(key)
        if data is not None:
            with self._parts.working() as folder:
                try:
                    made = _decode(data)
                    (folder / _MANIFEST).write_bytes(made.epoch)
                    found = (made.attempt, read_manifest(folder, topic, number))
                except (msgspec.DecodeError, UnicodeDecodeError, CorruptError) as error:
                    got = error.got if isinstance(error, CorruptError) else str(error)
                    raise self._damaged(key, "the manifest of an epoch", got) from error
            self._known[topic, number] = found
        return found

    def _damaged(self, key: str, expected: str, got: str) -> CorruptError:
        remedy = (
            "restore it from a copy; or, while the log still holds the interval, delete the epoch's manifest and"
            " archive the epoch again"
        )
        return CorruptError(f"{self._address}, {key}", expected=expected, got=got, remedy=remedy)


def checkpoint(address: Address, runner: str, topic: str) -> str:
    """Where a runner keeps its checkpoint of a topic: beside the lake's data, as Hadoop's file systems name it.

    >>> from watersmeet.core.address import parse_address
    >>> checkpoint(parse_address("s3://key:secret@127.0.0.1:9000/lake/shop"), "spark", "movie.ratings")
    's3a://lake/shop/checkpoints/spark/topic=movie.ratings'
    >>> checkpoint(parse_address("hdfs://node:9870/shop?rpc=8020"), "spark", "movie.ratings")
    'hdfs://node:8020/shop/checkpoints/spark/topic=movie.ratings'
    """
    return f"{location(address)}/checkpoints/{path_name(runner)}/topic={path_name(topic)}"


def _topic_key(topic: str) -> str:
    return f"archive/topic={path_name(topic)}"


def _name(number: int) -> str:
    return f"epoch={number:08}"


def _epoch_key(topic: str, number: int) -> str:
    return f"{_topic_key(topic)}/_epochs/{number:08}.json"


def _part_key(topic: str, number: int, attempt: str, part: Part) -> str:
    return f"{_topic_key(topic)}/{_name(number)}/{part.file.removesuffix('.parquet')}-{attempt}.parquet"
