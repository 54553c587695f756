"""What is published of films, in the shape that readers of the old tables expect."""

from __future__ import annotations

import watersmeet as wm

from .queries import trending
from .views import movie_stats, review_sentiments

tables = [
    wm.Table("review_sentiments", of=review_sentiments, every="1m", ttl="48h"),
    wm.Table("movie_stats", of=movie_stats, every="1m", ttl="48h"),
    wm.Table("trending_movies", of=trending, partition=["hour"], order=["rank", "movie_id"], every="30s", ttl="48h"),
]
