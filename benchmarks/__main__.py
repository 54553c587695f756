"""The command: ``python -m benchmarks [--quick] [--only NAME …]``; ``make bench ARGS=…`` calls it.

Prints a table and keeps it, with the machine's facts, as ``.benchmarks/<UTC time>.json``. Two more measurements stand
by themselves: ``python benchmarks/read.py`` (reads below the serving layer) and ``python benchmarks/sentiment.py``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from . import absorption, anomalies, api, campus, edges, fleet, fleet_state, freshness, serving, spark, stopwatch, term
from .report import Figure, line, write
from .workload import WORKLOADS

KEPT = Path(".benchmarks")
PARTS = ("absorption", "freshness", "serving", "api", "edges", "campus", "anomalies", "term")
APART = ("fleet", "fleet-state")
"""Starts servers, and so runs only where it is asked for."""


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Args:
        records: absorbed in each workload.
        repeats: of what is compared; the best counts.
        seconds: of what is measured for a while.
        commits, reads: of what is measured a number of times.
        cells: that are read.
        days: of what is judged by the day.
    """

    records: int
    repeats: int
    seconds: float
    commits: int
    reads: int
    cells: int
    days: int


FULL = Scale(2_000_000, 3, 10.0, 300, 500, 1_000_000, 3)
QUICK = Scale(200_000, 2, 2.0, 60, 60, 100_000, 1)


def main() -> None:
    """Measure what was asked for."""
    asked = _arguments()
    scale = QUICK if asked.quick else FULL
    only = frozenset(asked.only)
    reason = spark.missing(asked.spark_python) if asked.spark_python else "no --spark-python was given"
    kept = KEPT / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    facts: dict[str, object] = {
        "command": " ".join(sys.argv[1:]),
        "commit": _commit(),
        "machine": stopwatch.machine(),
        "load": stopwatch.load(),
        "scale": asdict(scale),
        "spark": reason or asked.spark_python,
    }
    print(f"{facts['machine']}   load {stopwatch.load():.1f}   {'quick' if asked.quick else 'full'}")
    print(f"Spark: {reason or ' '.join(spark.command(asked.spark_python, '…', Path('…'), Path('…')))}\n")
    folder = Path(tempfile.mkdtemp(prefix="watersmeet-bench-", dir=asked.folder))
    found: list[Figure] = []
    try:
        for name, run in _parts(scale, folder, only, "" if reason else asked.spark_python):
            print(name)
            for figure in run():
                found.append(figure)
                print(line(figure), flush=True)
    finally:
        shutil.rmtree(folder)
        if found:
            write(kept, found, {**facts, "load_at_the_end": stopwatch.load()})
    missed = [figure.name for figure in found if figure.reached is False]
    aimed = sum(figure.target is not None for figure in found)
    print(f"\n{aimed - len(missed)} of {aimed} targets reached; kept as {kept}")


def _parts(
    scale: Scale, folder: Path, only: frozenset[str], spark_python: str
) -> Iterator[tuple[str, Callable[[], Iterator[Figure]]]]:
    workloads = only & {workload.name for workload in WORKLOADS}
    runs: dict[str, Callable[[], Iterator[Figure]]] = {
        "absorption": lambda: absorption.measure(
            folder / "absorption",
            records=scale.records,
            repeats=scale.repeats,
            only=workloads,
            spark_python=spark_python,
        ),
        "freshness": lambda: freshness.measure(folder / "freshness", seconds=scale.seconds, commits=scale.commits),
        "serving": lambda: serving.measure(
            folder / "serving", cells=scale.cells, reads=scale.reads, restarts=scale.repeats
        ),
        "api": lambda: api.measure(folder / "api", seconds=scale.seconds / 2),
        "edges": lambda: edges.measure(folder / "edges", seconds=scale.seconds / 4, repeats=scale.repeats),
        "campus": lambda: campus.measure(folder / "campus", events=scale.records // 4, asked=20),
        "anomalies": lambda: anomalies.measure(folder / "anomalies", days=scale.days),
        "term": lambda: term.measure(folder / "term", days=scale.days, logins=2 * scale.days),
        "fleet": lambda: fleet.measure(folder / "fleet", records=scale.records, repeats=min(scale.repeats, 2)),
        "fleet-state": lambda: fleet_state.measure(folder / "fleet-state", commits=scale.commits),
    }
    for name, run in runs.items():
        if (not only and name not in APART) or name in only or (name == "absorption" and workloads):
            yield name, run


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*PARTS, *APART, *(workload.name for workload in WORKLOADS)]
    parser.add_argument("--quick", action="store_true", help="a tenth of everything: shows that it runs")
    parser.add_argument("--only", nargs="+", default=[], choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument(
        "--spark-python",
        default=os.environ.get("WATERSMEET_BENCH_SPARK_PYTHON", ""),
        metavar="PATH",
        help="a Python that has pyspark; default $WATERSMEET_BENCH_SPARK_PYTHON",
    )
    parser.add_argument("--folder", type=Path, help="where stores are made; a disk, or a sync means nothing")
    return parser.parse_args()


def _commit() -> str:
    told = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    return told.stdout.strip()


if __name__ == "__main__":
    main()
