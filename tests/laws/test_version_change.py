"""A new topic version with the real engine, layers and stores: both versions answer like their own reference."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.adapters.local.runner import LocalRunner
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.applied import Applied, applied
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.frontier import size
from watersmeet.core.manifest import roll
from watersmeet.core.reader import Request
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers import plan as planning
from watersmeet.layers.audit import Audit
from watersmeet.layers.batch import Batch
from watersmeet.layers.serving import Serving
from watersmeet.layers.speed import Speed

pytestmark = pytest.mark.integration

START_US = 1_700_000_000_000_000


def app(check: dict[str, str] | None = None) -> Declarations:
    topic = wm.Topic(
        "numbers",
        schema={"k": "integer not null", "v": "integer not null", "at": "timestamp_ms not null"},
        event_time="at",
        id="k",
        check=check or {},
        partitions=2,
    )
    return collect([wm.View("sums", topic=topic, measures={"n": wm.count(), "total": wm.sum("v")})])


class Until(threading.Event):
    """Set as soon as a condition holds."""

    def __init__(self, done: Callable[[], bool]) -> None:
        super().__init__()
        self._done = done

    def is_set(self) -> bool:
        return self._done()

    def wait(self, timeout: float | None = None) -> bool:
        return self._done()


class World:
    """One process that does everything, step by step."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(START_US)
        self.state = LocalState(folder / "state.db", self.clock)
        self.log = LocalLog(folder / "log", self.clock, fsync=False)
        self.engine, self.archive = ColumnarEngine(), LocalArchive(folder / "archive")
        self.runner = LocalRunner(self.log, self.archive, self.engine, self.clock)
        self.reader = Serving(lambda: self.applied.served, self.state, self.engine, self.clock)

    @property
    def applied(self) -> Applied:
        found = applied(self.state, {})
        assert found is not None
        return found

    def apply(self, proposed: Declarations) -> None:
        found = planning.plan(proposed, self.state, self.log, self.engine, self.clock)
        planning.apply(found, self.state, self.log, self.clock)

    def append(self, *items: tuple[int, int]) -> None:
        at = self.clock.now_us() // 1000
        values = [json.dumps({"k": k, "v": v, "at": at}).encode() for k, v in items]
        self.log.append("numbers", [wm.Record(value) for value in values])

    def speed(self) -> Speed:
        return Speed(
            "numbers",
            lambda: self.applied.absorbs("numbers"),
            self.state,
            self.runner,
            self.engine,
            self.log,
            self.clock,
        )

    def absorb(self, speed: Speed) -> None:
        speed.run(Until(lambda: size(self.state.manifest("numbers").frontier, self.log.end("numbers")) == 0))

    def roll(self) -> None:
        self.state.change("numbers", lambda m: roll(m, self.clock.now_us()))

    def batch(self) -> None:
        audit = Audit(self.state, self.engine, self.clock)
        batch = Batch(
            "numbers",
            lambda: self.applied.recomputes("numbers"),
            self.state,
            self.archive,
            self.runner,
            self.engine,
            self.log,
            self.clock,
            audit=audit,
        )
        while batch.step():
            pass
        planning.swap(self.state, self.clock)

    def answer(self) -> tuple[int, int]:
        (row,) = pa.table(self.reader.read(Request("sums")).rows).to_pylist()
        return row["n"], int(row["total"])


def test_the_new_version_starts_with_its_own_ids_and_ends_as_if_it_had_always_been_in_force(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.apply(app())
    speed = world.speed()
    world.append((1, 10), (2, 20), (1, 99))
    world.absorb(speed)
    assert world.answer() == (2, 30)
    world.roll()
    world.batch()
    world.append((3, 5))
    world.absorb(speed)

    world.apply(app({"not_twenty": "v <> 20"}))
    assert list(world.applied.pending) == ["sums", "topic numbers"]
    world.append((4, 7))
    world.absorb(speed)  # by the old version
    assert world.answer() == (4, 42)
    world.batch()
    world.batch()
    assert list(world.applied.pending) == []
    assert world.answer() == (3, 22)

    # An id that only the old version kept, a copy, a dead one and a new one.
    world.append((2, 1), (4, 1), (5, 20), (6, 6))
    world.absorb(speed)
    assert world.answer() == (5, 29)
    world.roll()
    world.batch()
    assert world.answer() == (5, 29)
    findings = [json.loads(value.data) for value in world.state.scan("audits").values()]
    assert all(f["mismatches"] == f["id_mismatches"] == 0 and f["ledger_matches"] for f in findings)
    assert len(findings) >= 3
