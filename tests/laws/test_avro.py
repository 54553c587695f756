"""Avro means what JSON means: the same rows of the same values, on both engines; and both refuse the same bytes."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import fastavro
import hypothesis.strategies as st
import pytest
from hypothesis import given

import watersmeet as wm
from tests.registries import MemorySchemas
from watersmeet.core.avro import encode, schema_of
from watersmeet.core.schemas import framed
from watersmeet.engines import reference
from watersmeet.engines.columnar.engine import ColumnarEngine

from .columnar import chunk, plain
from .test_engines import ARRIVAL, TYPES, logged, same
from .worlds import cases

pytestmark = pytest.mark.unit

SCHEMAS = MemorySchemas()
ENGINE = ColumnarEngine(threads=1, schemas=SCHEMAS)
YEARS_US = (-62_135_596_800_000_000, 253_402_300_799_999_999)
TIMES_US = st.integers(*YEARS_US) | st.sampled_from([0, -1, ARRIVAL, *YEARS_US])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    limit = 10**precision - 1
    whole = st.integers(-limit, limit) | st.sampled_from([0, 1, -1, limit, -limit, 2**63 % limit, -(2**63) % limit])
    return whole.map(lambda n: Decimal((int(n < 0), tuple(map(int, str(abs(n)))), -scale)))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "varchar": TEXTS,
    "date": st.dates(),
    "timestamp": TIMES_US,
    "timestamp_ms": TIMES_US.map(lambda us: -(-us // 1000) * 1000 if us < 0 else us // 1000 * 1000),
    "timestamp_s": TIMES_US.map(lambda us: -(-us // 10**6) * 10**6 if us < 0 else us // 10**6 * 10**6),
}
NAMES = ["boolean", "integer", "bigint", "double", "varchar", "date", "timestamp", "timestamp_ms", "timestamp_s"]
KINDS = st.sampled_from(NAMES) | st.sampled_from(["decimal(5,2)", "decimal(18,0)", "decimal(19,4)", "decimal(38,18)"])


@st.composite
def declared(draw: st.DrawFn) -> wm.Topic:
    """A topic of some columns, with an id and an event time, or without."""
    kinds = draw(st.lists(st.tuples(KINDS, st.booleans(), st.booleans()), min_size=1, max_size=6))
    schema = {f"c{i}": kind + "[]" * many + " not null" * required for i, (kind, many, required) in enumerate(kinds)}
    has_id = draw(st.booleans())
    return wm.Topic("made.up", schema={"id": "varchar not null", **schema}, id="id" if has_id else None, format="avro")


def row_of(draw: st.DrawFn, topic: wm.Topic) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, kind in topic.types:
        one = decimals(kind.precision, kind.scale) if kind.name == "decimal" else VALUES[kind.name]
        values = st.lists(one, max_size=4) if kind.many else one
        out[name] = draw(values if kind.required else st.none() | values)
    return out


@st.composite
def filled(draw: st.DrawFn) -> tuple[wm.Topic, list[dict[str, Any]]]:
    """A topic and rows of it."""
    topic = draw(declared())
    return topic, [row_of(draw, topic) for _ in range(draw(st.integers(1, 8)))]


def as_json(topic: wm.Topic, row: Mapping[str, Any]) -> bytes:
    """The row as a producer of JSON would write it."""

    def text(kind: str, value: Any) -> str:
        if isinstance(value, list):
            return "[" + ",".join(text(kind, item) for item in value) + "]"
        match kind:
            case "date":
                return f'"{value.isoformat()}"'
            case "timestamp":
                return f'"{(EPOCH + timedelta(microseconds=value)).isoformat()}"'
            case "timestamp_ms" | "timestamp_s":
                return str(value // (1_000 if kind == "timestamp_ms" else 1_000_000))
            case "decimal":
                return f"{value:f}"
        return json.dumps(value)

    fields = [f'"{name}":{"null" if row[name] is None else text(kind.name, row[name])}' for name, kind in topic.types]
    return ("{" + ",".join(fields) + "}").encode()


def both(topic: wm.Topic, payloads: Sequence[bytes]) -> list[dict[str, Any]]:
    """The rows, after both engines were seen to agree about them and about the dead."""
    records = logged(payloads)
    expected, found = reference.decode(topic, records, SCHEMAS), ENGINE.decode(topic, chunk(records))
    reasons = {row["offset"]: row["reason"] for row in plain(found.dead)}
    assert reasons == {d.record["offset"]: d.reason for d in expected if d.reason}
    rows = plain(found.rows)
    assert len(rows) + len(reasons) == len(payloads)
    for row, d in zip(rows, [d for d in expected if not d.reason], strict=True):
        same(row, d.row, list(d.row))
    return rows


@cases(40, 4000)
@given(filled())
def test_rows_are_the_same_as_from_json(given_: tuple[wm.Topic, list[dict[str, Any]]]) -> None:
    topic, rows = given_
    id_ = SCHEMAS.register(f"{topic.name}-value", schema_of(topic))
    from_avro = both(topic, [framed(id_, encode(topic, row)) for row in rows])
    from_json = both(replace(topic, format="json"), [as_json(topic, row) for row in rows])
    assert len(from_avro) == len(rows)
    names = [name for name, _ in topic.types]
    for ours, theirs in zip(from_avro, from_json, strict=True):
        same(ours, theirs, names)
    if topic.id is not None:
        assert [(r["_hi"], r["_lo"]) for r in from_avro] == [(r["_hi"], r["_lo"]) for r in from_json]


@cases(25, 2000)
@given(filled())
def test_what_we_write_others_read(given_: tuple[wm.Topic, list[dict[str, Any]]]) -> None:
    topic, rows = given_
    schema = json.loads(schema_of(topic))
    for row in rows:
        body = io.BytesIO(encode(topic, row))
        back = fastavro.schemaless_reader(body, schema, return_record_name=False)
        assert body.read() == b""
        assert isinstance(back, dict)
        for name, kind in topic.types:
            if kind.name in ("boolean", "integer", "bigint", "varchar", "double") and not kind.many:
                assert back[name] == row[name]


FLAT = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
LOGICAL = [
    {"type": "int", "logicalType": "date"},
    {"type": "int", "logicalType": "time-millis"},
    {"type": "long", "logicalType": "timestamp-millis"},
    {"type": "long", "logicalType": "timestamp-micros"},
    {"type": "long", "logicalType": "timestamp-nanos"},
    {"type": "long", "logicalType": "local-timestamp-millis"},
    {"type": "string", "logicalType": "uuid"},
    {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2},
    {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 3},
    {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 0},
]


@st.composite
def written_types(draw: st.DrawFn, depth: int = 0) -> Any:
    """A writer's type, of any kind; names are unique enough."""
    name = f"N{draw(st.integers(0, 10**9))}"
    match draw(st.integers(0, 13 if depth < 2 else 7)):
        case 0 | 1 | 2 | 3:
            return draw(st.sampled_from(FLAT))
        case 4 | 5:
            return draw(st.sampled_from(LOGICAL))
        case 6:
            return {"type": "enum", "name": name, "symbols": ["A", "B", "C"]}
        case 7:
            return {"type": "fixed", "name": name, "size": draw(st.sampled_from([0, 1, 16]))}
        case 8:
            return {"type": "array", "items": draw(written_types(depth=depth + 1))}
        case 9:
            return {"type": "map", "values": draw(written_types(depth=depth + 1))}
        case 10:
            fields = draw(st.lists(written_types(depth=depth + 1), max_size=3))
            return {
                "type": "record",
                "name": name,
                "fields": [{"name": f"f{i}", "type": of} for i, of in enumerate(fields)],
            }
        case 11:
            parts = draw(st.lists(written_types(depth=2), min_size=1, max_size=4))
            kinds = {(p if isinstance(p, str) else p["type"]): p for p in parts}
            return list(kinds.values())
    inner = draw(written_types(depth=2))
    return inner if inner == "null" else draw(st.sampled_from([["null", inner], [inner, "null"]]))


def write(draw: st.DrawFn, of: Any) -> bytes:
    """Bytes of a value of a type, now and then such as no column accepts."""

    def whole(number: int) -> bytes:
        return _varint((number << 1) ^ (number >> 63))

    if isinstance(of, list):
        branch = draw(st.integers(0, len(of) - 1))
        return whole(branch) + write(draw, of[branch])
    kind = of if isinstance(of, str) else of["type"]
    match kind:
        case "null":
            return b""
        case "boolean":
            return draw(st.sampled_from([b"\0", b"\1"]))
        case "int":
            return whole(draw(st.integers(-(2**31), 2**31 - 1) | st.integers(-3_000_000, 3_000_000)))
        case "long":
            return whole(draw(st.integers(-(2**63), 2**63 - 1) | TIMES_US | TIMES_US.map(lambda us: us // 1000)))
        case "float":
            return struct.pack("<f", draw(st.floats(width=32)))
        case "double":
            return struct.pack("<d", draw(st.floats()))
        case "string" | "bytes":
            data = draw(TEXTS.map(str.encode) | st.binary(max_size=20) | st.sampled_from([b"2024-01-01", b"a\0b"]))
            return whole(len(data)) + data
        case "enum":
            return whole(draw(st.integers(0, 2)))
        case "fixed":
            return draw(st.binary(min_size=of["size"], max_size=of["size"]))
        case "record":
            return b"".join(write(draw, item["type"]) for item in of["fields"])
    blocks = b""
    for _ in range(draw(st.integers(0, 2))):
        key = [whole(1) + b"k" if kind == "map" else b"" for _ in range(draw(st.integers(1, 3)))]
        items = b"".join(k + write(draw, of["items" if kind == "array" else "values"]) for k in key)
        sized = draw(st.booleans())
        blocks += (whole(-len(key)) + whole(len(items)) if sized else whole(len(key))) + items
    return blocks + b"\0"


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


READ = {**TYPES, "id": "varchar", "at": "timestamp"}


@st.composite
def strangers(draw: st.DrawFn) -> tuple[wm.Topic, list[bytes]]:
    """A topic, and payloads of writers that never heard of it: most can be read in part, some not, some are broken."""
    names = draw(st.lists(st.sampled_from(sorted(READ)), min_size=1, max_size=5, unique=True))
    kinds = {name: READ[name] + draw(st.sampled_from(["", "", " not null"])) for name in names}
    extra: Literal["ignore", "reject"] = draw(st.sampled_from(["ignore", "ignore", "reject"]))
    topic = wm.Topic("t", schema=kinds, extra=extra, format="avro")
    payloads = []
    for number in range(draw(st.integers(1, 3))):
        fields = []
        for name, kind in topic.types:
            fits = TAKEN.get(kind.name, FLAT)
            of = draw(st.sampled_from(fits) if draw(st.integers(0, 9)) else written_types())
            of = {"type": "array", "items": of} if kind.many and of != "null" else of
            of = draw(st.sampled_from([of, of, ["null", of]])) if of != "null" and not isinstance(of, list) else of
            fields.append({"name": name, "type": of})
        if draw(st.booleans()):
            fields.insert(draw(st.integers(0, len(fields))), {"name": "other", "type": draw(written_types())})
        schema = {"type": "record", "name": f"W{number}", "fields": fields}
        id_ = SCHEMAS.add(json.dumps(schema))
        count = draw(st.integers(1, 6))
        payloads += [broken(draw, framed(id_, write(draw, schema))) for _ in range(count)]
    return topic, payloads


TAKEN: dict[str, list[Any]] = {
    "boolean": ["boolean"],
    "integer": ["int"],
    "bigint": ["int", "long"],
    "double": ["int", "long", "float", "double"],
    "decimal": [*LOGICAL[-3:], "int", "long"],
    "varchar": ["string", "bytes", LOGICAL[6]],
    "date": [LOGICAL[0], "string"],
    "timestamp": [*LOGICAL[2:6], "string"],
    "timestamp_ms": [*LOGICAL[2:6], "long", "int"],
    "timestamp_s": ["long", "int"],
}


def broken(draw: st.DrawFn, payload: bytes) -> bytes:
    match draw(st.integers(0, 30)):
        case 0:
            return payload[: draw(st.integers(0, len(payload)))]
        case 1:
            return payload + draw(st.binary(min_size=1, max_size=3))
        case 2:
            at = draw(st.integers(0, len(payload) - 1))
            return payload[:at] + draw(st.binary(min_size=1, max_size=1)) + payload[at + 1 :]
        case 3:
            return b"\0\0\xff\xff\xff" + payload[5:]
    return payload


@cases(60, 10_000)
@given(strangers())
def test_both_engines_read_and_refuse_the_same(given_: tuple[wm.Topic, list[bytes]]) -> None:
    both(*given_)
