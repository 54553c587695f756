"""What is counted of films, each figure once."""

from __future__ import annotations

import watersmeet as wm

from .topics import metadata, ratings, reviews

review_sentiments = wm.View(
    "review_sentiments",
    topic=reviews,
    dimensions=["movie_id"],
    window=wm.tumbling("5m"),
    lookback="24h",
    measures={
        "review_count": wm.count(),
        "avg_sentiment": wm.mean("sentiment"),
        "positive_count": wm.count(where="sentiment >= 0.05"),
        "negative_count": wm.count(where="sentiment <= -0.05"),
        "neutral_count": wm.count(where="sentiment > -0.05 and sentiment < 0.05"),
    },
    derive={
        "hour": "date_trunc('hour', window_start)",
        "sentiment_velocity": "avg_sentiment - lag(avg_sentiment) over w",
    },
)

movie_stats = wm.View(
    "movie_stats",
    topic=ratings,
    dimensions=["movie_id"],
    window=wm.tumbling("5m"),
    lookback="24h",
    measures={
        "popularity": wm.last("popularity"),
        "vote_average": wm.last("vote_average"),
        "vote_count": wm.last("vote_count"),
        "updates": wm.count(),
        "last_updated": wm.max("event_time"),
    },
    derive={
        "velocity": "ratio(60 * (popularity - lag(popularity) over w), "
        "date_diff('minute', lag(window_start) over w, window_start), 4)",
        "acceleration": "velocity - lag(velocity) over w",
    },
)

films = wm.View(
    "films",
    topic=metadata,
    dimensions=["movie_id"],
    window=None,
    measures={c: wm.last(c) for c in ("title", "genres", "release_date", "runtime", "budget", "revenue")},
)
