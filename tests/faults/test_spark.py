"""SIGKILL of a speed layer on Spark, again and again, and one that was believed dead: each record counts once.

The oracle goes through the slices that the manifest lists and computes each from the log, in this process, knowing the
ids that the slices before it kept. Ledgers, ids, dead letters and cells must be equal.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.adapters.local.state import LocalState
from watersmeet.core import manifest
from watersmeet.core.address import parse_address
from watersmeet.core.errors import UnavailableError
from watersmeet.core.ledger import total
from watersmeet.core.record import Record, Records
from watersmeet.core.runner import Turn
from watersmeet.formats.absorption import Part, assemble, compute, merge_cells
from watersmeet.testing.services.spark import spark

from .spark_driver import ENGINE, SLICE_RECORDS, declared

pytestmark = pytest.mark.integration
NOON_MS = 1_700_000_400_000
KILLS = ("computed", "committed", "computed", "committed", "computed")
"""What the driver has just said when it is killed: about to commit, or on its way to the next slice."""


@dataclass
class World:
    """A topic on Kafka, a state, and drivers over them."""

    folder: Path
    fleet: str
    kafka: str
    name: str
    log: KafkaLog
    state: LocalState

    @contextmanager
    def driver(self, waits_at: int = 0) -> Iterator[subprocess.Popen[str]]:
        """A process that absorbs; killed at the end of the block."""
        given = [str(self.folder), self.fleet, self.kafka, self.name, str(waits_at)]
        with (self.folder / "driver.log").open("a") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.spark_driver", *given],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def await_line(self, process: subprocess.Popen[str], wanted: str) -> None:
        """Read what a driver says up to a line that begins with ``wanted``."""
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith(wanted):
            assert line, (self.folder / "driver.log").read_text()[-3000:]

    def send(self, turn: int, count: int) -> None:
        """Records of which some are copies and some broken."""
        draw = random.Random(turn)
        out = []
        for number in range(turn * count, turn * count + count):
            same = draw.randrange(number + 1) if draw.random() < 0.2 else number
            fields = {"order_id": f"o{same}", "product": "abcde"[same % 5], "at": NOON_MS + same * 500}
            out.append(Record(json.dumps(fields).encode(), b"%d" % (same % 5)))
            if draw.random() < 0.05:
                out.append(Record(b"{", b"1"))
        self.log.append(self.name, out)


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    pytest.importorskip("pyspark")
    try:
        fleet = spark(tmp_path / "spark", every_seconds="0.05")
    except UnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    kafka = request.getfixturevalue("kafka")
    name, clock = f"orders.{uuid.uuid4().hex[:8]}", SystemClock()
    topic, specs = declared(name)
    with (
        closing(KafkaLog(parse_address(kafka), clock)) as log,
        closing(LocalState(tmp_path / "state.db", clock)) as state,
    ):
        log.create(name, topic.partitions)
        state.change(name, lambda m: manifest.create(m, log.start(name)))
        readable = [spec.fingerprint for spec in specs]
        state.change(name, lambda m: manifest.declare(m, 1, readable, clock.now_us()))
        yield World(tmp_path, fleet, kafka, name, log, state)


def rows(chunks: list[Records]) -> list[str]:
    return sorted(repr(row) for chunk in chunks for row in pa.table(chunk).to_pylist())


def check_against_the_oracle(world: World) -> None:
    """Compute every listed slice again, in order, in this process."""
    topic, specs = declared(world.name)
    m, turn, ids = world.state.manifest(world.name), Turn(topic, specs), ENGINE.ids()
    parts: list[Part] = []
    assert m.frontier == world.log.end(world.name)
    for slice_ in m.slices:
        chunk = pa.table(world.log.read(world.name, slice_.lower, slice_.upper, 1_000_000))
        part = compute(ENGINE, turn, chunk, ids.lookup)
        ids.add(part.kept)
        parts.append(part)
        expected = assemble(slice_.lower, slice_.upper, [part], part.lifted)
        outcomes = [(e.used, e.duplicates, e.dead, e.filtered, e.holes, e.conflicts) for e in expected.ledger]
        assert [(e.used, e.duplicates, e.dead, e.filtered, e.holes, e.conflicts) for e in slice_.ledger] == outcomes
    attempts = [slice_.attempt for slice_ in m.slices]
    for kind, chunks in (("ids", [part.kept for part in parts]), ("dead", [part.dead for part in parts])):
        assert rows(list(world.state.load(world.name, kind, attempts).values())) == rows(list(chunks))
    merged = merge_cells(ENGINE, specs, parts)
    for spec in specs:
        held = world.state.load(world.name, f"cells:{spec.fingerprint}", [block.owner for block in m.blocks])
        assert rows([ENGINE.merge(spec, list(held.values()))]) == rows([merged[spec.fingerprint].cells])
    found = total(e for slice_ in m.slices for e in slice_.ledger)
    assert found.balanced
    assert found.received == sum(m.frontier)
    assert min(found.used, found.duplicates, found.dead) > 0


def test_kills_lose_nothing_and_repeat_nothing(world: World) -> None:
    for turn, moment in enumerate(KILLS):
        world.send(turn, 2 * SLICE_RECORDS)
        with world.driver() as process:
            world.await_line(process, "committed")
            world.await_line(process, moment)
            process.kill()
    with world.driver() as process:
        world.await_line(process, "committed " + " ".join(map(str, world.log.end(world.name))))
    check_against_the_oracle(world)


def test_a_driver_that_was_believed_dead_is_fenced(world: World) -> None:
    world.send(0, 2 * SLICE_RECORDS)
    with world.driver(waits_at=2) as zombie:
        world.await_line(zombie, "committed")
        world.await_line(zombie, "computed")
        with world.driver() as process:
            world.await_line(process, "committed " + " ".join(map(str, world.log.end(world.name))))
        before = world.state.manifest(world.name)
        out, _ = zombie.communicate("\n", timeout=120)
    assert "fenced" in out
    assert "committed" not in out
    assert world.state.manifest(world.name) == before
    check_against_the_oracle(world)
