"""The declarations' own tests: records in, rows out, worked out by hand."""

from __future__ import annotations

import watersmeet as wm

from .topics import reviews
from .views import films, movie_stats, review_sentiments

NOON = 1_700_000_400_000 - 1_700_000_400_000 % 3_600_000


def _rating(minute: int, popularity: float) -> dict[str, object]:
    at = NOON + 60_000 * minute
    return {
        "event_id": f"7-{at}",
        "movie_id": 7,
        "vote_average": 6.5,
        "vote_count": 100 + minute,
        "popularity": popularity,
        "timestamp": at,
    }


def _review(name: str, minute: int, content: str) -> dict[str, object]:
    at = NOON + 60_000 * minute
    return {"review_id": name, "movie_id": 7, "author": "A", "content": content, "rating": 8.0, "created_at": at}


examples = [
    # popularity 10 -> 11 in 5 minutes is 12 points an hour; then 11 -> 11.5 in 10 minutes is 3 points an hour
    wm.Example(
        of=movie_stats,
        given=[_rating(0, 10.0), _rating(5, 11.0), _rating(15, 11.5)],
        expect=[
            {"popularity": 10, "velocity": None, "acceleration": None},
            {"popularity": 11, "velocity": 12, "acceleration": None},
            {"popularity": 11.5, "velocity": 3, "acceleration": -9},
        ],
    ),
    wm.Example(
        of=review_sentiments,
        given=[_review("a", 0, "great"), _review("b", 1, "the film lasts two hours"), _review("a", 2, "great")],
        expect=[{"review_count": 2, "positive_count": 1, "neutral_count": 1, "negative_count": 0}],
    ),
    wm.Example(
        of=reviews,
        given=[
            _review("a", 0, "fine"),
            _review("a", 0, "fine"),
            {"review_id": "b"},
            {**_review("c", 0, "fine"), "rating": 11},
        ],
        expect=[{"used": 1, "duplicates": 1, "dead": 2, "filtered": 0}],
    ),
    wm.Example(
        of=films,
        given=[
            {
                "event_id": "1",
                "movie_id": 7,
                "title": "Old",
                "timestamp": NOON,
                "event_type": "detail_update",
                "runtime": 90,
            },
            {"event_id": "2", "movie_id": 7, "title": "New", "timestamp": NOON + 1, "event_type": "trending_update"},
        ],
        expect=[{"movie_id": 7, "title": "New", "runtime": 90}],
    ),
]
