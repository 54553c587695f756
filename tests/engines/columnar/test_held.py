"""Holders: what is held is a set of (owner, cell), and a read sums exactly the cells of the owners it asks for."""

from __future__ import annotations

import threading
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import watersmeet as wm
from tests.engines.columnar.naive import COLUMNS, MINUTE, World, at, dicts, hold, lift
from watersmeet.core.engine import Filter, Selection
from watersmeet.core.errors import CorruptError, RequestError, UnavailableError
from watersmeet.core.view import View
from watersmeet.engines.columnar import cellstore, reading
from watersmeet.engines.columnar.columns import Columns
from watersmeet.engines.columnar.database import Database, table
from watersmeet.engines.columnar.held import ColumnarHeld

pytestmark = pytest.mark.unit

Row = dict[str, Any]
TOPIC = wm.Topic("t", schema={"k": "integer", "y": "bigint"})
MEASURES = {"n": wm.count(), "total": wm.sum("y"), "last": wm.last("y"), "ys": wm.distinct("y", size=16)}


def view(window: Any = None, **more: Any) -> View:
    return View("v", topic=TOPIC, **{"dimensions": ["k"], "measures": MEASURES, "window": window, **more})


TUMBLING = view(wm.tumbling("5m"))


def record(minute: int, k: int = 1, y: int = 1) -> Row:
    return {"k": k, "y": y, "event_time": minute * MINUTE}


def totals(held: ColumnarHeld, owners: frozenset[str] | None = None) -> list[tuple[int, int]]:
    return [(row["k"], row["n"]) for row in dicts(held.rows(TUMBLING.at(None), Selection(), owners=owners))]


def small() -> ColumnarHeld:
    """Two owners of one cell each, of the same address."""
    held = ColumnarHeld(COLUMNS, TUMBLING.cells)
    held.update({"a": lift(TUMBLING.cells, [record(0)]), "b": lift(TUMBLING.cells, [record(1), record(2)], 1)})
    return held


def test_a_read_sums_the_cells_of_all_owners_or_of_some() -> None:
    held = small()
    assert held.owners() == {"a", "b"}
    assert totals(held) == [(1, 3)]
    assert totals(held, frozenset({"b"})) == [(1, 2)]
    assert totals(held, frozenset({"a", "b"})) == [(1, 3)]
    assert totals(held, frozenset()) == []


@pytest.mark.parametrize("base", [False, True])
def test_an_owner_can_be_dropped_wherever_its_cells_are(base: bool) -> None:
    held = small()
    held.update({"c": lift(TUMBLING.cells, [record(0, 2)], 3)}, base=base)
    held.update({}, ["a", "never held"])
    assert (set(held.owners()), totals(held)) == ({"b", "c"}, [(1, 2), (2, 1)])
    held.update({}, ["b", "c"], base=base)
    assert (held.owners(), totals(held)) == (frozenset(), [])


def test_an_owner_that_is_held_already_is_replaced() -> None:
    held = small()
    held.update({"a": lift(TUMBLING.cells, [record(0, 7)])}, ["b"])
    assert totals(held) == [(7, 1)]


def test_many_cells_of_one_key_are_read_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(TUMBLING, [record(i, i % 2) for i in range(30)], 2)
    one = (Filter("k", "=", 1),)
    few = world.rows(where=one)
    monkeypatch.setattr(reading, "FEW", 0)
    assert world.rows(where=one) == few == [row for row in world.rows() if row["k"] == 1]


def test_a_missing_owner_is_never_a_low_number() -> None:
    with pytest.raises(UnavailableError, match="cells that are held; got c"):
        totals(small(), frozenset({"a", "c"}))


def test_cells_are_merged_and_sorted_by_dimensions_and_pane() -> None:
    held = small()
    held.update({"c": lift(TUMBLING.cells, [record(7), record(6, 0), record(0, 0)], 3)})
    cells = table(held.cells())
    assert [(row["k"], row["pane"]) for row in cells.to_pylist()] == [
        (0, at(0)),
        (0, at(5 * MINUTE)),
        (1, at(0)),
        (1, at(5 * MINUTE)),
    ]
    counts = f"p{TUMBLING.cells.lifts.index(wm.count().lifts[0])}_n"
    assert cells[counts].to_pylist() == [1, 1, 3, 1]
    assert table(held.cells(owners=frozenset({"a"})))[counts].to_pylist() == [1]
    again = ColumnarHeld(COLUMNS, TUMBLING.cells)
    again.update({"all": cells})
    assert totals(again) == totals(held)


def test_cells_of_another_spec_are_refused_and_nothing_changes() -> None:
    held = small()
    with pytest.raises(CorruptError, match="cells of 'd'; expected columns pane, k, "):
        held.update({"d": pa.table({"pane": [1], "k": [1]})}, ["a"])
    assert (set(held.owners()), totals(held)) == ({"a", "b"}, [(1, 3)])


def test_a_view_of_other_cells_is_refused() -> None:
    with pytest.raises(RequestError, match="a reading of the cells"):
        small().rows(view(wm.tumbling("1m")), Selection())


def test_a_top_needs_the_holder_of_its_cells() -> None:
    ranked = view(wm.tumbling("5m"), measures={"n": wm.count(), "often": wm.top("y", 2)})
    held = hold(ranked.cells, [record(0)])
    for tops in ({}, {"often": held}):
        with pytest.raises(RequestError, match="top 'often' of view v; expected the holder of its cells"):
            held.rows(ranked, Selection(), tops=tops)


def test_owners_choose_the_cells_of_a_top_as_well() -> None:
    ranked = view(wm.tumbling("5m"), measures={"n": wm.count(), "often": wm.top("y", 2)})
    world = World(ranked, [record(0, y=3), record(1, y=4), record(1, y=4)], 3)
    [row] = dicts(world.answer(Selection(), owners=frozenset({"owner0", "owner2"})))
    assert (row["n"], row["often"]) == (2, [{"value": 3, "count": 1}, {"value": 4, "count": 1}])


def test_through_needs_the_rows_of_its_view() -> None:
    kinds = View("kinds", topic=TOPIC, dimensions=["k"], measures={"kind": wm.min("y")})
    held = small()
    with pytest.raises(RequestError, match="expected the rows of kinds"):
        held.rows(TUMBLING.at("5m", by=["kind"], through=kinds), Selection())


def test_a_closed_holder_gives_its_memory_back() -> None:
    held = small()
    tables = {held.store.base, held.store.tail, held.store.calendar}
    held.close()
    with COLUMNS.database.cursor() as cursor:
        left = {name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
    assert tables & left == set()


def test_the_base_is_sorted_and_the_tail_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cellstore, "TAIL_ROWS", 10)
    held = ColumnarHeld(COLUMNS, TUMBLING.cells)
    for i in range(40):
        held.update({f"o{i}": lift(TUMBLING.cells, [record(i, 40 - i), record(0, i % 3)], 2 * i)})
    held.update({}, [f"o{i}" for i in range(0, 40, 2)])
    assert sum(n for _, n in totals(held)) == 40
    with COLUMNS.database.cursor() as cursor:
        base = cursor.execute(f"SELECT k, pane FROM {held.store.base}").fetchall()
        tail = cursor.execute(f"SELECT count(*) FROM {held.store.tail}").fetchall()[0][0]
    assert base == sorted(base)
    assert len(base) > 20
    assert tail <= 10


def test_a_tail_that_is_mostly_dead_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cellstore, "TAIL_ROWS", 10)
    held = ColumnarHeld(COLUMNS, TUMBLING.cells)
    held.update({"base": lift(TUMBLING.cells, [record(0, k) for k in range(80)])}, base=True)
    for i in range(30):
        held.update({f"slice{i}": lift(TUMBLING.cells, [record(0, k) for k in range(3)])}, [f"slice{i - 1}"])
    with COLUMNS.database.cursor() as cursor:
        [(rows, greatest)] = cursor.execute(f"SELECT count(*), max(rowid) FROM {held.store.tail}").fetchall()
    assert (rows, [n for _, n in totals(held)]) == (3, [2, 2, 2] + [1] * 77)
    assert greatest < 20


def test_cells_that_do_not_fit_the_memory_are_refused_and_those_before_stay() -> None:
    columns = Columns(Database(memory="24MB"))
    held = ColumnarHeld(columns, TUMBLING.cells)
    held.update({"small": lift(TUMBLING.cells, [record(0)])})
    one = lift(TUMBLING.cells, [record(0)])
    with pytest.raises(UnavailableError, match="cells of topic t; expected memory to hold them"):
        held.update({"large": pa.concat_tables([one] * 300_000)})
    assert held.owners() == {"small"}
    columns.database.close()


def test_runs_are_sorted_into_the_base_once_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cellstore, "TAIL_OWNERS", 2)
    held = ColumnarHeld(COLUMNS, TUMBLING.cells)
    held.update({"big": lift(TUMBLING.cells, [record(0, k) for k in range(40)])}, base=True)
    for i in range(3):
        held.update({f"run{i}": lift(TUMBLING.cells, [record(0, i)], 40 + i)}, base=True)
    with COLUMNS.database.cursor() as cursor:
        assert cursor.execute(f"SELECT count(*) FROM {held.store.tail}").fetchall() == [(0,)]
    assert [n for _, n in totals(held)] == [2, 2, 2] + [1] * 37


def test_readers_see_the_owners_before_an_update_or_after_it() -> None:
    """Each update moves the same records from one owner to two others, as a compaction does."""
    parts = [lift(TUMBLING.cells, [record(i, k) for k in range(5)], 5 * i) for i in range(4)]
    held = ColumnarHeld(COLUMNS, TUMBLING.cells)
    held.update({"0a": parts[0], "0b": parts[1], "0c": parts[2], "0d": parts[3]})
    wanted = [(k, 4) for k in range(5)]
    wrong: list[object] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for where in ((), (Filter("k", "=", 3),)):
                found = [(r["k"], r["n"]) for r in dicts(held.rows(TUMBLING.at(None), Selection(where=where)))]
                if found != [item for item in wanted if not where or item[0] == 3]:
                    wrong.append(found)
            mine = held.owners()
            try:
                if (found := totals(held, mine)) != wanted:
                    wrong.append((mine, found))
            except UnavailableError:  # it was dropped between the question and the read
                pass

    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(1, 25):
        names = [f"{turn}{letter}" for letter in "abcd"]
        held.update(dict(zip(names, parts, strict=True)), list(held.owners()), base=turn % 3 == 0)
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []


class Holding(RuleBasedStateMachine):
    """Any updates, against a dictionary of what is held."""

    def __init__(self) -> None:
        super().__init__()
        self.held = ColumnarHeld(COLUMNS, TUMBLING.cells)
        self.model: dict[str, list[Row]] = {}

    @rule(
        add=st.dictionaries(
            st.sampled_from("abcdef"),
            st.lists(st.builds(record, st.integers(0, 9), st.integers(0, 2)), max_size=4),
            max_size=3,
        ),
        drop=st.lists(st.sampled_from("abcdef"), max_size=3),
        base=st.booleans(),
    )
    def update(self, add: dict[str, list[Row]], drop: list[str], base: bool) -> None:
        self.held.update({o: lift(TUMBLING.cells, r) for o, r in add.items()}, drop, base=base)
        self.model = {o: r for o, r in self.model.items() if o not in drop} | add

    @invariant()
    def what_is_held_is_what_was_given(self) -> None:
        counts: dict[int, int] = {}
        for records in self.model.values():
            for row in records:
                counts[row["k"]] = counts.get(row["k"], 0) + 1
        assert self.held.owners() == self.model.keys()
        assert totals(self.held) == sorted(counts.items())

    def teardown(self) -> None:
        self.held.close()


TestHolding = Holding.TestCase
TestHolding.settings = settings(max_examples=10, stateful_step_count=8)
