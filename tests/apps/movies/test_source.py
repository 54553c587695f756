"""The source: what it asks when, what it tells, and that no crash and no failure makes it forget."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from watersmeet import Pulled, UnavailableError, WatersmeetError
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.apps.movies.films import Film
from watersmeet.apps.movies.opinions import opinion, opinions
from watersmeet.apps.movies.progress import Plan, decode
from watersmeet.apps.movies.sandbox import Faults, Sandbox, Server
from watersmeet.apps.movies.source import METADATA, RATINGS, REVIEWS, Emitted, TmdbSource
from watersmeet.apps.movies.source import connect as connect_source
from watersmeet.apps.movies.tmdb import TmdbClient

from .upstream import KEY, START_US, Upstream, page

pytestmark = pytest.mark.integration

Connect = Callable[..., TmdbClient]

SEED = 3
SMALL = Plan(trending_pages=1, list_pages=2, tracked=40)


@pytest.fixture
def sandbox(films: list[Film], clock: ManualClock) -> Iterator[str]:
    with Server(Sandbox(films, clock, seed=SEED, faults=Faults(limited=0, broken=0)).app) as server:
        yield server.url


@pytest.fixture
def tmdb(upstream: Upstream) -> Upstream:
    """An upstream with one film in every list, whose figures do not move."""
    item = {"id": 5, "title": "Five", "genre_ids": [18, 99], "vote_average": 7.1, "vote_count": 10, "popularity": 3.5}
    upstream.says("/genre/movie/list", {"genres": [{"id": 18, "name": "Drama"}]})
    upstream.says("/movie/latest", {"id": 100})
    for path in ("/trending/movie/day", "/movie/popular", "/movie/top_rated"):
        upstream.says(path, page(item | {"release_date": "2020-02-29"}))
    upstream.says(
        "/movie/5", {"id": 5, "title": "Five", "genres": [{"id": 18, "name": "Drama"}], "runtime": 90, "budget": 0}
    )
    upstream.says("/movie/5/reviews", page())
    return upstream


def fields(records: list[Emitted], topic: str) -> list[dict[str, object]]:
    return [msgspec.json.decode(record.value) for name, record in records if name == topic]


def settle(source: TmdbSource, position: bytes | None = None) -> tuple[list[Emitted], bytes]:
    """Pull until nothing is due."""
    records: list[Emitted] = []
    while True:
        pulled = source.pull(position)
        records += pulled.records
        position = pulled.position
        if pulled.wait_seconds:
            return records, position


def test_records_have_the_topics_shapes(sandbox: str, connect: Connect, clock: ManualClock) -> None:
    records, _ = settle(TmdbSource(connect(sandbox), clock, SMALL))
    assert {topic for topic, _ in records} == {REVIEWS, RATINGS, METADATA}
    for topic, record in records:
        value = msgspec.json.decode(record.value)
        assert record.key == str(value["movie_id"]).encode()
        assert (
            list(value)
            == {
                REVIEWS: ["review_id", "movie_id", "author", "content", "rating", "created_at", "url"],
                RATINGS: ["event_id", "movie_id", "vote_average", "vote_count", "popularity", "timestamp"],
                METADATA: [
                    *("event_id", "movie_id", "title", "release_date", "genres", "runtime", "budget", "revenue"),
                    *("timestamp", "event_type"),
                ],
            }[topic]
        )
    assert {value["event_type"] for value in fields(records, METADATA)} == {"trending_update", "detail_update"}
    assert {genre for value in fields(records, METADATA) for genre in value["genres"]} == {  # type: ignore[attr-defined]  # a list
        *("Drama", "Science Fiction", "Comedy"),
    }
    for topic in (RATINGS, METADATA):
        told = {record.value for name, record in records if name == topic}
        assert len(told) == len({msgspec.json.decode(value)["event_id"] for value in told}), "one id, two contents"
    written = [int(str(value["created_at"])) for value in fields(records, REVIEWS)]
    assert min(written) < START_US // 1000 - 20 * 86_400_000, "TMDB's time, not the poll's"


def test_what_tmdb_does_not_know_is_null(tmdb: Upstream, connect: Connect, clock: ManualClock) -> None:
    tmdb.forget("/trending/movie/day")
    tmdb.says(
        "/trending/movie/day", page({"id": 6, "title": "", "release_date": "", "vote_average": 0, "vote_count": 0})
    )
    tmdb.says("/movie/6/reviews", page({"id": "r", "author_details": None}))
    tmdb.says("/movie/6", {"id": 6, "budget": 0, "revenue": 0, "runtime": 0})
    records, _ = settle(TmdbSource(connect(tmdb.url), clock, SMALL))
    rating = next(value for value in fields(records, RATINGS) if value["movie_id"] == 6)
    assert rating == {
        "event_id": f"6-{START_US // 1000}",
        "movie_id": 6,
        "vote_average": None,
        "vote_count": 0,
        "popularity": None,
        "timestamp": START_US // 1000,
    }
    for value in fields(records, METADATA):
        if value["movie_id"] == 6:
            assert [value[name] for name in ("title", "release_date", "runtime", "budget", "revenue")] == [None] * 5
    [review] = fields(records, REVIEWS)
    assert [review[name] for name in ("author", "content", "rating", "created_at", "url")] == [None] * 5


def test_polls_are_due_when_they_should_be(tmdb: Upstream, connect: Connect, clock: ManualClock) -> None:
    source, position = TmdbSource(connect(tmdb.url), clock, SMALL), None
    while clock.now_us() < START_US + 2 * 3600 * 1_000_000:
        pulled: Pulled = source.pull(position)
        position = pulled.position
        clock.advance(pulled.wait_seconds)
    assert tmdb.calls == {
        "/genre/movie/list": 1,
        "/movie/latest": 120,
        "/trending/movie/day": 24,
        "/movie/popular": 2,
        "/movie/top_rated": 2,
        "/movie/5/reviews": 24,
        "/movie/5": 12,
    }


def test_a_pull_ends_after_its_share_of_calls_and_says_when_to_come_again(
    tmdb: Upstream, connect: Connect, clock: ManualClock
) -> None:
    source = TmdbSource(connect(tmdb.url), clock, Plan(trending_pages=1, list_pages=1, calls=4))
    pulled = source.pull(None)
    assert tmdb.calls.keys() == {"/genre/movie/list", "/movie/latest", "/trending/movie/day", "/movie/popular"}
    assert pulled.wait_seconds == 0
    pulled = source.pull(pulled.position)
    assert tmdb.calls.total() == 7
    assert pulled.wait_seconds == pytest.approx(60)
    clock.advance(20.5)
    pulled = source.pull(pulled.position)
    assert pulled.records == []
    assert pulled.wait_seconds == pytest.approx(39.5)
    assert tmdb.calls.total() == 7


def test_the_unchanged_is_told_again_only_as_a_heartbeat(tmdb: Upstream, connect: Connect, clock: ManualClock) -> None:
    source, position, told = TmdbSource(connect(tmdb.url), clock, SMALL), None, Counter[tuple[str, str]]()
    for _ in range(11):
        records, position = settle(source, position)
        told.update(
            (topic, str(value.get("event_type")))
            for topic in (RATINGS, METADATA)
            for value in fields(records, topic)
            if value["movie_id"] == 5
        )
        clock.advance(300)
    assert told == {(RATINGS, "None"): 1, (METADATA, "trending_update"): 1, (METADATA, "detail_update"): 1}
    item = {"id": 5, "title": "Five", "release_date": "2020-02-29", "genre_ids": [18, 99], "vote_average": 7.1}
    tmdb.forget("/trending/movie/day")
    tmdb.says("/trending/movie/day", page(item | {"vote_count": 11, "popularity": 3.5}))
    records, position = settle(source, position)
    assert [value["vote_count"] for value in fields(records, RATINGS)] == [11]
    assert fields(records, METADATA) == []
    clock.advance(300)
    records, position = settle(source, position)
    assert {value["event_type"] for value in fields(records, METADATA)} == {"trending_update", "detail_update"}
    assert fields(records, RATINGS) == []


def test_a_crash_after_each_pull_brings_the_same_records(
    films: list[Film], connect: Connect, clock: ManualClock
) -> None:
    def run(crashing: bool) -> list[Emitted]:
        moving = ManualClock(START_US)
        out: list[Emitted] = []
        position: bytes | None = None
        with Server(Sandbox(films[::6], moving, seed=SEED, faults=Faults(limited=0, broken=0)).app) as server:
            client = connect(server.url)
            while moving.now_us() < START_US + 700 * 1_000_000:
                if crashing:
                    lost = TmdbSource(client, moving, SMALL).pull(position)
                    assert lost == TmdbSource(client, moving, SMALL).pull(position)
                pulled = TmdbSource(client, moving, SMALL).pull(position)
                out += pulled.records
                position = pulled.position
                moving.advance(pulled.wait_seconds)
        return out

    calm = run(crashing=False)
    assert len(calm) > 300
    assert run(crashing=True) == calm


def test_every_visible_review_comes_once_whatever_is_lost_on_the_way(
    films: list[Film], connect: Connect, clock: ManualClock
) -> None:
    films = films[48:]
    plan = Plan(trending_pages=1, list_pages=1, tracked=20, review_pages=20, review_memory=400, calls=7)
    position, out, expected = None, list[Emitted](), set[str]()
    with Server(Sandbox(films, clock, seed=SEED, faults=Faults(limited=0.1, broken=0.1)).app) as server:
        source = TmdbSource(connect(server.url, attempts=20), clock, plan)
        for _ in range(4):
            source.pull(position)  # lost in a crash, and time goes on
            clock.advance(30)
            records, position = settle(source, position)
            out += records
            now = clock.now_us() // 1_000_000
            expected |= {opinion(SEED, film, *row).id for film in films for row in opinions(SEED, film, now - 60)}
            clock.advance(3600)
    told = [str(value["review_id"]) for value in fields(out, REVIEWS)]
    assert len(told) == len(set(told))
    assert set(told) >= expected
    assert len(expected) > 400


def test_all_pages_of_reviews_are_read_when_their_number_changes_and_once_an_hour(
    tmdb: Upstream, connect: Connect, clock: ManualClock
) -> None:
    tmdb.forget("/movie/5/reviews")
    first, second = page({"id": "a"}, pages=2, total=21), page({"id": "b"}, number=2, pages=2, total=21)
    tmdb.says("/movie/5/reviews", first, second, first)
    source, position, asked = TmdbSource(connect(tmdb.url), clock, SMALL), None, []
    for _ in range(14):
        before = tmdb.calls["/movie/5/reviews"]
        _, position = settle(source, position)
        asked.append(tmdb.calls["/movie/5/reviews"] - before)
        clock.advance(300)
    assert asked == [2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1]
    tmdb.forget("/movie/5/reviews")
    tmdb.says("/movie/5/reviews", page({"id": "a"}, pages=2, total=22), page({"id": "c"}, number=2, pages=2, total=22))
    records, _ = settle(source, position)
    assert [value["review_id"] for value in fields(records, REVIEWS)] == ["c"]


def test_what_trends_is_asked_for_first(sandbox: str, connect: Connect, clock: ManualClock) -> None:
    source = TmdbSource(connect(sandbox), clock, Plan(trending_pages=1, list_pages=2, tracked=60, calls=4))
    _, position = settle(source)
    clock.advance(301)
    order: list[int] = []
    for _ in range(30):
        before = {film.id: film.reviewed for film in decode(position).films}
        position = source.pull(position).position
        order += [film.id for film in decode(position).films if film.reviewed != before.get(film.id, 0)]
    films = decode(position).films
    assert len(order) == len(films) > 40
    places = {film: place for place, film in enumerate(order)}
    trending = [places[film.id] for film in films if film.trended == clock.now_us() // 1_000_000]
    assert len(trending) == 20
    assert max(trending) < 30, "in no order, the last of twenty would be near the end"


def test_an_upstream_that_is_gone_leaves_the_position_as_it_was(
    films: list[Film], connect: Connect, clock: ManualClock
) -> None:
    with Server(Sandbox(films, clock, seed=SEED, faults=Faults(limited=0, broken=0)).app) as server:
        _, position = settle(TmdbSource(connect(server.url), clock, SMALL))
    clock.advance(301)
    gone = TmdbSource(connect(server.url, attempts=2), clock, SMALL)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            gone.pull(position)
    with Server(Sandbox(films, clock, seed=SEED, faults=Faults(limited=0, broken=0)).app) as server:
        assert TmdbSource(connect(server.url), clock, SMALL).pull(position).records


def test_a_poll_that_fails_is_put_off_and_the_others_go_on(
    tmdb: Upstream, connect: Connect, clock: ManualClock
) -> None:
    tmdb.forget("/movie/5/reviews")
    tmdb.says("/movie/5/reviews", b"", status=500)
    source, position, failures = TmdbSource(connect(tmdb.url, attempts=1), clock, SMALL), None, 0
    while clock.now_us() < START_US + 3600 * 1_000_000:
        try:
            pulled: Pulled = source.pull(position)
        except UnavailableError:
            failures += 1
            clock.advance(1)
        else:
            position = pulled.position
            clock.advance(pulled.wait_seconds)
    assert tmdb.calls["/movie/latest"] == pytest.approx(60, abs=1)
    assert tmdb.calls["/trending/movie/day"] == pytest.approx(12, abs=1)
    assert tmdb.calls["/movie/5"] >= 5
    assert 10 <= tmdb.calls["/movie/5/reviews"] <= 70
    assert failures <= 5


def test_lists_wait_for_the_names_of_genres(tmdb: Upstream, connect: Connect, clock: ManualClock) -> None:
    replies = tmdb.replies.pop("/genre/movie/list")
    tmdb.says("/genre/movie/list", b"", status=500)
    source = TmdbSource(connect(tmdb.url, attempts=1), clock, SMALL)
    pulled = source.pull(None)
    assert pulled.wait_seconds == pytest.approx(60, abs=2)
    assert not tmdb.calls["/trending/movie/day"]
    tmdb.replies["/genre/movie/list"] = replies
    clock.advance(61)
    records, _ = settle(source, pulled.position)
    assert [value["genres"] for value in fields(records, METADATA) if value["event_type"] == "trending_update"] == [
        ["Drama", "genre 99"]
    ]


def test_a_malformed_answer_is_logged_and_the_rest_comes(
    tmdb: Upstream, connect: Connect, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    tmdb.forget("/movie/5/reviews")
    tmdb.says("/movie/5/reviews", page({"id": "a"}, {"id": 7}, {"id": "c"}))
    tmdb.forget("/movie/latest")
    tmdb.says("/movie/latest", b"<html>")
    with caplog.at_level(logging.WARNING, logger="watersmeet"):
        records, _ = settle(TmdbSource(connect(tmdb.url), clock, SMALL))
    assert [value["review_id"] for value in fields(records, REVIEWS)] == ["a", "c"]
    assert "reviews of film 5, left out: Expected `str`, got `int` - at `$.results[1].id`" in caplog.text
    assert "latest brought nothing: TMDB /movie/latest" in caplog.text


def test_films_between_two_answers_of_latest_are_looked_up(
    tmdb: Upstream, connect: Connect, clock: ManualClock
) -> None:
    source = TmdbSource(connect(tmdb.url), clock, SMALL)
    _, position = settle(source)
    tmdb.forget("/movie/latest")
    tmdb.says("/movie/latest", {"id": 104})
    tmdb.says("/movie/102", {"id": 102, "title": "Between"})
    clock.advance(60)
    records, position = settle(source, position)
    assert [(value["movie_id"], value["title"]) for value in fields(records, METADATA)] == [
        (104, None),
        (102, "Between"),
    ]
    assert [tmdb.calls[f"/movie/{number}"] for number in range(100, 105)] == [0, 1, 1, 1, 0]
    tmdb.forget("/movie/latest")
    tmdb.says("/movie/latest", {"id": 10_000})
    clock.advance(60)
    settle(source, position)
    assert sum(tmdb.calls[f"/movie/{number}"] for number in range(105, 10_000)) == SMALL.latest_gap


def test_a_film_that_is_gone_is_followed_no_more(tmdb: Upstream, connect: Connect, clock: ManualClock) -> None:
    source = TmdbSource(connect(tmdb.url), clock, SMALL)
    _, position = settle(source)
    for path in ("/movie/5", "/movie/5/reviews", "/trending/movie/day", "/movie/popular"):
        tmdb.forget(path)
    tmdb.says("/trending/movie/day", page())
    clock.advance(601)
    _, position = settle(source, position)
    assert decode(position).films == []


def test_a_refused_key_stops_the_pull(sandbox: str, connect: Connect, films: list[Film], clock: ManualClock) -> None:
    with Server(Sandbox(films, clock, key="the other").app) as server:
        source = TmdbSource(connect(server.url), clock)
        with pytest.raises(WatersmeetError, match="TMDB_API_KEY"):
            source.pull(None)


def test_the_source_is_made_from_the_environment(sandbox: str, clock: ManualClock, tmp_path: Path) -> None:
    environ = {"TMDB_API_KEY": KEY, "TMDB_BASE_URL": sandbox, "TMDB_RATE_LIMIT": "2", "TMDB_RETRY_ATTEMPTS": "3"}
    source = connect_source(clock, directory=tmp_path, environ=environ, plan=SMALL)
    assert source.name == "tmdb"
    source.pull(None)
    assert clock.now_us() > START_US, "ten calls pass at once, the eleventh waits"
    assert (tmp_path / "tmdb-limit.sqlite").is_file()
    source.close()
    with pytest.raises(UnavailableError, match="closed"):
        source.pull(None)


@pytest.mark.parametrize(
    ("environ", "complaint"),
    [
        ({}, "TMDB_API_KEY"),
        ({"TMDB_API_KEY": KEY, "TMDB_RATE_LIMIT": "fast"}, "TMDB_RATE_LIMIT.*'fast'.*Leave it out for 4"),
        ({"TMDB_API_KEY": KEY, "TMDB_RETRY_ATTEMPTS": "0"}, "TMDB_RETRY_ATTEMPTS"),
        ({"TMDB_API_KEY": KEY, "TMDB_RETRY_BACKOFF": "nan"}, "TMDB_RETRY_BACKOFF"),
        ({"TMDB_API_KEY": KEY, "TMDB_BASE_URL": "http://example.invalid/3"}, "TMDB_BASE_URL"),
    ],
)
def test_a_wrong_environment_is_named(clock: ManualClock, environ: dict[str, str], complaint: str) -> None:
    with pytest.raises(WatersmeetError, match=complaint):
        connect_source(clock, environ=environ)
