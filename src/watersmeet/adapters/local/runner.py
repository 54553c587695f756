"""The embedded runner: an engine driven over the local log by a loop in this process.

A slice is whatever is unread when the loop comes round, up to ``slice_records``: a quiet topic gets slices of a few
records within milliseconds, a busy one gets long slices and so fewer commits. Reading is by frontier; the loop keeps
nothing between slices but the frontier that the last commit returned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from watersmeet.core.archive import Archive
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Absorbed, Engine, Known, Lifted
from watersmeet.core.frontier import Frontier
from watersmeet.core.ledger import Entry
from watersmeet.core.log import Log
from watersmeet.core.manifest import Epoch
from watersmeet.core.record import Records
from watersmeet.core.runner import Progress, Turn

SLICE_RECORDS = 250_000
EPOCH_CHUNK = 500_000
POLL_SECONDS = 0.004
IDLE_SECONDS = 1.0


class LocalRunner:
    """Loops in one process.

    Args:
        log: where records come from.
        archive: what `recompute` reads.
        engine: what computes.
        clock: for the once-a-second idle call.
        slice_records: the most records a slice may have.
    """

    def __init__(
        self, log: Log, archive: Archive, engine: Engine, clock: Clock, *, slice_records: int = SLICE_RECORDS
    ) -> None:
        self._log, self._archive, self._engine, self._clock = log, archive, engine, clock
        self._slice_records = slice_records

    def stream(
        self,
        turn: Callable[[], Turn],
        start: Frontier,
        known: Known,
        commit: Callable[[Absorbed], Frontier],
        stop: threading.Event,
    ) -> None:
        """See `watersmeet.core.runner.Runner`."""
        frontier, idle_since = start, self._clock.monotonic()
        while not stop.is_set():
            now = turn()
            end = self._log.end(now.topic.name)
            if end == frontier:
                if self._clock.monotonic() - idle_since >= IDLE_SECONDS:
                    idle_since = self._clock.monotonic()
                    frontier = commit(self._absorb(now, frontier, end, known))
                stop.wait(POLL_SECONDS)
                continue
            idle_since = self._clock.monotonic()
            frontier = commit(self._absorb(now, frontier, end, known))

    def recompute(self, turn: Turn, epoch: Epoch, known: Known, progress: Progress) -> Absorbed:
        """See `watersmeet.core.runner.Runner`."""
        engine, within, parts = self._engine, self._engine.ids(), []
        done, total = 0, sum(u - low for low, u in zip(epoch.lower, epoch.upper, strict=True))
        for chunk in self._archive.read(turn.topic.name, epoch.number, EPOCH_CHUNK):
            table = _table(chunk)
            part = self._compute(turn, table, lambda ids: _greatest(known(ids), within.lookup(ids)))
            within.add(part.kept)
            parts.append(part)
            done += table.num_rows
            progress(done, total)
        if not parts:
            parts.append(self._compute(turn, LOGGED.empty_table(), known))
        cells = {
            spec.fingerprint: Lifted(
                engine.merge(spec, [p.lifted[spec.fingerprint].cells for p in parts]),
                sum(p.lifted[spec.fingerprint].rows for p in parts),
                sum(p.lifted[spec.fingerprint].unusable for p in parts),
            )
            for spec in turn.specs
        }
        return _absorbed(epoch.lower, epoch.upper, parts, cells)

    def _absorb(self, turn: Turn, lower: Frontier, end: Frontier, known: Known) -> Absorbed:
        records = _table(self._log.read(turn.topic.name, lower, end, self._slice_records))
        upper = _upper(records, lower, end, self._slice_records)
        part = self._compute(turn, records, known)
        return _absorbed(lower, upper, [part], part.lifted)

    def _compute(self, turn: Turn, records: pa.Table, known: Known) -> _Part:
        reads = frozenset[str]().union(*(spec.reads for spec in turn.specs))
        decoded = self._engine.decode(turn.topic, records, reads)
        decided = self._engine.decide(turn.topic, decoded.rows, known)
        return _Part(
            self._engine.lift(turn.topic, turn.specs, decided.used),
            _table(decided.kept),
            _table(decoded.dead),
            decided.counts,
            decided.newest,
            _greatest_of(records, "arrival"),
            _counts(records),
            _counts(_table(decoded.dead)),
            _late(decided.used, turn.watermark_us),
        )


@dataclass(frozen=True, slots=True)
class _Part:
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


LOGGED = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("arrival", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.map_(pa.string(), pa.binary())),
        ("slice", pa.int64()),
    ]
)


def _table(records: Records) -> pa.Table:
    return records if isinstance(records, pa.Table) else pa.table(records)


def _counts(rows: pa.Table) -> dict[int, int]:
    """Partition -> how many rows. In numpy: Arrow's grouping costs more than all else a small slice needs here."""
    counts = np.bincount(rows.column("partition").to_numpy(), minlength=1)
    return {int(p): int(counts[p]) for p in np.flatnonzero(counts)}


def _greatest_of(rows: pa.Table, column: str) -> dict[int, int]:
    """Partition -> the greatest value of an integer column."""
    partitions = rows.column("partition").to_numpy()
    greatest = np.full(int(partitions.max(initial=-1)) + 1, np.iinfo(np.int64).min)
    np.maximum.at(greatest, partitions, rows.column(column).to_numpy())
    return {int(p): int(greatest[p]) for p in np.flatnonzero(np.bincount(partitions))}


def _upper(records: pa.Table, lower: Frontier, end: Frontier, limit: int) -> Frontier:
    """Where the chunk ends: at the interval's end if it was not cut short, else after each partition's last record."""
    if records.num_rows < limit:
        return end
    last = _greatest_of(records, "offset")
    return tuple(last[p] + 1 if p in last else low for p, low in enumerate(lower))


def _late(used: Records, watermark_us: int | None) -> dict[int, int]:
    if watermark_us is None:
        return {}
    rows = _table(used).select(["partition", "event_time"])
    behind = rows.column("event_time").cast(pa.int64()).to_numpy() < watermark_us
    return _counts(rows.filter(pa.array(behind))) if behind.any() else {}


def _greatest(a: Records, b: Records) -> Records:
    both = pa.concat_tables([_table(a), _table(b)])
    found: pa.Table = both.group_by(["hi", "lo"]).aggregate([("arrival", "max")])
    return found.rename_columns(["hi", "lo", "arrival"])  # type: ignore[no-any-return]  # pyarrow has no stubs


def _absorbed(lower: Frontier, upper: Frontier, parts: list[_Part], cells: Mapping[str, Lifted]) -> Absorbed:
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
        newest=_merge_max(p.newest for p in parts),
        arrivals=_merge_max(p.arrivals for p in parts),
    )


def _merge_max(maps: Iterable[Mapping[int, int]]) -> dict[int, int]:
    out: dict[int, int] = {}
    for each in maps:
        for partition, value in each.items():
            out[partition] = max(value, out.get(partition, value))
    return out
