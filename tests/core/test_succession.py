"""Names move with all their inputs, and topic versions come into force whole: what must hold between two catalogues."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import watersmeet as wm
from tests.layers.plan.sums import app, filled, scored, summed, total
from tests.layers.plan.world import START_US, World, interrupted, topic
from watersmeet.core import manifest, normal
from watersmeet.core.applied import applied
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import DeclarationError, PendingError, RequestError
from watersmeet.layers import plan as planning

pytestmark = pytest.mark.unit


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


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


def shifted(source: str) -> Declarations:
    """A sum by a user's own windows, whose function has this source, beside one of all time."""

    def shifts(event_time: object) -> object:
        return event_time

    window = wm.window(version=1)(shifts)  # type: ignore[arg-type]  # never called
    window = replace(window, function=replace(window.function, source_hash=source))
    view = wm.View("shifted", topic=topic(), window=window, measures={"total": wm.sum("v")})
    both = wm.Query("both", inputs={"a": view, "b": summed()}, key=["x"], sql="select a.total as x from a, b")
    return collect([summed(), view, both])


def test_cells_whose_window_function_is_gone_are_served_and_computed_no_more(world: World) -> None:
    world.apply(shifted("aaaa"))
    (old,) = shifted("aaaa").views["shifted"].specs
    filled(world)
    plan = world.plan(shifted("bbbb"))
    assert plan.pending == ("both", "shifted")
    assert plan.notes == tuple(
        f"{name} is not served until then: its old window function is not in the files" for name in plan.pending
    )
    found = planning.apply(plan, world.state, world.log, world.clock)
    assert found.catalogue.gone == (old.fingerprint,)
    assert set(found.catalogue.served) == {"sums"}
    assert old.fingerprint not in world.manifest().readable
    world.append((104, 5))
    world.absorb()
    world.check()
    world.batch()
    assert world.applied.pending == ()
    assert set(world.catalogue.served) == {"both", "shifted", "sums"}
    world.check()


def test_once_the_window_function_is_back_only_what_was_missed_is_computed(world: World) -> None:
    world.apply(shifted("aaaa"))
    filled(world)
    world.roll()
    world.batch()
    done = len(world.manifest().epochs)
    world.apply(shifted("bbbb"))
    world.append((104, 5))
    world.absorb()
    world.roll()
    assert world.apply(shifted("aaaa")).pending == ("both", "shifted")
    world.archive()
    epochs = []
    while published := world.publication():
        epochs.append(published.epoch)
        assert world.publish("numbers", published)
    world.swap()
    assert epochs == [done], "what was computed before is kept"
    assert world.applied.pending == ()
    world.check()


def test_a_process_with_another_window_function_than_the_applied_one_is_stopped(world: World) -> None:
    world.apply(shifted("aaaa"))
    with pytest.raises(DeclarationError, match=r"function 'shifts'.*aaaa.*bbbb"):
        applied(world.state, normal.functions(shifted("bbbb")))
    assert applied(world.state, normal.functions(shifted("aaaa"))) is not None
    assert applied(world.state) is not None, "who only reads needs no functions"
