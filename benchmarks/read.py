"""How fast a merged view is read: one key, and the top of a range of windows, at a million cells.

    python benchmarks/read.py [--cells 1000000] [--seconds 5]

Prints the sum of the counts read beside the number of reads, so that a fast nothing is seen.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

import watersmeet as wm
from watersmeet.core.engine import Filter, Order, Rows, Selection
from watersmeet.engines.columnar import macros
from watersmeet.engines.columnar.columns import Columns
from watersmeet.engines.columnar.database import Database, table
from watersmeet.engines.columnar.held import ColumnarHeld
from watersmeet.engines.columnar.rowtypes import cell_types

PANES = 50
SLICES = 32
PANE_US = 300_000_000
MADE = {"n": "i % 7 + 1", "t": "pane", "p": "0", "o": "i", "i": "0", "v": "i % 1000 / 10", "s": "i % 997"}

ratings = wm.Topic("ratings", schema={"movie_id": "integer not null", "score": "decimal(4,2)", "rank": "decimal(12,4)"})
plain = wm.View(
    "plain",
    topic=ratings,
    dimensions=["movie_id"],
    window=wm.tumbling("5m"),
    measures={"n": wm.count(), "total": wm.sum("score"), "average": wm.mean("score")},
)
lagged = wm.View(
    "lagged",
    topic=ratings,
    dimensions=["movie_id"],
    window=wm.tumbling("5m"),
    lookback="30m",
    measures={"n": wm.count(), "rank": wm.last("rank"), "score": wm.last("score"), "best": wm.max("score")},
    derive={
        "velocity": "ratio(60 * (rank - lag(rank) over w),"
        " date_diff('minute', lag(window_start) over w, window_start), 4)",
        "acceleration": "velocity - lag(velocity) over w",
    },
)


def cells(columns: Columns, view: wm.View, count: int) -> pa.Table:
    """``count`` cells: keys 0, 1, 2 …, each with PANES panes; every value follows from its place."""
    made = {"pane": "pane", "movie_id": "key"}
    wanted = [
        f'({made.get(name) or MADE[name.partition("_")[2]]})::{kind} AS "{name}"'
        for name, kind in cell_types(columns, view.cells).items()
    ]
    source = f"SELECT i, i // {PANES} AS key, make_timestamp(i % {PANES} * {PANE_US}) AS pane FROM range({count}) t(i)"
    with columns.database.cursor() as cursor:
        return cursor.sql(f"SELECT {', '.join(wanted)} FROM ({source})").to_arrow_table()


def timed(name: str, run: Callable[[int], Rows], seconds: float) -> None:
    """Run for a while; print the median and the 99th percentile of the times, and what was summed."""
    times: list[float] = []
    total = 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        rows = run(len(times))
        times.append(time.perf_counter() - begun)
        total += pc.sum(table(rows.rows)["n"]).as_py()
    times.sort()
    p50, p99 = statistics.median(times) * 1e3, times[int(len(times) * 0.99)] * 1e3
    print(f"{name:36} p50 {p50:7.2f} ms   p99 {p99:7.2f} ms   {len(times):6} reads   sum of n {total}")


def measure(view: wm.View, count: int, seconds: float) -> None:
    """Hold cells of a view, and read them."""
    database = Database()
    with database.cursor() as cursor:
        macros.install(cursor)
    columns = Columns(database)
    held = ColumnarHeld(columns, view.cells)
    made = cells(columns, view, count)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    held.update({"run": made}, base=True)
    loaded = time.perf_counter() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    with database.cursor() as cursor:
        [used] = cursor.execute("SELECT sum(memory_usage_bytes) / 1e6 FROM duckdb_memory()").fetchone() or (0,)
    print(f"{view.name}: {count} cells in {loaded:.2f} s, {used:.0f} MB held, {grown:.0f} MB more at the peak")
    chunk = cells(columns, view, 1000)
    begun = time.perf_counter()
    for i in range(SLICES):
        held.update({f"slice{i}": chunk})
    print(f"{view.name}: a slice of 1000 cells in {(time.perf_counter() - begun) / SLICES * 1e3:.2f} ms")

    def one(i: int) -> Rows:
        return held.rows(view, Selection(where=(Filter("movie_id", "=", i * 7919 % (count // PANES)),)))

    hourly = view.at("1h")
    top = Selection(10 * PANE_US, 16 * PANE_US, order=(Order("n", True),), limit=100)
    timed(f"{view.name}: one key, {PANES} windows", one, seconds)
    timed(f"{view.name}: top 100 of 6 panes", lambda _: held.rows(view, top), seconds)
    timed(f"{view.name}: top 100 of an hour", lambda _: held.rows(hourly, top), seconds)
    held.close()
    database.close()


def main() -> None:
    """Measure a plain view and one with lags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5)
    asked = parser.parse_args()
    for view in (plain, lagged):
        measure(view, asked.cells, asked.seconds)


if __name__ == "__main__":
    main()
