"""State in Cassandra: cells made durable a second, and how long a reader takes to see and load a new slice.

One node that has on disk what it acknowledges. A slice has ten thousand cells of one view, and the ids and dead letters
that go with it; the reader is another handle on the same state, as another process is.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from watersmeet.adapters.cassandra.state import CassandraState
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.core.address import parse_address
from watersmeet.core.ledger import Entry
from watersmeet.core.manifest import Commit, Manifest, commit, compact_blocks, create, declare, lease
from watersmeet.core.state import Blob
from watersmeet.testing.services.cassandra import cassandra

from .report import Figure
from .stopwatch import lap, load, percentile

PART = "fleet-state"
TOPIC = "events"
CELLS = 10_000
AT_ONCE = 32
CELLS_PER_SECOND, READ_MS = 10_000.0, 25.0


def measure(folder: Path, *, commits: int) -> Iterator[Figure]:
    """Commit slices, and read each from another handle.

    Args:
        folder: for the node's data.
        commits: how many slices.
    """
    with node(folder) as url:
        address = replace(parse_address(url), options={"app": uuid.uuid4().hex[:12], "refresh_ms": "0"})
        clock = SystemClock()
        with closing(CassandraState(address, clock)) as state, closing(CassandraState(address, clock)) as reader:
            yield from _figures(state, reader, commits)


@contextmanager
def node(folder: Path) -> Iterator[str]:
    """The URL of a node: of WATERSMEET_TEST_CASSANDRA, else one of ours."""
    given = os.environ.get("WATERSMEET_TEST_CASSANDRA")
    if given:
        yield given
        return
    with cassandra(folder, commitlog="group") as server:
        yield server.url


def _figures(state: CassandraState, reader: CassandraState, commits: int) -> Iterator[Figure]:
    state.change(TOPIC, lambda m: create(m, (0,)))
    state.change(TOPIC, lambda m: lease(m, "one"))
    m = state.change(TOPIC, lambda m: declare(m, 1, ["f"], 0))
    written, tokens, reads = list[float](), list[float](), list[float]()
    total = 0
    for number in range(commits):
        cells = pa.table({"film": pa.array(range(CELLS)), "sum": pc.add(pa.array(range(CELLS)), number)})
        attempt = uuid.uuid4().hex
        with lap() as one:
            m = _commit(state, m, attempt, cells)
        written.append(one.seconds)
        with lap() as look:
            reader.token()
        with lap() as read:
            owner = reader.manifest(TOPIC).blocks[-1].owner
            found = pa.table(reader.load(TOPIC, "cells:f", [owner])[owner])
        tokens.append(look.seconds)
        reads.append(read.seconds)
        total += pc.sum(found["sum"]).as_py()
        if len(m.blocks) == AT_ONCE:
            owners = [block.owner for block in m.blocks]
            m = _merge(state, owners, cells)
    expected = sum(CELLS * (CELLS - 1) // 2 + CELLS * number for number in range(commits))
    beside = {"cells": CELLS * commits, "sum read": total, "sum written": expected, "load": load()}
    rate = CELLS * commits / sum(written)
    yield Figure(PART, "cells made durable", rate, "cells/s", CELLS_PER_SECOND, beside=beside)
    yield Figure(PART, "commit of 10,000 cells, p50", percentile(written, 50) * 1e3, "ms")
    yield Figure(PART, "commit of 10,000 cells, p99", percentile(written, 99) * 1e3, "ms")
    yield Figure(PART, "manifest and new blob, p50", percentile(reads, 50) * 1e3, "ms")
    yield Figure(PART, "manifest and new blob, p99", percentile(reads, 99) * 1e3, "ms", READ_MS, at_most=True)
    yield Figure(PART, "token asked of the cluster, p99", percentile(tokens, 99) * 1e3, "ms")


def _commit(state: CassandraState, m: Manifest, attempt: str, cells: pa.Table) -> Manifest:
    (begin,), end = m.frontier, m.frontier[0] + cells.num_rows
    ledger = (Entry(0, begin, end, used=cells.num_rows),)
    c = Commit(attempt, m.generation, m.declaration, (begin,), (end,), m.readable, ledger, end, (end,), (end,))
    blobs = [Blob("cells:f", attempt, cells), Blob("ids", attempt, cells.select(["film"]))]
    blobs.append(Blob("dead", attempt, cells.slice(0, 0)))
    return state.change(TOPIC, lambda m: commit(m, c), blobs)


def _merge(state: CassandraState, owners: list[str], cells: pa.Table) -> Manifest:
    owner = uuid.uuid4().hex
    return state.change(TOPIC, lambda m: compact_blocks(m, owners, owner), [Blob("cells:f", owner, cells)])
