"""Small changes of a manifest, and the blobs that go with them, for tests of what stores them."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from watersmeet.core.ledger import Entry
from watersmeet.core.manifest import (
    Commit,
    Manifest,
    Published,
    Run,
    Transition,
    commit,
    create,
    declare,
    lease,
    publish,
)
from watersmeet.core.state import Blob, State

TOPIC = "movie.ratings"


def chunk(number: int, rows: int = 3) -> pa.Table:
    """A chunk that no other number has."""
    return pa.table({"n": pa.array([number * 1000 + i for i in range(rows)], pa.int64()), "t": [f"é{number}"] * rows})


def begin(state: State, *fingerprints: str, topic: str = TOPIC, partitions: int = 2) -> Manifest:
    """Create a topic, take its lease and declare ``fingerprints``."""
    state.change(topic, lambda m: create(m, (0,) * partitions))
    state.change(topic, lambda m: lease(m, "one"))
    return state.change(topic, lambda m: declare(m, 1, fingerprints or ("f",), 0))


def slice_(m: Manifest, attempt: str, size: int = 2) -> Commit:
    """The next slice of every partition, with ``size`` used records of each."""
    upper = tuple(offset + size for offset in m.frontier)
    ledger = tuple(Entry(p, low, up, used=size) for p, (low, up) in enumerate(zip(m.frontier, upper, strict=True)))
    seen = tuple(upper)
    return Commit(attempt, m.generation, m.declaration, m.frontier, upper, m.readable, ledger, seen[0], seen, seen)


def blobs(m: Manifest, attempt: str, number: int) -> list[Blob]:
    """What a runner stores with a slice."""
    cells = [Blob(f"cells:{fingerprint}", attempt, chunk(number)) for fingerprint in sorted(m.readable)]
    return [*cells, Blob("ids", attempt, chunk(number + 1)), Blob("dead", attempt, chunk(number + 2, 0))]


def absorb(state: State, attempt: str, number: int = 0, topic: str = TOPIC) -> Manifest:
    """Commit a slice with its blobs."""
    m = state.manifest(topic)
    c = slice_(m, attempt)
    return state.change(topic, lambda m: commit(m, c), blobs(m, attempt, number))


def published(m: Manifest, number: int, owner: str, topic_version: str = "") -> Transition:
    """Cover epoch ``number`` for every readable fingerprint, by runs of owner ``<owner>.<fingerprint>``."""
    epoch = next(e for e in m.epochs if e.number == number)
    ledger = tuple(
        Entry(p, low, up, used=up - low) for p, (low, up) in enumerate(zip(epoch.lower, epoch.upper, strict=True))
    )
    runs = tuple(
        Run(f"{owner}.{fingerprint}", fingerprint, number, number, (0, 5)) for fingerprint in sorted(m.readable)
    )
    return lambda m: publish(m, Published(number, runs, owner, ledger, topic_version))


def listed(m: Manifest) -> set[tuple[str, str]]:
    """The blobs, as (kind, owner), that a manifest lists and that this module stores."""
    sealed = {owner for e in m.epochs for owner in (e.owner, *(o.owner for o in e.others))} - {""}
    absorbed = {s.attempt for s in m.slices} - {"sealed"}
    found = {(kind, owner) for owner in sealed | absorbed for kind in ("ids", "dead")}
    found |= {(f"cells:{fingerprint}", b.owner) for b in m.blocks for fingerprint in b.fingerprints}
    return found | {(f"cells:{r.fingerprint}", r.owner) for r in m.runs}


def contents(state: State, addresses: Iterable[tuple[str, str]], topic: str = TOPIC) -> dict[tuple[str, str], pa.Table]:
    """Load blobs by (kind, owner)."""
    return {(kind, owner): pa.table(state.load(topic, kind, [owner])[owner]) for kind, owner in addresses}
