"""The batch layer: owns the log up to the last epoch that it has published.

For each sealed epoch, in order: **archive** it (copy from the log, verify, note it), **aggregate** it from the archive
alone, **audit** the result against what the speed layer holds, **publish** it. Each step is idempotent and begins by
looking at the manifest, so a crash anywhere is resumed by doing the next step that is missing. An epoch's outcomes
start from the ids that the batch layer itself kept in the epochs before it; nothing of the speed layer is reused.

With no speed layer running, `seal` takes its lease and closes what is unread as an epoch of its own.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pyarrow as pa

from watersmeet.core import failpoint, manifest
from watersmeet.core.applied import Work
from watersmeet.core.archive import Archive, Sealed
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Absorbed, Engine, Ids
from watersmeet.core.errors import GapError
from watersmeet.core.frontier import Frontier, size
from watersmeet.core.log import Log
from watersmeet.core.manifest import Epoch, Manifest, Run
from watersmeet.core.outcome import outcome
from watersmeet.core.record import Records
from watersmeet.core.runner import Progress, Runner, Turn
from watersmeet.core.state import Blob, State
from watersmeet.core.topic import Topic
from watersmeet.core.view import CellSpec

failpoint.declare("batch.archive.before", "batch.archive.stored", "batch.archive.after", "batch.publish.before")
failpoint.declare(
    "batch.publish.after", "batch.compact.before", "batch.compact.after", "batch.seal.before", "batch.seal.after"
)
log = logging.getLogger(__name__)

FAN_IN = 4
READ_CHUNK = 200_000

Audit = Callable[[Manifest, Epoch, Turn, Absorbed], None]
"""Compares what batch computed for an epoch with what speed holds of it, and stores the finding."""


def _silent(done: int, total: int) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that the batch layer has done.

    Args:
        kind: ``archived``, ``published`` or ``compacted``.
        topic: whose.
        epoch: which; of a compaction, the last one merged.
        records: in it.
    """

    kind: str
    topic: str
    epoch: int
    records: int


@dataclass(frozen=True, slots=True)
class Recheck:
    """What a full recomputation found.

    Args:
        topic: whose.
        epochs: how many were computed anew.
        cells, differences: compared with the served runs; how many differ.
    """

    topic: str
    epochs: int
    cells: int
    differences: int


class Batch:
    """Works one topic off.

    Args:
        topic: its name.
        applied: what to do, in this order: by the topic version in force, then by the one that waits.
        state, archive, runner, engine, source, clock: the ports.
        audit: called before every publish of an epoch that the speed layer absorbed.
    """

    def __init__(
        self,
        topic: str,
        applied: Callable[[], tuple[Work, ...]],
        state: State,
        archive: Archive,
        runner: Runner,
        engine: Engine,
        source: Log,
        clock: Clock,
        *,
        audit: Audit,
    ) -> None:
        self._name, self._applied, self._state, self._archive = topic, applied, state, archive
        self._runner, self._engine, self._log, self._clock = runner, engine, source, clock
        self._audit = audit
        self._ids: dict[str, tuple[int, Ids]] = {}

    def step(self, progress: Progress = _silent) -> Step | None:
        """Do the next thing there is to do; None when there is nothing. ``progress`` is called while it computes."""
        m = self._state.manifest(self._name)
        for topic, epoch, owing in self._owed(m):
            if not epoch.archived:
                return self._archive_epoch(m, epoch, topic)
            return self._publish(m, epoch, Turn(topic, owing), progress)
        return self._compact(m, [spec for _, _, specs in self._applied() for spec in specs])

    def owing(self) -> int:
        """How many records are yet to be computed, counted once for each version of the topic that needs them."""
        return sum(size(epoch.lower, epoch.upper) for _, epoch, _ in self._owed(self._state.manifest(self._name)))

    def _owed(self, m: Manifest) -> Iterator[tuple[Topic, Epoch, list[CellSpec]]]:
        """Sealed epochs that a topic version has not decided, or that lack cells, and which; in the order of work."""
        lost = {gap.epoch for gap in m.gaps if gap.lost}
        for _, topic, specs in self._applied():
            for epoch in (e for e in m.epochs if e.number not in lost):
                owing = [spec for spec in specs if epoch.number not in manifest.covered(m, spec.fingerprint)]
                if owing or outcome(m, epoch, topic.version) is None:
                    yield topic, epoch, owing

    def seal(self, generation: int) -> Manifest:
        """Close everything unread, up to the log's end now, as an epoch; needs the speed lease."""
        end, attempt, now_us = self._log.end(self._name), uuid.uuid4().hex, self._clock.now_us()
        failpoint.hit("batch.seal.before")
        sealed = self._state.change(self._name, lambda m: manifest.seal(m, generation, end, attempt, now_us))
        failpoint.hit("batch.seal.after")
        return sealed

    def recheck(
        self,
        first: int,
        last: int | None,
        differences: Callable[[Records, Records], tuple[int, int]],
        progress: Progress = _silent,
    ) -> Recheck:
        """Compute published epochs anew from the archive and compare them with the runs that are served.

        Args:
            first, last: epochs, the last excluded; None: all there are. Runs that reach beyond are left out.
            differences: (rows compared, rows that differ) of two chunks of cells.
            progress: called with the records computed, once for each run that they are in.
        """
        m, merge = self._state.manifest(self._name), self._engine.merge
        todo = [
            (Turn(topic, [spec]), spec, run)
            for _, topic, specs in self._applied()
            for spec in specs
            for run in m.runs
            if run.fingerprint == spec.fingerprint and run.first >= first and (last is None or run.last < last)
        ]
        total = sum(size(m.epochs[r.first].lower, m.epochs[r.last].upper) for _, _, r in todo)
        cells = wrong = records = 0
        done: set[int] = set()
        for turn, spec, run in todo:
            again = []
            for epoch in m.epochs[run.first : run.last + 1]:
                before = records
                again.append(self._again(m, epoch, turn, lambda n, _: progress(before + n, total)))  # noqa: B023  # called now
                records += size(epoch.lower, epoch.upper)
            served = self._state.load(self._name, f"cells:{spec.fingerprint}", [run.owner])[run.owner]
            anew = merge(spec, [a.cells[spec.fingerprint].cells for a in again])
            compared = differences(merge(spec, [served]), anew)
            cells, wrong = cells + compared[0], wrong + compared[1]
            done.update(range(run.first, run.last + 1))
        return Recheck(self._name, len(done), cells, wrong)

    def _again(self, m: Manifest, epoch: Epoch, turn: Turn, progress: Progress) -> Absorbed:
        return self._runner.recompute(turn, epoch, self._ids_of(m, epoch, turn.topic.version).lookup, progress)

    def _archive_epoch(self, m: Manifest, epoch: Epoch, topic: Topic) -> Step:
        slices = tuple((s.sequence, s.upper) for s in m.slices if s.epoch == epoch.number)
        sealed = Sealed(epoch.number, epoch.lower, epoch.upper, slices)
        failpoint.hit("batch.archive.before")
        self._archive.append(self._name, sealed, self._records(epoch.lower, epoch.upper))
        stored = self._archive.verify(self._name, epoch.number)
        failpoint.hit("batch.archive.stored")
        self._state.change(self._name, lambda now: manifest.archived(now, epoch.number))
        failpoint.hit("batch.archive.after")
        self._trim(m, topic)
        return Step("archived", self._name, epoch.number, stored.records)

    def _records(self, lower: Frontier, upper: Frontier) -> Iterator[Records]:
        """The interval, one partition after the other, each in offset order."""
        for partition in range(len(lower)):
            at = lower[partition]
            while at < upper[partition]:
                top = min(upper[partition], at + READ_CHUNK)
                from_, to = (tuple(b if p == partition else low for p, low in enumerate(lower)) for b in (at, top))
                yield self._log.read(self._name, from_, to, READ_CHUNK)
                at = top

    def _trim(self, m: Manifest, topic: Topic) -> None:
        """Let the log drop what is archived and older than the retention."""
        before = self._clock.now_us() - topic.retention_us
        old = [e for e in m.epochs if e.archived and e.sealed_us < before]
        if old:
            self._log.trim(self._name, old[-1].upper)

    def _publish(self, m: Manifest, epoch: Epoch, turn: Turn, progress: Progress) -> Step:
        version = turn.topic.version
        ids = self._ids_of(m, epoch, version)
        absorbed = self._runner.recompute(turn, epoch, ids.lookup, progress)
        if not epoch.unabsorbed and version == m.topic_version:
            self._audit(m, epoch, turn, absorbed)
        owner = uuid.uuid4().hex
        runs = tuple(
            Run(f"{owner}-{fp}", fp, epoch.number, epoch.number, _pane_bounds(self._engine, lifted.cells))
            for fp, lifted in absorbed.cells.items()
        )
        blobs = [Blob(f"cells:{fp}", f"{owner}-{fp}", lifted.cells) for fp, lifted in absorbed.cells.items()]
        blobs += [Blob("ids", owner, absorbed.kept), Blob("dead", owner, absorbed.dead)]
        newest = tuple(absorbed.newest.get(p) for p in range(len(epoch.upper)))
        published = manifest.Published(epoch.number, runs, owner, absorbed.ledger, version, newest)
        failpoint.hit("batch.publish.before")
        self._state.change(self._name, lambda now: manifest.publish(now, published), blobs)
        failpoint.hit("batch.publish.after")
        ids.add(absorbed.kept)
        self._ids[version] = epoch.number + 1, ids
        return Step("published", self._name, epoch.number, sum(e.received for e in absorbed.ledger))

    def _ids_of(self, m: Manifest, epoch: Epoch, version: str) -> Ids:
        """The ids that a topic version kept in the epochs before; built anew unless the last one was the one before."""
        before, ids = self._ids.pop(version, (-1, None))
        if ids is not None and before == epoch.number:
            return ids
        decided = [outcome(m, e, version) for e in m.epochs if e.number < epoch.number]
        lost = sum(gap.lost and gap.epoch < epoch.number for gap in m.gaps)
        owners = [o.owner for o in decided if o is not None]
        if len(owners) + lost < len(decided):
            raise GapError(f"kept ids of topic {self._name}", expected=f"every epoch before {epoch.number} decided")
        ids = self._engine.ids()
        for kept in self._state.load(self._name, "ids", owners).values():
            ids.add(kept)
        return ids

    def _compact(self, m: Manifest, specs: Sequence[CellSpec]) -> Step | None:
        """Merge runs of neighbouring epochs, four of about equal length at a time."""
        for spec in specs:
            if group := _mergeable([r for r in m.runs if r.fingerprint == spec.fingerprint]):
                return self._merge(spec, group)
        return None

    def _merge(self, spec: CellSpec, group: list[Run]) -> Step:
        kind, owner, owners = f"cells:{spec.fingerprint}", uuid.uuid4().hex, [r.owner for r in group]
        cells = list(self._state.load(self._name, kind, owners).values())
        merged = Blob(kind, owner, self._engine.merge(spec, cells))
        failpoint.hit("batch.compact.before")
        self._state.change(self._name, lambda now: manifest.compact_runs(now, owners, owner), [merged])
        failpoint.hit("batch.compact.after")
        return Step("compacted", self._name, group[-1].last, 0)


def _mergeable(runs: list[Run]) -> list[Run]:
    """The last `FAN_IN` neighbours of one length class."""
    runs = sorted(runs, key=lambda r: r.first)[-FAN_IN:]
    classes = {(r.last - r.first + 1).bit_length() // 2 for r in runs}
    adjacent = all(a.last + 1 == b.first for a, b in pairwise(runs))
    return runs if len(runs) == FAN_IN and len(classes) == 1 and adjacent else []


def _pane_bounds(engine: Engine, cells: Records) -> tuple[int, int] | None:
    sql = "select epoch_us(min(pane)) as lower, epoch_us(max(pane)) as upper from cells"
    found = pa.table(engine.query(sql, {"cells": cells}, as_of_us=0)).to_pylist()[0]
    lower, upper = found["lower"], found["upper"]
    return (lower, upper) if isinstance(lower, int) and isinstance(upper, int) else None
