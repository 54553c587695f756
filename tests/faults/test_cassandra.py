"""State in Cassandra when things go wrong: at every statement that a change, a sweep or a value sends to the server.

old ───┬── statement 1 ──┬── 2 ──┬ … ┬── the head is set ──┬── … ── new
       │                 │       │   │                     │
       └ a reader, another writer, a death, a lost answer ─┘   at each of these places
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest

from watersmeet.adapters.cassandra.session import Session, open_session
from watersmeet.adapters.cassandra.state import CassandraState
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.core.address import parse_address
from watersmeet.core.errors import ConflictError, UnavailableError
from watersmeet.core.manifest import (
    Manifest,
    Transition,
    archived,
    commit,
    compact_blocks,
    create,
    declare,
    lease,
    roll,
)
from watersmeet.core.state import Blob

from ..conformance.changes import TOPIC, blobs, chunk, contents, listed, published, slice_
from ..conformance.scripted_cassandra import BAD, DONE, SLOW, Script, Scripted, scripted

pytestmark = pytest.mark.integration
Actor = Callable[[CassandraState], object]


class Died(BaseException):
    """The process is gone: nothing that it would do afterwards happens."""


@dataclass
class World:
    """A topic with a sealed and archived epoch 0 and an open epoch 1 of two slices, and ways to look at it."""

    session: Session
    app: str
    clock: ManualClock
    old: Manifest

    def open(self, script: Script | None = None, grace: int = 0) -> CassandraState:
        options = {"app": self.app, "refresh_ms": "0", "grace_seconds": str(grace)}
        session = scripted(self.session, script) if script else self.session
        return CassandraState(replace(self.session.address, options=options), self.clock, session)

    def left_behind(self, m: Manifest, addresses: set[tuple[str, str]]) -> list[object]:
        """Rows of blobs that ``m`` does not list, more than one of those that it does, and attempts."""
        place = (self.app, TOPIC)
        found: list[object] = []
        for address in sorted(addresses):
            ask = "select kind, owner, attempt from {} where app = ? and topic = ? and kind = ? and owner = ?"
            rows = self.session.read_all([(ask.format(table), (*place, *address)) for table in ("slices", "runs")])
            found += [row for one in rows for row in one][address in listed(m) :]
        attempts = "select attempt from attempts where app = ? and topic = ? and hour = ?"
        return found + self.session.read(attempts, (*place, self.clock.now_us() // 3_600_000_000))


@dataclass(frozen=True)
class Step:
    """Something that an actor does to the topic; ``transition`` is what it means, None for nothing."""

    transition: Callable[[Manifest], Transition] | None
    blobs: Callable[[Manifest], list[Blob]] = lambda _: []

    def run(self, world: World, state: CassandraState) -> object:
        if self.transition is None:
            return state.sweep(TOPIC, world.clock.now_us())
        return state.change(TOPIC, self.transition(world.old), self.blobs(world.old))

    def on(self, m: Manifest, old: Manifest) -> Manifest:
        """What it makes of ``m``; nothing if its premise has gone."""
        with suppress(ConflictError):
            return self.transition(old)(m) if self.transition else m
        return m


def _commit(old: Manifest) -> Transition:
    c = slice_(old, "c")
    return lambda m: commit(m, c)


STEPS = {
    "commit": Step(_commit, lambda m: blobs(m, "c", 50)),
    "compact": Step(
        lambda _: lambda m: compact_blocks(m, ["b0", "b1"], "m"), lambda _: [Blob("cells:f", "m", chunk(9))]
    ),
    "publish": Step(
        lambda m: published(m, 0, "r"),
        lambda _: [Blob(kind, "r", chunk(60)) for kind in ("ids", "dead")] + [Blob("cells:f", "r.f", chunk(61))],
    ),
    "roll": Step(lambda _: lambda m: roll(m, 8)),
    "lease": Step(lambda _: lambda m: lease(m, "two")),
    "sweep": Step(None),
}
EVER = {("ids", "r"), ("dead", "r"), ("cells:f", "r.f"), ("cells:f", "m")} | {
    (kind, owner) for owner in ("a0", "a1", "b0", "b1", "c") for kind in ("cells:f", "ids", "dead")
}


@pytest.fixture(scope="module")
def session(cassandra: str) -> Iterator[Session]:
    opened = open_session(parse_address(cassandra))
    yield opened
    opened.close()


def _world(session: Session) -> World:
    world = World(session, uuid.uuid4().hex[:12], ManualClock(1_000_000), Manifest(TOPIC))
    m = declare(lease(create(world.old, (0, 0)), "one"), 1, ["f"], 0)
    stored: list[Blob] = []
    for owner in ("a0", "a1", "b0", "b1"):
        stored += blobs(m, owner, len(stored))
        m = commit(m, slice_(m, owner))
        m = archived(roll(m, 5), 0) if owner == "a1" else m
    world.old = replace(m, version=1)
    world.open().change(TOPIC, lambda _: world.old, stored)
    world.clock.advance(1)
    return world


def _whole(state: CassandraState) -> Manifest:
    """The manifest now, of which every blob loads."""
    m = state.manifest(TOPIC)
    assert contents(state, listed(m)).keys() == listed(m)
    return m


def _statements(session: Session, name: str) -> list[str]:
    """What a step sends, one after the other."""
    sent: list[str] = []
    world = _world(session)
    STEPS[name].run(world, world.open(lambda cql: sent.append(cql) or DONE))  # type: ignore[func-returns-value]  # None
    return sent


@pytest.mark.parametrize("name", STEPS)
def test_a_reader_between_any_two_statements_sees_all_of_a_change_or_nothing(session: Session, name: str) -> None:
    world, step = _world(session), STEPS[name]
    new = step.on(world.old, world.old)
    reader, seen = world.open(), []

    def look(_: str) -> str:
        seen.append(_whole(reader))
        assert reader.manifest(TOPIC, 1_000_000) == world.old
        return DONE

    step.run(world, world.open(look))
    seen.append(_whole(reader))
    turn = seen.index(new)
    assert seen == [world.old] * turn + [new] * (len(seen) - turn)
    assert len(seen) > 4


@pytest.mark.parametrize("name", ["commit", "publish", "compact", "sweep"])
def test_a_death_at_any_statement_leaves_old_or_new_and_what_can_be_swept(session: Session, name: str) -> None:
    step = STEPS[name]
    outcomes = set()
    for number in range(len(_statements(session, name))):
        world = _world(session)
        left = [number]

        def die(_: str, left: list[int] = left) -> str:
            left[0] -= 1
            if left[0] < 0:
                raise Died
            return DONE

        with pytest.raises(Died):
            step.run(world, world.open(die))
        new = step.on(world.old, world.old)
        m = _whole(world.open())
        assert m in (world.old, new)
        outcomes.add(m == new)
        if m == world.old:
            step.run(world, world.open())
        world.clock.advance(1)
        world.open().sweep(TOPIC, world.clock.now_us())
        assert _whole(world.open()) == new
        assert world.left_behind(new, EVER) == []
    assert outcomes == ({True} if name == "sweep" else {False, True})


@pytest.mark.parametrize("outcome", BAD)
@pytest.mark.parametrize("name", ["commit", "lease", "sweep"])
def test_whatever_becomes_of_a_statement_nothing_is_done_twice_or_lost(
    session: Session, name: str, outcome: str
) -> None:
    """One try a statement: what is not known after it is not known."""
    step = STEPS[name]
    for number in range(len(_statements(session, name))):
        world = _world(session)
        left = [number]

        def script(_: str, left: list[int] = left) -> str:
            left[0] -= 1
            return outcome if left[0] == -1 else DONE

        state = world.open(script)
        state._session.options = replace(state._session.options, tries=1)
        new, raised = step.on(world.old, world.old), False
        try:
            step.run(world, state)
        except UnavailableError:
            raised = True
        driver = state._session.driver
        assert isinstance(driver, Scripted)
        driver.flush()
        m = _whole(world.open())
        assert m in ((world.old, new) if raised else (new,))
        if m == world.old:
            step.run(world, world.open())
        world.clock.advance(1)
        world.open().sweep(TOPIC, world.clock.now_us())
        assert _whole(world.open()) == new


@pytest.mark.parametrize("second", ["commit", "compact", "publish", "lease", "sweep"])
@pytest.mark.parametrize("first", ["commit", "publish", "sweep"])
def test_two_actors_at_once_are_as_one_after_the_other(session: Session, first: str, second: str) -> None:
    """The second does all of its work before each kind of statement of the first."""
    one, two = STEPS[first], STEPS[second]
    for kind in dict.fromkeys(_statements(session, first)):
        world = _world(session)
        met: list[str] = []

        def meet(cql: str, met: list[str] = met, kind: str = kind, world: World = world) -> str:
            if cql == kind and not met:
                met.append(cql)
                with suppress(ConflictError):
                    two.run(world, world.open())
                _whole(world.open())
            return DONE

        with suppress(ConflictError):
            one.run(world, world.open(meet))
        assert met
        orders = (two.on(one.on(world.old, world.old), world.old), one.on(two.on(world.old, world.old), world.old))
        m = _whole(world.open())
        assert m in orders
        world.clock.advance(1)
        world.open().sweep(TOPIC, world.clock.now_us())
        assert _whole(world.open()) == m
        assert world.left_behind(m, EVER) == []


def test_a_writer_whose_lease_was_taken_stores_nothing_however_late_its_statements_arrive(session: Session) -> None:
    """zombie   ── reads ── writes ── sets the head ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄> arrives
    other                                           ── lease ──"""
    world = _world(session)
    zombie = world.open(lambda cql: SLOW if cql.startswith("update heads") else DONE)
    zombie._session.options = replace(zombie._session.options, tries=1)
    with pytest.raises(UnavailableError):
        STEPS["commit"].run(world, zombie)
    new = world.open().change(TOPIC, lambda m: lease(m, "two"))
    driver = zombie._session.driver
    assert isinstance(driver, Scripted)
    driver.flush()
    assert _whole(world.open()) == new == lease(world.old, "two")
    with pytest.raises(ConflictError, match="speed lease"):
        STEPS["commit"].run(world, world.open())
    world.clock.advance(1)
    world.open().sweep(TOPIC, world.clock.now_us())
    assert world.left_behind(new, EVER) == []


def test_an_attempt_within_its_grace_is_left_alone_and_need_not_begin_anew(session: Session) -> None:
    world = _world(session)
    sent: list[str] = []

    def meet(cql: str) -> str:
        if cql.startswith("update heads"):
            world.open(grace=600).sweep(TOPIC, world.clock.now_us())
        sent.append(cql)
        return DONE

    STEPS["commit"].run(world, world.open(meet))
    assert sum(cql.startswith("update heads") for cql in sent) == 1
    assert _whole(world.open()) == STEPS["commit"].on(world.old, world.old)


@pytest.mark.parametrize("outcome", BAD)
def test_a_value_is_set_once_whatever_becomes_of_a_statement(session: Session, outcome: str) -> None:
    for number in range(4):
        world = _world(session)
        first = world.open().put("positions", "k", b"1")
        left = [number]

        def script(_: str, left: list[int] = left) -> str:
            left[0] -= 1
            return outcome if left[0] == -1 else DONE

        state = world.open(script)
        assert state.put("positions", "k", b"2", expected=first) == first + 1
        driver = state._session.driver
        assert isinstance(driver, Scripted)
        driver.flush()
        value = world.open().get("positions", "k")
        assert value is not None
        assert (value.data, value.version) == (b"2", first + 1)
        assert world.open().put("positions", "other", b"") == first + 2
