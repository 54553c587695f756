"""One SQLite file: transactions, connections, and errors by name."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watersmeet.adapters.local.database import Database, named
from watersmeet.core.errors import CorruptError, UnavailableError

pytestmark = pytest.mark.integration
COUNT = "select count(*) from t"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "below" / "some.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with closing(Database(path, prepare, name="test", busy_seconds=0.01)) as found:
        yield found


def prepare(connection: sqlite3.Connection) -> None:
    connection.execute("create table if not exists t(n)")


def count(database: Database) -> int:
    with database.read() as connection:
        found: int = connection.execute(COUNT).fetchone()[0]
        return found


def test_it_syncs_every_commit_and_shares_the_file(database: Database) -> None:
    with database.write() as writer, database.read() as reader:
        for connection in (writer, reader):
            assert connection.execute("pragma synchronous").fetchone() == (2,)
        assert writer.execute("pragma journal_mode").fetchone() == ("wal",)
        assert writer.execute("pragma auto_vacuum").fetchone() == (2,)


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    with database.write() as connection:
        connection.execute("insert into t values(1)")

    def breaks() -> Iterator[tuple[int]]:
        yield (2,)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), database.write() as connection:
        connection.executemany("insert into t values(?)", breaks())
    assert count(database) == 1
    with database.write() as connection:
        connection.execute("insert into t values(3)")
    assert count(database) == 2


def test_a_reader_sees_one_commit_and_holds_up_nobody(database: Database) -> None:
    with database.read() as reader:
        assert reader.execute(COUNT).fetchone() == (0,)
        with database.write() as writer:
            writer.execute("insert into t values(1)")
            assert count(database) == 0
        assert count(database) == 1
        assert reader.execute(COUNT).fetchone() == (0,)
    assert count(database) == 1


def test_a_writer_elsewhere_holds_up_writes_and_not_reads(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(UnavailableError, match="SQLITE_BUSY") as caught, database.write():
            pass
        assert caught.value.subject == str(path)
        assert count(database) == 0
        other.execute("rollback")
    with database.write() as connection:
        connection.execute("insert into t values(1)")
    assert count(database) == 1


def test_connections_are_used_again(database: Database) -> None:
    """Sixteen threads read a hundred times with hardly more connections than threads."""
    seen: set[int] = set()

    def read() -> None:
        for _ in range(100):
            with database.read() as connection:
                seen.add(id(connection))
                connection.execute(COUNT).fetchone()

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= len(seen) <= 16


def test_the_token_knows_of_every_commit(database: Database, path: Path) -> None:
    seen = {database.token()}
    assert database.token() in seen
    with database.write() as connection:
        connection.execute("insert into t values(1)")
    seen.add(database.token())
    with closing(sqlite3.connect(path)) as other:
        other.execute("insert into t values(2)")
        other.commit()
    seen.add(database.token())
    assert len(seen) == 3
    with database.write():
        pass
    assert database.token() in seen


def test_free_pages_are_given_back(database: Database, path: Path) -> None:
    with database.write() as connection:
        connection.execute("insert into t values(?)", (os.urandom(2_000_000),))
    with database.write() as connection:
        connection.execute("delete from t")
    for pages in (100, 10_000):
        database.give_back(pages)
    with database.read() as connection:
        assert connection.execute("pragma freelist_count").fetchone() == (0,)


def test_the_file_is_its_owners_alone_and_no_link(database: Database, path: Path) -> None:
    assert {p.name: p.stat().st_mode & 0o777 for p in path.parent.iterdir()} == {
        "some.db": 0o600,
        "some.db-wal": 0o600,
        "some.db-shm": 0o600,
        "some.db.lock": 0o600,
    }
    assert path.parent.stat().st_mode & 0o777 == 0o700
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(UnavailableError, match=r"link\.db"):
        Database(link, prepare, name="test")


def test_preparing_that_fails_leaves_nothing_open(path: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("insert into nothing values(1)")

    with pytest.raises(CorruptError):
        Database(path, fail, name="test")
    path.unlink()
    Database(path, prepare, name="test").close()


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"no database " * 999, CorruptError), (None, UnavailableError)],
    ids=["text", "directory"],
)
def test_a_file_that_is_no_database_is_named(path: Path, content: bytes | None, expected: type[Exception]) -> None:
    path.parent.mkdir()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(expected, match=r"some\.db"):
        Database(path, prepare, name="test")


def test_an_error_of_ours_stays_what_it_is(database: Database, path: Path) -> None:
    """Misuse of SQLite is a mistake in this package and no trouble with the file."""
    with pytest.raises(sqlite3.ProgrammingError), database.read() as connection:
        connection.execute("select ?", ())
    with database.write() as connection:
        connection.execute("create unique index u on t(n)")
    with pytest.raises(sqlite3.IntegrityError), database.write() as connection:
        connection.executemany("insert into t values(?)", [(1,), (1,)])
    assert count(database) == 0
    with pytest.raises(KeyError), named(path):
        raise KeyError
