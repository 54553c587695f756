"""Every `State` against a model in a few lines: a list of manifests with their times, and dicts of blobs and values."""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.core.errors import ConflictError, CorruptError, RequestError
from watersmeet.core.manifest import (
    Manifest,
    Transition,
    archived,
    commit,
    compact_blocks,
    compact_runs,
    create,
    declare,
    drop_runs,
    expire,
    lease,
    roll,
    seal,
)
from watersmeet.core.state import Blob, State

from .changes import TOPIC, blobs, chunk, contents, listed, published, slice_
from .implementations import SERVERS, STATES, connect

pytestmark = pytest.mark.integration
FINGERPRINTS = st.frozensets(st.sampled_from("fgh"), min_size=1)
KEYS = st.sampled_from(["a", "a/b", "b"])


class Model(RuleBasedStateMachine):
    """One actor at a time; two handles, of which either may be opened anew between any two steps."""

    implementation = ""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.clock = ManualClock(0)
        self.handles = [self._open(), self._open()]
        self.history: list[tuple[int, Manifest]] = []
        self.blobs: dict[tuple[str, str], pa.Table] = {}
        self.values: dict[str, tuple[bytes, int]] = {}
        self.swept = False
        self.number = 0

    def teardown(self) -> None:
        self.stack.close()

    @property
    def newest(self) -> Manifest:
        return self.history[-1][1] if self.history else Manifest(TOPIC)

    def _open(self) -> State:
        return self.stack.enter_context(STATES[self.implementation](self.directory, self.clock))

    def _fresh(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def _absorb(self, which: int, size: int) -> None:
        c = slice_(self.newest, self._fresh("a"), size)
        self._change(which, lambda m: commit(m, c), blobs(self.newest, c.attempt, self.number))

    def _change(self, which: int, transition: Transition, stored: list[Blob] | None = None) -> None:
        """Make a change of model and store alike: both succeed equally or raise equally."""
        stored = stored or []
        old = self.newest
        try:
            new = transition(old)
        except ConflictError as refusal:
            with pytest.raises(ConflictError, match=re.escape(str(refusal))):
                self.handles[which].change(TOPIC, transition, stored)
            return
        assert self.handles[which].change(TOPIC, transition, stored) == new
        if new is not old:
            self.history.append((self.clock.now_us(), new))
            self.blobs |= {(b.kind, b.owner): pa.table(b.records) for b in stored}

    @initialize(which=st.integers(0, 1), readable=FINGERPRINTS, begun=st.integers(0, 4))
    def begin(self, which: int, readable: frozenset[str], begun: int) -> None:
        steps: list[Transition] = [lambda m: create(m, (0, 0)), lambda m: lease(m, "one")]
        steps.append(lambda m: declare(m, 1, readable, 0))
        for step in steps[:begun]:
            self._change(which, step)
        for _ in range(3 * (begun > 3)):
            self._absorb(which, 1)

    @rule(which=st.integers(0, 1))
    def create_or_lease(self, which: int) -> None:
        holder = self._fresh("holder")
        self._change(which, lambda m: lease(m, holder) if m.version else create(m, (0, 0)))

    @precondition(lambda self: self.newest.version)
    @rule(which=st.integers(0, 1), readable=FINGERPRINTS)
    def declare(self, which: int, readable: frozenset[str]) -> None:
        number = self.newest.declaration + 1
        self._change(which, lambda m: declare(m, number, readable, 7))

    @precondition(lambda self: self.newest.version)
    @rule(which=st.integers(0, 1), size=st.integers(0, 3), times=st.integers(0, 3))
    def absorb(self, which: int, size: int, times: int) -> None:
        """None of a zombie, or up to three slices."""
        for _ in range(times):
            self._absorb(which, size)
        if not times:
            zombie = replace(slice_(self.newest, self._fresh("z"), size), generation=-1)
            self._change(which, lambda m: commit(m, zombie), blobs(self.newest, zombie.attempt, self.number))

    @precondition(lambda self: self.newest.version)
    @rule(which=st.integers(0, 1))
    def roll(self, which: int) -> None:
        self._change(which, lambda m: roll(m, 8))

    @precondition(lambda self: self.newest.version)
    @rule(which=st.integers(0, 1))
    def seal(self, which: int) -> None:
        upper = tuple(offset + 1 for offset in self.newest.frontier)
        self._change(which, lambda m: seal(m, m.generation, upper, "sealed", 9))

    @precondition(lambda self: any(not e.archived for e in self.newest.epochs))
    @rule(which=st.integers(0, 1))
    def archive(self, which: int) -> None:
        number = next(e.number for e in self.newest.epochs if not e.archived)
        self._change(which, lambda m: archived(m, number))

    @precondition(lambda self: self.newest.epochs and self.newest.readable)
    @rule(which=st.integers(0, 1), choice=st.integers(0, 99))
    def publish(self, which: int, choice: int) -> None:
        m, owner = self.newest, self._fresh("r")
        number = m.epochs[choice % len(m.epochs)].number
        stored = [Blob(f"cells:{fp}", f"{owner}.{fp}", chunk(self.number)) for fp in sorted(m.readable)]
        stored += [Blob(kind, owner, chunk(self.number + 1)) for kind in ("ids", "dead")]
        self._change(which, published(m, number, owner), stored)

    @precondition(lambda self: len(self.newest.blocks) > 1)
    @rule(which=st.integers(0, 1), choice=st.integers(0, 99), width=st.integers(2, 4))
    def compact_blocks(self, which: int, choice: int, width: int) -> None:
        blocks, owner = self.newest.blocks, self._fresh("m")
        inputs = blocks[choice % len(blocks) :][:width]
        stored = [Blob(f"cells:{fp}", owner, chunk(self.number)) for fp in sorted(inputs[0].fingerprints)]
        self._change(which, lambda m: compact_blocks(m, [b.owner for b in inputs], owner), stored)

    @precondition(lambda self: len(self.newest.runs) > 1)
    @rule(which=st.integers(0, 1), choice=st.integers(0, 99))
    def compact_runs(self, which: int, choice: int) -> None:
        runs, owner = self.newest.runs, self._fresh("m")
        fingerprint = runs[choice % len(runs)].fingerprint
        owners = [r.owner for r in runs if r.fingerprint == fingerprint]
        stored = [Blob(f"cells:{fingerprint}", owner, chunk(self.number))]
        self._change(which, lambda m: compact_runs(m, owners, owner), stored)

    @precondition(lambda self: self.newest.epochs)
    @rule(which=st.integers(0, 1), choice=st.integers(0, 99))
    def expire(self, which: int, choice: int) -> None:
        number = self.newest.epochs[choice % len(self.newest.epochs)].number
        self._change(which, lambda m: expire(m, number, "late"))

    @precondition(lambda self: self.newest.runs)
    @rule(which=st.integers(0, 1), fingerprint=st.sampled_from("fgh"))
    def drop_runs(self, which: int, fingerprint: str) -> None:
        self._change(which, lambda m: drop_runs(m, fingerprint))

    @rule(which=st.integers(0, 1))
    def nothing(self, which: int) -> None:
        self._change(which, lambda m: m, [Blob("ids", "nobody", chunk(0))])

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(which=st.integers(0, 1), back=st.integers(0, 8))
    def sweep(self, which: int, back: int) -> None:
        before_us = self.clock.now_us() - back * 1_000_000
        older = [i for i, (at_us, _) in enumerate(self.history) if at_us <= before_us]
        self.swept |= bool(older and older[-1])
        self.history = self.history[older[-1] :] if older else self.history
        alive = {address for _, m in self.history for address in listed(m)}
        gone = self.blobs.keys() - alive
        assert self.handles[which].sweep(TOPIC, before_us) == len(gone)
        self.blobs = {address: table for address, table in self.blobs.items() if address in alive}
        for kind, owner in gone:
            with pytest.raises(CorruptError):
                self.handles[which].load(TOPIC, kind, [owner])

    @rule(which=st.integers(0, 1), seconds=st.integers(0, 12))
    def look_back(self, which: int, seconds: int) -> None:
        at_us = self.clock.now_us() - seconds * 1_000_000
        seen = [m for us, m in self.history if us <= at_us]
        if not seen and self.swept:
            with pytest.raises(RequestError):
                self.handles[which].manifest(TOPIC, at_us)
            return
        then = seen[-1] if seen else Manifest(TOPIC)
        assert self.handles[which].manifest(TOPIC, at_us) == then
        self._loads(which, then)

    @rule(which=st.integers(0, 1), key=KEYS, data=st.binary(max_size=3), stale=st.booleans())
    def put(self, which: int, key: str, data: bytes, stale: bool) -> None:
        version = self.values.get(key, (b"", 0))[1]
        if stale:
            with pytest.raises(ConflictError):
                self.handles[which].put("keys", key, data, version + 1)
            return
        new = self.handles[which].put("keys", key, data, version)
        assert new > version
        self.values[key] = (data, new)

    @rule(which=st.integers(0, 1), key=KEYS)
    def delete(self, which: int, key: str) -> None:
        assert self.handles[which].put("keys", key, None) == 0
        self.values.pop(key, None)

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        self.handles[which] = self._open()

    @invariant()
    def both_see_the_model(self) -> None:
        for handle in self.handles:
            assert handle.manifest(TOPIC) == self.newest
            assert {k: (v.data, v.version) for k, v in handle.scan("keys").items()} == self.values

    @invariant()
    def all_that_is_listed_loads(self) -> None:
        self._loads(0, self.newest)

    def _loads(self, which: int, m: Manifest) -> None:
        for address, table in contents(self.handles[which], listed(m)).items():
            assert table.equals(self.blobs[address])


@pytest.mark.parametrize("name", STATES)
def test_a_state_behaves_like_its_model(request: pytest.FixtureRequest, name: str) -> None:
    connect(request, name)
    run_state_machine_as_test(
        type("Model", (Model,), {"implementation": name}),
        settings=settings(
            max_examples=10 if name in SERVERS else 60,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
