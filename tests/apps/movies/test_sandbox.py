"""The sandbox over HTTP, as any client sees it."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Iterator

import httpx2
import pytest

from watersmeet import WatersmeetError
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.apps.movies.films import Film
from watersmeet.apps.movies.sandbox import Faults, Sandbox, Server

from .upstream import KEY

pytestmark = pytest.mark.integration

NO_FAULTS = Faults(limited=0, broken=0)


@pytest.fixture
def http(films: list[Film], clock: ManualClock) -> Iterator[httpx2.Client]:
    sandbox = Sandbox(films, clock, seed=3, key=KEY, faults=NO_FAULTS)
    with Server(sandbox.app) as server, httpx2.Client(base_url=server.url, headers={"Authorization": KEY}) as client:
        yield client


def test_a_list_has_tmdbs_shape(http: httpx2.Client) -> None:
    body = http.get("/trending/movie/day", params={"page": 3}).json()
    assert {key: body[key] for key in ("page", "total_pages", "total_results")} == {
        "page": 3,
        "total_pages": 3,
        "total_results": 60,
    }
    assert body["results"][0].keys() == {
        *("adult", "backdrop_path", "genre_ids", "id", "original_language", "original_title", "overview", "popularity"),
        *("poster_path", "release_date", "title", "video", "vote_average", "vote_count"),
    }


def test_reviews_have_tmdbs_shape(http: httpx2.Client) -> None:
    body = http.get("/movie/600/reviews").json()
    assert body.keys() == {"id", "page", "results", "total_pages", "total_results"}
    review = body["results"][0]
    assert review.keys() == {"author", "author_details", "content", "created_at", "id", "updated_at", "url"}
    assert review["author_details"].keys() == {"name", "username", "avatar_path", "rating"}
    assert re.fullmatch(r"2026-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z", review["created_at"])


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/movie/11", 404, 34),
        ("/movie/11/reviews", 404, 34),
        ("/movie/11/credits", 404, 34),
        ("/movie/abc", 404, 6),
        ("/movie/popular?page=0", 400, 22),
        ("/movie/popular?page=501", 400, 22),
        ("/movie/popular?page=x", 400, 22),
    ],
)
def test_a_refusal_is_tmdbs(http: httpx2.Client, path: str, status: int, code: int) -> None:
    answer = http.get(path)
    assert answer.status_code == status
    assert (answer.json()["success"], answer.json()["status_code"]) == (False, code)


def test_the_key_is_asked_for(http: httpx2.Client) -> None:
    assert http.get("/genre/movie/list", headers={"Authorization": "Bearer another"}).status_code == 401
    assert http.get("/genre/movie/list", headers={"Authorization": ""}).json()["status_code"] == 7
    assert http.get("/genre/movie/list", headers={"Authorization": ""}, params={"api_key": KEY}).status_code == 200


def test_failures_follow_their_plan_and_their_seed(films: list[Film], clock: ManualClock) -> None:
    faults = Faults(limited=0.3, retry_after=0.5, retry_after_seconds=4, broken=0.2)

    def answers(seed: int) -> list[tuple[int, str | None]]:
        sandbox = Sandbox(films, clock, seed=seed, faults=faults)
        with Server(sandbox.app) as server, httpx2.Client(headers={"Authorization": "any"}) as client:
            got = [client.get(f"{server.url}/movie/10") for _ in range(400)]
        assert sandbox.answered == Counter(answer.status_code for answer in got)
        return [(answer.status_code, answer.headers.get("Retry-After")) for answer in got]

    first = answers(1)
    assert answers(1) == first != answers(2)
    statuses = Counter(status for status, _ in first)
    assert 90 <= statuses[429] <= 150
    assert 50 <= statuses[500] <= 110
    waits = Counter(wait for status, wait in first if status == 429)
    assert 0.3 * statuses[429] < statuses[429] - waits[None] < 0.7 * statuses[429]
    assert waits["4"] > 0
    assert waits["Thu, 28 May 2026 20:26:44 GMT"] > 0


def test_the_figures_follow_the_clock(http: httpx2.Client, clock: ManualClock) -> None:
    now = http.get("/movie/popular").json()
    assert http.get("/movie/popular").json() == now
    clock.advance(6 * 3600)
    assert http.get("/movie/popular").json() != now


def test_a_stopped_server_leaves_no_thread_and_no_port(films: list[Film], clock: ManualClock) -> None:
    before = threading.active_count()
    server = Server(Sandbox(films, clock).app)
    url = server.url
    assert httpx2.get(f"{url}/movie/10").status_code == 401
    server.stop()
    assert threading.active_count() == before
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{url}/movie/10")


@pytest.mark.parametrize("shares", [{"limited": 1.5}, {"broken": -0.1}, {"limited": 0.6, "broken": 0.6}])
def test_faults_are_shares(shares: dict[str, float]) -> None:
    with pytest.raises(WatersmeetError, match="shares between 0 and 1"):
        Faults(**shares)  # type: ignore[arg-type]  # shares only
