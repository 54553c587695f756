"""What processes run is read from the state alone, and costs one small read while nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import watersmeet as wm
from tests.layers.plan.world import World, topic
from watersmeet.core.applied import applied
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import CorruptError, RequestError

pytestmark = pytest.mark.unit


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


def app(least: int = 0) -> Declarations:
    view = wm.View("sums", topic=topic(), measures={"n": wm.sum("v", where=f"v > {least}")})
    return collect([view, wm.Table("sums", of=view), wm.Alert("sums", of=view, when="n > 1")])


def test_before_the_first_apply_there_is_nothing(world: World) -> None:
    assert applied(world.state) is None


def test_it_is_the_same_object_until_something_changes(world: World) -> None:
    world.apply(app())
    first = applied(world.state)
    assert first is not None
    world.append((1, 1))
    world.absorb()
    assert applied(world.state, last=first) is first
    world.apply(app(least=3))
    second = applied(world.state, last=first)
    assert second is not None
    assert second is not first
    assert second.sets[first.catalogue.declarations] is first.declarations, "what is known is not read again"


def test_while_a_change_is_pending_both_cells_are_made(world: World) -> None:
    world.apply(app())
    world.append((1, 1))
    world.absorb()
    found = world.apply(app(least=3))
    number, by, specs = found.absorbs("numbers")
    assert (number, by) == (world.manifest().declaration, topic())
    assert {spec.fingerprint for spec in specs} == world.manifest().readable
    assert {spec.fingerprint for spec in specs} == {app(least).views["sums"].cells.fingerprint for least in (0, 3)}
    assert found.recomputes("numbers") == ((number, by, specs),)


def test_tables_and_alerts_follow_what_is_served(world: World) -> None:
    world.apply(app())
    world.append((1, 1))
    world.absorb()
    found = world.apply(app(least=3))
    old = app().views["sums"]
    assert found.served.tables["sums"].of == found.served.alerts["sums"].of == found.served.views["sums"] == old
    assert found.declarations.tables["sums"].of == app(least=3).views["sums"]
    assert found.pending == ("alert sums", "sums", "table sums")


def test_cells_that_only_a_table_reads_are_made_too(world: World) -> None:
    inner = wm.View("inner", topic=topic(), measures={"n": wm.count()})
    found = world.apply(collect([topic(), wm.Table("published", of=inner.at(None))]))
    assert [spec.fingerprint for spec in found.absorbs("numbers")[2]] == [inner.cells.fingerprint]


def test_an_unknown_topic_is_refused(world: World) -> None:
    with pytest.raises(RequestError, match="numbers"):
        world.apply(app()).absorbs("number")


def test_a_catalogue_without_its_declarations_is_corrupt(world: World) -> None:
    found = world.apply(app())
    world.state.put("declarations", found.catalogue.declarations, None)
    with pytest.raises(CorruptError, match=found.catalogue.declarations):
        applied(world.state)
