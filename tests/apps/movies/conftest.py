"""Time, films and upstreams that the tests of the films' outside world share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from fastapi import FastAPI

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.apps.movies.films import Film
from watersmeet.apps.movies.limiter import RateLimit
from watersmeet.apps.movies.sandbox import Server
from watersmeet.apps.movies.tmdb import TmdbClient

from .upstream import KEY, START_US, Upstream, make_film


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_US)


@pytest.fixture(scope="session")
def served() -> Iterator[Upstream]:
    told = Upstream()
    app = FastAPI()
    app.add_api_route("/3/{path:path}", told.answer, response_model=None)
    with Server(app) as server:
        told.url = server.url
        yield told


@pytest.fixture
def upstream(served: Upstream) -> Upstream:
    """The server that all tests share, with nothing to say and nothing seen."""
    served.replies, served.calls, served.seen = {}, Counter(), []
    return served


@pytest.fixture
def connect(clock: ManualClock) -> Iterator[Callable[..., TmdbClient]]:
    """Makes clients that no rate limit slows down, and closes them."""
    made: list[TmdbClient] = []

    def make(url: str, key: str = KEY, **options: object) -> TmdbClient:
        options.setdefault("limit", RateLimit(clock, per_second=1e6, burst=1000))
        client = TmdbClient(clock, key, base_url=url, **options)  # type: ignore[arg-type]  # options of several types
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def films() -> list[Film]:
    return [make_film(number) for number in range(1, 61)]
