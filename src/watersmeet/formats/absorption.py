"""From a chunk of the log to what a slice or an epoch commits: one way for every runner.

    LOGGED ── decode ──> rows ── decide ──> used ── lift ──> cells
                │                  └──> kept ids, outcomes
                └──> dead

A `Chunk` is decoded: it rests on the log and the topic alone, so a runner may decode ahead of what it decides. A `Part`
is what outlives a chunk; the parts of one interval make an `Absorbed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from watersmeet.core.engine import Absorbed, Engine, Known, Lifted
from watersmeet.core.frontier import Frontier
from watersmeet.core.ledger import Entry
from watersmeet.core.record import Records
from watersmeet.core.runner import Turn
from watersmeet.core.topic import Topic
from watersmeet.core.view import CellSpec


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of the log, decoded: nobody's to decide yet.

    Args:
        rows, dead: DECODED and DEAD.
        arrivals: partition -> greatest arrival, in µs.
        logged: partition -> how many records.
    """

    rows: Records
    dead: pa.Table
    arrivals: Mapping[int, int]
    logged: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """What outlives a chunk: of its payloads and rows nothing, or an epoch would have to fit into memory.

    Args:
        lifted: fingerprint -> cells.
        kept, dead: KEPT and DEAD rows.
        counts: partition -> (used, duplicates, filtered, conflicts).
        newest, arrivals: partition -> greatest event time of what is not dead, and greatest arrival, in µs.
        logged, died, late: partition -> how many records.
    """

    lifted: Mapping[str, Lifted]
    kept: pa.Table
    dead: pa.Table
    counts: Mapping[int, tuple[int, int, int, int]]
    newest: Mapping[int, int]
    arrivals: Mapping[int, int]
    logged: Mapping[int, int]
    died: Mapping[int, int]
    late: Mapping[int, int]


def as_table(records: Records) -> pa.Table:
    """A chunk as an Arrow table, without a copy if it is one."""
    return records if isinstance(records, pa.Table) else pa.table(records)


def columns_read(specs: Sequence[CellSpec]) -> frozenset[str]:
    """The columns of the topic that cells of ``specs`` are made of."""
    return frozenset[str]().union(*(spec.reads for spec in specs))


def decode(engine: Engine, topic: Topic, reads: frozenset[str], records: pa.Table) -> Chunk:
    """Decode one LOGGED chunk, as far as ``reads`` go."""
    decoded = engine.decode(topic, records, reads)
    return Chunk(decoded.rows, as_table(decoded.dead), greatest(records, "arrival"), tally(records))


def settle(engine: Engine, turn: Turn, chunk: Chunk, known: Known) -> Part:
    """Decide and lift a chunk; ``known`` looks up the ids kept before it."""
    decided = engine.decide(turn.topic, chunk.rows, known)
    return Part(
        engine.lift(turn.topic, turn.specs, decided.used),
        as_table(decided.kept),
        chunk.dead,
        decided.counts,
        decided.newest,
        chunk.arrivals,
        chunk.logged,
        tally(chunk.dead),
        tally_late(decided.used, turn.watermark_us),
    )


def compute(engine: Engine, turn: Turn, records: pa.Table, known: Known) -> Part:
    """Decode, decide and lift one LOGGED chunk; ``known`` looks up the ids kept before it."""
    return settle(engine, turn, decode(engine, turn.topic, columns_read(turn.specs), records), known)


def merge_cells(engine: Engine, specs: Sequence[CellSpec], parts: Sequence[Part]) -> dict[str, Lifted]:
    """Fingerprint -> the cells of all parts, merged."""
    out = {}
    for spec in specs:
        lifted = [part.lifted[spec.fingerprint] for part in parts]
        cells = engine.merge(spec, [each.cells for each in lifted])
        out[spec.fingerprint] = Lifted(cells, sum(x.rows for x in lifted), sum(x.unusable for x in lifted))
    return out


def assemble(lower: Frontier, upper: Frontier, parts: Sequence[Part], cells: Mapping[str, Lifted]) -> Absorbed:
    """Everything there is to commit of ``[lower, upper)``; offsets that no part has are holes."""
    ledger = []
    for partition, (low, high) in enumerate(zip(lower, upper, strict=True)):
        counts = [p.counts.get(partition, (0, 0, 0, 0)) for p in parts]
        used, duplicates, filtered, conflicts = (sum(c[i] for c in counts) for i in range(4))
        holes = high - low - sum(p.logged.get(partition, 0) for p in parts)
        died = sum(p.died.get(partition, 0) for p in parts)
        late = sum(p.late.get(partition, 0) for p in parts)
        ledger.append(Entry(partition, low, high, used, duplicates, died, filtered, holes, conflicts, late))
    return Absorbed(
        lower,
        upper,
        cells,
        kept=pa.concat_tables([p.kept for p in parts]),
        dead=pa.concat_tables([p.dead for p in parts]),
        ledger=tuple(ledger),
        newest=_greatest_each(p.newest for p in parts),
        arrivals=_greatest_each(p.arrivals for p in parts),
    )


def tally(rows: pa.Table) -> dict[int, int]:
    """Partition -> how many rows. In numpy: Arrow's grouping costs more than all else a small slice needs here."""
    counts = np.bincount(rows.column("partition").to_numpy(), minlength=1)
    return {int(p): int(counts[p]) for p in np.flatnonzero(counts)}


def tally_late(used: Records, watermark_us: int | None) -> dict[int, int]:
    """Partition -> how many of the records that count have an event time before the watermark."""
    if watermark_us is None:
        return {}
    rows = as_table(used).select(["partition", "event_time"])
    behind = rows.column("event_time").cast(pa.int64()).to_numpy() < watermark_us
    return tally(rows.filter(pa.array(behind))) if behind.any() else {}


def greatest(rows: pa.Table, column: str) -> dict[int, int]:
    """Partition -> the greatest value of an integer column."""
    partitions = rows.column("partition").to_numpy()
    found = np.full(int(partitions.max(initial=-1)) + 1, np.iinfo(np.int64).min)
    np.maximum.at(found, partitions, rows.column(column).to_numpy())
    return {int(p): int(found[p]) for p in np.flatnonzero(np.bincount(partitions))}


def _greatest_each(maps: Iterable[Mapping[int, int]]) -> dict[int, int]:
    out: dict[int, int] = {}
    for each in maps:
        for partition, value in each.items():
            out[partition] = max(value, out.get(partition, value))
    return out
