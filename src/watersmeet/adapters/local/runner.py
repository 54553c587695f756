"""The embedded runner: an engine driven over the local log by a loop in this process.

A slice is whatever is unread when the loop comes round, up to ``slice_records``: a quiet topic gets slices of a few
records within milliseconds, a busy one gets long slices and so fewer commits.

A slice that was cut short is followed by another one, which a thread reads and decodes while this one is decided,
lifted and committed; at most one slice is ahead. What was decoded ahead rests on the log, the topic and the columns
read, and counts only if they are still the same and the commit returned the frontier at which it begins; otherwise it
is thrown away, and its error with it. So a slice is what it would have been without: computed under the turn asked for
before it. Reading is by frontier; between slices the loop keeps nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from watersmeet.core.archive import Archive
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Absorbed, Engine, Known
from watersmeet.core.frontier import Frontier
from watersmeet.core.log import Log
from watersmeet.core.manifest import Epoch
from watersmeet.core.record import Records
from watersmeet.core.runner import Progress, Turn
from watersmeet.core.topic import Topic
from watersmeet.formats.absorption import (
    Chunk,
    as_table,
    assemble,
    columns_read,
    compute,
    decode,
    greatest,
    merge_cells,
    settle,
)
from watersmeet.formats.logged import ARCHIVED

SLICE_RECORDS = 250_000
EPOCH_CHUNK = 500_000
POLL_SECONDS = 0.004
IDLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Slice:
    """``[lower, upper)``, decoded; ``cut`` if the log held more when it was read."""

    lower: Frontier
    upper: Frontier
    cut: bool
    chunk: Chunk


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A slice on its way, and what it rests on."""

    topic: Topic
    reads: frozenset[str]
    lower: Frontier
    slice: Future[_Slice]

    def fits(self, topic: Topic, reads: frozenset[str], lower: Frontier) -> bool:
        return self.topic is topic and self.reads == reads and self.lower == lower


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
        with ThreadPoolExecutor(1, thread_name_prefix="ahead") as worker:
            self._loop(worker, turn, start, known, commit, stop)

    def _loop(
        self,
        worker: ThreadPoolExecutor,
        turn: Callable[[], Turn],
        frontier: Frontier,
        known: Known,
        commit: Callable[[Absorbed], Frontier],
        stop: threading.Event,
    ) -> None:
        idle_since = self._clock.monotonic()
        ahead: _Ahead | None = None
        while not stop.is_set():
            now = turn()
            topic, reads, end = now.topic, columns_read(now.specs), self._log.end(now.topic.name)
            if ahead is not None and ahead.fits(topic, reads, frontier):
                taken = ahead.slice.result()
            elif end != frontier or self._clock.monotonic() - idle_since >= IDLE_SECONDS:
                taken = self._take(topic, reads, frontier, end)
            else:
                stop.wait(POLL_SECONDS)
                continue
            idle_since = self._clock.monotonic()
            ahead = None
            if taken.cut:
                following = worker.submit(self._take, topic, reads, taken.upper, end)
                ahead = _Ahead(topic, reads, taken.upper, following)
            part = settle(self._engine, now, taken.chunk, known)
            frontier = commit(assemble(taken.lower, taken.upper, [part], part.lifted))

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

    def _take(self, topic: Topic, reads: frozenset[str], lower: Frontier, end: Frontier) -> _Slice:
        records = as_table(self._log.read(topic.name, lower, end, self._slice_records))
        upper = _upper(records, lower, end, self._slice_records)
        return _Slice(lower, upper, upper != end, decode(self._engine, topic, reads, records))


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
