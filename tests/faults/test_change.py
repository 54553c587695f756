"""Crashes and races of apply and swap: every crash is finished by the next one, and of two changes one wins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import watersmeet as wm
from tests.layers.plan.sums import app, filled, summed
from tests.layers.plan.world import Crash, World, crash, interrupted, topic
from watersmeet.core.catalogue import Catalogue
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import ConflictError, RequestError
from watersmeet.layers import plan as planning

pytestmark = pytest.mark.unit

DAY_S = 86_400


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def grown(world: World) -> None:
    """A world with something of everything to change: cells, a version, a new topic."""
    world.apply(collect([summed(topic()), wm.View("two", topic=topic("two"), measures={"n": wm.sum("v")})]))
    filled(world)
    world.append((1, 4), name="two")
    world.absorb("two")


def proposal() -> Declarations:
    two = wm.View("two", topic=topic("two", "v % 2 = 0"), measures={"n": wm.sum("v")})
    three = wm.View("three", topic=topic("three"), measures={"n": wm.sum("v")})
    return collect([summed(least=5), two, three])


def finished(world: World) -> Catalogue:
    world.settle()
    world.check()
    assert world.applied.pending == ()
    return world.catalogue


def test_a_crash_at_any_step_of_an_apply_is_finished_by_applying_again(tmp_path: Path) -> None:
    hit, crashed = 0, True
    while crashed:
        world = World(tmp_path / str(hit))
        grown(world)
        crashed = False
        try:
            with interrupted(hit, crash):
                world.apply(proposal())
        except Crash:
            crashed = True
        world.check()
        world.apply(proposal())
        world.check()
        c = finished(world)
        assert set(c.served) == {"sums", "two", "three"}
        assert c.served == c.applied
        world.close()
        hit += 1
    assert hit > 12, "there are at least that many steps"


def test_a_crash_at_any_step_of_a_swap_is_finished_by_the_next_one(tmp_path: Path) -> None:
    hit, crashed = 0, True
    while crashed:
        world = World(tmp_path / str(hit))
        grown(world)
        world.apply(proposal())
        world.clock.advance(1)
        crashed = False
        try:
            with interrupted(hit, crash):
                world.settle()
                world.clock.advance(2 * DAY_S)
                world.settle()
        except Crash:
            crashed = True
        world.check()
        finished(world)
        world.close()
        hit += 1
    assert hit > 8, "there are at least that many steps"


def test_of_two_applies_one_wins_and_the_other_is_told_and_leaves_nothing(world: World) -> None:
    world.apply(app())
    filled(world)
    one, two = world.plan(app(least=5)), world.plan(collect([topic("late"), summed(least=6)]))
    planning.apply(one, world.state, world.log, world.clock)
    with pytest.raises(ConflictError, match="watersmeet plan"):
        planning.apply(two, world.state, world.log, world.clock)
    assert world.applied.declarations == app(least=5)
    with pytest.raises(RequestError, match="late"):
        world.log.partitions("late")


@pytest.mark.parametrize("hit", range(6))
def test_of_two_applies_at_the_same_time_one_wins(world: World, hit: int) -> None:
    """The other one comes at any step of the first: up to the compare-and-set it wins, afterwards it is refused."""
    world.apply(app())
    filled(world)
    one, two = world.plan(app(least=5)), world.plan(app(least=6))
    lost = []

    def attempt(plan: planning.Plan) -> None:
        try:
            planning.apply(plan, world.state, world.log, world.clock)
        except ConflictError:
            lost.append(plan)

    with interrupted(hit, lambda: attempt(two)):
        attempt(one)
    assert lost == [one if hit < 5 else two]
    assert world.applied.declarations == (two if hit < 5 else one).proposed
    finished(world)


def test_a_swap_that_another_one_overtakes_looks_again(world: World) -> None:
    world.apply(app())
    filled(world)
    world.apply(app(least=5))
    world.archive()
    while world.publish("numbers", world.publication()):
        pass
    with interrupted(0, world.swap):
        assert world.swap() == ()


def test_a_swap_between_plan_and_apply_is_no_conflict(world: World) -> None:
    world.apply(app())
    filled(world)
    world.apply(app(least=5))
    plan = world.plan(app(least=6))
    world.batch()
    assert planning.apply(plan, world.state, world.log, world.clock).pending == ("sums",)


def test_a_swap_during_an_apply_is_no_conflict(world: World) -> None:
    world.apply(app())
    filled(world)
    world.apply(app(least=5))
    world.archive()
    while world.publish("numbers", world.publication()):
        pass
    plan = world.plan(app(least=6))
    with interrupted(4, world.swap):  # right before the compare-and-set
        planning.apply(plan, world.state, world.log, world.clock)
    assert world.applied.declarations == app(least=6)
    assert world.applied.served.views["sums"] == summed(least=5)
    finished(world)
