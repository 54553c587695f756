"""Manifests whose rows were damaged behind the back of the store, and clocks that disagree."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.conformance.changes import TOPIC, absorb, begin, chunk
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.manifests import SCHEMA, Manifests
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.errors import CorruptError
from watersmeet.core.manifest import Manifest, Transition, compact_blocks, create, lease
from watersmeet.core.state import Blob

pytestmark = pytest.mark.integration


def opened(directory: Path, now_us: int = 10**12) -> closing[LocalState]:
    return closing(LocalState(directory / "state.db", ManualClock(now_us)))


@pytest.mark.parametrize(
    "statement",
    [
        "delete from entries where rowid=(select max(rowid) from entries)",
        "update entries set died=2",
        "update entries set kind='gap' where kind='slice'",
        "update head set body=cast(replace(body, 'one', 'two') as blob)",
        "update head set version=version-1",
        "delete from head",
        "delete from history where version>3",
        "update history set at_us=at_us+1",
    ],
)
def test_rows_that_were_tampered_with_are_noticed(tmp_path: Path, statement: str) -> None:
    with opened(tmp_path) as state:
        begin(state)
        absorb(state, "a")
    with closing(sqlite3.connect(tmp_path / "state.db")) as behind:
        behind.execute(statement)
        behind.commit()
    with opened(tmp_path) as state:
        with pytest.raises(CorruptError):
            state.manifest(TOPIC)
        with pytest.raises(CorruptError):
            state.change(TOPIC, lambda m: lease(m, "x"))


def test_a_version_that_is_missing_from_history_is_not_skipped(tmp_path: Path) -> None:
    clock = ManualClock(1)
    with closing(LocalState(tmp_path / "state.db", clock)) as state:
        for _ in range(4):
            clock.advance(1)
            state.change(TOPIC, lambda m: lease(m, "one"))
        with closing(sqlite3.connect(tmp_path / "state.db")) as behind:
            behind.execute("delete from history where version=2")
            behind.commit()
        assert [state.manifest(TOPIC, s * 1_000_000 + 1).version for s in (3, 4)] == [3, 4]
        for seconds in (1, 2):
            with pytest.raises(CorruptError, match="history of topic"):
                state.manifest(TOPIC, seconds * 1_000_000 + 1)


def test_an_entry_that_was_lost_while_its_manifest_is_known_cannot_die(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        begin(state)
        for attempt in "ab":
            absorb(state, attempt)
        with closing(sqlite3.connect(tmp_path / "state.db")) as behind:
            behind.execute("delete from entries where kind='block' and identity='a'")
            behind.commit()
        with pytest.raises(CorruptError, match="block a of topic"):
            state.change(TOPIC, lambda m: compact_blocks(m, "ab", "m"), [Blob("cells:f", "m", chunk(1))])


def test_time_never_goes_back_between_versions(tmp_path: Path) -> None:
    with opened(tmp_path, 9_000_000) as ahead, opened(tmp_path, 1_000_000) as behind:
        begin(ahead)
        m = absorb(behind, "a")
        assert ahead.manifest(TOPIC, 9_000_000) == m
        assert ahead.manifest(TOPIC, 8_999_999) == Manifest(TOPIC)


def test_a_past_that_does_not_lead_to_the_present_is_forgotten() -> None:
    """A file that was put back from a copy while a process knew a later past of its own."""
    manifests, clock = Manifests(), ManualClock(0)
    two: list[sqlite3.Connection] = []

    def apply(connection: sqlite3.Connection, holders: list[str]) -> Manifest:
        steps: list[Transition] = [lambda m: create(m, (0,))]
        steps += [lambda m, holder=holder: lease(m, holder) for holder in holders]  # type: ignore[misc]  # bound now
        writer = Manifests()
        for step in steps:
            writer.change(connection, TOPIC, step, clock.now_us())
        return writer.newest(connection, TOPIC)

    try:
        for holders in (["a", "b"], ["c", "d", "e", "f"]):
            two.append(sqlite3.connect(":memory:"))
            for statement in SCHEMA:
                two[-1].execute(statement)
            m = apply(two[-1], holders)
            assert manifests.newest(two[-1], TOPIC) == m
    finally:
        for connection in two:
            connection.close()
