"""A speed layer on Spark as a process of its own, to be killed: ``python -m tests.faults.spark_driver FOLDER …``.

Says what it does on standard output, a line each: ``computed`` before a commit, ``committed <frontier>`` after it,
``fenced`` when another one has taken over. With a number as last argument it waits before that commit until its
standard input has a line, as a process does that the machine has forgotten for a while.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import watersmeet as wm
from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.adapters.local.state import LocalState
from watersmeet.adapters.spark.runner import SparkRunner
from watersmeet.core.address import parse_address
from watersmeet.core.engine import Absorbed, Known
from watersmeet.core.errors import ConflictError
from watersmeet.core.frontier import Frontier
from watersmeet.core.runner import Turn
from watersmeet.core.view import CellSpec
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers.speed import Speed

SLICE_RECORDS = 150
ENGINE = ColumnarEngine(threads=1)
FACTORY = partial(ColumnarEngine, threads=1)


def declared(name: str) -> tuple[wm.Topic, tuple[CellSpec, ...]]:
    """A topic with an id, and what is counted of it."""
    schema = {"order_id": "varchar not null", "product": "varchar not null", "at": "timestamp_ms not null"}
    topic = wm.Topic(name, id="order_id", key="product", event_time="at", partitions=2, schema=schema)
    sales = wm.View(
        "sales",
        topic=topic,
        dimensions=["product"],
        window=wm.tumbling("1m"),
        measures={"orders": wm.count(), "buyers": wm.distinct("order_id"), "last": wm.last("order_id")},
    )
    return topic, sales.specs


def say(line: str) -> None:
    """Tell whoever started this process."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Saying(SparkRunner):
    """Says when it commits."""

    waits_at = 0

    def stream(
        self,
        turn: Callable[[], Turn],
        start: Frontier,
        known: Known,
        commit: Callable[[Absorbed], Frontier],
        stop: threading.Event,
    ) -> None:
        computed = 0

        def saying(absorbed: Absorbed) -> Frontier:
            nonlocal computed
            computed += 1
            say("computed")
            if computed == self.waits_at:
                sys.stdin.readline()
            frontier = commit(absorbed)
            say(" ".join(["committed", *map(str, frontier)]))
            return frontier

        super().stream(turn, start, known, saying, stop)


def main() -> None:
    """Absorb until killed or fenced."""
    folder, fleet, kafka, name, waits_at = Path(sys.argv[1]), *sys.argv[2:]
    topic, specs = declared(name)
    clock, records = SystemClock(), parse_address(kafka)
    with closing(KafkaLog(records, clock)) as log, closing(LocalState(folder / "state.db", clock)) as state:
        archive = LocalArchive(folder / "archive")
        given = (parse_address(fleet), log, archive, ENGINE, FACTORY, clock, SLICE_RECORDS)
        runner = Saying(*given, records=records)
        runner.waits_at = int(waits_at)
        speed = Speed(name, lambda: (1, topic, specs), state, runner, ENGINE, log, clock)
        try:
            speed.run(threading.Event())
        except ConflictError:
            say("fenced")


if __name__ == "__main__":
    main()
