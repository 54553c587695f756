from __future__ import annotations

import json
from pathlib import Path

import pytest

import watersmeet as wm
from tests.faults import shop
from watersmeet.core.declarations import collect
from watersmeet.core.errors import UnavailableError
from watersmeet.layers import ingest
from watersmeet.layers.alerts import MAX_OWED, TO_THE_LOG, Alerts, Notice, Routes
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


def one(node: Node, sent: list[tuple[str, Notice]], *broken: str, routes: Routes = TO_THE_LOG) -> Alerts:
    """Alerts whose notifiers take everything, but for the broken ones."""

    def notify(name: str, notice: Notice) -> None:
        if name in broken:
            raise UnavailableError(name)
        sent.append((name, notice))

    parts = node.parts
    return Alerts(node.reader, parts.state, parts.engine, parts.clock, notify=notify, routes=routes)


def test_a_notice_that_could_not_be_sent_is_sent_again_with_the_same_id_and_holds_up_no_other(node: Node) -> None:
    at_once = wm.Alert("at_once", of=BUSY.of, when="orders >= 1", notify=["phone", "mail"])
    order(node, 1)
    sent: list[tuple[str, Notice]] = []
    [notice] = one(node, sent, "phone").evaluate(at_once)
    assert sent == [("mail", notice)]
    assert one(node, sent, "phone").evaluate(at_once) == []
    assert sent == [("mail", notice)]
    assert one(node, sent).evaluate(at_once) == []
    assert sent == [("mail", notice), ("phone", notice)]
    assert one(node, sent).evaluate(at_once) == []
    assert len(sent) == 2


def test_what_is_owed_is_sent_in_its_order_even_when_all_is_over(node: Node) -> None:
    few = wm.Alert("few", of=BUSY.of, when="orders < 2", notify=["phone"])
    sent: list[tuple[str, Notice]] = []
    order(node, 1)
    one(node, sent, "phone").evaluate(few)
    order(node, 2)
    one(node, sent, "phone").evaluate(few)
    [owing] = one(node, sent).active()
    assert (owing["state"], len(owing["owed"])) == ("ok", 2)  # type: ignore[arg-type]  # a list
    one(node, sent).evaluate(few)
    assert [(name, notice.status) for name, notice in sent] == [("phone", "firing"), ("phone", "resolved")]
    assert sent[0][1].key == sent[1][1].key
    assert one(node, sent).active() == []


def test_of_what_is_owed_the_latest_is_kept(node: Node) -> None:
    odd = wm.Alert("odd", of=BUSY.of, when="orders % 2 = 1", notify=["phone"])
    sent: list[tuple[str, Notice]] = []
    issued = []
    for number in range(30):
        order(node, number)
        node.parts.clock.sleep(1)
        issued += one(node, sent, "phone").evaluate(odd)
    assert len(issued) == 30
    one(node, sent).evaluate(odd)
    assert [notice for _, notice in sent] == issued[-MAX_OWED:]


def test_a_crash_before_sending_repeats_the_notice(node: Node) -> None:
    at_once = wm.Alert("at_once", of=BUSY.of, when="orders >= 1", notify=["phone"])
    order(node, 1)

    def dies(name: str, notice: Notice) -> None:
        raise KeyboardInterrupt

    parts = node.parts
    with pytest.raises(KeyboardInterrupt):
        Alerts(node.reader, parts.state, parts.engine, parts.clock, notify=dies).evaluate(at_once)
    sent: list[tuple[str, Notice]] = []
    one(node, sent).evaluate(at_once)
    assert [(name, notice.status) for name, notice in sent] == [("phone", "firing")]


def test_severities_go_their_own_ways(node: Node) -> None:
    routes = {"info": ["log"], "warning": ["chat"], "critical": ["pager", "mail"]}
    sent: list[tuple[str, Notice]] = []
    order(node, 1)
    for severity in routes:
        one(node, sent, routes=routes).evaluate(wm.Alert(severity, of=BUSY.of, when="orders >= 1", severity=severity))
    assert [(name, notice.severity) for name, notice in sent] == [
        ("log", "info"), ("chat", "warning"), ("pager", "critical"), ("mail", "critical"),
    ]  # fmt: skip


# the clock stands an hour after the orders
def test_of_a_value_that_went_silent_a_row_counts_as_long_as_the_alert_looks_back(tmp_path: Path) -> None:
    node = shop.open_node(tmp_path, shop.clock())
    brisk = [
        wm.Alert("brisk", of=shop.sales, when="orders >= 2", within="2h"),
        wm.Alert("brisk_now", of=shop.sales, when="orders >= 2", within="10m"),
    ]
    object.__setattr__(node.app, "declarations", collect([shop.sales, *brisk]))
    node.apply()
    order(node, 1)
    order(node, 2)
    sent: list[tuple[str, Notice]] = []
    assert [[n.status for n in alerts(node, sent).evaluate(each)] for each in brisk] == [["firing"], []]
    node.parts.clock.sleep(3660)
    assert [n.status for n in alerts(node, sent).evaluate(brisk[0])] == ["resolved"]
