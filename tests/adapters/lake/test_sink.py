"""What is particular to Parquet tables in a lake: files of others, damage, which sink an address means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import pytest

from tests.conformance.test_sink import NOON, NOTHING, SHAPE, TOPIC, WHOLE, row, table
from watersmeet.adapters.lake.sink import LakeSink, open_lake_sink
from watersmeet.adapters.lake.store import Store
from watersmeet.adapters.lake.stores import open_store
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import ConflictError, CorruptError, SettingsError
from watersmeet.core.table import Table

pytestmark = pytest.mark.integration
TABLE = Table("trending", TOPIC)
PIECE = "tables/trending/scope=2026-03-01%2012%3A00%3A00/part.parquet"


@pytest.fixture
def address(s3: str) -> Address:
    found = parse_address(s3)
    return replace(found, scheme="s3+parquet", path=f"{found.path}/{uuid4().hex}")


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    with closing(open_store(address)) as found:
        yield found


@pytest.fixture
def sink(address: Address) -> Iterator[LakeSink]:
    with closing(LakeSink(address)) as found:
        found.prepare(TABLE, SHAPE)
        found.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 4)
        yield found


def test_what_changes_nothing_writes_nothing(sink: LakeSink, store: Store) -> None:
    before = store.look(PIECE)
    sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 4)
    assert store.look(PIECE) == before


def test_a_file_of_somebody_else_is_refused_and_not_overwritten(sink: LakeSink, store: Store) -> None:
    data = store.look(PIECE)
    assert data.data is not None
    for other in (b"PAR1", data.data[:200] + b"\x55" + data.data[201:], data.data[:-30]):
        held = store.look(PIECE)
        assert store.replace(PIECE, other, held.version)
        with pytest.raises(CorruptError, match="scope=2026"):
            sink.write(SHAPE, NOON, table(row(NOON, 2)), NOTHING, 5)
        assert store.get(PIECE) == other


def test_a_piece_that_was_moved_is_refused(sink: LakeSink, store: Store) -> None:
    sink.prepare(TABLE, replace(SHAPE, name="other"))
    data = store.get(PIECE)
    assert data is not None
    assert store.put_if_absent(PIECE.replace("trending", "other"), data)
    with pytest.raises(CorruptError, match="trending"):
        sink.write(replace(SHAPE, name="other"), NOON, NOTHING, NOTHING, 9)


def test_a_shape_that_is_damaged_is_named(sink: LakeSink, store: Store) -> None:
    store.delete("tables/trending/_shape.json")
    store.put_if_absent("tables/trending/_shape.json", b"{")
    with pytest.raises(CorruptError, match="_shape"):
        sink.prepare(TABLE, SHAPE)


def test_a_writer_that_was_held_up_overwrites_nothing(sink: LakeSink, address: Address, store: Store) -> None:
    """It has looked at the piece, then others wrote twice, then it goes on."""

    class Slow:
        """A store that lets others write between a look and what follows it, once."""

        def __init__(self) -> None:
            self.once = True

        def __getattr__(self, name: str) -> object:
            return getattr(store, name)

        def replace(self, key: str, data: bytes, version: str) -> bool:
            if self.once:
                self.once = False
                sink.write(SHAPE, NOON, table(row(NOON, 2)), NOTHING, 6)
                sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 7)
            return store.replace(key, data, version)

    slow = LakeSink(address, Slow())  # type: ignore[arg-type]  # it is one, by delegation
    with pytest.raises(ConflictError, match="7"):
        slow.replace(SHAPE, NOON, NOTHING, 5)
    held = store.look(PIECE)
    sink.write(SHAPE, NOON, NOTHING, NOTHING, 7)
    assert store.look(PIECE) == held


@pytest.mark.parametrize(
    "text",
    [
        "s3://lake",
        "s3+csv://lake",
        "delta://host/x",
        "delta:///",
        "hdfs+delta://n:9870/x",
        "s3+parquet://",
        "delta:///x?y=1",
    ],
)
def test_an_address_that_means_no_sink_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        open_lake_sink(parse_address(text))


def test_the_whole_table_is_one_object(sink: LakeSink, store: Store) -> None:
    sink.prepare(TABLE, WHOLE)
    sink.replace(WHOLE, None, table({"movie_id": 1, "title": "a"}, shape=WHOLE), 1)
    assert sorted(store.keys("tables/films")) == ["tables/films/_shape.json", "tables/films/part.parquet"]
