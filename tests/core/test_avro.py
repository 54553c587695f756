from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from watersmeet.core.avro import encode, schema_of
from watersmeet.core.avro_resolution import complaints, reading
from watersmeet.core.avro_schema import parse_avro
from watersmeet.core.errors import DeclarationError, RequestError
from watersmeet.core.topic import Topic

pytestmark = pytest.mark.unit

KINDS = {
    "b": "boolean",
    "i": "integer",
    "l": "bigint",
    "f": "double",
    "x": "decimal(8,2)",
    "s": "varchar",
    "d": "date",
    "t": "timestamp",
    "ms": "timestamp_ms",
    "sec": "timestamp_s",
}


def topic(**schema: str) -> Topic:
    return Topic("shop.2-sales", schema=schema, format="avro")


def test_the_schema_of_every_type() -> None:
    fields = json.loads(schema_of(topic(**{name: f"{kind} not null" for name, kind in KINDS.items()})))["fields"]
    assert {field["name"]: field["type"] for field in fields} == {
        "b": "boolean",
        "i": "int",
        "l": "long",
        "f": "double",
        "x": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2},
        "s": "string",
        "d": {"type": "int", "logicalType": "date"},
        "t": {"type": "long", "logicalType": "timestamp-micros"},
        "ms": {"type": "long", "logicalType": "timestamp-millis"},
        "sec": "long",
    }
    assert all("default" not in field for field in fields)


def test_what_may_be_null_is_a_union_with_the_default_null() -> None:
    [field] = json.loads(schema_of(topic(s="varchar[]")))["fields"]
    assert field == {"name": "s", "type": ["null", {"type": "array", "items": "string"}], "default": None}


def test_names_become_names_of_avro() -> None:
    found = json.loads(schema_of(topic(s="varchar")))
    assert (found["namespace"], found["name"]) == ("shop", "_2_sales")
    assert "namespace" not in json.loads(schema_of(Topic("sales", schema={"s": "varchar"}, format="avro")))


def test_a_topic_reads_its_own_schema() -> None:
    of = topic(**KINDS, **{f"{name}s": f"{kind}[] not null" for name, kind in KINDS.items()})
    found = reading(of, schema_of(of))
    assert list(found.columns) == [name for name, _ in of.types]
    assert found.unexpected == ()
    assert complaints(parse_avro(schema_of(of)), parse_avro(schema_of(of))) == []


@pytest.mark.parametrize(
    ("kind", "value", "body"),
    [
        ("boolean", True, b"\1"),
        ("integer", -1, b"\1"),
        ("bigint", 2**63 - 1, b"\xfe" + b"\xff" * 8 + b"\1"),
        ("bigint", -(2**63), b"\xff" * 9 + b"\1"),
        ("double", 1, b"\0\0\0\0\0\0\xf0?"),
        ("decimal(8,2)", Decimal("1.5"), b"\4\0\x96"),
        ("decimal(8,2)", 3, b"\4\1\x2c"),
        ("varchar", "Ω", b"\4\xce\xa9"),
        ("date", date(1970, 1, 2), b"\2"),
        ("timestamp", datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC), b"\2"),
        ("timestamp", -1, b"\1"),
        ("timestamp_ms", 2_000, b"\4"),
        ("timestamp_s", datetime(1970, 1, 1, 0, 0, 1), b"\2"),  # without a zone it is UTC
        ("integer[]", [1, 2], b"\4\2\4\0"),
        ("integer[]", [], b"\0"),
    ],
)
def test_values_as_bytes(kind: str, value: object, body: bytes) -> None:
    assert encode(topic(c=f"{kind} not null"), {"c": value}) == body
    assert encode(topic(c=kind), {"c": value}) == b"\2" + body
    assert encode(topic(c=kind), {}) == b"\0"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", 2**31),
        ("bigint", 2**63),
        ("bigint", True),
        ("bigint", 1.0),
        ("double", "1"),
        ("double", True),
        ("decimal(4,2)", Decimal("1.234")),
        ("decimal(4,2)", Decimal(100)),
        ("decimal(4,2)", Decimal("NaN")),
        ("varchar", 1),
        ("varchar", "\ud800"),
        ("date", datetime(2024, 1, 1, tzinfo=UTC)),
        ("timestamp", "2024-01-01"),
        ("timestamp_ms", 1),
        ("integer[]", 1),
        ("integer[]", [None]),
        ("integer not null", None),
    ],
)
def test_what_is_no_value_of_its_column_is_refused(kind: str, value: object) -> None:
    with pytest.raises(RequestError, match=r"column 'c' of topic shop\.2-sales"):
        encode(topic(c=kind), {"c": value})


def test_a_format_that_nobody_knows_is_refused() -> None:
    with pytest.raises(DeclarationError, match="format of topic t"):
        Topic("t", schema={"n": "bigint"}, format="xml")  # type: ignore[arg-type]  # the point


def test_the_format_decides_what_happens_to_a_record() -> None:
    as_json = Topic("t", schema={"n": "bigint"})
    assert as_json.version == Topic("t", schema={"n": "bigint"}, format="json").version
    assert as_json.version != Topic("t", schema={"n": "bigint"}, format="avro").version
