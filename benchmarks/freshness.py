"""How soon a record can be read: from its append to an answer that counts it, and what one commit takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

import watersmeet as wm
from watersmeet.core.reader import Request
from watersmeet.core.record import Record
from watersmeet.runtime.node import Node

from . import events
from .node import append, close_node, open_node
from .report import Figure
from .stopwatch import load, percentile
from .workload import WORKLOADS

PART = "freshness"
RATE = 1000
SENDS_PER_SECOND = 50
COMMIT_RECORDS = 1000
COMMIT_TARGET_MS = 20.0
total = wm.View("total", topic=events.events, measures={"n": wm.count()})
VIEWS = (WORKLOADS[0].view, total)


def measure(folder: Path, *, seconds: float, commits: int) -> Iterator[Figure]:
    """Latency under a steady rate, then commits one after the other.

    Args:
        folder: for logs and states; on a disk.
        seconds: how long records are sent at `RATE`.
        commits: how many commits of `COMMIT_RECORDS` are timed.
    """
    count = max(int(RATE * seconds), COMMIT_RECORDS * (commits + 1))
    values = events.payloads(events.write(folder / "fresh", count))
    yield from _latency(folder / "latency", values, seconds)
    yield from _commits(folder / "commits", values, commits)


def _latency(folder: Path, values: Sequence[bytes], seconds: float) -> Iterator[Figure]:
    node = open_node(folder, VIEWS)
    append(node, "events", [values[0]])
    node.start(["speed", "serve"])
    acknowledged, readable = list[float](), list[float]()
    size = RATE // SENDS_PER_SECOND
    for turn in range(int(seconds * SENDS_PER_SECOND)):
        due = time.perf_counter() + 1 / SENDS_PER_SECOND
        records = [Record(value) for value in values[turn * size : turn * size + size]]
        sent = time.perf_counter()
        node.parts.log.append("events", records)
        acknowledged.append(time.perf_counter() - sent)
        _wait_until_read(node)
        readable.append(time.perf_counter() - sent)
        time.sleep(max(0.0, due - time.perf_counter()))
    counted = _counted(node)
    node.stop()
    beside = {"records": 1 + len(readable) * size, "used and read": counted, "failures": len(node.events.failures)}
    close_node(node)
    name = f"append of {size} at {RATE:,} records/s"
    for what, taken in (("acknowledged", acknowledged), ("in an answer", readable)):
        for percent in (50, 99):
            yield Figure(PART, f"{name}: {what}, p{percent}", percentile(taken, percent) * 1e3, "ms", beside=beside)
            beside = {}


def _wait_until_read(node: Node) -> None:
    """Ask until an answer rests on everything that is in the log now."""
    end = node.parts.log.end("events")
    while True:
        frontier = node.reader.read(Request("total")).receipt.topics["events"].frontier
        if all(there >= wanted for there, wanted in zip(frontier, end, strict=True)):
            return
        time.sleep(0.0005)


def _counted(node: Node) -> int:
    [n] = pa.table(node.reader.read(Request("total")).rows)["n"].to_pylist()
    return int(n) + node.status().ledger.dead


class _Paced(threading.Event):
    """Asked between two slices: appends the next records, and times the slice before."""

    def __init__(self, node: Node, chunks: Sequence[list[bytes]]) -> None:
        super().__init__()
        self._node, self._chunks = node, iter(chunks)
        self._began: float | None = None
        self.seconds: list[float] = []

    def is_set(self) -> bool:
        """See `threading.Event`."""
        if self._began is not None:
            self.seconds.append(time.perf_counter() - self._began)
        chunk = next(self._chunks, None)
        if chunk is None:
            return True
        append(self._node, "events", chunk)
        self._began = time.perf_counter()
        return False


def _commits(folder: Path, values: Sequence[bytes], commits: int) -> Iterator[Figure]:
    """Slices of exactly `COMMIT_RECORDS`, from the log to a synced commit; the first, which plans, is left out."""
    node = open_node(folder, VIEWS)
    chunks = [list(values[i * COMMIT_RECORDS : (i + 1) * COMMIT_RECORDS]) for i in range(commits + 1)]
    paced = _Paced(node, chunks)
    cpu = time.process_time()
    node.speed("events").run(paced)
    cpu = time.process_time() - cpu
    taken = paced.seconds[1:]
    beside = {
        "processor ms with append": cpu / len(chunks) * 1e3,
        "commits": len(taken),
        "received": node.status().ledger.received,
        "counted": _counted(node),
        "load": load(),
    }
    close_node(node)
    name = f"{COMMIT_RECORDS:,} records, from log to commit"
    yield Figure(PART, f"{name}: p50", percentile(taken, 50) * 1e3, "ms", beside=beside)
    yield Figure(PART, f"{name}: p99", percentile(taken, 99) * 1e3, "ms", COMMIT_TARGET_MS, at_most=True)
