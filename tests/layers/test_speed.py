"""The speed layer's commits and what goes on beside them: merging, rolling, a lease that somebody else has taken."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.adapters.local.runner import LocalRunner
from watersmeet.adapters.local.state import LocalState
from watersmeet.core import failpoint, manifest
from watersmeet.core.applied import Applied, applied
from watersmeet.core.declarations import collect
from watersmeet.core.errors import ConflictError, UnavailableError
from watersmeet.core.frontier import size
from watersmeet.core.manifest import Manifest
from watersmeet.core.reader import Request
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers import plan as planning
from watersmeet.layers.serving import Serving
from watersmeet.layers.speed import LIVE_BLOCKS, MAX_BLOCKS, MERGE_BLOCKS, Roll, Speed

pytestmark = pytest.mark.integration

START_US = 1_700_000_000_000_000
SLICE, PATIENCE = 2, 30.0
ENGINE = ColumnarEngine(threads=1)
NUMBERS = wm.Topic(
    "numbers",
    schema={"k": "integer not null", "v": "integer not null", "at": "timestamp_ms not null"},
    event_time="at",
    id="k",
)
SUMS = wm.View("sums", topic=NUMBERS, measures={"n": wm.count(), "total": wm.sum("v")})


@pytest.fixture(autouse=True)
def _no_hook_left() -> Iterator[None]:
    yield
    failpoint.install(None)


class Until(threading.Event):
    """Set as soon as a condition holds."""

    def __init__(self, done: Callable[[], bool]) -> None:
        super().__init__()
        self._done = done

    def is_set(self) -> bool:
        """See `threading.Event`."""
        return self._done()


class World:
    """A topic whose slices have `SLICE` records.

    Args:
        folder: of its stores.
    """

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock(START_US)
        self.state = LocalState(folder / "state.db", self.clock)
        self.log = LocalLog(folder / "log", self.clock, fsync=False)
        self.reader = Serving(lambda: self.applied.served, self.state, ENGINE, self.clock)
        found = planning.plan(collect([SUMS]), self.state, self.log, ENGINE, self.clock)
        planning.apply(found, self.state, self.log, self.clock)

    @property
    def applied(self) -> Applied:
        """What is applied."""
        found = applied(self.state, {})
        assert found is not None
        return found

    @property
    def m(self) -> Manifest:
        """The manifest now."""
        return self.state.manifest("numbers")

    def append(self, slices: int) -> None:
        """Append records for so many slices."""
        end = self.log.end("numbers")[0]
        lines = [
            json.dumps({"k": k, "v": k, "at": START_US // 1000}).encode() for k in range(end, end + slices * SLICE)
        ]
        self.log.append("numbers", [wm.Record(line) for line in lines])

    def speed(self, *, slices: int = 512) -> Speed:
        """A speed layer that rolls after so many slices."""
        runner = LocalRunner(self.log, LocalArchive(Path("nowhere")), ENGINE, self.clock, slice_records=SLICE)
        works = lambda: self.applied.absorbs("numbers")  # noqa: E731  # asked anew each time
        roll = Roll(slices=slices)
        return Speed("numbers", works, self.state, runner, ENGINE, self.log, self.clock, roll=roll)

    def absorb(self, speed: Speed) -> None:
        """Let it take everything that is unread."""
        speed.run(Until(lambda: size(self.m.frontier, self.log.end("numbers")) == 0))

    def answer(self) -> dict[str, int]:
        """The only row."""
        [row] = pa.table(self.reader.read(Request("sums")).rows).to_pylist()
        return {name: int(row[name]) for name in SUMS.measures}

    def right(self) -> dict[str, int]:
        """What it must be."""
        count = self.log.end("numbers")[0]
        return {"n": count, "total": sum(range(count))}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.reader.close()
    made.log.close()
    made.state.close()


def test_blocks_are_merged_in_another_thread_and_answers_stay(world: World) -> None:
    threads = set()

    def note(point: str) -> None:
        if point.startswith("speed.compact"):
            threads.add((point, threading.current_thread() is threading.main_thread()))

    failpoint.install(note)
    world.append(3 * MERGE_BLOCKS)
    world.absorb(world.speed())
    assert threads == {("speed.compact.before", False), ("speed.compact.after", False)}
    assert len(world.m.blocks) <= MAX_BLOCKS < len(world.m.slices)
    assert world.answer() == world.right()


def test_a_commit_waits_for_a_merge_when_there_are_as_many_blocks_as_there_may_be(world: World) -> None:
    """The first merge begins at once and ends only when the commits have come as far as they may without it."""
    full, most, first = threading.Event(), list[int](), threading.Event()

    def hook(point: str) -> None:
        if point == "speed.commit.after":
            most.append(len(world.m.blocks))
            if most[-1] >= MAX_BLOCKS:
                full.set()
        if point == "speed.compact.before" and not first.is_set():
            first.set()
            assert full.wait(PATIENCE)

    failpoint.install(hook)
    world.append(6 * MERGE_BLOCKS)
    world.absorb(world.speed())
    assert max(most) == MAX_BLOCKS
    assert len(most) == 6 * MERGE_BLOCKS
    assert world.answer() == world.right()


def test_of_many_epochs_that_nobody_publishes_the_blocks_become_few(world: World) -> None:
    most = list[int]()

    def hook(point: str) -> None:
        if point == "speed.commit.before":
            most.append(len(world.m.blocks))

    failpoint.install(hook)
    world.append(100)
    world.absorb(world.speed(slices=10))
    assert max(most) == LIVE_BLOCKS
    assert {b.epoch for b in world.m.blocks} == set(range(world.m.open_epoch))
    assert world.answer() == world.right()


def test_a_merge_whose_blocks_have_gone_is_dropped(world: World) -> None:
    gone = threading.Event()

    def hook(point: str) -> None:
        if point == "speed.compact.before" and not gone.is_set():
            epoch = world.m.open_epoch
            world.state.change("numbers", lambda m: manifest.roll(m, START_US))
            world.state.change("numbers", lambda m: manifest.expire(m, epoch, "a test"))
            gone.set()
        if point == "speed.commit.after" and len(world.m.slices) >= 2 * MERGE_BLOCKS:
            assert gone.wait(PATIENCE)

    failpoint.install(hook)
    world.append(3 * MERGE_BLOCKS)
    world.absorb(world.speed())
    assert [gap.epoch for gap in world.m.gaps] == [0]
    assert {b.epoch for b in world.m.blocks} == {1}
    assert size(world.m.frontier, world.log.end("numbers")) == 0


@pytest.mark.parametrize("slices", [MERGE_BLOCKS, 2 * MERGE_BLOCKS + 1])
def test_an_error_of_a_merge_is_raised_and_loses_nothing(world: World, slices: int) -> None:
    def hook(point: str) -> None:
        if point == "speed.compact.before":
            raise UnavailableError("the state", got="an error")

    failpoint.install(hook)
    world.append(slices)
    with pytest.raises(UnavailableError, match="the state"):
        world.absorb(world.speed())
    failpoint.install(None)
    world.append(1)
    world.absorb(world.speed())
    assert world.answer() == world.right()


@pytest.mark.parametrize("between", ["speed.roll.before", "speed.compact.before"])
def test_a_lease_that_was_taken_before_a_roll_or_a_merge_is_lost(world: World, between: str) -> None:
    """What those changes return is the manifest of another holder: to commit in its name would count ids twice."""
    taken = threading.Event()

    def hook(point: str) -> None:
        if point == between and not taken.is_set():
            world.state.change("numbers", lambda m: manifest.lease(m, "another"))
            taken.set()
        if point == "speed.commit.before" and len(world.m.slices) >= MERGE_BLOCKS:
            assert taken.wait(PATIENCE)

    failpoint.install(hook)
    world.append(2 * MERGE_BLOCKS)
    with pytest.raises(ConflictError, match="lease"):
        world.absorb(world.speed(slices=1 if "roll" in between else 512))
    assert world.m.holder == "another"
    assert size(world.m.frontier, world.log.end("numbers")) > 0


def test_where_every_epoch_has_one_block_nobody_waits_for_a_merge(world: World) -> None:
    count = LIVE_BLOCKS + 6
    world.append(count)
    world.absorb(world.speed(slices=1))
    assert len(world.m.blocks) == count
    assert world.answer() == world.right()
