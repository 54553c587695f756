"""A registry's first answer about an id stands; a topic's schema is registered checked, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.registries import MemorySchemas
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.schemas import LocalSchemas
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.avro import schema_of
from watersmeet.core.errors import RequestError, UnavailableError
from watersmeet.core.topic import Topic
from watersmeet.layers.schemas import KeptSchemas, propose, register

pytestmark = pytest.mark.unit

FIRST = Topic("shop.sales", schema={"id": "varchar not null", "paid": "bigint"}, format="avro")
WIDER = Topic("shop.sales", schema={**FIRST.schema, "city": "varchar"}, format="avro")
NARROWER = Topic("shop.sales", schema={**FIRST.schema, "city": "varchar not null"}, format="avro")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[LocalState]:
    with closing(LocalState(tmp_path / "state.db", ManualClock(0))) as found:
        yield found


@pytest.fixture
def local(state: LocalState) -> LocalSchemas:
    return LocalSchemas(state)


def test_a_schema_outlives_its_registry(state: LocalState) -> None:
    registry = MemorySchemas("{}")
    assert KeptSchemas(registry, state).get(1) == "{}"
    registry.down = True
    assert KeptSchemas(registry, state).get(1) == "{}"
    assert registry.asked == [1]


def test_an_unknown_id_stays_unknown_to_every_process_until_it_is_forgotten(state: LocalState) -> None:
    registry = MemorySchemas()
    early = KeptSchemas(registry, state)
    with pytest.raises(RequestError):
        early.get(1)
    registry.add("{}")
    for kept in (early, KeptSchemas(registry, state)):
        with pytest.raises(RequestError, match="watersmeet schemas forget 1") as refused:
            kept.get(1)
        assert refused.value.kind == "unknown"
    assert early.forget(1)
    assert early.get(1) == "{}"
    assert not early.forget(1)
    assert not early.forget(2)


def test_a_registry_that_is_away_says_nothing_about_an_id(state: LocalState) -> None:
    registry = MemorySchemas("{}")
    kept = KeptSchemas(registry, state)
    registry.down = True
    with pytest.raises(UnavailableError):
        kept.get(1)
    registry.down = False
    assert kept.get(1) == "{}"


def test_of_two_processes_that_ask_at_once_the_first_answer_stands(state: LocalState) -> None:
    class Late(MemorySchemas):
        """Another process finds the id unknown while this one is asking."""

        def get(self, id: int) -> str:
            with pytest.raises(RequestError):
                KeptSchemas(MemorySchemas(), state).get(id)
            return super().get(id)

    with pytest.raises(RequestError):
        KeptSchemas(Late("{}"), state).get(1)


def test_a_new_subject_gets_the_level_backward(local: LocalSchemas) -> None:
    ids = register(local, [propose(local, FIRST)])
    assert ids == {"shop.sales": 1}
    assert local.level("shop.sales-value") == "BACKWARD"
    assert local.get(1) == schema_of(FIRST)


def test_a_level_that_somebody_set_stays(local: LocalSchemas) -> None:
    local.register("shop.sales-value", schema_of(FIRST))
    local.level("shop.sales-value", "FORWARD")
    register(local, [propose(local, NARROWER)])
    assert local.level("shop.sales-value") == "FORWARD"


def test_another_level_is_checked_before_it_is_set(local: LocalSchemas) -> None:
    register(local, [propose(local, FIRST, "FORWARD")])
    with pytest.raises(RequestError, match="BACKWARD"):
        register(local, [propose(local, NARROWER, "BACKWARD")])
    assert local.level("shop.sales-value") == "FORWARD"


def test_one_that_is_forbidden_keeps_all_back(local: LocalSchemas) -> None:
    register(local, [propose(local, FIRST)])
    other = Topic("other", schema={"n": "bigint"}, format="avro")
    with pytest.raises(RequestError, match="city: the writer has no such field"):
        register(local, [propose(local, other), propose(local, NARROWER)])
    assert local.subjects() == ["shop.sales-value"]
    assert len(local.versions("shop.sales-value")) == 1


def test_an_older_version_is_taken_up_again_without_a_check(local: LocalSchemas) -> None:
    """As `rollback` does."""
    for topic in (FIRST, WIDER):
        register(local, [propose(local, topic)])
    found = propose(local, FIRST)
    assert (found.id, found.complaints) == (1, ())
    assert register(local, [found]) == {"shop.sales": 1}
    assert len(local.versions("shop.sales-value")) == 2


def test_versions_that_the_topic_cannot_read_are_named(local: LocalSchemas) -> None:
    register(local, [propose(local, FIRST)])
    assert propose(local, NARROWER).unreadable == ("version 1 (id 1): city: the writer has no such field",)
    assert propose(local, WIDER).unreadable == ()
