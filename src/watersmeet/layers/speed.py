"""The speed layer: owns the log beyond the last epoch that a run covers, and keeps it fresh.

One speed layer a topic commits, the one that holds the lease; an older one is fenced by the generation in its first
commit after the new one began. What a commit makes durable (cells, ids, dead letters, ledger, frontier) is one change
of the manifest: a crash before it leaves nothing, a crash after it leaves all of it.

The layer also closes epochs (by age, slices or records), merges its blocks so that a read stays cheap, and moves the
watermark on when every partition is idle. Blocks are merged by a thread of their own, beside the commits: merging
changes no answer, and its change of the manifest is refused unless every block it merges is still live. A commit waits
for it only when there are as many blocks as there may be (`MAX_BLOCKS`, `LIVE_BLOCKS`).

The memory of ids is private to the process and rebuilt from the ids of sealed epochs and live slices, which neither
retirement nor sweeping touches.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby, takewhile

from watersmeet.core import failpoint, manifest
from watersmeet.core.applied import Work
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Absorbed, Engine
from watersmeet.core.errors import ConflictError, CorruptError, PendingError
from watersmeet.core.frontier import Frontier, size
from watersmeet.core.log import Log
from watersmeet.core.manifest import Block, Manifest
from watersmeet.core.runner import Runner, Turn
from watersmeet.core.state import Blob, State
from watersmeet.core.view import CellSpec
from watersmeet.core.watermark import watermark_us

failpoint.declare(
    "speed.lease.after", "speed.commit.before", "speed.commit.after", "speed.roll.before", "speed.roll.after"
)
failpoint.declare("speed.compact.before", "speed.compact.after")
log = logging.getLogger(__name__)

MAX_BLOCKS = 32
"""The most blocks of one epoch."""
LIVE_BLOCKS = 64
"""The most blocks of all epochs; with more, those of a sealed epoch become one."""
MERGE_BLOCKS = 16
LONGEST_US = 367 * 86_400_000_000
"""How far an idle topic lets its watermark go on: the longest calendar window."""
IDLE_STEP_US = 600_000_000


@dataclass(frozen=True, slots=True)
class Roll:
    """When the open epoch is sealed: whichever comes first.

    Args:
        seconds: after its first commit, in the clock's seconds.
        slices: in it.
        records: in it.
    """

    seconds: float = 600.0
    slices: int = 512
    records: int = 5_000_000


class Speed:
    """Absorbs one topic.

    Args:
        topic: its name.
        applied: what to do; asked at the start and when a commit was refused because declarations changed. It raises
            `PendingError` while nobody may commit.
        state, runner, engine, source, clock: the ports.
        holder: who asks for the lease; shown in errors and status.
        roll: when epochs are sealed.
    """

    def __init__(
        self,
        topic: str,
        applied: Callable[[], Work],
        state: State,
        runner: Runner,
        engine: Engine,
        source: Log,
        clock: Clock,
        *,
        holder: str = "",
        roll: Roll | None = None,
    ) -> None:
        self._name, self._applied, self._state, self._runner = topic, applied, state, runner
        self._engine, self._log, self._clock = engine, source, clock
        self._holder, self._roll = holder or uuid.uuid4().hex[:12], roll or Roll()
        self._ids = engine.ids()
        self._epoch_began_us: int | None = None
        self._merger: ThreadPoolExecutor
        self._merging: Future[None] | None = None
        self._turn: Turn
        self._generation, self._declaration, self._version = 0, 0, ""
        self._m: Manifest

    def run(self, stop: threading.Event) -> None:
        """Take the lease and absorb until ``stop`` is set.

        Raises `ConflictError` when another speed layer has taken over, `GapError` when unread records are gone.
        """
        self._m = self._state.change(self._name, lambda m: manifest.lease(m, self._holder))
        self._generation = self._m.generation
        failpoint.hit("speed.lease.after")
        self._version = ""  # whoever held the lease in between has kept ids too
        if not self._take_declarations(stop):
            return
        log.info("absorbing %s from %s as generation %d", self._name, self._m.frontier, self._generation)
        commit = partial(self._commit, stop=stop)
        with ThreadPoolExecutor(1, thread_name_prefix=f"merge {self._name}") as self._merger:
            self._merging = None
            self._runner.stream(lambda: self._turn, self._m.frontier, lambda ids: self._ids.lookup(ids), commit, stop)
            self._end_merge()

    def _take_declarations(self, stop: threading.Event) -> bool:
        """Take up what is applied as soon as the manifest has; False if stopped before.

        An epoch sealed without a speed layer must be published first, and a new topic version decided over all history.
        Ids belong to a topic version: with another one they are loaded anew, from the manifest that has it in force.
        """
        while (work := self._agreed()) is None:
            log.info("waiting for the batch layer before %s is absorbed", self._name)
            if stop.wait(0.2):
                return False
        self._declaration, topic, specs = work
        if topic.version != self._version:
            self._load_ids()
            self._version = topic.version
        self._turn = Turn(topic, specs, self._m.watermark_us)
        return True

    def _agreed(self) -> Work | None:
        """What to do if the manifest, read afterwards, says so too; None while somebody else has to go first."""
        try:
            work = self._applied()
        except PendingError:
            work = None
        self._m = self._state.manifest(self._name)
        self._check_lease()
        ready = work is not None and work[0] == self._m.declaration
        return work if ready and not any(e.unabsorbed and not e.owner for e in self._m.epochs) else None

    def _check_lease(self) -> None:
        if self._m.generation != self._generation:
            raise ConflictError(
                f"speed lease of topic {self._name}",
                expected=f"generation {self._generation}",
                got=f"generation {self._m.generation}, held by {self._m.holder}",
                remedy="another speed layer has taken over; this one stops",
            )

    def _load_ids(self) -> None:
        self._ids = self._engine.ids()
        owners = [e.owner for e in self._m.epochs if e.owner]
        taken_over = {e.number for e in self._m.epochs if e.owner}
        owners += [s.attempt for s in self._m.slices if s.epoch not in taken_over]
        for kept in self._state.load(self._name, "ids", owners).values():
            self._ids.add(kept)

    def _commit(self, absorbed: Absorbed, stop: threading.Event) -> Frontier:
        """List one slice; returns where to go on from."""
        mark = self._watermark(absorbed)
        if absorbed.lower == absorbed.upper and not self._is_waited_for(mark):
            self._roll_if_due()
            return self._m.frontier
        attempt = uuid.uuid4().hex
        commit = self._as_commit(attempt, absorbed, mark)
        blobs = [Blob(f"cells:{fp}", attempt, lifted.cells) for fp, lifted in absorbed.cells.items()]
        blobs += [Blob("ids", attempt, absorbed.kept), Blob("dead", attempt, absorbed.dead)]
        failpoint.hit("speed.commit.before")
        try:
            self._m = self._state.change(self._name, lambda m: manifest.commit(m, commit), blobs)
        except ConflictError:
            # Computed under declarations, or ids, that are not the ones any more: it is computed again.
            self._take_declarations(stop)
            return self._m.frontier
        failpoint.hit("speed.commit.after")
        self._log.mirror(self._name, self._m.frontier)
        self._ids.add(absorbed.kept)
        if self._epoch_began_us is None:
            self._epoch_began_us = self._clock.now_us()
        self._turn = Turn(self._turn.topic, self._turn.specs, self._m.watermark_us)
        self._forget_ids()
        self._roll_if_due()
        self._compact_if_due()
        return self._m.frontier

    def _as_commit(self, attempt: str, absorbed: Absorbed, mark: int | None) -> manifest.Commit:
        partitions = range(len(absorbed.upper))
        return manifest.Commit(
            attempt,
            self._generation,
            self._declaration,
            absorbed.lower,
            absorbed.upper,
            frozenset(absorbed.cells),
            absorbed.ledger,
            mark,
            tuple(absorbed.newest.get(p) for p in partitions),
            tuple(absorbed.arrivals.get(p) for p in partitions),
        )

    def _watermark(self, absorbed: Absorbed) -> int | None:
        topic, m = self._turn.topic, self._m
        end = self._log.end(self._name)
        return watermark_us(
            [_greatest(m.event_times[p], absorbed.newest.get(p)) for p in range(len(m.frontier))],
            [_greatest(m.arrivals[p], absorbed.arrivals.get(p)) for p in range(len(m.frontier))],
            [more > upper for more, upper in zip(end, absorbed.upper, strict=True)],
            lateness_us=topic.lateness_us,
            idle_us=topic.idle_us,
            now_us=self._clock.now_us(),
        )

    def _is_waited_for(self, mark: int | None) -> bool:
        """True if an empty slice is worth a commit: it brings a window of accepted records nearer to final."""
        newest = max((t for t in self._m.event_times if t is not None), default=None)
        if mark is None or newest is None or (self._m.watermark_us is not None and mark <= self._m.watermark_us):
            return False
        if self._m.watermark_us is None:
            return True
        longest = max((spec.pane.size_us or spec.pane.every_us for spec in self._turn.specs), default=0)
        if self._m.watermark_us < newest + longest:
            return True
        # Longer windows may be composed of the panes; they can wait a little.
        return self._m.watermark_us < newest + LONGEST_US and mark - self._m.watermark_us >= IDLE_STEP_US

    def _roll_if_due(self) -> None:
        mine = [s for s in self._m.slices if s.epoch == self._m.open_epoch]
        if not mine:
            self._epoch_began_us = None
            return
        if self._epoch_began_us is None:
            self._epoch_began_us = self._clock.now_us()
        due = (
            self._clock.now_us() - self._epoch_began_us >= self._roll.seconds * 1e6
            or len(mine) >= self._roll.slices
            or size(mine[0].lower, mine[-1].upper) >= self._roll.records
        )
        if due:
            failpoint.hit("speed.roll.before")
            now_us = self._clock.now_us()
            self._m = self._state.change(self._name, lambda m: manifest.roll(m, now_us))
            failpoint.hit("speed.roll.after")
            self._epoch_began_us = None

    def _compact_if_due(self) -> None:
        """Have blocks merged beside the commits; wait for it only while there are as many as there may be."""
        fingerprints = frozenset(spec.fingerprint for spec in self._turn.specs)
        while self._merging is None or self._merging.done() or _is_full(self._m):
            self._end_merge()
            group = _mergeable(self._m, fingerprints)
            if not group:
                return
            self._merging = self._merger.submit(self._merge, group, tuple(self._turn.specs))

    def _end_merge(self) -> None:
        """Wait for the merge under way, if there is one; raises what it has raised."""
        if self._merging is not None:
            self._merging.result()
            self._merging, self._m = None, self._state.manifest(self._name)

    def _merge(self, group: Sequence[Block], specs: Sequence[CellSpec]) -> None:
        """Replace blocks by one, unless some of them have left the manifest meanwhile."""
        owners, owner = [b.owner for b in group], uuid.uuid4().hex
        failpoint.hit("speed.compact.before")
        blobs = []
        try:
            for spec in specs:
                if spec.fingerprint in group[0].fingerprints:
                    kind = f"cells:{spec.fingerprint}"
                    cells = list(self._state.load(self._name, kind, owners).values())
                    blobs.append(Blob(kind, owner, self._engine.merge(spec, cells)))
            self._state.change(self._name, lambda m: manifest.compact_blocks(m, owners, owner), blobs)
        except (ConflictError, CorruptError):
            if {b.owner for b in self._state.manifest(self._name).blocks}.issuperset(owners):
                raise
            return  # the batch layer has published their epoch: nobody needs them any more
        failpoint.hit("speed.compact.after")

    def _forget_ids(self) -> None:
        known = [a for a in self._m.arrivals if a is not None]
        if known and len(known) == len(self._m.arrivals) and self._m.next_sequence % 256 == 0:
            self._ids.purge(min(known) - self._turn.topic.horizon_us)


def _is_full(m: Manifest) -> bool:
    return sum(b.epoch == m.open_epoch for b in m.blocks) >= MAX_BLOCKS or len(m.blocks) > LIVE_BLOCKS


def _mergeable(m: Manifest, fingerprints: frozenset[str]) -> list[Block]:
    """Neighbours of about equal length, so that few blocks remain and each cell is rewritten seldom.

    They are the last `MERGE_BLOCKS` of one length class in the open epoch, or all of an epoch where there are too many.
    Blocks with cells other than ``fingerprints`` are left alone: nobody knows any more how to merge them.
    """
    alike = groupby(m.blocks, lambda b: (b.epoch, b.fingerprints))
    rows = [list(row) for (_, held), row in alike if held <= fingerprints]
    mine = next((row for row in reversed(rows) if row[0].epoch == m.open_epoch), [])
    last = list(takewhile(lambda b: _length_class(b) == _length_class(mine[-1]), reversed(mine)))
    if len(last) >= MERGE_BLOCKS:
        return last
    sealed = max((row for row in rows if row[0].epoch != m.open_epoch), key=len, default=[])
    crowded = mine if len(mine) >= MAX_BLOCKS else sealed if len(m.blocks) > LIVE_BLOCKS else []
    return crowded if len(crowded) > 1 else []


def _length_class(block: Block) -> int:
    return (block.last - block.first + 1).bit_length() // 4


def _greatest(a: int | None, b: int | None) -> int | None:
    return max((x for x in (a, b) if x is not None), default=None)
