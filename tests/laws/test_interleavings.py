"""Every order in which the layers' steps can fall, for two and three of them at once.

Each actor is a short program of atomic steps over `core.manifest`: it looks, computes from what it saw, and changes the
manifest later, when others may have been quicker. All orders are explored, depth first; a state that was reached before
is not entered again. In every state:

* an answer takes each slice exactly once, or says which epoch it lacks: never both layers, never neither;
* its records are the ones that the reference uses over the same slices;
* every record below the frontier stands in the ledger once.

Cells are the sorted positions of the used records, so that one that counts twice, or not at all, shows.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from watersmeet.core import manifest
from watersmeet.core.errors import WatersmeetError
from watersmeet.core.frontier import Frontier
from watersmeet.core.ledger import Entry, total
from watersmeet.core.manifest import Commit, Epoch, Manifest, Published, Run, Slice, Transition, cover

from .worlds import PROVE

pytestmark = pytest.mark.unit

LOG = (("a", "b", "d", "a", "e", "f"), ("a", "c", "b", "e", "a", "f"))
"""The id of each record, by partition and offset. Which copy is used depends on the slices."""
A, B = "old", "new"

Position = tuple[int, int]
Cells = tuple[Position, ...]
Ids = frozenset[str]


@dataclass(frozen=True)
class World:
    """Everything durable, and what is being read.

    Args:
        m: the manifest.
        blobs: ((kind, owner), cells or ids).
        archive: epochs and their slices.
        uppers: where each slice that was ever listed ended.
        serving: the fingerprint that the catalogue serves.
        reading: manifests whose blobs must stay: answers in the making.
    """

    m: Manifest
    blobs: frozenset[tuple[tuple[str, str], Cells | Ids]] = frozenset()
    archive: tuple[tuple[int, tuple[Slice, ...]], ...] = ()
    uppers: tuple[Frontier, ...] = ()
    serving: str = A
    reading: frozenset[Manifest] = frozenset()

    def change(self, transition: Transition, **blobs: Cells | Ids) -> World:
        """Take a transition with the blobs ``<kind>__<owner>``."""
        changed = transition(self.m)
        if changed is self.m:
            return self
        added = {((kind, owner), blob) for name, blob in blobs.items() for kind, owner in [name.split("__")]}
        uppers = self.uppers if changed.frontier == self.m.frontier else (*self.uppers, changed.frontier)
        return replace(self, m=changed, blobs=self.blobs | added, uppers=uppers)

    def cells(self, fingerprint: str, owners: Sequence[str]) -> Cells:
        """Blobs of cells, merged."""
        held = dict(self.blobs)
        return tuple(sorted(p for owner in owners for p in cells_of(held[fingerprint, owner])))

    def ids(self, before: int) -> Ids:
        """The ids kept before an epoch: the batch layer's where it has them, else the slices'."""
        held = dict(self.blobs)
        owners = [e.owner for e in self.m.epochs if e.owner and e.number < before]
        owned = {e.number for e in self.m.epochs if e.owner or e.unabsorbed}
        owners += [s.attempt for s in self.m.slices if s.epoch < before and s.epoch not in owned]
        return frozenset().union(*(ids_of(held["ids", owner]) for owner in owners))


def cells_of(blob: Cells | Ids) -> Cells:
    assert isinstance(blob, tuple)
    return blob


def ids_of(blob: Cells | Ids) -> Ids:
    assert isinstance(blob, frozenset)
    return blob


# -- the reference -----------------------------------------------------------------------------------------------------


def decide(lower: Frontier, upper: Frontier, known: Ids) -> tuple[Cells, Ids]:
    """The used positions and newly kept ids of one slice."""
    kept: set[str] = set()
    used = []
    for p, ids in enumerate(LOG):
        for offset in range(lower[p], upper[p]):
            if ids[offset] not in kept | known:
                kept.add(ids[offset])
                used.append((p, offset))
    return tuple(used), frozenset(kept)


def reference(uppers: Sequence[Frontier]) -> Cells:
    """The used positions over some slices, from nothing."""
    lower: Frontier = (0, 0)
    known, out = Ids(), Cells()
    for upper in uppers:
        used, kept = decide(lower, upper, known)
        lower, known, out = upper, known | kept, out + used
    return tuple(sorted(out))


def ledger(lower: Frontier, upper: Frontier, used: Cells) -> tuple[Entry, ...]:
    n = [sum(p == q for q, _ in used) for p in range(len(LOG))]
    bounds = enumerate(zip(lower, upper, strict=True))
    return tuple(Entry(p, low, up, used=n[p], duplicates=up - low - n[p]) for p, (low, up) in bounds)


# -- the actors --------------------------------------------------------------------------------------------------------

Local = Any
"""What an actor remembers; hashable."""
Took = tuple[World, Local, int]
Act = Callable[[World, Local], tuple[World, Local, int] | None]
"""One atomic step: the new world, what the actor remembers, and how many steps to go on (0: again). None: it waits."""


def changing(world: World, transition: Transition, **blobs: Cells | Ids) -> World:
    """A change; one that comes too late changes nothing."""
    try:
        return world.change(transition, **blobs)
    except WatersmeetError:
        return world


def speed(name: str, rounds: int, *, takes_over: bool = False) -> list[Act]:
    """Absorb the log in slices; whoever holds the lease at the start, or takes it.

    The ids it remembers are loaded once and then its own affair, so one that was fenced must not commit any more. Each
    commit is tried again, as if its answer had been lost.
    """

    def lease(world: World, _: Local) -> Took:
        return world.change(lambda m: manifest.lease(m, name)), world.m.generation + 1, 1

    def remember(world: World, generation: Local) -> Took | None:
        if any(e.unabsorbed and not e.owner for e in world.m.epochs):
            return None  # the ids in it are not known yet
        return world, (generation, world.ids(world.m.open_epoch + 1)), 1

    def compute(world: World, mine: Local) -> Took:
        m, (generation, known) = world.m, mine
        upper = tuple(min(at + 1, len(ids)) for at, ids in zip(m.frontier, LOG, strict=True))
        used, kept = decide(m.frontier, upper, known)
        marks = (None, None)
        made = Commit(
            f"{name}{'-'.join(map(str, m.frontier))}at{m.declaration}", generation, m.declaration, m.frontier, upper,
            m.readable, ledger(m.frontier, upper, used), None, marks, marks,
        )  # fmt: skip
        return world, (made, used, kept, mine), 1

    def commit(world: World, seen: Local) -> Took:
        made, used, kept, (generation, known) = seen
        after = _commit(world, made, used, kept)
        learnt = known if after is world else known | kept
        return after, (made, used, kept, (generation, learnt)), 1

    def again(world: World, seen: Local) -> Took:
        made, used, kept, mine = seen
        if made.lower == world.m.frontier:  # it was refused: not lost, and computed anew
            return world, mine, 1
        return _commit(world, replace(made, attempt=f"{made.attempt}again"), used, kept), mine, 1

    return [lease] * takes_over + [remember] + [compute, commit, again] * rounds


def _commit(world: World, made: Commit, used: Cells, kept: Ids) -> World:
    cells = {f"{fp}__{made.attempt}": used for fp in made.fingerprints}
    return changing(world, lambda m: manifest.commit(m, made), **cells, **{f"ids__{made.attempt}": kept})


def roller(_: str = "") -> list[Act]:
    """Close the open epoch."""
    return [lambda world, local: (world.change(lambda m: manifest.roll(m, 0)), local, 1)]


def sealer(name: str) -> list[Act]:
    """A batch run without a speed layer: take the lease, close what is unread."""

    def lease(world: World, _: Local) -> Took:
        return world.change(lambda m: manifest.lease(m, name)), world.m.generation + 1, 1

    def seal(world: World, generation: Local) -> Took:
        assert isinstance(generation, int)
        end = tuple(len(ids) for ids in LOG)
        return changing(world, lambda m: manifest.seal(m, generation, end, name, 0)), None, 1

    return [lease, seal]


def archiver(_: str = "", rounds: int = 2) -> list[Act]:
    """Store an epoch's slice log, then note that."""

    def store(world: World, _: Local) -> Took:
        epoch = next((e for e in world.m.epochs if not e.archived), None)
        if epoch is None:
            return world, None, 2
        slices = tuple(s for s in world.m.slices if s.epoch == epoch.number)
        assert len(slices) == epoch.last - epoch.first + 1, "the slice log is whole"
        stored = dict(world.archive) | {epoch.number: slices}
        return replace(world, archive=tuple(sorted(stored.items(), key=lambda item: item[0]))), epoch.number, 1

    def note(world: World, number: Local) -> Took:
        assert isinstance(number, int)
        return changing(world, lambda m: manifest.archived(m, number)), None, 1

    return [store, note] * rounds


def publisher(name: str, rounds: int = 2) -> list[Act]:
    """Compute the next epoch that some fingerprint lacks, from the archive alone, then publish it."""

    def compute(world: World, _: Local) -> Took:
        m = world.m
        owing = [(e, fp) for e in m.epochs for fp in sorted(m.readable) if e.number not in manifest.covered(m, fp)]
        if not owing:
            return world, None, 2
        epoch, fingerprint = owing[0]
        if not epoch.archived or any(not e.owner for e in m.epochs if e.number < epoch.number):
            return world, None, 2
        return world, _computed(world, epoch, fingerprint, name), 1

    def publish(world: World, seen: Local) -> Took:
        made, used, kept = seen
        [run] = made.runs
        cells = {f"{run.fingerprint}__{run.owner}": used, f"ids__{made.owner}": kept}
        return changing(world, lambda m: manifest.publish(m, made), **cells), None, 1

    return [compute, publish] * rounds


def _computed(world: World, epoch: Epoch, fingerprint: str, name: str) -> tuple[Published, Cells, Ids]:
    known, used, kept = world.ids(epoch.number), Cells(), Ids()
    for s in dict(world.archive)[epoch.number]:
        mine, new = decide(s.lower, s.upper, known | kept)
        used, kept = used + mine, kept | new
    owner = f"{name}{epoch.number}{fingerprint}"
    runs = (Run(owner, fingerprint, epoch.number, epoch.number),)
    return Published(epoch.number, runs, owner, ledger(epoch.lower, epoch.upper, used)), tuple(sorted(used)), kept


def compactor(name: str) -> list[Act]:
    """Merge the blocks of an epoch, then the runs of a fingerprint."""

    def look_at_blocks(world: World, _: Local) -> Took:
        for _key, found in itertools.groupby(world.m.blocks, key=lambda b: (b.epoch, b.fingerprints)):
            blocks = list(found)
            if len(blocks) > 1:
                owners = tuple(b.owner for b in blocks)
                merged = {f"{fp}__{name}b{blocks[0].first}": world.cells(fp, owners) for fp in blocks[0].fingerprints}
                return world, (owners, f"{name}b{blocks[0].first}", tuple(sorted(merged.items()))), 1
        return world, None, 2

    def merge_blocks(world: World, seen: Local) -> Took:
        owners, owner, cells = seen
        return changing(world, lambda m: manifest.compact_blocks(m, owners, owner), **dict(cells)), None, 1

    def look_at_runs(world: World, _: Local) -> Took:
        for fingerprint, found in itertools.groupby(world.m.runs, key=lambda r: r.fingerprint):
            runs = list(found)
            pair = next(([a, b] for a, b in itertools.pairwise(runs) if a.last + 1 == b.first), None)
            if pair is not None:
                owners = tuple(r.owner for r in pair)
                return world, (owners, f"{name}r{fingerprint}", world.cells(fingerprint, owners), fingerprint), 1
        return world, None, 2

    def merge_runs(world: World, seen: Local) -> Took:
        owners, owner, cells, fp = seen
        return changing(world, lambda m: manifest.compact_runs(m, owners, owner), **{f"{fp}__{owner}": cells}), None, 1

    return [look_at_blocks, merge_blocks, look_at_runs, merge_runs]


def expirer(_: str = "") -> list[Act]:
    """Drop the speed cells of an epoch that looked uncovered."""

    def look(world: World, _: Local) -> Took:
        m = world.m
        late = [e.number for e in m.epochs if any(e.number not in manifest.covered(m, fp) for fp in m.readable)]
        return (world, late[0], 1) if late else (world, None, 2)

    def drop(world: World, number: Local) -> Took:
        assert isinstance(number, int)
        return changing(world, lambda m: manifest.expire(m, number, "retention")), None, 1

    return [look, drop]


def swapper(_: str = "") -> list[Act]:
    """Bring in a new fingerprint, serve it once it is whole, and let the old one go."""

    def declare(world: World, _: Local) -> Took:
        return world.change(lambda m: manifest.declare(m, m.declaration + 1, [A, B], 0)), None, 1

    def swap(world: World, _: Local) -> Took | None:
        if cover(world.m, B).missing:
            return None
        return replace(world, serving=B), None, 1

    def withdraw(world: World, _: Local) -> Took:
        return world.change(lambda m: manifest.declare(m, m.declaration + 1, [B], 0)), None, 1

    def drop(world: World, _: Local) -> Took:
        return world.change(lambda m: manifest.drop_runs(m, A)), None, 1

    return [declare, swap, withdraw, drop]


def sweeper(_: str = "") -> list[Act]:
    """Delete what neither the manifest nor an answer in the making lists."""

    def sweep(world: World, _: Local) -> Took:
        listed = set().union(*(addresses(m) for m in (world.m, *world.reading)))
        return replace(world, blobs=frozenset(item for item in world.blobs if item[0] in listed)), None, 1

    return [sweep, sweep]


def addresses(m: Manifest) -> set[tuple[str, str]]:
    """The blobs that a manifest lists."""
    out = {(fp, b.owner) for b in m.blocks for fp in b.fingerprints} | {(r.fingerprint, r.owner) for r in m.runs}
    owned = {e.number for e in m.epochs if e.owner or e.unabsorbed}
    out |= {("ids", e.owner) for e in m.epochs if e.owner}
    return out | {("ids", s.attempt) for s in m.slices if s.epoch not in owned}


def reader(_: str = "") -> list[Act]:
    """Catalogue, manifest, cells, catalogue again: an answer, or another try."""

    def serve(world: World, _: Local) -> Took:
        return world, world.serving, 1

    def look(world: World, fingerprint: Local) -> Took:
        return replace(world, reading=world.reading | {world.m}), (fingerprint, world.m, world.uppers), 1

    def load(world: World, seen: Local) -> Took:
        fingerprint, m, uppers = seen
        found = cover(m, fingerprint)
        cells = world.cells(fingerprint, [r.owner for r in found.runs] + [b.owner for b in found.blocks])
        return world, (fingerprint, m, uppers, cells, found.missing), 1

    def finish(world: World, seen: Local) -> Took:
        fingerprint, m, uppers, cells, missing = seen
        world = replace(world, reading=world.reading - {m})
        if world.serving != fingerprint:
            return world, None, -3
        assert missing or cells == reference(uppers), "an answer is the reference over its own frontier"
        return world, None, 1

    return [serve, look, load, finish]


# -- exploration -------------------------------------------------------------------------------------------------------

GENERATION = 1
ACTORS: dict[str, list[Act]] = {
    "commit": speed("s", 3),
    "take over": speed("t", 2, takes_over=True),
    "roll": roller(),
    "seal": sealer("bare"),
    "archive": archiver(),
    "publish": publisher("p", 3),
    "publish too": publisher("q", 2),
    "compact": compactor("c"),
    "expire": expirer(),
    "swap": swapper(),
    "sweep": sweeper(),
    "read": reader(),
}


def alone(world: World, program: Sequence[Act]) -> World:
    """The world after an actor had it for itself."""
    at, local = 0, GENERATION
    while at < len(program):
        taken = program[at](world, local)
        assert taken is not None
        world, local, on = taken
        at += on
    return world


def started() -> World:
    """One epoch covered, one of two slices sealed and archived, one open slice, and two slices unread."""
    world = World(manifest.create(Manifest("t"), (0, 0)))
    world = world.change(lambda m: manifest.lease(m, "s")).change(lambda m: manifest.declare(m, 1, [A], 0))
    first = (speed("s", 1), roller(), archiver(rounds=1), publisher("p", 1))
    for program in (*first, speed("s", 2), roller(), archiver(rounds=1), speed("s", 1)):
        world = alone(world, program)
    return world


State = tuple[World, tuple[tuple[int, Local], ...]]


def explore(world: World, programs: Sequence[Sequence[Act]], visit: Callable[[World], None]) -> int:
    """Visit every state that some order of the programs' steps reaches; how many there are."""
    first: State = (world, tuple((0, GENERATION) for _ in programs))
    seen, waiting = {first}, [first]
    worlds: set[World] = set()
    while waiting:
        state = waiting.pop()
        if state[0] not in worlds:
            worlds.add(state[0])
            visit(state[0])
        for following in successors(state, programs):
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return len(seen)


def successors(state: State, programs: Sequence[Sequence[Act]]) -> Iterator[State]:
    """The states one step on."""
    world, places = state
    for i, ((at, local), program) in enumerate(zip(places, programs, strict=True)):
        taken = program[at](world, local) if at < len(program) else None
        if taken is not None:
            after, memory, on = taken
            yield after, (*places[:i], (at + on, memory), *places[i + 1 :])


def check(world: World) -> None:
    """What holds in every state."""
    m = world.m
    expected = reference(world.uppers)
    for fingerprint in m.readable:
        found = cover(m, fingerprint)
        spans = {e.number: range(e.first, e.last + 1) for e in m.epochs}
        taken = [s for run in found.runs for e in range(run.first, run.last + 1) for s in spans[e]]
        taken += [s for block in found.blocks for s in range(block.first, block.last + 1)]
        assert len(taken) == len(set(taken)), "both layers"
        assert found.missing or len(taken) == m.next_sequence, "neither layer, and no word of it"
        cells = world.cells(fingerprint, [r.owner for r in found.runs] + [b.owner for b in found.blocks])
        assert found.missing or cells == expected
        assert set(cells) <= set(expected)
    excused = {gap.epoch for gap in m.gaps} | {e.number for e in m.epochs if e.unabsorbed}
    assert set(cover(m, world.serving).missing) <= excused, "what is served is whole but for what was said to be gone"
    assert all(m.readable <= b.fingerprints for b in m.blocks if b.epoch == m.open_epoch), "as declared"
    open_slices = [s for s in m.slices if s.epoch == m.open_epoch]
    counted = total([*(e for epoch in m.epochs for e in epoch.ledger), *(e for s in open_slices for e in s.ledger)])
    assert counted.balanced
    bare = sum(sum(e.upper) - sum(e.lower) for e in m.epochs if e.unabsorbed and not e.owner)
    assert counted.received == sum(m.frontier) - bare


MANY = 4 if PROVE else 3
CASTS = [names for size in range(2, MANY + 1) for names in itertools.combinations(ACTORS, size)]


@pytest.mark.parametrize("names", CASTS, ids=" + ".join)
def test_every_order_of_steps_gives_right_answers_or_says_what_it_lacks(names: tuple[str, ...]) -> None:
    assert explore(started(), [ACTORS[name] for name in names], check) > len(names)


def test_an_exploration_meets_every_order() -> None:
    """Three and two independent steps have (3 + 1) · (2 + 1) states; two that see each other's order have more."""

    def step(world: World, local: Local) -> Took:
        return world, local, 1

    assert explore(started(), [[step] * 3, [step] * 2], lambda _: None) == 12


def test_the_exploration_would_see_a_slice_that_counts_twice() -> None:
    """A run added without retiring what it covers is what the manifest's rule is for; break it, and a state fails."""
    world = started()
    broken = replace(world.m, runs=(*world.m.runs, replace(world.m.runs[0], owner="again")))
    with pytest.raises((AssertionError, KeyError)):
        check(replace(world, m=broken))
