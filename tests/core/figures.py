"""Hard figures of three real systems, as their owners would declare them: films, a university, a film platform."""

from __future__ import annotations

import watersmeet as wm
from watersmeet.apps.movies import examples, queries, tables, topics, views
from watersmeet.core.declarations import Declarations, collect

SUBMIT, GRADE = "event_type = 'SUBMIT_ASSIGNMENT'", "event_type = 'GRADE_ASSIGNMENT'"


def events(name: str, **columns: str) -> wm.Topic:
    """A topic of events with an id, a type and a time."""
    schema = {"event_id": "varchar not null", "event_type": "varchar", "at": "timestamp not null", **columns}
    return wm.Topic(name, schema=schema, id="event_id", event_time="at", partitions=3)


def films() -> Declarations:
    """The films that come with the package."""
    found = [item for module in (topics, views, queries) for item in vars(module).values()]
    return collect([*found, *tables.tables, *examples.examples])


def learning() -> Declarations:
    """A true backlog, rates, and sessions that outlive a window."""
    ids = dict.fromkeys(["assignment_id", "user_id", "student_id"], "varchar")
    assessment = events("assessment", **ids)
    flow = wm.View(
        "grading_flow",
        topic=assessment,
        dimensions=["assignment_id"],
        window=wm.tumbling("5m"),
        where=f"{SUBMIT} or {GRADE}",
        measures={
            "submissions": wm.count(where=SUBMIT),
            "students_submitted": wm.distinct("user_id", where=SUBMIT),
            "graded": wm.count(where=GRADE),
        },
        derive={"pending_in_window": "greatest(submissions - graded, 0)"},
    )
    work = wm.View(
        "assignment_work",
        topic=assessment,
        where=f"{SUBMIT} or {GRADE}",
        window=wm.running("5m"),
        expire="400d",
        dimensions=["assignment_id", "coalesce(student_id, user_id) as student_id"],
        measures={
            "submitted_at": wm.max("event_time", where=SUBMIT),
            "graded_at": wm.max("event_time", where=GRADE),
        },
    )
    queue = wm.Query(
        "grading_queue",
        inputs={"work": work, "flow": flow},
        key=["window_start", "assignment_id"],
        time="window_start",
        sql="""
        with backlog as (
          select window_end, assignment_id,
                 count(*) filter (where submitted_at > coalesce(graded_at, '-infinity'::timestamp)) as pending_grading
          from work group by all)
        select window_end - interval '5 minutes' as window_start, assignment_id, submissions, pending_grading
        from backlog left join flow using (window_end, assignment_id)""",
    )
    engagement, lifecycle = watching()
    kept = [
        wm.Table(v.name, of=v, every="30s", freeze="7d", columns=["*", "published_at as processed_at"])
        for v in (queue, engagement, lifecycle)
    ]
    late = wm.Alert("late_grading", of=queue, when="pending_grading > 100", for_="10m", notify=["log"])
    letters = wm.Table("dead_events", of=assessment, dead=True, to="json")
    return collect([flow, work, queue, engagement, lifecycle, *kept, late, letters])


def watching() -> tuple[wm.View, wm.View]:
    """Who watches which video, and what becomes of a notification."""
    video = events("video", video_id="varchar", user_id="varchar", watch_duration_seconds="integer")
    notification = events("notification", notification_id="varchar", notification_type="varchar", user_id="varchar")
    engagement = wm.View(
        "video_engagement",
        topic=video,
        dimensions=["video_id"],
        window=wm.tumbling("5m"),
        measures={
            "starts": wm.count(where="event_type = 'VIDEO_WATCHED'"),
            "unique_users": wm.distinct("user_id"),
            "favourites": wm.top("user_id", 3),
            "total_watch_seconds": wm.sum("watch_duration_seconds"),
        },
        derive={"avg_watch_per_start": "ratio(total_watch_seconds, starts, 2)"},
        having="starts > 0",
    )
    lifecycle = wm.View(
        "notification_lifecycle",
        topic=notification,
        window=wm.session("7d"),
        expire="90d",
        dimensions=["notification_id", "notification_type"],
        measures={"sent_count": wm.count(), "sent_time": wm.min("event_time", where="event_type = 'SENT'")},
    )
    return engagement, lifecycle


def engagement() -> Declarations:
    """Trending of the rolling hour and day over two topics, and viewers of a genre."""
    viewed, clicked = events("views", movie_id="integer", user_id="varchar"), events("clicks", movie_id="integer")
    facts = events("facts", movie_id="integer", genre="varchar")
    films = wm.View("films", topic=facts, dimensions=["movie_id"], measures={"genre": wm.last("genre")})
    views_5m = wm.View(
        "film_views",
        topic=viewed,
        dimensions=["movie_id"],
        window=wm.tumbling("5m"),
        measures={"views": wm.count(), "viewers": wm.distinct("user_id", exact=True)},
    )
    clicks_5m = wm.View(
        "film_clicks", topic=clicked, dimensions=["movie_id"], window=wm.tumbling("5m"), measures={"clicks": wm.count()}
    )
    genres = wm.Query(
        "genre_viewers",
        inputs={"g": views_5m.at("1h", by=["genre"], through=films)},
        key=["window_start", "genre"],
        time="window_start",
        sql="select window_start, genre, viewers from g",
    )
    trending = [
        wm.Query(
            f"trending_now_{size}",
            key=["window_ts", "movie_id"],
            time="window_ts",
            inputs={"v": views_5m.at(size, every=every), "c": clicks_5m.at(size, every=every)},
            sql="""
            select window_end as window_ts, movie_id, coalesce(views, 0) + 2 * coalesce(clicks, 0) as trend_score
            from v full join c using (window_end, movie_id)""",
        )
        for size, every in (("1h", "5m"), ("24h", "15m"))
    ]
    gold = [wm.Table(q.name, of=q, to="delta", every="5m", freeze="2h") for q in trending]
    return collect([films, views_5m, clicks_5m, genres, *trending, *gold])
