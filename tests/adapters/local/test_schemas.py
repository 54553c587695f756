"""Schemas kept with the state: ids are given once, whoever asks at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.schemas import SPACE, LocalSchemas
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.errors import CorruptError

pytestmark = pytest.mark.unit


@pytest.fixture
def state(tmp_path: Path) -> Iterator[LocalState]:
    with closing(LocalState(tmp_path / "state.db", ManualClock(0))) as found:
        yield found


def record(*fields: str) -> str:
    """A record of whole numbers."""
    inner = ",".join(f'{{"name":"{name}","type":"long"}}' for name in fields)
    return f'{{"type":"record","name":"r","fields":[{inner}]}}'


def test_ids_count_up_from_one_and_are_kept(state: LocalState, tmp_path: Path) -> None:
    schemas = LocalSchemas(state)
    assert [schemas.register("a-value", record("x")), schemas.register("b-value", record("y"))] == [1, 2]
    with closing(LocalState(tmp_path / "state.db", ManualClock(0))) as other:
        assert LocalSchemas(other).get(2) == record("y")


def test_many_registering_at_once_lose_nothing(state: LocalState) -> None:
    schemas, ids = LocalSchemas(state), dict[int, int]()

    def register(number: int) -> None:
        ids[number] = schemas.register("a-value", record(f"x{number}"))

    threads = [threading.Thread(target=register, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids.values()) == list(range(1, 9))
    assert sorted(v.id for v in schemas.versions("a-value")) == list(range(1, 9))
    assert {schemas.get(id_) for id_ in ids.values()} == {record(f"x{n}") for n in range(8)}


def test_a_damaged_subject_is_named(state: LocalState) -> None:
    state.put(SPACE, "subject/a-value", b"[]")
    with pytest.raises(CorruptError, match="a-value"):
        LocalSchemas(state).versions("a-value")
