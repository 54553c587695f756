"""The lambda law: batch(prefix) merged with speed(rest) = reference(whole), whatever happens on the way.

For every log, every cut of it into slices and epochs, every frontier, every order of arrival, every crash, roll,
publication, compaction and sweep. Where copies of an id differ in content or partition, "reference" means the reference
over the same slices; where they are identical, over the whole log at once.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given

from watersmeet.core import manifest
from watersmeet.core.ledger import total
from watersmeet.core.manifest import Manifest, cover
from watersmeet.engines import reference
from watersmeet.engines.columnar.engine import ColumnarEngine

from .columnar import ColumnarKit
from .model import Kit, Layers, ReferenceKit, interval
from .worlds import World, cases, worlds

pytestmark = pytest.mark.unit


def fates(kit: ReferenceKit, layers: Layers) -> list[reference.Fate]:
    """What the reference makes of the same slices, from nothing."""
    lower = layers.m.start
    slices = []
    for upper in layers.uppers:
        slices.append(interval(layers.world.records, lower, upper))
        lower = upper
    return kit.fates(slices, {})


def each_slice_once(m: Manifest, fingerprint: str) -> None:
    """An answer takes every slice from one layer: never both, never neither without saying so."""
    found = cover(m, fingerprint)
    spans = {e.number: range(e.first, e.last + 1) for e in m.epochs}
    taken = [sequence for run in found.runs for e in range(run.first, run.last + 1) for sequence in spans[e]]
    taken += [sequence for block in found.blocks for sequence in range(block.first, block.last + 1)]
    owed = set(range(m.next_sequence))
    lost = {s for e in found.missing if e in spans for s in spans[e]} | {
        s.sequence for s in m.slices if s.epoch == m.open_epoch and m.open_epoch in found.missing
    }
    assert len(taken) == len(set(taken)), "a slice counts twice"
    assert owed - lost <= set(taken) <= owed, "a slice is missing without saying so"


def ledger_balances(layers: Layers, expected: Iterable[reference.Fate]) -> None:
    """Every record below the frontier has one outcome, and it is the reference's."""
    m = layers.m
    bare = {e.number for e in m.epochs if e.unabsorbed and not e.owner}
    entries = [entry for e in m.epochs for entry in e.ledger]
    entries += [entry for s in m.slices if s.epoch == m.open_epoch for entry in s.ledger]
    found = total(entries)
    assert found.balanced
    assert bare or found.received == sum(m.frontier)
    for word, count in (("used", found.used), ("duplicate", found.duplicates), ("dead", found.dead)):
        assert bare or count == sum(fate.outcome == word for fate in expected)


def check(layers: Layers, kit: ReferenceKit) -> None:
    """The law, at any moment."""
    m = layers.m
    for fp in m.readable:
        each_slice_once(m, fp)
    expected = fates(kit, layers)
    ledger_balances(layers, expected)
    upto = max((t for t in m.event_times if t is not None), default=None)
    for view in layers.served():
        covers = {spec.fingerprint: cover(m, spec.fingerprint) for spec in view.specs}
        if any(found.missing for found in covers.values()):
            continue
        cells = {fp: layers.cells(fp, found) for fp, found in covers.items()}
        whole = {spec.fingerprint: [kit.lift(spec, expected)] for spec in view.specs}
        assert layers.kit.answer(view, cells, upto) == kit.answer(view, whole, upto), view.name


ENGINE = ColumnarEngine(threads=1)


@cases(100, 5000)
@given(worlds())
def test_batch_and_speed_merged_are_the_reference_over_the_same_slices(world: World) -> None:
    kit = ReferenceKit(world)
    Layers(world, kit, lambda layers: check(layers, kit)).run()


@cases(5, 400)
@given(worlds(chosen=2))
def test_and_so_they_are_with_the_columnar_engine(world: World) -> None:
    oracle = ReferenceKit(world, finished=True)
    Layers(world, ColumnarKit(ENGINE, world.topic), lambda layers: check(layers, oracle)).run()


def check_whole(layers: Layers, kit: ReferenceKit) -> None:
    """The law for identical copies: the reference knows of no slices."""
    layers.run()
    layers.take(("flush",))
    m = layers.m
    whole = kit.fates([interval(layers.world.records, m.start, m.frontier)], {})
    upto = max((t for t in m.event_times if t is not None), default=None)
    for view in layers.served():
        cells = {spec.fingerprint: layers.cells(spec.fingerprint, cover(m, spec.fingerprint)) for spec in view.specs}
        expected = {spec.fingerprint: [kit.lift(spec, whole)] for spec in view.specs}
        assert layers.kit.answer(view, cells, upto) == kit.answer(view, expected, upto), view.name


def build(world: World, kit: Kit) -> Layers:
    return Layers(world, kit, lambda layers: None)


@cases(100, 5000)
@given(worlds(same=True))
def test_of_identical_copies_no_cut_can_be_seen(world: World) -> None:
    kit = ReferenceKit(world)
    check_whole(build(world, kit), kit)


@cases(5, 400)
@given(worlds(same=True, chosen=2))
def test_nor_can_it_with_the_columnar_engine(world: World) -> None:
    check_whole(build(world, ColumnarKit(ENGINE, world.topic)), ReferenceKit(world, finished=True))


@cases(30, 1000)
@given(worlds())
def test_after_everything_is_published_nothing_is_missing(world: World) -> None:
    layers = build(world, ReferenceKit(world))
    layers.run()
    layers.take(("flush",))
    for fp in layers.m.readable:
        assert cover(layers.m, fp).missing == ()
        assert manifest.covered(layers.m, fp) == {e.number for e in layers.m.epochs}
