"""One SQLite file: its connections, its durability, and the names of its errors.

* A transaction is synced before `Database.write` returns: write-ahead log, ``synchronous=FULL``.
* One connection writes, under a lock. Readers borrow connections from a pool; each sees one commit and blocks nobody.
* One connection only watches: ``PRAGMA data_version`` tells it of the commits of every *other* connection, those of
  this process included. Its numbers mean nothing on any other connection, so there is exactly one.
* After a failed commit nothing of it is seen by anybody. After a crash the file is as after some commit: the last one,
  unless the disk lost what it had promised to keep.

Open a file once a process and close it before a fork.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from watersmeet.core.errors import CorruptError, UnavailableError, WatersmeetError
from watersmeet.core.failpoint import hit
from watersmeet.formats.disk import DIRECTORY_MODE, locked, open_file, reachable

_PAGE_BYTES = 8192
_CHECKPOINT_BYTES = 4 << 20
_DAMAGED = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_UNREACHABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOLFS,
}


class Database:
    """An open SQLite file. Safe to share between threads.

    Args:
        path: the file; made, for its owner only, if it is missing.
        prepare: called once with a connection, before there is any other and alone among all processes.
        name: first word of the failpoints around a commit.
        busy_seconds: how long to wait for a transaction of another process.

    Raises:
        UnavailableError: the file cannot be opened.
        CorruptError: it is not an SQLite file.
    """

    def __init__(
        self, path: Path, prepare: Callable[[sqlite3.Connection], None], *, name: str, busy_seconds: float = 10.0
    ) -> None:
        self.path = path
        self._name = name
        self._busy_seconds = busy_seconds
        self._turn = threading.Lock()
        self._watching = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        with reachable(path):
            path.parent.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        with locked(path.with_name(f"{path.name}.lock")), named(path):
            with reachable(path):
                os.close(open_file(path, os.O_RDWR | os.O_CREAT))
            with ExitStack() as opened:
                self._writer = opened.enter_context(closing(self._connect()))
                self._writer.execute(f"pragma page_size={_PAGE_BYTES}")
                self._writer.execute("pragma auto_vacuum=incremental")
                prepare(self._writer)
                self._writer.execute("pragma journal_mode=wal")
                self._watcher = self._connect()
                opened.pop_all()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection that sees one commit from its first query on."""
        with named(self.path):
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
            try:
                connection.execute("begin")
                yield connection
            finally:
                if connection.in_transaction:
                    connection.rollback()
                self._idle.append(connection)

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection that writes, in a transaction that is durable afterwards, or undone by any exception."""
        with self._turn, named(self.path):
            connection = self._writer
            try:
                connection.execute("begin immediate")
                yield connection
                hit(f"{self._name}.commit.before")
                connection.commit()
                hit(f"{self._name}.commit.after")
            finally:
                if connection.in_transaction:
                    connection.rollback()

    def give_back(self, pages: int) -> None:
        """Return up to ``pages`` free pages to the file system."""
        with self._turn, named(self.path):
            # It frees a page a step and has no columns: `execute` would take the first step for the last.
            self._writer.executescript(f"pragma incremental_vacuum({pages:d})")

    def token(self) -> int:
        """A number that changes with every commit of any process. Means something within this object only."""
        with self._watching, named(self.path):
            found: int = self._watcher.execute("pragma data_version").fetchone()[0]
            return found

    def close(self) -> None:
        """Close every connection; nothing may be asked afterwards."""
        for connection in (self._writer, self._watcher, *self._idle):
            connection.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        connection.execute("pragma synchronous=full")
        connection.execute("pragma fullfsync=on")
        connection.execute(f"pragma wal_autocheckpoint={_CHECKPOINT_BYTES // _PAGE_BYTES}")
        connection.execute(f"pragma journal_size_limit={_CHECKPOINT_BYTES}")
        return connection


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn an error of SQLite inside the block into one of ours that names ``path``."""
    try:
        yield
    except sqlite3.Error as error:
        known = _translate(path, error)
        if known is None:
            raise
        raise known from error


def _translate(path: Path, error: sqlite3.Error) -> WatersmeetError | None:
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    name = getattr(error, "sqlite_errorname", "")
    if primary in _UNREACHABLE:
        remedy = "check the disk, its free space and its rights, and whether another process holds the file"
        return UnavailableError(str(path), got=f"{error} ({name})", remedy=remedy)
    # Text that is no text any more is reported by the driver and not by SQLite, so it carries no code.
    if primary in _DAMAGED or (primary is None and isinstance(error, sqlite3.OperationalError)):
        return CorruptError(str(path), expected="a sound SQLite file", got=str(error), remedy="restore it from a copy")
    return None
