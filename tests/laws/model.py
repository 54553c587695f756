"""The layers in memory: a manifest and blobs, moved by `core.manifest` alone, over any engine.

What is stored is addressed as in a real store: (kind, owner) -> blob. What the manifest does not list is swept. Nothing
is remembered between steps but the store, the archive and the log, so every step is a restart too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import watersmeet as wm
from watersmeet.core import manifest
from watersmeet.core.engine import Selection
from watersmeet.core.errors import ConflictError
from watersmeet.core.frontier import Frontier
from watersmeet.core.ledger import Entry
from watersmeet.core.manifest import Block, Commit, Cover, Epoch, Manifest, Published, Run, Slice
from watersmeet.core.view import CellSpec
from watersmeet.engines import reference

from .worlds import LoggedRecord, Step, World

Blob = Any
Address = tuple[str, str]


@dataclass(frozen=True)
class Absorbed:
    """What an engine makes of one interval."""

    cells: Mapping[str, Blob]
    kept: Blob
    ledger: tuple[Entry, ...]
    newest: tuple[int | None, ...]


class Kit(Protocol):
    """An engine, as the model uses one.

    ``finished``: its answers have derived columns, `having` and the order of the key.
    """

    finished: bool

    def absorb(
        self,
        specs: Sequence[CellSpec],
        records: Sequence[LoggedRecord],
        bounds: Sequence[tuple[Frontier, Frontier]],
        known: Sequence[Blob],
    ) -> Absorbed:
        """Compute the slices with the given bounds as one interval, after the ids in ``known``."""
        ...

    def merge(self, spec: CellSpec, cells: Sequence[Blob]) -> Blob:
        """Add cells up."""
        ...

    def answer(self, view: wm.View, cells: Mapping[str, Sequence[Blob]], upto_us: int | None) -> list[dict[str, Any]]:
        """What a view shows of cells, by fingerprint."""
        ...


class ReferenceKit:
    """The reference engine; every record's row and inputs are computed once.

    Args:
        world: whose records.
        finished: see `Kit`. What comes after measures are presented is a function of the rows, and costs the most.
    """

    def __init__(self, world: World, *, finished: bool = False) -> None:
        self._topic, self.finished = world.topic, finished
        decoded = reference.decode(world.topic, world.records)
        self._decoded = {(d.record["partition"], d.record["offset"]): d for d in decoded}
        rows = [d.row for d in decoded if not d.reason]
        self._inputs: dict[str, dict[tuple[int, int], list[reference.Input]]] = {}
        for spec in specs_of(world.views.values()):
            found = zip(rows, reference.inputs(spec, rows), strict=True)
            self._inputs[spec.fingerprint] = {(row["partition"], row["offset"]): mine for row, mine in found}

    def fates(self, slices: Iterable[Sequence[LoggedRecord]], known: reference.Known) -> list[reference.Fate]:
        """Outcomes of the records of slices, in order."""
        ordered = [self._decoded[record["partition"], record["offset"]] for part in slices for record in part]
        return reference.decide(self._topic, ordered, known)

    def lift(self, spec: CellSpec, fates: Iterable[reference.Fate]) -> reference.Cells:
        """Cells of the used among them."""
        rows = [fate.decoded.row for fate in fates if fate.outcome == "used"]
        mine = self._inputs[spec.fingerprint]
        return reference.lift(spec, [x for row in rows for x in mine[row["partition"], row["offset"]]])

    def absorb(
        self,
        specs: Sequence[CellSpec],
        records: Sequence[LoggedRecord],
        bounds: Sequence[tuple[Frontier, Frontier]],
        known: Sequence[Blob],
    ) -> Absorbed:
        """See `Kit`; kept ids are a `reference.Known` of this interval's own."""
        before: reference.Known = {}
        for ids in known:
            for name, (arrival, payload) in ids.items():
                if name not in before or arrival > before[name][0]:
                    before[name] = (arrival, payload)
        after = dict(before)
        fates = self.fates([interval(records, *bound) for bound in bounds], after)
        kept = {name: found for name, found in after.items() if before.get(name) != found}
        cells = {spec.fingerprint: self.lift(spec, fates) for spec in specs}
        lower, upper = bounds[0][0], bounds[-1][1]
        return Absorbed(cells, kept, reference.ledger(fates, lower, upper), newest(fates, len(lower)))

    def merge(self, spec: CellSpec, cells: Sequence[Blob]) -> Blob:
        """See `Kit`."""
        return reference.merge(spec, *cells)

    def answer(self, view: wm.View, cells: Mapping[str, Sequence[Blob]], upto_us: int | None) -> list[dict[str, Any]]:
        """See `Kit`."""
        merged = {spec.fingerprint: reference.merge(spec, *cells[spec.fingerprint]) for spec in view.specs}
        if self.finished:
            return reference.rows(view, merged, Selection(upto_us=upto_us))
        rows = reference.presented(view, merged, upto_us)
        return sorted(rows, key=lambda row: repr([row[name] for name in view.key]))


def newest(fates: Iterable[reference.Fate], partitions: int) -> tuple[int | None, ...]:
    """Greatest event time of each partition's records that are not dead."""
    alive = [fate.decoded for fate in fates if fate.outcome != "dead"]
    times = [[d.row["event_time"] for d in alive if d.record["partition"] == p] for p in range(partitions)]
    return tuple(max(mine, default=None) for mine in times)


def specs_of(views: Iterable[wm.View]) -> list[CellSpec]:
    """All cells that some views need, each once."""
    return list({spec.fingerprint: spec for view in views for spec in view.specs}.values())


def interval(records: Iterable[LoggedRecord], lower: Frontier, upper: Frontier) -> list[LoggedRecord]:
    """The records between two frontiers, by partition and offset."""
    mine = [r for r in records if lower[r["partition"]] <= r["offset"] < upper[r["partition"]]]
    return sorted(mine, key=lambda r: (r["partition"], r["offset"]))


@dataclass
class Layers:
    """Speed, batch and serving of one world, step by step.

    Args:
        world: what happens.
        kit: computes.
        visit: called after every step.
    """

    world: World
    kit: Kit
    visit: Callable[[Layers], None]
    m: Manifest = field(default_factory=lambda: Manifest("events"))
    blobs: dict[Address, Blob] = field(default_factory=dict)
    archive: dict[int, list[Slice]] = field(default_factory=dict)
    uppers: list[Frontier] = field(default_factory=list)
    now_us: int = 0

    def __post_init__(self) -> None:
        self._names = itertools.count()
        self._arrived: list[LoggedRecord] = []
        self._served = tuple(self.world.views)
        zero = (0,) * self.world.topic.partitions
        self.change(lambda m: manifest.create(m, zero))
        self.change(lambda m: manifest.lease(m, "speed"))
        self.change(lambda m: manifest.declare(m, 1, self.fingerprints, self.now_us))

    # -- what is applied -------------------------------------------------------------------------------------------

    @property
    def specs(self) -> list[CellSpec]:
        """The cells that commits hold under the applied declarations."""
        return specs_of(self.world.views[name] for name in self._served)

    @property
    def fingerprints(self) -> frozenset[str]:
        """Of those."""
        return frozenset(spec.fingerprint for spec in self.specs)

    def served(self) -> list[wm.View]:
        """The views that are declared now."""
        return [self.world.views[name] for name in self._served]

    # -- the store -------------------------------------------------------------------------------------------------

    def change(self, transition: Callable[[Manifest], Manifest], blobs: Mapping[Address, Blob] | None = None) -> None:
        """Make a transition and its blobs durable, or nothing."""
        changed = transition(self.m)
        if changed is not self.m:
            assert changed.version == self.m.version + 1
            self.m = changed
            self.blobs |= blobs or {}

    def listed(self) -> set[Address]:
        """The blobs that the manifest lists."""
        cells = {(f"cells:{fp}", block.owner) for block in self.m.blocks for fp in block.fingerprints}
        cells |= {(f"cells:{run.fingerprint}", run.owner) for run in self.m.runs}
        return cells | {("ids", owner) for owner in self.owners_of_ids(self.m.open_epoch + 1)}

    def owners_of_ids(self, before: int) -> list[str]:
        """Whose kept ids stand for the epochs before one: the batch layer's where it has them, else the slices'."""
        owned = [e for e in self.m.epochs if e.owner and e.number < before]
        numbers = {e.number for e in owned}
        slices = [
            s.attempt for s in self.m.slices if s.epoch < before and s.epoch not in numbers and not self._is_bare(s)
        ]
        return [e.owner for e in owned] + slices

    def _is_bare(self, s: Slice) -> bool:
        return any(e.number == s.epoch and e.unabsorbed for e in self.m.epochs)

    def load(self, kind: str, owners: Iterable[str]) -> list[Blob]:
        """Blobs by owner; one that is listed and gone fails here."""
        return [self.blobs[kind, owner] for owner in owners]

    def cells(self, fingerprint: str, found: Cover) -> list[Blob]:
        """The cells of a cover."""
        return self.load(f"cells:{fingerprint}", [run.owner for run in found.runs] + [b.owner for b in found.blocks])

    # -- steps -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Take all the steps of the world, and a last commit of all that is left."""
        for step in (*self.world.steps, ("commit", None)):
            self.take(step)
            self.visit(self)

    def take(self, step: Step) -> None:
        """Take one step; a no-op where it does not apply."""
        kind, *arguments = step
        getattr(self, "_" + kind.replace(" ", "_"))(*arguments)

    def _arrive(self, count: int) -> None:
        self._arrived = list(self.world.records[:count])
        self.now_us = max((r["arrival"] for r in self._arrived), default=self.now_us)

    def _reach(self, sizes: Sequence[int] | None) -> Frontier:
        """The frontier ``sizes`` offsets on, or at the log's end."""
        ends = [
            max((r["offset"] + 1 for r in self._arrived if r["partition"] == p), default=0)
            for p in range(self.world.topic.partitions)
        ]
        return tuple(
            max(at, end if sizes is None else min(at + sizes[p], end))
            for p, (at, end) in enumerate(zip(self.m.frontier, ends, strict=True))
        )

    def _commit(self, sizes: Sequence[int] | None = None, *, listed: bool = True) -> None:
        if any(e.unabsorbed and not e.owner for e in self.m.epochs):
            return  # its kept ids are not known yet
        m, upper = self.m, self._reach(sizes)
        known = self.load("ids", self.owners_of_ids(m.open_epoch + 1))
        absorbed = self.kit.absorb(self.specs, self._arrived, [(m.frontier, upper)], known)
        attempt = f"attempt-{next(self._names)}"
        blobs = {(f"cells:{fp}", attempt): cells for fp, cells in absorbed.cells.items()} | {
            ("ids", attempt): absorbed.kept
        }
        proposed = Commit(
            attempt,
            m.generation,
            m.declaration,
            m.frontier,
            upper,
            self.fingerprints,
            absorbed.ledger,
            max((t for t in absorbed.newest if t is not None), default=None),
            absorbed.newest,
            absorbed.newest,
        )
        if not listed:
            self.blobs |= blobs  # the attempt died just before the compare-and-set
            return
        self.change(lambda now: manifest.commit(now, proposed), blobs)
        if self.m is not m:
            self.uppers.append(upper)
            self._refuse(lambda now: manifest.commit(now, proposed))

    def _crash(self, sizes: Sequence[int]) -> None:
        self._commit(sizes, listed=False)

    def _refuse(self, transition: Callable[[Manifest], Manifest]) -> None:
        """A step that was taken already is refused, or changes nothing."""
        with suppress(ConflictError):
            assert transition(self.m) is self.m

    def _idle(self) -> None:
        """An empty slice that moves the watermark on."""
        m, attempt = self.m, f"attempt-{next(self._names)}"
        if m.watermark_us is None or any(e.unabsorbed and not e.owner for e in m.epochs):
            return
        nothing = self.kit.absorb(self.specs, self._arrived, [(m.frontier, m.frontier)], [])
        none = (None,) * len(m.frontier)
        proposed = Commit(
            attempt, m.generation, m.declaration, m.frontier, m.frontier, self.fingerprints, nothing.ledger,
            m.watermark_us + 1, none, none,
        )  # fmt: skip
        blobs = {(f"cells:{fp}", attempt): cells for fp, cells in nothing.cells.items()} | {
            ("ids", attempt): nothing.kept
        }
        self.change(lambda now: manifest.commit(now, proposed), blobs)
        self.uppers.append(m.frontier)

    def _roll(self) -> None:
        self.change(lambda m: manifest.roll(m, self.now_us))

    def _seal(self, sizes: Sequence[int]) -> None:
        self.change(lambda m: manifest.lease(m, "batch"))
        before, upper, attempt = self.m.frontier, self._reach(sizes), f"attempt-{next(self._names)}"
        self.change(lambda m: manifest.seal(m, m.generation, upper, attempt, self.now_us))
        if self.m.frontier != before:
            self.uppers.append(upper)

    def _restart(self) -> None:
        self.change(lambda m: manifest.lease(m, "another"))

    def _declare(self, chosen: int) -> None:
        """Serve some of the views, at least one."""
        names = tuple(name for i, name in enumerate(self.world.views) if chosen & (1 << i))
        self._served = names or tuple(self.world.views)[:1]
        number = self.m.declaration + 1
        self.change(lambda m: manifest.declare(m, number, self.fingerprints, self.now_us))

    def _archive(self) -> None:
        epoch = next((e for e in self.m.epochs if not e.archived), None)
        if epoch is not None:
            self.archive[epoch.number] = [s for s in self.m.slices if s.epoch == epoch.number]
            assert len(self.archive[epoch.number]) == epoch.last - epoch.first + 1, "the slice log is whole"
            self.change(lambda m: manifest.archived(m, epoch.number))

    def _publish(self, which: int) -> None:
        """Publish one more epoch for one fingerprint; where an earlier epoch has no owner yet, that one first."""
        spec = self.specs[which % len(self.specs)]
        done = manifest.covered(self.m, spec.fingerprint)
        epoch = next((e for e in self.m.epochs if e.archived and (e.number not in done or not e.owner)), None)
        unowned = next((e for e in self.m.epochs if not e.owner), None)
        if epoch is None:
            return
        if unowned is not None and unowned.number < epoch.number:
            if not unowned.archived:
                return
            epoch = unowned
        self._publish_epoch(epoch, [] if epoch.number in done else [spec])

    def _publish_epoch(self, epoch: Epoch, specs: Sequence[CellSpec]) -> None:
        slices, known = self.archive[epoch.number], self.load("ids", self.owners_of_ids(epoch.number))
        records = self.world.records
        absorbed = self.kit.absorb(specs, records, [(s.lower, s.upper) for s in slices], known)
        owner = f"batch-{next(self._names)}"
        runs = tuple(Run(f"{owner}-{s.fingerprint}", s.fingerprint, epoch.number, epoch.number) for s in specs)
        blobs = {(f"cells:{run.fingerprint}", run.owner): absorbed.cells[run.fingerprint] for run in runs}
        published = Published(epoch.number, runs, owner, absorbed.ledger, newest=absorbed.newest)
        if epoch.ledger:
            assert [(e.used, e.duplicates, e.dead, e.filtered, e.holes) for e in epoch.ledger] == [
                (e.used, e.duplicates, e.dead, e.filtered, e.holes) for e in absorbed.ledger
            ], "audit: batch and speed count alike"
        self.change(lambda m: manifest.publish(m, published), {**blobs, ("ids", owner): absorbed.kept})
        self._refuse(lambda m: manifest.publish(m, published) if runs else m)

    def _merge_blocks(self) -> None:
        """Merge the longest row of like blocks of each epoch."""
        for _, found in itertools.groupby(self.m.blocks, key=lambda b: (b.epoch, b.fingerprints)):
            blocks = list(found)
            if len(blocks) > 1:
                self._merge(blocks)

    def _merge(self, blocks: Sequence[Block]) -> None:
        owner, owners = f"block-{next(self._names)}", [b.owner for b in blocks]
        blobs = {
            (f"cells:{s.fingerprint}", owner): self.kit.merge(s, self.load(f"cells:{s.fingerprint}", owners))
            for s in specs_of(self.world.views.values())
            if s.fingerprint in blocks[0].fingerprints
        }
        self.change(lambda m: manifest.compact_blocks(m, owners, owner), blobs)

    def _merge_runs(self, which: int) -> None:
        """Merge the first two runs of a fingerprint that are neighbours."""
        spec = self.specs[which % len(self.specs)]
        runs = [r for r in self.m.runs if r.fingerprint == spec.fingerprint]
        pair = next(([a, b] for a, b in itertools.pairwise(runs) if a.last + 1 == b.first), None)
        if pair is not None:
            kind, owner, owners = f"cells:{spec.fingerprint}", f"run-{next(self._names)}", [r.owner for r in pair]
            merged = self.kit.merge(spec, self.load(kind, owners))
            self.change(lambda m: manifest.compact_runs(m, owners, owner), {(kind, owner): merged})

    def _sweep(self) -> None:
        listed = self.listed()
        self.blobs = {address: blob for address, blob in self.blobs.items() if address in listed}

    def _expire(self) -> None:
        """Drop the speed cells of the first epoch that is not covered everywhere."""
        owing = (
            e for e in self.m.epochs if any(e.number not in manifest.covered(self.m, fp) for fp in self.m.readable)
        )
        epoch = next(owing, None)
        if epoch is not None:
            self.change(lambda m: manifest.expire(m, epoch.number, "retention"))

    def _flush(self) -> None:
        """Publish everything everywhere, compact, sweep: afterwards the batch layer owns every record."""
        for _ in range(2):  # what is sealed without a speed layer must be published before a commit
            self._roll()
            while any(not e.archived for e in self.m.epochs):
                self._archive()
            self._publish_all()
            self._commit()
        self._roll()
        self._archive()
        self._publish_all()
        for which in range(len(self.specs)):
            self._merge_runs(which)
        self._sweep()
        assert not self.m.slices, "everything is retired"
        assert not self.m.blocks
        assert not self.m.gaps

    def _publish_all(self) -> None:
        for epoch in self.m.epochs:
            owing = [s for s in self.specs if epoch.number not in manifest.covered(self.m, s.fingerprint)]
            if owing or not epoch.owner:
                self._publish_epoch(epoch, owing)
