"""Records a second, from JSON bytes that are durable in the local log to durable cells that can be asked for.

Everything between is paid for: reading the log with its checksums, strict decoding, outcomes, cells, a synced commit a
slice. Beside it, in turns on the same files: DuckDB in one shot, typed and lenient, with nothing durable, which is
about the limit of this machine; and Spark Structured Streaming, if there is a Python that has it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from watersmeet.core.reader import Request

from . import events, spark
from .node import append, close_node, open_node
from .report import Figure
from .stopwatch import Lap, best, lap, load
from .workload import WORKLOADS, Workload, one_shot

OF_ONE_SHOT = 0.5
PART = "absorption"


def measure(folder: Path, *, records: int, repeats: int, only: frozenset[str], spark_python: str) -> Iterator[Figure]:
    """Every workload that is wanted, one after the other.

    Args:
        folder: for files, logs and states; on a disk, so that a sync is a sync.
        records: in the log of each workload.
        repeats: of each measurement; the best counts.
        only: names of workloads; empty for all.
        spark_python: a Python that has pyspark; empty leaves Spark out.
    """
    for workload in WORKLOADS:
        if not only or workload.name in only:
            source = folder / ("copies" if workload.copies else "events")
            paths = events.write(source, records, copies=workload.copies)
            yield from _measure(workload, paths, folder / workload.name, records, repeats, spark_python)
            shutil.rmtree(folder / workload.name)


def _measure(
    workload: Workload, paths: list[Path], folder: Path, records: int, repeats: int, spark_python: str
) -> Iterator[Figure]:
    log = folder / "log"
    with lap() as appended:
        _fill(workload, paths, log)
    yield Figure(PART, f"{workload.name}: appended", records / appended.seconds, "records/s")
    ours, theirs, theirs_whole = list[Lap](), list[Lap](), list[Lap]()
    for turn in range(repeats):
        with lap() as taken:
            expected = _run_one_shot(workload, paths)
        theirs.append(taken)
        ours.append(_absorb(workload, log, folder / str(turn), expected, records))
        with lap() as taken:
            _run_one_shot(workload, paths, every_column=True)
        theirs_whole.append(taken)
    ours_best, theirs_best, whole_best = best(ours), best(theirs), best(theirs_whole)
    rate, total = records / ours_best.seconds, sum(expected[workload.sum].to_pylist())
    counted = {"records": records, "rows": expected.num_rows, f"sum of {workload.sum}": total, "equal": True}
    beside: dict[str, object] = {**counted, "repeats": repeats, "load": load()}
    yield Figure(PART, f"{workload.name}: watersmeet", rate, "records/s", beside=beside)
    one_shot_rate = records / theirs_best.seconds
    yield Figure(PART, f"{workload.name}: DuckDB in one shot", one_shot_rate, "records/s")
    yield Figure(PART, f"{workload.name}: of DuckDB's rate", rate / one_shot_rate, "x", OF_ONE_SHOT)
    whole_rate = records / whole_best.seconds
    beside = {"DuckDB then records/s": whole_rate}
    yield Figure(PART, f"{workload.name}: … when it reads every column", rate / whole_rate, "x", beside=beside)
    spent, theirs_spent, whole_spent = (
        each.cpu_seconds * 1e6 / records for each in (ours_best, theirs_best, whole_best)
    )
    beside = {"DuckDB": theirs_spent, "DuckDB, every column": whole_spent}
    yield Figure(PART, f"{workload.name}: processors", spent, "s/million", beside=beside)
    beside = {"with every column": whole_spent / spent}
    yield Figure(PART, f"{workload.name}: of DuckDB's by processors", theirs_spent / spent, "x", beside=beside)
    if spark_python:
        found = spark.run(spark_python, workload.name, paths[0].parent, folder / "spark", repeats=min(repeats, 2))
        equal = (found.groups, found.sum) == (expected.num_rows, total)
        steady = {"rows": found.groups, f"sum of {workload.sum}": found.sum, "equal": equal, "version": found.version}
        yield Figure(PART, f"{workload.name}: Spark, steady", found.rate, "records/s", beside=steady)
        yield Figure(PART, f"{workload.name}: of Spark's rate", rate / found.rate, "x", workload.faster)


def _fill(workload: Workload, paths: list[Path], log: Path) -> None:
    """Append every line durably to the topic's log."""
    node = open_node(log.parent / "filling", [workload.view])
    append(node, workload.view.topic.name, events.payloads(paths))
    close_node(node)
    (log.parent / "filling" / "log").rename(log)
    shutil.rmtree(log.parent / "filling")


def _run_one_shot(workload: Workload, paths: list[Path], *, every_column: bool = False) -> pa.Table:
    with duckdb.connect() as connection:
        return connection.sql(one_shot(workload, paths, every_column=every_column)).to_arrow_table()


def _absorb(workload: Workload, log: Path, folder: Path, expected: pa.Table, records: int) -> Lap:
    """Absorb the whole log into a state of its own, then ask for everything and compare."""
    folder.mkdir()
    (folder / "log").symlink_to(log)
    node = open_node(folder, [workload.view], speed={"epoch_records": 2 * records})
    with lap() as taken:
        node.absorb(workload.view.topic.name)
    found = pa.table(node.reader.read(Request(workload.view.name)).rows)
    differing = _differences(found.drop_columns(["window_end"]), expected)
    ledger = node.status().ledger
    close_node(node)
    shutil.rmtree(folder)
    if differing or not ledger.balanced or ledger.received != records:
        raise SystemExit(f"{workload.name}: {differing} rows differ from DuckDB's, ledger {ledger}")
    return taken


def _differences(found: pa.Table, expected: pa.Table) -> int:
    """How many rows are in one table and not in the other."""
    names = ", ".join(expected.column_names)
    with duckdb.connect() as connection:
        connection.register("found", found)
        connection.register("expected", expected)
        one, other = f"SELECT {names} FROM found", f"SELECT {names} FROM expected"
        both = f"({one} EXCEPT ALL {other}) UNION ALL ({other} EXCEPT ALL {one})"
        [count] = connection.execute(f"SELECT count(*) FROM ({both})").fetchone() or (0,)
    return int(count)
