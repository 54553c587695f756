"""What every `State` must do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.core.errors import ConflictError, CorruptError, RequestError
from watersmeet.core.manifest import (
    Manifest,
    archived,
    commit,
    compact_blocks,
    compact_runs,
    create,
    expire,
    lease,
    roll,
    seal,
)
from watersmeet.core.state import Blob, State, Value

from .changes import TOPIC, absorb, begin, blobs, chunk, contents, listed, published, slice_
from .implementations import STATES, connect

pytestmark = pytest.mark.integration
Open = Callable[[], State]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000)


@pytest.fixture(params=STATES)
def open_state(request: pytest.FixtureRequest, tmp_path: Path, clock: ManualClock) -> Iterator[Open]:
    """Opens further handles on one store."""
    connect(request, request.param)
    with ExitStack() as stack:
        yield lambda: stack.enter_context(STATES[request.param](tmp_path, clock))


@pytest.fixture
def state(open_state: Open) -> State:
    return open_state()


def test_a_topic_without_a_manifest_is_at_version_0(state: State) -> None:
    assert state.manifest(TOPIC) == Manifest(TOPIC)
    assert state.manifest(TOPIC, as_of_us=10**18) == Manifest(TOPIC)


def test_a_change_is_what_its_transition_says_and_seen_by_everyone(open_state: Open) -> None:
    one, other = open_state(), open_state()
    m = one.change(TOPIC, lambda m: create(m, (0, 0)))
    assert m == create(Manifest(TOPIC), (0, 0))
    assert one.manifest(TOPIC) == other.manifest(TOPIC) == m
    assert other.change(TOPIC, lambda m: lease(m, "two")) == lease(m, "two")
    assert one.manifest(TOPIC) == other.manifest(TOPIC) == open_state().manifest(TOPIC) == lease(m, "two")


def test_a_whole_life_reads_back_equal(open_state: Open) -> None:
    """Every kind of entry, added, changed and taken away; a handle that follows and one that comes late agree."""
    state, follower = open_state(), open_state()
    begin(state, "f", "g")
    steps: list[Callable[[Manifest], Manifest]] = [
        lambda m: roll(m, 5),
        lambda m: seal(m, m.generation, (30, 30), "sealed", 6),
        lambda m: expire(m, 1, "too old"),
        lambda m: archived(m, 0),
        lambda m: archived(m, 1),
        lambda m: published(m, 1, "r1")(m),
        lambda m: published(m, 0, "r0")(m),
        lambda m: compact_runs(m, ["r0.f", "r1.f"], "m.f"),
    ]
    for number in range(12):
        absorb(state, f"a{number}", number)
    state.change(TOPIC, lambda m: compact_blocks(m, ["a3", "a4", "a5"], "m"), [Blob("cells:f", "m", chunk(9))])
    assert [b.owner for b in state.manifest(TOPIC).blocks][2:5] == ["a2", "m", "a6"]
    for step in steps:
        m = state.change(TOPIC, step)
        assert state.manifest(TOPIC) == follower.manifest(TOPIC) == open_state().manifest(TOPIC) == m
    assert [r.owner for r in state.manifest(TOPIC).runs] == ["m.f", "r0.g", "r1.g"]


def test_a_transition_that_raises_stores_nothing(state: State) -> None:
    begin(state)
    absorb(state, "a")
    before, token = state.manifest(TOPIC), state.token()
    zombie = replace(slice_(before, "z"), generation=0)
    with pytest.raises(ConflictError, match="speed lease"):
        state.change(TOPIC, lambda m: commit(m, zombie), blobs(before, "z", 7))
    assert (state.manifest(TOPIC), state.token()) == (before, token)
    with pytest.raises(CorruptError):
        state.load(TOPIC, "ids", ["z"])


def test_a_transition_that_returns_its_argument_changes_nothing(open_state: Open) -> None:
    state, other = open_state(), open_state()
    begin(state)
    before, token = state.manifest(TOPIC), other.token()
    assert state.change(TOPIC, lambda m: m, [Blob("ids", "a", chunk(1))]) == before
    assert (other.manifest(TOPIC), other.token()) == (before, token)
    with pytest.raises(CorruptError):
        state.load(TOPIC, "ids", ["a"])


def test_a_transition_must_lead_to_the_next_version_of_its_topic(state: State) -> None:
    m = begin(state)
    for wrong in (replace(m, version=m.version + 2), replace(m, version=m.version + 1, topic="another"), replace(m)):
        with pytest.raises(ConflictError, match="transition"):
            state.change(TOPIC, lambda m, wrong=wrong: wrong)  # type: ignore[misc]  # the default binds the loop's value
    assert state.manifest(TOPIC) == m


def test_an_attempt_is_listed_once(state: State) -> None:
    begin(state)
    absorb(state, "a", 1)
    m = state.manifest(TOPIC)
    with pytest.raises(ConflictError):
        state.change(TOPIC, lambda m: commit(m, slice_(m, "a")), blobs(m, "a", 2))
    assert state.manifest(TOPIC) == m
    assert contents(state, [("ids", "a")])["ids", "a"].equals(chunk(2))


def test_blobs_keep_their_schema_and_every_value(state: State) -> None:
    begin(state)
    wide = pa.table(
        {
            "sum": pa.array([10**37, -(10**37), None], pa.decimal128(38, 0)),
            "hashes": pa.array([[2**64 - 1, 0], [], None], pa.list_(pa.uint64())),
            "fact": pa.array([{"a": Decimal("0.10")}, None, {"a": None}], pa.struct([("a", pa.decimal128(4, 2))])),
            "bytes": [b"\0\xff", b"", None],
            "time": pa.array([0, -1, None], pa.timestamp("us")),
            "double": [0.1, float("inf"), None],
            "none": pa.nulls(3),
        }
    )
    large = pa.table({"n": pa.array(range(200_000), pa.int64()), "text": ["the same"] * 200_000})
    stored = {"wide": wide, "empty": wide.slice(0, 0), "large": large, "part": large.slice(77_777, 11)}
    state.change(TOPIC, lambda m: lease(m, "two"), [Blob("cells:f", owner, t) for owner, t in stored.items()])
    found = state.load(TOPIC, "cells:f", list(stored))
    assert list(found) == list(stored)
    for owner, table in stored.items():
        back = pa.table(found[owner])
        assert back.schema.equals(table.schema)
        assert back.equals(table)


def test_blobs_are_told_apart_by_topic_kind_and_owner(state: State) -> None:
    for topic in ("a", "b"):
        begin(state, topic=topic)
        state.change(
            topic,
            lambda m: lease(m, "x"),
            [Blob(kind, owner, chunk(hash((topic, kind, owner)) % 97)) for kind in ("ids", "dead") for owner in "pq"],
        )
    for topic in ("a", "b"):
        for kind in ("ids", "dead"):
            for owner, table in state.load(topic, kind, ["p", "q"]).items():
                assert pa.table(table).equals(chunk(hash((topic, kind, owner)) % 97))
    assert state.load("a", "ids", []) == {}


def test_a_missing_blob_is_named(state: State) -> None:
    begin(state)
    absorb(state, "a")
    with pytest.raises(CorruptError, match="ids of lost"):
        state.load(TOPIC, "ids", ["a", "lost"])


def test_changes_from_many_sides_follow_one_another(open_state: Open) -> None:
    handles = [open_state() for _ in range(3)]
    begin(handles[0])
    start = handles[0].manifest(TOPIC)

    def work(handle: State) -> None:
        for _ in range(15):
            handle.change(TOPIC, lambda m: lease(m, "x"))

    _together(*(lambda handle=handle: work(handle) for handle in (*handles, handles[0])))
    for handle in handles:
        m = handle.manifest(TOPIC)
        assert (m.version - start.version, m.generation - start.generation) == (60, 60)


def test_topics_do_not_see_each_other(state: State) -> None:
    begin(state, topic="a")
    other = begin(state, topic="b")
    absorb(state, "x", topic="a")
    assert state.manifest("b") == other
    assert state.sweep("b", 10**18) == 0
    assert len(contents(state, listed(state.manifest("a")), "a")) == 3


def test_as_of_is_the_manifest_of_that_time(open_state: Open, clock: ManualClock) -> None:
    """versions   v1 v2 v3     v4      v5
    time µs       1  1  1  ..  3  ...  5     two changes in one µs: the later one counts"""
    state, other = open_state(), open_state()
    then = begin(state)
    begun_us = clock.now_us()
    seen = [(begun_us, then)]
    for number in range(4):
        clock.advance(2)
        seen.append((clock.now_us(), absorb(state, f"a{number}", number)))
    clock.advance(1)
    state.change(TOPIC, lambda m: compact_blocks(m, ["a0", "a1"], "m"), [Blob("cells:f", "m", chunk(1))])
    for handle in (state, other, open_state()):
        for at_us, m in seen:
            assert handle.manifest(TOPIC, at_us) == m
            assert handle.manifest(TOPIC, at_us + 999_999) == m
        assert handle.manifest(TOPIC, begun_us - 1) == Manifest(TOPIC)
        assert handle.manifest(TOPIC, 10**18) == handle.manifest(TOPIC) != seen[-1][1]
    assert contents(state, listed(seen[-1][1])).keys() == listed(seen[-1][1])


def test_a_sweep_keeps_what_was_live_since_then(state: State, clock: ManualClock) -> None:
    begin(state)
    for number in range(4):
        absorb(state, f"a{number}", number)
    clock.advance(10)
    bound_us = clock.now_us()
    clock.advance(10)
    merged = state.change(TOPIC, lambda m: compact_blocks(m, ["a0", "a1"], "m"), [Blob("cells:f", "m", chunk(1))])
    assert state.sweep(TOPIC, bound_us) == 0
    then = state.manifest(TOPIC, bound_us)
    assert [b.owner for b in then.blocks] == ["a0", "a1", "a2", "a3"]
    assert contents(state, listed(then)).keys() == listed(then)
    with pytest.raises(RequestError) as caught:
        state.manifest(TOPIC, 999_999)
    assert caught.value.kind == "gone"

    assert state.sweep(TOPIC, clock.now_us()) == 2
    assert state.manifest(TOPIC) == merged == state.manifest(TOPIC, clock.now_us())
    assert contents(state, listed(merged)).keys() == listed(merged)
    with pytest.raises(CorruptError):
        state.load(TOPIC, "cells:f", ["a0"])
    with pytest.raises(RequestError):
        state.manifest(TOPIC, bound_us)
    assert state.sweep(TOPIC, clock.now_us()) == 0


def test_a_sweep_takes_blobs_that_nothing_lists(state: State, clock: ManualClock) -> None:
    begin(state)
    m = state.manifest(TOPIC)
    state.change(TOPIC, lambda m: commit(m, slice_(m, "a")), [*blobs(m, "a", 1), Blob("cells:gone", "a", chunk(1))])
    assert state.sweep(TOPIC, 0) == 1
    assert contents(state, listed(state.manifest(TOPIC))).keys() == listed(state.manifest(TOPIC))


def test_a_sweep_keeps_what_was_decided_under_a_waiting_version(state: State, clock: ManualClock) -> None:
    begin(state)
    absorb(state, "a")
    state.change(TOPIC, lambda m: roll(m, 5))
    state.change(TOPIC, lambda m: archived(m, 0))
    stored = [Blob(kind, "r", chunk(2)) for kind in ("ids", "dead")] + [Blob("cells:f", "r.f", chunk(3))]
    m = state.change(TOPIC, published(state.manifest(TOPIC), 0, "r", "v2"), stored)
    assert [o.owner for o in m.epochs[0].others] == ["r"]
    assert state.sweep(TOPIC, clock.now_us()) == 0
    assert contents(state, [("ids", "r"), ("dead", "r")])["ids", "r"].equals(chunk(2))


def test_a_handle_that_slept_through_a_sweep_reads_the_truth(open_state: Open, clock: ManualClock) -> None:
    state, sleeper = open_state(), open_state()
    begin(state)
    absorb(state, "a0")
    sleeper.manifest(TOPIC)
    for number in range(1, 5):
        absorb(state, f"a{number}", number)
    state.change(TOPIC, lambda m: compact_blocks(m, ["a0", "a1"], "m"), [Blob("cells:f", "m", chunk(1))])
    clock.advance(1)
    absorb(state, "last")
    state.sweep(TOPIC, clock.now_us())
    assert sleeper.manifest(TOPIC) == state.manifest(TOPIC)
    assert sleeper.change(TOPIC, lambda m: lease(m, "two")) == state.manifest(TOPIC)


def test_values_are_compared_and_set(open_state: Open) -> None:
    state, other = open_state(), open_state()
    assert state.get("keys", "a") is None
    first = state.put("keys", "a", b"1", expected=0)
    assert first > 0
    assert other.get("keys", "a") == Value(b"1", first)
    with pytest.raises(ConflictError):
        other.put("keys", "a", b"2", expected=0)
    second = other.put("keys", "a", b"2", expected=first)
    assert second > first
    with pytest.raises(ConflictError):
        state.put("keys", "a", b"3", expected=first)
    assert state.put("keys", "a", b"", expected=None) > second
    assert state.get("keys", "a") == Value(b"", second + 1)


def test_a_deleted_value_is_gone_and_its_version_never_comes_back(state: State) -> None:
    version = state.put("keys", "a", b"1")
    with pytest.raises(ConflictError):
        state.put("keys", "a", None, expected=version + 1)
    assert state.put("keys", "a", None, expected=version) == 0
    assert state.get("keys", "a") is None
    assert state.put("keys", "a", None) == state.put("keys", "a", None, expected=0) == 0
    with pytest.raises(ConflictError):
        state.put("keys", "a", None, expected=version)
    assert state.put("keys", "a", b"1", expected=0) > version


def test_a_scan_finds_the_keys_of_a_prefix_in_a_space(state: State) -> None:
    keys = ["a", "a/", "a/b", "a/c", "a/\U0010ffff", "aé", "b", "A", "", "%", "a_"]
    for key in keys:
        state.put("tables", key, key.encode())
    state.put("alerts", "a/x", b"other")
    for prefix in ("", "a", "a/", "a/b", "zz", "%", "_"):
        found = state.scan("tables", prefix)
        assert list(found) == sorted((k for k in keys if k.startswith(prefix)), key=lambda k: k.encode())
        assert all(value.data == key.encode() for key, value in found.items())
    assert state.scan("nothing") == {}


def test_values_compared_and_set_from_many_sides_lose_nothing(open_state: Open) -> None:
    handles = [open_state() for _ in range(3)]
    handles[0].put("positions", "n", b"0")

    def work(handle: State) -> None:
        done = 0
        while done < 20:
            old = handle.get("positions", "n")
            assert old is not None
            try:
                handle.put("positions", "n", b"%d" % (int(old.data) + 1), expected=old.version)
                done += 1
            except ConflictError:
                continue

    _together(*(lambda handle=handle: work(handle) for handle in handles))
    value = handles[1].get("positions", "n")
    assert value is not None
    assert value.data == b"60"


def test_the_token_changes_with_every_change_of_anyone_and_with_nothing_else(open_state: Open) -> None:
    state, other = open_state(), open_state()
    begin(state)
    seen = [(state.token(), other.token())]
    for change in (
        lambda: absorb(state, "a"),
        lambda: other.change(TOPIC, lambda m: lease(m, "two")),
        lambda: state.put("keys", "k", b""),
        lambda: other.put("keys", "k", None),
    ):
        change()
        seen.append((state.token(), other.token()))
        state.manifest(TOPIC)
        other.get("keys", "k")
        assert (state.token(), other.token()) == seen[-1]
    assert all(len(set(tokens)) == len(seen) for tokens in zip(*seen, strict=True))


def test_one_handle_tells_all_threads_one_token(state: State) -> None:
    begin(state)
    found: list[int] = []
    _together(*[lambda: found.append(state.token())] * 8)
    assert set(found) == {state.token()}


def _together(*calls: Callable[[], object]) -> None:
    """Run calls in threads of their own; what one raises comes through."""
    failed: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
