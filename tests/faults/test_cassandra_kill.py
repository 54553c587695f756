"""State in Cassandra while its server is killed, again and again, and while it is stopped in its tracks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from watersmeet.adapters.cassandra.session import open_session
from watersmeet.adapters.cassandra.state import CassandraState
from watersmeet.adapters.local.clock import ManualClock, SystemClock
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import UnavailableError
from watersmeet.core.manifest import Manifest, Transition, commit, lease
from watersmeet.testing.services.cassandra import cassandra
from watersmeet.testing.services.server import Server

from ..conformance.changes import TOPIC, begin, blobs, contents, listed, slice_
from ..conformance.scripted_cassandra import DONE, scripted

pytestmark = pytest.mark.integration
ROUNDS, KILLS = 4, 5
CLOCK = ManualClock(1_000_000)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A node of this module's own, which has on disk what it acknowledges."""
    with cassandra(tmp_path_factory.mktemp("cassandra"), commitlog="group") as running:
        yield running


def _place(server: Server, app: str, **options: str) -> Address:
    return replace(parse_address(server.url), options={"app": app, "refresh_ms": "0", **options})


def _attempt(m: Manifest, attempt: str) -> Transition:
    c = slice_(m, attempt)
    return lambda m: commit(m, c)


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_kills_in_the_middle_of_changes_lose_and_double_nothing(server: Server, turn: int) -> None:
    """Each time at another statement; half of the times once it has been sent, and nobody knows what became of it."""
    draw = random.Random(turn)
    place = _place(server, f"killed-{turn}", grace_seconds="0")
    with closing(CassandraState(place, CLOCK)) as state:
        begin(state)
    done = 0
    for number in range(KILLS):
        with closing(open_session(place)) as session:
            faulty = scripted(session, lambda _: DONE)
            faulty.driver = _Killer(faulty.driver, server, draw.randrange(20, 80), sent=bool(number % 2))
            state, committed = CassandraState(place, CLOCK, faulty), list[int]()
            with pytest.raises(UnavailableError):
                _work(state, done, committed)
        done += len(committed)
        server.start()
        with closing(CassandraState(place, CLOCK)) as state:
            m = state.manifest(TOPIC)
            assert [s.attempt for s in m.slices][:done] == [f"a{n}" for n in range(done)]
            assert len(m.slices) - done in (0, 1)
            done = len(m.slices)
            assert contents(state, listed(m)).keys() == listed(m)
            value = state.get("positions", "n")
            assert int(value.data if value else 0) in (done - 1, done)
            state.put("positions", "n", b"%d" % done)
    assert done >= KILLS
    with closing(CassandraState(place, CLOCK)) as state:
        CLOCK.advance(1)
        state.sweep(TOPIC, CLOCK.now_us())
        assert state.manifest(TOPIC) == m
        assert contents(state, listed(m)).keys() == listed(m)


def _work(state: CassandraState, number: int, committed: list[int]) -> None:
    """Commit slices and count them, until something fails."""
    while True:
        m = state.manifest(TOPIC)
        state.change(TOPIC, _attempt(m, f"a{number}"), blobs(m, f"a{number}", number))
        committed.append(number)
        number += 1
        state.put("positions", "n", b"%d" % number)


class _Killer:
    """A driver's session that kills the server at a statement: before it is sent, or as soon as it is."""

    def __init__(self, driver: Any, server: Server, left: int, *, sent: bool) -> None:
        self._driver, self._server, self._left, self._sent = driver, server, left, sent

    def prepare(self, cql: str) -> Any:
        return self._driver.prepare(cql)

    def execute_async(self, statement: Any, **how: Any) -> Any:
        self._left -= 1
        if self._left == -1 and not self._sent:
            self._server.kill()
        future = self._driver.execute_async(statement, **how)
        if self._left == -1 and self._sent:
            self._server.kill()
        return future


def test_what_a_server_does_after_it_was_given_up_is_done_once(server: Server) -> None:
    """client  ── sets the head ──x gives up
    server     stopped ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄ goes on: the head is set"""
    place = _place(server, "stopped", timeout_seconds="0.5", tries="1")

    def stop(cql: str) -> str:
        if cql.startswith("update heads"):
            server.pause()
        return DONE

    with closing(CassandraState(replace(place, options={"app": "stopped"}), CLOCK)) as state:
        m = begin(state)
    with closing(open_session(place)) as session:
        with pytest.raises(UnavailableError):
            CassandraState(place, CLOCK, scripted(session, stop)).change(TOPIC, lambda m: lease(m, "two"))
        server.resume()
    with closing(CassandraState(replace(place, options={"app": "stopped"}), CLOCK)) as state:
        assert state.manifest(TOPIC) in (m, lease(m, "two"))
        generation = state.manifest(TOPIC).generation
        assert state.change(TOPIC, lambda m: lease(m, "three")).generation == generation + 1


def test_a_handle_finds_its_server_again(server: Server) -> None:
    place = _place(server, "again", timeout_seconds="1")
    with closing(CassandraState(place, CLOCK)) as state:
        m = begin(state)
        server.kill()
        with pytest.raises(UnavailableError):
            state.manifest(TOPIC)
        with pytest.raises(UnavailableError):
            state.change(TOPIC, lambda m: lease(m, "two"))
        server.start()
        assert _patiently(state) in (m, lease(m, "two"))


def _patiently(state: CassandraState) -> Manifest:
    """Ask until there is an answer: the connection comes back by itself."""
    for _ in range(600):
        with suppress(UnavailableError):
            return state.manifest(TOPIC)
        SystemClock().sleep(0.1)
    raise AssertionError("the connection has not come back")
