"""What a fleet computes is what one process computes, bit for bit."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from watersmeet.adapters.spark.runner import bounded
from watersmeet.adapters.spark.source import EpochFolder
from watersmeet.core.address import Address
from watersmeet.core.archive import Sealed
from watersmeet.core.engine import Absorbed
from watersmeet.core.errors import CorruptError, GapError, UnavailableError
from watersmeet.core.frontier import Frontier
from watersmeet.core.manifest import Epoch
from watersmeet.core.record import Records
from watersmeet.core.runner import Turn
from watersmeet.formats.absorption import compute

from .bench import CASES, ENGINE, Bench, Commits, local_bench, told, turn_of
from .films import NOW_MS

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")]


@pytest.mark.parametrize("case", CASES)
def test_slices_are_the_same(tmp_path: Path, fleet: Address, case: str) -> None:
    """Of the second slice, some records repeat what was kept in the first."""
    bench, turn = local_bench(tmp_path, fleet), turn_of(case, watermark_us=(NOW_MS - 1_800_000) * 1_000)
    ours, theirs = Commits(ENGINE.ids()), Commits(ENGINE.ids())
    for first in (0, 300):
        lower, upper = bench.fill(turn.topic, 300, first)
        expected = theirs.run(bench.local(), turn, lower, upper)
        found = ours.run(bench.spark(), turn, lower, upper)
        assert found == expected
    total = [entry for each in ours.found for entry in each.ledger]
    assert sum(e.used for e in total) > 300
    assert sum(e.dead for e in total) > 20
    assert sum(e.late for e in total) > 20
    assert (sum(e.duplicates for e in total) > 20) is (turn.topic.id is not None)
    assert (sum(e.filtered for e in total) > 5) is bool(turn.topic.exclusions)
    assert all(pa.table(x.cells).num_rows for each in ours.found for x in each.cells.values())


def test_a_slice_is_bounded_and_takes_partitions_fairly(tmp_path: Path, fleet: Address) -> None:
    bench, turn = local_bench(tmp_path, fleet, slice_records=100), turn_of("reviews")
    lower, upper = bench.fill(turn.topic, 300)
    ours = Commits(ENGINE.ids())
    ours.run(bench.spark(), turn, lower, upper)
    sizes = [sum(e.received for e in each.ledger) for each in ours.found]
    assert max(sizes) <= 100
    assert sum(sizes) == sum(upper)
    assert [each.upper for each in ours.found[:-1]] == [each.lower for each in ours.found[1:]]
    assert min(ours.found[0].upper) > 0


@pytest.mark.parametrize(
    ("lower", "end", "limit", "expected"),
    [
        ((0, 0), (3, 4), 100, (3, 4)),
        ((0, 0, 0), (10, 2, 50), 30, (10, 2, 18)),
        ((5, 5), (5, 105), 10, (5, 15)),
        ((0, 0, 0), (9, 9, 9), 2, (0, 1, 1)),
        ((4,), (4,), 10, (4,)),
    ],
)
def test_bounded(lower: Frontier, end: Frontier, limit: int, expected: Frontier) -> None:
    assert bounded(lower, end, limit) == expected


@pytest.mark.parametrize("reads", ["executors", "driver"])
@pytest.mark.parametrize("case", ["reviews", "no id", "excluded"])
def test_an_archived_epoch_is_the_same(tmp_path: Path, fleet: Address, case: str, reads: str) -> None:
    bench, turn = local_bench(tmp_path, fleet), turn_of(case)
    name = turn.topic.name
    _, first = bench.fill(turn.topic, 300)
    _, second = bench.fill(turn.topic, 300, 300)
    lower: Frontier = (0,) * turn.topic.partitions
    chunk = bench.log.read(name, lower, second, 10_000)
    bench.archive.append(name, Sealed(3, lower, second, ((7, first), (8, second))), [chunk])
    epoch = Epoch(3, lower, second, 7, 8, 0, False)
    before = ENGINE.ids()
    some = compute(ENGINE, turn, pa.table(chunk).slice(0, 40), before.lookup)
    # As if a few of the records had come once more, before the epoch.
    before.add(some.kept)
    progress: list[tuple[int, int]] = []
    runner = bench.spark(epochs=EpochFolder(tmp_path / "archive") if reads == "executors" else None)
    found = runner.recompute(turn, epoch, before.lookup, lambda done, total: progress.append((done, total)))
    expected = bench.local().recompute(turn, epoch, before.lookup, lambda done, total: None)
    assert told(turn, found) == told(turn, expected)
    assert progress[-1] == (sum(second), sum(second))
    assert (sum(e.duplicates for e in found.ledger) > 40) is (turn.topic.id is not None)


def test_an_empty_epoch_has_empty_cells(tmp_path: Path, fleet: Address) -> None:
    bench, turn = local_bench(tmp_path, fleet), turn_of("reviews")
    bench.log.create(turn.topic.name, turn.topic.partitions)
    lower: Frontier = (0,) * turn.topic.partitions
    upper: Frontier = (5, *lower[1:])
    bench.archive.append(turn.topic.name, Sealed(0, lower, upper, ((0, upper),)), [])
    epoch = Epoch(0, lower, upper, 0, 0, 0, False)
    for epochs in (None, EpochFolder(tmp_path / "archive")):
        found = bench.spark(epochs=epochs).recompute(turn, epoch, ENGINE.ids().lookup, lambda done, total: None)
        expected = bench.local().recompute(turn, epoch, ENGINE.ids().lookup, lambda done, total: None)
        assert told(turn, found) == told(turn, expected)
        assert sum(e.holes for e in found.ledger) == 5


def test_a_damaged_part_is_named(tmp_path: Path, fleet: Address) -> None:
    bench, turn = local_bench(tmp_path, fleet), turn_of("no id")
    lower, upper = bench.fill(turn.topic, 50)
    chunk = bench.log.read(turn.topic.name, lower, upper, 10_000)
    bench.archive.append(turn.topic.name, Sealed(0, lower, upper, ((0, upper),)), [chunk])
    part = sorted((tmp_path / "archive").rglob("*.parquet"))[0]
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    epoch = Epoch(0, lower, upper, 0, 0, 0, False)
    runner = bench.spark(epochs=EpochFolder(tmp_path / "archive"))
    with pytest.raises(CorruptError, match=part.name):
        runner.recompute(turn, epoch, ENGINE.ids().lookup, lambda done, total: None)


def test_records_that_are_gone_are_a_gap(tmp_path: Path, fleet: Address) -> None:
    bench, turn = local_bench(tmp_path, fleet), turn_of("reviews")
    lower, upper = bench.fill(turn.topic, 50)
    bench.log.start = lambda topic: upper  # type: ignore[method-assign]  # as if they had expired
    with pytest.raises(GapError, match=r"movie\.reviews"):
        Commits(ENGINE.ids()).run(bench.spark(), turn, lower, upper)


def test_an_idle_topic_is_committed_as_an_empty_slice(tmp_path: Path, fleet: Address) -> None:
    bench, turn = local_bench(tmp_path, fleet), turn_of("reviews")
    _, upper = bench.fill(turn.topic, 10)
    ours = Commits(ENGINE.ids())
    ours.run(bench.spark(), turn, upper, upper)
    [only] = ours.found
    assert (only.lower, only.upper) == (upper, upper)
    assert pa.table(only.kept).num_rows == 0


def test_a_refused_slice_is_computed_again_under_the_new_turn(tmp_path: Path, fleet: Address) -> None:
    bench, old, new = (
        local_bench(tmp_path, fleet),
        turn_of("no id"),
        replace(turn_of("no id"), watermark_us=NOW_MS * 1_000),
    )
    lower, upper = bench.fill(old.topic, 50)
    asked, found, stop = iter([old, new]), list[Absorbed](), threading.Event()

    def commit(absorbed: Absorbed) -> Frontier:
        found.append(absorbed)
        if len(found) == 1:
            return lower
        stop.set()
        return upper

    bench.spark().stream(lambda: next(asked), lower, ENGINE.ids().lookup, commit, stop)
    first, second = found
    assert (first.lower, first.upper) == (second.lower, second.upper) == (lower, upper)
    assert sum(e.late for e in first.ledger) == 0 < sum(e.late for e in second.ledger)


@dataclass(frozen=True)
class Dying:
    """Reads an epoch, but not before the first process that tries has been killed."""

    folder: EpochFolder
    marker: Path

    def __call__(self, topic: str, number: int, partitions: Sequence[int]) -> Iterator[pa.Table]:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return self.folder(topic, number, partitions)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def archived(bench: Bench, turn: Turn) -> Epoch:
    """All records of a topic as epoch 0."""
    lower, upper = bench.fill(turn.topic, 200)
    chunk = bench.log.read(turn.topic.name, lower, upper, 10_000)
    bench.archive.append(turn.topic.name, Sealed(0, lower, upper, ((0, upper),)), [chunk])
    return Epoch(0, lower, upper, 0, 0, 0, False)


def test_a_killed_process_of_an_executor_is_replaced(tmp_path: Path, fleet: Address) -> None:
    bench, turn = local_bench(tmp_path, fleet), turn_of("reviews")
    epoch = archived(bench, turn)
    dying = Dying(EpochFolder(tmp_path / "archive"), tmp_path / "killed")
    found = bench.spark(epochs=dying).recompute(turn, epoch, ENGINE.ids().lookup, lambda done, total: None)
    expected = bench.local().recompute(turn, epoch, ENGINE.ids().lookup, lambda done, total: None)
    assert dying.marker.exists()
    assert told(turn, found) == told(turn, expected)


def test_a_jvm_that_is_lost_in_the_middle_of_a_slice_is_a_pause(tmp_path: Path, fleet: Address) -> None:
    from pyspark import SparkContext

    bench, turn, ours = local_bench(tmp_path, fleet), turn_of("reviews"), Commits(ENGINE.ids())
    lower, upper = bench.fill(turn.topic, 200)
    runner = bench.spark()

    def known(ids: Records) -> Records:
        gateway: Any = SparkContext._gateway
        gateway.proc.kill()
        gateway.proc.wait()
        return ours.ids.lookup(ids)

    with pytest.raises(UnavailableError, match=r"a slice of topic movie\.reviews"):
        runner.stream(lambda: turn, lower, known, lambda absorbed: upper, threading.Event())
    found = ours.run(runner, turn, lower, upper)
    assert found == Commits(ENGINE.ids()).run(bench.local(), turn, lower, upper)
