"""Binding, on the hardest figures that a user would declare, and on what cannot mean anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import watersmeet as wm
from tests.engines.columnar.naive import COLUMNS, MINUTE, Record, at, dicts, read
from watersmeet.core.declarations import collect
from watersmeet.core.engine import Rows, Selection
from watersmeet.core.errors import DeclarationError
from watersmeet.core.query import Readable
from watersmeet.core.view import View
from watersmeet.engines.columnar.bind import bind
from watersmeet.engines.columnar.query import Queries

pytestmark = pytest.mark.unit

HOUR = 60 * MINUTE
QUERIES = Queries()


@wm.function(version=1, returns="decimal(5,4)")
def vader(content: Sequence[str]) -> Sequence[Decimal]:
    return [Decimal("0.5") for _ in content]


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
metadata = wm.Topic(
    "movie.metadata",
    schema={
        "movie_id": "integer not null",
        "title": "varchar",
        "genres": "varchar[]",
        "release_date": "date",
        "runtime": "integer",
        "budget": "bigint",
        "revenue": "bigint",
    },
)
ratings = wm.Topic(
    "movie.ratings",
    schema={
        "movie_id": "integer not null",
        "popularity": "decimal(12,4)",
        "vote_average": "decimal(4,2)",
        "vote_count": "integer",
    },
)
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
    derive={"sentiment_velocity": "avg_sentiment - lag(avg_sentiment) over w"},
)
films = wm.View(
    "films",
    topic=metadata,
    dimensions=["movie_id"],
    window=None,
    measures={c: wm.last(c) for c in ("title", "genres", "release_date", "runtime", "budget", "revenue")},
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
    },
    derive={
        "velocity": "ratio(60 * (popularity - lag(popularity) over w), "
        "date_diff('minute', lag(window_start) over w, window_start), 4)",
        "acceleration": "velocity - lag(velocity) over w",
    },
)
trending = wm.Query(
    "trending",
    inputs={"hourly": movie_stats.at("1h"), "films": films},
    key=["hour", "rank"],
    time="hour",
    sql="""
    with scored as (
      select window_start as hour, movie_id, velocity, acceleration, 0.7 * velocity + 0.3 * coalesce(acceleration, 0) as heat
      from hourly where velocity is not null)
    select hour, row_number() over (partition by hour order by heat desc, movie_id) as rank, movie_id, title, genres,
           coalesce(ratio(100 * (rank() over (partition by hour order by heat) - 1),
                          count(*) over (partition by hour) - 1, 2), 100) as trending_score,
           velocity, acceleration
    from scored left join films using (movie_id) qualify rank <= 100""",
)
genre_analytics = wm.Query(
    "genre_analytics",
    key=["genre", "year", "month"],
    inputs={"films": films, "stats": movie_stats.at(None), "opinion": review_sentiments.at(None)},
    unsafe="avg_sentiment is the mean over films, as specified; avg_sentiment_weighted stands beside it",
    sql="""
    with film as (select unnest(genres) as genre, year(release_date) as year, month(release_date) as month, *
                  from films left join stats using (movie_id) left join opinion using (movie_id))
    select genre, year, month, count(*) as total_movies,
           ratio(sum(vote_average), count(vote_average), 2) as avg_rating, sum(vote_count) as total_votes,
           ratio(sum(popularity), count(popularity), 2) as avg_popularity,
           max(vote_average) as max_rating, min(vote_average) as min_rating,
           ratio(sum(avg_sentiment), count(avg_sentiment), 4) as avg_sentiment,
           ratio(sum(avg_sentiment * review_count), sum(review_count), 4) as avg_sentiment_weighted,
           sum(revenue) as total_revenue,
           list({movie_id: movie_id, title: title, revenue: revenue}
                order by vote_average desc nulls last, movie_id)[1:5] as top_movies
    from film group by all""",
)

views = wm.Topic("film.views", schema={"movie_id": "integer not null"})
clicks = wm.Topic("film.clicks", schema={"movie_id": "integer not null"})
views_5m = wm.View(
    "film_views", topic=views, dimensions=["movie_id"], window=wm.tumbling("5m"), measures={"views": wm.count()}
)
clicks_5m = wm.View(
    "film_clicks", topic=clicks, dimensions=["movie_id"], window=wm.tumbling("5m"), measures={"clicks": wm.count()}
)


def trending_now(size: str, every: str) -> wm.Query:
    return wm.Query(
        f"trending_now_{size}",
        key=["window_ts", "movie_id"],
        time="window_ts",
        inputs={"v": views_5m.at(size, every=every), "c": clicks_5m.at(size, every=every)},
        sql="""
        select window_end as window_ts, movie_id, coalesce(views, 0) as views, coalesce(clicks, 0) as clicks,
               coalesce(views, 0) + 2 * coalesce(clicks, 0) as trend_score
        from v full join c using (window_end, movie_id)""",
    )


now_1h = trending_now("1h", "5m")

notification = wm.Topic(
    "notification",
    schema={"notification_id": "varchar not null", "kind": "varchar", "user_id": "varchar", "event_type": "varchar"},
)
lifecycle = wm.View(
    "notification_lifecycle",
    topic=notification,
    window=wm.session("7d"),
    expire="90d",
    dimensions=["notification_id", "coalesce(kind, 'other') as kind"],
    measures={
        "sent_count": wm.count(where="event_type = 'SENT'"),
        "unique_users": wm.distinct("user_id"),
        "sent_time": wm.min("event_time", where="event_type = 'SENT'"),
        "first_view_time": wm.min("event_time", where="event_type = 'OPENED'"),
    },
    derive={"time_to_view_seconds": "date_sub('second', sent_time, first_view_time)"},
)
delivery_status = wm.Query(
    "delivery_status",
    inputs={"life": lifecycle},
    key=["window_start", "notification_id", "kind"],
    time="window_start",
    sql="""
    select time_bucket(interval '5 minutes', window_start) as window_start,
           time_bucket(interval '5 minutes', window_start) + interval '5 minutes' as window_end,
           life.* exclude (window_start, window_end) from life""",
)


def bound(*declared: object) -> dict[str, dict[str, str]]:
    return {name: dict(types) for name, types in bind(COLUMNS, collect(declared)).items()}


def answer(of: Readable, records: Mapping[str, Sequence[Record]], **selection: Any) -> Rows:
    """What a view or query answers over records by topic."""
    if isinstance(of, View):
        return read(of, records[of.topic.name], Selection(**selection))
    inputs = {alias: answer(inner, records).rows for alias, inner in of.inputs.items()}
    rows = QUERIES.run(of.canonical, inputs, as_of_us=0)
    return Rows(QUERIES.select(rows, Selection(**selection), key=of.key, time=of.time), {})


# The figures


def test_figures_of_films_are_typed() -> None:
    found = bound(review_sentiments, films, movie_stats, trending, genre_analytics)
    assert found["movie_stats"] == {
        "window_start": "TIMESTAMP",
        "window_end": "TIMESTAMP",
        "movie_id": "INTEGER",
        "popularity": "DECIMAL(12,4)",
        "vote_average": "DECIMAL(4,2)",
        "vote_count": "INTEGER",
        "updates": "BIGINT",
        "velocity": "DECIMAL(38,4)",
        "acceleration": "DECIMAL(38,4)",
    }
    assert found["review_sentiments"]["avg_sentiment"] == "DECIMAL(38,8)"
    assert found["films"]["genres"] == "VARCHAR[]"
    assert found["trending"] == {
        "hour": "TIMESTAMP",
        "rank": "BIGINT",
        "movie_id": "INTEGER",
        "title": "VARCHAR",
        "genres": "VARCHAR[]",
        "trending_score": "DECIMAL(38,2)",
        "velocity": "DECIMAL(38,4)",
        "acceleration": "DECIMAL(38,4)",
    }
    assert found["genre_analytics"]["avg_sentiment_weighted"] == "DECIMAL(38,4)"
    assert found["genre_analytics"]["top_movies"] == "STRUCT(movie_id INTEGER, title VARCHAR, revenue BIGINT)[]"


def test_trending_films_rise_by_points_an_hour() -> None:
    def rated(hour: float, film: int, popularity: str) -> dict[str, Any]:
        return {"movie_id": film, "popularity": Decimal(popularity), "vote_count": 1, "event_time": int(hour * HOUR)}

    facts = [
        {"movie_id": film, "title": title, "genres": ["Drama"], "event_time": 0}
        for film, title in ((1, "Up"), (2, "Down"))
    ]
    records = {
        "movie.metadata": facts,
        "movie.ratings": [
            rated(0.5, 1, "10"),
            rated(1.2, 1, "11"),
            rated(1.9, 1, "14.5"),
            rated(0.1, 2, "20"),
            rated(1.1, 2, "19"),
            rated(2.5, 1, "20"),
        ],
    }
    rows = dicts(answer(trending, records, lower_us=HOUR))
    assert [
        (r["hour"], r["rank"], r["title"], r["velocity"], r["acceleration"], r["trending_score"]) for r in rows
    ] == [
        (at(HOUR), 1, "Up", Decimal("4.5000"), None, Decimal("100.00")),
        (at(HOUR), 2, "Down", Decimal("-1.0000"), None, Decimal("0.00")),
        (at(2 * HOUR), 1, "Up", Decimal("5.5000"), Decimal("1.0000"), Decimal("100.00")),
    ]


def test_genres_count_each_film_once_by_its_latest_facts() -> None:
    def film(movie_id: int, genres: list[str], revenue: int, minute: int = 0) -> dict[str, Any]:
        released = at(30 * 365 * 24 * HOUR).date()
        return {"movie_id": movie_id, "title": f"f{movie_id}", "genres": genres, "release_date": released,
                "revenue": revenue, "event_time": minute * MINUTE}  # fmt: skip

    def opinion(movie_id: int, sentiment: str) -> dict[str, Any]:
        return {"review_id": sentiment, "movie_id": movie_id, "content": "", "sentiment": Decimal(sentiment),
                "created_at": at(0), "event_time": 0}  # fmt: skip

    records = {
        "movie.metadata": [film(1, ["Crime"], 1), film(1, ["Crime", "Drama"], 7, 9), film(2, ["Drama"], 5)],
        "movie.ratings": [
            {
                "movie_id": 1,
                "vote_average": Decimal("7.25"),
                "vote_count": 3,
                "popularity": Decimal(1),
                "event_time": 0,
            },
            {
                "movie_id": 2,
                "vote_average": Decimal("8.00"),
                "vote_count": 4,
                "popularity": Decimal(2),
                "event_time": 0,
            },
        ],
        "movie.reviews": [opinion(1, "0.5"), opinion(1, "-0.2"), opinion(2, "0.1")],
    }
    crime, drama = dicts(answer(genre_analytics, records))
    assert (crime["genre"], crime["total_movies"], crime["total_revenue"]) == ("Crime", 1, 7)
    assert {name: drama[name] for name in ("total_movies", "total_votes", "total_revenue")} == {
        "total_movies": 2,
        "total_votes": 7,
        "total_revenue": 12,
    }
    assert (drama["avg_rating"], drama["avg_popularity"]) == (Decimal("7.63"), Decimal("1.50"))
    assert (drama["avg_sentiment"], drama["avg_sentiment_weighted"]) == (Decimal("0.1250"), Decimal("0.1333"))
    assert [top["movie_id"] for top in drama["top_movies"]] == [2, 1]


def test_trending_of_the_rolling_hour_joins_two_topics() -> None:
    assert bound(now_1h)["trending_now_1h"]["trend_score"] == "BIGINT"
    records = {
        "film.views": [{"movie_id": 1, "event_time": m * MINUTE} for m in (3, 8, 61)],
        "film.clicks": [{"movie_id": 1, "event_time": 9 * MINUTE}, {"movie_id": 2, "event_time": 70 * MINUTE}],
    }
    rows = dicts(answer(now_1h, records, lower_us=60 * MINUTE, upper_us=76 * MINUTE))
    assert [
        ((r["window_ts"] - at(0)).seconds // 60, r["movie_id"], r["views"], r["clicks"], r["trend_score"]) for r in rows
    ] == [
        (60, 1, 2, 1, 4),
        (65, 1, 2, 1, 4),
        (70, 1, 1, 0, 1),
        (75, 1, 1, 0, 1),
        (75, 2, 0, 1, 2),
    ]


def test_delivery_outlives_its_window() -> None:
    assert bound(delivery_status)["delivery_status"]["time_to_view_seconds"] == "BIGINT"
    day = 24 * HOUR
    events = [(0, "SENT", "u"), (6 * day + 1, "OPENED", "u"), (14 * day, "SENT", "v")]
    records = {
        "notification": [
            {"notification_id": "n", "user_id": user, "event_type": kind, "event_time": time}
            for time, kind, user in events
        ]
    }
    rows = dicts(answer(delivery_status, records))
    assert [(r["sent_count"], r["unique_users"], r["time_to_view_seconds"]) for r in rows] == [
        (1, 1, 518400),
        (1, 1, None),
    ]
    assert [r["window_start"] for r in rows] == [at(0), at(14 * day)]


# What cannot mean anything

PLAIN = wm.Topic("plain", schema={"k": "integer", "d": "double", "name": "varchar", "tags": "varchar[]"})


def declared(**more: Any) -> View:
    return View("v", topic=PLAIN, **{"dimensions": ["k"], "measures": {"n": wm.count(), "d": wm.max("d")}, **more})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"derive": {"r": "ratio(d, n, 2)"}}, "derive 'r' of view v; expected integers or decimals in ratio and pct"),
        ({"derive": {"r": "pct(n, d)"}}, "derive 'r' of view v; expected integers or decimals"),
        ({"derive": {"r": "d / n"}}, r"derive 'r' of view v; expected ratio\(a, b, digits\)"),
        (
            {"derive": {"r": "n + name_"}, "measures": {"n": wm.count(), "name_": wm.max("tags")}},
            "derive 'r' of view v",
        ),
        ({"derive": {"r": "null"}}, "derive 'r' of view v; expected a column with a type"),
        ({"having": "n"}, "having of view v; expected a condition; got 'n', a bigint"),
        ({"having": "n / 2 > 1"}, "having of view v; expected ratio"),
        ({"where": "k + 1"}, "where of view v; expected a condition"),
        ({"dimensions": ["null as x"]}, "dimension 'x' of view v; expected a value with a type"),
        ({"dimensions": ["k as p0_n"]}, "dimension 'p0_n' of view v; expected a name that cells do not use"),
        ({"dimensions": ["k as pane_end"]}, "dimension 'pane_end' of view v"),
        ({"dimensions": ["k as value"], "measures": {"t": wm.top("name", 1)}}, "dimension 'value' of view v"),
        ({"dimensions": ["k + name as x"]}, "dimension 'x' of view v; expected an expression that DuckDB can type"),
        ({"measures": {"s": wm.sum("name")}}, "measure 's' of view v; expected a number; got 'name', a varchar"),
        ({"measures": {"s": wm.stddev("tags")}}, "measure 's' of view v; expected a number"),
        ({"measures": {"c": wm.count(where="name")}}, "measure 'c' of view v; expected a condition"),
        ({"measures": {"t": wm.top("upper(k + name)", 3)}}, "measure 't' of view v"),
        ({"explode": "name as letter"}, "explode of view v; expected a list; got a varchar"),
        ({"expire": "1d"}, "expire of view v; expected a running or session window"),
        ({"expire": "1d", "window": wm.session("2d")}, "expire of view v; expected at least the gap, 2d; got 1d"),
    ],
)
def test_a_view_that_cannot_mean_anything_is_refused_at_its_line(more: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        bound(declared(**more))
    assert caught.value.where.startswith(f"{__file__}:")


@pytest.mark.parametrize(
    ("sql", "more", "message"),
    [
        ("select k, n + window_start as x from a", {}, "query q; expected SQL that fits its inputs; got Binder Error"),
        ("select k, ratio(d, n, 2) as r from a", {}, "query q; expected integers or decimals in ratio and pct"),
        ("select k, n, n from a", {}, "query q; expected each column once; got n"),
        ("select k, null as x from a", {}, "column 'x' of query q; expected a type"),
        ("select n from a", {}, "key of query q; expected a column of its result; got 'k'"),
        ("select k from a", {"time": "k"}, "time of query q; expected a timestamp; got 'k', a integer"),
    ],
)
def test_a_query_that_does_not_fit_its_inputs_is_refused(sql: str, more: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message) as caught:
        bound(wm.Query("q", inputs={"a": declared(window=wm.tumbling("1h"))}, key=["k"], sql=sql, **more))
    assert caught.value.where.startswith(f"{__file__}:")


def test_a_query_may_read_a_query_and_the_time_of_the_answer() -> None:
    first = wm.Query(
        "first", inputs={"a": declared()}, key=["k"], sql="select k, sum(n) as s, :as_of as now from a group by all"
    )
    second = wm.Query("second", inputs={"b": first}, key=["k"], sql="select k, s + 1 as more, now from b")
    assert bound(first, second)["second"] == {"k": "INTEGER", "more": "DECIMAL(38,0)", "now": "TIMESTAMP"}


def test_a_topic_that_cannot_mean_anything_is_refused() -> None:
    topic = wm.Topic("bad", schema={"k": "integer"}, check={"odd": "k % 2"})
    with pytest.raises(DeclarationError, match="check 'odd' of topic bad; expected a condition"):
        bound(topic)


def test_types_are_those_that_answers_have() -> None:
    every = declared(
        window=wm.tumbling("1m"),
        lookback="1h",
        measures={
            "n": wm.count(),
            "s": wm.sum("k"),
            "sd": wm.sum("d"),
            "m": wm.mean("k"),
            "v": wm.variance("d", digits=3),
            "f": wm.first("tags"),
            "u": wm.distinct("name"),
            "t": wm.top("name", 2),
        },
        derive={"change": "m - lag(m) over w", "half": "n / 2::double", "r": "ratio(n, 3, 5)"},
    )
    types = bound(every)["v"]
    rows = read(every, [{"k": 1, "d": 1.5, "name": "a", "tags": ["x"], "event_time": 0}], Selection()).rows
    assert COLUMNS.schema(types) == pa.table(rows).schema
