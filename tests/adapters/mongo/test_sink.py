"""What a team that reads the collections finds there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pyarrow as pa
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import MongoClient
from pymongo.database import Database

from watersmeet.adapters.mongo.sink import MongoSink, collection_name
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import ConflictError, RequestError, SettingsError, UnavailableError
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table
from watersmeet.core.topic import Topic
from watersmeet.testing.services.server import free_ports

pytestmark = pytest.mark.integration
TABLE = Table("any", Topic("movie.ratings", {"movie_id": "integer not null"}))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC).replace(tzinfo=None)
COLUMNS = (("hour", "TIMESTAMP"), ("rank", "BIGINT"), ("movie_id", "INTEGER"), ("tags", "VARCHAR[]"))
SHAPE = Shape("trending", COLUMNS, ("hour", "movie_id"), "hour", ("hour",), ("rank",), 48 * 3_600_000_000)
NOTHING = pa.table({})


@pytest.fixture
def address(mongo: str) -> Address:
    return replace(parse_address(mongo), path=uuid4().hex)


@pytest.fixture
def sink(address: Address) -> Iterator[MongoSink]:
    with closing(MongoSink(address)) as opened:
        yield opened


@pytest.fixture
def database(address: Address) -> Iterator[Database[dict[str, Any]]]:
    servers = address.servers()
    with MongoClient[dict[str, Any]](servers, uuidRepresentation="standard") as client:
        yield client[address.path]
        client.drop_database(address.path)


def test_values_have_their_own_types(sink: MongoSink, database: Database[dict[str, Any]]) -> None:
    values: dict[str, tuple[str, object, object]] = {
        "id": ("INTEGER", 1, 1),
        "long": ("BIGINT", 2, Int64(2)),
        "huge": ("UBIGINT", 2**64 - 1, Decimal128("18446744073709551615")),
        "money": ("DECIMAL(12,2)", Decimal("1.50"), Decimal128("1.50")),
        "real": ("DOUBLE", 0.1, 0.1),
        "flag": ("BOOLEAN", True, True),
        "day": ("DATE", date(2026, 3, 1), datetime(2026, 3, 1)),
        "at": ("TIMESTAMP", NOON, NOON),
        "zoned": ("TIMESTAMP WITH TIME ZONE", NOON.replace(tzinfo=UTC), NOON),
        "clock": ("TIME", time(1, 2, 3), "01:02:03"),
        "blob": ("BLOB", b"\0", b"\0"),
        "uuid": ("UUID", str(uuid.UUID(int=7)), uuid.UUID(int=7)),
        "words": ("VARCHAR[]", ["a", None], ["a", None]),
        "top": ('STRUCT(n BIGINT, "at" TIMESTAMP)', {"n": 1, "at": NOON}, {"n": Int64(1), "at": NOON}),
        "map": ("MAP(VARCHAR, INTEGER)", [("a", 1)], '{"a":1}'),
        "none": ("VARCHAR", None, None),
    }
    shape = Shape("types", tuple((name, type_) for name, (type_, _, _) in values.items()), ("id",), None)
    types = {"map": pa.map_(pa.string(), pa.int32()), "huge": pa.uint64(), "none": pa.string()}
    columns = {name: pa.array([given], types.get(name)) for name, (_, given, _) in values.items()}
    sink.prepare(TABLE, shape)
    sink.write(shape, None, pa.table(columns), NOTHING, 3)
    (found,) = database["types"].find()
    assert found.pop("_id") == '["1"]'
    assert found.pop("_watersmeet") == {"turn": 1, "scope": None}
    assert found == {name: stored for name, (_, _, stored) in values.items()}
    assert {name: type(value) for name, value in found.items()} == {n: type(v) for n, (_, _, v) in values.items()}


def test_what_a_date_or_a_decimal_cuts_stands_beside_it(sink: MongoSink, database: Database[dict[str, Any]]) -> None:
    shape = Shape("cut", (("at", "TIMESTAMP"), ("n", "DECIMAL(38,0)")), ("at",), None)
    sink.prepare(TABLE, shape)
    times = [NOON, NOON + timedelta(microseconds=1), NOON + timedelta(microseconds=2)]
    number = Decimal(10**37 + 1)
    rows = pa.table({"at": times, "n": pa.array([Decimal(1), Decimal(2), number], pa.decimal128(38, 0))})
    sink.write(shape, None, rows, NOTHING, 1)
    found = list(database["cut"].find(sort=[("_id", 1)]))
    assert [row["at"] for row in found] == [NOON] * 3
    assert [row["_watersmeet"].get("rest") for row in found] == [
        None,
        {"at": "2026-03-01 12:00:00.000001"},
        {"at": "2026-03-01 12:00:00.000002", "n": str(number)},
    ]
    sink.write(shape, None, NOTHING, pa.table({"at": times[1:2]}), 2)
    assert [row["_id"] for row in database["cut"].find(sort=[("_id", 1)])] == [found[0]["_id"], found[2]["_id"]]


def test_rows_are_found_by_indexes_and_go_when_their_time_is_over(
    sink: MongoSink, database: Database[dict[str, Any]]
) -> None:
    sink.prepare(TABLE, SHAPE)
    there = database["trending"].index_information()
    assert there["watersmeet_place"]["key"] == [("hour", 1), ("rank", 1), ("movie_id", 1)]
    assert there["watersmeet_scope"]["key"] == [("hour", 1)]
    assert there["watersmeet_scope"]["expireAfterSeconds"] == 48 * 3600
    sink.prepare(TABLE, replace(SHAPE, ttl_us=1))
    assert database["trending"].index_information()["watersmeet_scope"]["expireAfterSeconds"] == 1
    sink.prepare(TABLE, replace(SHAPE, ttl_us=None))
    assert "expireAfterSeconds" not in database["trending"].index_information()["watersmeet_scope"]


def test_without_a_time_a_row_goes_after_it_was_last_written(
    sink: MongoSink, database: Database[dict[str, Any]]
) -> None:
    shape = Shape("films", (("id", "INTEGER"), ("t", "VARCHAR")), ("id",), None, ttl_us=3_600_000_000)
    sink.prepare(TABLE, shape)
    assert database["films"].index_information()["watersmeet_age"]["expireAfterSeconds"] == 3600
    sink.write(shape, None, pa.table({"id": [1], "t": ["$id"]}), NOTHING, 1)
    (first,) = database["films"].find()
    sink.write(shape, None, pa.table({"id": [1], "t": ["$id"]}), NOTHING, 2)
    (second,) = database["films"].find()
    assert first["t"] == second["t"] == "$id"
    assert first["_watersmeet"]["at"] <= second["_watersmeet"]["at"]


def test_a_collection_of_somebody_else_is_left_alone(sink: MongoSink, database: Database[dict[str, Any]]) -> None:
    database["trending"].insert_one({"theirs": 1})
    with pytest.raises(ConflictError, match="one in use"):
        sink.prepare(TABLE, SHAPE)
    assert database["trending"].count_documents({}) == 1
    assert "watersmeet_tables" not in database.list_collection_names()


def test_only_rows_that_are_handed_over_are_written(sink: MongoSink, database: Database[dict[str, Any]]) -> None:
    shape = Shape("films", (("id", "INTEGER"),), ("id",), None)
    sink.prepare(TABLE, shape)
    sink.write(shape, None, pa.table({"id": [1, 2]}), NOTHING, 1)
    sink.write(shape, None, pa.table({"id": [2, 3]}), NOTHING, 2)
    assert {row["id"]: row["_watersmeet"]["turn"] for row in database["films"].find()} == {1: 1, 2: 2, 3: 2}


def test_a_change_that_is_too_large_for_a_transaction_is_made_all_the_same(
    sink: MongoSink, database: Database[dict[str, Any]]
) -> None:
    shape = Shape("films", (("id", "INTEGER"),), ("id",), None)
    sink.prepare(TABLE, shape)
    for sequence, rows in ((1, range(10_001)), (2, range(5, 10_006))):
        sink.replace(shape, None, pa.table({"id": list(rows)}), sequence)
        assert sorted(row["id"] for row in database["films"].find()) == list(rows)


@pytest.mark.parametrize(
    ("column", "type_"),
    [
        ("a.b", "INTEGER"),
        ("$a", "INTEGER"),
        ("_id", "INTEGER"),
        ("_watersmeet", "INTEGER"),
        ("n", 'STRUCT("a.b" INTEGER)'),
        ("n", "INTERVAL"),
        ("n", "TIMESTAMP_NS"),
        ("n", "BIT"),
    ],
)
def test_a_column_that_cannot_be_held_is_named(sink: MongoSink, column: str, type_: str) -> None:
    shape = Shape("films", (("id", "INTEGER"), (column, type_)), ("id",), None)
    with pytest.raises(RequestError) as caught:
        sink.prepare(TABLE, shape)
    assert caught.value.subject == f"column {column} of table films"
    assert "table's columns" in caught.value.remedy


@pytest.mark.parametrize("name", ["", "$a", ".a", "a..b", "system.a", "watersmeet_tables", "100%", "é" * 100, "a\0b"])
def test_an_odd_name_is_a_collection_too(sink: MongoSink, database: Database[dict[str, Any]], name: str) -> None:
    shape = Shape(name, (("id", "INTEGER"),), ("id",), None)
    sink.prepare(TABLE, shape)
    sink.write(shape, None, pa.table({"id": [1]}), NOTHING, 1)
    assert collection_name(name) != name
    assert database[collection_name(name)].count_documents({}) == 1


def test_what_is_too_large_is_refused(sink: MongoSink, database: Database[dict[str, Any]]) -> None:
    shape = Shape("films", (("id", "INTEGER"), ("text", "VARCHAR")), ("id",), None)
    sink.prepare(TABLE, shape)
    with pytest.raises(RequestError) as caught:
        sink.write(shape, None, pa.table({"id": [1], "text": ["x" * (17 << 20)]}), NOTHING, 1)
    assert caught.value.kind == "too_large"
    assert database["films"].count_documents({}) == 0


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    (port,) = free_ports(1)
    url = f"mongodb://me:secret@127.0.0.1:{port}/shop?connect_seconds=0.1&timeout_seconds=0.2"
    with closing(MongoSink(parse_address(url))) as sink:
        for ask in (sink.probe, lambda: sink.prepare(TABLE, SHAPE), lambda: sink.replace(SHAPE, NOON, NOTHING, 1)):
            with pytest.raises(UnavailableError) as caught:
                ask()
            assert f"127.0.0.1:{port}" in str(caught.value)
            assert "secret" not in str(caught.value)
            assert caught.value.remedy


def test_wrong_credentials_are_named(address: Address) -> None:
    unknown = replace(address, user="me", password=uuid4().hex)
    with closing(MongoSink(unknown)) as sink, pytest.raises(UnavailableError) as caught:
        sink.probe()
    assert "password" in caught.value.remedy


@pytest.mark.parametrize(
    "url", ["mongodb://a", "mongodb://a/b/c", "mongodb://a/b?unknown=1", "mongodb://a/b?tls=maybe"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        MongoSink(parse_address(url))
