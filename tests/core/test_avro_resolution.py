from __future__ import annotations

import io
import json
from itertools import product
from typing import Any

import fastavro
import pytest

from tests.conformance.evolution import CHANGES
from watersmeet.core.avro_resolution import complaints, conflicts, reading
from watersmeet.core.avro_schema import parse_avro
from watersmeet.core.errors import RequestError
from watersmeet.core.topic import Topic

pytestmark = pytest.mark.unit

ALL = [(change, number) for change in CHANGES for number in (0, 1)]
SCHEMAS = [change.before if number == 0 else change.after for change, number in ALL]


def test_what_we_call_readable_another_library_reads() -> None:
    """Every schema of the evolutions as reader of what every other one wrote."""
    agreed = 0
    for (change, number), text in zip(ALL, SCHEMAS, strict=True):
        writer = fastavro.parse_schema(json.loads(text))
        body = io.BytesIO()
        fastavro.schemaless_writer(body, writer, change.written(number))
        for reader in SCHEMAS:
            if not complaints(parse_avro(reader), parse_avro(text)):
                body.seek(0)
                fastavro.schemaless_reader(body, writer, fastavro.parse_schema(json.loads(reader)))
                agreed += 1
    assert agreed > len(SCHEMAS)


PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
SAMPLES = {
    "null": None,
    "boolean": True,
    "int": 1,
    "long": 1,
    "float": 1.0,
    "double": 1.0,
    "bytes": b"a",
    "string": "a",
}


@pytest.mark.parametrize(("reader", "writer"), list(product(PRIMITIVES, PRIMITIVES)))
def test_promotions_are_those_of_another_library(reader: str, writer: str) -> None:
    body = io.BytesIO()
    fastavro.schemaless_writer(body, writer, SAMPLES[writer])
    body.seek(0)
    found = complaints(parse_avro(reader), parse_avro(writer))
    if found:
        with pytest.raises(fastavro.read.SchemaResolutionError):
            fastavro.schemaless_reader(body, writer, reader)
    else:
        fastavro.schemaless_reader(body, writer, reader)


def test_a_type_within_itself_is_compared_once() -> None:
    def chain(of: str) -> str:
        fields = [{"name": "v", "type": of}, {"name": "next", "type": ["null", "r"]}]
        return json.dumps({"type": "record", "name": "r", "fields": fields})

    assert complaints(parse_avro(chain("long")), parse_avro(chain("int"))) == []
    assert len(complaints(parse_avro(chain("int")), parse_avro(chain("long")))) >= 1


def test_nested_differences_are_named_by_their_path() -> None:
    def of(inner: Any) -> str:
        within = {"type": "record", "name": "inner", "fields": [{"name": "a", "type": inner}]}
        return json.dumps(
            {"type": "record", "name": "r", "fields": [{"name": "x", "type": {"type": "array", "items": within}}]}
        )

    assert complaints(parse_avro(of("int")), parse_avro(of("string"))) == ["x[].a: int does not read string"]


@pytest.mark.parametrize(
    ("level", "forbidden"),
    [
        ("NONE", False),
        ("BACKWARD", False),
        ("BACKWARD_TRANSITIVE", True),
        ("FORWARD", False),
        ("FORWARD_TRANSITIVE", True),
        ("FULL", False),
        ("FULL_TRANSITIVE", True),
    ],
)
def test_a_transitive_level_asks_about_all_versions(level: Any, forbidden: bool) -> None:
    def y(of: str) -> str:
        return f'{{"type":"record","name":"r","fields":[{{"name":"y","type":"{of}","default":{DEFAULTS[of]}}}]}}'

    nothing = '{"type":"record","name":"r","fields":[]}'
    found = conflicts(level, parse_avro(y("string")), [parse_avro(y("int")), parse_avro(nothing)])
    assert bool(found) is forbidden


DEFAULTS = {"int": "1", "string": '""'}


@pytest.mark.parametrize(
    ("column", "of", "taken"),
    [
        ("bigint", "int", True),
        ("bigint", {"type": "long", "logicalType": "timestamp-millis"}, False),
        ("integer", "long", False),
        ("double", "long", True),
        ("double", "string", False),
        ("decimal(4,2)", "int", True),
        ("decimal(4,2)", "double", False),
        ("decimal(4,2)", "bytes", False),
        ("date", "int", False),
        ("date", {"type": "int", "logicalType": "time-millis"}, False),
        ("timestamp", "long", False),
        ("timestamp_ms", "long", True),
        ("timestamp_ms", "string", False),
        ("timestamp_ms", {"type": "long", "logicalType": "timestamp-nanos"}, True),
        ("varchar", {"type": "enum", "name": "e", "symbols": ["A"]}, True),
        ("varchar", {"type": "fixed", "name": "f", "size": 16}, False),
        ("varchar", {"type": "fixed", "name": "f", "size": 16, "logicalType": "uuid"}, True),
        ("varchar", {"type": "map", "values": "string"}, False),
        ("varchar", "null", True),
        ("varchar not null", "null", False),
        ("varchar not null", ["null", "string"], True),
        ("varchar[]", "string", False),
        ("varchar[]", {"type": "array", "items": "string"}, True),
        ("varchar[]", {"type": "array", "items": "null"}, False),
        ("bigint", ["string", "int"], True),
        ("bigint", ["string", "boolean"], False),
        ("bigint", ["null", "string"], False),
        ("bigint", ["null"], True),
        ("timestamp", ["null", "int"], False),
    ],
    ids=str,
)
def test_which_types_a_column_takes(column: str, of: Any, taken: bool) -> None:
    schema = json.dumps({"type": "record", "name": "r", "fields": [{"name": "c", "type": of}]})
    topic = Topic("t", schema={"c": column}, format="avro")
    if taken:
        assert reading(topic, schema).columns == {"c": 0}
    else:
        with pytest.raises(RequestError, match="c: expected"):
            reading(topic, schema)
