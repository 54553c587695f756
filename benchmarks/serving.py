"""Reads of a million cells that lie in both layers, and how soon a new process answers rightly."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

import watersmeet as wm
from watersmeet.core.engine import Filter, Order
from watersmeet.core.manifest import roll
from watersmeet.core.reader import Request
from watersmeet.runtime.node import Node

from .node import append, close_node, open_node
from .process import compiled, run
from .report import Figure
from .stopwatch import best, lap, load, percentile, resident_mb

PART = "serving"
PANES = 50
MINUTE_US = 60_000_000
START_US = 1_700_000_400_000_000
POINT_TARGET_MS, RESTART_TARGET_S = 5.0, 1.0
SPEED_SHARE = 20
"""One in so many cells has a part in the speed layer."""

clicks = wm.Topic(
    "clicks",
    schema={"page_id": "integer not null", "seconds": "decimal(8,2)", "at": "timestamp_ms not null"},
    event_time="at",
    partitions=2,
)
pages = wm.View(
    "pages",
    topic=clicks,
    dimensions=["page_id"],
    window=wm.tumbling("1m"),
    measures={"n": wm.count(), "seconds": wm.sum("seconds"), "average": wm.mean("seconds")},
)
VIEWS = (clicks, pages)


def measure(folder: Path, *, cells: int, reads: int, restarts: int) -> Iterator[Figure]:
    """Build, read, start anew.

    Args:
        folder: for the stores.
        cells: how many the batch layer publishes; one record each.
        reads: of each kind.
        restarts: new processes; the best counts.
    """
    node = open_node(folder, VIEWS, speed={"epoch_records": 4 * cells})
    with lap() as built:
        more = _fill(node, cells)
    yield Figure(PART, "cells in the batch layer", cells, beside={"records": cells + more, "built in s": built.seconds})
    before = resident_mb()
    with lap() as loaded:
        whole = node.reader.read(Request(pages.at(None, by=[])))
    [row] = _rows(whole)
    beside = {"sum of n": row["n"], "of records": cells + more, "complete": whole.receipt.complete}
    yield Figure(PART, "first answer", loaded.seconds, "s", beside=beside)
    yield Figure(PART, "memory taken by it", resident_mb() - before, "MB", beside={"peak": resident_mb(peak=True)})
    yield from _reads(node, cells // PANES, reads)
    close_node(node)
    yield from _restarts(folder, restarts, cells + more)


def _fill(node: Node, cells: int) -> int:
    """A cell for each of ``cells`` records, published by batch; then records for some of them that only speed has."""
    append(node, "clicks", _payloads(cells, 1))
    node.absorb("clicks")
    node.parts.state.change("clicks", lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})
    later = _payloads(cells, SPEED_SHARE)
    for part in range(8):
        append(node, "clicks", later[part::8])
        node.absorb("clicks")
    return len(later)


def _payloads(cells: int, every: int) -> list[bytes]:
    """Records for each ``every``-th of the cells, pane after pane."""
    keys = cells // PANES
    lines = f"""
        SELECT '{{"page_id":' || i % {keys} || ',"seconds":' || (i * 37 % 1000 / 100)::DOUBLE || ',"at":'
            || {START_US // 1000} + i // {keys} * {MINUTE_US // 1000} + i % 60000 || '}}' AS line
        FROM range(0, {keys * PANES}, {every}) t(i) ORDER BY i"""
    with duckdb.connect() as connection:
        return [line.encode() for line in connection.sql(lines).to_arrow_table().column("line").to_pylist()]


def _reads(node: Node, keys: int, reads: int) -> Iterator[Figure]:
    hour = (START_US + 10 * MINUTE_US, START_US + 16 * MINUTE_US)
    top = Request("pages", hour, order=(Order("n", True), Order("seconds", True)), limit=100)
    kinds: dict[str, Callable[[int], Request]] = {
        "one key, all its windows": lambda i: Request("pages", where=(Filter("page_id", "=", i * 7919 % keys),)),
        "one key, one window": lambda i: Request(
            "pages",
            (START_US + i % PANES * MINUTE_US, START_US + (i % PANES + 1) * MINUTE_US),
            (Filter("page_id", "=", i * 7919 % keys),),
        ),
        "top 100 of 6 windows": lambda i: top,
        "top 100 of 6 windows joined to one": lambda i: Request(
            "pages", hour, window="6m", order=(Order("n", True), Order("seconds", True)), limit=100
        ),
    }
    for name, ask in kinds.items():
        taken, n, cpu = list[float](), 0, time.process_time()
        for i in range(reads):
            began = time.perf_counter()
            answer = node.reader.read(ask(i))
            taken.append(time.perf_counter() - began)
            n += sum(row["n"] for row in _rows(answer))
        target = POINT_TARGET_MS if name.startswith("one key") else None
        cpu_ms = (time.process_time() - cpu) / reads * 1e3
        beside = {"processor ms a read": cpu_ms, "reads": reads, "sum of n": n, "load": load()}
        yield Figure(PART, f"{name}: p50", percentile(taken, 50) * 1e3, "ms", beside=beside)
        yield Figure(PART, f"{name}: p99", percentile(taken, 99) * 1e3, "ms", target, at_most=True)


def _restarts(folder: Path, restarts: int, records: int) -> Iterator[Figure]:
    """From the start of an interpreter to its end with one answer, which must count every record.

    The first start, which compiles, does not count.
    """
    command = [sys.executable, "-m", "benchmarks.restart", str(folder)]
    environment = compiled(folder / "compiled")
    runs = [run(command, environment) for _ in range(restarts + 1)][1:]
    told: list[dict[str, Any]] = [json.loads(text) for text, _ in runs]
    if wrong := [each["n"] for each in told if each["n"] != records]:
        raise SystemExit(f"a new process counted {wrong} of {records} records")
    laps = [lap for _, lap in runs]
    quickest = told[min(range(restarts), key=lambda i: laps[i].seconds)]
    beside = {name: value for name, value in quickest.items() if name.endswith("_s")}
    yield Figure(PART, "restart to the first right answer", best(laps).seconds, "s", RESTART_TARGET_S, True, beside)
    yield Figure(PART, "restart: processors", best(laps).cpu_seconds, "s")
    beside = {"sum of n": records, "repeats": restarts}
    yield Figure(PART, "memory of a process that serves it", quickest["resident_mb"], "MB", beside=beside)


def _rows(answer: wm.Answer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.table(answer.rows).to_pylist()
    return found
