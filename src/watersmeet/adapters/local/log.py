"""The embedded log: topics as files of one machine, for any number of threads and processes.

What holds:

- `append` returns when its records are durable: their bytes synced, and the name of a new file too. Before that no
  reader sees them. Concurrent appenders share one sync of each file they touch (`topic`).
- Offsets of a partition grow by one, without a hole, over restarts, processes and segments. Arrival is the clock's
  time of the group commit and never goes back within a partition.
- Readers take no lock. They see what is published, whole frames only, each checked against its checksum whenever it
  is read; damage raises `CorruptError` naming file and byte, and is never skipped.
- When a topic is opened, a write that was cut short is cut off and kept beside; anything else that is wrong stops it
  (`recovery`). A partition whose write or sync failed refuses appends until it is opened anew (`partition`).
- A record with a key goes to partition ``crc32(key) % partitions`` (zlib's CRC32, for ever), so equal keys stay in
  order; records without one take the partitions by turns.

What it does not do: no copy on another machine, no network file system (it relies on `flock`, shared mappings and
`fsync`), no key compaction. With ``fsync=False`` a power cut can lose acknowledged records; opening then says so.
"""

from __future__ import annotations

import difflib
import itertools
import os
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from watersmeet.core.clock import Clock
from watersmeet.core.errors import ConflictError, GapError, RequestError, SettingsError
from watersmeet.core.frontier import Frontier, covers
from watersmeet.core.record import Position, Record
from watersmeet.formats.disk import DIRECTORY_MODE, locked, reachable, sync_directory
from watersmeet.formats.logged import LOGGED, PAYLOAD
from watersmeet.formats.shares import shares

from .sorter import Sorter
from .topic import Facts, Topic, make, read_facts

_PARTITIONS = 1024
_SIZE_BYTES = 1 << 30
_SMALL_CHUNK_BYTES = 16 << 10
_TOPIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class LocalLog:
    """The `Log` port on local files. Safe to share between threads; any number of processes may open one root.

    Args:
        root: directory of all topics; made, for its owner only, if it is missing.
        clock: gives arrivals.
        segment_bytes: at about what size a segment file is followed by a new one; trimming deletes whole segments.
        fsync: sync before acknowledging. ``False`` is for tests and throw-away data.
        value_bytes: the largest value accepted; at most 1 GiB.

    Raises:
        SettingsError: a size is out of range.
        UnavailableError: the root cannot be made.
    """

    def __init__(
        self,
        root: Path,
        clock: Clock,
        *,
        segment_bytes: int = 64 << 20,
        fsync: bool = True,
        value_bytes: int = 16 << 20,
    ) -> None:
        for name, size_bytes in (("segment_bytes", segment_bytes), ("value_bytes", value_bytes)):
            if not 1 <= size_bytes <= _SIZE_BYTES:
                raise SettingsError(f"{name} of the log", expected=f"1 to {_SIZE_BYTES:,}", got=f"{size_bytes:,}")
        self._root = root
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._fsync = fsync
        self._value_bytes = value_bytes
        self._opening = threading.Lock()
        self._topics: dict[str, Topic] = {}
        self._turns = itertools.count()
        with reachable(root):
            if not root.is_dir():
                root.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
                sync_directory(root.parent)

    def __enter__(self) -> LocalLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all files. A later call opens them again; one that is running must have returned before."""
        with self._opening:
            for topic in self._topics.values():
                topic.close()
            self._topics.clear()

    def create(self, topic: str, partitions: int, retention_us: int | None = None) -> None:
        """Make the topic if it is missing.

        Args:
            topic: letters, digits, ``_``, ``.`` and ``-``; at most 100, beginning with a letter or digit.
            partitions: 1 to 1024; fixed for ever.
            retention_us: not looked at: nothing is deleted but by `trim`.

        Raises:
            RequestError: the name or the count is not allowed.
            ConflictError: the topic exists with another partition count.
        """
        if not _TOPIC.fullmatch(topic):
            expected = "at most 100 letters, digits, _ . and -, beginning with a letter or digit"
            raise RequestError("topic name", expected=expected, got=repr(topic))
        if not 1 <= partitions <= _PARTITIONS:
            raise RequestError(f"partitions of topic {topic}", expected=f"1 to {_PARTITIONS}", got=str(partitions))
        directory = self._root / topic
        with locked(self._root / ".lock"):
            if not directory.exists():
                with reachable(directory):
                    make(directory, Facts(topic, partitions, os.urandom(8).hex()))
        there = read_facts(directory).partitions
        if there != partitions:
            remedy = "keep its partition count, or give the topic a new name"
            raise ConflictError(f"topic {topic}", expected=f"{there} partitions", got=str(partitions), remedy=remedy)

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; `RequestError` (unknown) if there is no such topic."""
        return len(self._open(topic).partitions)

    def append(self, topic: str, records: Sequence[Record]) -> list[Position]:
        """Append and return where each record went, in order. Durable when it returns.

        When it raises `UnavailableError`, any part of the records may have been appended.

        Raises:
            RequestError: no such topic, or a record is malformed or too large; then nothing was appended.
            UnavailableError: the files cannot be written.
        """
        opened = self._open(topic)
        sorter = Sorter(topic, len(opened.partitions), self._value_bytes, self._turns)
        routes = [sorter.take(index, record) for index, record in enumerate(records)]
        if not routes:
            return []
        offsets = opened.append(sorter.pieces())
        positions = []
        for partition in routes:
            positions.append(Position(partition, offsets[partition]))
            offsets[partition] += 1
        return positions

    def read(self, topic: str, lower: Frontier, upper: Frontier, limit: int) -> pa.Table:
        """Up to ``limit`` records of ``[lower, upper)``, never more, as a table of LOGGED columns.

        Partitions follow each other, each in offset order, with equal shares of ``limit``; what one has too little of
        goes to the others. Values point into what was read from disk, so a table holds about its own size in memory.

        Raises:
            RequestError: no such topic, frontiers of another width or order, or ``limit`` below 1.
            GapError: the interval begins below `start`, or ``upper`` is above `end`.
            CorruptError: the records are damaged.
        """
        opened = self._open(topic)
        self._check_interval(topic, opened, lower, upper)
        if limit < 1:
            raise RequestError(f"limit of a read of topic {topic}", expected="1 or more", got=str(limit))
        takes = shares(lower, upper, limit)
        batches = [
            batch
            for partition, low, take in zip(opened.partitions, lower, takes, strict=True)
            for batch in partition.read(low, low + take)
        ]
        offsets = [np.arange(low, low + take) for low, take in zip(lower, takes, strict=True)]
        payload = pa.Table.from_batches(batches, PAYLOAD)
        if payload.nbytes < _SMALL_CHUNK_BYTES * len(batches):
            payload = payload.combine_chunks()
        columns = [
            pa.array(np.repeat(np.arange(len(takes), dtype=np.int32), takes)),
            pa.array(np.concatenate(offsets)),
            *payload.columns,
        ]
        return pa.Table.from_arrays(columns, schema=LOGGED)

    def start(self, topic: str) -> Frontier:
        """The oldest offset kept in each partition."""
        return self._open(topic).bounds.starts()

    def end(self, topic: str) -> Frontier:
        """The offset after the last durable record of each partition, whichever process wrote it; no system call."""
        return self._open(topic).bounds.ends()

    def trim(self, topic: str, below: Frontier) -> None:
        """Delete the segments that lie wholly below ``below``, never the newest; the start moves up by segments.

        Raises:
            RequestError: no such topic, or a frontier of another width.
            GapError: ``below`` is above `end`.
        """
        opened = self._open(topic)
        self._check_interval(topic, opened, below, below)
        opened.trim(below)

    def mirror(self, topic: str, frontier: Frontier) -> None:
        """Do nothing: nobody looks at the files but this package."""

    def _check_interval(self, topic: str, opened: Topic, lower: Frontier, upper: Frontier) -> None:
        width = len(opened.partitions)
        if len(lower) != width or not covers(upper, lower) or min(lower) < 0:
            expected = f"two frontiers of {width} offsets, the lower one first"
            raise RequestError(f"interval of topic {topic}", expected=expected, got=f"{lower} to {upper}")
        # the end first: a record between the two calls would otherwise look like a gap
        end, start = opened.bounds.ends(), opened.bounds.starts()
        for partition in range(width):
            if lower[partition] < upper[partition] and lower[partition] < start[partition]:
                got, expected = f"offset {lower[partition]}", f"{start[partition]}, the oldest kept, or above"
                remedy = "read older records from the archive"
                subject = f"topic {topic}, partition {partition}"
                raise GapError(subject, expected=expected, got=got, remedy=remedy)
            if upper[partition] > end[partition]:
                expected, got = f"at most {end[partition]}, the end of the log", f"offset {upper[partition]}"
                remedy = "find out which of the two was restored from an older copy"
                subject = f"topic {topic}, partition {partition}"
                raise GapError(subject, expected=expected, got=got, remedy=remedy)

    def _open(self, topic: str) -> Topic:
        opened = self._topics.get(topic)
        if opened is None:
            with self._opening:
                opened = self._topics.get(topic) or self._open_files(topic)
        return opened

    def _open_files(self, topic: str) -> Topic:
        if topic not in self._names():
            raise self._unknown(topic)
        directory, segment_bytes = self._root / topic, self._segment_bytes
        opened = Topic(directory, self._clock, segment_bytes=segment_bytes, fsync=self._fsync)
        self._topics[topic] = opened
        return opened

    def _names(self) -> list[str]:
        with reachable(self._root):
            return [name for name in os.listdir(self._root) if _TOPIC.fullmatch(name)]

    def _unknown(self, topic: str) -> RequestError:
        close = difflib.get_close_matches(topic, self._names(), n=1)
        remedy = f"did you mean {close[0]!r}?" if close else "apply its declaration first"
        return RequestError(f"no topic {topic!r} in {self._root}", kind="unknown", remedy=remedy)
