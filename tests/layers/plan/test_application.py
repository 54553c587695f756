"""Applying, swapping and rolling back: what is served never jumps."""

from __future__ import annotations

import pytest

import watersmeet as wm
from watersmeet.core import manifest
from watersmeet.core.catalogue import Edition
from watersmeet.core.declarations import collect
from watersmeet.core.errors import DeclarationError, RequestError
from watersmeet.layers import plan as planning

from .sums import app, filled, scored, summed, total
from .world import START_US, World, topic

pytestmark = pytest.mark.unit

DAY_S = 86_400


# -- the first apply


def test_on_empty_topics_everything_is_served_at_once(world: World) -> None:
    found = world.apply(app())
    assert found.pending == ()
    assert set(found.catalogue.served) == {"sums"}
    assert world.log.partitions("numbers") == 1
    m = world.manifest()
    assert m.declaration == found.catalogue.duties["numbers"].number == found.number
    assert m.readable == {summed().cells.fingerprint}
    assert m.topic_version == topic().version


def test_a_log_that_was_there_before_begins_where_it_begins(world: World) -> None:
    world.log.create("numbers", 1)
    assert world.apply(app()).pending == ()
    assert world.manifest().start == world.log.start("numbers") == (0,)


def test_the_log_is_told_how_long_a_topic_is_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    told, create = [], world.log.create

    def note(name: str, partitions: int, retention_us: int | None = None) -> None:
        told.append((name, partitions, retention_us))
        create(name, partitions, retention_us)

    monkeypatch.setattr(world.log, "create", note)
    world.apply(app())
    assert told == [("numbers", 1, topic().retention_us)]


def test_applying_the_same_again_changes_nothing(world: World) -> None:
    before = world.apply(app())
    m = world.manifest()
    world.clock.advance(60)
    again = world.apply(app())
    assert again.catalogue == before.catalogue
    assert world.manifest() == m


def test_a_lost_catalogue_is_made_anew_above_the_numbers_that_were_given(world: World) -> None:
    world.apply(app())
    world.state.change("numbers", lambda m: manifest.declare(m, 40, m.readable, START_US))
    world.state.put("catalogue", "current", None)
    assert world.apply(app()).number == 41 == world.manifest().declaration


# -- a change that keeps its cells


def test_a_change_of_presentation_recomputes_nothing_and_is_served_at_once(world: World) -> None:
    world.apply(app())
    filled(world)
    before, was = world.manifest(), total(world)
    found = world.apply(app(column="everything"))
    assert found.pending == ()
    assert found.served.views["sums"].columns[-1] == "everything"
    assert world.manifest() == before
    assert total(world) == was
    assert world.publication() is None


def test_another_reading_of_the_same_cells_is_served_at_once(world: World) -> None:
    world.apply(app())
    filled(world)
    more = wm.Query("doubled", inputs={"s": summed()}, key=["x"], sql="select total * 2 as x from s")
    assert world.apply(collect([summed(), more])).pending == ()


def test_a_setting_of_a_topic_takes_effect_at_a_roll_and_recomputes_nothing(world: World) -> None:
    world.apply(app())
    filled(world)
    epochs = len(world.manifest().epochs)
    found = world.apply(app(topic(lateness="3h")))
    assert found.pending == ()
    assert len(world.manifest().epochs) == epochs + 1
    assert found.absorbs("numbers")[1].lateness == "3h"
    assert world.manifest().declaration == found.absorbs("numbers")[0]
    world.archive()
    published = world.publication()
    assert published is not None
    assert published.epoch == epochs, "only the epoch that the roll has just sealed"


# -- a change of cells


def test_new_cells_are_pending_until_their_history_is_covered(world: World) -> None:
    world.apply(app())
    filled(world)
    was = total(world)
    found = world.apply(app(least=5))
    assert found.pending == ("sums",)
    assert found.declarations.views["sums"] == summed(least=5)
    assert found.served.views["sums"] == summed()
    assert total(world) == was
    world.append((101, 30))
    assert world.absorb()
    assert total(world) == was + 30, "what is served goes on while the new cells are computed"
    world.batch()
    assert world.applied.pending == ()
    world.check()
    assert world.applied.served.views["sums"] == summed(least=5)


def test_one_epoch_that_is_missing_keeps_a_name_where_it_is(world: World) -> None:
    world.apply(app())
    filled(world, epochs=3)
    world.apply(app(least=5))
    world.archive()
    for _ in range(3):
        assert world.publish("numbers", world.publication())
        assert world.swap() == ("sums",)
    assert world.publish("numbers", world.publication())
    assert world.swap() == ()


def test_a_new_name_is_known_but_pending_and_its_table_waits(world: World) -> None:
    world.apply(app())
    filled(world)
    big = wm.View("big", topic=topic(), measures={"n": wm.sum("v", where="v > 5")})
    found = world.apply(collect([summed(), big, wm.Table("big", of=big), wm.Alert("big", of=big, when="n > 1")]))
    assert found.pending == ("alert big", "big", "table big")
    assert found.served.views["big"] == big, "reading it finds that its cells are missing"
    assert (found.served.tables, found.served.alerts) == ({}, {})
    world.batch()
    assert set(world.applied.served.tables) == set(world.applied.served.alerts) == {"big"}


def test_a_removed_name_is_gone_at_once(world: World) -> None:
    more = wm.View("more", topic=topic(), measures={"n": wm.sum("v", where="v > 5")})
    world.apply(collect([summed(), more]))
    filled(world)
    found = world.apply(app())
    assert set(found.served.readables) == {"sums"}
    assert found.pending == ()


def test_an_epoch_that_is_lost_for_ever_is_not_waited_for(world: World) -> None:
    world.apply(app())
    world.append((1, 1))
    world.absorb()
    world.roll()
    world.state.change("numbers", lambda m: manifest.expire(m, 0, "the disk was full"))
    world.apply(app(least=5))
    assert world.applied.pending == ()


# -- rolling back


def back(world: World, keep: str = "24h") -> planning.Applied:
    return planning.rollback(world.state, world.clock, {}, keep=keep)


def test_rolling_back_serves_the_old_cells_at_once(world: World) -> None:
    world.apply(app())
    filled(world)
    world.apply(app(least=5))
    world.batch()
    world.append((105, 40))
    world.absorb()
    found = back(world)
    assert found.pending == ()
    assert found.declarations == app()
    assert world.publication() is None or world.publication().runs == ()  # type: ignore[union-attr]  # just asked
    world.check()
    found = back(world)
    assert found.pending == ()
    assert found.served.views["sums"] == summed(least=5), "and forward again"
    world.check()


def test_rolling_back_what_is_still_pending_leaves_what_is_served(world: World) -> None:
    world.apply(app())
    filled(world)
    was = world.answer("sums")
    world.apply(app(least=5))
    assert back(world).pending == ()
    assert world.answer("sums") == was
    with pytest.raises(RequestError, match="rollback"):
        back(world)


def test_what_was_there_before_is_dropped_once_its_time_is_over(world: World) -> None:
    world.apply(app())
    filled(world)
    world.apply(app(least=5))
    world.batch()
    old, new = summed().cells.fingerprint, summed(least=5).cells.fingerprint
    assert world.manifest().readable == {old, new}
    world.clock.advance(DAY_S - 1)
    world.swap()
    assert world.manifest().readable == {old, new}
    world.clock.advance(1)
    world.swap()
    assert world.manifest().readable == {new}
    assert {run.fingerprint for run in world.manifest().runs} == {new}
    with pytest.raises(RequestError) as refused:
        back(world)
    assert refused.value.kind == "gone"
    assert "watersmeet plan" in str(refused.value)


def test_the_time_to_go_back_begins_when_the_last_name_has_moved(world: World) -> None:
    world.apply(app())
    filled(world)
    world.apply(app(least=5))
    world.clock.advance(3 * DAY_S)
    world.batch()
    assert back(world).declarations == app()


def test_going_back_to_an_older_topic_version_computes_only_what_came_since(world: World) -> None:
    world.apply(app())
    filled(world)
    world.apply(app(topic(check="v % 2 = 0")))
    world.settle()
    done = len(world.manifest().epochs)
    world.append((106, 4), (107, 5))
    world.absorb()
    world.roll()
    found = back(world)
    assert found.pending == ("sums", "topic numbers")
    world.check()
    world.archive()
    epochs = []
    while published := world.publication():
        assert world.publish("numbers", published)
        if published.topic_version == topic().version:
            epochs.append(published.epoch)
    assert epochs == [done], "the epochs before were kept"
    world.settle()
    assert world.applied.pending == ()
    assert world.manifest().topic_version == topic().version
    world.check()


def test_nothing_is_gone_back_to_where_nothing_was(world: World) -> None:
    with pytest.raises(RequestError, match="nothing was ever applied"):
        back(world)
    world.apply(app())
    with pytest.raises(RequestError, match="none"):
        back(world)


def test_going_back_to_a_row_function_that_is_gone_names_it(world: World) -> None:
    world.apply(app(scored("aaaa")))
    world.apply(app(scored("bbbb")))
    with pytest.raises(DeclarationError, match="aaaa"):
        planning.rollback(world.state, world.clock, {"score": scored("bbbb").functions[0]})


def test_a_catalogue_keeps_no_edition_that_nobody_serves(world: World) -> None:
    """Whatever was applied before, its editions are gone from the catalogue when nothing refers to them."""
    for least in (1, 2, 3):
        world.apply(app(least=least))
    world.clock.advance(2 * DAY_S)
    world.swap()
    editions: list[Edition] = [*world.catalogue.served.values(), *world.catalogue.applied.values()]
    assert {e.declarations for e in editions} == {world.catalogue.declarations}
    assert world.catalogue.previous is None
