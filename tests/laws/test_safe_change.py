"""The law of safe change: whatever is applied, rolled back, crashed or raced, every served name answers like a loop
over all absorbed records by one topic version, and in the end what is applied is what is served."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import watersmeet as wm
from tests.layers.plan.world import Crash, Item, World, crash, interrupted, topic
from watersmeet.core import normal
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import ConflictError, DeclarationError, RequestError
from watersmeet.core.function import Column
from watersmeet.core.manifest import Commit, Published
from watersmeet.core.user_window import UserWindow
from watersmeet.layers import plan as planning

pytestmark = pytest.mark.unit

EXAMPLES = 1500 if os.environ.get("WATERSMEET_PROVE") else 40
CHECKS = ("", "v % 2 = 0", "v % 3 = 0")
TOPICS = ("left", "right")
Variant = tuple[str, str, int, int, str, str, bool, str]

# One variant: (check of each topic, lower bound of each sum, column's name, lateness, is the right topic there, source
# of the left view's window function).
variants = st.tuples(
    st.sampled_from(CHECKS),
    st.sampled_from(CHECKS),
    st.sampled_from((0, 4)),
    st.sampled_from((0, 4)),
    st.sampled_from("st"),
    st.sampled_from(("10m", "1h")),
    st.integers(0, 4).map(bool),
    st.sampled_from(("", "aaaa", "bbbb")),
)


def own(source: str) -> UserWindow | None:
    """A user's own windows, by a function with this source; it is never called."""

    def moments(event_time: Column) -> Sequence[Column]:
        return event_time, event_time

    window = wm.window(version=1)(moments)
    return replace(window, function=replace(window.function, source_hash=source)) if source else None


@cache
def declare(variant: Variant) -> Declarations:
    left_check, right_check, left_least, right_least, column, lateness, both, source = variant
    topics = [topic("left", left_check, lateness=lateness), topic("right", right_check)]
    views = [
        wm.View(f"sum_{t.name}", topic=t, window=window, measures={column: wm.sum("v", where=f"v > {least}")})
        for t, least, window in zip(topics, (left_least, right_least), (own(source), None), strict=True)
    ]
    if not both:
        return collect(views[:1])
    sql = f"select a.{column} as a, b.{column} as b from a, b"
    return collect([*views, wm.Query("both", inputs={"a": views[0], "b": views[1]}, key=["a"], sql=sql)])


places = st.sampled_from(TOPICS)
items = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 12)), min_size=1, max_size=6)
others = st.one_of(
    st.tuples(st.sampled_from(["commit", "absorb", "batch"]), places), st.tuples(st.just("apply"), variants)
)
# At which failpoint something else happens, and what; nothing where there is no such failpoint, a crash for None.
interruptions = st.tuples(st.one_of(st.just(99), st.integers(0, 30)), st.one_of(st.none(), others))
steps = st.one_of(
    st.tuples(st.just("append"), places, items),
    st.tuples(st.sampled_from(["absorb", "absorb", "slice", "commit", "roll"]), places),
    st.tuples(st.sampled_from(["batch", "batch", "archive", "compute", "publish"]), places),
    st.tuples(st.just("swap"), interruptions),
    st.tuples(st.just("apply"), variants, interruptions),
    st.tuples(st.just("rollback"), interruptions),
    st.tuples(st.just("wait"), st.sampled_from([60.0, 50_000.0])),
)


class Run:
    """Plays steps in a world; slices and publications may wait while other things happen."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.slices: dict[str, Commit | None] = {}
        self.publications: dict[str, Published | None] = {}

    def play(self, step: tuple[object, ...]) -> None:
        world, kind, name = self.world, step[0], str(step[1])
        known = name in world.applied.declarations.topics
        match step:
            case ("append", _, list(items)):
                world.append(*items, name=name)
            case ("apply", tuple(variant)):
                world.apply(declare(variant))
            case ("apply", tuple(variant), tuple(other)):
                self._interrupted(other, lambda: world.apply(declare(variant)))
            case ("swap", tuple(other)):
                self._interrupted(other, world.swap)
            case ("rollback", tuple(other)):
                self._interrupted(other, self._roll_back)
            case ("wait", float(seconds)):
                world.clock.advance(seconds)
            case ("commit", _):
                world.commit(name, self.slices.pop(name, None))
            case ("publish", _):
                world.publish(name, self.publications.pop(name, None))
            case (str(), _) if known:
                self._work(str(kind), name)

    def _work(self, kind: str, name: str) -> None:
        world = self.world
        match kind:
            case "slice":
                self.slices[name] = world.slice_of(name)
            case "compute":
                self.publications[name] = world.publication(name)
            case "absorb":
                world.absorb(name)
            case "roll":
                world.roll(name)
            case "archive":
                world.archive(name)
            case "batch":
                world.batch(name)

    def _roll_back(self) -> None:
        files = normal.functions(self.world.applied.declarations)
        with suppress(RequestError, DeclarationError):  # there may be nothing to go back to, or not its function
            planning.rollback(self.world.state, self.world.clock, files)

    def _interrupted(self, other: tuple[int, tuple[object, ...] | None], act: Callable[[], object]) -> None:
        hit, step = other
        # Whoever is overtaken by files with other functions is told that those are not its own.
        with (
            suppress(Crash, ConflictError, DeclarationError),
            interrupted(hit, crash if step is None else lambda: self.play(step)),
        ):
            act()


def check(world: World) -> None:
    """Every answer is right, and nobody is asked for cells whose window function the applied files do not have."""
    world.check()
    found = world.applied
    files = normal.functions(found.declarations)
    work = [each for name in found.declarations.topics for each in found.recomputes(name)]
    assert [e for _, _, specs in work for spec in specs for e in normal.absent(spec, files)] == []


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(variants, st.lists(steps, min_size=25, max_size=50), variants, items)
def test_every_answer_is_that_of_one_version_over_all_records(
    tmp_path: Path, first: Variant, played: list[tuple[object, ...]], last: Variant, more: list[Item]
) -> None:
    world = World(Path(mkdtemp(dir=tmp_path)))
    try:
        world.apply(declare(first))
        run = Run(world)
        for step in played:
            run.play(step)
            check(world)
        world.apply(declare(last))
        check(world)
        world.settle()
        check(world)
        assert world.applied.pending == ()
        for name in world.applied.declarations.topics:
            world.append(*more, name=name)
            assert world.absorb(name)
        check(world)
        assert set(world.catalogue.served) == set(declare(last).readables)
    finally:
        world.close()
