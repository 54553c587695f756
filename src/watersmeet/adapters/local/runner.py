"""The embedded runner: an engine driven over the local log by a loop in this process.

A slice is whatever is unread when the loop comes round, up to ``slice_records``: a quiet topic gets slices of a few
records within milliseconds, a busy one gets long slices and so fewer commits. Reading is by frontier; the loop keeps
nothing between slices but the frontier that the last commit returned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from watersmeet.core.archive import Archive
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Absorbed, Decided, Decoded, Engine, Known, Lifted
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
            within.add(part[1].kept)
            parts.append(part)
            done += table.num_rows
            progress(done, total)
        if not parts:
            parts.append(self._compute(turn, LOGGED.empty_table(), known))
        cells = {
            spec.fingerprint: Lifted(
                engine.merge(spec, [p[2][spec.fingerprint].cells for p in parts]),
                sum(p[2][spec.fingerprint].rows for p in parts),
                sum(p[2][spec.fingerprint].unusable for p in parts),
            )
            for spec in turn.specs
        }
        return _absorbed(epoch.lower, epoch.upper, parts, cells)

    def _absorb(self, turn: Turn, lower: Frontier, end: Frontier, known: Known) -> Absorbed:
        records = _table(self._log.read(turn.topic.name, lower, end, self._slice_records))
        upper = _upper(records, lower, end, self._slice_records)
        part = self._compute(turn, records, known)
        return _absorbed(lower, upper, [part], part[2])

    def _compute(self, turn: Turn, records: pa.Table, known: Known) -> _Part:
        decoded = self._engine.decode(turn.topic, records)
        decided = self._engine.decide(turn.topic, decoded.rows, known)
        late = _late(decided.used, turn.watermark_us)
        return decoded, decided, self._engine.lift(turn.topic, turn.specs, decided.used), records, late


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
_Part = tuple[Decoded, Decided, Mapping[str, Lifted], pa.Table, dict[int, int]]


def _table(records: Records) -> pa.Table:
    return records if isinstance(records, pa.Table) else pa.table(records)


def _by_partition(table: pa.Table, column: str, how: str) -> dict[int, int]:
    if table.num_rows == 0:
        return {}
    grouped = table.group_by("partition").aggregate([(column, how)])
    values = grouped.column(f"{column}_{how}").to_pylist()
    return dict(zip(grouped.column("partition").to_pylist(), values, strict=True))


def _upper(records: pa.Table, lower: Frontier, end: Frontier, limit: int) -> Frontier:
    """Where the chunk ends: at the interval's end if it was not cut short, else after each partition's last record."""
    if records.num_rows < limit:
        return end
    last = _by_partition(records, "offset", "max")
    return tuple(last[p] + 1 if p in last else low for p, low in enumerate(lower))


def _late(used: Records, watermark_us: int | None) -> dict[int, int]:
    if watermark_us is None:
        return {}
    table = _table(used).select(["partition", "event_time"])
    mark = pa.scalar(watermark_us, pa.timestamp("us"))
    return _by_partition(table.filter(pc.less(table.column("event_time"), mark)), "event_time", "count")


def _greatest(a: Records, b: Records) -> Records:
    both = pa.concat_tables([_table(a), _table(b)])
    found: pa.Table = both.group_by(["hi", "lo"]).aggregate([("arrival", "max")])
    return found.rename_columns(["hi", "lo", "arrival"])  # type: ignore[no-any-return]  # pyarrow has no stubs


def _absorbed(lower: Frontier, upper: Frontier, parts: list[_Part], cells: Mapping[str, Lifted]) -> Absorbed:
    dead = [_by_partition(_table(p[0].dead), "offset", "count") for p in parts]
    logged = [_by_partition(p[3], "offset", "count") for p in parts]
    arrivals = [_by_partition(p[3], "arrival", "max") for p in parts]
    ledger = []
    for partition, (low, high) in enumerate(zip(lower, upper, strict=True)):
        counts = [p[1].counts.get(partition, (0, 0, 0, 0)) for p in parts]
        used, duplicates, filtered, conflicts = (sum(c[i] for c in counts) for i in range(4))
        holes = high - low - sum(n.get(partition, 0) for n in logged)
        died = sum(n.get(partition, 0) for n in dead)
        late = sum(p[4].get(partition, 0) for p in parts)
        ledger.append(Entry(partition, low, high, used, duplicates, died, filtered, holes, conflicts, late))
    return Absorbed(
        lower,
        upper,
        cells,
        kept=pa.concat_tables([_table(p[1].kept) for p in parts]),
        dead=pa.concat_tables([_table(p[0].dead) for p in parts]),
        ledger=tuple(ledger),
        newest=_merge_max(p[1].newest for p in parts),
        arrivals=_merge_max(arrivals),
    )


def _merge_max(maps: Iterable[Mapping[int, int]]) -> dict[int, int]:
    out: dict[int, int] = {}
    for each in maps:
        for partition, value in each.items():
            out[partition] = max(value, out.get(partition, value))
    return out
