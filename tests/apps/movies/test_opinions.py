"""The sandbox's reviews."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from importlib.resources import files
from statistics import mean

import pytest

from watersmeet.apps.movies.films import Film
from watersmeet.apps.movies.opinions import KEPT_DAYS, Opinion, opinion, opinions

from .upstream import START_US, make_film

pytestmark = pytest.mark.unit

NOW = START_US // 1_000_000
FILM = make_film(7, popularity=80.0)


def listed(film: Film, now: int) -> dict[str, Opinion]:
    found = [opinion(3, film, *row) for row in opinions(3, film, now)]
    return {one.id: one for one in found}


def test_reviews_are_the_same_whoever_asks_when() -> None:
    now, later = listed(FILM, NOW), listed(FILM, NOW + 86_400)
    assert listed(FILM, NOW) == now
    assert len(now) > 100
    both = now.keys() & later.keys()
    assert len(both) > 0.9 * len(now)
    assert all(now[name] == later[name] for name in both)
    assert later.keys() - both


def test_nothing_is_listed_before_it_was_written_nor_after_a_month() -> None:
    written = [one.created for one in listed(FILM, NOW).values()]
    assert written == sorted(written, reverse=True)
    assert min(written) > NOW - KEPT_DAYS * 86_400
    assert max(written) <= NOW
    assert NOW - max(written) < 86_400


def test_some_become_visible_hours_after_they_were_written() -> None:
    first_seen: dict[tuple[int, int, int], int] = {}
    known = set(opinions(3, FILM, NOW))
    for now in range(NOW, NOW + 3 * 86_400, 600):
        for row in opinions(3, FILM, now):
            if row not in known:
                first_seen.setdefault(row, now)
    lags = [now - created for (created, _, _), now in first_seen.items()]
    late = [lag for lag in lags if lag >= 3600]
    assert all(0 <= lag <= 6 * 3600 + 600 for lag in lags)
    assert 0 < len(late) < 0.4 * len(lags)
    assert not [lag for lag in lags if 700 < lag < 3600]


def test_popular_films_are_written_about_more() -> None:
    assert len(listed(make_film(7, popularity=80.0), NOW)) > 5 * len(listed(make_film(7, popularity=4.0), NOW)) > 0


def test_a_review_reads_like_one() -> None:
    reviews = list(listed(FILM, NOW).values())
    assert all(re.fullmatch("[0-9a-f]{24}", one.id) for one in reviews)
    assert not any("{" in one.content or not one.content for one in reviews)
    assert any(FILM.title in one.content for one in reviews)
    assert len({one.content for one in reviews}) > 0.95 * len(reviews)
    assert {one.rating for one in reviews} <= {None, *map(float, range(1, 11))}
    assert None in {one.rating for one in reviews}


def test_good_films_are_liked_more() -> None:
    def mean_stars(rating: float | None) -> float:
        stars = [one.rating for one in listed(replace(FILM, vote_average=rating), NOW).values()]
        return mean(one for one in stars if one is not None)

    assert 1 <= mean_stars(2.0) < 4.5 < mean_stars(None) < 6.5 < mean_stars(9.0) <= 10


def test_the_corpus_has_sentences_of_each_kind() -> None:
    lines = (files("watersmeet.apps.movies") / "reviews.txt").read_text(encoding="utf-8").splitlines()[1:]
    assert all(re.fullmatch(r"[+=-] \S.*\S", line) for line in lines)
    assert len(set(lines)) == len(lines) == 120
    assert min(Counter(line[0] for line in lines).values()) >= 30
