"""How far the polls of TMDB have come: everything that survives between two pulls.

The bytes are JSON with a version. They stay below 768 KiB whatever happens: at most ``Plan.tracked`` films are kept,
and of each at most ``Plan.review_memory`` reviews, as 6-byte digests, oldest forgotten first. A forgotten review may be
brought again; the topic's id removes it. Two of a hundred reviews of one film share a digest once in 5 * 10¹⁰ films.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import msgspec

from watersmeet import WatersmeetError

VERSION = 1
POSITION_BYTES = 768 << 10

_DIGEST_BYTES = 6
_FILM_BYTES = 260  # a film's row without its reviews: eleven numbers, three digests with their times, punctuation
_SHARED_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Plan:
    """What is polled how often, in the clock's seconds.

    At 4 calls a second, 300 s hold 1,200 calls. Of these the shared polls take about 20 (latest 5, trending 5, lists 50
    an hour), and each tracked film 1 for its reviews and half a one for its details: some 780 films can be followed
    without falling behind, and 600 leave room for reviews of several pages and for repeated attempts. Beyond that, or
    when TMDB slows down, `priority` decides who waits.

    Args:
        latest_seconds, trending_seconds, lists_seconds: the intervals of the shared polls.
        genres_seconds: the interval at which the names of genres are read again.
        reviews_seconds, details_seconds: the intervals of the polls of each tracked film.
        trending_pages: pages of 20 films that trend (5: the top 100).
        list_pages: pages each of popular and top rated; the popular films are tracked.
        review_pages: the most pages read of one film's reviews.
        sweep_seconds: all these pages are read when the number of reviews has changed and after this time; else one.
        review_memory: reviews remembered of one film.
        tracked: films whose reviews and details are polled.
        heartbeat_seconds: an unchanged rating or fact is told again after this.
        retry_seconds: how long a poll that failed is put off while others succeed.
        latest_gap: films numbered between two answers of ``latest`` that are looked up as well, at most.
        calls: calls in one pull, about; a pull ends after the poll that reaches it.
    """

    latest_seconds: int = 60
    trending_seconds: int = 300
    trending_pages: int = 5
    lists_seconds: int = 3600
    list_pages: int = 25
    reviews_seconds: int = 300
    review_pages: int = 5
    sweep_seconds: int = 3600
    review_memory: int = 100
    details_seconds: int = 600
    genres_seconds: int = 86_400
    tracked: int = 600
    heartbeat_seconds: int = 3600
    retry_seconds: int = 60
    latest_gap: int = 10
    calls: int = 20

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if getattr(self, name) < (0 if name in ("latest_gap", "heartbeat_seconds") else 1):
                raise WatersmeetError(f"the plan's {name}", expected="a positive number", got=str(getattr(self, name)))
        film_bytes = _FILM_BYTES + math.ceil(_DIGEST_BYTES * self.review_memory / 3) * 4
        if (size := self.tracked * film_bytes + _SHARED_BYTES) > POSITION_BYTES:
            raise WatersmeetError(
                f"the plan's memory of {self.tracked} films with {self.review_memory} reviews each",
                expected=f"at most {POSITION_BYTES} bytes",
                got=f"{size} bytes",
                remedy="lower tracked or review_memory",
            )


class Told(msgspec.Struct, array_like=True):
    """What was last told of a film on one matter, and when (s)."""

    digest: bytes = b""
    at: int = 0


class Film(msgspec.Struct, array_like=True):
    """A tracked film; times in seconds, 0 is never."""

    id: int
    popularity: float = 0.0
    listed: int = 0
    trended: int = 0
    reviewed: int = 0
    swept: int = 0
    detailed: int = 0
    held: int = 0
    newest: int = 0
    reviews: int = 0
    seen: bytes = b""
    rating: Told = msgspec.field(default_factory=Told)
    listing: Told = msgspec.field(default_factory=Told)
    details: Told = msgspec.field(default_factory=Told)

    def unseen(self, review_id: str) -> bytes | None:
        """The digest of a review that is not remembered; ``None`` for one that is."""
        mark = digest(review_id)
        known = any(self.seen[i : i + _DIGEST_BYTES] == mark for i in range(0, len(self.seen), _DIGEST_BYTES))
        return None if known else mark

    def remember(self, marks: bytes, limit: int) -> None:
        """Add digests; the oldest beyond ``limit`` are forgotten."""
        self.seen = (self.seen + marks)[-limit * _DIGEST_BYTES :]


class Progress(msgspec.Struct):
    """Everything the source knows.

    ``*_at`` is when a shared poll was last made (s), ``held`` until when one is put off. ``list_next`` is the next page
    of the sweep through the lists, 0 when none is under way; ``queue`` holds numbers of new films to look up.
    """

    version: int = VERSION
    genres_at: int = 0
    latest_at: int = 0
    trending_at: int = 0
    lists_at: int = 0
    list_next: int = 0
    latest_id: int = 0
    held: dict[str, int] = {}
    queue: list[int] = []
    genres: dict[int, str] = {}
    films: list[Film] = []


def decode(position: bytes | None) -> Progress:
    """The progress in a position; a fresh one for ``None``."""
    if position is None:
        return Progress()
    try:
        progress = msgspec.json.decode(position, type=Progress)
    except msgspec.DecodeError as error:
        raise WatersmeetError("the position of the TMDB source", expected="its own JSON", got=str(error)) from error
    if progress.version != VERSION:
        raise WatersmeetError(
            "the position of the TMDB source", expected=f"version {VERSION}", got=f"version {progress.version}"
        )
    return progress


def encode(progress: Progress) -> bytes:
    """The position that holds this progress."""
    return msgspec.json.encode(progress)


def digest(text: str | bytes) -> bytes:
    """Six bytes that stand for a text."""
    return hashlib.blake2b(text.encode() if isinstance(text, str) else text, digest_size=_DIGEST_BYTES).digest()


def weight(film: Film, now: int, plan: Plan) -> float:
    """How much a film's reviews are worth asking for, 1 to 9.

    1, and 4 if it trended at one of the last two polls, 2 if its newest review is younger than 48 h, and up to 2 for
    the number of its reviews (log2(1 + reviews) / 4).
    """
    trends = film.trended > 0 and now - film.trended <= 2 * plan.trending_seconds
    lively = film.newest > 0 and now - film.newest < 48 * 3600
    return 1 + 4 * trends + 2 * lively + min(2.0, math.log2(1 + film.reviews) / 4)


def priority(film: Film, now: int, plan: Plan, last: int) -> float:
    """Weight times the seconds since the ``last`` poll, a day if never. Waiting raises it, so nobody starves."""
    return weight(film, now, plan) * (now - last if last else 86_400)


def track(progress: Progress, film_id: int) -> Film:
    """The tracked film with this number, made if it is new."""
    for film in progress.films:
        if film.id == film_id:
            return film
    progress.films.append(Film(film_id))
    return progress.films[-1]


def forget(progress: Progress, plan: Plan) -> None:
    """Keep the tracked films that a list named last, and of those the most popular."""
    if len(progress.films) > plan.tracked:
        progress.films.sort(key=lambda film: (film.listed, film.popularity), reverse=True)
        del progress.films[plan.tracked :]
