from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.columnar.chunks import ARRIVAL_US, COLUMNS, logged, topic
from watersmeet.core.engine import Decided
from watersmeet.core.topic import Exclusion, Topic
from watersmeet.engines.columnar.decide import KEPT, decide
from watersmeet.engines.columnar.decode import Decoder
from watersmeet.engines.columnar.ids import TieredIds

pytestmark = pytest.mark.unit

Arrived = tuple[int, int, int, str, int]  # slice, partition, arrival in ms, id, content
DECODER = Decoder(COLUMNS)


def declared(horizon: str = "10ms", exclusions: tuple[Exclusion, ...] = ()) -> Topic:
    return topic(
        {"id": "varchar not null", "x": "integer not null"}, id="id", horizon=horizon, exclusions=exclusions, skew="1d"
    )


def chunk(records: list[Arrived]) -> pa.Table:
    return logged(
        [json.dumps({"id": key, "x": x}).encode() for _, _, _, key, x in records],
        arrivals=[ARRIVAL_US + ms * 1000 for _, _, ms, _, _ in records],
        partitions=[partition for _, partition, _, _, _ in records],
        slices=[number for number, _, _, _, _ in records],
    )


class Naive:
    """The rule, record by record."""

    def __init__(self, horizon_us: int) -> None:
        self.horizon_us = horizon_us
        self.kept: dict[str, int] = {}

    def outcomes(self, records: list[dict[str, Any]]) -> list[str]:
        out, here = [], dict[str, int]()
        for record in sorted(records, key=lambda r: (r["slice"], r["partition"], r["offset"])):
            seen = self.kept.get(record["id"])
            if seen is not None and record["arrival"] - seen <= self.horizon_us:
                conflict = record["id"] in here and here[record["id"]] != record["x"]
                out.append("conflict" if conflict else "duplicate")
                continue
            self.kept[record["id"]] = max(record["arrival"], record["arrival"] if seen is None else seen)
            here[record["id"]] = record["x"]
            out.append("filtered" if record["x"] == 3 else "used")
        return out


RECORD = st.tuples(
    st.integers(0, 2), st.integers(0, 2), st.integers(0, 40), st.sampled_from("abcd"), st.sampled_from([1, 2, 3])
)


@settings(max_examples=150, deadline=None)
@given(chunks=st.lists(st.lists(RECORD, min_size=1, max_size=14), max_size=4))
def test_outcomes_are_those_of_the_naive_loop(chunks: list[list[Arrived]]) -> None:
    rule, ids, naive = declared(exclusions=(Exclusion("three", where="x = 3"),)), TieredIds(), Naive(10_000)
    for records in chunks:
        decoded = DECODER.decode(rule, chunk(records))
        table = pa.table(decoded.rows)
        rows = table.append_column("arrival", table["arrived_at"].cast(pa.int64())).to_pylist()
        rows.sort(key=lambda r: (r["slice"], r["partition"], r["offset"]))
        expected = naive.outcomes(rows)
        decided = decide(COLUMNS, rule, decoded.rows, ids.lookup)
        ids.add(decided.kept)
        used = [(r["slice"], r["partition"], r["offset"]) for r in pa.table(decided.used).to_pylist()]
        assert used == [
            (r["slice"], r["partition"], r["offset"]) for r, o in zip(rows, expected, strict=True) if o == "used"
        ]
        for partition in {r["partition"] for r in rows}:
            mine = [o for r, o in zip(rows, expected, strict=True) if r["partition"] == partition]
            assert decided.counts[partition] == (
                mine.count("used"),
                mine.count("duplicate") + mine.count("conflict"),
                mine.count("filtered"),
                mine.count("conflict"),
            )
            assert decided.newest[partition] == max(r["arrival"] for r in rows if r["partition"] == partition)
        assert ids.count() == len(naive.kept)
        found = {row["lo"]: row["arrival"] for row in ids.lookup(decided.kept).to_pylist()}
        for row, outcome in zip(rows, expected, strict=True):
            if outcome in ("used", "filtered"):
                assert found[row["_lo"]] == naive.kept[row["id"]]


def run(rule: Topic, records: list[Arrived], ids: TieredIds | None = None) -> Decided:
    return decide(COLUMNS, rule, DECODER.decode(rule, chunk(records)).rows, (ids or TieredIds()).lookup)


def test_a_kept_id_of_an_earlier_slice_makes_a_duplicate_within_the_horizon_and_no_longer() -> None:
    # arrival, ms   0 ───── 10 ── 11
    #               kept    dup   kept
    ids = TieredIds()
    ids.add(run(declared(), [(0, 0, 0, "a", 1)]).kept)
    assert run(declared(), [(1, 1, 10, "a", 2)], ids).counts == {1: (0, 1, 0, 0)}
    assert run(declared(), [(1, 1, 11, "a", 2)], ids).counts == {1: (1, 0, 0, 0)}


def test_an_excluded_record_keeps_its_claim_on_its_id() -> None:
    by_position = declared(exclusions=(Exclusion("superseded", positions=((1, 0), (0, 7))),))
    decided = run(by_position, [(0, 0, 0, "a", 1), (0, 1, 0, "b", 1), (0, 1, 1, "b", 1)])
    assert decided.counts == {0: (1, 0, 0, 0), 1: (0, 1, 1, 0)}
    assert pa.table(decided.kept).schema == KEPT
    assert len(pa.table(decided.kept)) == 2


def test_a_topic_without_id_knows_no_duplicates() -> None:
    rule = topic({"x": "integer"}, exclusions=(Exclusion("odd", where="x % 2 = 1"),))
    rows = DECODER.decode(rule, logged([b'{"x":1}', b'{"x":2}', b'{"x":2}', b"{}"])).rows
    decided = decide(COLUMNS, rule, rows, lambda _: pytest.fail("asked for ids"))
    assert decided.counts == {0: (3, 0, 1, 0)}
    assert len(pa.table(decided.kept)) == 0


def test_the_memory_of_ids_is_asked_once_for_each_id_once() -> None:
    asked: list[int] = []

    def known(ids: Any) -> Any:
        asked.append(len(pa.table(ids)))
        return TieredIds().lookup(ids)

    rule = declared()
    decide(COLUMNS, rule, DECODER.decode(rule, chunk([(0, 0, i % 3, "ab"[i % 2], 1) for i in range(10)])).rows, known)
    assert asked == [2]


def test_an_empty_chunk_decides_nothing() -> None:
    decided = run(declared(), [])
    assert (decided.counts, decided.newest, len(pa.table(decided.used))) == ({}, {}, 0)
