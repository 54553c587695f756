from __future__ import annotations

from pathlib import Path

import pytest

import watersmeet as wm
from tests.faults import shop
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.layers.ingest import LOOK_SECONDS, Backlog, Pull, append
from watersmeet.runtime.node import Node

pytestmark = pytest.mark.integration
FEW, MANY = shop.workload("steady", 4), shop.workload("steady", 40)


class Ticking(ManualClock):
    """A clock whose seconds for rates move by hand too."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Ticking:
    return Ticking((shop.NOON_MS + 3_600_000) * 1000)


@pytest.fixture
def node(tmp_path: Path, clock: Ticking) -> Node:
    made = shop.open_node(tmp_path, clock)
    made.apply()
    return made


@pytest.fixture
def backlog(node: Node, clock: Ticking) -> Backlog:
    return Backlog(node.parts.log, node.parts.state, clock, most_records=10)


def test_within_the_bound_nobody_waits(node: Node, backlog: Backlog) -> None:
    assert backlog.wait_seconds("nothing of this name yet") == 0.0
    append(node.parts.log, shop.orders, FEW)
    assert backlog.wait_seconds("orders") == 0.0


def test_beyond_it_producers_wait_for_as_long_as_it_takes(node: Node, backlog: Backlog, clock: Ticking) -> None:
    append(node.parts.log, shop.orders, FEW)
    assert backlog.wait_seconds("orders") == 0.0
    append(node.parts.log, shop.orders, MANY[4:])
    clock.seconds += LOOK_SECONDS
    assert backlog.wait_seconds("orders") == 5.0, "no rate is known while nothing is read"
    node.absorb("orders")
    append(node.parts.log, shop.orders, MANY)
    clock.seconds += 4.0
    assert backlog.wait_seconds("orders") == pytest.approx((40 - 10) / (40 / 4.0))
    node.absorb("orders")
    assert backlog.wait_seconds("orders") > 0.0, "looked at once a second"
    clock.seconds += LOOK_SECONDS
    assert backlog.wait_seconds("orders") == 0.0


class Endless:
    """Always has the same few records."""

    name = "endless"
    pulls = 0

    def pull(self, position: bytes | None) -> wm.Pulled:
        self.pulls += 1
        return wm.Pulled([("orders", wm.Record(value)) for value in MANY], b"x", 0.0)


def test_a_source_waits_for_the_topic_that_it_feeds(node: Node, backlog: Backlog, clock: Ticking) -> None:
    source = Endless()
    pull = Pull(source, node.parts.log, node.parts.state, clock, backlog=backlog)
    assert pull.once() == 0.0
    clock.seconds += LOOK_SECONDS
    assert pull.once() > 0.0
    assert source.pulls == 1
    node.absorb("orders")
    clock.seconds += LOOK_SECONDS
    assert pull.once() == 0.0
    assert source.pulls == 2


def test_the_setting_is_the_bound(tmp_path: Path, clock: Ticking) -> None:
    told = shop.open_node(tmp_path / "told", clock, ingest={"most_unread": 10})
    told.apply()
    append(told.parts.log, shop.orders, MANY)
    assert told.backlog.wait_seconds("orders") > 0.0
