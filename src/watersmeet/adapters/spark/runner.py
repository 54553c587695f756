"""The runner on a fleet: slices and epochs as Spark jobs, in which executors run the engine of the embedded process.

    frontier ── end of the log, clipped to a slice ──> [lower, upper) ── one or two jobs ──> commit ──> frontier

**The manifest's frontier is the checkpoint.** A slice is a batch query from exact offsets to exact offsets, chosen here
before anything is read; what has been committed is known from `commit` alone. So there is no second place that says how
far the topic has come, none to lose, to restore wrongly or to fall behind a state that was moved, and a slice that
was refused is simply computed again. Structured Streaming's ``foreachBatch`` was measured beside it, with the same jobs
inside: 0.4 s a micro-batch, of which its two logs take 0.12 s, against 0.45 s here, where the plan is made anew; and it
would want its own offsets reconciled with the manifest's at each start, a second thread for idle topics, and calls
from the JVM back into this process.

A driver that is killed leaves nothing behind but attempts that no manifest lists. One that was believed dead and goes
on computes slices in vain: its generation is refused. A lost executor or Python process is Spark's to replace; its
tasks are pure and are done again (a local master retries only where it is written ``local[n, retries]``).
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from typing import Any

from watersmeet.core.address import Address, options
from watersmeet.core.archive import Archive
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Absorbed, Engine, Known
from watersmeet.core.errors import GapError
from watersmeet.core.frontier import Frontier, size
from watersmeet.core.log import Log
from watersmeet.core.manifest import Epoch
from watersmeet.core.runner import Progress, Turn
from watersmeet.core.topic import Topic
from watersmeet.formats.absorption import as_table, assemble, compute
from watersmeet.formats.logged import ARCHIVED

from .connector import connector_settings
from .failure import translated
from .interval import Fleet, absorb
from .scaling import Bounds, Load, decide
from .session import Sessions, SparkOptions
from .source import CHUNK_RECORDS, ReadEpoch, Source, epoch_source, kafka_source, shipped_source

SLICE_RECORDS = 1_000_000
IDLE_SECONDS = 1.0
POLL_SECONDS = 0.25
TOLD_SECONDS = 0.5
_logger = logging.getLogger(__name__)


class SparkRunner:
    """The `Runner` port on Spark. Several topics may stream at once, and epochs be recomputed beside them.

    Args:
        address: ``spark://…``; see `watersmeet.adapters.spark.session`.
        log: tells how far a topic goes.
        archive: the epochs.
        engine: of the driver; decides ids and looks after what is empty.
        factory: builds the engine of an executor's Python process, one each; it can be pickled. One thread is enough,
            for Spark runs as many processes as there are cores.
        clock: real seconds, for pauses.
        slice_records: the most offsets a slice may have.
        records: the ``kafka://`` URL where executors read the log; None: the driver reads it and ships.
        epochs: reads an archived epoch in executors; None: the driver reads it and ships, so that it must fit there.
    """

    def __init__(
        self,
        address: Address,
        log: Log,
        archive: Archive,
        engine: Engine,
        factory: Callable[[], Engine],
        clock: Clock,
        slice_records: int = SLICE_RECORDS,
        *,
        records: Address | None = None,
        epochs: ReadEpoch | None = None,
    ) -> None:
        self._options = options(address, SparkOptions)
        self._sessions = Sessions(address, self._options)
        self._log, self._records, self._archive = log, records, archive
        self._engine, self._factory, self._clock, self._epochs = engine, factory, clock, epochs
        self._slice_records = slice_records
        self._wanted: dict[str, int] = {}  # topic -> executors

    def stream(
        self,
        turn: Callable[[], Turn],
        start: Frontier,
        known: Known,
        commit: Callable[[Absorbed], Frontier],
        stop: threading.Event,
    ) -> None:
        """See `watersmeet.core.runner.Runner`.

        Raises:
            UnavailableError: Spark or the log cannot be reached; the next call makes a session of its own.
            GapError: unread records are gone.
        """
        frontier, began = start, -IDLE_SECONDS
        before, tasks = (began, start), 1
        while not stop.is_set():
            now = turn()
            end, seconds = self._log.end(now.topic.name), self._clock.monotonic()
            unread = size(frontier, end)
            pause = IDLE_SECONDS if unread == 0 else self._options.every_seconds
            if unread < self._slice_records and seconds - began < pause:
                stop.wait(min(pause - (seconds - began), POLL_SECONDS))
                continue
            began, upper = seconds, bounded(frontier, end, self._slice_records)
            absorbed = self._slice(now, frontier, upper, known, tasks)
            arriving = max(0, size(before[1], end)) / (seconds - before[0]) if before[0] >= 0 else 0.0
            took = self._clock.monotonic() - began
            before, frontier = (seconds, end), commit(absorbed)
            executors = self._wanted.get(now.topic.name, self._options.least_executors)
            done, lag = size(absorbed.lower, absorbed.upper), max(0, size(frontier, end))
            tasks = self._scale(now.topic, Load(arriving, lag, done, took, executors))

    def recompute(self, turn: Turn, epoch: Epoch, known: Known, progress: Progress) -> Absorbed:
        """See `watersmeet.core.runner.Runner`. One Spark job, two for a topic with an id.

        The ids of the whole epoch are decided at once, in the driver: 60 bytes of memory a record, about twice that
        while they are sorted.
        """
        total = size(epoch.lower, epoch.upper)
        jobs = 2 if turn.topic.id else 1
        done = 0

        def told(part: float) -> None:
            progress(min(total, int(total * (done + part) / jobs)), total)

        def collect(session: Any, frame: Any) -> list[Any]:
            nonlocal done
            rows = _watched(session, frame, told)
            done += 1
            return rows

        with translated(f"epoch {epoch.number} of topic {turn.topic.name}"):
            session = self._session("batch")
            source = self._epoch(session, turn.topic.name, epoch)
            absorbed = absorb(self._fleet(session, collect), turn, source, epoch.lower, epoch.upper, known)
        progress(total, total)
        return absorbed

    def close(self) -> None:
        """Stop the session."""
        self._sessions.close()

    def _slice(self, turn: Turn, lower: Frontier, upper: Frontier, known: Known, tasks: int) -> Absorbed:
        if lower == upper:
            part = compute(self._engine, turn, ARCHIVED.empty_table(), known)
            return assemble(lower, upper, [part], part.lifted)
        name = turn.topic.name
        oldest = self._log.start(name)
        if any(old > low for old, low in zip(oldest, lower, strict=True)):
            raise GapError(f"topic {name}", expected=f"records from {lower}", got=f"none before {oldest}")
        with translated(f"a slice of topic {name}"):
            session = self._session("speed")
            source = self._unread(session, name, lower, upper, tasks)
            return absorb(self._fleet(session, _collected), turn, source, lower, upper, known)

    def _unread(self, session: Any, topic: str, lower: Frontier, upper: Frontier, tasks: int) -> Source:
        if self._records is not None:
            settings = {**connector_settings(self._records, topic), "minPartitions": str(max(1, tasks))}
            arrival = self._records.options.get("arrival", "broker")
            return kafka_source(session, settings, topic, lower, upper, arrival)
        # With a limit above what there is, nothing is left out.
        table = as_table(self._log.read(topic, lower, upper, size(lower, upper) + 1))
        return shipped_source(session, [table], max(tasks, session.sparkContext.defaultParallelism))

    def _epoch(self, session: Any, topic: str, epoch: Epoch) -> Source:
        if self._epochs is not None:
            some = [p for p, (low, high) in enumerate(zip(epoch.lower, epoch.upper, strict=True)) if high > low]
            return epoch_source(session, self._epochs, topic, epoch.number, some)
        chunks = (as_table(chunk) for chunk in self._archive.read(topic, epoch.number, CHUNK_RECORDS))
        return shipped_source(session, chunks, session.sparkContext.defaultParallelism)

    def _session(self, pool: str) -> Any:
        session = self._sessions.get()
        session.sparkContext.setLocalProperty("spark.scheduler.pool", pool)
        return session

    def _fleet(self, session: Any, collect: Callable[[Any, Any], list[Any]]) -> Fleet:
        buckets = self._options.buckets or session.sparkContext.defaultParallelism
        return Fleet(self._engine, self._factory, buckets, partial(collect, session))

    def _scale(self, topic: Topic, load: Load) -> int:
        """Ask for executors if that is ours to do; how many tasks the next slice of the topic is cut into."""
        of, local = self._options, self._sessions.master.startswith("local")
        most, cores = max(of.least_executors, of.most_executors), self._parallelism() if local else max(1, of.cores)
        bounds = Bounds(of.least_executors, most, cores, topic.partitions)
        found = decide(load, bounds, min(load.lag, self._slice_records))
        if not local and found.executors != load.executors:
            self._wanted[topic.name] = found.executors
            total = min(most, sum(self._wanted.values()))
            _logger.info("asking for %d executors, %d of them for %s: %s", total, found.executors, topic.name, load)
            with translated("asking for executors"):
                self._sessions.get().sparkContext._jsc.sc().requestTotalExecutors(total, 0, {})
        return found.tasks

    def _parallelism(self) -> int:
        with translated("asking for its cores"):
            return int(self._sessions.get().sparkContext.defaultParallelism)


def bounded(lower: Frontier, end: Frontier, limit: int) -> Frontier:
    """The end of a slice of at most ``limit`` offsets: partitions get equal shares, what one leaves goes to the others.

    >>> bounded((0, 0, 0), (10, 2, 50), 30)
    (10, 2, 18)
    """
    taken, left = [0] * len(lower), limit
    unread = [high - low for low, high in zip(lower, end, strict=True)]
    open_ = sorted((n, p) for p, n in enumerate(unread) if n)
    for place, (wanted, partition) in enumerate(open_):
        taken[partition] = min(wanted, left // (len(open_) - place))
        left -= taken[partition]
    return tuple(low + n for low, n in zip(lower, taken, strict=True))


def _collected(session: Any, frame: Any) -> list[Any]:
    rows: list[Any] = frame.collect()
    return rows


def _watched(session: Any, frame: Any, told: Callable[[float], None]) -> list[Any]:
    """Run a frame in a thread, and tell which part of its tasks is done."""
    context, group = session.sparkContext, uuid.uuid4().hex
    pool = context.getLocalProperty("spark.scheduler.pool")

    def run() -> list[Any]:
        context.setLocalProperty("spark.scheduler.pool", pool)
        context.setJobGroup(group, "watersmeet")
        return _collected(session, frame)

    with ThreadPoolExecutor(1) as threads:
        running: Future[list[Any]] = threads.submit(run)
        while True:
            try:
                return running.result(TOLD_SECONDS)
            except NotYet:
                told(_share(context.statusTracker(), group))


def _share(tracker: Any, group: str) -> float:
    """Which part of the tasks of a group's stages is done."""
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(stage) for job in jobs if job for stage in job.stageIds]
    found = [stage for stage in stages if stage]
    done, all_ = (sum(getattr(stage, name) for stage in found) for name in ("numCompletedTasks", "numTasks"))
    return float(done / max(1, all_))
