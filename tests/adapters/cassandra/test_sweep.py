from __future__ import annotations

import pytest

from watersmeet.adapters.cassandra.session import Session
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.core.manifest import commit, compact_blocks
from watersmeet.core.state import Blob

from ...conformance.changes import TOPIC, absorb, begin, blobs, chunk, contents, listed, slice_
from ...conformance.scripted_cassandra import DONE, scripted
from .conftest import Open

pytestmark = pytest.mark.integration
HEAD = "select fence, floor, reaped, hour from heads where app = ? and topic = ?"


class Died(BaseException):
    """The process is gone."""


def _abandon(open_state: Open, at: str) -> None:
    """A commit that dies before a kind of statement."""
    state = open_state()

    def die(cql: str) -> str:
        if cql.startswith(at):
            raise Died
        return DONE

    dying = open_state()
    dying._session = scripted(state._session, die)
    for part in (dying._manifests, dying._blobs, dying._attempts):
        part._session = dying._session
    m = state.manifest(TOPIC)
    with pytest.raises(Died):
        dying.change(TOPIC, lambda now: commit(now, slice_(m, "z")), blobs(m, "z", 9))


def test_what_died_is_left_until_its_grace_is_over_and_fenced_off_then(
    open_state: Open, clock: ManualClock, session: Session, app: str
) -> None:
    state = open_state(grace_seconds="60")
    begin(state)
    absorb(state, "a")
    _abandon(open_state, "update heads")
    assert state.sweep(TOPIC, 0) == 0
    assert session.read(HEAD, (app, TOPIC))[0][0] == 0
    clock.advance(60)
    assert state.sweep(TOPIC, 0) == 3
    assert session.read(HEAD, (app, TOPIC))[0][0] == 1
    assert state.sweep(TOPIC, 0) == 0
    assert session.read(HEAD, (app, TOPIC))[0][0] == 1


def test_what_died_after_it_came_to_be_is_kept(open_state: Open, clock: ManualClock) -> None:
    state = open_state(grace_seconds="60")
    begin(state)
    _abandon(open_state, "delete from attempts")
    m = state.manifest(TOPIC)
    assert [s.attempt for s in m.slices] == ["z"]
    clock.advance(60)
    assert state.sweep(TOPIC, 0) == 0
    assert contents(state, listed(m)).keys() == listed(m)


def test_hours_that_are_settled_are_not_looked_at_again(
    open_state: Open, clock: ManualClock, session: Session, app: str
) -> None:
    state = open_state()
    begin(state)
    absorb(state, "a")
    _abandon(open_state, "update heads")
    clock.advance(5 * 3600)
    assert state.sweep(TOPIC, 0) == 3
    assert session.read(HEAD, (app, TOPIC))[0][3] == 3
    slow = open_state()
    slow._clock = ManualClock(0)  # a clock far behind notes its attempts where they are found nevertheless
    m = slow.manifest(TOPIC)
    assert slow._attempts.begin(slow._manifests.tip(TOPIC), 0, []).hour == 3
    slow.change(TOPIC, lambda now: commit(now, slice_(m, "b")), [*blobs(m, "b", 3), Blob("cells:gone", "b", chunk(1))])
    assert state.sweep(TOPIC, 0) == 1


def test_a_sweep_that_died_is_done_again(open_state: Open, clock: ManualClock) -> None:
    state = open_state()
    begin(state)
    for number in range(3):
        absorb(state, f"a{number}", number)
    m = state.change(TOPIC, lambda m: compact_blocks(m, ["a0", "a1"], "m"), [])
    clock.advance(1)
    dying = open_state()

    def die(cql: str) -> str:
        if "set reaped" in cql:
            raise Died
        return DONE

    dying._manifests._session = scripted(state._session, die)
    with pytest.raises(Died):
        dying.sweep(TOPIC, clock.now_us())
    assert state.sweep(TOPIC, clock.now_us()) == 0
    assert state.manifest(TOPIC) == m
