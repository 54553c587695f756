"""Exclusions come and go through plan and apply, and no file takes them away by saying nothing."""

from __future__ import annotations

import pytest

import watersmeet as wm
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import DeclarationError, RequestError
from watersmeet.core.topic import Exclusion
from watersmeet.layers import plan as planning

from .world import World, topic

pytestmark = pytest.mark.unit

RULE = Exclusion("test records", where="v = 6")
ORIGIN = Exclusion("superseded", positions=((0, 1),))


def files() -> Declarations:
    return collect([wm.View("sums", topic=topic(), measures={"n": wm.sum("v")})])


def put(world: World, proposed: Declarations) -> planning.Applied:
    plan = world.plan(proposed, exclusions=True)
    return planning.apply(plan, world.state, world.log, world.clock)


def test_an_exclusion_is_a_new_topic_version_like_any_other(world: World) -> None:
    before = world.apply(files())
    plan = world.plan(planning.exclude(before, "numbers", RULE), exclusions=True)
    (change, *_) = plan.changes
    assert (change.name, change.effect) == ("numbers", "outcomes")
    found = planning.apply(plan, world.state, world.log, world.clock)
    assert found.declarations.topics["numbers"].exclusions == (RULE,)
    assert found.declarations.views["sums"].topic.exclusions == (RULE,)


def test_files_keep_what_is_excluded(world: World) -> None:
    found = put(world, planning.exclude(world.apply(files()), "numbers", RULE))
    assert world.plan(files()).changes == ()
    found = world.apply(collect([*files().views.values(), wm.View("n", topic=topic(), measures={"n": wm.count()})]))
    assert found.declarations.topics["numbers"].exclusions == (RULE,)


def test_what_is_excluded_is_lifted_again(world: World) -> None:
    found = put(world, planning.exclude(world.apply(files()), "numbers", RULE))
    found = put(world, planning.exclude(found, "numbers", ORIGIN))
    assert found.declarations.topics["numbers"].exclusions == (RULE, ORIGIN)
    found = put(world, planning.lift(found, "numbers", RULE))
    assert found.declarations.topics["numbers"].exclusions == (ORIGIN,)
    found = put(world, planning.lift(found, "numbers", ORIGIN))
    assert found.declarations == files()


def test_several_go_and_come_at_once(world: World) -> None:
    found = put(world, planning.exclude(world.apply(files()), "numbers", RULE, ORIGIN, RULE))
    assert found.declarations.topics["numbers"].exclusions == (RULE, ORIGIN)
    assert put(world, planning.lift(found, "numbers", ORIGIN, RULE)).declarations == files()


def test_excluding_twice_is_excluding_once(world: World) -> None:
    found = put(world, planning.exclude(world.apply(files()), "numbers", RULE))
    assert planning.exclude(found, "numbers", RULE) == found.declarations


def test_files_may_not_exclude_by_hand(world: World) -> None:
    by_hand = collect([wm.View("sums", topic=topic(exclusions=(RULE,)), measures={"n": wm.sum("v")})])
    with pytest.raises(DeclarationError, match="watersmeet exclude"):
        world.plan(by_hand)


@pytest.mark.parametrize(
    ("exclusion", "says"),
    [
        (Exclusion("both", "v = 1", ((0, 1),)), "one of them"),
        (Exclusion("neither"), "one of them"),
        (Exclusion("", "v = 1"), "a reason"),
        (Exclusion("elsewhere", positions=((1, 1),)), "partition 0 to 0"),
        (Exclusion("before", positions=((0, -1),)), "offset from 0"),
    ],
)
def test_an_exclusion_of_nothing_is_refused(world: World, exclusion: Exclusion, says: str) -> None:
    found = world.apply(files())
    with pytest.raises(RequestError, match=says):
        planning.exclude(found, "numbers", exclusion)


def test_a_condition_must_be_sql_over_the_topic(world: World) -> None:
    found = world.apply(files())
    with pytest.raises(DeclarationError, match="'v'"):
        planning.exclude(found, "numbers", Exclusion("why", where="vv = 1"))
    with pytest.raises(RequestError, match="numbers"):
        planning.exclude(found, "number", RULE)


def test_only_what_is_excluded_can_be_lifted(world: World) -> None:
    found = world.apply(files())
    with pytest.raises(RequestError, match="there is none"):
        planning.lift(found, "numbers", RULE)
    found = put(world, planning.exclude(found, "numbers", RULE))
    with pytest.raises(RequestError, match="test records"):
        planning.lift(found, "numbers", ORIGIN)
