"""How fast payload bytes become cells, step by step: decode, decide, lift.

    python -m benchmarks.absorb [--records 1000000] [--repeats 3]

Each workload of this package, in chunks as long as a slice, without a log and without a state. Beside it DuckDB in one
shot over the same records as files, typed and lenient; the ratios are of processor time, which a busy machine distorts
least. The sums printed are those of DuckDB's rows and of the cells, so that a fast nothing is seen.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from watersmeet.engines.columnar.engine import ColumnarEngine

from . import events
from .stopwatch import Lap, best, lap, load
from .workload import WORKLOADS, Workload, one_shot

CHUNK = 250_000
STEPS = ("decode", "decide", "lift")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    engine = ColumnarEngine()
    print(f"{asked.records} records, chunks of {CHUNK}, load {load():.1f}")
    print(f"{'':10}{'step':>10}{'records/s':>14}{'CPU s/million':>16}{'of one shot':>14}")
    for workload in WORKLOADS:
        with tempfile.TemporaryDirectory() as folder:
            paths = events.write(Path(folder), asked.records, copies=workload.copies)
            chunks = logged(events.payloads(paths))
            shots, turns = list[Lap](), list[dict[str, Lap]]()
            for _ in range(asked.repeats):
                with lap() as taken, duckdb.connect() as connection:
                    expected = connection.sql(one_shot(workload, paths)).to_arrow_table()
                shots.append(taken)
                turns.append(absorb(engine, workload, chunks))
        show(workload, asked.records, best(shots), {step: best([turn[step] for turn in turns]) for step in STEPS})
        found = engine.merge(workload.view.cells, CELLS)
        print(f"{'':10}rows: DuckDB {expected.num_rows}, sum of {workload.sum} {pc.sum(expected[workload.sum])};")
        print(f"{'':10}cells: {found.num_rows}")


CELLS: list[pa.Table] = []


def logged(payloads: list[bytes]) -> list[pa.Table]:
    """Payloads as LOGGED chunks of one partition."""
    chunks = []
    for start in range(0, len(payloads), CHUNK):
        values = pa.array(payloads[start : start + CHUNK], pa.binary())
        offsets = pa.array(range(start, start + len(values)), pa.int64())
        columns = {
            "partition": pa.array([0] * len(values), pa.int32()),
            "offset": offsets,
            "arrival": pc.add(offsets, 1_800_000_000_000_000),
            "key": pa.nulls(len(values), pa.binary()),
            "value": values,
            "headers": pa.nulls(len(values), pa.map_(pa.string(), pa.binary())),
        }
        chunks.append(pa.table(columns))
    return chunks


def absorb(engine: ColumnarEngine, workload: Workload, chunks: list[pa.Table]) -> dict[str, Lap]:
    """Take every chunk through every step; leaves the cells in `CELLS`."""
    topic, specs, ids = workload.view.topic, workload.view.specs, engine.ids()
    laps = {step: Lap() for step in STEPS}
    CELLS.clear()
    for chunk in chunks:
        with lap() as taken:
            decoded = engine.decode(topic, chunk)
        _add(laps["decode"], taken)
        with lap() as taken:
            decided = engine.decide(topic, decoded.rows, ids.lookup)
            ids.add(decided.kept)
        _add(laps["decide"], taken)
        with lap() as taken:
            lifted = engine.lift(topic, specs, decided.used)
        _add(laps["lift"], taken)
        CELLS.append(pa.table(lifted[workload.view.cells.fingerprint].cells))
    return laps


def _add(total: Lap, taken: Lap) -> None:
    total.seconds += taken.seconds
    total.cpu_seconds += taken.cpu_seconds


def show(workload: Workload, records: int, shot: Lap, laps: dict[str, Lap]) -> None:
    """One line a step, one for all of them, one for DuckDB."""
    whole = Lap(sum(each.seconds for each in laps.values()), sum(each.cpu_seconds for each in laps.values()))
    for name, taken in {**laps, "all": whole, "one shot": shot}.items():
        cpu = taken.cpu_seconds * 1e6 / records
        ratio = shot.cpu_seconds / max(taken.cpu_seconds, 1e-9)
        print(f"{workload.name:10}{name:>10}{records / max(taken.seconds, 1e-9):14,.0f}{cpu:16.3f}{ratio:14.2f}")


if __name__ == "__main__":
    main()
