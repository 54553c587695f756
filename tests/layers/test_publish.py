from __future__ import annotations

import json
import random
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import watersmeet as wm
from tests.faults import shop
from watersmeet.core.errors import ConflictError, DeclarationError, PendingError
from watersmeet.core.manifest import roll
from watersmeet.core.sink import Shape
from watersmeet.core.topic import Exclusion
from watersmeet.layers import ingest
from watersmeet.layers.publish import Publisher, Round
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


def batch(node: Node) -> None:
    node.parts.state.change("orders", lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})


def test_a_topic_is_published_epoch_by_epoch_each_record_that_counted_once(node: Node) -> None:
    topic = node.declarations().topic("orders")
    table, sent = wm.Table("orders_table", of=topic), shop.workload("steady", 20)
    assert node.publisher.publish(table).scopes == 0  # nothing is decided for good yet
    more(node, [sent[3], sent[4], b"{", shop.order(30, random.Random(1), amount=-1)])
    batch(node)
    assert node.publisher.publish(table) == Round("orders_table", 1, 20)
    more(node, [sent[5], *shop.workload("steady", 26)[20:]])
    assert node.publisher.publish(table) == Round("orders_table")
    batch(node)
    assert node.publisher.publish(table) == Round("orders_table", 1, 6)
    rows = published(node, "orders_table")
    assert sorted(str(row["order_id"]) for row in rows) == sorted(f"o{n}" for n in range(26))
    assert {row["_epoch"] for row in rows} == {0, 1}
    amounts = {json.loads(p)["order_id"]: json.loads(p)["amount"] for p in shop.workload("steady", 26)}
    assert all(row["amount"] == amounts[row["order_id"]] for row in rows)
    again = shop.open_node(node.parts.settings.directory, node.parts.clock)
    assert again.publisher.publish(table) == Round("orders_table")


def test_dead_letters_are_published_with_their_reasons(node: Node) -> None:
    table = wm.Table("dead_orders", of=node.declarations().topic("orders"), dead=True)
    more(node, [b"{", shop.order(30, random.Random(1), amount=-1)])
    batch(node)
    assert node.publisher.publish(table) == Round("dead_orders", 1, 2)
    rows = published(node, "dead_orders")
    assert {(row["reason"], row["value"]) for row in rows} == {
        ("malformed_json", b"{"),
        ("negative_amount", shop.order(30, random.Random(1), amount=-1)),
    }


def test_columns_of_a_topic_keep_its_key(node: Node) -> None:
    table = wm.Table("amounts", of=node.declarations().topic("orders"), columns=["order_id", "amount * 2 as twice"])
    batch(node)
    node.publisher.publish(table)
    [row, *_] = published(node, "amounts")
    assert set(row) >= {"order_id", "twice", "partition", "offset", "_epoch"}
    assert "product" not in row


def test_an_excluded_record_leaves_the_table_with_the_next_version_of_its_topic(node: Node) -> None:
    batch(node)
    table = wm.Table("orders_table", of=node.declarations().topic("orders"))
    node.publisher.publish(table)
    node.exclude("orders", Exclusion(where="order_id = 'o3'", reason="test"), apply=True)
    node.catch_up({})
    now = wm.Table("orders_table", of=node.declarations().topic("orders"))
    assert node.publisher.publish(now).scopes >= 1
    assert sorted(str(r["order_id"]) for r in published(node, "orders_table")) == sorted(
        f"o{n}" for n in range(20) if n != 3
    )


def test_a_query_is_final_when_its_inputs_are(node: Node) -> None:
    hours = wm.Query(
        "hours",
        inputs={"s": shop.sales},
        key=["hour", "product"],
        time="hour",
        sql="select date_trunc('hour', window_start) as hour, product, sum(orders)::bigint as orders from s group by all",
    )
    table = wm.Table("hours_table", of=hours, when="final")
    assert hours.settles_us == 3_659_999_999  # its minutes begin less than an hour after it, and last a minute
    draw = random.Random(1)
    node.parts.clock.sleep(2 * 3600)
    more(node, [shop.order(900, draw, product=p, at=shop.NOON_MS + 2_430_000) for p in ("tea", "coffee")])
    assert node.publisher.publish(table) == Round("hours_table")
    node.parts.clock.sleep(2 * 3600)
    more(node, [shop.order(901 + n, draw, at=shop.NOON_MS + 7_400_000) for n in range(12)])
    node.publisher.publish(table)
    assert {row["hour"] for row in published(node, "hours_table")} >= {datetime(2023, 11, 14, 22)}


def test_a_table_without_its_key_is_refused(node: Node) -> None:
    with pytest.raises(DeclarationError, match="Add product"):
        node.publisher.publish(wm.Table("keyless", of=shop.sales, columns=["window_start", "orders"]))


def test_digests_leave_alone_what_has_not_moved(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    table = wm.Table("sales_table", of=shop.sales)
    node.publisher.publish(table)
    looked: list[str] = []
    honest = Publisher._write

    def watched(self: Publisher, table: wm.Table, shape: Shape, scope: str, *rest: Any, **more: Any) -> Round:
        looked.append(scope)
        return honest(self, table, shape, scope, *rest, **more)

    monkeypatch.setattr(Publisher, "_write", watched)
    more(node, [shop.workload("steady", 21)[20]])
    assert node.publisher.publish(table).scopes == len(looked) <= 2


def test_a_round_that_is_stopped_goes_on_at_the_next_look(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    later = [shop.order(500 + n, random.Random(n), at=shop.NOON_MS + n * 3_600_000) for n in range(-3, 1)]
    more(node, later)
    table, stop = wm.Table("stopped", of=shop.sales), threading.Event()
    honest = Publisher._write

    def once(self: Publisher, *given: Any, **more: Any) -> Round:
        stop.set()
        return honest(self, *given, **more)

    monkeypatch.setattr(Publisher, "_write", once)
    first = node.publisher.publish(table, stop)
    monkeypatch.undo()
    assert first.scopes == 1
    rest = node.publisher.publish(table)
    assert rest.scopes >= 2
    rows = pa.table(node.reader.read(wm.Request("sales")).rows)
    assert len(published(node, "stopped")) == rows.num_rows


def test_what_vanished_before_a_first_look_that_was_too_early_is_deleted(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = wm.Query(
        "busy",
        inputs={"s": shop.sales},
        key=["product"],
        sql="select product, sum(orders) as n from s group by product having sum(orders) < 8",
    )
    table = wm.Table("busy_table", of=busy)
    names = node.publisher.publish(table).upserts
    assert names > 0
    again = shop.open_node(node.parts.settings.directory, node.parts.clock)

    def pending(_: wm.Request) -> Any:
        raise PendingError("busy", expected="cells")

    monkeypatch.setattr(again.publisher._reader, "read", pending)
    assert again.publisher.publish(table) == Round("busy_table")
    monkeypatch.undo()
    more(again, shop.workload("steady", 80)[20:])
    assert again.publisher.publish(table).deletes == names
