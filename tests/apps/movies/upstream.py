"""An upstream that says what a test tells it to, and films that are made up."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field

import msgspec
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from watersmeet.apps.movies.films import Film

START_US = 1_780_000_000_000_000
"""When the tests begin: 2026-05-28T20:26:40Z."""

KEY = "eyJhbGciOiJIUzI1NiJ9.sekrit.token"

Headers = dict[str, str]
Reply = tuple[int, object, Headers]


@dataclass
class Upstream:
    """A server that answers what a test tells it to: by path, the last reply again and again.

    ``calls`` counts requests by path; ``seen`` keeps the requests themselves.
    """

    url: str = ""
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    seen: list[Request] = field(default_factory=list)

    def says(self, path: str, *bodies: object, status: int = 200, headers: Headers | None = None) -> None:
        """Append replies for a path: bytes as they are, the chunks that a callable yields, anything else as JSON."""
        self.replies.setdefault(path, []).extend((status, body, headers or {}) for body in bodies)

    def forget(self, path: str) -> None:
        """Answer a path by 404 again."""
        self.replies.pop(path, None)

    async def answer(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/3")
        self.calls[path] += 1
        self.seen.append(request)
        replies = self.replies.get(path)
        if not replies:
            return Response(b"{}", 404)
        status, body, headers = replies.pop(0) if len(replies) > 1 else replies[0]
        if body == "hang":
            await request.receive()  # the empty body of a GET
            await request.receive()  # nothing, until the caller has hung up
        if callable(body):
            return StreamingResponse(body(), status, headers)
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return Response(content, status, headers)


def page(*results: object, number: int = 1, pages: int = 1, total: int | None = None) -> dict[str, object]:
    """A list as TMDB wraps it."""
    return {
        "page": number,
        "results": list(results),
        "total_pages": pages,
        "total_results": len(results) if total is None else total,
    }


def make_film(number: int, *, popularity: float | None = None) -> Film:
    """A film; every third has no rating, every fifth no revenue."""
    return Film(
        id=number * 10,
        title=f"Film {number}",
        release_date=dt.date(1950 + number, 1 + number % 12, 1 + number % 28),
        genres=("Drama", "Science Fiction") if number % 2 else ("Comedy",),
        runtime=80 + number,
        budget=None,
        revenue=None if number % 5 == 0 else number * 1_000_000,
        vote_average=None if number % 3 == 0 else 1 + number % 9,
        vote_count=number * 7,
        popularity=float(number) if popularity is None else popularity,
        languages=("English",),
        countries=("France",),
        directors=(f"Director {number}",),
        writers=(),
        cast=("A. Player", "B. Player"),
        companies=("Studio",),
    )
