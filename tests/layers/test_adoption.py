from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import watersmeet as wm
from watersmeet.core.errors import RequestError
from watersmeet.layers.adoption import Draft, decoded, draft, draft_avro, rows_of, written

pytestmark = pytest.mark.unit
CLICKS = [
    {"event_id": "a", "user_id": 7, "at": 1_700_000_000_000, "page": "/", "ms": 1.5, "tags": ["x"], "geo": {"c": "de"}},
    {"event_id": "b", "user_id": 7, "at": 1_700_000_000_500, "page": None, "ms": 2, "tags": []},
]


def declared(found: Draft) -> wm.Topic:
    space: dict[str, object] = {}
    exec(written(found), space)
    (topic,) = (value for value in space.values() if isinstance(value, wm.Topic))
    return topic


def test_a_draft_says_what_the_sample_shows() -> None:
    found = draft("web.clicks", CLICKS)
    assert found.schema == {
        "event_id": "varchar not null",
        "user_id": "integer not null",
        "at": "timestamp_ms not null",
        "page": "varchar",
        "ms": "double not null",
        "tags": "varchar[] not null",
    }
    assert (found.event_time, found.id, found.key) == ("at", "event_id", "user_id")
    assert list(found.left_out) == ["geo"]


def test_what_is_written_declares_the_topic() -> None:
    topic = declared(draft("web.clicks", CLICKS))
    assert (topic.name, topic.id, topic.key, topic.event_time) == ("web.clicks", "event_id", "user_id", "at")
    assert topic.schema == draft("web.clicks", CLICKS).schema
    assert "'geo'" in written(draft("web.clicks", CLICKS)).replace('"', "'")


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([True, False], "boolean"),
        ([1, 2_147_483_647, -2_147_483_648], "integer"),
        ([2_147_483_648], "bigint"),
        ([2**63], "double"),
        ([1, 2.5], "double"),
        ([Decimal("1.50"), Decimal(2)], "decimal(38,2)"),
        (["2026-01-01"], "date"),
        (["2026-01-01T05:00:00Z", "2026-01-01 05:00"], "timestamp"),
        (["2026-01-01T05:00:00Z", "soon"], "varchar"),
        ([datetime(2026, 1, 1, tzinfo=UTC)], "timestamp"),
        ([date(2026, 1, 1)], "date"),
        ([[1], [2, 3]], "integer[]"),
    ],
)
def test_the_narrowest_type_that_holds_all(values: list[object], type_: str) -> None:
    assert draft("t", [{"x": v} for v in values]).schema == {"x": f"{type_} not null"}


@pytest.mark.parametrize("values", [[1, "a"], [{"a": 1}], [[1, "a"]], [[[1]]], [None], [True, 1]])
def test_what_is_no_column_is_left_out_by_name(values: list[object]) -> None:
    found = draft("t", [{"x": v, "y": 1} for v in values])
    assert (list(found.schema), list(found.left_out)) == (["y"], ["x"])


def test_a_number_is_a_time_only_where_its_name_says_so() -> None:
    rows = [{"n": 1_700_000_000_000, "created_at": 1_700_000_000, "time": 5}]
    kinds = draft("t", rows).schema
    assert kinds == {"n": "bigint not null", "created_at": "timestamp_s not null", "time": "integer not null"}


def test_without_a_time_or_an_id_the_draft_says_so() -> None:
    text = written(draft("t", [{"x": 1}, {"x": 1}]))
    assert "arrival" in text
    assert "count twice" in text


@pytest.mark.parametrize("rows", [[], [{}], [{"a b": 1}], [{"window_start": 1}]])
def test_a_sample_of_nothing_is_refused(rows: list[dict[str, object]]) -> None:
    with pytest.raises(RequestError, match="sample of topic t"):
        draft("t", rows)


def test_files_of_each_kind_are_read(tmp_path: Path) -> None:
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": None}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n[1]\n\n")
    (tmp_path / "x.csv").write_text("id,name\n1,a\n2,\n")
    pq.write_table(pa.table({"id": [1, 2], "name": ["a", None]}), tmp_path / "x.parquet")
    for ending in ("jsonl", "csv", "parquet"):
        assert rows_of(tmp_path / f"x.{ending}") == rows
    assert len(rows_of(tmp_path / "x.jsonl", limit=1)) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"nothing")
    (tmp_path / "x.txt").write_bytes(b"nothing")
    for name in ("x.parquet", "x.txt", "none.csv"):
        with pytest.raises(RequestError, match=name):
            rows_of(tmp_path / name)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from("abc"), st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=2))
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_is_drafted_declares(rows: list[dict[str, object]]) -> None:
    try:
        found = draft("t", rows)
    except RequestError:
        return
    assert declared(found).schema == found.schema
    assert set(found.schema) | set(found.left_out) == {name for row in rows for name in row}


def test_payloads_that_are_no_objects_are_no_part_of_it() -> None:
    assert decoded([b'{"a":1}', b"[1]", b"{", b"\xff", b"7"]) == [{"a": 1}]


def test_an_avro_schema_drafts_a_topic_in_avro() -> None:
    fields: list[dict[str, object]] = [
        {"name": "event_id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "user_id", "type": "long"},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 4}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "tags", "type": {"type": "array", "items": "string"}},
        {"name": "where", "type": {"type": "record", "name": "W", "fields": []}},
        {"name": "either", "type": ["int", "string"]},
    ]
    found = draft_avro("clicks", json.dumps({"type": "record", "name": "Click", "fields": fields}))
    assert found.schema == {
        "event_id": "varchar not null",
        "user_id": "bigint not null",
        "at": "timestamp not null",
        "day": "date",
        "price": "decimal(12,4) not null",
        "kind": "varchar not null",
        "tags": "varchar[] not null",
    }
    assert (found.id, found.key, found.event_time) == ("event_id", "user_id", "at")
    assert list(found.left_out) == ["where", "either"]
    assert 'format="avro"' in written(found)


@pytest.mark.parametrize("schema", ['"string"', '{"type": "record", "name": "x", "fields": []}', "{"])
def test_an_avro_schema_of_no_columns_is_refused(schema: str) -> None:
    with pytest.raises(RequestError):
        draft_avro("clicks", schema)
