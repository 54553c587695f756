"""One partition of an archived epoch: a Parquet file.

Columns are those of LOGGED and ``slice``. Rows are in offset order, and so in slice order too. Row groups are small, so
that an epoch is read back across its partitions while no more than one row group of each is held.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from watersmeet.core.errors import CorruptError
from watersmeet.core.failpoint import declare, hit

from .disk import open_file, reachable, write_at
from .logged import ARCHIVED

declare("archive.part.before", "archive.part.written", "archive.part.synced")
GROUP_RECORDS = 32_768
GROUP_BYTES = 16 << 20
_ENCODING = dict.fromkeys(("offset", "arrival", "slice"), "DELTA_BINARY_PACKED")
Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, slots=True)
class Part:
    """What the manifest of an epoch says of a part.

    Args:
        partition: which.
        records: how many; at least 1.
        bytes: of the file.
        memory_bytes: of its columns once read.
        sha256: of the file, in hexadecimal.
    """

    partition: int
    records: int
    bytes: int
    memory_bytes: int
    sha256: str

    @property
    def file(self) -> str:
        """Its name in the epoch's directory."""
        return f"part-{self.partition:05}.parquet"


class PartWriter:
    """Writes a part into ``directory``; it is durable when `close` returns. Not safe to share between threads."""

    def __init__(self, directory: Path, partition: int) -> None:
        hit("archive.part.before")
        self.last = -1
        self._partition = partition
        self._target = _Target(directory / f"part-{partition:05}.parquet")
        self._parquet = pq.ParquetWriter(
            self._target, ARCHIVED, compression="zstd", use_dictionary=["partition", "key"], column_encoding=_ENCODING
        )
        self._waiting: list[pa.Table] = []
        self._waiting_records = self._waiting_bytes = self._records = self._bytes = 0

    def write(self, table: pa.Table, last: int) -> None:
        """Add rows that follow those already written; the offset of the last of them is ``last``."""
        self.last = last
        self._waiting.append(table)
        self._waiting_records += table.num_rows
        self._waiting_bytes += table.nbytes
        if self._waiting_records >= GROUP_RECORDS or self._waiting_bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> Part:
        """Finish and sync the file; say what is in it."""
        self._flush()
        self._parquet.close()
        hit("archive.part.written")
        os.fsync(self._target.descriptor)
        self._target.close()
        hit("archive.part.synced")
        size, digest = self._target.position, self._target.digest.hexdigest()
        return Part(self._partition, self._records, size, self._bytes, digest)

    def abandon(self) -> None:
        """Give up a file that is not finished; does nothing to one that is."""
        self._target.ignore = True
        self._parquet.close()
        self._target.close()

    def _flush(self) -> None:
        if self._waiting:
            self._parquet.write_table(pa.concat_tables(self._waiting), row_group_size=2 * GROUP_RECORDS)
            self._records += self._waiting_records
            self._bytes += self._waiting_bytes
            self._waiting, self._waiting_records, self._waiting_bytes = [], 0, 0


class _Target(io.RawIOBase):
    """The file that Parquet is written to, digested on the way."""

    def __init__(self, path: Path) -> None:
        self.descriptor = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        self.digest = hashlib.sha256()
        self.position = 0
        self.ignore = False

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def write(self, data: Any) -> int:
        if not self.ignore:
            self.digest.update(data)
            self.position = write_at(self.descriptor, self.position, data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self.descriptor)
        super().close()


class PartReader:
    """Reads a part from its beginning, in offset order. Not safe to share between threads.

    Args:
        path: the file, open as ``file``.
        part: what it must be.
    """

    def __init__(self, path: Path, file: io.BufferedReader, part: Part) -> None:
        self.part = part
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != part.sha256:
            raise damaged(path, f"SHA-256 {part.sha256}", found)
        file.seek(0)
        self._parquet = pq.ParquetFile(file)
        self._group = 0
        self._rows = ARCHIVED.empty_table()
        self._offsets: Integers = np.empty(0, np.int64)

    def take(self, below: int, limit: int) -> pa.Table:
        """The next rows with offsets under ``below``, at most ``limit`` of them."""
        taken = [ARCHIVED.empty_table()]
        while limit > 0 and self._fill():
            rows = min(int(np.searchsorted(self._offsets, below)), limit)
            taken.append(self._rows.slice(0, rows))
            self._rows, self._offsets = self._rows.slice(rows), self._offsets[rows:]
            limit -= rows
            if len(self._offsets):
                break
        return pa.concat_tables(taken)

    def _fill(self) -> bool:
        """Have a row at hand, unless the part is at its end."""
        while not len(self._offsets) and self._group < self._parquet.num_row_groups:
            self._rows = self._parquet.read_row_group(self._group)
            self._offsets = self._rows["offset"].to_numpy()
            self._group += 1
        return len(self._offsets) > 0


@contextmanager
def open_part(directory: Path, part: Part) -> Iterator[PartReader]:
    """Open a part and compare it with its digest.

    Raises:
        CorruptError: it is missing or damaged.
        UnavailableError: it cannot be read.
    """
    path = directory / part.file
    with reachable(path):
        try:
            file = os.fdopen(open_file(path, os.O_RDONLY), "rb")
        except FileNotFoundError as error:
            raise damaged(path, f"{part.records} records", "no file") from error
        with file:
            yield PartReader(path, file, part)


def damaged(path: Path, expected: str, got: str) -> CorruptError:
    """Describe damage to a file of the archive."""
    remedy = (
        "restore it from a copy; or, while the log still holds the interval, delete the epoch's directory and archive"
        " the epoch again"
    )
    return CorruptError(str(path), expected=expected, got=got, remedy=remedy)
