"""Hard figures of three real systems, declared as they should read: how far ranges reach into them, and what is refused.

Nothing here may get longer: these declarations are what the interface is measured by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

import watersmeet as wm
from watersmeet.core.declarations import collect
from watersmeet.core.errors import DeclarationError
from watersmeet.core.sql.lineage import Shift

pytestmark = pytest.mark.unit

MINUTE = 60_000_000
HOUR = 60 * MINUTE


def topic(name: str, **columns: str) -> wm.Topic:
    """A topic of events with an id and a time; the figures differ in what else they carry."""
    schema = {"event_id": "varchar not null", "event_type": "varchar", "at": "timestamp not null", **columns}
    return wm.Topic(name, schema=schema, id="event_id", event_time="at")


# -- films -------------------------------------------------------------------------------------------------------------


@wm.function(version=1, returns="decimal(5,4)")
def vader(content: Sequence[str | None]) -> Sequence[object]:
    return [None if text is None else len(text) for text in content]


reviews = wm.Topic("movie.reviews", id="review_id", key="movie_id", event_time="created_at", lateness="10m", partitions=6, retention="7d",
    schema={"review_id": "varchar not null", "movie_id": "integer not null", "author": "varchar", "content": "varchar not null",
            "rating": "decimal(3,1)", "created_at": "timestamp_ms not null", "url": "varchar"},
    check={"invalid_rating_value": "rating is null or rating between 0 and 10"},
    compute={"sentiment": "vader(content)"}, functions=[vader])  # fmt: skip

ratings = topic(
    "movie.ratings", movie_id="integer", popularity="decimal(12,4)", vote_average="decimal(4,2)", vote_count="bigint"
)
metadata = topic("movie.metadata", movie_id="integer", title="varchar", genres="varchar[]", release_date="date", runtime="integer",
                 budget="bigint", revenue="bigint")  # fmt: skip

review_sentiments = wm.View("review_sentiments", topic=reviews, dimensions=["movie_id"], window=wm.tumbling("5m"), lookback="24h",
    measures={"review_count": wm.count(), "avg_sentiment": wm.mean("sentiment"),
              "positive_count": wm.count(where="sentiment >= 0.05"), "negative_count": wm.count(where="sentiment <= -0.05"),
              "neutral_count": wm.count(where="sentiment > -0.05 and sentiment < 0.05")},
    derive={"sentiment_velocity": "avg_sentiment - lag(avg_sentiment) over w"})  # fmt: skip

films = wm.View("films", topic=metadata, dimensions=["movie_id"], window=None,
    measures={c: wm.last(c) for c in ("title", "genres", "release_date", "runtime", "budget", "revenue")})  # fmt: skip

movie_stats = wm.View("movie_stats", topic=ratings, dimensions=["movie_id"], window=wm.tumbling("5m"), lookback="24h",
    measures={"popularity": wm.last("popularity"), "vote_average": wm.last("vote_average"),
              "vote_count": wm.last("vote_count"), "updates": wm.count()},
    derive={"velocity": "ratio(60 * (popularity - lag(popularity) over w), date_diff('minute', lag(window_start) over w, window_start), 4)",
            "acceleration": "velocity - lag(velocity) over w"})  # fmt: skip

trending = wm.Query("trending", inputs={"hourly": movie_stats.at("1h"), "films": films}, key=["hour", "rank"], time="hour", sql="""
    with scored as (
      select window_start as hour, movie_id, velocity, acceleration, 0.7 * velocity + 0.3 * coalesce(acceleration, 0) as heat
      from hourly where velocity is not null)
    select hour, row_number() over (partition by hour order by heat desc, movie_id) as rank, movie_id, title, genres,
           coalesce(ratio(100 * (rank() over (partition by hour order by heat) - 1), count(*) over (partition by hour) - 1, 2), 100) as trending_score,
           velocity, acceleration
    from scored left join films using (movie_id) qualify rank <= 100""")  # fmt: skip

trending_movies = wm.Table(
    "trending_movies",
    of=trending,
    to="cassandra",
    partition=["hour"],
    order=["rank", "movie_id"],
    every="30s",
    ttl="48h",
)

genre_analytics = wm.Query("genre_analytics", key=["genre", "year", "month"],
    inputs={"films": films, "stats": movie_stats.at(None), "opinion": review_sentiments.at(None)},
    unsafe="avg_sentiment is the mean over films, as specified; avg_sentiment_weighted stands beside it",
    sql="""
    with film as (select unnest(genres) as genre, year(release_date) as year, month(release_date) as month, *
                  from films left join stats using (movie_id) left join opinion using (movie_id))
    select genre, year, month, count(*) as total_movies,
           ratio(sum(vote_average), count(vote_average), 2) as avg_rating, sum(vote_count) as total_votes,
           ratio(sum(popularity), count(popularity), 2) as avg_popularity, max(vote_average) as max_rating, min(vote_average) as min_rating,
           ratio(sum(avg_sentiment), count(avg_sentiment), 4) as avg_sentiment,
           ratio(sum(avg_sentiment * review_count), sum(review_count), 4) as avg_sentiment_weighted, sum(revenue) as total_revenue,
           list({movie_id: movie_id, title: title, revenue: revenue} order by vote_average desc nulls last, movie_id)[1:5] as top_movies
    from film group by all""")  # fmt: skip


def test_trending_reads_its_hours_and_all_films() -> None:
    assert trending.shifts == {"hourly": Shift(), "films": None}
    assert trending.unsafe is None
    assert trending.lineage.columns == (
        "hour", "rank", "movie_id", "title", "genres", "trending_score", "velocity", "acceleration",
    )  # fmt: skip


def test_a_mean_over_films_needs_a_reason() -> None:
    with pytest.raises(DeclarationError) as caught:
        replace(genre_analytics, unsafe=None)
    assert caught.value.subject == "query genre_analytics"
    assert caught.value.got == "SUM(avg_sentiment) adds up avg_sentiment of opinion, a mean"
    assert 'unsafe="reason"' in caught.value.remedy
    assert [text.split(" adds")[0] for text in genre_analytics.lineage.falsehoods] == [
        "SUM(avg_sentiment)",
        "SUM(avg_sentiment * review_count)",
    ]


def test_a_query_of_all_time_reads_everything() -> None:
    assert set(genre_analytics.shifts.values()) == {None}


# -- a university --------------------------------------------------------------------------------------------------------

assessment = topic("assessment", assignment_id="varchar", user_id="varchar", student_id="varchar")
video = topic("video", video_id="varchar", user_id="varchar", watch_duration_seconds="integer")
notification = topic("notification", notification_id="varchar", notification_type="varchar", user_id="varchar")
SUBMIT, GRADE = "event_type = 'SUBMIT_ASSIGNMENT'", "event_type = 'GRADE_ASSIGNMENT'"

grading_flow = wm.View("grading_flow", topic=assessment, dimensions=["assignment_id"], window=wm.tumbling("5m"), where=f"{SUBMIT} or {GRADE}",
    measures={"submissions": wm.count(where=SUBMIT), "students_submitted": wm.distinct("user_id", where=SUBMIT),
              "graded": wm.count(where=GRADE), "students_graded": wm.distinct("student_id", where=GRADE)},
    derive={"pending_in_window": "greatest(submissions - graded, 0)"})  # fmt: skip

assignment_work = wm.View("assignment_work", topic=assessment, where=f"{SUBMIT} or {GRADE}", window=wm.running("5m"), expire="400d",
    dimensions=["assignment_id", "coalesce(student_id, user_id) as student_id"],
    measures={"submitted_at": wm.max("event_time", where=SUBMIT), "graded_at": wm.max("event_time", where=GRADE)})  # fmt: skip

grading_queue = wm.Query("assessment_realtime_grading_queue", inputs={"work": assignment_work, "flow": grading_flow},
    key=["window_start", "assignment_id"], time="window_start", sql="""
    with backlog as (
      select window_end, assignment_id,
             count(*) filter (where submitted_at > coalesce(graded_at, '-infinity'::timestamp)) as pending_grading
      from work group by all)
    select window_end - interval '5 minutes' as window_start, window_end, assignment_id,
           coalesce(submissions, 0) as submissions, coalesce(students_submitted, 0) as students_submitted,
           coalesce(graded, 0) as graded, coalesce(students_graded, 0) as students_graded,
           coalesce(pending_in_window, 0) as pending_in_window, pending_grading
    from backlog left join flow using (window_end, assignment_id)
    where submissions is not null or graded is not null or pending_grading > 0""")  # fmt: skip

video_engagement = wm.View("video_realtime_engagement_rate", topic=video, dimensions=["video_id"], window=wm.tumbling("5m"),
    measures={"starts": wm.count(where="event_type = 'VIDEO_WATCHED'"), "pauses": wm.count(where="event_type = 'VIDEO_PAUSED'"),
              "completions": wm.count(where="event_type = 'VIDEO_COMPLETED'"),
              "unique_users": wm.distinct("user_id"), "total_watch_seconds": wm.sum("watch_duration_seconds")},
    derive={"completion_rate_pct": "pct(completions, starts)", "pause_rate_pct": "pct(pauses, starts)",
            "avg_watch_per_start": "ratio(total_watch_seconds, starts, 2)"},
    having="starts > 0")  # fmt: skip


def kind(k: str) -> str:
    return f"event_type = 'NOTIFICATION_{k}'"


lifecycle = wm.View("notification_lifecycle", topic=notification, window=wm.session("7d"), expire="90d",
    dimensions=["notification_id", "notification_type"],
    measures={"sent_count": wm.count(where=kind("SENT")), "viewed_count": wm.count(where=kind("OPENED")),
              "clicked_count": wm.count(where=kind("CLICKED")), "unique_users": wm.distinct("user_id"),
              "sent_time": wm.min("event_time", where=kind("SENT")), "first_view_time": wm.min("event_time", where=kind("OPENED")),
              "first_click_time": wm.min("event_time", where=kind("CLICKED"))},
    derive={"time_to_view_seconds": "date_sub('second', sent_time, first_view_time)",
            "time_to_click_seconds": "date_sub('second', sent_time, first_click_time)"})  # fmt: skip

delivery_status = wm.Query("notification_realtime_delivery_status", inputs={"life": lifecycle},
    key=["window_start", "notification_id", "notification_type"], time="window_start", sql="""
    select time_bucket(interval '5 minutes', window_start) as window_start,
           time_bucket(interval '5 minutes', window_start) + interval '5 minutes' as window_end,
           life.* exclude (window_start, window_end) from life""")  # fmt: skip

tables = [wm.Table(v.name, of=v, to="realtime_views", every="30s", freeze="7d", columns=["*", "published_at as processed_at"])
          for v in (grading_queue, video_engagement, delivery_status)]  # fmt: skip


def test_a_backlog_reads_one_boundary_and_the_flow_of_its_window() -> None:
    assert grading_queue.shifts == {"work": Shift(), "flow": Shift()}
    assert grading_queue.lineage.falsehoods == ()


def test_a_delivery_reads_the_sessions_that_start_in_its_bucket() -> None:
    assert delivery_status.shifts == {"life": Shift(0, 5 * MINUTE - 1)}
    assert delivery_status.lineage.columns == ("window_start", "window_end", *lifecycle.columns[2:])


def test_histories_expire_where_they_would_grow_for_ever() -> None:
    assert (assignment_work.expire_us, lifecycle.expire_us) == (400 * 24 * HOUR, 90 * 24 * HOUR)
    assert assignment_work.columns == (
        "window_start",
        "window_end",
        "assignment_id",
        "student_id",
        "submitted_at",
        "graded_at",
    )


# -- a film platform -----------------------------------------------------------------------------------------------------

views, clicks = topic("views", movie_id="integer"), topic("clicks", movie_id="integer")
views_5m = wm.View(
    "film_views", topic=views, dimensions=["movie_id"], window=wm.tumbling("5m"), measures={"views": wm.count()}
)
clicks_5m = wm.View(
    "film_clicks", topic=clicks, dimensions=["movie_id"], window=wm.tumbling("5m"), measures={"clicks": wm.count()}
)


def trending_now(size: str, every: str) -> wm.Query:
    return wm.Query(f"trending_now_{size}", key=["window_ts", "movie_id"], time="window_ts",
        inputs={"v": views_5m.at(size, every=every), "c": clicks_5m.at(size, every=every)}, sql="""
        select window_end as window_ts, movie_id, coalesce(views, 0) as views, coalesce(clicks, 0) as clicks,
               coalesce(views, 0) + 2 * coalesce(clicks, 0) as trend_score
        from v full join c using (window_end, movie_id)""")  # fmt: skip


now_1h, now_24h = trending_now("1h", "5m"), trending_now("24h", "15m")
gold = [
    wm.Table(q.name, of=q, to="delta", every=every, freeze=freeze)
    for q, every, freeze in ((now_1h, "5m", "2h"), (now_24h, "15m", "26h"))
]


@pytest.mark.parametrize(("query", "size"), [(now_1h, HOUR), (now_24h, 24 * HOUR)])
def test_a_rolling_window_reads_those_that_end_in_the_range(query: wm.Query, size: int) -> None:
    assert query.shifts == {"v": Shift(size, -size), "c": Shift(size, -size)}
    assert query.lineage.falsehoods == ()


def test_rolling_windows_cannot_be_added_up() -> None:
    with pytest.raises(DeclarationError, match="rows of different windows that overlap"):
        wm.Query(
            "total", {"now": now_1h}, "select movie_id, sum(views) as views from now group by all", key=["movie_id"]
        )


def test_three_systems_are_one_set_of_declarations() -> None:
    found = collect([*globals().values(), *tables, *gold])
    assert set(found.topics) == {
        "movie.reviews", "movie.ratings", "movie.metadata", "assessment", "video", "notification", "views", "clicks",
    }  # fmt: skip
    assert (len(found.views), len(found.queries), len(found.tables)) == (9, 6, 6)
