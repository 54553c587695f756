"""The source's memory: bounded, versioned, and fair."""

from __future__ import annotations

import pytest

from watersmeet import WatersmeetError
from watersmeet.apps.movies.progress import (
    POSITION_BYTES,
    Film,
    Plan,
    Progress,
    Told,
    decode,
    digest,
    encode,
    forget,
    priority,
    track,
    weight,
)

pytestmark = pytest.mark.unit

NOW = 1_780_000_000
PLAN = Plan()


def test_a_position_is_read_back_as_it_was() -> None:
    progress = Progress(latest_id=7, queue=[5, 6], genres={18: "Drama"}, held={"latest": 9})
    film = track(progress, 10)
    film.remember(digest("a") + digest("b"), 100)
    film.rating = Told(digest("r"), NOW)
    assert decode(encode(progress)) == progress
    assert decode(None) == Progress()


@pytest.mark.parametrize("position", [b"", b"{", b'{"films":[[]]}', b'{"version":2}', b'{"version":"1"}'])
def test_a_position_of_somebody_else_is_refused(position: bytes) -> None:
    with pytest.raises(WatersmeetError, match="the position of the TMDB source"):
        decode(position)


def test_the_fullest_position_keeps_the_limit() -> None:
    biggest = 2**31 - 1
    progress = Progress(
        genres={number: f"A long name {number}" for number in range(40)}, queue=[biggest] * PLAN.latest_gap
    )
    progress.held = {f"one of the polls {number}": NOW for number in range(6)}
    for number in range(PLAN.tracked + 50):
        film = track(progress, biggest - number)
        film.listed = film.trended = film.reviewed = film.detailed = film.held = film.newest = NOW
        film.reviews, film.popularity = 2**53, 123456.789012345
        film.rating = film.listing = film.details = Told(b"\xff" * 6, NOW)
        for review in range(PLAN.review_memory + 20):
            film.remember(digest(f"{number} {review}"), PLAN.review_memory)
    forget(progress, PLAN)
    assert len(progress.films) == PLAN.tracked
    assert len(encode(progress)) <= POSITION_BYTES


def test_a_plan_that_would_not_fit_is_refused() -> None:
    with pytest.raises(WatersmeetError, match="Lower tracked or review_memory"):
        Plan(tracked=5000)


@pytest.mark.parametrize("name", ["calls", "tracked", "reviews_seconds", "latest_seconds", "trending_pages"])
def test_a_plan_has_no_zero(name: str) -> None:
    with pytest.raises(WatersmeetError, match=name):
        Plan(**{name: 0})


def test_the_oldest_reviews_are_forgotten_first() -> None:
    film = Film(1)
    for number in range(5):
        mark = film.unseen(str(number))
        assert mark is not None
        film.remember(mark, 3)
    assert [number for number in range(5) if film.unseen(str(number)) is None] == [2, 3, 4]


def test_weights_are_as_stated() -> None:
    assert weight(Film(1), NOW, PLAN) == 1
    assert weight(Film(1, trended=NOW - 600), NOW, PLAN) == 5
    assert weight(Film(1, trended=NOW - 601), NOW, PLAN) == 1
    assert weight(Film(1, newest=NOW - 47 * 3600), NOW, PLAN) == 3
    assert weight(Film(1, newest=NOW - 48 * 3600), NOW, PLAN) == 1
    assert weight(Film(1, reviews=15), NOW, PLAN) == 2
    assert weight(Film(1, trended=NOW, newest=NOW, reviews=10**6), NOW, PLAN) == 9


def test_what_trends_goes_first_and_who_waits_longest_gets_there() -> None:
    trending, plain = Film(1, trended=NOW), Film(2)
    assert priority(trending, NOW, PLAN, NOW - 300) > priority(plain, NOW, PLAN, NOW - 300)
    assert priority(plain, NOW, PLAN, NOW - 1600) > priority(trending, NOW, PLAN, NOW - 300)
    assert priority(plain, NOW, PLAN, 0) > priority(trending, NOW, PLAN, NOW - 300)


def test_films_that_lists_named_last_are_kept() -> None:
    progress = Progress(films=[Film(1, 9.0, listed=10), Film(2, 1.0, listed=20), Film(3, 5.0, listed=10)])
    forget(progress, Plan(tracked=2))
    assert [film.id for film in progress.films] == [2, 1]
