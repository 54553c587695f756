"""What becomes of TMDB's ways of writing that nothing is known."""

from __future__ import annotations

import msgspec
import pytest

from watersmeet.apps.movies.answers import Details, ListAnswer, Listed, Review, page_of

pytestmark = pytest.mark.unit


def test_the_unknown_becomes_null() -> None:
    body = b'{"id":5,"title":"","release_date":"","runtime":0,"budget":0,"revenue":0,"vote_average":0.0,"vote_count":0}'
    assert msgspec.json.decode(body, type=Details) == Details(id=5, vote_count=0)
    listed = msgspec.json.decode(body, type=Listed)
    assert (listed.title, listed.release_date, listed.vote_average, listed.vote_count) == (None, None, None, 0)


def test_a_low_average_of_real_votes_stays() -> None:
    assert msgspec.json.decode(b'{"id":5,"vote_average":0,"vote_count":3}', type=Listed).vote_average == 0


@pytest.mark.parametrize(
    ("written", "created_ms"),
    [
        ('"2017-02-13T22:23:01.268Z"', 1_487_024_581_268),
        ('"2017-02-13T23:23:01.268+01:00"', 1_487_024_581_268),
        ('"2017-02-13T22:23:01"', 1_487_024_581_000),
        ('"1969-12-31T23:59:59.999Z"', -1),
        ("null", None),
    ],
)
def test_a_review_keeps_the_time_at_which_it_was_written(written: str, created_ms: int | None) -> None:
    review = msgspec.json.decode(f'{{"id":"a","created_at":{written}}}', type=Review)
    assert review.created_ms == created_ms


@pytest.mark.parametrize(
    "author", ["", ',"author_details":null', ',"author_details":{}', ',"author_details":{"rating":null}']
)
def test_a_review_without_stars_has_none(author: str) -> None:
    assert msgspec.json.decode(f'{{"id":"a"{author}}}', type=Review).rating is None


def test_a_page_says_what_is_wrong_with_which_result() -> None:
    body = b'{"page":2,"total_pages":9,"total_results":170,"results":[{"id":1},{"id":0},5,{"id":3,"popularity":-1}]}'
    page = page_of(msgspec.json.decode(body, type=ListAnswer), Listed)
    assert (page.number, page.pages, page.total, [film.id for film in page.results]) == (2, 9, 170, [1])
    assert page.malformed == (
        "Expected `int` >= 1 - at `$.results[1].id`",
        "Expected `object`, got `int`",
        "Expected `float` >= 0.0 - at `$.results[3].popularity`",
    )
