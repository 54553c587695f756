"""Framed Avro: which bytes are dead and why, and that a registry that is away is a pause."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.registries import MemorySchemas
from watersmeet.core.avro import encode, schema_of
from watersmeet.core.errors import SettingsError, UnavailableError
from watersmeet.core.schemas import framed
from watersmeet.core.topic import Topic
from watersmeet.engines.columnar import decode_avro
from watersmeet.engines.columnar.decode import LEAST_SHARE, Decoder

from .chunks import ARRIVAL_US, COLUMNS, logged

pytestmark = pytest.mark.unit

TOPIC = Topic(
    "sales",
    schema={
        "id": "varchar not null",
        "at": "timestamp not null",
        "paid": "decimal(8,2)",
        "tags": "varchar[]",
        "day": "date",
        "ok": "boolean",
    },
    id="id",
    event_time="at",
    check={"positive": "paid > 0"},
    compute={"half": "paid / 2"},
    format="avro",
)
ROW: dict[str, object] = {
    "id": "a",
    "at": ARRIVAL_US,
    "paid": Decimal("12.30"),
    "tags": ["x", "Ω"],
    "day": date(2024, 2, 29),
    "ok": True,
}
WHOLE = {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}]}


def decoded(
    topic: Topic, schemas: MemorySchemas, *payloads: bytes | None
) -> tuple[list[Any], list[tuple[int, str, str]]]:
    """Rows, and (offset, reason, detail) of the dead."""
    found = Decoder(COLUMNS, schemas).decode(topic, logged(payloads))
    rows, dead = pa.table(found.rows).to_pylist(), pa.table(found.dead).to_pylist()
    assert len(rows) + len(dead) == len(payloads)
    return rows, [(row["offset"], row["reason"], row["detail"]) for row in dead]


def test_a_row_comes_out_as_it_was_written() -> None:
    schemas = MemorySchemas(schema_of(TOPIC))
    [row], dead = decoded(TOPIC, schemas, framed(1, encode(TOPIC, ROW)))
    assert dead == []
    assert {name: row[name] for name in ("id", "paid", "tags", "day", "ok")} == {
        name: ROW[name] for name in ("id", "paid", "tags", "day", "ok")
    }
    assert row["half"] == pytest.approx(6.15)


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        (None, "bad_magic", "empty payload"),
        (b"", "bad_magic", "empty payload"),
        (b"{}", "bad_magic", "the first byte is 123, not 0"),
        (b"\0\0\0", "truncated_bytes", "3 bytes, of a header of 5"),
        (framed(1, b""), "truncated_bytes", "5 bytes are not all of it"),
        (framed(1, b"\x80"), "truncated_bytes", "6 bytes are not all of it"),
        (framed(1, b"\2\2"), "trailing_bytes", "1 bytes after the value"),
        (framed(1, b"\xff" * 10), "malformed_avro", "a number of more than 64 bits"),
        (framed(99, b"\2"), "unknown_schema", "id 99: schema 99; got none"),
        (framed(2, b"\2"), "incompatible_schema", "id 2: n: expected bigint, got string"),
        (framed(3, b"\2"), "incompatible_schema", "id 3: no JSON: "),
        (framed(4, b"\2"), "incompatible_schema", "id 4: long"),
        (framed(5, b"\4"), "malformed_avro", "branch 2 of 2"),
        (framed(5, b"\0"), "missing_field", "n"),
        (framed(6, b"\2\7"), "malformed_avro", "a length of -4"),
        (framed(7, b"\2\1\2"), "malformed_avro", "a block of 0 bytes that says 1"),
        (framed(8, b"\2\2"), "malformed_avro", "a boolean of 2"),
        (framed(9, b"\2\6"), "malformed_avro", "symbol 3 of 1"),
    ],
    ids=str,
)
def test_every_bad_record_is_one_dead_letter(payload: bytes | None, reason: str, detail: str) -> None:
    topic = Topic("t", schema={"n": "bigint not null"}, format="avro")

    def beside(of: object) -> str:
        return json.dumps({**WHOLE, "fields": [*WHOLE["fields"], {"name": "other", "type": of}]})

    schemas = MemorySchemas(
        json.dumps(WHOLE),
        json.dumps({**WHOLE, "fields": [{"name": "n", "type": "string"}]}),
        "{",
        '"long"',
        json.dumps({**WHOLE, "fields": [{"name": "n", "type": ["null", "long"]}]}),
        beside("string"),
        beside({"type": "array", "items": "null"}),
        beside("boolean"),
        beside({"type": "enum", "name": "e", "symbols": ["A"]}),
    )
    good = framed(1, b"\6")
    rows, [(offset, found, said)] = decoded(topic, schemas, good, payload, good)
    assert (offset, found) == (1, reason)
    assert said.startswith(detail)
    assert [row["n"] for row in rows] == [3, 3]


@pytest.mark.parametrize(
    ("column", "scale", "unscaled", "value"),
    [
        ("decimal(5,2)", 1, -5, "-0.50"),
        ("decimal(5,2)", 3, 12_340, "12.34"),
        ("decimal(5,2)", 3, 12_345, None),
        ("decimal(5,2) round", 3, 12_345, "12.35"),
        ("decimal(5,2) round", 3, -12_345, "-12.35"),
        ("decimal(5,2)", 0, 999, "999.00"),
        ("decimal(5,2)", 0, 1_000, None),
        ("decimal(5,2) round", 3, 999_995, None),
        ("decimal(38,0)", 0, 10**38 - 1, "9" * 38),
        ("decimal(38,0)", 0, 10**38, None),
        ("decimal(38,0)", 0, -(10**38), None),
        ("decimal(38,18)", 17, 2**64, "184.467440737095516160"),
        ("decimal(38,18)", 18, -(2**63), "-9.223372036854775808"),
        ("decimal(4,0)", 30, 2**63 - 1, None),
    ],
)
def test_decimals_of_other_scales(column: str, scale: int, unscaled: int, value: str | None) -> None:
    field = {"type": "bytes", "logicalType": "decimal", "precision": 40, "scale": scale}
    schema = {"type": "record", "name": "r", "fields": [{"name": "n", "type": field}]}
    data = unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)
    for padded in (data, (b"\xff" if unscaled < 0 else b"\0") * 3 + data):
        payload = framed(1, bytes([2 * len(padded)]) + padded)
        rows, dead = decoded(
            Topic("t", schema={"n": column}, format="avro"), MemorySchemas(json.dumps(schema)), payload
        )
        assert [str(row["n"]) for row in rows] == ([] if value is None else [value])
        assert [reason for _, reason, _ in dead] == (["invalid_value"] if value is None else [])


def test_the_id_and_the_check_mean_what_they_mean_in_json() -> None:
    schemas = MemorySchemas(schema_of(TOPIC))
    json_topic = replace(TOPIC, format="json")
    text = b'{"id":"a","at":"2025-12-17T19:33:20Z","paid":12.30}'
    [[ours], _] = decoded(TOPIC, schemas, framed(1, encode(TOPIC, ROW)))
    [[theirs], _] = decoded(json_topic, schemas, text)
    assert (ours["_hi"], ours["_lo"], ours["event_time"]) == (theirs["_hi"], theirs["_lo"], theirs["event_time"])
    _, dead = decoded(TOPIC, schemas, framed(1, encode(TOPIC, {**ROW, "paid": Decimal(-1)})))
    assert dead == [(0, "positive", "not true: paid > 0")]
    late = framed(1, encode(TOPIC, {**ROW, "at": ARRIVAL_US + TOPIC.skew_us + 1_000_000}))
    assert decoded(TOPIC, schemas, late)[1][0][1] == "invalid_timestamp"


def test_a_registry_that_is_away_is_a_pause_and_then_nothing_was_lost() -> None:
    schemas = MemorySchemas(schema_of(TOPIC))
    payload = framed(1, encode(TOPIC, ROW))
    decoder, chunk = Decoder(COLUMNS, schemas), logged([payload, b"{}", payload])
    schemas.down = True
    with pytest.raises(UnavailableError):
        decoder.decode(TOPIC, chunk)
    schemas.down = False
    found = decoder.decode(TOPIC, chunk)
    assert (pa.table(found.rows).num_rows, pa.table(found.dead).num_rows) == (2, 1)
    schemas.down = True  # what is known needs no registry
    assert pa.table(decoder.decode(TOPIC, chunk).rows).num_rows == 2


def test_the_registry_is_asked_once_for_an_id() -> None:
    schemas = MemorySchemas(schema_of(TOPIC), json.dumps(WHOLE))
    payloads = [framed(1, encode(TOPIC, ROW)), framed(2, b"\2")] * 50
    decoder = Decoder(COLUMNS, schemas)
    decoder.decode(TOPIC, logged(payloads))
    decoder.decode(TOPIC, logged(payloads))
    assert schemas.asked == [1, 2]


def test_an_id_that_was_unknown_may_come_to_be_known() -> None:
    schemas = MemorySchemas()
    decoder, chunk = Decoder(COLUMNS, schemas), logged([framed(1, encode(TOPIC, ROW))])
    assert pa.table(decoder.decode(TOPIC, chunk).rows).num_rows == 0
    schemas.add(schema_of(TOPIC))
    assert pa.table(decoder.decode(TOPIC, chunk).rows).num_rows == 1


def test_a_topic_in_avro_needs_a_registry() -> None:
    with pytest.raises(SettingsError, match=r"stores\.schemas"):
        Decoder(COLUMNS).decode(TOPIC, logged([framed(1, encode(TOPIC, ROW))]))


def test_large_chunks_and_sliced_ones_come_out_in_order() -> None:
    """More rows than one thread takes, of two writers in turn, with dead ones between."""
    two = Topic("sales", schema={**TOPIC.schema, "more": "bigint"}, format="avro")
    schemas = MemorySchemas(schema_of(TOPIC), schema_of(two))
    count = 2 * LEAST_SHARE + 10
    parts = [framed(1, encode(TOPIC, ROW)), framed(2, encode(two, {**ROW, "more": 5})), b"\0"]
    chunk = logged([parts[n % 3] for n in range(count)]).slice(1)
    found = Decoder(COLUMNS, schemas).decode(two, chunk)
    rows, dead = pa.table(found.rows), pa.table(found.dead)
    assert rows.column("offset").to_pylist() == [n for n in range(1, count) if n % 3 < 2]
    assert dead.column("offset").to_pylist() == [n for n in range(1, count) if n % 3 == 2]
    assert rows.column("more").slice(0, 3).to_pylist() == [5, None, 5]


def test_rows_are_read_by_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the platform itself writes never needs to be read alone."""

    def refuse(*_: object) -> None:
        raise AssertionError("a row was read alone")

    monkeypatch.setattr(decode_avro, "read_avro", refuse)
    rows, dead = decoded(TOPIC, MemorySchemas(schema_of(TOPIC)), *[framed(1, encode(TOPIC, ROW))] * 10)
    assert (len(rows), dead) == (10, [])


def test_only_the_wanted_columns_are_given() -> None:
    schemas = MemorySchemas(schema_of(TOPIC))
    chunk = logged([framed(1, encode(TOPIC, ROW)), framed(1, encode(TOPIC, {**ROW, "paid": Decimal(-1)}))])
    found = Decoder(COLUMNS, schemas).decode(TOPIC, chunk, ["ok"])
    assert "paid" not in pa.table(found.rows).column_names
    assert (pa.table(found.rows).num_rows, pa.table(found.dead).num_rows) == (1, 1)


def test_equal_bytes_have_equal_content_and_others_do_not() -> None:
    schemas = MemorySchemas(schema_of(TOPIC))
    one, other = framed(1, encode(TOPIC, ROW)), framed(1, encode(TOPIC, {**ROW, "ok": False}))
    rows, _ = decoded(TOPIC, schemas, one, one, other)
    first, again, third = (row["_content"] for row in rows)
    assert first == again != third
