"""Small values whose rows were damaged behind the back of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.errors import CorruptError

pytestmark = pytest.mark.integration


def opened(directory: Path) -> closing[LocalState]:
    return closing(LocalState(directory / "state.db", ManualClock(0)))


@pytest.mark.parametrize(
    "damage",
    [
        "delete from facts where space='keys' and key='a'",
        "update facts set key='c' where space='keys' and key='a'",
        "update facts set data=x'00' where space='keys' and key='a'",
        "update facts set version=9 where space='keys' and key='a'",
        "delete from spaces where space='keys'",
        "update spaces set last=0 where space='keys'",
        "insert into facts values('keys', 'c', 3, 0, x'')",
    ],
)
@pytest.mark.parametrize(
    "question",
    [
        lambda state: state.get("keys", "a"),
        lambda state: state.scan("keys"),
        lambda state: state.put("keys", "a", b"1", expected=0),
    ],
    ids=["get", "scan", "put"],
)
def test_a_value_that_was_lost_is_not_one_that_never_was(
    tmp_path: Path, damage: str, question: Callable[[LocalState], object]
) -> None:
    with opened(tmp_path) as state:
        state.put("keys", "a", b"1")
        state.put("keys", "b", b"2")
        state.put("other", "a", b"3")
    with closing(sqlite3.connect(tmp_path / "state.db")) as behind:
        behind.execute(damage)
        behind.commit()
    with opened(tmp_path) as state:
        with pytest.raises(CorruptError, match="keys"):
            question(state)
        assert state.scan("other").keys() == {"a"}
