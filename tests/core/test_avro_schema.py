from __future__ import annotations

import json

import pytest

from watersmeet.core.avro_schema import MAX_DEPTH, AvroType, parse_avro
from watersmeet.core.errors import RequestError

pytestmark = pytest.mark.unit


def record(*types: object, **more: object) -> str:
    """A record with fields f0, f1, …"""
    fields = [{"name": f"f{i}", "type": of} for i, of in enumerate(types)]
    return json.dumps({"type": "record", "name": "r", "fields": fields, **more})


def fields(*types: object) -> list[AvroType]:
    return [item.type for item in parse_avro(record(*types)).fields]


def test_primitives_with_and_without_quotation_marks() -> None:
    assert parse_avro('"long"').type == parse_avro("long").type == parse_avro('{"type":"long"}').type == "long"


def test_a_name_is_looked_up_in_its_namespace() -> None:
    enum = {"type": "enum", "name": "e", "symbols": ["A"]}
    found = parse_avro(record(enum, "e", "space.e", namespace="space"))
    assert [item.type.name for item in found.fields] == ["space.e"] * 3
    assert found.name == "space.r"
    assert parse_avro(record({**enum, "name": "own.e"}, "own.e", namespace="space")).fields[1].type.name == "own.e"


def test_a_type_may_contain_itself() -> None:
    found = parse_avro(record(["null", "r"]))
    assert found.fields[0].type.parts[1] is found


def test_logical_types_that_are_not_valid_are_ignored() -> None:
    kinds = fields(
        {"type": "long", "logicalType": "timestamp-millis"},
        {"type": "int", "logicalType": "timestamp-millis"},
        {"type": "long", "logicalType": "unheard"},
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 5},
        {"type": "bytes", "logicalType": "decimal"},
        {"type": "fixed", "name": "a", "size": 16, "logicalType": "uuid"},
        {"type": "fixed", "name": "b", "size": 15, "logicalType": "uuid"},
    )
    assert [kind.logical for kind in kinds] == ["timestamp-millis", "", "", "decimal", "", "", "uuid", ""]


def test_a_logical_type_beside_the_fields_type_is_ignored() -> None:
    text = '{"type":"record","name":"r","fields":[{"name":"at","type":"long","logicalType":"timestamp-millis"}]}'
    assert parse_avro(text).fields[0].type.logical == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        '["long","long"]',
        '[["null"],"long"]',
        '"unheard"',
        '{"type":"record","name":"r"}',
        '{"type":"record","fields":[]}',
        '{"type":"record","name":"1r","fields":[]}',
        record("long").replace("f0", "f-0"),
        record("long", "long").replace("f1", "f0"),
        record({"type": "record", "name": "r", "fields": []}),
        record({"type": "enum", "name": "e", "symbols": ["A", "A"]}),
        record({"type": "enum", "name": "e", "symbols": ["A"], "default": "B"}),
        record({"type": "fixed", "name": "f", "size": -1}),
        record({"type": "bytes", "logicalType": "decimal", "precision": 10**9}),
        '{"type":"array"}',
        '{"type":"object","properties":{}}',
        " " * (1 << 20) + '"long"',
        '{"type":' * 100_000,
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="Avro schema"):
        parse_avro(text)


def test_what_is_nested_too_deep_is_refused() -> None:
    inner: object = "long"
    for _ in range(MAX_DEPTH + 1):
        inner = {"type": "array", "items": inner}
    with pytest.raises(RequestError, match="deeper"):
        parse_avro(json.dumps(inner))


def test_a_short_schema_of_very_large_records_is_refused() -> None:
    """Thirty types, each of two of the one before, are 2^30 values."""
    inner: object = {"type": "record", "name": "r0", "fields": []}
    for i in range(1, 31):
        two = [{"name": "a", "type": inner}, {"name": "b", "type": f"r{i - 1}"}]
        inner = {"type": "record", "name": f"r{i}", "fields": two}
    with pytest.raises(RequestError, match="more than 10000 values"):
        parse_avro(json.dumps(inner))


def test_types_say_what_they_are() -> None:
    said = [
        str(kind)
        for kind in fields(
            "long",
            ["null", "int"],
            {"type": "array", "items": "string"},
            {"type": "long", "logicalType": "timestamp-millis"},
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            {"type": "enum", "name": "e", "symbols": ["A"]},
        )
    ]
    assert said == [
        "long",
        "union of null, int",
        "array of string",
        "long (timestamp-millis)",
        "bytes (decimal(4,2))",
        "enum (e)",
    ]
