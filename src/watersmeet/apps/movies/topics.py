"""What is known of films: reviews as they are written, ratings and facts as they are polled."""

from __future__ import annotations

import watersmeet as wm

from .sentiment import score


@wm.function(version=1, returns="decimal(5,4)")
def vader(content):  # type: ignore[no-untyped-def]  # a column in, a column out
    """The VADER compound score of each text, −1 to 1."""
    return score(content)


reviews = wm.Topic(
    "movie.reviews",
    id="review_id",
    key="movie_id",
    event_time="created_at",
    lateness="10m",
    partitions=6,
    retention="7d",
    schema={
        "review_id": "varchar not null",
        "movie_id": "integer not null",
        "author": "varchar",
        "content": "varchar not null",
        "rating": "decimal(3,1)",
        "created_at": "timestamp_ms not null",
        "url": "varchar",
    },
    check={"invalid_rating_value": "rating is null or rating between 0 and 10"},
    compute={"sentiment": "vader(content)"},
    functions=[vader],
)

ratings = wm.Topic(
    "movie.ratings",
    id="event_id",
    key="movie_id",
    event_time="timestamp",
    lateness="10m",
    partitions=6,
    retention="7d",
    schema={
        "event_id": "varchar not null",
        "movie_id": "integer not null",
        "vote_average": "decimal(5,3) round",
        "vote_count": "integer",
        "popularity": "decimal(12,4) round",
        "timestamp": "timestamp_ms not null",
    },
    check={
        "invalid_vote_average": "vote_average is null or vote_average between 0 and 10",
        "invalid_vote_count": "vote_count is null or vote_count >= 0",
        "invalid_popularity": "popularity is null or popularity >= 0",
    },
)

metadata = wm.Topic(
    "movie.metadata",
    id="event_id",
    key="movie_id",
    event_time="timestamp",
    lateness="10m",
    partitions=6,
    retention="7d",
    schema={
        "event_id": "varchar not null",
        "movie_id": "integer not null",
        "title": "varchar",
        "release_date": "date",
        "genres": "varchar[]",
        "runtime": "integer",
        "budget": "bigint",
        "revenue": "bigint",
        "timestamp": "timestamp_ms not null",
        "event_type": "varchar not null",
    },
    check={"invalid_event_type": "event_type in ('trending_update', 'detail_update')"},
)
