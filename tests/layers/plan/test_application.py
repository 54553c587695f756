"""Applying, swapping and rolling back: what is served never jumps, and every crash is finished by applying again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.core import manifest
from watersmeet.core.applied import applied
from watersmeet.core.catalogue import Catalogue, Edition
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import ConflictError, DeclarationError, PendingError, RequestError
from watersmeet.core.function import RowFunction
from watersmeet.core.topic import Topic
from watersmeet.layers import plan as planning

from .world import START_US, Crash, World, crash, interrupted, topic

pytestmark = pytest.mark.unit

DAY_S = 86_400


def summed(numbers: Topic | None = None, column: str = "total", least: int | None = None) -> wm.View:
    where = "" if least is None else f"v > {least}"
    return wm.View("sums", topic=numbers or topic(), measures={column: wm.sum("v", where=where)})


def app(numbers: Topic | None = None, column: str = "total", least: int | None = None) -> Declarations:
    return collect([summed(numbers, column, least)])


def shape(c: Catalogue) -> Catalogue:
    """A catalogue without the times at which things happened."""
    return replace(c, applied_us=0, settled_us=0, previous=None)


def total(world: World) -> int:
    (answer,) = world.answer("sums").values()
    return answer


def filled(world: World, *, epochs: int = 2) -> None:
    """Records in some sealed, published epochs and in the open one."""
    for _ in range(epochs):
        world.append((len(world.records.get("numbers", [])), 6), (0, 5))
        world.absorb()
        world.roll()
    world.batch()
    world.append((100, 7))
    world.absorb()


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


# -- a query and its inputs


def test_a_query_moves_together_with_all_its_inputs(world: World) -> None:
    def declared(least: int | None) -> Declarations:
        where = "" if least is None else f"v > {least}"
        views = [wm.View(n, topic=topic(n), measures={"x": wm.sum("v", where=where)}) for n in ("one", "two")]
        sql = "select a.x + b.x as x from a, b"
        return collect([*views, wm.Query("both", inputs={"a": views[0], "b": views[1]}, key=["x"], sql=sql)])

    world.apply(declared(None))
    for name in ("one", "two"):
        world.append((1, 3), (2, 8), name=name)
        world.absorb(name)
    world.apply(declared(5))
    old = {name: world.answer(name) for name in ("one", "two", "both")}
    world.batch("one")
    assert list(world.applied.pending) == ["both", "two"], "the first input is ready, the query is not"
    assert world.answer("one") != old["one"]
    assert world.answer("both") == old["both"], "it still rests on the old cells of both inputs"
    world.batch("two")
    assert list(world.applied.pending) == []
    assert list(world.answer("both").values()) == [8, 8]
    world.check()


# -- a new topic version


def test_a_new_topic_version_is_decided_anew_while_the_old_one_is_served(world: World) -> None:
    """time  ── T1 ──┤apply├── T1 goes on ──┤fence: nothing is absorbed├── T2 ──>"""
    world.apply(app())
    filled(world)
    old, new = topic(), topic(check="v % 2 = 0")
    found = world.apply(app(new))
    assert found.pending == ("sums", "topic numbers")
    assert found.absorbs("numbers")[1] == old
    assert [by for _, by, _ in found.recomputes("numbers")] == [old, new]
    world.append((102, 9))
    assert world.absorb()
    world.check()

    world.archive()
    while world.publish("numbers", world.publication()):
        pass
    world.swap()  # all that is sealed is decided: the fence closes the open epoch
    assert world.catalogue.duties["numbers"].held
    with pytest.raises(PendingError, match="new version"):
        world.applied.absorbs("numbers")
    assert not world.absorb()
    world.check()
    assert world.manifest().topic_version == old.version

    world.batch()  # the last epoch, by both versions, and the version comes into force
    assert world.applied.pending == ()
    assert world.manifest().topic_version == new.version
    assert world.applied.absorbs("numbers")[1] == new
    cells = {version: summed(version).cells.fingerprint for version in (old, new)}
    assert world.manifest().readable == {cells[new]}, "nobody waits for cells that are not made any more"
    assert {run.fingerprint for run in world.manifest().runs} == set(cells.values()), "but they are kept"
    world.check()
    world.append((0, 4), (200, 4))
    assert world.absorb()
    world.check()


def test_a_topic_that_no_view_reads_is_decided_anew_too(world: World) -> None:
    world.apply(collect([topic(), wm.Table("all_numbers", of=topic())]))
    filled(world)
    found = world.apply(collect([topic(check="v % 2 = 0"), wm.Table("all_numbers", of=topic(check="v % 2 = 0"))]))
    assert found.pending == ("topic numbers",)
    world.swap()
    assert not world.catalogue.duties["numbers"].held, "no epoch is decided yet"
    world.batch()
    assert world.applied.pending == ()
    assert world.manifest().topic_version == topic(check="v % 2 = 0").version
    world.check()


def test_a_topic_is_not_held_for_cells_that_another_one_has_still_to_compute(world: World) -> None:
    def declared(check: str, least: int) -> Declarations:
        views = [
            wm.View("one", topic=topic("one", check), measures={"x": wm.sum("v")}),
            wm.View("two", topic=topic("two"), measures={"x": wm.sum("v", where=f"v > {least}")}),
        ]
        sql = "select a.x + b.x as x from a, b"
        return collect([*views, wm.Query("both", inputs={"a": views[0], "b": views[1]}, key=["x"], sql=sql)])

    world.apply(declared("", 0))
    for name in ("one", "two"):
        world.append((1, 3), (2, 8), name=name)
        world.absorb(name)
    world.apply(declared("v % 2 = 0", 5))
    world.batch("one")
    world.append((3, 9), name="one")
    assert world.absorb("one"), "the first topic is decided, but the second is not computed yet"
    world.check()
    world.settle()
    world.check()
    assert world.applied.pending == ()


def test_ids_that_only_the_new_version_keeps_are_known_to_the_speed_layer(world: World) -> None:
    world.apply(app(topic(check="v % 2 = 0")))
    world.append((1, 3))  # dead by the old version, which so forgets its id
    world.absorb()
    world.apply(app(topic()))
    world.settle()
    world.append((1, 50))  # a copy, by the new one
    assert world.absorb()
    assert total(world) == 3
    world.check()


def test_a_slice_computed_by_the_old_version_cannot_land_after_the_fence(world: World) -> None:
    world.apply(app())
    world.append((1, 3))
    early = world.slice_of()
    world.apply(app(topic(check="v % 2 = 0")))
    assert world.manifest().topic_version == topic(check="v % 2 = 0").version, "nothing was there to be decided"
    assert not world.commit("numbers", early)
    assert world.absorb()
    assert total(world) == 0


def held(world: World) -> None:
    """A world whose topic is held while its new version decides the last epoch."""
    world.apply(app())
    filled(world)
    world.apply(app(topic(check="v % 2 = 0")))
    world.append((103, 2))
    world.absorb()
    world.batch()
    assert world.catalogue.duties["numbers"].held


def test_nothing_can_land_while_a_version_comes_into_force(world: World) -> None:
    held(world)
    world.append((109, 2))
    world.archive()
    while world.publish("numbers", world.publication()):
        pass
    landed: list[bool] = []
    for hit in range(3):
        with interrupted(hit, lambda: landed.append(world.absorb())):
            world.swap()
        world.check()
    assert landed[0] is False
    assert world.manifest().topic_version == topic(check="v % 2 = 0").version


def test_an_epoch_sealed_at_the_last_moment_holds_the_version_back(world: World) -> None:
    held(world)
    world.append((108, 2))

    def seal() -> None:
        end = (len(world.records["numbers"]),)
        world.state.change("numbers", lambda m: manifest.seal(m, m.generation, end, "x", START_US))

    world.archive()
    while world.publish("numbers", world.publication()):
        pass
    with interrupted(0, seal):  # between looking at the manifests and storing the catalogue
        world.swap()
    assert world.manifest().topic_version == topic().version
    assert not world.absorb()
    world.batch()
    assert world.manifest().topic_version == topic(check="v % 2 = 0").version
    world.check()


def test_another_proposal_lets_a_held_topic_go_on(world: World) -> None:
    held(world)
    assert world.apply(app()).pending == ()
    world.append((104, 5))
    assert world.absorb()
    world.check()
    assert all(not epoch.others for epoch in world.manifest().epochs), "what the other version decided is forgotten"


def scored(source: str) -> Topic:
    make = wm.function(version=1, returns="integer")

    def score(values: object) -> object:
        return values

    function: RowFunction = replace(make(score), source_hash=source)  # type: ignore[arg-type]  # never called
    return topic(compute={"s": "score(v)"}, functions=[function])


def test_a_row_function_that_is_gone_holds_its_topic_at_once(world: World) -> None:
    world.apply(app(scored("aaaa")))
    filled(world)
    was = total(world)
    plan = world.plan(app(scored("bbbb")))
    assert plan.held == ("numbers",)
    found = planning.apply(plan, world.state, world.log, world.clock)
    with pytest.raises(PendingError):
        found.absorbs("numbers")
    assert [by for _, by, _ in found.recomputes("numbers")] == [scored("bbbb")], "nobody has the old one any more"
    assert total(world) == was
    world.batch()
    assert world.applied.pending == ()
    world.check()


def test_a_process_with_another_row_function_than_the_applied_one_is_stopped(world: World) -> None:
    world.apply(app(scored("aaaa")))
    files = {"score": scored("bbbb").functions[0]}
    with pytest.raises(DeclarationError) as refused:
        applied(world.state, files)
    assert "aaaa" in str(refused.value)
    assert "bbbb" in str(refused.value)
    assert applied(world.state) is not None, "who only reads needs no functions"


def test_a_topic_that_comes_back_in_another_version_decides_its_history_first(world: World) -> None:
    other = wm.View("others", topic=topic("others"), measures={"n": wm.count()})
    world.apply(collect([summed(), other]))
    filled(world)
    found = world.apply(collect([other]))
    assert found.catalogue.duties["numbers"].absent
    assert set(found.served.topics) == {"others"}
    with pytest.raises(RequestError, match="numbers"):
        found.absorbs("numbers")
    found = world.apply(collect([summed(topic(check="v % 2 = 0")), other]))
    assert found.pending == ("sums", "topic numbers")
    with pytest.raises(PendingError):
        found.absorbs("numbers")
    world.batch()
    world.batch()
    assert world.applied.pending == ()
    world.check()


# -- crashes and races


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
    return shape(world.catalogue)


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


def test_of_two_applies_one_wins_and_the_other_is_told(world: World) -> None:
    world.apply(app())
    filled(world)
    one, two = world.plan(app(least=5)), world.plan(app(least=6))
    planning.apply(one, world.state, world.log, world.clock)
    with pytest.raises(ConflictError, match="watersmeet plan"):
        planning.apply(two, world.state, world.log, world.clock)
    assert world.applied.declarations == app(least=5)


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
