"""The platform's watch over itself: each rule fires at its fault, and is over when the fault is."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import shop
from watersmeet.core.errors import UnavailableError
from watersmeet.core.manifest import Gap, roll
from watersmeet.layers import ingest
from watersmeet.layers.alerts import Notice
from watersmeet.runtime import watch as module
from watersmeet.runtime.node import Node
from watersmeet.runtime.watch import Machine
from watersmeet.runtime.wiring import system_clock

pytestmark = pytest.mark.integration


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = shop.open_node(tmp_path, shop.clock())
    node.apply()
    absorb(node, 0)
    return node


def absorb(node: Node, number: int, at: int = shop.NOON_MS + 3_600_000) -> None:
    ingest.append(node.parts.log, node.declarations().topic("orders"), [order(node, number, at)])
    node.absorb("orders")


def order(node: Node, number: int, at: int) -> bytes:
    return shop.order(number, random.Random(number), at=at)


def told(notices: list[Notice]) -> list[tuple[str, str, str]]:
    return [(n.alert.removeprefix("watersmeet:"), n.severity, n.status) for n in notices]


def test_while_all_is_well_nothing_is_told(node: Node) -> None:
    assert node.watch() == []


def test_a_job_that_fails_is_told_and_so_is_its_recovery(node: Node) -> None:
    def fails() -> None:
        raise UnavailableError("sink", got="nobody there")

    node._attempt("table sales", fails)
    [notice] = node.watch()
    assert told([notice]) == [("job_failing", "critical", "firing")]
    assert (notice.labels, "nobody there" in notice.row["error"]) == ({"job": "table sales"}, True)
    assert node.watch() == []
    node.parts.clock.sleep(node.parts.settings.watch.failure_seconds)
    assert told(node.watch()) == [("job_failing", "critical", "resolved")]


def test_a_thread_that_has_ended_is_told(node: Node) -> None:
    thread = threading.Thread(target=int, name="speed orders")
    thread.start()
    thread.join()
    node._threads.append(thread)
    [notice] = node.watch()
    assert (notice.labels, notice.row) == ({"job": "speed orders"}, {"error": "it has ended"})


def test_a_reader_that_stands_still_is_told(node: Node) -> None:
    ingest.append(node.parts.log, node.declarations().topic("orders"), [order(node, 1, shop.NOON_MS)])
    assert node.watch() == []
    node.parts.clock.sleep(node.parts.settings.watch.unread_seconds + 1)
    assert told(node.watch()) == [("reading_delayed", "warning", "firing")]
    node.absorb("orders")
    assert told(node.watch()) == [("reading_delayed", "warning", "resolved")]


def test_a_watermark_that_stays_behind_is_told(node: Node) -> None:
    node.parts.clock.sleep(node.parts.settings.watch.watermark_seconds + 60)
    assert told(node.watch()) == [("watermark_delayed", "warning", "firing")]
    absorb(node, 2, node.parts.clock.now_us() // 1000)
    assert told(node.watch()) == [("watermark_delayed", "warning", "resolved")]


def test_an_epoch_that_nobody_can_give_is_told(node: Node) -> None:
    node.parts.state.change("orders", lambda m: roll(m, node.parts.clock.now_us()))
    node.parts.state.change(
        "orders", lambda m: replace(m, version=m.version + 1, gaps=(Gap(0, "the archive is gone", lost=True),))
    )
    assert ("incomplete", "critical", "firing") in told(node.watch())


def test_layers_that_differ_are_told(node: Node) -> None:
    node.parts.state.change("orders", lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})
    [(key, stored)] = node.parts.state.scan("audits").items()
    wrong = stored.data.replace(b'"mismatches": 0', b'"mismatches": 3', 1)
    assert wrong != stored.data
    node.parts.state.put("audits", key, wrong)
    assert told(node.watch()) == [("audit_mismatch", "critical", "firing")]


@pytest.mark.parametrize(
    ("seen", "rule"),
    [
        (Machine(memory=0.9, disk_free=0.5), ("memory_short", "warning")),
        (Machine(memory=0.1, disk_free=0.01), ("disk_short", "critical")),
    ],
)
def test_a_machine_that_is_full_is_told(
    node: Node, monkeypatch: pytest.MonkeyPatch, seen: Machine, rule: tuple[str, str]
) -> None:
    monkeypatch.setattr("watersmeet.runtime.node.machine", lambda folder: seen)
    assert told(node.watch()) == [(*rule, "firing")]
    monkeypatch.undo()
    assert told(node.watch()) == [(*rule, "resolved")]


def test_the_machine_is_looked_at(tmp_path: Path) -> None:
    seen = module.machine(tmp_path)
    assert 0 < seen.memory < 1
    assert 0 < seen.disk_free < 1


def test_a_running_node_watches_by_itself(tmp_path: Path) -> None:
    heard: list[Notice] = []
    node = shop.open_node(tmp_path, system_clock(), watch={"every_seconds": 0.01, "disk_free_percent": 100})
    node.apply()
    done = threading.Event()
    honest: Callable[[str, Notice], None] = node.alerts._notify

    def notify(name: str, notice: Notice) -> None:
        honest(name, notice)
        heard.append(notice)
        done.set()

    node.alerts._notify = notify
    node.start(["serve"])
    assert done.wait(30)
    node.stop()
    assert told(heard) == [("disk_short", "critical", "firing")]
