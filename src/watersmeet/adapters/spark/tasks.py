"""What executors do: the engine over chunks of a task, and over the buckets of a shuffle.

    lift      LOGGED ─ decode, decide, lift ─> cells (bucketed by dimensions), dead, facts         a topic without id
    decode    LOGGED ─ decode ─> rows (stay where they are), ids, dead, facts                       a topic with an id,
    choose    rows ─ without duplicates, decide exclusions, lift ─> cells, facts                    in two steps
    merge     cells of a bucket ─ merge ─> cells, each address once; all else passes through

Every Python process of an executor builds one engine and keeps it. The functions here are pure: a task that is done
again, anywhere, gives the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from watersmeet.core.engine import Engine, Lifted
from watersmeet.core.record import Records
from watersmeet.core.runner import Turn
from watersmeet.core.topic import Topic
from watersmeet.core.view import CellSpec
from watersmeet.formats import absorption
from watersmeet.formats.absorption import as_table, columns_read, compute, tally, tally_late

from .rows import CELLS, DEAD, IDS, ROWS, Facts, Row, as_batch, facts_row, packed, rows_of, unpacked
from .source import Batches

ID_COLUMNS = ("partition", "offset", "slice", "arrived_at", "event_time", "_hi", "_lo", "_content")
"""What is needed to decide which records are duplicates."""
_engines: dict[str, Engine] = {}


@dataclass(frozen=True, slots=True)
class Job:
    """What a task is told; pickled once a stage.

    Args:
        key: names the engine among those of the process.
        factory: builds it.
        turn: under what to compute.
        undecided: the topic as if it had no id: with it `Engine.decide` tells filtered from used, and nothing else.
        buckets: into how many cells are shuffled; 1 when there is one task.
        read: makes LOGGED tables of what Spark hands over.
    """

    key: str
    factory: Callable[[], Engine]
    turn: Turn
    undecided: Topic
    buckets: int
    read: Callable[[Batches], Iterator[pa.Table]]

    def engine(self) -> Engine:
        """The engine of this process."""
        if self.key not in _engines:
            _engines[self.key] = self.factory()
        return _engines[self.key]


def lift(job: Job, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Records of a topic without id, all the way to cells."""
    engine, found = job.engine(), list[Mapping[str, Lifted]]()
    for records in job.read(batches):
        part = compute(engine, job.turn, records, _nothing)
        found.append(part.lifted)
        if part.dead.num_rows:
            yield as_batch(Row(DEAD, packed(part.dead)))
        facts = Facts(
            dict(part.counts),
            dict(part.newest),
            dict(part.arrivals),
            dict(part.logged),
            dict(part.died),
            dict(part.late),
            _sizes(part.lifted),
        )
        yield as_batch(facts_row(facts))
    yield from _cells(job, engine, found)


def decode(job: Job, batches: Batches) -> Iterator[pa.RecordBatch]:
    """Records of a topic with an id, as far as they come without the ids of others."""
    engine, reads = job.engine(), columns_read(job.turn.specs)
    for records in job.read(batches):
        chunk = absorption.decode(engine, job.turn.topic, reads, records)
        rows = as_table(chunk.rows)
        yield as_batch(Row(ROWS, packed(rows)))
        yield as_batch(Row(IDS, packed(rows.select(ID_COLUMNS))))
        if chunk.dead.num_rows:
            yield as_batch(Row(DEAD, packed(chunk.dead)))
        facts = Facts(arrivals=dict(chunk.arrivals), logged=dict(chunk.logged), died=tally(chunk.dead))
        yield as_batch(facts_row(facts))


def choose(job: Job, duplicates: Mapping[int, Any], batches: Batches) -> Iterator[pa.RecordBatch]:
    """Decoded rows without the duplicates to cells; ``duplicates``: partition -> offsets."""
    engine, turn, found = job.engine(), job.turn, list[Mapping[str, Lifted]]()
    for row in rows_of(batches):
        rows = _without(unpacked(row.data), duplicates)
        decided = engine.decide(job.undecided, rows, _nothing)
        lifted = engine.lift(turn.topic, turn.specs, decided.used)
        found.append(lifted)
        late = tally_late(decided.used, turn.watermark_us)
        yield as_batch(facts_row(Facts(counts=dict(decided.counts), late=late, lifted=_sizes(lifted))))
    yield from _cells(job, engine, found)


def merge(job: Job, batches: Batches) -> Iterator[pa.RecordBatch]:
    """The cells of a bucket, of all tasks."""
    engine, specs = job.engine(), {spec.fingerprint: spec for spec in job.turn.specs}
    found: dict[str, list[pa.Table]] = {}
    for row in rows_of(batches):
        if row.kind == CELLS:
            found.setdefault(row.name, []).append(unpacked(row.data))
        else:
            yield as_batch(row)
    for name, cells in found.items():
        merged = cells[0] if len(cells) == 1 else as_table(engine.merge(specs[name], cells))
        yield as_batch(Row(CELLS, packed(merged), name=name))


def _sizes(lifted: Mapping[str, Lifted]) -> dict[str, tuple[int, int]]:
    return {name: (each.rows, each.unusable) for name, each in lifted.items()}


def _cells(job: Job, engine: Engine, found: list[Mapping[str, Lifted]]) -> Iterator[pa.RecordBatch]:
    """The cells of a task, each bucket of each view a row."""
    for spec in job.turn.specs if found else ():
        tables = [as_table(lifted[spec.fingerprint].cells) for lifted in found]
        whole = tables[0] if len(tables) == 1 else as_table(engine.merge(spec, tables))
        for bucket, cells in bucketed(spec, whole, job.buckets):
            yield as_batch(Row(CELLS, packed(cells), bucket, spec.fingerprint))


def bucketed(spec: CellSpec, cells: pa.Table, buckets: int) -> Iterator[tuple[int, pa.Table]]:
    """Cells by a hash of their dimensions alone, so that fragments of one session meet; empty buckets are left out.

    Cells without dimensions go where their fingerprint says, or one bucket would have those of all views.
    """
    if not cells.num_rows:
        return
    names = [dimension.name for dimension in spec.dimensions]
    if buckets == 1 or not names:
        yield int(spec.fingerprint[:8], 16) % buckets, cells
        return
    placed = _hashes(cells.select(names)) % np.uint64(buckets)
    order = np.argsort(placed, kind="stable")
    sorted_cells, bounds = cells.take(pa.array(order)), np.searchsorted(placed[order], np.arange(buckets + 1))
    for bucket, (low, high) in enumerate(pairwise(bounds)):
        if high > low:
            yield bucket, sorted_cells.slice(low, high - low)


def _hashes(keys: pa.Table) -> Any:
    columns = ", ".join(f'"{name}"' for name in keys.column_names)
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("keys", keys)
        found = connection.sql(f"SELECT hash({columns}) AS h FROM keys")  # noqa: S608  # names of columns are letters
        return found.to_arrow_table().column("h").to_numpy()


def _without(rows: pa.Table, duplicates: Mapping[int, Any]) -> pa.Table:
    partition, offset = rows.column("partition").to_numpy(), rows.column("offset").to_numpy()
    drop = np.zeros(rows.num_rows, dtype=bool)
    for each, offsets in duplicates.items():
        drop |= (partition == each) & np.isin(offset, offsets)
    return rows.filter(pa.array(~drop)) if drop.any() else rows


def _nothing(ids: Records) -> Records:
    """A `Known` for topics without ids."""
    none: Records = as_table(ids).slice(0, 0)
    return none
