from __future__ import annotations

import pytest

from watersmeet.adapters.cassandra.session import Session
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.core.errors import ConflictError, SettingsError
from watersmeet.core.manifest import Manifest, commit, create, lease
from watersmeet.core.state import Blob

from ...conformance.changes import TOPIC, absorb, begin, blobs, chunk, contents, listed, slice_
from ...conformance.scripted_cassandra import DONE, scripted
from .conftest import Open

pytestmark = pytest.mark.integration


def test_a_token_is_asked_for_anew_after_a_while_and_after_own_changes(open_state: Open, clock: ManualClock) -> None:
    state, other = open_state(refresh_ms="250"), open_state()
    begin(state)
    seen = state.token()
    other.change(TOPIC, lambda m: lease(m, "two"))
    assert state.token() == seen
    clock.advance(1)
    assert state.token() == seen + 1
    other.put("keys", "a", b"")
    assert state.token() == seen + 1
    state.put("keys", "b", b"")
    assert state.token() == seen + 2
    state.change(TOPIC, lambda m: lease(m, "three"))
    assert state.token() == seen + 3


def test_a_fresh_token_costs_nothing(open_state: Open, clock: ManualClock) -> None:
    state = open_state(refresh_ms="250")
    begin(state)
    state.token()
    sent: list[str] = []
    state._session = scripted(state._session, lambda cql: sent.append(cql) or DONE)  # type: ignore[func-returns-value]  # None
    assert state.token() == state.token()
    assert sent == []


def test_apps_in_one_keyspace_do_not_see_each_other(open_state: Open) -> None:
    state, other = open_state(), open_state(app="another")
    begin(state)
    state.put("keys", "a", b"1")
    assert other.manifest(TOPIC).version == 0 or other.manifest(TOPIC) != state.manifest(TOPIC)
    assert other.get("keys", "a") is None


def test_a_change_that_conflicts_leaves_no_blob(open_state: Open, session: Session, app: str) -> None:
    """The lease is taken while the blobs are being written."""
    state, other = open_state(), open_state()
    begin(state)
    m, turns = absorb(state, "a"), list[Manifest]()
    c = slice_(m, "z")

    def late(now: Manifest) -> Manifest:
        new = commit(now, c)
        if not turns:
            turns.append(other.change(TOPIC, lambda m: lease(m, "two")))
        return new

    with pytest.raises(ConflictError, match="speed lease"):
        state.change(TOPIC, late, blobs(m, "z", 7))
    kind = "select attempt from slices where app = ? and topic = ? and kind = ? and owner = 'z'"
    assert [session.read(kind, (app, TOPIC, kind_)) for kind_ in ("cells:f", "ids", "dead")] == [[], [], []]
    attempts = "select attempt from attempts where app = ? and topic = ? and hour = 0"
    assert session.read(attempts, (app, TOPIC)) == []


def test_an_owner_that_has_a_blob_gets_no_other(open_state: Open) -> None:
    state = open_state()
    m = begin(state)
    state.change(TOPIC, lambda m: lease(m, "x"), [Blob("ids", "a", chunk(1))])
    with pytest.raises(ConflictError, match="ids of a"):
        state.change(TOPIC, lambda m: lease(m, "y"), [Blob("ids", "a", chunk(2))])
    assert state.manifest(TOPIC) == lease(m, "x")
    assert contents(state, [("ids", "a")])["ids", "a"].equals(chunk(1))


def test_a_newer_format_is_refused(open_state: Open, session: Session, app: str) -> None:
    open_state(app=f"{app}.new")
    session.write("insert into names (app, sort, name) values (?, 'format', '2')", (f"{app}.newer",))
    with pytest.raises(SettingsError, match="format 1 or older; got format 2"):
        open_state(app=f"{app}.newer")


def test_times_never_go_back(open_state: Open, clock: ManualClock, session: Session, app: str) -> None:
    state = open_state()
    state.change(TOPIC, lambda m: create(m, (0,)))
    behind = open_state()
    behind._clock = ManualClock(5)
    m = behind.change(TOPIC, lambda m: lease(m, "x"))
    assert session.read("select at_us from heads where app = ? and topic = ?", (app, TOPIC)) == [(1_000_000,)]
    assert state.manifest(TOPIC, 1_000_000) == m
    assert contents(state, listed(m)) == {}


def test_tables_are_stored_as_their_lives_are_long(open_state: Open, session: Session) -> None:
    open_state()
    cql = "select compaction, gc_grace_seconds from system_schema.tables where keyspace_name = ? and table_name = ?"
    for table, strategy in (("slices", "TimeWindow"), ("attempts", "TimeWindow"), ("runs", "SizeTiered")):
        ((compaction, grace),) = session.read(cql, (session.address.path, table))
        assert f".{strategy}CompactionStrategy" in compaction["class"]
        assert grace == 864_000
