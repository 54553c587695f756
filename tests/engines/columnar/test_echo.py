"""How producers write, learnt from what they have written; and what is left out of rows when nobody reads it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.engines.columnar.chunks import COLUMNS, logged, topic
from tests.engines.columnar.readings import Readings, outcomes
from watersmeet.core.topic import Topic
from watersmeet.engines.columnar import decode as module
from watersmeet.engines.columnar import decode_json
from watersmeet.engines.columnar.columns import Columns
from watersmeet.engines.columnar.database import Database
from watersmeet.engines.columnar.decode import Decoder

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("kind", ["varchar", "integer", "boolean", "timestamp"])
def test_a_form_with_a_required_key_left_out_somewhere_still_requires_it(readings: Readings, kind: str) -> None:
    value = {"varchar": '"x"', "integer": "1", "boolean": "true", "timestamp": '"2025-12-17T13:30:00Z"'}[kind]
    payloads = [f'{{"a":{value},"b":1}}'.encode(), b'{"b":1}', b'{"a":null,"b":1}', b'{"a":,"b":1}']
    found = outcomes(topic({"a": f"{kind} not null", "b": "integer"}), list(payloads), readings.echo())
    assert found[1:] == ["missing_field", "missing_field", "malformed_json"]


def test_an_object_written_without_its_values_is_malformed(readings: Readings) -> None:
    declared = topic({"a": "integer", "b": "boolean"})
    found = outcomes(declared, [b'{"a":1,"b":true}', b'{"a":,"b":}'], readings.echo())
    assert found == [{"a": 1, "b": True}, "malformed_json"]


def test_a_form_is_learnt_and_learnt_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = topic({"a": "integer not null", "b": "varchar", "t": "varchar"})
    decoder = Decoder(COLUMNS)
    monkeypatch.setattr(module, "ALONE_ROWS", 0)
    asked: list[object] = []
    monkeypatch.setattr(decode_json, "tokens", lambda *_: asked.append("tokens"))
    monkeypatch.setattr(Decoder, "_pass", _counting(Decoder._pass, asked))
    first = [b'{"a":%d,"b":"x","t":"q\\"\\n"}' % i for i in range(9)] + [b'{"a":9,"z":[1,{"k":2.5}]}']
    assert len(outcomes(declared, list(first), decoder)) == 10
    assert len(outcomes(declared, list(first), decoder)) == 10
    assert asked == [0, 0]
    second: list[bytes | None] = [b'{"t": null, "a": %d}' % i for i in range(9)]
    monkeypatch.undo()
    outcomes(declared, second, decoder)
    monkeypatch.setattr(Decoder, "_pass", _counting(Decoder._pass, asked))
    assert outcomes(declared, second, decoder)[0] == {"a": 0, "b": None, "t": None}
    assert asked == [0, 0, 0]


def _counting(real: Any, left: list[Any]) -> Any:
    def counted(self: Decoder, *arguments: Any) -> Any:
        result = real(self, *arguments)
        left.append(result[1].num_rows)
        return result

    return counted


def test_rows_have_but_the_columns_that_are_read_and_the_same_records_die(readings: Readings) -> None:
    declared = topic(
        {"a": "integer not null", "b": "varchar not null", "c": "integer", "at": "timestamp_ms not null"},
        id="b",
        event_time="at",
        check={"odd": "c % 2 = 1"},
        compute={"twice": "a * 2", "more": "twice + 1", "other": "c + 1"},
    )
    lines: list[bytes | None] = [
        b'{"a":1,"b":"x","c":1,"at":1766000000123}', b'{"a":2,"b":"y","c":2,"at":1}', b'{"a":3,"b":7}', b'{"b":"z"}', b"{",
    ] * 99  # fmt: skip
    for decoder in (readings.alone(), readings.tokens(), readings.echo()):
        whole, part, none = (decoder.decode(declared, logged(lines), reads) for reads in (None, {"more"}, ()))
        assert pa.table(part.dead).equals(pa.table(whole.dead))
        assert pa.table(none.dead).equals(pa.table(whole.dead))
        every, kept, least = (pa.table(found.rows) for found in (whole, part, none))
        assert set(every.column_names) - set(kept.column_names) == {"b", "c", "other"}
        assert set(every.column_names) - set(least.column_names) == {"a", "b", "c", "twice", "more", "other"}
        assert every.select(kept.column_names).equals(kept)


def test_a_chunk_that_is_shared_out_is_decoded_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = topic({"a": "integer not null", "b": "varchar"}, id="a", check={"even": "a % 2 = 0"})
    lines: list[bytes | None] = [b'{"a":%d,"b":"x"}' % i if i % 7 else b"{" for i in range(1_000)]
    two = Columns(Database(threads=2))
    whole = Decoder(two).decode(declared, logged(lines))
    monkeypatch.setattr(module, "LEAST_SHARE", 100)
    shares: list[int] = []
    honest = Decoder._decode

    def counted(self: Decoder, topic: Topic, part: pa.Table, *rest: Any) -> Any:
        shares.append(len(part))
        return honest(self, topic, part, *rest)

    monkeypatch.setattr(Decoder, "_decode", counted)
    shared = Decoder(two).decode(declared, logged(lines))
    assert sorted(shares) == [500, 500]
    assert pa.table(shared.rows).equals(pa.table(whole.rows))
    assert pa.table(shared.dead).equals(pa.table(whole.dead))
