"""One interval of a topic, computed by the fleet: a source in, what is to be committed out.

    without an id      source ── lift ── shuffle ── merge ──> driver                                        one job
    with an id         source ── decode ──> kept in executors ── ids ──> driver: known, decide              two jobs
                                            rows ── choose ── shuffle ── merge ──> driver

Every id of an interval passes through the driver whatever is done: it asks `known`, and it hands over the kept ids. So
the driver decides too, by `Engine.decide` as the embedded runner does, over the 60 bytes of each record that this
takes. A million ids cost it 0.5 s of a processor: 0.2 to look up, 0.1 to sort and compare, 0.2 to remember what was
kept. A shuffle by id would spare it the 0.1 and cost the fleet a stage. Only the positions of duplicates, few, go back.
Payloads are decoded once, rows do not move, and only winners are lifted.

Nothing here outlives the interval: Spark has no state to size, and no checkpoint that could tell another frontier than
the manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from watersmeet.core.engine import Absorbed, Decided, Engine, Known, Lifted
from watersmeet.core.frontier import Frontier
from watersmeet.core.runner import Turn
from watersmeet.formats.absorption import Part, as_table, assemble, compute
from watersmeet.formats.logged import ARCHIVED

from .rows import CELLS, DEAD, FACTS, IDS, ROWS, SCHEMA, Facts, Row, read_facts, unpacked
from .source import Source
from .tasks import Job, choose, decode, lift, merge

Collect = Callable[[Any], list[Any]]
"""Runs a frame and gives its rows."""
_NO_CELLS = pa.table({})


@dataclass(frozen=True, slots=True)
class Fleet:
    """What computes.

    Args:
        engine: of the driver.
        factory: builds the engine of an executor's process; can be pickled.
        buckets: into how many cells are shuffled.
        collect: runs a frame and gives its rows.
    """

    engine: Engine
    factory: Callable[[], Engine]
    buckets: int
    collect: Collect


def absorb(fleet: Fleet, turn: Turn, source: Source, lower: Frontier, upper: Frontier, known: Known) -> Absorbed:
    """Compute ``[lower, upper)``, whose records ``source`` has.

    Args:
        fleet: what computes.
        turn: under what.
        source: the records.
        lower, upper: the interval.
        known: looks up the ids kept before it; called once, in this process.
    """
    undecided = replace(turn.topic, id=None)
    key = hashlib.sha256(_pickled(fleet.factory)).hexdigest()
    job = Job(key, fleet.factory, turn, undecided, fleet.buckets if source.tasks > 1 else 1, source.read)
    nothing = compute(fleet.engine, turn, ARCHIVED.empty_table(), known)
    blank = replace(nothing, lifted={})
    found = [nothing, *(_chosen if turn.topic.id else _lifted)(fleet, job, source, blank, known)]
    return assemble(lower, upper, found, _cells(turn, found))


def _lifted(fleet: Fleet, job: Job, source: Source, blank: Part, known: Known) -> Iterator[Part]:
    frame = source.frame.mapInArrow(_stage(lift, job), SCHEMA)
    return _parts(fleet.collect(_merged(frame, job)), blank)


def _chosen(fleet: Fleet, job: Job, source: Source, blank: Part, known: Known) -> Iterator[Part]:
    from pyspark import StorageLevel

    decoded = source.frame.mapInArrow(_stage(decode, job), SCHEMA).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        told = [_row(row) for row in fleet.collect(decoded.where(f"kind <> '{ROWS}'"))]
        yield from _parts((row for row in told if row.kind != IDS), blank)
        ids = [unpacked(row.data) for row in told if row.kind == IDS]
        if not ids:
            return
        everything = pa.concat_tables(ids)
        decided = fleet.engine.decide(replace(job.turn.topic, exclusions=()), everything, known)
        yield _outcome(decided, blank)
        repeated = duplicates(everything, as_table(decided.used))
        frame = decoded.where(f"kind = '{ROWS}'").mapInArrow(_stage(choose, job, repeated), SCHEMA)
        yield from _parts(fleet.collect(_merged(frame, job)), blank)
    finally:
        decoded.unpersist()


def duplicates(everything: pa.Table, used: pa.Table) -> dict[int, Any]:
    """Partition -> offsets of the rows that are not in ``used``, sorted."""
    if everything.num_rows == used.num_rows:
        return {}
    places = [(t.column("partition").to_numpy(), t.column("offset").to_numpy()) for t in (everything, used)]
    (partitions, offsets), (used_partitions, used_offsets) = places
    out = {}
    for each in np.unique(partitions):
        left = np.setdiff1d(offsets[partitions == each], used_offsets[used_partitions == each], assume_unique=True)
        if len(left):
            out[int(each)] = left
    return out


def _outcome(decided: Decided, blank: Part) -> Part:
    """What the driver knows of records with ids: who is kept and who is a duplicate; used or filtered comes later."""
    counts = {p: (0, repeated, 0, conflicts) for p, (_, repeated, _, conflicts) in decided.counts.items()}
    return replace(blank, kept=as_table(decided.kept), counts=counts, newest=decided.newest)


def _parts(rows: Iterable[Any], blank: Part) -> Iterator[Part]:
    """Rows from executors as parts, each with one thing in it."""
    for each in rows:
        row = _row(each)
        if row.kind == FACTS:
            yield _told(read_facts(row), blank)
        elif row.kind == DEAD:
            yield replace(blank, dead=unpacked(row.data))
        elif row.kind == CELLS:
            yield replace(blank, lifted={row.name: Lifted(unpacked(row.data), 0, 0)})


def _told(facts: Facts, blank: Part) -> Part:
    lifted = {name: Lifted(_NO_CELLS, rows, unusable) for name, (rows, unusable) in facts.lifted.items()}
    return replace(
        blank,
        lifted=lifted,
        counts=facts.counts,
        newest=facts.newest,
        arrivals=facts.arrivals,
        logged=facts.logged,
        died=facts.died,
        late=facts.late,
    )


def _cells(turn: Turn, parts: Sequence[Part]) -> Mapping[str, Lifted]:
    """Fingerprint -> cells: buckets share no address, so they are laid side by side."""
    out = {}
    for spec in turn.specs:
        found = [part.lifted[spec.fingerprint] for part in parts if spec.fingerprint in part.lifted]
        tables = [as_table(each.cells) for each in found if each.cells is not _NO_CELLS]
        rows, unusable = sum(each.rows for each in found), sum(each.unusable for each in found)
        out[spec.fingerprint] = Lifted(pa.concat_tables(tables), rows, unusable)
    return out


def _merged(frame: Any, job: Job) -> Any:
    """The frame with the cells of all its tasks merged; those of one task are."""
    if job.buckets == 1:
        return frame
    return frame.repartitionById(job.buckets, "bucket").mapInArrow(_stage(merge, job), SCHEMA)


def _stage(task: Callable[..., Iterator[Any]], *given: Any) -> Callable[[Any], Iterator[Any]]:
    def stage(batches: Any) -> Iterator[Any]:
        return task(*given, batches)

    return stage


def _row(row: Any) -> Row:
    return row if isinstance(row, Row) else Row(row.kind, row.data, row.bucket, row.name)


def _pickled(value: object) -> bytes:
    from pyspark.cloudpickle import dumps

    pickled: bytes = dumps(value)  # type: ignore[no-untyped-call]  # pyspark's own copy has no types
    return pickled
