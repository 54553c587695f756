"""Two speed runners started together: one is fenced and commits nothing; when the other is killed it takes over."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.core.declarations import collect
from watersmeet.layers import ingest
from watersmeet.runtime import node as runtime
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import system_clock, wire

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
TAKEOVER_SECONDS = 1.0
PATIENCE_SECONDS = 90.0
ROUNDS, BATCH = 8, 25
CLOCK = system_clock()


def open_node(folder: Path, mark: str, stores: Mapping[str, str]) -> Node:
    orders = wm.Topic(
        f"orders_{mark}",
        id="order_id",
        event_time="at",
        partitions=2,
        schema={"order_id": "varchar not null", "product": "varchar not null", "at": "timestamp_ms not null"},
    )
    sales = wm.View("sales", topic=orders, dimensions=["product"], measures={"orders": wm.count()})
    given = {"directory": folder, "stores": stores, "speed": {"slice_records": 10}, "compute": {"threads": 1}}
    app = App("twice", collect([sales]), {}, ModuleType("twice"))
    return Node(wire(Settings.model_validate(given), clock=CLOCK), app, sources=[])


def serve(folder: str, mark: str, stores: str) -> None:
    """What a process of the test does: absorb until it is killed, and say which lease it has."""
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    logging.getLogger("watersmeet.layers.speed").setLevel(logging.INFO)
    runtime.TAKEOVER_SECONDS = TAKEOVER_SECONDS
    open_node(Path(folder), mark, json.loads(stores)).start(["speed"])
    threading.Event().wait()


class Runner:
    """A process with a speed layer."""

    def __init__(self, *arguments: str) -> None:
        code = "import sys; from tests.faults.test_takeover import serve; serve(*sys.argv[1:])"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, *arguments],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def holds(self, generation: int) -> bool:
        """Whether it has said that it absorbs with that lease."""
        return any(line.rstrip().endswith(f"as generation {generation}") for line in self.said)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._listener.join()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            self.said.extend(iter(lines.readline, ""))


@contextmanager
def runners(*arguments: str) -> Iterator[list[Runner]]:
    """Two of them, started together."""
    both = [Runner(*arguments), Runner(*arguments)]
    try:
        yield both
    finally:
        for each in both:
            each.kill()


@pytest.fixture(params=["embedded", "cluster"])
def stores(request: pytest.FixtureRequest) -> Mapping[str, str]:
    """All embedded, or the log on Kafka and the state in Cassandra."""
    if request.param == "embedded":
        return {}
    cassandra = request.getfixturevalue("cassandra")
    return {
        "log": request.getfixturevalue("kafka"),
        "state": f"{cassandra}?app=take_{uuid.uuid4().hex[:8]}",
    }


def test_of_two_runners_one_waits_and_takes_over_when_the_other_is_killed(
    stores: Mapping[str, str], tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex[:8]
    node = open_node(tmp_path, mark, stores)
    node.apply()
    topic = node.declarations().topic(f"orders_{mark}")
    sent = 0

    def send() -> None:
        nonlocal sent
        numbers = range(sent, sent + BATCH)
        lines = [
            json.dumps({"order_id": f"o{n}", "product": "ab"[n % 2], "at": 1_700_000_000_000 + n}) for n in numbers
        ]
        ingest.append(node.parts.log, topic, [line.encode() for line in lines])
        sent += BATCH

    def generation() -> int:
        return node.parts.state.manifest(topic.name).generation

    with runners(str(tmp_path), mark, json.dumps(stores)) as both:

        def wait_until(holds: object, what: str) -> None:
            assert callable(holds)
            until = CLOCK.monotonic() + PATIENCE_SECONDS
            while not holds():
                words = "\n".join(line for each in both for line in each.said[-20:])
                assert CLOCK.monotonic() < until, f"{what}; they said:\n{words}"
                CLOCK.sleep(0.05)

        wait_until(lambda: any(each.holds(2) for each in both), "both have begun")
        holder, waiting = sorted(both, key=lambda each: not each.holds(2))
        for _ in range(ROUNDS):
            send()
            wait_until(lambda: not node.is_unread(topic.name), "the holder absorbs")
        wait_until(
            lambda: any("another speed layer has taken over" in line.lower() for line in waiting.said), "one is fenced"
        )
        assert generation() == 2  # no commit but those of the one lease
        assert not waiting.holds(3)
        for _ in range(ROUNDS):  # it dies among slices, wherever it is
            send()
        holder.kill()
        send()
        wait_until(lambda: not node.is_unread(topic.name), "the other one takes over")
        assert waiting.holds(3)
        assert generation() == 3
    status = node.status()
    assert (status.balanced, status.ledger.received, status.ledger.used) == (True, sent, sent)
    rows = pa.table(node.reader.read(wm.Request("sales")).rows).to_pylist()
    assert {row["product"]: row["orders"] for row in rows} == {"a": (sent + 1) // 2, "b": sent // 2}
