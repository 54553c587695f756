"""How fast a merged view is read: one key, and the top of a range of windows, at a million cells.

    python benchmarks/read.py [--cells 1000000] [--seconds 10]

Prints the sum of the counts read beside the number of cells, so that a fast nothing is seen.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import pyarrow as pa

import watersmeet as wm
from watersmeet.core.engine import Filter, Order, Selection
from watersmeet.engines.columnar import macros
from watersmeet.engines.columnar.columns import Columns
from watersmeet.engines.columnar.database import Database
from watersmeet.engines.columnar.held import ColumnarHeld
from watersmeet.engines.columnar.rowtypes import cell_types

PANES = 50
MINUTE = 60_000_000
ratings = wm.Topic(
    "ratings",
    schema={
        "movie_id": "integer not null",
        "score": "decimal(4,2)",
        "popularity": "decimal(12,4)",
        "seen": "timestamp",
    },
)
plain = wm.View(
    "plain",
    topic=ratings,
    dimensions=["movie_id"],
    window=wm.tumbling("5m"),
    measures={"n": wm.count(), "total": wm.sum("score"), "average": wm.mean("score")},
)
full = wm.View(
    "full",
    topic=ratings,
    dimensions=["movie_id"],
    window=wm.tumbling("5m"),
    lookback="24h",
    measures={"n": wm.count(), "popularity": wm.last("popularity"), "score": wm.last("score"), "seen": wm.max("seen")},
    derive={
        "velocity": "ratio(60 * (popularity - lag(popularity) over w),"
        " date_diff('minute', lag(window_start) over w, window_start), 4)",
        "acceleration": "velocity - lag(velocity) over w",
    },
)


def cells(columns: Columns, view: wm.View, count: int, slice_: int = 0) -> pa.Table:
    """``count`` made-up cells: keys 0, 1, 2 …, each with PANES panes; every value follows from its place."""
    values = {"n": "i % 7 + 1", "t": "pane", "p": "0", "o": "i", "i": "0", "v": "i % 1000 / 10", "s": "i % 997"}
    names = [
        f"({'pane' if name == 'pane' else 'key' if name == 'movie_id' else values[name.partition('_')[2]]})::{kind}"
        f' AS "{name}"'
        for name, kind in cell_types(columns, view.cells).items()
        if not (kind == "TIMESTAMP" and name.endswith("_v"))
    ]
    names += [f'pane AS "{n}"' for n, k in cell_types(columns, view.cells).items() if k == "TIMESTAMP" and "_v" in n]
    source = (
        f"SELECT i, (i // {PANES})::INTEGER AS key, make_timestamp((i % {PANES}) * {5 * MINUTE}) AS pane"
        f" FROM range({count}) t(i)"
    )
    with columns.database.cursor() as cursor:
        return cursor.sql(f"SELECT {', '.join(names)} FROM ({source})").to_arrow_table()


def timed(name: str, run: Callable[[int], Any], seconds: float) -> None:
    """Run for a while; print the middle and the 99th percentile of the times, and what was summed."""
    times, total, i = [], 0, 0
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        begun = time.perf_counter()
        rows = run(i)
        times.append(time.perf_counter() - begun)
        total += sum(rows.rows["n"].to_pylist())
        i += 1
    times.sort()
    p50, p99 = statistics.median(times) * 1e3, times[int(len(times) * 0.99)] * 1e3
    print(f"{name:44} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   {i:6} reads, sum of n {total}")


def main() -> None:
    """Build, then read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5)
    asked = parser.parse_args()
    keys = asked.cells // PANES
    for view in (plain, full):
        database = Database()
        with database.cursor() as cursor:
            macros.install(cursor)
        columns = Columns(database)
        made = cells(columns, view, asked.cells)
        held = ColumnarHeld(columns, view.cells)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.perf_counter()
        held.update({"run": made}, base=True)
        loaded = time.perf_counter() - begun
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        with database.cursor() as cursor:
            [used] = cursor.execute("SELECT sum(memory_usage_bytes) / 1e6 FROM duckdb_memory()").fetchone() or (0,)
        print(f"{view.name}: {asked.cells} cells in {loaded:.2f} s, {used:.0f} MB held, {grown:.0f} MB at the peak")
        slices = {f"slice{i}": cells(columns, view, 1000, i) for i in range(32)}
        begun = time.perf_counter()
        for name, chunk in slices.items():
            held.update({name: chunk})
        print(f"{view.name}: a slice of 1000 cells taken in within {(time.perf_counter() - begun) / 32 * 1e3:.2f} ms")
        point = lambda i: held.rows(view, Selection(where=(Filter("movie_id", "=", i * 7919 % keys),)))  # noqa: E731 - one line
        top = Selection(10 * 5 * MINUTE, 16 * 5 * MINUTE, order=(Order("n", True),), limit=100)
        timed(f"{view.name}: one key, all its windows", point, asked.seconds)
        timed(f"{view.name}: top 100 of 6 panes", lambda i: held.rows(view, top), asked.seconds)  # noqa: B023 - runs now
        timed(f"{view.name}: top 100 of an hour", lambda i: held.rows(view.at("1h"), top), asked.seconds)  # noqa: B023 - runs now
        held.close()
        database.close()


if __name__ == "__main__":
    main()
