"""The manifest of a topic: what is live, and the only ways in which that may change.

Who owns which record is a question of position, never of time:

    log     0 ────────────────┬───────────────┬──────────┬─────> end
            epoch 0           │ epoch 1       │ open: 2  │ not yet absorbed
            covered by a run  │ not covered   │          │
            └─ batch layer ──┘ └── speed layer: blocks ──┘
                                                         ^ committed frontier

* The slices of a topic are contiguous: each begins where the one before ended, the first at ``start``.
* An epoch is a whole number of slices; epochs are contiguous and numbered from 0; the open one is not in the list.
* For each cells fingerprint an epoch is read either from a run that covers it or from the blocks that hold it: never
  both, never neither without saying so (`cover`).
* ``upper − lower = used + duplicates + dead + filtered + holes`` in each ledger entry of each slice and epoch.
* A transition is a pure function of a manifest; it raises `ConflictError` when its premise no longer holds. A store
  makes one durable by compare-and-set on ``version``, together with the blobs that it lists. What is not listed does
  not exist.

Blobs are addressed by (kind, owner): ``cells:<fingerprint>`` of a block or run, ``ids`` and ``dead`` of a slice's
attempt or, once the batch layer has taken over an epoch, of that epoch's owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeVar

from .errors import ConflictError, GapError
from .frontier import Frontier, covers
from .ledger import Entry, Outcome, by_partition


@dataclass(frozen=True, slots=True)
class Slice:
    """One commit of the speed layer: the interval it absorbed and what became of its records.

    Args:
        sequence: 0, 1, 2 … in the order of commits.
        attempt: names the try that won; owner of its blobs.
        epoch: assigned by the commit itself.
        lower, upper: the interval.
        ledger: one entry a partition.
    """

    sequence: int
    attempt: str
    epoch: int
    lower: Frontier
    upper: Frontier
    ledger: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """Cells of the slices ``first`` … ``last`` of one epoch, merged or as committed.

    Args:
        owner: of its ``cells:<fingerprint>`` blobs.
        epoch: of all its slices.
        first, last: sequences, inclusive.
        fingerprints: the cells fingerprints that it holds.
    """

    owner: str
    epoch: int
    first: int
    last: int
    fingerprints: frozenset[str]


@dataclass(frozen=True, slots=True)
class Epoch:
    """A sealed interval.

    Args:
        number: 0, 1, 2 …
        lower, upper: the interval.
        first, last: its slices' sequences, inclusive.
        sealed_us: when it was sealed; no record in it arrived later.
        unabsorbed: sealed without a speed layer: one slice, no blocks, nothing to audit against.
        archived: the archive holds and has verified it.
        owner: of the batch layer's ``ids`` and ``dead`` blobs; empty until published.
        ledger: one entry a partition; of an unabsorbed epoch, empty until published.
        others: what the batch layer decided of it under topic versions that are not in force.
    """

    number: int
    lower: Frontier
    upper: Frontier
    first: int
    last: int
    sealed_us: int
    unabsorbed: bool = False
    archived: bool = False
    owner: str = ""
    ledger: tuple[Entry, ...] = ()
    others: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """Cells of the epochs ``first`` … ``last`` for one fingerprint, computed by the batch layer.

    Args:
        owner: of its blob.
        fingerprint: which cells.
        first, last: epochs, inclusive.
        panes: least and greatest pane start in µs, inclusive; None if it has no cell or all-time cells.
    """

    owner: str
    fingerprint: str
    first: int
    last: int
    panes: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """An epoch whose speed cells were dropped before a run covered it.

    ``lost``: the archive does not have it, so it stays a gap for ever.
    """

    epoch: int
    reason: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything that is live of one topic at one version.

    Args:
        topic: name.
        version: grows by one with every change; 0: the topic has no manifest yet.
        generation, holder: of the speed lease; only its holder commits.
        declaration: number of the applied declarations that commits must have been computed under.
        start: where the first slice begins.
        frontier: where the next slice begins.
        open_epoch: number of the epoch that is not sealed yet.
        watermark_us: event time up to which rows are final; never goes back; None before the first accepted record.
        event_times: greatest accepted event time in µs, for each partition; None where there was none.
        arrivals: greatest arrival in µs, for each partition; None where there was none.
        readable: the cells fingerprints that someone may read, now or when they are covered.
        slices: those whose epoch is open, not archived, or not covered by every readable fingerprint.
        blocks, epochs, runs, gaps: live; by first slice, by number, by (fingerprint, first epoch), by epoch.
        topic_version: in force: what commits, owners and ledgers were decided by; empty before the first declaration.
    """

    topic: str
    version: int = 0
    generation: int = 0
    holder: str = ""
    declaration: int = 0
    start: Frontier = ()
    frontier: Frontier = ()
    open_epoch: int = 0
    next_sequence: int = 0
    watermark_us: int | None = None
    event_times: tuple[int | None, ...] = ()
    arrivals: tuple[int | None, ...] = ()
    readable: frozenset[str] = frozenset()
    slices: tuple[Slice, ...] = ()
    blocks: tuple[Block, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    runs: tuple[Run, ...] = ()
    gaps: tuple[Gap, ...] = ()
    topic_version: str = ""


_T = TypeVar("_T", Block, Run)
Transition = Callable[[Manifest], Manifest]


@dataclass(frozen=True, slots=True)
class Cover:
    """What an answer at one fingerprint rests on.

    Args:
        runs: batch cells to merge.
        blocks: speed cells to merge.
        missing: epochs (the open one included) of which some slice is in neither.
    """

    runs: tuple[Run, ...]
    blocks: tuple[Block, ...]
    missing: tuple[int, ...]


def covered(m: Manifest, fingerprint: str) -> frozenset[int]:
    """The epochs that runs of ``fingerprint`` cover."""
    return frozenset(e for run in m.runs if run.fingerprint == fingerprint for e in range(run.first, run.last + 1))


def cover(m: Manifest, fingerprint: str) -> Cover:
    """The cells that make up ``fingerprint`` at this version, each slice exactly once."""
    done = covered(m, fingerprint)
    blocks = tuple(b for b in m.blocks if b.epoch not in done and fingerprint in b.fingerprints)
    held: dict[int, int] = {}
    for block in blocks:
        held[block.epoch] = held.get(block.epoch, 0) + block.last - block.first + 1
    owed = {e.number: e.last - e.first + 1 for e in m.epochs if e.number not in done}
    open_slices = sum(1 for s in m.slices if s.epoch == m.open_epoch)
    if open_slices:
        owed[m.open_epoch] = open_slices
    missing = tuple(sorted(e for e, n in owed.items() if held.get(e, 0) != n))
    return Cover(tuple(r for r in m.runs if r.fingerprint == fingerprint), blocks, missing)


def create(m: Manifest, start: Frontier) -> Manifest:
    """Give a topic its first manifest; a no-op on one that exists."""
    if m.version:
        return m
    nothing = (None,) * len(start)
    return _next(m, start=start, frontier=start, event_times=nothing, arrivals=nothing)


def lease(m: Manifest, holder: str) -> Manifest:
    """Take the speed lease; whoever held it before is fenced by the new generation."""
    return _next(m, generation=m.generation + 1, holder=holder)


def declare(m: Manifest, number: int, readable: Iterable[str], now_us: int) -> Manifest:
    """Take up declarations ``number``: roll, and let commits hold the fingerprints ``readable``."""
    if number <= m.declaration:
        raise ConflictError(
            f"declarations of topic {m.topic}", expected=f"a number above {m.declaration}", got=str(number)
        )
    rolled = roll(m, now_us)
    return _retire(replace(rolled, version=m.version + 1, declaration=number, readable=frozenset(readable)))


@dataclass(frozen=True, slots=True)
class Commit:
    """A slice that a runner has computed and wants listed.

    Args:
        attempt: owner of the blobs that go with it.
        generation, declaration: under which it was computed.
        lower, upper: its interval; equal only when it advances the watermark.
        fingerprints: the cells it holds.
        ledger: one entry a partition.
        watermark_us, event_times, arrivals: as they are after it.
    """

    attempt: str
    generation: int
    declaration: int
    lower: Frontier
    upper: Frontier
    fingerprints: frozenset[str]
    ledger: tuple[Entry, ...]
    watermark_us: int | None
    event_times: tuple[int | None, ...]
    arrivals: tuple[int | None, ...]


def commit(m: Manifest, c: Commit) -> Manifest:
    """List a slice, advance the frontier, assign its epoch; all or nothing."""
    if c.generation != m.generation:
        raise ConflictError(
            f"speed lease of topic {m.topic}",
            expected=f"generation {c.generation}",
            got=f"generation {m.generation}, held by {m.holder}",
            remedy="another speed layer has taken over; this one stops",
        )
    if c.declaration != m.declaration:
        raise ConflictError(
            f"slice of topic {m.topic}",
            expected=f"declarations {m.declaration}",
            got=f"declarations {c.declaration}",
            remedy="recompute it under the applied declarations",
        )
    if c.lower != m.frontier:
        behind = covers(m.frontier, c.lower)
        raise (ConflictError if behind else GapError)(
            f"slice of topic {m.topic}",
            expected=f"a slice from {m.frontier}",
            got=f"one from {c.lower}",
            remedy="clip it to the committed frontier" if behind else "",
        )
    if not covers(c.upper, c.lower):
        raise ConflictError(f"slice of topic {m.topic}", expected=f"an end at or above {c.lower}", got=str(c.upper))
    if c.upper == c.lower and _latest(m.watermark_us, c.watermark_us) == m.watermark_us:
        return m  # nothing to list; also the second try of a watermark's advance whose first try went through
    _check_ledger(c.ledger, c.lower, c.upper, m.topic)
    sequence = m.next_sequence
    return _next(
        m,
        frontier=c.upper,
        next_sequence=sequence + 1,
        watermark_us=_latest(m.watermark_us, c.watermark_us),
        event_times=tuple(_latest(a, b) for a, b in zip(m.event_times, c.event_times, strict=True)),
        arrivals=tuple(_latest(a, b) for a, b in zip(m.arrivals, c.arrivals, strict=True)),
        slices=(*m.slices, Slice(sequence, c.attempt, m.open_epoch, c.lower, c.upper, c.ledger)),
        blocks=(*m.blocks, Block(c.attempt, m.open_epoch, sequence, sequence, c.fingerprints)),
    )


def roll(m: Manifest, now_us: int) -> Manifest:
    """Seal the open epoch at the committed frontier; a no-op on an epoch without a slice."""
    mine = [s for s in m.slices if s.epoch == m.open_epoch]
    if not mine:
        return m
    epoch = _seal(m.open_epoch, mine, now_us, unabsorbed=False)
    return _next(m, open_epoch=m.open_epoch + 1, epochs=(*m.epochs, epoch))


def seal(m: Manifest, generation: int, upper: Frontier, attempt: str, now_us: int) -> Manifest:
    """Seal what no speed layer has absorbed, up to ``upper``, as an epoch of its own; needs the lease."""
    if generation != m.generation:
        raise ConflictError(
            f"speed lease of topic {m.topic}", expected=f"generation {generation}", got=f"generation {m.generation}"
        )
    if not covers(upper, m.frontier):
        raise ConflictError(f"seal of topic {m.topic}", expected=f"a frontier at or above {m.frontier}", got=str(upper))
    rolled = roll(m, now_us)
    if upper == m.frontier:
        return rolled
    m = replace(rolled, version=m.version)
    only = Slice(m.next_sequence, attempt, m.open_epoch, m.frontier, upper)
    epoch = _seal(m.open_epoch, [only], now_us, unabsorbed=True)
    return _next(
        m,
        frontier=upper,
        open_epoch=m.open_epoch + 1,
        next_sequence=m.next_sequence + 1,
        slices=(*m.slices, only),
        epochs=(*m.epochs, epoch),
    )


def archived(m: Manifest, number: int) -> Manifest:
    """Note that the archive holds epoch ``number`` and has verified it; a no-op when that is noted already."""
    epoch = _sealed(m, number)
    if epoch.archived:
        return m
    return _next(
        m,
        epochs=tuple(replace(e, archived=True) if e is epoch else e for e in m.epochs),
        gaps=tuple(replace(g, lost=False) if g.epoch == number else g for g in m.gaps),
    )


@dataclass(frozen=True, slots=True)
class Published:
    """Runs that the batch layer has staged for one epoch, with the outcomes it computed.

    Args:
        epoch: number.
        runs: one a fingerprint, each over this epoch alone.
        owner: of the epoch's ``ids`` and ``dead`` blobs.
        ledger: the batch layer's own.
        topic_version: that it decided by; empty: the one in force.
        newest: greatest accepted event time in µs, for each partition.
    """

    epoch: int
    runs: tuple[Run, ...]
    owner: str
    ledger: tuple[Entry, ...]
    topic_version: str = ""
    newest: tuple[int | None, ...] = ()


def publish(m: Manifest, p: Published) -> Manifest:
    """Let runs cover an epoch; the blocks they replace leave the list once nobody reads them."""
    epoch = _sealed(m, p.epoch)
    if not epoch.archived:
        raise ConflictError(f"epoch {p.epoch} of topic {m.topic}", expected="an epoch that is archived")
    mine = [run.fingerprint for run in p.runs]
    for run in p.runs:
        twice = p.epoch in covered(m, run.fingerprint) or mine.count(run.fingerprint) > 1
        if run.first != p.epoch or run.last != p.epoch or twice:
            raise ConflictError(
                f"run {run.owner} of topic {m.topic}",
                expected=f"a first run of {run.fingerprint} over epoch {p.epoch}",
                got="one that is there already",
            )
    _check_ledger(p.ledger, epoch.lower, epoch.upper, m.topic)
    in_force = p.topic_version in ("", m.topic_version)
    epochs = tuple(_decide(e, p, in_force) if e.number == p.epoch else e for e in m.epochs)
    runs = tuple(sorted((*m.runs, *p.runs), key=lambda r: (r.fingerprint, r.first)))
    newest = m.event_times
    if in_force and p.newest:
        newest = tuple(_latest(a, b) for a, b in zip(newest, p.newest, strict=True))
    return _retire(_next(m, epochs=epochs, runs=runs, event_times=newest))


def _decide(epoch: Epoch, p: Published, in_force: bool) -> Epoch:
    """Keep what was decided under its topic version; what was published first stays."""
    if in_force:
        return replace(epoch, owner=epoch.owner or p.owner, ledger=epoch.ledger or p.ledger)
    if any(o.topic_version == p.topic_version for o in epoch.others):
        return epoch
    return replace(epoch, others=(*epoch.others, Outcome(p.topic_version, p.owner, p.ledger, p.newest)))


def compact_blocks(m: Manifest, owners: Iterable[str], owner: str) -> Manifest:
    """Replace adjacent blocks of one epoch by one that holds the same cells, merged."""
    wanted = frozenset(owners)
    inputs = _live([b for b in m.blocks if b.owner in wanted], wanted, m)
    inputs.sort(key=lambda b: b.first)
    alike = len({(b.epoch, b.fingerprints) for b in inputs}) == 1
    if not alike or any(a.last + 1 != b.first for a, b in pairwise(inputs)):
        raise ConflictError(f"blocks of topic {m.topic}", expected="adjacent blocks of one epoch, of the same cells")
    merged = Block(owner, inputs[0].epoch, inputs[0].first, inputs[-1].last, inputs[0].fingerprints)
    kept = [b for b in m.blocks if b not in inputs]
    return _next(m, blocks=tuple(sorted((*kept, merged), key=lambda b: b.first)))


def compact_runs(m: Manifest, owners: Iterable[str], owner: str) -> Manifest:
    """Replace runs of one fingerprint over adjacent epochs by one that holds the same cells, merged."""
    wanted = frozenset(owners)
    inputs = _live([r for r in m.runs if r.owner in wanted], wanted, m)
    inputs.sort(key=lambda r: r.first)
    if any(a.last + 1 != b.first or a.fingerprint != b.fingerprint for a, b in pairwise(inputs)):
        raise ConflictError(f"runs of topic {m.topic}", expected="runs of one fingerprint over adjacent epochs")
    bounds = [r.panes for r in inputs if r.panes is not None]
    panes = (min(b[0] for b in bounds), max(b[1] for b in bounds)) if bounds else None
    merged = Run(owner, inputs[0].fingerprint, inputs[0].first, inputs[-1].last, panes)
    kept = [r for r in m.runs if r not in inputs]
    return _next(m, runs=tuple(sorted((*kept, merged), key=lambda r: (r.fingerprint, r.first))))


def expire(m: Manifest, number: int, reason: str) -> Manifest:
    """Drop the speed cells of a sealed epoch that is not covered, and write the gap that this leaves; once."""
    epoch = _sealed(m, number)
    if any(g.epoch == number for g in m.gaps):
        return m
    if all(number in covered(m, fp) for fp in m.readable):
        raise ConflictError(f"epoch {number} of topic {m.topic}", expected="an epoch that is not covered everywhere")
    gaps = sorted((*m.gaps, Gap(number, reason, lost=not epoch.archived)), key=lambda g: g.epoch)
    return _next(m, blocks=tuple(b for b in m.blocks if b.epoch != number), gaps=tuple(gaps))


def drop_runs(m: Manifest, fingerprint: str) -> Manifest:
    """Forget the runs of a fingerprint that nobody may read any more."""
    if fingerprint in m.readable:
        raise ConflictError(f"runs of {fingerprint}", expected="a fingerprint that is not readable any more")
    return _next(m, runs=tuple(r for r in m.runs if r.fingerprint != fingerprint))


def _retire(m: Manifest) -> Manifest:
    """Drop blocks, slices and gaps of epochs that the batch layer owns for every readable fingerprint."""
    done = [covered(m, fp) for fp in m.readable]
    owned = {e.number for e in m.epochs if e.archived and e.owner and all(e.number in epochs for epochs in done)}
    return replace(
        m,
        blocks=tuple(b for b in m.blocks if b.epoch not in owned),
        slices=tuple(s for s in m.slices if s.epoch not in owned),
        gaps=tuple(g for g in m.gaps if g.epoch not in owned),
    )


def _sealed(m: Manifest, number: int) -> Epoch:
    epoch = next((e for e in m.epochs if e.number == number), None)
    if epoch is None:
        raise ConflictError(f"epoch {number} of topic {m.topic}", expected="an epoch that is sealed")
    return epoch


def _seal(number: int, slices: list[Slice], now_us: int, *, unabsorbed: bool) -> Epoch:
    lower, upper = slices[0].lower, slices[-1].upper
    ledger = () if unabsorbed else by_partition(e for s in slices for e in s.ledger)
    return Epoch(number, lower, upper, slices[0].sequence, slices[-1].sequence, now_us, unabsorbed, ledger=ledger)


def _check_ledger(ledger: tuple[Entry, ...], lower: Frontier, upper: Frontier, topic: str) -> None:
    bounds = sorted((e.partition, e.lower, e.upper) for e in ledger)
    expected = [(p, low, up) for p, (low, up) in enumerate(zip(lower, upper, strict=True))]
    if bounds != expected or any(e.balance for e in ledger):
        raise ConflictError(
            f"ledger of topic {topic}", expected=f"outcomes that add up over {lower} to {upper}", got=str(ledger)
        )


def _live(found: list[_T], owners: frozenset[str], m: Manifest) -> list[_T]:
    if len(found) != len(owners) or not found:
        raise ConflictError(f"compaction of topic {m.topic}", expected="inputs that are all still live")
    return found


def _latest(a: int | None, b: int | None) -> int | None:
    return max((x for x in (a, b) if x is not None), default=None)


def _next(m: Manifest, **changes: object) -> Manifest:
    return replace(m, version=m.version + 1, **changes)  # type: ignore[arg-type]  # replace is checked by its own test
