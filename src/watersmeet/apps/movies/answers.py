"""What TMDB answers, as far as it is read.

Upstream data is untrusted: unknown fields are ignored, a wrong type or an impossible number is an error that names its
path. What TMDB writes when it knows nothing (``""``, a budget of 0, an average of no votes) becomes ``None`` here, so
that nothing downstream takes it for a fact.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

T = TypeVar("T")

FilmId = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Score = Annotated[float, Meta(ge=0, le=10)]
Popularity = Annotated[float, Meta(ge=0, le=1e12)]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list.

    Args:
        number: this page's number, from 1.
        pages: how many pages there are.
        total: how many results there are on all pages.
        results: the well-formed results, in TMDB's order.
        malformed: for each of the others, what is wrong with it and where.
    """

    number: int
    pages: int
    total: int
    results: tuple[T, ...]
    malformed: tuple[str, ...] = ()


class Genre(msgspec.Struct, frozen=True):
    """A genre's number and English name."""

    id: int
    name: str


class Genres(msgspec.Struct, frozen=True):
    """The genre table."""

    genres: list[Genre]


class Listed(msgspec.Struct):
    """A film as lists show it: trending, popular, top rated."""

    id: FilmId
    title: str | None = None
    release_date: str | None = None
    genre_ids: list[int] | None = None
    vote_average: Score | None = None
    vote_count: Count | None = None
    popularity: Popularity | None = None

    def __post_init__(self) -> None:
        self.title = self.title or None
        self.release_date = _date(self.release_date)
        if not self.vote_count:
            self.vote_average = None


class Details(msgspec.Struct):
    """A film's own page. Runtime in minutes, budget and revenue in US dollars; ``None`` is unknown."""

    id: FilmId
    title: str | None = None
    release_date: str | None = None
    genres: list[Genre] | None = None
    runtime: Count | None = None
    budget: Count | None = None
    revenue: Count | None = None
    vote_average: Score | None = None
    vote_count: Count | None = None
    popularity: Popularity | None = None

    def __post_init__(self) -> None:
        self.title = self.title or None
        self.release_date = _date(self.release_date)
        self.runtime = self.runtime or None
        self.budget = self.budget or None
        self.revenue = self.revenue or None
        if not self.vote_count:
            self.vote_average = None


class AuthorDetails(msgspec.Struct, frozen=True):
    """What is known of a reviewer: the stars given, 0 to 10 in halves, or ``None``."""

    rating: Score | None = None


class Review(msgspec.Struct, frozen=True):
    """A review. ``created_at`` is when it was written, as TMDB says; a time without a zone is UTC."""

    id: Annotated[str, Meta(min_length=1, max_length=256)]
    author: str | None = None
    content: str | None = None
    created_at: dt.datetime | None = None
    url: str | None = None
    author_details: AuthorDetails | None = None

    @property
    def rating(self) -> float | None:
        """The stars given, 0 to 10."""
        return self.author_details.rating if self.author_details else None

    @property
    def created_ms(self) -> int | None:
        """When it was written, in milliseconds since 1970-01-01Z."""
        if self.created_at is None:
            return None
        moment = self.created_at if self.created_at.tzinfo else self.created_at.replace(tzinfo=dt.UTC)
        return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


class CastMember(msgspec.Struct, frozen=True):
    """Somebody in front of the camera."""

    name: str | None = None
    character: str | None = None


class CrewMember(msgspec.Struct, frozen=True):
    """Somebody behind the camera."""

    name: str | None = None
    job: str | None = None


class Credits(msgspec.Struct, frozen=True):
    """A film's cast and crew, in TMDB's order."""

    id: FilmId
    cast: list[CastMember]
    crew: list[CrewMember]


class ListAnswer(msgspec.Struct, frozen=True):
    """The wrapper of every list; its results are decoded one by one, so that a bad one costs only itself."""

    page: Count
    results: list[msgspec.Raw]
    total_pages: Count
    total_results: Count


def page_of(answer: ListAnswer, shape: type[T]) -> Page[T]:
    """Decode each result of a list as ``shape``; what does not fit is reported in ``malformed``."""
    results: list[T] = []
    malformed: list[str] = []
    for index, raw in enumerate(answer.results):
        try:
            results.append(msgspec.json.decode(raw, type=shape))
        except msgspec.DecodeError as error:
            malformed.append(str(error).replace("`$", f"`$.results[{index}]", 1))
    return Page(answer.page, answer.total_pages, answer.total_results, tuple(results), tuple(malformed))


def _date(text: str | None) -> str | None:
    """``YYYY-MM-DD``, or ``None`` for an empty text; anything else is malformed."""
    if not text:
        return None
    if len(text) != 10:
        raise ValueError(f"Expected a date `YYYY-MM-DD`, got {text[:20]!r}")
    return dt.date.fromisoformat(text).isoformat()
