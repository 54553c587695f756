"""A log, an archive, both runners, and what a slice of each came to."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow as pa

import watersmeet as wm
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.clock import ManualClock, SystemClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.adapters.local.runner import LocalRunner
from watersmeet.adapters.spark.runner import SparkRunner
from watersmeet.adapters.spark.source import ReadEpoch
from watersmeet.apps.movies import topics, views
from watersmeet.core.address import Address
from watersmeet.core.engine import Absorbed, Ids, Lifted
from watersmeet.core.frontier import Frontier
from watersmeet.core.log import Log
from watersmeet.core.record import Records
from watersmeet.core.runner import Runner, Turn
from watersmeet.core.topic import Exclusion
from watersmeet.core.view import View
from watersmeet.engines.columnar.engine import ColumnarEngine

from .films import NOW_MS, records

ENGINE = ColumnarEngine(threads=1)
FACTORY = partial(ColumnarEngine, threads=1)

plain = replace(topics.ratings, id=None)
odd = replace(
    topics.ratings,
    horizon="1s",
    exclusions=(Exclusion("spam", where="movie_id = 3"), Exclusion("one", positions=((1, 4), (2, 2)))),
)
sessions = wm.View(
    "sessions",
    topic=plain,
    dimensions=["movie_id"],
    window=wm.session("5m"),
    measures={"n": wm.count(), "voters": wm.distinct("vote_count")},
)
whole = wm.View(
    "whole", topic=plain, measures={"n": wm.count(), "sum": wm.sum("popularity"), "late": wm.first("movie_id")}
)
CASES: dict[str, tuple[wm.Topic, list[View]]] = {
    "reviews": (topics.reviews, [views.review_sentiments]),
    "ratings": (topics.ratings, [views.movie_stats]),
    "metadata": (topics.metadata, [views.films]),
    "no id": (plain, [sessions, whole]),
    "excluded": (odd, [replace(views.movie_stats, topic=odd)]),
}


def turn_of(case: str, watermark_us: int | None = None, *, suffix: str = "") -> Turn:
    """Under what a case is computed; with a suffix, its topic has a name of its own."""
    topic, declared = CASES[case]
    if suffix:
        topic = replace(topic, name=f"{topic.name}.{suffix}")
        declared = [replace(view, topic=topic) for view in declared]
    return Turn(topic, [spec for view in declared for spec in view.specs], watermark_us)


def told(turn: Turn, absorbed: Absorbed) -> dict[str, object]:
    """Everything a commit makes durable, whatever the order of rows."""
    return {
        "interval": (absorbed.lower, absorbed.upper),
        "ledger": absorbed.ledger,
        "newest": dict(absorbed.newest),
        "arrivals": dict(absorbed.arrivals),
        "kept": rows(absorbed.kept),
        "dead": rows(absorbed.dead),
        "cells": {name: (addresses(turn, name, x), x.rows, x.unusable) for name, x in absorbed.cells.items()},
        "types": {name: pa.table(x.cells).schema for name, x in absorbed.cells.items()},
    }


def addresses(turn: Turn, fingerprint: str, lifted: Lifted) -> list[str]:
    """Cells as they are; fragments of sessions as they are after merging, which is when they are one thing."""
    [spec] = [spec for spec in turn.specs if spec.fingerprint == fingerprint]
    return rows(ENGINE.merge(spec, [lifted.cells]) if spec.pane.kind == "session" else lifted.cells)


def rows(chunk: Records) -> list[str]:
    return sorted(repr(row) for row in pa.table(chunk).to_pylist())


@dataclass
class Commits:
    """Takes slices as a speed layer does."""

    ids: Ids
    found: list[Absorbed] = field(default_factory=list)

    def run(self, runner: Runner, turn: Turn, lower: Frontier, upper: Frontier) -> list[dict[str, object]]:
        """Absorb ``[lower, upper)``, which is all that is unread; everything taken so far."""
        stop = threading.Event()

        def commit(absorbed: Absorbed) -> Frontier:
            self.found.append(absorbed)
            self.ids.add(absorbed.kept)
            if absorbed.upper == upper:
                stop.set()
            return absorbed.upper

        runner.stream(lambda: turn, lower, self.ids.lookup, commit, stop)
        return [told(turn, each) for each in self.found]


@dataclass
class Bench:
    """A log and an archive, and both runners over them.

    Args:
        folder: of the archive.
        fleet: where Spark is.
        log: the records.
        records: where executors read them; None: they are shipped.
        slice_records: the most a slice may have.
        clock: of the log, moved on by each `fill`.
    """

    folder: Path
    fleet: Address
    log: Log
    records: Address | None = None
    slice_records: int = 1_000_000
    clock: ManualClock = field(default_factory=lambda: ManualClock(0))

    def __post_init__(self) -> None:
        self.archive = LocalArchive(self.folder / "archive")

    def local(self) -> LocalRunner:
        return LocalRunner(self.log, self.archive, ENGINE, SystemClock(), slice_records=self.slice_records)

    def spark(self, *, epochs: ReadEpoch | None = None) -> SparkRunner:
        return SparkRunner(
            self.fleet,
            self.log,
            self.archive,
            ENGINE,
            FACTORY,
            SystemClock(),
            self.slice_records,
            records=self.records,
            epochs=epochs,
        )

    def fill(self, topic: wm.Topic, count: int, first: int = 0) -> tuple[Frontier, Frontier]:
        """Append records numbered from ``first``; the frontiers before and after them."""
        self.log.create(topic.name, topic.partitions)
        lower = self.log.end(topic.name)
        self.log.append(topic.name, list(records(topic.name, count, first)))
        self.clock.sleep(2.0)
        return lower, self.log.end(topic.name)


def local_bench(folder: Path, fleet: Address, *, slice_records: int = 1_000_000) -> Bench:
    """Over a log of this process, whose records are shipped; each piece of it arrives two seconds after the last."""
    clock = ManualClock(NOW_MS * 1_000)
    return Bench(folder, fleet, LocalLog(folder / "log", clock), slice_records=slice_records, clock=clock)
