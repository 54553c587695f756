"""More comes in than can be absorbed: producers are told to wait, what waits is bounded, and nothing is lost."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest
from fastapi.testclient import TestClient

from tests.faults import shop
from watersmeet.api.app import create
from watersmeet.api.problems import MEDIA_TYPE
from watersmeet.core.frontier import size
from watersmeet.core.record import Record
from watersmeet.core.source import Pulled, Source
from watersmeet.layers.ingest import LONGEST_WAIT_SECONDS
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import scaled_clock, wire

pytestmark = pytest.mark.integration
MOST, SLICE, BATCH, PRODUCERS, BATCHES = 400, 50, 100, 4, 20
CLOCK = scaled_clock((shop.NOON_MS + 3_600_000) * 1_000, 50.0)
PATIENCE_SECONDS = 90.0
MEMORY_BYTES = 256 << 20


def open_node(folder: Path, sources: Sequence[Source] = ()) -> Node:
    settings = Settings.model_validate(
        {
            "directory": folder,
            "compute": {"threads": 1},
            "ingest": {"most_unread": MOST},
            "speed": {"slice_records": SLICE, "epoch_slices": 10_000, "epoch_seconds": 1e9},
            "serve": {"requests_per_minute": 1_000_000},
        }
    )
    app = App("shop", shop.declarations, {}, ModuleType("shop"))
    node = Node(wire(settings, clock=CLOCK, engine=shop.ENGINE), app, sources=list(sources))
    node.apply()
    return node


@contextmanager
def running(node: Node, *roles: str) -> Iterator[None]:
    node.start(roles)
    try:
        yield
    finally:
        node.stop(drain_seconds=PATIENCE_SECONDS)


def orders(first: int) -> list[dict[str, Any]]:
    numbers = range(first, first + BATCH)
    return [{"order_id": f"o{n}", "product": "tea", "buyer": n % 7, "at": shop.NOON_MS + n} for n in numbers]


def unread(node: Node) -> int:
    m = node.parts.state.manifest("orders")  # before the end, so that it is never too small
    return size(m.frontier, node.parts.log.end("orders"))


def wait_until(holds: object, what: str) -> None:
    assert callable(holds)
    until = CLOCK.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert CLOCK.monotonic() < until, what
        CLOCK.sleep(1.0)


class Producer:
    """Sends batches as fast as it can; notes what was accepted, what was not, and how much waited meanwhile."""

    def __init__(self, node: Node, client: TestClient, number: int) -> None:
        self._node, self._client = node, client
        self._batches = [orders((number * BATCHES + n) * BATCH) for n in range(BATCHES)]
        self.accepted, self.refused, self.most = 0, 0, 0

    def flood(self) -> None:
        """Send every batch once."""
        self._batches = [batch for batch in self._batches if not self._send(batch)]

    def insist(self) -> None:
        """Send what was refused until it is taken."""

        def is_done() -> bool:
            self.flood()
            return not self._batches

        wait_until(is_done, "all is taken in the end")

    def _send(self, batch: list[dict[str, Any]]) -> bool:
        answer = self._client.post("/v1/topics/orders/records", json=batch)
        self.most = max(self.most, unread(self._node))
        if answer.status_code == 200:
            self.accepted += answer.json()["accepted"]
            return True
        assert answer.status_code == 429, answer.text
        assert 1 <= int(answer.headers["retry-after"]) <= LONGEST_WAIT_SECONDS
        assert answer.headers["content-type"] == MEDIA_TYPE
        self.refused += 1
        return False


def test_a_flood_of_requests_is_told_to_wait_and_drains(tmp_path: Path) -> None:
    node, process = open_node(tmp_path), psutil.Process()
    client = TestClient(create(node), client=("127.0.0.1", 50_000), raise_server_exceptions=False)
    assert client.get("/v1/ledger").status_code == 200  # what is made at the first request is made once
    producers = [Producer(node, client, number) for number in range(PRODUCERS)]
    before = process.memory_info().rss
    with running(node, "speed"), ThreadPoolExecutor(PRODUCERS) as pool:
        list(pool.map(Producer.flood, producers))
        accepted = sum(each.accepted for each in producers)
        assert sum(each.refused for each in producers) > 0
        assert max(each.most for each in producers) <= MOST + BATCH * PRODUCERS
        wait_until(lambda: unread(node) == 0, "the lag drains")
        assert node.status().ledger.received == accepted
        list(pool.map(Producer.insist, producers))
        wait_until(lambda: unread(node) == 0, "the lag drains again")
    assert process.memory_info().rss - before < MEMORY_BYTES
    m, status = node.parts.state.manifest("orders"), node.status()
    assert max(size(s.lower, s.upper) for s in m.slices) <= SLICE
    total = PRODUCERS * BATCHES * BATCH
    assert (status.balanced, status.ledger.received, status.ledger.used) == (True, total, total)


class Spring:
    """A source that has a batch whenever it is asked, and ends after ``batches`` of them."""

    name = "spring"

    def __init__(self, batches: int) -> None:
        self._batches = batches
        self.pulled = 0
        self.dry = threading.Event()

    def pull(self, position: bytes | None) -> Pulled:
        number = int(position or b"0")
        if number == self._batches:
            self.dry.set()
            return Pulled([], b"%d" % number, 1.0)
        self.pulled += BATCH
        records = [("orders", Record(json.dumps(order).encode())) for order in orders(number * BATCH)]
        return Pulled(records, b"%d" % (number + 1), 0.0)


def test_a_source_is_not_pulled_while_too_much_waits(tmp_path: Path) -> None:
    spring = Spring(3 * MOST // BATCH)
    node = open_node(tmp_path, [spring])
    with running(node, "ingest"):  # nothing absorbs: any input is many times what it can take
        wait_until(lambda: unread(node) > MOST, "the bound is reached")
        for _ in range(20):
            CLOCK.sleep(10.0)  # of the clock: longer than a source waits
            assert spring.pulled == unread(node) <= MOST + BATCH
        with running(node, "speed"):
            wait_until(spring.dry.is_set, "it goes on when there is room")
    wait_until(lambda: unread(node) == 0, "the lag drains")
    status = node.status()
    assert (status.balanced, status.ledger.received, status.ledger.used) == (True, spring.pulled, spring.pulled)
    assert spring.pulled == 3 * MOST
