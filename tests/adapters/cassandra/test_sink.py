"""What a team that reads the tables finds there."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest

from watersmeet.adapters.cassandra.published import Published
from watersmeet.adapters.cassandra.session import Session, open_session
from watersmeet.adapters.cassandra.sink import CassandraSink
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import ConflictError, RequestError, UnavailableError
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table
from watersmeet.core.topic import Topic
from watersmeet.testing.services.server import free_ports

pytestmark = pytest.mark.integration
TABLE = Table("any", Topic("movie.ratings", {"movie_id": "integer not null"}))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None)
COLUMNS = (("hour", "TIMESTAMP"), ("Rank", "BIGINT"), ("movie_id", "INTEGER"), ("view", "VARCHAR"))
SHAPE = Shape("trending", COLUMNS, ("hour", "movie_id"), "hour", ("hour",), ("Rank",), 48 * 3_600_000_000)
NOTHING = pa.table({})


@pytest.fixture
def address(cassandra: str) -> Address:
    return replace(parse_address(cassandra), options={"app": f"t{uuid4().hex[:12]}"})


@pytest.fixture
def sink(address: Address) -> Iterator[CassandraSink]:
    with closing(CassandraSink(address)) as opened:
        yield opened


@pytest.fixture
def session(cassandra: str) -> Iterator[Session]:
    with closing(open_session(parse_address(cassandra))) as opened:
        yield opened


def layout(session: Session, address: Address, table: str) -> dict[str, tuple[str, int, str]]:
    query = "select column_name, kind, position, type from system_schema.columns where keyspace_name=? and table_name=?"
    rows = session.read(query, (address.path, f"{address.options['app']}_{table}"))
    return {name: (kind, position, type_) for name, kind, position, type_ in rows}


def rows(session: Session, address: Address, table: str, columns: str, where: str = "") -> Sequence[Any]:
    return session.read(f'select {columns} from "{address.options["app"]}_{table}" {where}')


def test_a_table_has_the_declared_keys_and_native_types(
    sink: CassandraSink, session: Session, address: Address
) -> None:
    sink.prepare(TABLE, SHAPE)
    assert layout(session, address, "trending") == {
        "hour": ("partition_key", 0, "timestamp"),
        "rank": ("clustering", 0, "bigint"),
        "movie_id": ("clustering", 1, "int"),
        "watersmeet_key": ("clustering", 2, "text"),
        "view": ("regular", -1, "text"),
        "watersmeet_rest": ("regular", -1, "map<text, text>"),
    }
    made = {"hour": [NOON] * 2, "Rank": [2, 1], "movie_id": pa.array([7, 8], pa.int32()), "view": ["a", None]}
    sink.write(SHAPE, NOON, pa.table(made), NOTHING, 1)
    found = rows(session, address, "trending", 'rank, movie_id, "view"', "where hour = '2026-03-01 12:00:00+0000'")
    assert found == [(1, 8, None), (2, 7, "a")]
    made["Rank"] = [2, 3]
    sink.write(SHAPE, NOON, pa.table(made).slice(1), NOTHING, 2)
    assert rows(session, address, "trending", "rank, movie_id") == [(2, 7), (3, 8)]


@pytest.mark.parametrize(
    ("key", "scope", "order", "partition", "expected"),
    [
        (("a", "b"), None, (), (), ("a b", "")),
        (("a", "b"), "b", (), (), ("a", "b")),
        (("a", "b"), "b", ("a",), (), ("a b", "")),
        (("a", "b"), "c", (), (), ("a b", "c")),
        (("a",), "a", ("c",), (), ("a", "c")),
        (("a", "b"), "b", ("c", "b"), ("d",), ("d", "c b a")),
    ],
)
def test_where_no_partition_is_declared_it_is_the_key_without_scope_and_order(
    key: tuple[str, ...],
    scope: str | None,
    order: tuple[str, ...],
    partition: tuple[str, ...],
    expected: tuple[str, str],
) -> None:
    columns = tuple((name, "INTEGER") for name in "abcd")
    published = Published(Shape("t", columns, key, scope, partition, order))
    width = len(published.partition)
    assert (" ".join(published.partition), " ".join(published.place[width:])) == expected


def test_values_have_their_own_types(sink: CassandraSink, session: Session, address: Address) -> None:
    values: dict[str, tuple[str, object, str, object]] = {
        "id": ("INTEGER", 1, "int", 1),
        "small": ("UTINYINT", 255, "smallint", 255),
        "long": ("BIGINT", 2**60, "bigint", 2**60),
        "huge": ("UBIGINT", 2**64 - 1, "varint", 2**64 - 1),
        "money": ("DECIMAL(38,2)", Decimal("1.50"), "decimal", Decimal("1.50")),
        "real": ("FLOAT", 0.5, "float", 0.5),
        "flag": ("BOOLEAN", True, "boolean", True),
        "day": ("DATE", date(1969, 3, 1), "date", date(1969, 3, 1)),
        "at": ("TIMESTAMP", NOON, "timestamp", NOON),
        "zoned": ("TIMESTAMP WITH TIME ZONE", NOON.replace(tzinfo=UTC), "timestamp", NOON),
        "clock": ("TIME", time(1, 2, 3, 4), "time", "01:02:03.000004000"),
        "blob": ("BLOB", b"\0", "blob", b"\0"),
        "uuid": ("UUID", str(uuid.UUID(int=7)), "uuid", uuid.UUID(int=7)),
        "words": ("VARCHAR[]", ["a", ""], "frozen<list<text>>", ["a", ""]),
        "times": ("TIMESTAMP[]", [NOON], "frozen<list<timestamp>>", [NOON]),
        "top": ("STRUCT(n BIGINT)[]", [{"n": 1}], "text", '[{"n":1}]'),
        "map": ("MAP(VARCHAR, INTEGER)", [("a", 1)], "text", '{"a":1}'),
    }
    shape = Shape("types", tuple((name, type_) for name, (type_, *_) in values.items()), ("id",), None)
    types = {"map": pa.map_(pa.string(), pa.int32()), "huge": pa.uint64()}
    sink.prepare(TABLE, shape)
    sink.write(shape, None, pa.table({n: pa.array([v], types.get(n)) for n, (_, v, *_) in values.items()}), NOTHING, 1)
    assert {n: t for n, (_, _, t) in layout(session, address, "types").items() if n in values} == {
        name: type_ for name, (_, _, type_, _) in values.items()
    }
    (found,) = rows(session, address, "types", ", ".join(f'"{name}"' for name in values))
    told = dict(zip(values, found, strict=True))
    assert str(told.pop("day")) == "1969-03-01"
    assert str(told.pop("clock")) == "01:02:03.000004000"
    assert told == {name: value for name, (*_, value) in values.items() if name in told}


def test_what_a_type_cuts_stands_beside_it(sink: CassandraSink, session: Session, address: Address) -> None:
    shape = Shape("cut", (("at", "TIMESTAMP"), ("seen", "TIMESTAMP"), ("tags", "VARCHAR[]")), ("at",), None)
    sink.prepare(TABLE, shape)
    late = NOON + timedelta(microseconds=1)
    sink.write(
        shape, None, pa.table({"at": [NOON, late], "seen": [NOON, late], "tags": [["a"], ["a", None]]}), NOTHING, 1
    )
    assert rows(session, address, "cut", "at, watersmeet_key, seen, tags, watersmeet_rest") == [
        (NOON, "", NOON, ["a"], None),
        (
            NOON,
            '{"at": "2026-03-01 12:00:00.000001"}',
            NOON,
            None,
            {"seen": "2026-03-01 12:00:00.000001", "tags": '["a",null]'},
        ),
    ]


def test_a_row_is_forgotten_by_the_store_when_its_time_is_over(
    sink: CassandraSink, session: Session, address: Address
) -> None:
    query = "select default_time_to_live from system_schema.tables where keyspace_name = ? and table_name = ?"
    table = (address.path, f"{address.options['app']}_trending")
    for ttl_us, seconds in ((48 * 3_600_000_000, 172_800), (1, 1), (10**18, 630_720_000), (None, 0)):
        sink.prepare(TABLE, replace(SHAPE, ttl_us=ttl_us))
        assert session.read(query, table) == [(seconds,)]


def test_a_table_of_somebody_else_is_left_alone_and_the_differences_named(
    sink: CassandraSink, session: Session, address: Address
) -> None:
    name = f"{address.options['app']}_trending"
    session.define(f"create table {name} (hour timestamp, movie_id bigint, primary key (hour, movie_id))")
    with pytest.raises(ConflictError) as caught:
        sink.prepare(TABLE, SHAPE)
    assert "movie_id clustering 1 int" in caught.value.expected
    assert "movie_id clustering 0 bigint" in caught.value.got
    assert "rank absent" in caught.value.got
    session.define(f"drop table {name}")
    sink.prepare(TABLE, SHAPE)
    session.define(f"alter table {name} add more int")
    with pytest.raises(ConflictError, match="more regular int"):
        sink.prepare(TABLE, SHAPE)


def test_only_rows_that_are_handed_over_are_written(sink: CassandraSink, session: Session, address: Address) -> None:
    shape = Shape("films", (("id", "INTEGER"), ("t", "VARCHAR")), ("id",), None)
    sink.prepare(TABLE, shape)
    sink.write(shape, None, pa.table({"id": [1, 2], "t": ["a", "a"]}), NOTHING, 1)
    first = dict(rows(session, address, "films", "id, writetime(t)"))
    sink.write(shape, None, pa.table({"id": [2, 3], "t": ["a", "a"]}), NOTHING, 1)
    second = dict(rows(session, address, "films", "id, writetime(t)"))
    assert first[1] == first[2] == second[1] < second[2] == second[3]


@pytest.mark.parametrize(
    ("column", "type_"),
    [("ID", "INTEGER"), ("watersmeet_key", "INTEGER"), ("n", "INTERVAL"), ("n", "TIMESTAMP_NS"), ("n", "BIT")],
)
def test_a_column_that_cannot_be_held_is_named(column: str, type_: str) -> None:
    with pytest.raises(RequestError) as caught:
        Published(Shape("films", (("id", "INTEGER"), (column, type_)), ("id",), None))
    assert caught.value.subject in (f"column {column} of table films", "column id of table films")
    assert "table's columns" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("trending", "trending"),
        ("Trending", "trending"),
        ("view", "view"),
        ("a-b", "a_b_[0-9a-f]{12}"),
        ("watersmeet_scopes", "watersmeet_scopes_[0-9a-f]{12}"),
        ("x" * 49, "x{30}_[0-9a-f]{12}"),
        ("", "_[0-9a-f]{12}"),
    ],
)
def test_a_table_is_named_in_small_letters(name: str, expected: str) -> None:
    assert re.fullmatch(expected, Published(Shape(name, (("id", "INTEGER"),), ("id",), None)).name)


def test_a_table_whose_name_differs_in_capitals_only_is_refused(sink: CassandraSink) -> None:
    sink.prepare(TABLE, SHAPE)
    with pytest.raises(ConflictError, match="that of trending"):
        sink.prepare(TABLE, replace(SHAPE, name="Trending"))


def test_a_cluster_that_is_not_there_is_named_without_its_password() -> None:
    (port,) = free_ports(1)
    url = f"cassandra://me:secret@127.0.0.1:{port}/shop?timeout_seconds=0.5"
    with closing(CassandraSink(parse_address(url))) as sink:
        for ask in (sink.probe, lambda: sink.prepare(TABLE, SHAPE), lambda: sink.replace(SHAPE, NOON, NOTHING, 1)):
            with pytest.raises(UnavailableError) as caught:
                ask()
            assert f"127.0.0.1:{port}" in str(caught.value)
            assert "secret" not in str(caught.value)
            assert caught.value.remedy
