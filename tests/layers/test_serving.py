from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import watersmeet as wm
from tests.faults import shop
from watersmeet.core import manifest
from watersmeet.core.declarations import collect
from watersmeet.core.errors import PendingError, RequestError
from watersmeet.layers import ingest
from watersmeet.runtime.node import Node

pytestmark = pytest.mark.integration
MINUTE_US = 60_000_000


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = shop.open_node(tmp_path, shop.clock())
    node.apply()
    payloads = shop.workload("late", 40)
    take(node, payloads[:20])
    node.parts.state.change("orders", lambda m: manifest.roll(m, 1))
    node.catch_up({})
    take(node, payloads[20:])
    return node


def take(node: Node, payloads: list[bytes]) -> None:
    ingest.append(node.parts.log, node.declarations().topic("orders"), payloads)
    node.absorb("orders")


def rows(node: Node, of: object, **request: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.table(node.reader.read(wm.Request(of, **request)).rows).to_pylist()  # type: ignore[arg-type]  # any request
    return found


BUSIEST = wm.Query(
    "busiest",
    inputs={"s": shop.sales},
    key=["minute", "product"],
    time="minute",
    sql="""
    select window_start + interval 1 minute as minute, product, orders, orders - lag(orders) over w as change
    from s window w as (partition by product, date_trunc('hour', window_start) order by window_start)
    qualify rank() over (partition by window_start order by orders desc) <= 2""",
)
ABOVE = wm.Query(
    "above",
    inputs={"b": BUSIEST},
    key=["minute"],
    time="minute",
    sql="select minute, count(*) as products, sum(orders) as orders from b group by minute",
)


@pytest.mark.parametrize("of", [shop.sales, shop.hourly, BUSIEST, ABOVE], ids=lambda of: of.name)
def test_a_range_is_the_whole_filtered(node: Node, of: Any) -> None:
    whole, start = rows(node, of), shop.NOON_MS * 1000
    for lower, upper in [(None, None), (0, 3), (2, 7), (5, None), (None, 4), (3, 3), (60, 61)]:
        bounds = tuple(None if m is None else start + m * MINUTE_US for m in (lower, upper))
        expected = [r for r in whole if inside(r[of.time], *bounds)]
        assert rows(node, of, range=bounds) == expected


def inside(value: Any, lower: int | None, upper: int | None) -> bool:
    us = pa.scalar(value, pa.timestamp("us")).value
    return (lower is None or us >= lower) and (upper is None or us < upper)


def test_late_records_add_to_old_windows_of_both_layers(node: Node) -> None:
    assert sum(r["orders"] for r in rows(node, "sales")) == 40
    assert sum(r["orders"] for r in rows(node, "sales", layer="batch")) == 20
    assert sum(r["orders"] for r in rows(node, "sales", layer="speed")) == 20


def test_the_past_is_answered_as_it_was(node: Node) -> None:
    node.parts.clock.sleep(60)
    before, then = rows(node, "sales"), node.parts.clock.now_us()
    node.parts.clock.sleep(60)
    take(node, shop.workload("late", 60)[40:])
    node.parts.state.change("orders", lambda m: manifest.roll(m, 1))
    node.catch_up({})
    assert rows(node, "sales") != before
    assert rows(node, "sales", as_of_us=then) == before
    with pytest.raises(RequestError, match="has been"):
        rows(node, "sales", as_of_us=node.parts.clock.now_us() + 1)


def test_a_dropped_epoch_is_said_and_heals_when_it_is_recomputed(node: Node) -> None:
    node.parts.state.change("orders", lambda m: manifest.roll(m, 1))
    node.parts.state.change("orders", lambda m: manifest.expire(m, 1, "retention"))
    answer = node.reader.read(wm.Request("totals"))
    assert answer.receipt.complete is False
    assert answer.receipt.topics["orders"].missing == (1,)
    assert "epoch 1 of orders is missing" in answer.receipt.reasons[0]
    assert pa.table(answer.rows).to_pylist()[0]["orders"] == 20


def test_what_is_not_covered_yet_is_refused_and_not_made_up(node: Node) -> None:
    other = wm.View("other", topic=shop.orders, dimensions=["buyer"], measures={"orders": wm.count()})
    with pytest.raises(PendingError, match="not computed yet"):
        rows(node, other)


def test_another_process_sees_a_commit_at_its_next_answer(node: Node) -> None:
    other = shop.open_node(node.parts.settings.directory, node.parts.clock)
    assert rows(other, "totals") == rows(node, "totals")
    draw = random.Random(3)
    take(node, [shop.order(500 + n, draw) for n in range(10)])
    assert rows(other, "totals")[0]["orders"] == 50


def test_receipts_speak_of_the_rows_they_come_with(node: Node) -> None:
    answer = node.reader.read(wm.Request("totals"))
    rest = answer.receipt.topics["orders"]
    assert (rest.epochs, rest.slices, rest.unread) == (1, 1, 0)
    assert sum(rest.frontier) == 40
    assert (answer.receipt.exact, answer.receipt.audit, answer.receipt.match_rate) == (True, "match", 1.0)
    ingest.append(node.parts.log, node.declarations().topic("orders"), shop.workload("late", 41)[40:])
    assert node.reader.read(wm.Request("totals")).receipt.topics["orders"].unread == 1


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"of": "salse"}, "sales"),
        ({"of": "totals", "range": (0, 1)}, "no range"),
        ({"of": "sales", "where": (wm.Filter("nothing", "=", 1),)}, "nothing"),
        ({"of": "sales", "order": (wm.Order("nothing"),)}, "nothing"),
        ({"of": "hourly", "window": "1h"}, "its SQL fixes"),
        ({"of": "sales", "limit": -1}, "0 or more"),
        ({"of": "sales", "after": (1,)}, "page"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(node: Node, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        node.reader.read(wm.Request(**request_))


def test_each_layer_gives_its_part_of_a_top(tmp_path: Path) -> None:
    buyers = wm.View(
        "buyers", topic=shop.orders, dimensions=["product"], measures={"n": wm.count(), "best": wm.top("buyer", 2)}
    )
    node = shop.open_node(tmp_path, shop.clock())
    object.__setattr__(node.app, "declarations", collect([buyers]))
    node.apply()
    draw = random.Random(5)
    first = [shop.order(n, draw, product="tea", buyer=buyer) for n, buyer in enumerate((1, 1, 1, 2))]
    later = [shop.order(10 + n, draw, product="tea", buyer=buyer) for n, buyer in enumerate((2, 2, 2, 3))]
    take(node, first)
    node.parts.state.change("orders", lambda m: manifest.roll(m, node.parts.clock.now_us()))
    node.catch_up({})
    take(node, later)
    found = {layer: rows(node, "buyers", layer=layer)[0] for layer in ("batch", "speed", "merged")}
    assert [found[layer]["n"] for layer in ("batch", "speed", "merged")] == [4, 4, 8]
    assert [[item["value"] for item in found[layer]["best"]] for layer in ("batch", "speed", "merged")] == [
        [1, 2], [2, 3], [2, 1],
    ]  # fmt: skip
