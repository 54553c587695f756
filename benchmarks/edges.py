"""What surrounds the layers: appends to the log, and the start of the command line."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from watersmeet.core.record import Record
from watersmeet.layers import ingest

from . import events
from .node import close_node, open_node
from .process import compiled, run
from .report import Figure
from .stopwatch import best, load, percentile
from .workload import WORKLOADS

PART = "edges"


def measure(folder: Path, *, seconds: float, repeats: int) -> Iterator[Figure]:
    """Append one, a hundred and ten thousand at a time; start ``watersmeet --help``.

    Args:
        folder: for the log; on a disk.
        seconds: of each size of append.
        repeats: starts; the best counts.
    """
    yield from _appends(folder, seconds)
    yield from _starts(repeats)


def _appends(folder: Path, seconds: float) -> Iterator[Figure]:
    values = events.payloads(events.write(folder / "files", 10_000))
    node = open_node(folder, [WORKLOADS[0].view])
    for size in (1, 100, 10_000):
        taken, total, cpu = list[float](), 0, time.process_time()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            began = time.perf_counter()
            node.parts.log.append("events", [Record(value) for value in values[:size]])
            taken.append(time.perf_counter() - began)
            total += size
        name = f"durable appends of {size:,}"
        beside = {
            "p50 ms": percentile(taken, 50) * 1e3,
            "p99 ms": percentile(taken, 99) * 1e3,
            "processor µs a record": (time.process_time() - cpu) / total * 1e6,
            "load": load(),
        }
        yield Figure(PART, name, total / sum(taken), "records/s", beside=beside)
    appended = sum(node.parts.log.end("events"))
    node.absorb("events")
    yield Figure(PART, "appended in all", appended, "records", beside={"received": node.status().ledger.received})
    keyed = node.declarations().topic("events")
    began = time.perf_counter()
    ingest.append(node.parts.log, keyed, values)
    yield Figure(PART, "through ingest", len(values) / (time.perf_counter() - began), "records/s")
    close_node(node)


def _starts(repeats: int) -> Iterator[Figure]:
    """The first start, which compiles, does not count."""
    with tempfile.TemporaryDirectory() as cache:
        environment = compiled(Path(cache))
        for words in (["--help"], ["status", "--help"], ["--version"]):
            command = [sys.executable, "-m", "watersmeet", *words]
            quickest = best([run(command, environment)[1] for _ in range(repeats + 1)][1:])
            beside = {"wall ms": quickest.seconds * 1e3, "repeats": repeats}
            name = f"watersmeet {' '.join(words)}: processors"
            yield Figure(PART, name, quickest.cpu_seconds * 1e3, "ms", beside=beside)
