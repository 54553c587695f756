from __future__ import annotations

import json
from pathlib import Path

import pytest

import watersmeet as wm
from tests.faults import shop
from watersmeet.core.declarations import collect
from watersmeet.core.errors import UnavailableError
from watersmeet.layers import ingest
from watersmeet.layers.alerts import Alerts, Notice
from watersmeet.runtime.node import Node

pytestmark = pytest.mark.integration

#    orders of tea     1   2   3       condition: orders >= 2, for 5 minutes
#    clock, minutes    0   1   7
BUSY = wm.Alert("busy", of=wm.View("seen", topic=shop.orders, dimensions=["product"], measures={"orders": wm.count()}),
                when="orders >= 2", for_="5m", resolve_after="1m", notify=["phone"])  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = shop.open_node(tmp_path, shop.clock())
    object.__setattr__(node.app, "declarations", collect([BUSY.of, BUSY]))
    node.apply()
    return node


def order(node: Node, number: int, product: str = "tea") -> None:
    payload = json.dumps({"order_id": f"{number}", "product": product, "at": shop.NOON_MS}).encode()
    ingest.append(node.parts.log, node.declarations().topic("orders"), [payload])
    node.absorb("orders")


def alerts(node: Node, sent: list[tuple[str, Notice]]) -> Alerts:
    def notify(name: str, notice: Notice) -> None:
        sent.append((name, notice))

    return Alerts(node.reader, node.parts.state, node.parts.engine, node.parts.clock, notify=notify)


def test_it_fires_once_after_it_has_held_long_enough_and_survives_a_restart(node: Node) -> None:
    sent: list[tuple[str, Notice]] = []
    order(node, 1)
    assert alerts(node, sent).evaluate(BUSY) == []
    order(node, 2)
    assert alerts(node, sent).evaluate(BUSY) == []  # pending
    assert alerts(node, sent).active()[0]["state"] == "pending"
    node.parts.clock.sleep(300)
    [notice] = alerts(node, sent).evaluate(BUSY)  # each evaluation is a new process here
    assert (notice.status, notice.labels, notice.row["orders"]) == ("firing", {"product": "tea"}, "2")
    order(node, 3)
    node.parts.clock.sleep(600)
    assert alerts(node, sent).evaluate(BUSY) == []
    assert [name for name, _ in sent] == ["phone"]


def test_each_value_of_the_dimensions_has_an_alert_of_its_own(node: Node) -> None:
    sent: list[tuple[str, Notice]] = []
    for number, product in enumerate(["tea", "tea", "cocoa", "cocoa", "coffee"]):
        order(node, number, product)
    alerts(node, sent).evaluate(BUSY)
    node.parts.clock.sleep(300)
    fired = alerts(node, sent).evaluate(BUSY)
    assert sorted(n.labels["product"] for n in fired) == ["cocoa", "tea"]


def test_a_condition_that_ends_before_its_time_never_fires(node: Node) -> None:
    few = wm.Alert("few", of=BUSY.of, when="orders < 2", for_="5m")
    sent: list[tuple[str, Notice]] = []
    order(node, 1)
    alerts(node, sent).evaluate(few)
    node.parts.clock.sleep(200)
    order(node, 2)
    alerts(node, sent).evaluate(few)
    node.parts.clock.sleep(200)
    assert alerts(node, sent).evaluate(few) == []
    assert sent == []


def test_it_says_once_when_it_is_over(node: Node) -> None:
    few = wm.Alert("few", of=BUSY.of, when="orders < 2", resolve_after="1m")
    sent: list[tuple[str, Notice]] = []
    order(node, 1)
    [fired] = alerts(node, sent).evaluate(few)
    order(node, 2)
    assert alerts(node, sent).evaluate(few) == []  # resolving
    node.parts.clock.sleep(60)
    [over] = alerts(node, sent).evaluate(few)
    assert (fired.status, over.status, over.labels) == ("firing", "resolved", {"product": "tea"})
    assert alerts(node, sent).evaluate(few) == []
    assert alerts(node, sent).active() == []


def test_a_notice_that_could_not_be_sent_is_sent_again_with_the_same_id(node: Node) -> None:
    tried: list[Notice] = []

    def broken(name: str, notice: Notice) -> None:
        tried.append(notice)
        raise UnavailableError(name)

    at_once = wm.Alert("at_once", of=BUSY.of, when="orders >= 1")
    order(node, 1)
    down = Alerts(node.reader, node.parts.state, node.parts.engine, node.parts.clock, notify=broken)
    with pytest.raises(UnavailableError):
        down.evaluate(at_once)
    sent: list[tuple[str, Notice]] = []
    [notice] = alerts(node, sent).evaluate(at_once)
    assert notice.id == tried[0].id
