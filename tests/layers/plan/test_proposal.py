"""A plan says what an apply would do, changes nothing, and refuses what cannot be applied."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

import watersmeet as wm
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import DeclarationError
from watersmeet.core.topic import Topic
from watersmeet.layers import plan as planning
from watersmeet.layers.plan import Facts, remember_rate

from .world import World, topic

pytestmark = pytest.mark.unit


def app(numbers: Topic | None = None, **more: object) -> Declarations:
    declared = {"measures": {"total": wm.sum("v")}, "window": wm.tumbling("5m"), **more}
    return collect([wm.View("sums", topic=numbers or topic(), **declared)])  # type: ignore[arg-type]  # any field


def busy(world: World) -> None:
    """3 epochs of 4 records, 2 records open; 100 s between the first seal and now."""
    world.apply(app())
    for epoch in range(3):
        world.append(*((4 * epoch + i, i) for i in range(4)))
        world.absorb()
        world.roll()
    world.batch()
    world.append((100, 1), (101, 1))
    world.absorb()
    world.clock.advance(100)


def test_the_first_plan(world: World) -> None:
    plan = world.plan(app())
    assert plan.lines() == [
        "+ topic numbers",
        "+ view sums: new cells, and no history to compute",
        "create topic numbers with 1 partition",
    ]
    assert (plan.base, plan.number, plan.pending) == ("", 0, ())


def test_a_plan_that_changes_nothing_says_so(world: World) -> None:
    world.apply(app())
    plan = world.plan(app())
    assert plan.changes == ()
    assert plan.lines() == ["no changes"]
    assert plan.unchanged == ("sums", "topic/numbers")


def test_planning_changes_nothing(world: World) -> None:
    busy(world)
    watching = world.state.token()
    world.plan(app(topic(check="v % 2 = 0")))
    assert world.state.token() == watching


def test_presentation_is_told_from_cells(world: World) -> None:
    busy(world)
    assert world.plan(app(measures={"everything": wm.sum("v")})).lines() == [
        "~ view sums: presentation only, keeps its cells: recomputes nothing",
        "    measures total renamed everything",
    ]


def test_new_cells_are_counted_and_timed(world: World) -> None:
    busy(world)
    plan = world.plan(app(window=wm.tumbling("1m")))
    assert plan.lines() == [
        "~ view sums: new cells, served once their history is computed",
        "    window 5m -> 1m",
        "compute 4 epochs of numbers: about 14 records, 0 s at 250,000 records/s (assumed)",
    ]
    assert plan.pending == ("sums",)
    remember_rate(world.state, "numbers", 14, 7.0)
    assert world.plan(app(window=wm.tumbling("1m"))).lines()[-1] == (
        "compute 4 epochs of numbers: about 14 records, 7 s at 2 records/s (measured)"
    )


def test_a_new_topic_version_is_told(world: World) -> None:
    busy(world)
    plan = world.plan(app(topic(check="v % 2 = 0", horizon="1h")))
    assert plan.lines() == [
        "~ topic numbers: a new topic version: every record is decided anew, the old one is served until then",
        "    check odd_one added",
        "    horizon none -> 1h",
        "~ view sums: new cells, served once their history is computed",
        "    records of numbers are decided anew",
        "compute 4 epochs of numbers: about 14 records, 0 s at 250,000 records/s (assumed)",
        "note: topic numbers remembers ids: 0.1 records/s x 1h x 24 bytes = 8.64 kB",
    ]


def test_what_is_left_of_an_earlier_apply_is_told(world: World) -> None:
    busy(world)
    world.apply(app(window=wm.tumbling("1m")))
    assert world.plan(app(window=wm.tumbling("1m"))).lines() == [
        "no changes",
        "compute 4 epochs of numbers: about 14 records, 0 s at 250,000 records/s (assumed)",
    ]


def test_a_removed_view_costs_nothing(world: World) -> None:
    busy(world)
    assert world.plan(Declarations()).lines() == ["- topic numbers", "- view sums"]


def test_the_json_keeps_its_shape(world: World) -> None:
    busy(world)
    found = world.plan(app(topic(check="v % 2 = 0"))).as_dict()
    assert json.loads(json.dumps(found)) == {
        "format": 1,
        "base": world.catalogue.declarations,
        "number": 1,
        "changes": [
            {
                "kind": "topic",
                "name": "numbers",
                "action": "changed",
                "effect": "outcomes",
                "parts": ["check odd_one added"],
            },
            {
                "kind": "view",
                "name": "sums",
                "action": "changed",
                "effect": "cells",
                "parts": ["records of numbers are decided anew"],
            },
        ],
        "unchanged": [],
        "creates": [],
        "pending": ["sums"],
        "backfills": [
            {
                "topic": "numbers",
                "epochs": 4,
                "records": 14,
                "seconds": 14 / 250_000,
                "rate": 250_000.0,
                "measured": False,
            }
        ],
        "held": [],
        "notes": ["topic numbers remembers ids: 0.1 records/s x 7d x 24 bytes = 1.45 MB"],
    }


def test_errors_of_the_engine_come_through(world: World) -> None:
    class Refuses:
        def bind(self, declarations: Declarations) -> Mapping[str, Mapping[str, str]]:
            raise DeclarationError("measure 'total' of view sums", got="a sum of text", where="app.py:7")

    with pytest.raises(DeclarationError, match=r"app\.py:7"):
        planning.plan(app(), world.state, world.log, Refuses(), world.clock)


def test_partitions_cannot_change(world: World) -> None:
    world.apply(app())
    with pytest.raises(DeclarationError, match="expected 1, as it was created; got 3"):
        world.plan(app(topic(partitions=3)))


def test_ids_that_take_too_much_memory_are_refused_naming_a_horizon_that_fits(world: World) -> None:
    facts = Facts(records_per_second={"numbers": 100_000.0})
    with pytest.raises(DeclarationError) as refused:
        world.plan(app(topic(horizon="7d")), facts=facts)
    assert refused.value.remedy == 'declare horizon="27m46s" or less'
    assert "1.45 TB" in str(refused.value)
    notes = world.plan(app(topic(horizon="27m46s")), facts=facts).notes
    assert notes == ("topic numbers remembers ids: 1e+05 records/s x 27m46s x 24 bytes = 4 GB",)


def test_a_topic_that_does_not_change_is_not_refused_because_it_became_busy(world: World) -> None:
    world.apply(app(topic(horizon="7d")))
    facts = Facts(records_per_second={"numbers": 100_000.0})
    assert world.plan(app(topic(horizon="7d"), where="v > 1"), facts=facts).notes == ()


def test_a_log_that_deletes_too_early_is_refused(world: World) -> None:
    hour_us = 3_600_000_000
    with pytest.raises(DeclarationError, match="at least 2d6h"):
        world.plan(app(), facts=Facts(log_retention_us={"numbers": 53 * hour_us}))
    assert world.plan(app(), facts=Facts(log_retention_us={"numbers": 54 * hour_us, "others": 0})).changes


def test_a_view_that_grows_with_its_keys_is_told(world: World) -> None:
    plan = world.plan(app(window=None, dimensions=["k"]), facts=Facts(keys={"sums": 3}))
    assert plan.notes == (
        "view sums (all time): holds 3 keys now, about 192 bytes; its size follows the number of keys; "
        "it grows for ever, expire= would end a silent key's history",
    )


def test_a_topic_whose_row_functions_are_gone_is_told(world: World) -> None:
    make = wm.function(version=1, returns="integer")

    def score(values: object) -> object:
        return values

    one = make(score)  # type: ignore[arg-type]  # never called
    scored = topic(compute={"s": "score(v)"}, functions=[one])
    world.apply(app(scored))
    plan = world.plan(app(replace(scored, functions=[replace(one, source_hash="0")])))
    assert plan.held == ("numbers",)
    assert plan.notes == ("topic numbers counts nothing new until then: its old row functions are not in the files",)


def test_what_is_used_must_be_declared(world: World) -> None:
    found = replace(app(), topics={})
    with pytest.raises(DeclarationError, match="topic numbers among the declarations"):
        world.plan(found)
    with pytest.raises(DeclarationError, match="the same one"):
        world.plan(replace(app(), topics={"numbers": topic(check="v % 2 = 0")}))
