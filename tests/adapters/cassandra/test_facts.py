from __future__ import annotations

import pytest

from watersmeet.adapters.cassandra.session import Session
from watersmeet.core.errors import ConflictError, CorruptError

from .conftest import Open

pytestmark = pytest.mark.integration
ROW = "app = ? and space = 'keys' and key = ?"


def test_a_lost_value_is_noticed_by_a_scan_of_its_space(open_state: Open, session: Session, app: str) -> None:
    state = open_state()
    for key in "abc":
        state.put("keys", key, key.encode())
    session.write(f"delete from facts where {ROW}", (app, b"b"))  # of this test
    with pytest.raises(CorruptError, match="the 3 that were stored; got 2"):
        open_state().scan("keys")


@pytest.mark.parametrize("damage", ["data = 0x00", "crc = 1", "version = 9"])
def test_a_damaged_value_is_refused(open_state: Open, session: Session, app: str, damage: str) -> None:
    state = open_state()
    state.put("keys", "a", b"1")
    session.write(f"update facts set {damage} where {ROW}", (app, b"a"))  # of this test
    for ask in (lambda: state.get("keys", "a"), lambda: state.scan("keys"), lambda: state.put("keys", "a", b"2")):
        with pytest.raises(CorruptError, match="keys a"):
            ask()


def test_a_space_of_many_values_is_scanned_over_many_pages(open_state: Open, session: Session, app: str) -> None:
    state = open_state()
    for number in range(3):
        state.put("keys", f"a{number}", b"")
    kept = state.scan("keys")
    assert [value.version for value in kept.values()] == [1, 2, 3]
    assert list(state.scan("keys", "a1")) == ["a1"]


def test_an_emptied_space_still_knows_its_versions(open_state: Open) -> None:
    state = open_state()
    version = state.put("keys", "a", b"")
    state.put("keys", "a", None)
    assert open_state().scan("keys") == {}
    assert open_state().put("keys", "b", b"") == version + 1


def test_a_change_in_the_middle_of_another_makes_it_begin_again(open_state: Open) -> None:
    """Two read version 1 and both want to set it: one does, the other sees what that has made of its premise."""
    state, other = open_state(), open_state()
    first = state.put("keys", "a", b"1")
    facts, read = state._facts, state._facts.get
    met: list[int] = []

    def meet(space: str, key: str) -> object:
        found = read(space, key)
        if not met:
            met.append(other.put("keys", "a", b"2"))
        return found

    facts.get = meet  # type: ignore[method-assign,assignment]  # to be there between its two statements
    with pytest.raises(ConflictError, match=f"expected version {first}; got version {first + 1}"):
        state.put("keys", "a", b"3", expected=first)
    assert met == [first + 1]
