"""A state of its own for each test, in the one keyspace of the run."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from watersmeet.adapters.cassandra.session import Session, open_session
from watersmeet.adapters.cassandra.state import CassandraState
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.core.address import Address, parse_address

Open = Callable[..., CassandraState]


@pytest.fixture(scope="module")
def session(cassandra: str) -> Iterator[Session]:
    opened = open_session(parse_address(cassandra))
    yield opened
    opened.close()


@pytest.fixture
def place(cassandra: str) -> Address:
    return replace(parse_address(cassandra), options={"app": uuid.uuid4().hex[:12], "refresh_ms": "0"})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000)


@pytest.fixture
def open_state(session: Session, place: Address, clock: ManualClock) -> Open:
    """Opens further handles on one state, with more options."""
    return lambda **more: CassandraState(replace(place, options={**place.options, **more}), clock, session)


@pytest.fixture
def app(place: Address) -> str:
    return place.options["app"]
