"""Parts of epochs on the local disk: those that are being uploaded, and a bounded number of those that were read.

A part that was downloaded is named by its digest, which is compared each time it is used, so a damaged copy is fetched
anew. The parts that were used longest ago are deleted when there are too many; a reader holds on to its own.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from watersmeet.core.errors import CorruptError
from watersmeet.formats.disk import DIRECTORY_MODE, reachable
from watersmeet.formats.part import Part


class Parts:
    """A folder of parts. Safe to share between threads; processes may share a folder.

    Args:
        folder: where; None: one of its own, deleted at the end.
        bytes_: what downloaded parts may take; a single one may be larger.
    """

    def __init__(self, folder: Path | None, bytes_: int) -> None:
        self._bytes = bytes_
        self._folder = folder or Path(tempfile.mkdtemp(prefix="watersmeet-"))
        self._finalizer = None if folder else weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        with reachable(self._folder):
            self._folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)

    @contextmanager
    def working(self) -> Iterator[Path]:
        """An empty folder for a while."""
        with reachable(self._folder), tempfile.TemporaryDirectory(dir=self._folder, prefix=".") as folder:
            yield Path(folder)

    def place(self, folder: Path, part: Part, fetch: Callable[[Path], None]) -> None:
        """Put a part into a folder under its own name.

        Args:
            folder: from `working`.
            part: what it must be.
            fetch: downloads it to a path; raises if it is not there.
        """
        kept = self._folder / f"{part.sha256}.parquet"
        target = folder / part.file
        if self._link(kept, target) and _digest(target) == part.sha256:
            os.utime(kept)
            return
        target.unlink(missing_ok=True)
        arriving = self._folder / f".{part.sha256}.{secrets.token_hex(4)}"
        try:
            fetch(arriving)
            arriving.rename(kept)
            if not self._link(kept, target):
                raise CorruptError(str(kept), expected="a part that was just downloaded", got="no file")
        finally:
            arriving.unlink(missing_ok=True)
        self._trim()

    def close(self) -> None:
        """Delete a folder of its own."""
        if self._finalizer is not None:
            self._finalizer()

    def _link(self, kept: Path, target: Path) -> bool:
        try:
            target.hardlink_to(kept)
        except FileNotFoundError:
            return False
        return True

    def _trim(self) -> None:
        """Delete the parts used longest ago, beyond the size; the one used last stays."""
        found = []
        for path in self._folder.glob("*.parquet"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime_ns, status.st_size, path))
        found.sort(reverse=True)
        held = 0
        for number, (_, size, path) in enumerate(found):
            held += size
            if number and held > self._bytes:
                path.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
