from __future__ import annotations

import hashlib
import json
import random
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engines.columnar.chunks import ARRIVAL_US, COLUMNS, logged, topic
from tests.engines.columnar.readings import Readings, outcomes
from watersmeet.core.errors import DeclarationError
from watersmeet.engines.columnar.decode import Decoder

pytestmark = pytest.mark.unit

INVALID = "invalid_value"


def at(*when: int) -> datetime:
    """A time as DECODED has it."""
    return datetime(*when, tzinfo=UTC).replace(tzinfo=None)  # type: ignore[misc, arg-type]  # year, month, day, …


# type, JSON text of the value, the value or the reason
CASES: list[tuple[str, str, Any]] = [
    ("boolean", "true", True),
    ("boolean", "false", False),
    ("boolean", '"true"', INVALID),
    ("boolean", "1", INVALID),
    ("boolean", "tRue", "malformed_json"),
    ("integer", "12", 12),
    ("integer", "-2147483648", -2147483648),
    ("integer", "2147483648", INVALID),
    ("integer", '"12"', INVALID),
    ("integer", "1.0", INVALID),
    ("integer", "1.5", INVALID),
    ("integer", "1e2", INVALID),
    ("integer", "5e-324", INVALID),
    ("integer", "true", INVALID),
    ("integer", "[1]", INVALID),
    ("integer", '{"a":1}', INVALID),
    ("integer", "-0", 0),
    ("integer", "01", "malformed_json"),
    ("integer", "+1", "malformed_json"),
    ("integer", "NaN", "malformed_json"),
    ("bigint", "9223372036854775807", 9223372036854775807),
    ("bigint", "-9223372036854775808", -9223372036854775808),
    ("bigint", "9223372036854775808", INVALID),
    ("bigint", "9" * 30, INVALID),
    ("bigint", "9" * 5000, INVALID),
    ("double", "1.5", 1.5),
    ("double", "1", 1.0),
    ("double", "1e3", 1000.0),
    ("double", "-0.0", 0.0),
    ("double", "1e999", INVALID),
    ("double", "-1E400", INVALID),
    ("double", "NaN", "malformed_json"),
    ("double", "-Infinity", "malformed_json"),
    ("double", '"1.5"', INVALID),
    ("double", "true", INVALID),
    ("double", "0.1234567890123456789", 0.12345678901234568),
    ("decimal(4,2)", "4.25", Decimal("4.25")),
    ("decimal(4,2)", "4", Decimal("4.00")),
    ("decimal(4,2)", "4.0", Decimal("4.00")),
    ("decimal(4,2)", "4.250", Decimal("4.25")),
    ("decimal(4,2)", "-0.00", Decimal("0.00")),
    ("decimal(4,2)", "425e-2", Decimal("4.25")),
    ("decimal(4,2)", "4.255", INVALID),
    ("decimal(4,2)", "4.2500000000000000001", INVALID),
    ("decimal(4,2)", "42500000000000000001e-19", INVALID),
    ("decimal(4,2)", "4.29999999999999982236431605997495353221893310546875", INVALID),
    ("decimal(4,2)", "99.99", Decimal("99.99")),
    ("decimal(4,2)", "100", INVALID),
    ("decimal(4,2)", '"4.25"', INVALID),
    ("decimal(4,2)", "true", INVALID),
    ("decimal(4,2)", "1e999999999", INVALID),
    ("decimal(4,2)", "1e-999999999", INVALID),
    ("decimal(4,2)", "0e5", Decimal("0.00")),
    ("decimal(4,2) round", "4.255", Decimal("4.26")),
    ("decimal(4,2) round", "-4.255", Decimal("-4.26")),
    ("decimal(4,2) round", "4.25499999999999999999", Decimal("4.25")),
    ("decimal(4,2) round", "2.675", Decimal("2.68")),
    ("decimal(4,2) round", "99.995", INVALID),
    ("decimal(4,2) round", "1e-400", Decimal("0.00")),
    ("decimal(12,4) round", "0.12345", Decimal("0.1235")),
    ("decimal(38,18)", "12345678901234567890.123456789012345678", Decimal("12345678901234567890.123456789012345678")),
    ("decimal(38,9)", "12345678.123456789", Decimal("12345678.123456789")),
    ("decimal(38,0)", "1" * 38, Decimal("1" * 38)),
    ("decimal(38,0)", "1" * 39, INVALID),
    ("varchar", '"x"', "x"),
    ("varchar", '""', ""),
    ("varchar", r'"a\"b\\c\/d\n\u00e9\ud83d\ude00"', 'a"b\\c/d\né😀'),
    ("varchar", '"né"', "né"),
    ("varchar", "7", INVALID),
    ("varchar", "true", INVALID),
    ("varchar", '["x"]', INVALID),
    ("varchar", r'"a\u0000b"', INVALID),
    ("varchar", r'"a\\u0000b"', "a\\u0000b"),
    ("varchar", r'"\ud800"', "malformed_json"),
    ("varchar", r'"\ude00\ud83d"', "malformed_json"),
    ("varchar", '"a\nb"', "malformed_json"),
    ("varchar", r'"\x"', "malformed_json"),
    ("date", '"2024-02-29"', date(2024, 2, 29)),
    ("date", '"0001-01-01"', date(1, 1, 1)),
    ("date", '"2023-02-29"', INVALID),
    ("date", '"0000-01-01"', INVALID),
    ("date", '"2024-2-29"', INVALID),
    ("date", '"2024-02-29T00:00:00Z"', INVALID),
    ("date", '" 024-02-29"', INVALID),
    ("date", '"epoch"', INVALID),
    ("date", "20240229", INVALID),
    ("timestamp", '"2025-12-17T13:30:00Z"', at(2025, 12, 17, 13, 30)),
    ("timestamp", '"2025-12-17T13:30:00.123Z"', at(2025, 12, 17, 13, 30, 0, 123000)),
    ("timestamp", '"2025-12-17T13:30:00.123456Z"', at(2025, 12, 17, 13, 30, 0, 123456)),
    ("timestamp", '"2025-12-17T13:30:00.123456999Z"', at(2025, 12, 17, 13, 30, 0, 123456)),
    ("timestamp", '"2025-12-17T13:30:00.12z"', at(2025, 12, 17, 13, 30, 0, 120000)),
    ("timestamp", '"2025-12-17 13:30:00"', at(2025, 12, 17, 13, 30)),
    ("timestamp", '"2025-12-17T13:30Z"', at(2025, 12, 17, 13, 30)),
    ("timestamp", '"2025-12-17T13:30:00+01:00"', at(2025, 12, 17, 12, 30)),
    ("timestamp", '"2025-12-17T13:30:00.5-0130"', at(2025, 12, 17, 15, 0, 0, 500000)),
    ("timestamp", '"2025-12-17T13:30:00+02"', at(2025, 12, 17, 11, 30)),
    ("timestamp", r'"2025-12-17T13:30:00\u005a"', at(2025, 12, 17, 13, 30)),
    ("timestamp", '"0001-01-01T00:00:00Z"', at(1, 1, 1)),
    ("timestamp", '"9999-12-31T23:59:59.999999Z"', at(9999, 12, 31, 23, 59, 59, 999999)),
    ("timestamp", '"0001-01-01T00:00:00+01:00"', INVALID),
    ("timestamp", '"9999-12-31T23:59:59-01:00"', INVALID),
    ("timestamp", '"0000-01-01T00:00:00Z"', INVALID),
    ("timestamp", '"2025-12-17"', INVALID),
    ("timestamp", '"2025-02-30T13:30:00Z"', INVALID),
    ("timestamp", '"2025-12-17T24:00:00Z"', INVALID),
    ("timestamp", '"2025-12-17T13:30:60Z"', INVALID),
    ("timestamp", '"2025-12-17T13:30:00+25:00"', INVALID),
    ("timestamp", '"2025-12-17T13:30:00+01:60"', INVALID),
    ("timestamp", '"2025-2-3T13:30:00.000Z"', INVALID),
    ("timestamp", '"2025-12-17T13:30:00.000ZZZ"', INVALID),
    ("timestamp", '" 025-12-17T13:30:00Z"', INVALID),
    ("timestamp", '"-025-12-17T13:30:00Z"', INVALID),
    ("timestamp", '"2025-12-17T 3:30:00Z"', INVALID),
    ("timestamp", '"2025-12-17T13:30:00.12 Z"', INVALID),
    ("timestamp", '"infinity"', INVALID),
    ("timestamp", "1766000000", INVALID),
    ("timestamp_ms", "1766000000123", at(2025, 12, 17, 19, 33, 20, 123000)),
    ("timestamp_ms", "-1", at(1969, 12, 31, 23, 59, 59, 999000)),
    ("timestamp_ms", "253402300800000", INVALID),
    ("timestamp_ms", "-62135596800001", INVALID),
    ("timestamp_ms", "9223372036854775807", INVALID),
    ("timestamp_ms", "1.5", INVALID),
    ("timestamp_ms", '"1766000000123"', INVALID),
    ("timestamp_s", "-62135596800", at(1, 1, 1)),
    ("timestamp_s", "253402300799", at(9999, 12, 31, 23, 59, 59)),
    ("timestamp_s", "253402300800", INVALID),
    ("varchar[]", '["a","b\\n"]', ["a", "b\n"]),
    ("varchar[]", "[]", []),
    ("varchar[]", '["a",null]', INVALID),
    ("varchar[]", '["a",1]', INVALID),
    ("varchar[]", '"a"', INVALID),
    ("varchar[]", '[["a"]]', INVALID),
    ("integer[]", "[1,2]", [1, 2]),
    ("integer[]", "[1,2.0]", INVALID),
    ("integer[]", "[1,]", "malformed_json"),
    ("double[]", "[1,-0.0]", [1.0, 0.0]),
    ("double[]", "[1,NaN]", "malformed_json"),
    ("decimal(4,2)[]", "[1.25,2]", [Decimal("1.25"), Decimal("2.00")]),
    ("decimal(4,2)[]", "[1.255]", INVALID),
    ("timestamp[]", '["2025-12-17T13:30:00Z"]', [at(2025, 12, 17, 13, 30)]),
    ("boolean[]", "[true,false]", [True, False]),
    ("date[]", '["2024-02-29"]', [date(2024, 2, 29)]),
]


@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in CASES}))
@pytest.mark.parametrize("reading", ["alone", "tokens", "echo"])
@pytest.mark.parametrize("spaced", [False, True])
def test_each_type_accepts_its_tokens_and_no_others(readings: Readings, kind: str, reading: str, spaced: bool) -> None:
    cases = [(text, expected) for each, text, expected in CASES if each == kind]
    form = '{"n": 1, "x": %s}' if spaced else '{"n":1,"x":%s}'
    payloads: list[bytes | None] = [(form % text).encode() for text, _ in cases]
    found = outcomes(topic({"n": "integer", "x": kind}), payloads, getattr(readings, reading)())
    expected = [
        result if isinstance(result, str) and result in (INVALID, "malformed_json") else {"n": 1, "x": result}
        for _, result in cases
    ]
    assert [repr(x) for x in found] == [repr(x) for x in expected]


def test_negative_zero_becomes_zero(readings: Readings) -> None:
    for reading in (readings.alone, readings.tokens, readings.echo):
        [found] = outcomes(topic({"x": "double"}), [b'{"x":-0.0}'], reading())
        assert str(found["x"]) == "0.0"


MALFORMED: list[bytes | None] = [
    None,
    b"",
    b"  \t\r\n",
    b"plain",
    b'{"x":1',
    b'{"x":1}}',
    b'{"x":1}{"x":2}',
    b'{"x":1,}',
    b'{"x":1 , }',
    b'{"x":1,"y":[1,2,]}',
    b'{"x":1,"y":NaN}',
    b'{"x":1,"y":{"z":[0,-inf]}}',
    b'{"x":1,"x":nan}',
    b"{'x':1}",
    b"{x:1}",
    b'{"x":1}//c',
    b'\xef\xbb\xbf{"x":1}',
    b'{"x":1,"y":"\xff"}',
    b'{"x":1,"y":"\xed\xa0\x80"}',
    b'{"x":1,"y":"\\ud800"}',
    b'{"x":1}\x00',
    b'{"x":1,"y":' + b"[" * 101 + b"]" * 101 + b"}",
    b'{"x":1,"y":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}",
    b"[" * 200_000,
]


@pytest.mark.parametrize("reading", ["alone", "tokens", "echo"])
def test_what_is_not_json_is_malformed(readings: Readings, reading: str) -> None:
    payloads = [b'{"x":1,"y":7}', *MALFORMED, b'{"x":2}']
    found = outcomes(topic({"x": "integer"}), payloads, getattr(readings, reading)())
    assert found == [{"x": 1}, *["malformed_json"] * len(MALFORMED), {"x": 2}]


@pytest.mark.parametrize("reading", ["alone", "tokens", "echo"])
def test_odd_but_legal_json_is_read(readings: Readings, reading: str) -> None:
    payloads: list[bytes | None] = [
        b'{"x":1}',
        b' \r\n{"x":1}\t',
        b'{\n  "x": 1\n}',
        b'{"x":1,"x":2}',
        b'{"\\u0078":1}',
        b'{"x":1,"y":"' + b"a" * 10_000_000 + b'"}',
        b'{"x":1,"y":' + b"[" * 99 + b"]" * 99 + b"}",
        b'{"x":1,"y":"[[[[' + b"[" * 200 + b'"}',
        b'{"x":1,"y":"a, nan, b: -inf ,"}',
        b'{"x":1,"X":"other","y":null}',
        '{"x":1,"é":"é"}'.encode(),
    ]
    found = outcomes(topic({"x": "integer"}), payloads, getattr(readings, reading)())
    assert found == [{"x": 1}] * len(payloads)


@pytest.mark.parametrize("reading", ["alone", "tokens", "echo"])
def test_the_first_reason_that_holds_is_given(readings: Readings, reading: str) -> None:
    declared = topic(
        {"id": "integer not null", "at": "timestamp not null", "note": "varchar", "stars": "decimal(2,1)"},
        event_time="at",
        extra="reject",
        check={
            "bad_stars": "stars between 0.5 and 5",
            "odd": "id % 2 = 0",
            "never": "case when id = 4 then ('x' || id)::integer > 0 else true end",
        },
    )
    on_time = b'"at":"2025-12-17T13:30:00Z"'
    cases = {
        b'{"id":2,' + on_time + b',"stars":1.5}': None,
        b"[1]": "not_an_object",
        b"null": "not_an_object",
        b'"x"': "not_an_object",
        b"7": "not_an_object",
        b'{"at":7,"more":1}': "missing_field",
        b'{"id":null,"at":"x"}': "missing_field",
        b'{"id":"x","at":"x","more":1}': "unexpected_field",
        b'{"id":"x","at":"x"}': "invalid_value",
        b'{"id":2,"at":7}': "invalid_value",
        b'{"id":2,"at":"x","stars":9}': "invalid_timestamp",
        b'{"id":2,"at":"x","stars":"9"}': "invalid_value",
        b'{"id":2,"at":"2026-12-17T13:30:00Z","stars":9}': "invalid_timestamp",
        b'{"id":2,' + on_time + b',"stars":9}': "bad_stars",
        b'{"id":2,' + on_time + b"}": "bad_stars",
        b'{"id":3,' + on_time + b',"stars":9}': "bad_stars",
        b'{"id":3,' + on_time + b',"stars":5}': "odd",
        b'{"id":4,' + on_time + b',"stars":5}': "never",
    }
    found = outcomes(declared, list(cases), getattr(readings, reading)())
    assert [x if isinstance(x, str) else None for x in found] == list(cases.values())


def test_an_event_time_may_be_ahead_of_arrival_by_the_skew_and_no_more() -> None:
    declared = topic({"at": "timestamp_ms not null"}, event_time="at", skew="2s")
    times = [ARRIVAL_US // 1000 + 2000, ARRIVAL_US // 1000 + 2001]
    found = outcomes(declared, [b'{"at":%d}' % time for time in times])
    assert [isinstance(x, dict) for x in found] == [True, False]


def test_dead_letters_keep_bytes_position_and_say_why() -> None:
    declared = topic({"x": "decimal(4,2) not null"}, check={"positive": "x > 0"})
    chunk = logged([b'{"x":"1"}', b'{"x":1}', b"\xff", b'{"x":-1}'], partitions=[3, 3, 4, 4], slices=[8, 8, 8, 9])
    decoded = Decoder(COLUMNS).decode(declared, chunk)
    letters = pa.table(decoded.dead).to_pylist()
    assert [(x["partition"], x["offset"], x["arrival"], x["slice"], x["key"], x["value"]) for x in letters] == [
        (3, 0, ARRIVAL_US, 8, b"k", b'{"x":"1"}'),
        (4, 0, ARRIVAL_US, 8, b"k", b"\xff"),
        (4, 1, ARRIVAL_US, 9, b"k", b'{"x":-1}'),
    ]
    assert letters[0]["detail"] == 'x: expected decimal(4,2), got "1"'
    assert letters[1]["reason"] == "malformed_json"
    assert letters[2]["reason"], letters[2]["detail"] == ("positive", "not true: x > 0")
    [row] = pa.table(decoded.rows).to_pylist()
    assert (row["partition"], row["offset"], row["slice"]) == (3, 1, 8)
    assert row["event_time"] == row["arrived_at"] == at(2025, 12, 17, 19, 33, 20)


def test_a_check_that_is_no_condition_is_refused() -> None:
    with pytest.raises(DeclarationError, match="check 'c' of topic t"):
        Decoder(COLUMNS).decode(topic({"x": "integer"}, check={"c": "x + 1"}), logged([b"{}"]))


def test_an_empty_chunk_has_the_columns_of_a_full_one() -> None:
    declared = topic({"id": "varchar not null", "l": "varchar[]"}, id="id", compute={"n": "length(id)"})
    empty, full = (Decoder(COLUMNS).decode(declared, logged(p)) for p in ([], [b'{"id":"a","l":["x"]}']))
    assert pa.table(empty.rows).schema == pa.table(full.rows).schema
    assert pa.table(empty.dead).schema == pa.table(full.dead).schema
    [row] = pa.table(full.rows).to_pylist()
    assert (row["_hi"] << 64) + row["_lo"] == int.from_bytes(hashlib.md5(b"a").digest(), "little")


SCHEMA = {
    "id": "varchar not null",
    "at": "timestamp not null",
    "ms": "timestamp_ms",
    "n": "integer not null",
    "big": "bigint",
    "d": "decimal(6,2)",
    "r": "decimal(12,4) round",
    "f": "double",
    "b": "boolean",
    "day": "date",
    "tags": "varchar[]",
    "marks": "decimal(3,1)[]",
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.text(max_size=8),
    "at": st.sampled_from(["2025-12-17T13:30:00Z", "2025-12-17T13:30:00.123Z", "2025-12-17T13:30:00+01:00", "nope"]),
    "ms": st.integers(-(10**14), 10**15),
    "n": st.integers(-(2**31), 2**31 - 1),
    "big": st.integers(-(2**63), 2**63 - 1),
    "d": st.decimals(-9999, 9999, places=2).map(float),
    "r": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "f": st.floats(allow_nan=False, allow_infinity=False),
    "b": st.booleans(),
    "day": st.dates().map(str),
    "tags": st.lists(st.text(max_size=5), max_size=3),
    "marks": st.lists(st.integers(-99, 99).map(lambda x: x / 10), max_size=3),
}
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def payload(draw: st.DrawFn) -> bytes:
    fields: dict[str, Any] = {}
    for name, values in VALUES.items():
        roll = draw(st.integers(0, 19))
        if roll == 0:
            continue
        fields[name] = draw(ANY) if roll == 1 else None if roll == 2 else draw(values)
    if draw(st.integers(0, 9)) == 0:
        fields[draw(st.text(max_size=3))] = draw(ANY)
    style = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps(fields, separators=style, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0 and text:
        place, kind = draw(st.integers(0, len(text) - 1)), draw(st.integers(0, 3))
        byte = draw(st.sampled_from([*b'"\\{}[]:,.0919eE-+ \n\x00\xffNn', draw(st.integers(0, 255))]))
        cut = draw(st.integers(1, 4))
        text = [
            text[:place] + bytes([byte]) + text[place + 1 :],
            text[:place] + bytes([byte]) + text[place:],
            text[:place] + text[place + cut :],
            text[:place] + text[place : place + cut] + text[place:],
        ][kind]
    return text


@pytest.mark.parametrize("extra", ["ignore", "reject"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payloads=st.lists(payload(), min_size=1, max_size=40), seed=st.integers(0, 1 << 16))
def test_every_reading_gives_the_same_and_loses_nothing(
    readings: Readings, extra: str, payloads: list[bytes], seed: int
) -> None:
    declared = topic(SCHEMA, event_time="at", extra=extra, check={"even": "n % 2 = 0"})
    random.Random(seed).shuffle(payloads)
    expected = outcomes(declared, list(payloads), readings.alone())
    assert repr(outcomes(declared, list(payloads), readings.tokens())) == repr(expected)
    assert repr(outcomes(declared, list(payloads), readings.echo())) == repr(expected)
