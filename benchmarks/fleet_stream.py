"""watersmeet on Spark, over a topic on Kafka: ``python -m benchmarks.fleet_stream <job as JSON>``.

A speed layer absorbs what is on the topic into a state on disk, a synced commit a slice; then the same records, from an
archived epoch, are recomputed by the batch side of the runner, twice, for the JVM compiles during the first. Prints one
JSON object: records and seconds of each slice, seconds to the first, what the cells come to, and the batch's seconds.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.adapters.local.state import LocalState
from watersmeet.adapters.spark.runner import SparkRunner
from watersmeet.adapters.spark.source import EpochFolder
from watersmeet.core import manifest
from watersmeet.core.address import parse_address
from watersmeet.core.archive import Sealed
from watersmeet.core.engine import Absorbed, Held, Known, Selection
from watersmeet.core.frontier import Frontier, size
from watersmeet.core.log import Log
from watersmeet.core.manifest import Epoch
from watersmeet.core.runner import Turn
from watersmeet.core.view import View
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers.speed import Roll, Speed

from .workload import WORKLOADS

READ = 250_000
FACTORY = partial(ColumnarEngine, threads=1)


@dataclass
class Slices:
    """A runner that notes when each slice was committed, and stops at the end of the topic."""

    runner: SparkRunner
    end: Frontier
    began: float
    took: list[dict[str, float]] = field(default_factory=list)
    first: float = 0.0

    def stream(
        self,
        turn: Callable[[], Turn],
        start: Frontier,
        known: Known,
        commit: Callable[[Absorbed], Frontier],
        stop: threading.Event,
    ) -> None:
        """As the runner does."""
        before = time.perf_counter()

        def noted(absorbed: Absorbed) -> Frontier:
            nonlocal before
            frontier = commit(absorbed)
            now = time.perf_counter()
            self.took.append({"records": size(absorbed.lower, absorbed.upper), "seconds": now - before})
            self.first, before = self.first or now - self.began, now
            if frontier == self.end:
                stop.set()
            return frontier

        self.runner.stream(turn, start, known, noted, stop)

    def recompute(self, turn: Turn, epoch: Epoch, known: Known, progress: Callable[[int, int], None]) -> Absorbed:
        """As the runner does."""
        return self.runner.recompute(turn, epoch, known, progress)


def main() -> None:
    """Run the job that the first argument describes."""
    began, job = time.perf_counter(), json.loads(sys.argv[1])
    [workload] = [each for each in WORKLOADS if each.name == job["figure"]]
    topic = replace(workload.view.topic, name=job["topic"])
    view = replace(workload.view, topic=topic)
    engine, clock, folder = ColumnarEngine(), SystemClock(), Path(job["folder"])
    records, fleet = parse_address(job["kafka"]), parse_address(job["fleet"])
    archive = LocalArchive(folder / "archive")
    with closing(KafkaLog(records, clock)) as log, closing(LocalState(folder / "state.db", clock)) as state:
        epochs, given = EpochFolder(folder / "archive"), job["slice_records"]
        runner = SparkRunner(fleet, log, archive, engine, FACTORY, clock, given, records=records, epochs=epochs)
        state.change(topic.name, lambda m: manifest.create(m, log.start(topic.name)))
        readable = [spec.fingerprint for spec in view.specs]
        state.change(topic.name, lambda m: manifest.declare(m, 1, readable, clock.now_us()))
        slices = Slices(runner, log.end(topic.name), began)
        roll = Roll(1e9, 10_000, 10**9)
        Speed(topic.name, lambda: (1, topic, view.specs), state, slices, engine, log, clock, roll=roll).run(
            threading.Event()
        )
        [spec], m = view.specs, state.manifest(topic.name)
        held = engine.hold(spec)
        owners = [block.owner for block in m.blocks]
        held.update(state.load(topic.name, f"cells:{spec.fingerprint}", owners))
        told = {"batches": slices.took, "first": slices.first, **totals(held, view, workload.sum)}
        store(archive, log, topic.name, m)
        turn = Turn(topic, view.specs)
        told["batch"] = [recomputed(runner, engine, turn, m) for _ in range(2)][-1]
    print(json.dumps(told))
    runner.close()


def totals(held: Held, view: View, measure: str) -> dict[str, int]:
    """Rows of the view, and the sum of a measure over them."""
    rows = pa.table(held.rows(view, Selection()).rows)
    return {"groups": rows.num_rows, "sum": sum(rows.column(measure).to_pylist())}


def store(archive: LocalArchive, log: Log, name: str, m: manifest.Manifest) -> None:
    """Archive everything as epoch 0, in the slices in which it was absorbed."""

    def chunks() -> Any:
        for slice_ in m.slices:
            yield log.read(name, slice_.lower, slice_.upper, size(slice_.lower, slice_.upper) + 1)

    uppers = tuple((slice_.sequence, slice_.upper) for slice_ in m.slices)
    archive.append(name, Sealed(0, m.start, m.frontier, uppers), chunks())


def recomputed(runner: SparkRunner, engine: ColumnarEngine, turn: Turn, m: manifest.Manifest) -> float:
    """Seconds for the whole epoch."""
    epoch = Epoch(0, m.start, m.frontier, m.slices[0].sequence, m.slices[-1].sequence, 0, False)
    began = time.perf_counter()
    runner.recompute(turn, epoch, engine.ids().lookup, lambda done, total: None)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
