"""The films as the sandbox sees them at an instant."""

from __future__ import annotations

import pytest

from watersmeet import WatersmeetError
from watersmeet.apps.movies.films import Film
from watersmeet.apps.movies.world import PAGE, World

from .upstream import START_US

pytestmark = pytest.mark.unit

MINUTE = START_US // 60_000_000


def ids(answer: dict[str, object]) -> list[int]:
    results = answer["results"]
    assert isinstance(results, list)
    return [film["id"] for film in results]


def test_unknown_values_are_written_as_tmdb_writes_them(films: list[Film]) -> None:
    details = World(films).details(50, MINUTE)
    assert details is not None
    assert (details["revenue"], details["budget"]) == (0, 0)
    assert details["genres"] == [{"id": 18, "name": "Drama"}, {"id": 878, "name": "Science Fiction"}]
    assert details["release_date"] == "1955-06-06"
    assert World(films).details(51, MINUTE) is None


@pytest.mark.parametrize("order", ["popular", "trending", "top_rated"])
def test_pages_of_one_minute_tile_the_list(films: list[Film], order: str) -> None:
    world = World(films, seed=4)
    pages = [ids(world.ranked(order, number, MINUTE)) for number in (1, 2, 3, 4)]
    total = world.ranked(order, 1, MINUTE)["total_results"]
    assert [len(page) for page in pages[:2]] == [PAGE, PAGE]
    assert len({film for page in pages for film in page}) == sum(map(len, pages)) == total


def test_a_minute_asked_for_again_answers_the_same(films: list[Film]) -> None:
    world = World(films, seed=4)
    now = world.ranked("trending", 1, MINUTE)
    later = world.ranked("trending", 1, MINUTE + 300)
    assert world.ranked("trending", 1, MINUTE) == now != later
    assert World(list(reversed(films)), seed=4).ranked("trending", 1, MINUTE) == now


def test_the_newest_film_changes_every_quarter_of_an_hour(films: list[Film]) -> None:
    world = World(films)
    start = MINUTE - MINUTE % 15
    newest = [world.latest(start + minute)["id"] for minute in range(0, 15 * len(films), 5)]
    assert newest[0] == newest[1] == newest[2] != newest[3]
    assert set(newest) == {film.id for film in films}


def test_credits_name_who_is_known(films: list[Film]) -> None:
    credits = World(films).credits(10)
    assert credits is not None
    assert credits["cast"] == [
        {"name": "A. Player", "character": "", "order": 0},
        {"name": "B. Player", "character": "", "order": 1},
    ]
    assert World(films).credits(11) is None


def test_a_world_has_films() -> None:
    with pytest.raises(WatersmeetError, match="at least one film"):
        World([])
