"""The source that polls TMDB.

Each pull makes the polls that are due, most urgent first, until about ``Plan.calls`` calls are spent, and returns their
records with the position after them. Nothing is kept on the object: a pull from the same position at the same time
brings the same records.

    genres      once a day     the names of genres, for what follows
    latest      every 60 s     the newest film, and those numbered between    metadata (detail_update)
    trending    every 300 s    the top 100, which become tracked              metadata (trending_update), ratings
    lists       every hour     popular, which become tracked, and top rated   metadata (detail_update), ratings
    reviews     every 300 s    each tracked film, by priority                 reviews
    details     every 600 s    each tracked film, by priority                 metadata (detail_update)

A rating or a fact is told when it has changed and once an hour as a heartbeat, so that polls do not count as updates.
What TMDB does not know is null. A poll that fails is put off while others succeed; when nothing can be reached the pull
raises `UnavailableError`, and the position stays as it was. A malformed answer is logged and asked for again after five
minutes; a malformed result in a list is logged and costs only itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from watersmeet import Clock, Pulled, Record, UnavailableError, WatersmeetError

from .answers import Details, Listed, Page, Review
from .limiter import RateLimit
from .progress import Film, Plan, Progress, Told, decode, digest, encode, forget, priority, track
from .tmdb import BASE_URL, TmdbClient, TmdbError

REVIEWS, RATINGS, METADATA = "movie.reviews", "movie.ratings", "movie.metadata"

Emitted = tuple[str, Record]

_NEED_GENRES = ("trending", "lists")
_MALFORMED_SECONDS = 300

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Poll:
    """One thing to ask. ``run`` asks first and changes the progress only when all answers are there."""

    name: str
    run: Callable[[], list[Emitted]]
    film: Film | None = None


class TmdbSource:
    """Brings reviews, ratings and facts of films from TMDB.

    Args:
        client: the client to ask; closed by `close`.
        clock: in whose time polls are due.
        plan: what is polled how often.
    """

    def __init__(self, client: TmdbClient, clock: Clock, plan: Plan | None = None) -> None:
        self._client = client
        self._clock = clock
        self._plan = plan or Plan()

    @property
    def name(self) -> str:
        """``tmdb``."""
        return "tmdb"

    def close(self) -> None:
        """Close the client; a pull that waits raises `UnavailableError`."""
        self._client.close()

    def pull(self, position: bytes | None) -> Pulled:
        """Make the polls that are due and return what they brought.

        Raises:
            UnavailableError: no call succeeded.
            WatersmeetError: TMDB refuses the key, or the position is not this source's.
        """
        work = _Work(self._client, self._clock, self._plan, decode(position))
        records = work.run()
        return Pulled(records, encode(work.progress), work.wait_seconds())


class _Work:
    """One pull: a progress that is changed as polls succeed."""

    def __init__(self, client: TmdbClient, clock: Clock, plan: Plan, progress: Progress) -> None:
        self._client, self._clock, self._plan, self.progress = client, clock, plan, progress
        self._now = clock.now_us() // 1_000_000
        self._calls = 0

    def run(self) -> list[Emitted]:
        records: list[Emitted] = []
        reached, failures, error = False, 0, None
        for poll in self._due():
            if self._calls >= self._plan.calls or failures == 2:
                break
            try:
                records += poll.run()
            except UnavailableError as failure:
                error, failures = error or failure, failures + 1
                self._put_off(poll, self._plan.retry_seconds)
                continue
            except TmdbError as failure:
                _log.warning("%s brought nothing: %s", poll.name, failure)
                self._put_off(poll, _MALFORMED_SECONDS)
            reached, failures = True, 0
        if error is not None and not reached:
            raise error
        forget(self.progress, self._plan)
        return records

    def wait_seconds(self) -> float:
        """How long until the next poll is due."""
        soonest = min(self._due_at().values(), default=self._now)
        for film in self.progress.films:
            soonest = min(soonest, self._review_due(film), self._details_due(film))
        return max(0.0, soonest - self._clock.now_us() / 1e6)

    # What is due

    def _due_at(self) -> dict[str, int]:
        """When each shared poll is due."""
        p, plan = self.progress, self._plan
        due = {
            "genres": p.genres_at + plan.genres_seconds,
            "latest": p.latest_at + plan.latest_seconds,
            "trending": p.trending_at + plan.trending_seconds,
            "lists": 0 if p.list_next else p.lists_at + plan.lists_seconds,
        }
        if p.queue:
            due["queue"] = 0
        due = {name: max(at, p.held.get(name, 0)) for name, at in due.items()}
        if not p.genres:
            due |= {name: max(due[name], due["genres"]) for name in _NEED_GENRES}
        return due

    def _due(self) -> Iterable[_Poll]:
        """The polls that are due, shared ones first, then films by priority as it is when the shared ones are done."""
        runs = {
            "genres": self._genres,
            "latest": self._latest,
            "trending": self._trending,
            "lists": self._lists,
            "queue": self._queue,
        }
        for name, at in self._due_at().items():
            if at <= self._now and (self.progress.genres or name not in _NEED_GENRES):
                yield _Poll(name, runs[name])
        yield from self._film_polls()

    def _film_polls(self) -> list[_Poll]:
        ranked: list[tuple[float, _Poll]] = []
        for film in self.progress.films:
            if self._review_due(film) <= self._now:
                urgency = priority(film, self._now, self._plan, film.reviewed)
                ranked.append((urgency, _Poll(f"reviews of film {film.id}", partial(self._reviews, film), film)))
            if self._details_due(film) <= self._now:
                urgency = priority(film, self._now, self._plan, film.detailed) / 2
                ranked.append((urgency, _Poll(f"details of film {film.id}", partial(self._details, film), film)))
        ranked.sort(key=lambda pair: pair[0], reverse=True)
        return [poll for _, poll in ranked]

    def _review_due(self, film: Film) -> int:
        return max(film.reviewed + self._plan.reviews_seconds, film.held)

    def _details_due(self, film: Film) -> int:
        return max(film.detailed + self._plan.details_seconds, film.held)

    def _put_off(self, poll: _Poll, seconds: int) -> None:
        if poll.film is not None:
            poll.film.held = self._now + seconds
        else:
            self.progress.held[poll.name] = self._now + seconds

    # The polls

    def _genres(self) -> list[Emitted]:
        self._calls += 1
        self.progress.genres = self._client.genres()
        self.progress.genres_at = self._now
        return []

    def _latest(self) -> list[Emitted]:
        self._calls += 1
        newest = self._client.latest()
        known, self.progress.latest_id, self.progress.latest_at = self.progress.latest_id, newest.id, self._now
        if newest.id == known:
            return []
        if 0 < known < newest.id:
            missed = range(max(known + 1, newest.id - self._plan.latest_gap), newest.id)
            self.progress.queue = [*self.progress.queue, *missed][-self._plan.latest_gap :]
        return [self._detailed(newest)]

    def _queue(self) -> list[Emitted]:
        self._calls += 1
        found = self._client.details(self.progress.queue[0])
        del self.progress.queue[0]
        return [self._detailed(found)] if found else []

    def _trending(self) -> list[Emitted]:
        self._calls += self._plan.trending_pages
        films: dict[int, Listed] = {}
        for number in range(1, self._plan.trending_pages + 1):
            page = self._client.trending(number)
            self._complain("trending", page)
            films |= {listed.id: listed for listed in page.results}
            if number >= page.pages:
                break
        records: list[Emitted] = []
        for listed in films.values():
            film = track(self.progress, listed.id)
            film.trended = film.listed = self._now
            records += self._told(film, listed, "trending")
        self.progress.trending_at = self._now
        return records

    def _lists(self) -> list[Emitted]:
        self._calls += 1
        step = max(self.progress.list_next, 1)
        popular = step <= self._plan.list_pages
        number = step if popular else step - self._plan.list_pages
        page = self._client.popular(number) if popular else self._client.top_rated(number)
        self._complain("popular" if popular else "top rated", page)
        if step == 1:
            self.progress.lists_at = self._now
        if number >= page.pages:
            step = self._plan.list_pages * (1 if popular else 2)
        self.progress.list_next = step + 1 if step < 2 * self._plan.list_pages else 0
        records: list[Emitted] = []
        known = {film.id: film for film in self.progress.films}
        for listed in page.results:
            film = track(self.progress, listed.id) if popular else known.get(listed.id, Film(listed.id))
            film.listed = self._now
            if self._now - film.trended > 2 * self._plan.trending_seconds:  # else the trending poll tells of it
                records += self._told(film, listed, "list")
        return records

    def _reviews(self, film: Film) -> list[Emitted]:
        self._calls += 1
        first = self._client.reviews(film.id)
        if first is None:
            self._drop(film)
            return []
        pages, sweep = [first], first.total != film.reviews or self._now - film.swept >= self._plan.sweep_seconds
        for number in range(2, min(first.pages, self._plan.review_pages) + 1 if sweep else 0):
            self._calls += 1
            if page := self._client.reviews(film.id, number):
                pages.append(page)
        for page in pages:
            self._complain(f"reviews of film {film.id}", page)
        found = {review.id: review for page in pages for review in page.results}
        fresh = [(review, mark) for review in found.values() if (mark := film.unseen(review.id))]
        fresh.sort(key=lambda pair: (pair[0].created_ms or 0, pair[0].id))
        film.remember(b"".join(mark for _, mark in fresh), self._plan.review_memory)
        film.newest = max([film.newest, *((review.created_ms or 0) // 1000 for review, _ in fresh)])
        film.reviews, film.reviewed, film.swept = first.total, self._now, self._now if sweep else film.swept
        return [_reviewed(film.id, review) for review, _ in fresh]

    def _details(self, film: Film) -> list[Emitted]:
        self._calls += 1
        found = self._client.details(film.id)
        if found is None:
            self._drop(film)
            return []
        film.detailed = self._now
        facts = [found.title, found.release_date, found.genres, found.runtime, found.budget, found.revenue]
        return [self._detailed(found)] if self._news(film.details, facts) else []

    def _drop(self, film: Film) -> None:
        """Stop following a film that TMDB does not have any more."""
        self.progress.films = [other for other in self.progress.films if other is not film]

    # What is told

    def _complain(self, what: str, page: Page[Listed] | Page[Review]) -> None:
        for fault in page.malformed:
            _log.warning("TMDB sent a malformed result in %s, left out: %s", what, fault)

    def _news(self, told: Told, facts: object) -> bool:
        """True if these facts were not the last told, or that was a heartbeat ago; they are then noted as told."""
        mark = digest(msgspec.json.encode(facts))
        if mark == told.digest and self._now - told.at < self._plan.heartbeat_seconds:
            return False
        told.digest, told.at = mark, self._now
        return True

    def _told(self, film: Film, listed: Listed, origin: str) -> list[Emitted]:
        """The records of a film in a list: its facts and its rating, as far as they are news."""
        film.popularity = listed.popularity or 0.0
        records: list[Emitted] = []
        if self._news(film.listing, [listed.title, listed.release_date, listed.genre_ids, origin]):
            names = [self.progress.genres.get(g, f"genre {g}") for g in listed.genre_ids or ()]
            records.append(self._metadata(listed, names, origin))
        if self._news(film.rating, [listed.vote_average, listed.vote_count, listed.popularity]):
            timestamp = self._timestamp()
            records.append(
                _emitted(
                    RATINGS,
                    listed.id,
                    event_id=f"{listed.id}-{timestamp}",
                    movie_id=listed.id,
                    vote_average=listed.vote_average,
                    vote_count=listed.vote_count,
                    popularity=listed.popularity,
                    timestamp=timestamp,
                )
            )
        return records

    def _detailed(self, found: Details) -> Emitted:
        names = [genre.name for genre in found.genres or ()]
        return self._metadata(found, names, "details", found.runtime, found.budget, found.revenue)

    def _metadata(
        self,
        film: Listed | Details,
        genres: list[str],
        origin: str,
        runtime: int | None = None,
        budget: int | None = None,
        revenue: int | None = None,
    ) -> Emitted:
        timestamp = self._timestamp()
        return _emitted(
            METADATA,
            film.id,
            event_id=f"{film.id}-{timestamp}-{origin}",
            movie_id=film.id,
            title=film.title,
            release_date=film.release_date,
            genres=genres,
            runtime=runtime,
            budget=budget,
            revenue=revenue,
            timestamp=timestamp,
            event_type="trending_update" if origin == "trending" else "detail_update",
        )

    def _timestamp(self) -> int:
        return self._clock.now_us() // 1000


def connect(
    clock: Clock, *, directory: Path | None = None, environ: Mapping[str, str] = os.environ, plan: Plan | None = None
) -> TmdbSource:
    """Make the source from the environment.

    ``TMDB_API_KEY`` is needed. ``TMDB_BASE_URL`` (default: TMDB's own), ``TMDB_RATE_LIMIT`` (calls a second, 4.0),
    ``TMDB_RETRY_ATTEMPTS`` (5) and ``TMDB_RETRY_BACKOFF`` (seconds before the second attempt, 0.5) may be set.

    Args:
        directory: a folder that the processes of one project share; the rate limit is then kept in it, for all of them.

    Raises:
        WatersmeetError: the key is missing or a variable is not a number.
    """
    if not environ.get("TMDB_API_KEY"):
        raise WatersmeetError("TMDB_API_KEY", expected="a key of your TMDB account", got="nothing", remedy="set it")
    limit = RateLimit(
        clock,
        per_second=_number(environ, "TMDB_RATE_LIMIT", 4.0),
        path=directory / "tmdb-limit.sqlite" if directory else None,
    )
    client = TmdbClient(
        clock,
        environ["TMDB_API_KEY"],
        base_url=environ.get("TMDB_BASE_URL", BASE_URL),
        limit=limit,
        attempts=int(_number(environ, "TMDB_RETRY_ATTEMPTS", 5)),
        backoff_seconds=_number(environ, "TMDB_RETRY_BACKOFF", 0.5),
    )
    return TmdbSource(client, clock, plan)


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise WatersmeetError(
            name, expected="a positive number", got=repr(text), remedy=f"leave it out for {default:g}"
        )
    return value


def _reviewed(film_id: int, review: Review) -> Emitted:
    return _emitted(
        REVIEWS,
        film_id,
        review_id=review.id,
        movie_id=film_id,
        author=review.author,
        content=review.content,
        rating=review.rating,
        created_at=review.created_ms,
        url=review.url,
    )


def _emitted(topic: str, film_id: int, **fields: object) -> Emitted:
    return topic, Record(msgspec.json.encode(fields), key=str(film_id).encode())
