"""The embedded runner: an engine driven over the local log by a loop in this process.

A slice is whatever is unread when the loop comes round, up to ``slice_records``: a quiet topic gets slices of a few
records within milliseconds, a busy one gets long slices and so fewer commits. Reading is by frontier; the loop keeps
nothing between slices but the frontier that the last commit returned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import pyarrow as pa

from watersmeet.core.archive import Archive
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Absorbed, Engine, Known
from watersmeet.core.frontier import Frontier
from watersmeet.core.log import Log
from watersmeet.core.manifest import Epoch
from watersmeet.core.record import Records
from watersmeet.core.runner import Progress, Turn
from watersmeet.formats.absorption import as_table, assemble, compute, greatest, merge_cells
from watersmeet.formats.logged import ARCHIVED

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
            table = as_table(chunk)
            part = compute(engine, turn, table, lambda ids: _latest(known(ids), within.lookup(ids)))
            within.add(part.kept)
            parts.append(part)
            done += table.num_rows
            progress(done, total)
        if not parts:
            parts.append(compute(engine, turn, ARCHIVED.empty_table(), known))
        return assemble(epoch.lower, epoch.upper, parts, merge_cells(engine, turn.specs, parts))

    def _absorb(self, turn: Turn, lower: Frontier, end: Frontier, known: Known) -> Absorbed:
        records = as_table(self._log.read(turn.topic.name, lower, end, self._slice_records))
        upper = _upper(records, lower, end, self._slice_records)
        part = compute(self._engine, turn, records, known)
        return assemble(lower, upper, [part], part.lifted)


def _upper(records: pa.Table, lower: Frontier, end: Frontier, limit: int) -> Frontier:
    """Where the chunk ends: at the interval's end if it was not cut short, else after each partition's last record."""
    if records.num_rows < limit:
        return end
    last = greatest(records, "offset")
    return tuple(last[p] + 1 if p in last else low for p, low in enumerate(lower))


def _latest(a: Records, b: Records) -> Records:
    both = pa.concat_tables([as_table(a), as_table(b)])
    found: pa.Table = both.group_by(["hi", "lo"]).aggregate([("arrival", "max")])
    return found.rename_columns(["hi", "lo", "arrival"])  # type: ignore[no-any-return]  # pyarrow has no stubs
