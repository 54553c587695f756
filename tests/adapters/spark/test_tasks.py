"""Buckets of cells, and duplicates by position."""

from __future__ import annotations

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.adapters.spark.interval import duplicates
from watersmeet.adapters.spark.rows import Facts, Row, as_batch, facts_row, packed, read_facts, rows_of, unpacked
from watersmeet.adapters.spark.tasks import bucketed

pytestmark = pytest.mark.unit
topic = wm.Topic("orders", event_time="at", schema={"at": "timestamp_ms not null", "a": "varchar", "c": "integer"})
by_two = wm.View("by_two", topic=topic, dimensions=["a", "c as b"], measures={"n": wm.count()}).specs[0]
whole = wm.View("whole", topic=topic, measures={"n": wm.count()}).specs[0]


def test_equal_dimensions_meet_and_nothing_is_lost() -> None:
    draws = [(letter, number) for letter in ("x", "y", None) for number in (1, 2, None)]
    first = pa.table({"pane": [1] * 9, "a": [a for a, _ in draws], "b": [b for _, b in draws], "p0_n": range(9)})
    second = first.take(pa.array([8, 3, 5, 0, 1, 2, 4, 6, 7]))
    placed = [
        {(row["a"], row["b"]): bucket for bucket, cells in bucketed(by_two, table, 4) for row in cells.to_pylist()}
        for table in (first, second)
    ]
    assert placed[0] == placed[1]
    assert set(placed[0]) == set(draws)
    assert len(set(placed[0].values())) > 1


def test_cells_without_dimensions_stay_together() -> None:
    cells = pa.table({"pane": [1, 2, 3], "p0_n": [1, 1, 1]})
    [(bucket, found)] = bucketed(whole, cells, 7)
    assert 0 <= bucket < 7
    assert found.num_rows == 3
    assert list(bucketed(whole, cells.slice(0, 0), 7)) == []


def test_duplicates_are_what_is_not_used() -> None:
    places = [(0, 5), (0, 6), (1, 5), (2, 9), (0, 7)]
    table = pa.table({"partition": pa.array([p for p, _ in places], pa.int32()), "offset": [o for _, o in places]})
    found = duplicates(table, table.take(pa.array([0, 3, 4])))
    assert {partition: offsets.tolist() for partition, offsets in found.items()} == {0: [6], 1: [5]}
    assert duplicates(table, table) == {}


def test_rows_come_back_as_they_went() -> None:
    table = pa.table({"hi": pa.array([2**64 - 1], pa.uint64())})
    facts = Facts({0: (1, 2, 3, 4)}, {0: -5}, {1: 6}, {2: 7}, {3: 8}, {4: 9}, {"view": (10, 11)})
    found = list(rows_of([as_batch(Row("ids", packed(table), 3, "view")), as_batch(facts_row(facts))]))
    assert (found[0].kind, found[0].bucket, found[0].name) == ("ids", 3, "view")
    assert unpacked(found[0].data).equals(table)
    assert read_facts(found[1]) == facts
