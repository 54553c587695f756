from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

import watersmeet as wm
from tests.faults import shop
from watersmeet.core.errors import ConflictError
from watersmeet.core.manifest import roll
from watersmeet.layers import ingest
from watersmeet.runtime.node import Node

pytestmark = pytest.mark.integration


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = shop.open_node(tmp_path, shop.clock())
    node.apply()
    more(node, shop.workload("steady", 20))
    return node


def more(node: Node, payloads: list[bytes]) -> None:
    ingest.append(node.parts.log, node.declarations().topic("orders"), payloads)
    node.absorb("orders")


def published(node: Node, name: str) -> list[dict[str, object]]:
    """What a reader that knows nothing of us finds."""
    folder = node.parts.settings.directory / "tables"
    with duckdb.connect() as db:
        found = db.sql(f"select * from read_parquet('{folder}/**/*.parquet', union_by_name=true)")
        rows: list[dict[str, object]] = pa.table(found).to_pylist()
    return rows


def test_a_table_is_kept_equal_to_its_view(node: Node) -> None:
    table = wm.Table("sales_table", of=shop.sales)
    first = node.publisher.publish(table)
    rows = pa.table(node.reader.read(wm.Request("sales")).rows).to_pylist()
    assert first.upserts == len(rows) == len(published(node, "sales_table"))
    assert {(r["window_start"], r["product"], r["orders"]) for r in published(node, "sales_table")} == {
        (r["window_start"], r["product"], r["orders"]) for r in rows
    }


def test_only_what_differs_is_written(node: Node) -> None:
    table = wm.Table("sales_table", of=shop.sales)
    node.publisher.publish(table)
    assert node.publisher.publish(table).upserts == 0
    before = {(r["window_start"], r["product"]): r["orders"] for r in published(node, "sales_table")}
    more(node, [shop.workload("steady", 21)[20]])
    again = node.publisher.publish(table)
    after = {(r["window_start"], r["product"]): r["orders"] for r in published(node, "sales_table")}
    changed = {k for k in after if before.get(k) != after[k]}
    assert len(changed) == 1
    assert 1 <= again.upserts <= 2  # the row, and the one after it whose growth looks back at it
    assert again.deletes == 0


def test_rows_that_vanish_are_deleted(node: Node) -> None:
    busy = wm.Query(
        "busy",
        inputs={"s": shop.sales},
        key=["product"],
        sql="select product, sum(orders) as n from s group by product having sum(orders) < 8",
    )
    table = wm.Table("busy_table", of=busy)
    node.publisher.publish(table)
    names = {r["product"] for r in published(node, "busy_table")}
    assert names
    more(node, shop.workload("steady", 80)[20:])
    done = node.publisher.publish(table)
    assert done.deletes == len(names)
    assert done.upserts == 0


def test_final_tables_hold_only_final_rows(node: Node) -> None:
    table = wm.Table("final_table", of=shop.sales, when="final")
    node.parts.clock.sleep(7200)
    draw = random.Random(1)
    later = shop.NOON_MS + 900_000
    more(node, [shop.order(900 + n, draw, product=p, at=later) for n, p in enumerate(["tea", "coffee", "cocoa"])])
    node.publisher.publish(table)
    mark = node.reader.read(wm.Request("sales")).receipt.watermark_us
    rows = pa.table(node.reader.read(wm.Request("sales")).rows)
    ends = rows.column("window_end").cast(pa.int64()).to_pylist()
    assert mark is not None
    assert 0 < sum(end <= mark for end in ends) < len(ends)
    assert len(published(node, "final_table")) == sum(end <= mark for end in ends)


def test_a_publisher_that_was_overtaken_writes_nothing(node: Node) -> None:
    table = wm.Table("sales_table", of=shop.sales)
    node.publisher.publish(table)
    more(node, [shop.workload("steady", 22)[21]])
    node.publisher.publish(table)
    stored = node.parts.state.get("tables", "sales_table/sequence")
    assert stored is not None
    node.parts.state.put("tables", "sales_table/sequence", b"-1")
    more(node, [shop.workload("steady", 21)[20]])
    with pytest.raises(ConflictError):
        node.publisher.publish(table)


def test_a_restart_between_sink_and_state_repeats_the_same_rows(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    table = wm.Table("sales_table", of=shop.sales)
    honest = node.parts.state.put

    def dies(space: str, key: str, data: bytes | None, expected: int | None = None) -> int:
        if space == "tables" and not key.endswith("sequence"):
            raise KeyboardInterrupt
        return honest(space, key, data, expected)

    monkeypatch.setattr(node.parts.state, "put", dies)
    with pytest.raises(KeyboardInterrupt):
        node.publisher.publish(table)
    monkeypatch.undo()
    again = shop.open_node(node.parts.settings.directory, node.parts.clock)
    again.publisher.publish(table)
    rows = pa.table(again.reader.read(wm.Request("sales")).rows)
    assert len(published(again, "sales_table")) == rows.num_rows


def test_a_batch_publish_changes_no_row(node: Node) -> None:
    table = wm.Table("sales_table", of=shop.sales)
    node.publisher.publish(table)
    node.parts.state.change("orders", lambda m: roll(m, 1))
    node.catch_up({})
    assert node.publisher.publish(table).upserts == 0
