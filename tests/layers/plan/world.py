"""A small world in which declarations change: real stores, and layers that count in Python.

Records are pairs (id, value). The speed and batch layers here keep the protocol of the real ones (numbers, fences, kept
ids by topic version, runs and blocks), and a blob is a number or a set; so what an answer should be is a loop over a
list. A slice or a publication may be computed now and land later, or never.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import watersmeet as wm
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.adapters.local.state import LocalState
from watersmeet.core import catalogue, failpoint
from watersmeet.core import manifest as transitions
from watersmeet.core.applied import Applied, applied
from watersmeet.core.catalogue import Catalogue
from watersmeet.core.declarations import Declarations
from watersmeet.core.errors import ConflictError, PendingError
from watersmeet.core.ledger import Entry
from watersmeet.core.manifest import Commit, Epoch, Manifest, Published, Run, cover, covered
from watersmeet.core.outcome import outcome, undecided
from watersmeet.core.topic import Topic
from watersmeet.core.view import CellSpec
from watersmeet.layers import plan as planning

START_US = 1_700_000_000_000_000
Item = tuple[int, int]


class Crash(Exception):  # noqa: N818 - it is not an error but an end
    """The process is gone."""


class Anything:
    """Binds whatever it is given."""

    def bind(self, declarations: Declarations) -> Mapping[str, Mapping[str, str]]:
        return {name: {} for name in declarations.readables}


def topic(name: str = "numbers", check: str = "", **more: object) -> Topic:
    """A topic of pairs; ``check`` is a condition on ``v`` of the form ``v % n = 0``."""
    return wm.Topic(
        name,
        schema={"k": "integer not null", "v": "integer not null", "at": "timestamp_ms not null"},
        event_time="at",
        id="k",
        check={"odd_one": check} if check else {},
        **more,  # type: ignore[arg-type]  # whatever a test changes
    )


def keep(kept: Topic, value: Item) -> bool:
    """Whether a record is alive under the checks of a topic, as `topic` writes them."""
    return all(value[1] % int(text.split()[2]) == 0 for text in kept.check.values())


def count(spec: CellSpec, used: list[Item]) -> int:
    """The cell of a sum, with the lower bound that its condition states."""
    (lift,) = spec.lifts
    least = int(lift.where.split()[-1]) if lift.where else -1
    return sum(v for _, v in used if v > least)


def decide(by: Topic, records: list[Item], known: set[int]) -> tuple[list[Item], set[int]]:
    """What is used, and the ids that are kept, in order; dead records claim no id."""
    used: list[Item] = []
    kept: set[int] = set()
    for item in records:
        if keep(by, item) and item[0] not in known | kept:
            used.append(item)
            kept.add(item[0])
    return used, kept


@contextmanager
def interrupted(hit: int, act: Callable[[], object]) -> Iterator[None]:
    """Let something else happen at the hit with this number, counted from 0, of an apply or swap; once."""
    hits = itertools.count()

    def hook(name: str) -> None:
        if name.startswith(("apply", "swap")) and next(hits) == hit:
            failpoint.install(None)
            act()

    failpoint.install(hook)
    try:
        yield
    finally:
        failpoint.install(None)


def crash() -> None:
    """End the process."""
    raise Crash


@dataclass
class World:
    """Stores, records and layers of one app.

    Args:
        folder: where the stores are.
        records: by topic, in the order of the log's one partition.
        cells: (cells fingerprint, owner) -> the sum that was stored.
        kept: owner -> the ids that were stored.
    """

    folder: Path
    clock: ManualClock = field(default_factory=lambda: ManualClock(START_US))
    records: dict[str, list[Item]] = field(default_factory=dict)
    cells: dict[tuple[str, str], int] = field(default_factory=dict)
    kept: dict[str, set[int]] = field(default_factory=dict)
    topics: dict[str, Topic] = field(default_factory=dict)
    specs: dict[str, CellSpec] = field(default_factory=dict)
    names: Iterator[int] = field(default_factory=itertools.count)
    last: Applied | None = None

    def __post_init__(self) -> None:
        self.state = LocalState(self.folder / "state.db", self.clock)
        self.log = LocalLog(self.folder / "log", self.clock, fsync=False)

    def close(self) -> None:
        self.state.close()

    # -- declarations

    def plan(self, proposed: Declarations, **more: object) -> planning.Plan:
        for each in proposed.topics.values():
            self.topics[each.version] = each
        self.specs.update((spec.fingerprint, spec) for spec in catalogue.specs(proposed))
        return planning.plan(proposed, self.state, self.log, Anything(), self.clock, **more)  # type: ignore[arg-type]  # any argument

    def apply(self, proposed: Declarations) -> Applied:
        return planning.apply(self.plan(proposed), self.state, self.log, self.clock)

    def swap(self) -> tuple[str, ...]:
        return planning.swap(self.state, self.clock)

    @property
    def applied(self) -> Applied:
        self.last = applied(self.state, last=self.last)
        assert self.last is not None
        return self.last

    @property
    def catalogue(self) -> Catalogue:
        return self.applied.catalogue

    def manifest(self, name: str = "numbers") -> Manifest:
        return self.state.manifest(name)

    # -- the speed layer

    def append(self, *items: Item, name: str = "numbers") -> None:
        self.records.setdefault(name, []).extend(items)

    def slice_of(self, name: str = "numbers") -> Commit | None:
        """Compute what is unread as a slice; None if the layer may not, or there is nothing."""
        try:
            number, by, specs = self.applied.absorbs(name)
        except PendingError:
            return None
        m = self.manifest(name)
        lower, upper = m.frontier[0], len(self.records.get(name, []))
        if m.declaration != number or lower == upper:
            return None
        decided = {e.number for e in m.epochs if e.owner}
        owners = [e.owner for e in m.epochs if e.owner] + [s.attempt for s in m.slices if s.epoch not in decided]
        known = self.ids(owners)
        used, kept = decide(by, self.records[name][lower:upper], known)
        attempt = f"s{next(self.names)}"
        self.kept[attempt] = kept
        self.cells.update(((spec.fingerprint, attempt), count(spec, used)) for spec in specs)
        fingerprints = frozenset(spec.fingerprint for spec in specs)
        entries = (entry(lower, upper, len(used)),)
        newest = (max((v for _, v in used), default=None),)
        return Commit(attempt, m.generation, number, (lower,), (upper,), fingerprints, entries, None, newest, newest)

    def absorb(self, name: str = "numbers") -> bool:
        """Commit what is unread; whether there was something that could be."""
        return self.commit(name, self.slice_of(name))

    def commit(self, name: str, commit: Commit | None) -> bool:
        try:
            if commit is not None:
                self.state.change(name, lambda m: transitions.commit(m, commit))
        except ConflictError:
            return False
        return commit is not None

    def roll(self, name: str = "numbers") -> None:
        self.state.change(name, lambda m: transitions.roll(m, self.clock.now_us()))

    # -- the batch layer

    def archive(self, name: str = "numbers") -> None:
        for number in [e.number for e in self.manifest(name).epochs if not e.archived]:
            self.state.change(name, partial(transitions.archived, number=number))

    def publication(self, name: str = "numbers") -> Published | None:
        """Compute the next epoch that some version or fingerprint lacks; None if there is none."""
        m = self.manifest(name)
        for _, by, specs in self.applied.recomputes(name):
            for epoch in m.epochs:
                owing = [s for s in specs if epoch.number not in covered(m, s.fingerprint)]
                if epoch.archived and (owing or epoch.number in undecided(m, by.version)):
                    return self._computed(m, epoch, by, owing)
        return None

    def _computed(self, m: Manifest, epoch: Epoch, by: Topic, owing: list[CellSpec]) -> Published | None:
        before = [outcome(m, e, by.version) for e in m.epochs if e.number < epoch.number]
        if any(o is None for o in before):
            return None
        known = self.ids([o.owner for o in before if o is not None])
        lower, upper = epoch.lower[0], epoch.upper[0]
        used, kept = decide(by, self.records[m.topic][lower:upper], known)
        owner = f"b{next(self.names)}"
        self.kept[owner] = kept
        self.cells.update(((s.fingerprint, f"{owner}-{s.fingerprint}"), count(s, used)) for s in owing)
        n = epoch.number
        runs = tuple(Run(f"{owner}-{s.fingerprint}", s.fingerprint, n, n) for s in owing)
        newest = (max((v for _, v in used), default=None),)
        return Published(n, runs, owner, (entry(lower, upper, len(used)),), by.version, newest)

    def publish(self, name: str, published: Published | None) -> bool:
        try:
            if published is not None:
                self.state.change(name, lambda m: transitions.publish(m, published))
        except ConflictError:
            return False
        return published is not None

    def batch(self, name: str = "numbers") -> None:
        """Archive and publish whatever there is, then let it be served."""
        self.archive(name)
        while self.publish(name, self.publication(name)):
            pass
        self.swap()

    def settle(self) -> None:
        """Let the layers work until nothing is left to do."""
        busy = True
        while busy:
            busy = bool(self.swap()) or bool(self.catalogue.waiting)
            for name in self.applied.declarations.topics:
                busy |= self.absorb(name)
                self.roll(name)
                self.batch(name)

    # -- answers

    def ids(self, owners: list[str]) -> set[int]:
        return {x for owner in owners for x in self.kept[owner]}

    def answer(self, name: str) -> dict[str, int]:
        """What is served under a name: cells fingerprint -> sum. Nothing may be missing."""
        out = {}
        for cells in self.catalogue.served[name].cells:
            m = self.manifest(cells.topic)
            for fingerprint in cells.fingerprints:
                found = cover(m, fingerprint)
                assert not found.missing, f"{name} lacks epochs {found.missing} of {fingerprint}"
                owners = [r.owner for r in found.runs] + [b.owner for b in found.blocks]
                out[fingerprint] = sum(self.cells[fingerprint, o] for o in owners)
        return out

    def reference(self, name: str) -> dict[str, int]:
        """The same from all the records that were absorbed, by the version that the edition names."""
        out: dict[str, int] = {}
        for cells in self.catalogue.served[name].cells:
            seen = self.records.get(cells.topic, [])[: self.manifest(cells.topic).frontier[0]]
            used, _ = decide(self.topics[cells.version], seen, set())
            out.update((fp, count(self.specs[fp], used)) for fp in cells.fingerprints)
        return out

    def check(self) -> None:
        """Every answer is the reference's, and every ledger adds up to what its version decided."""
        for name in self.catalogue.served:
            assert self.answer(name) == self.reference(name), name
        for name in self.catalogue.duties:
            m = self.manifest(name)
            seen = self.records.get(name, [])[: m.frontier[0]]
            if not seen:
                continue
            used, _ = decide(self.topics[m.topic_version], seen, set())
            entries = [e for epoch in m.epochs for e in epoch.ledger]
            entries += [e for s in m.slices if s.epoch == m.open_epoch for e in s.ledger]
            assert sum(e.used for e in entries) == len(used)


def entry(lower: int, upper: int, used: int) -> Entry:
    return Entry(0, lower, upper, used, upper - lower - used)
