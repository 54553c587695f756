"""Records of the film topics as they come: out of order, twice, late, and not always what they should be."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

from watersmeet.core.record import Record

NOW_MS = 1_700_000_000_000
_BROKEN = [
    b"{",
    b"",
    b"[]",
    b"\xff\xfe",
    b'{"review_id": 1}',
    b'{"review_id":"x","movie_id":1,"content":"good","created_at":"yesterday"}',
    b'{"event_id":"x","movie_id":1,"vote_average":11,"timestamp":1700000000000}',
]
_WORDS = ["great", "awful", "dull", "wonderful", "film", "not", "very", "the"]


def records(name: str, count: int, first: int = 0) -> Iterator[Record]:
    """About ``count`` records of a topic (or of one called like it, with a third part), numbered from ``first``; one in seven is a copy, one in ten broken."""
    topic = ".".join(name.split(".")[:2])
    draw = random.Random(f"{topic} {first} of all")
    for number in range(first, first + count):
        if draw.random() < 0.1:
            yield Record(draw.choice(_BROKEN), headers={"trace": b"%d" % number} if draw.random() < 0.5 else {})
        same = draw.randrange(number + 1) if draw.random() < 0.14 else number
        payload = json.dumps(_fields(topic, same, random.Random(f"{topic} {same}"))).encode()
        if same != number and draw.random() < 0.3:
            payload = payload.replace(b"}", b' , "more": true}')
        key = b"%d" % draw.randrange(7) if draw.random() < 0.8 else None
        yield Record(payload, key)


def _fields(topic: str, number: int, draw: random.Random) -> dict[str, object]:
    at = NOW_MS - draw.randrange(0, 3_600_000) - (86_400_000 if draw.random() < 0.05 else 0)
    movie = draw.randrange(12)
    match topic:
        case "movie.reviews":
            return {
                "review_id": f"r{number}",
                "movie_id": movie,
                "author": draw.choice(["ann", "bob", None]),
                "content": " ".join(draw.choices(_WORDS, k=6)),
                "rating": draw.choice([None, 1, 7.5, 10]),
                "created_at": at,
            }
        case "movie.ratings":
            return {
                "event_id": f"e{number}",
                "movie_id": movie,
                "vote_average": round(draw.uniform(0, 10), 4),
                "vote_count": draw.randrange(9000),
                "popularity": round(draw.uniform(0, 500), 5),
                "timestamp": at,
            }
        case "movie.metadata":
            return {
                "event_id": f"m{number}",
                "movie_id": movie,
                "title": f"film {movie}",
                "genres": draw.sample(["drama", "comedy", "war"], 2),
                "runtime": draw.randrange(60, 200),
                "budget": draw.randrange(10**9),
                "timestamp": at,
                "event_type": draw.choice(["trending_update", "detail_update"]),
            }
    raise ValueError(topic)
