"""Estimates: counted where they can be, measured where they were, and said to be assumed where not."""

from __future__ import annotations

import pytest

import watersmeet as wm
from watersmeet.core.catalogue import Duty
from watersmeet.core.ledger import Outcome
from watersmeet.core.manifest import Block, Epoch, Gap, Manifest, Run, Slice
from watersmeet.layers.plan import remember_rate, workload

from .world import START_US, World, topic

pytestmark = pytest.mark.unit

#  epoch 0: 100 records, covered by a run of a     epoch 1: 50, in a block of a     open: 7, in a block of a
MANIFEST = Manifest(
    "numbers",
    version=9,
    open_epoch=2,
    topic_version="now",
    start=(0,),
    frontier=(157,),
    slices=(Slice(2, "s2", 2, (150,), (157,)),),
    blocks=(Block("s1", 1, 1, 1, frozenset("a")), Block("s2", 2, 2, 2, frozenset("a"))),
    epochs=(
        Epoch(0, (0,), (100,), 0, 0, START_US, owner="b0"),
        Epoch(1, (100,), (150,), 1, 1, START_US + 60_000_000),
    ),
    runs=(Run("r", "a", 0, 0),),
)


def duty(*readable: str, waiting: str = "") -> Duty:
    return Duty(1, "d", "now", readable, waiting)


def test_what_is_covered_or_held_is_not_computed_again(world: World) -> None:
    assert workload.backfill(world.state, MANIFEST, duty("a")) is None


def test_a_new_fingerprint_owes_every_epoch_and_the_open_one(world: World) -> None:
    found = workload.backfill(world.state, MANIFEST, duty("a", "b"))
    assert found is not None
    assert (found.epochs, found.records, found.measured) == (3, 157, False)
    assert found.seconds == 157 / workload.ASSUMED_RECORDS_PER_SECOND


def test_a_waiting_version_owes_the_epochs_that_it_has_not_decided(world: World) -> None:
    decided = Outcome("next", "b", ())
    epochs = (MANIFEST.epochs[0].__class__(0, (0,), (100,), 0, 0, START_US, owner="b0", others=(decided,)),)
    m = Manifest("numbers", version=9, topic_version="now", epochs=(*epochs, *MANIFEST.epochs[1:]), frontier=(150,))
    found = workload.backfill(world.state, m, duty(waiting="next"))
    assert found is not None
    assert (found.epochs, found.records) == (1, 50)


def test_what_is_lost_is_not_owed() -> None:
    m = Manifest("numbers", epochs=MANIFEST.epochs, gaps=(Gap(0, "why", lost=True), Gap(1, "why")), open_epoch=2)
    assert workload.owed_epochs(m, ["b"]) == {1}


def test_the_rate_of_earlier_runs_is_remembered_and_older_ones_fade(world: World) -> None:
    remember_rate(world.state, "numbers", 1000, 1.0)
    found = workload.backfill(world.state, MANIFEST, duty("b"))
    assert found is not None
    assert (found.rate, found.measured, found.seconds) == (1000, True, 0.157)
    remember_rate(world.state, "numbers", 4000, 0.5)
    found = workload.backfill(world.state, MANIFEST, duty("b"))
    assert found is not None
    assert found.rate == 4500


def test_arrivals_are_counted_from_the_first_seal_on() -> None:
    #  sealed at 0 s: 100 records │ 57 more until 120 s
    assert workload.arrival_rate(MANIFEST, START_US + 120_000_000) == 57 / 120
    assert workload.arrival_rate(MANIFEST, START_US + 59_000_000) is None
    assert workload.arrival_rate(Manifest("numbers"), START_US) is None


def test_memory_of_ids_is_rate_times_horizon_times_bytes() -> None:
    week = topic(horizon="7d")
    assert workload.id_bytes(week, 1000.0) == 1000 * 7 * 86_400 * 24
    assert workload.id_bytes(wm.Topic("t", schema={"v": "integer"}), 1000.0) == 0
    longest = workload.longest_horizon(1000.0, 24_000 * 3600)
    assert longest == "1h"
    assert workload.id_bytes(topic(horizon=longest), 1000.0) == 24_000 * 3600


def view(**more: object) -> wm.View:
    return wm.View("v", topic=topic(), measures={"n": wm.count()}, **more)  # type: ignore[arg-type]  # any field


def test_the_size_of_a_view_is_told_with_and_without_expire() -> None:
    # A cell: pane, one dimension, one partial, at 16 bytes each.
    without = workload.growth(view(dimensions=["k"]), 10.0, None)
    assert without == (
        "view v (all time): at most 864,000 keys more each day, about 41.5 MB; "
        "it grows for ever, expire= would end a silent key's history"
    )
    within = workload.growth(view(dimensions=["k"], expire="30d"), 10.0, 5)
    assert within == (
        "view v (all time): holds 5 keys now, about 240 bytes; at most 25,920,000 keys within 30d, about 1.24 GB"
    )
    unknown = workload.growth(view(dimensions=["k"], window=wm.session("1h"), expire="1d"), None, None)
    assert unknown == "view v (sessions with a gap of 1h): its size follows the number of keys"


def test_a_view_that_does_not_grow_with_its_keys_is_not_mentioned() -> None:
    assert workload.growth(view(dimensions=["k"], window=wm.tumbling("5m")), 10.0, None) is None
    assert workload.growth(view(), 10.0, None) is None


@pytest.mark.parametrize(
    ("bytes_", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (4e9, "4 GB"), (2.5e13, "25 TB")]
)
def test_bytes_are_told_as_people_read_them(bytes_: float, text: str) -> None:
    assert workload.amount(bytes_) == text
