"""The films as the sandbox sees them at an instant, in TMDB's shapes.

Everything is a pure function of (films, seed, minute); only the last minute's rankings are kept, so that the pages of
one minute agree and cost one sort. Unknown values are written as TMDB writes them: 0, an empty text.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from watersmeet import WatersmeetError

from . import walks
from .films import Film
from .opinions import opinion, opinions

PAGE = 20
LAST_PAGE = 500

GENRES = {
    "Action": 28, "Adventure": 12, "Animation": 16, "Comedy": 35, "Crime": 80, "Documentary": 99, "Drama": 18,
    "Family": 10751, "Fantasy": 14, "History": 36, "Horror": 27, "Music": 10402, "Mystery": 9648, "Romance": 10749,
    "Science Fiction": 878, "TV Movie": 10770, "Thriller": 53, "War": 10752, "Western": 37,
    # the file has three that TMDB has not
    "Biography": 90001, "Musical": 90002, "Sport": 90003,
}  # fmt: skip
"""Genre numbers; TMDB's own where it has the genre."""

_LANGUAGES = {
    "Arabic": "ar", "Cantonese": "cn", "Danish": "da", "Dutch": "nl", "English": "en", "French": "fr", "German": "de",
    "Hebrew": "he", "Hindi": "hi", "Italian": "it", "Japanese": "ja", "Korean": "ko", "Mandarin": "zh",
    "Norwegian": "no", "Persian": "fa", "Polish": "pl", "Portuguese": "pt", "Russian": "ru", "Spanish": "es",
    "Swedish": "sv",
}  # fmt: skip

_NEW_FILMS = 300
_NEW_EVERY_MINUTES = 15
_RATED_LEAST = 100

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class _Moment:
    """All films' figures in one minute, and their orders."""

    minute: int
    popularity: walks.Floats
    vote_count: walks.Ints
    vote_average: walks.Floats
    popular: walks.Ints
    trending: walks.Ints
    top_rated: walks.Ints


class World:
    """Films whose figures move.

    Args:
        films: at least one; ids must differ.
        seed: names one of many possible courses of events.
    """

    def __init__(self, films: Sequence[Film], seed: int = 0) -> None:
        if not films:
            raise WatersmeetError("the sandbox", expected="at least one film", got="none")
        self._films = sorted(films, key=lambda film: film.id)
        self._index = {film.id: index for index, film in enumerate(self._films)}
        self._seed = seed
        self._ids = np.array([film.id for film in self._films], dtype=np.int64)
        self._own = np.array([film.popularity for film in self._films])
        self._mean = np.array([film.vote_average or 0.0 for film in self._films])
        counts = [film.vote_count if film.vote_average is not None else 0 for film in self._films]
        self._count = np.array(counts, dtype=np.int64)
        self._lock = threading.Lock()
        self._last: _Moment | None = None

    def ranked(self, order: str, number: int, minute: int) -> Json:
        """A page of ``trending``, ``popular`` or ``top_rated``."""
        moment = self._moment(minute)
        order_by: walks.Ints = getattr(moment, order)
        listed = order_by[(number - 1) * PAGE : number * PAGE]
        results = [self._listed(int(index), moment) for index in listed]
        return _page(number, results, len(order_by))

    def latest(self, minute: int) -> Json:
        """The newest film: of the films with the highest numbers, the next one every 15 minutes."""
        new = min(_NEW_FILMS, len(self._films))
        index = len(self._films) - new + minute // _NEW_EVERY_MINUTES % new
        return self._details(index, minute)

    def details(self, film_id: int, minute: int) -> Json | None:
        """A film's own page, or ``None``."""
        index = self._index.get(film_id)
        return None if index is None else self._details(index, minute)

    def reviews(self, film_id: int, number: int, now: int) -> Json | None:
        """A page of a film's reviews at ``now`` (s), or ``None`` if there is no such film."""
        index = self._index.get(film_id)
        if index is None:
            return None
        film = self._films[index]
        rows = opinions(self._seed, film, now)
        shown = [opinion(self._seed, film, *row) for row in rows[(number - 1) * PAGE : number * PAGE]]
        results: list[Json] = [
            {
                "author": one.author,
                "author_details": {"name": "", "username": one.author, "avatar_path": None, "rating": one.rating},
                "content": one.content,
                "created_at": _iso(one.created),
                "id": one.id,
                "updated_at": _iso(one.created),
                "url": f"https://sandbox.invalid/review/{one.id}",
            }
            for one in shown
        ]
        return {"id": film_id, **_page(number, results, len(rows))}

    def credits(self, film_id: int) -> Json | None:
        """A film's cast and crew, or ``None``."""
        index = self._index.get(film_id)
        if index is None:
            return None
        film = self._films[index]
        cast = [{"name": name, "character": "", "order": order} for order, name in enumerate(film.cast)]
        crew = [{"name": name, "job": "Director", "department": "Directing"} for name in film.directors]
        crew += [{"name": name, "job": "Writer", "department": "Writing"} for name in film.writers]
        return {"id": film_id, "cast": cast, "crew": crew}

    def genres(self) -> Json:
        """The genre table."""
        return {"genres": [{"id": number, "name": name} for name, number in GENRES.items()]}

    def _moment(self, minute: int) -> _Moment:
        with self._lock:
            if self._last is None or self._last.minute != minute:
                self._last = self._figure(minute)
            return self._last

    def _figure(self, minute: int) -> _Moment:
        seed, ids, own, at = self._seed, self._ids, self._own, np.array([minute])
        popularity = walks.popularity(seed, ids, own, at)
        gained = popularity - walks.popularity(seed, ids, own, at - 1440)
        new = walks.votes(seed, ids, own, at)
        average = walks.vote_average(seed, ids, self._mean, self._count, new)
        count = self._count + new
        rated = np.flatnonzero(count >= _RATED_LEAST)
        return _Moment(
            minute,
            popularity,
            count,
            average,
            popular=np.argsort(-popularity, kind="stable"),
            trending=np.argsort(-gained, kind="stable"),
            top_rated=rated[np.argsort(-average[rated], kind="stable")],
        )

    def _listed(self, index: int, moment: _Moment) -> Json:
        film = self._films[index]
        return {
            "adult": False,
            "backdrop_path": None,
            "genre_ids": [GENRES[name] for name in film.genres if name in GENRES],
            "id": film.id,
            "original_language": _language(film),
            "original_title": film.title,
            "overview": "",
            "popularity": float(moment.popularity[index]),
            "poster_path": None,
            "release_date": film.release_date.isoformat() if film.release_date else "",
            "title": film.title,
            "video": False,
            "vote_average": float(moment.vote_average[index]),
            "vote_count": int(moment.vote_count[index]),
        }

    def _details(self, index: int, minute: int) -> Json:
        film = self._films[index]
        page = self._listed(index, self._moment(minute))
        del page["genre_ids"]
        return page | {
            "belongs_to_collection": None,
            "budget": film.budget or 0,
            "genres": [{"id": GENRES[name], "name": name} for name in film.genres if name in GENRES],
            "homepage": "",
            "production_companies": [{"name": name} for name in film.companies],
            "production_countries": [{"name": name} for name in film.countries],
            "revenue": film.revenue or 0,
            "runtime": film.runtime or 0,
            "spoken_languages": [{"english_name": name} for name in film.languages],
            "status": "Released",
            "tagline": "",
        }


def _page(number: int, results: list[Json], total: int) -> Json:
    pages = -(-total // PAGE)
    return {"page": number, "results": results, "total_pages": pages, "total_results": total}


def _language(film: Film) -> str:
    return _LANGUAGES.get(film.languages[0], "xx") if film.languages else "xx"


def _iso(seconds: int) -> str:
    return f"{np.datetime64(seconds, 's')}.000Z"
