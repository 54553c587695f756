"""What is watched: by whom, for how long, to the end or not, and how many at once.

Three views hold every figure. `video_activity` counts events by minute, video and course; the last minutes and all time
read it alike. `video_students` knows who watched what, in all. `video_intervals` has each viewing as the interval of
time that it took, which ends when its event says, for those who were there at the same moment.

Each VIDEO_WATCHED is one viewing and one start. A viewing is complete if the player said so, or if it lasted for 80 %
of the video or more; it counts once however often that is said.
"""

from __future__ import annotations

import watersmeet as wm

from .topics import video

WATCHED, PAUSED = "event_type = 'VIDEO_WATCHED'", "event_type = 'VIDEO_PAUSED'"
COMPLETED = "event_type = 'VIDEO_COMPLETED' or 5 * watch_duration_seconds::bigint >= 4 * video_duration_seconds::bigint"

video_activity = wm.View(
    "video_activity",
    topic=video,
    dimensions=["video_id", "course_id"],
    window=wm.tumbling("1m"),
    measures={
        "total_events": wm.count(),
        "users": wm.distinct("user_id"),
        "videos": wm.distinct("video_id"),
        "starts": wm.count(where=WATCHED),
        "pauses": wm.count(where=PAUSED),
        "completions": wm.distinct("session_id", where=COMPLETED),
        "viewers": wm.distinct("user_id", where=WATCHED),
        "watched_videos": wm.distinct("video_id", where=WATCHED),
        "watch_seconds": wm.sum("watch_duration_seconds"),
        "min_watch_seconds": wm.min("watch_duration_seconds"),
        "max_watch_seconds": wm.max("watch_duration_seconds"),
    },
    derive={
        "total_watch_seconds": "watch_seconds::bigint",
        "total_watch_minutes": "ratio(watch_seconds, 60, 2)::decimal(24, 2)",
        "completion_rate_pct": "pct(completions, starts)::double",
        "pause_rate_pct": "pct(pauses, starts)::double",
        "avg_watch_per_start": "ratio(watch_seconds, starts, 2)::double",
    },
)

video_students = wm.View(
    "video_students",
    topic=video,
    where=WATCHED,
    dimensions=["user_id", "course_id", "video_id"],
    window=None,
    measures={
        "sessions": wm.count(),
        "videos": wm.distinct("video_id"),
        "watch_seconds": wm.sum("watch_duration_seconds"),
        "shortest": wm.min("watch_duration_seconds"),
        "longest": wm.max("watch_duration_seconds"),
        "video_seconds": wm.last("video_duration_seconds"),
    },
    derive={
        "total_watch_seconds": "watch_seconds::bigint",
        "total_watch_minutes": "watch_seconds::double / 60",
        "total_watch_hours": "watch_seconds::double / 3600",
        "avg_watch_duration_seconds": "watch_seconds::double / sessions",
    },
)

video_intervals = wm.View(
    "video_intervals",
    topic=video,
    where=WATCHED,
    dimensions=["video_id", "user_id", "event_time as ended_at", "watch_duration_seconds as seconds"],
    window=wm.tumbling("1m"),
    measures={"viewings": wm.count()},
    derive={"started_at": "ended_at - to_seconds(seconds)"},
)

# -- real-time views ---------------------------------------------------------------------------------------------------

viewers_1min = wm.Query(
    "video_realtime_viewers_1min",
    inputs={"activity": video_activity.at("1m", by=[])},
    key=["window_start"],
    time="window_start",
    sql="""
    select window_start, window_end, users as unique_viewers, videos as videos_watched, total_events,
           starts as video_starts, pauses as video_pauses, completions as video_completions,
           total_watch_seconds, total_watch_minutes
    from activity""",
)

watch_time_5min = wm.Query(
    "video_realtime_watch_time_5min",
    inputs={"activity": video_activity.at("5m")},
    key=["window_start", "video_id", "course_id"],
    time="window_start",
    sql="""
    select window_start, window_end, video_id, course_id, viewers as unique_viewers, total_watch_seconds,
           total_watch_minutes, avg_watch_per_start as avg_watch_seconds, max_watch_seconds, starts as view_count
    from activity where starts > 0""",
)

engagement_rate = wm.Query(
    "video_realtime_engagement_rate",
    inputs={"activity": video_activity.at("5m", by=["video_id"])},
    key=["window_start", "video_id"],
    time="window_start",
    sql="""
    select window_start, window_end, video_id, starts, pauses, completions, users as unique_users, total_watch_seconds,
           completion_rate_pct, pause_rate_pct, avg_watch_per_start
    from activity where starts > 0""",
)

popular_videos = wm.Query(
    "video_realtime_popular_videos",
    inputs={"activity": video_activity.at("5m")},
    key=["window_start", "video_id", "course_id"],
    time="window_start",
    sql="""
    select window_start, window_end, video_id, course_id, users as unique_viewers, total_events as total_interactions,
           total_watch_seconds, starts, completions, completion_rate_pct,
           rank() over (partition by window_start order by users desc, total_watch_seconds desc nulls last) as rank
    from activity""",
)
"""Ranked within each window: by viewers, then by seconds; equal ones share a rank."""


def _peaks(windows: str) -> str:
    """The common table expressions that end in ``peaks``: the most viewers of a video at one moment of each window.

    Someone who watches twice at the same time is one viewer: overlapping intervals of one user become one span first.
    Then viewers come and go, those who come first where both happen at once. An interval that ends within two days of
    the window's start is seen.

    Args:
        windows: a relation with window_start, window_end and video_id.
    """
    return f"""
    present as (
      select w.window_start, w.video_id, i.user_id, greatest(i.started_at, w.window_start) as since, i.ended_at as until
      from {windows} w join intervals i
        on i.video_id = w.video_id and i.started_at < w.window_end and i.ended_at >= w.window_start
           and i.window_start between w.window_start - interval '1 minute' and w.window_start + interval '2 days'),
    begun as (
      select *, coalesce(since > max(until) over (
                  partition by window_start, video_id, user_id order by since, until
                  rows between unbounded preceding and 1 preceding), true) as begins from present),
    told as (
      select *, count(*) filter (where begins) over (
                  partition by window_start, video_id, user_id order by since, until
                  rows between unbounded preceding and current row) as span from begun),
    spans as (
      select window_start, video_id, user_id, span, min(since) as since, max(until) as until from told group by all),
    steps as (
      select window_start, video_id, since as moment, 1 as step from spans
      union all select window_start, video_id, until as moment, -1 as step from spans),
    heights as (
      select window_start, video_id, sum(step) over (
               partition by window_start, video_id order by moment, step desc
               rows between unbounded preceding and current row) as viewers from steps),
    peaks as (
      select window_start, video_id, max(viewers)::bigint as peak_concurrent_viewers from heights group by all)"""  # noqa: S608  # a name of this file


concurrent_viewers = wm.Query(
    "video_realtime_concurrent_viewers",
    inputs={"activity": video_activity.at("5m", every="1m", by=["video_id"]), "intervals": video_intervals},
    key=["window_start", "video_id"],
    time="window_start",
    sql=f"""
    with {_peaks("activity")}
    select window_start, window_end, video_id, viewers as concurrent_viewers, starts as event_count,
           total_watch_seconds, total_watch_minutes, peak_concurrent_viewers
    from activity join peaks using (window_start, video_id) where starts > 0""",  # noqa: S608  # text of this file
)
"""Who watched in the five minutes, and beside it the most who did so at one and the same moment of them."""

# -- batch views -------------------------------------------------------------------------------------------------------

total_watch_time = wm.Query(
    "video_total_watch_time",
    inputs={"students": video_students},
    key=["user_id", "course_id", "video_id"],
    sql="""
    select user_id, video_id, course_id, total_watch_seconds, sessions as total_watch_sessions,
           avg_watch_duration_seconds, longest as longest_session_seconds, shortest as shortest_session_seconds,
           total_watch_minutes, total_watch_hours, pct(watch_seconds, video_seconds)::double as watched_pct,
           case when 5 * watch_seconds >= 4 * video_seconds::bigint then 'Completed'
                when 2 * watch_seconds < video_seconds then 'At Risk'
                when video_seconds is not null then 'In Progress' end as completion_status
    from students""",
)
"""Beside the sums: completed from 80 % of the video's length, at risk below half of it, null where no event told it."""

student_engagement = wm.Query(
    "video_student_engagement",
    inputs={"students": video_students.at(None, by=["user_id", "course_id"])},
    key=["user_id", "course_id"],
    sql="""
    select user_id, course_id, videos as unique_videos_watched, total_watch_seconds, sessions as total_video_events,
           avg_watch_duration_seconds, total_watch_hours
    from students""",
)

popularity = wm.Query(
    "video_popularity",
    inputs={"activity": video_activity.at(None)},
    key=["video_id", "course_id"],
    sql="""
    select video_id, course_id, viewers as unique_viewers, total_watch_seconds as total_views_seconds,
           starts as total_view_events, watch_seconds::double / starts as avg_view_duration_seconds,
           watch_seconds::double / 3600 as total_views_hours, total_events as total_interactions, max_watch_seconds,
           completions, completion_rate_pct, rank() over (order by viewers desc, watch_seconds desc) as rank
    from activity where starts > 0""",
)

daily_engagement = wm.Query(
    "video_daily_engagement",
    inputs={"activity": video_activity.at("1d", by=["course_id"])},
    key=["date", "course_id"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, course_id, viewers as active_video_watchers,
           watched_videos as unique_videos_watched, total_watch_seconds, starts as total_watch_events,
           watch_seconds::double / 3600 as total_watch_hours
    from activity where starts > 0""",
)

course_metrics = wm.Query(
    "video_course_metrics",
    inputs={"activity": video_activity.at(None, by=["course_id"])},
    key=["course_id"],
    sql="""
    select course_id, viewers as total_students_watching, watched_videos as total_videos_in_course,
           total_watch_seconds as total_course_watch_seconds, watch_seconds::double / 3600 as total_course_watch_hours
    from activity where starts > 0""",
)

student_course_summary = wm.Query(
    "video_student_course_summary",
    inputs={
        "students": video_students.at(None, by=["user_id", "course_id"]),
        "courses": video_students.at(None, by=["course_id"]),
    },
    key=["user_id", "course_id"],
    sql="""
    select s.user_id, s.course_id, s.videos as videos_watched_count, s.total_watch_seconds,
           s.sessions as total_sessions, s.total_watch_hours, c.videos as total_videos_in_course,
           pct(s.videos, c.videos)::decimal(5, 2) as video_coverage_percentage
    from students s join courses c using (course_id)""",
)

drop_off_indicators = wm.Query(
    "video_drop_off_indicators",
    inputs={"activity": video_activity.at(None)},
    key=["video_id", "course_id"],
    sql="""
    select video_id, course_id, starts as total_views, watch_seconds::double / starts as avg_watch_duration,
           min_watch_seconds as min_watch_duration, viewers as unique_viewers,
           case when watch_seconds < 60 * starts then 'High Risk'
                when watch_seconds < 180 * starts then 'Medium Risk' else 'Good Engagement' end as potential_drop_off
    from activity where starts > 0""",
)

# -- what history lacked -----------------------------------------------------------------------------------------------

daily_viewing = wm.Query(
    "video_daily_viewing",
    inputs={"activity": video_activity.at("1d", by=[])},
    key=["date"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, users as unique_viewers, videos as videos_watched,
           total_events, starts as video_starts, pauses as video_pauses, completions as video_completions,
           total_watch_seconds, total_watch_minutes
    from activity""",
)

engagement_summary = wm.Query(
    "video_engagement_summary",
    inputs={"activity": video_activity.at(None, by=["video_id"])},
    key=["video_id"],
    sql="""
    select video_id, starts, pauses, completions, users as unique_users, total_watch_seconds,
           completion_rate_pct, pause_rate_pct, avg_watch_per_start
    from activity where starts > 0""",
)

daily_concurrency = wm.Query(
    "video_daily_concurrency",
    inputs={"intervals": video_intervals},
    key=["date", "video_id"],
    time="window_start",
    sql=f"""
    with starts as (
      select date_trunc('day', window_start) as window_start, video_id from intervals
      union select date_trunc('day', window_start - interval '1 day') as window_start, video_id
            from intervals where started_at < date_trunc('day', window_start)),
    days as (select *, window_start + interval '1 day' as window_end from starts), {_peaks("days")}
    select window_start, strftime(window_start, '%Y-%m-%d') as date, video_id, peak_concurrent_viewers
    from peaks""",  # noqa: S608  # text of this file
)
"""The most who watched a video at one moment of each day, also of a day on which a viewing began and did not end."""

realtime = (viewers_1min, watch_time_5min, engagement_rate, popular_videos, concurrent_viewers)
batch = (
    total_watch_time,
    student_engagement,
    popularity,
    daily_engagement,
    course_metrics,
    student_course_summary,
    drop_off_indicators,
    daily_viewing,
    engagement_summary,
    daily_concurrency,
)

tables = [
    *(
        wm.Table(q.name, of=q, to="realtime_views", freeze="7d", columns=["*", "published_at as processed_at"])
        for q in realtime
    ),
    *(wm.Table(q.name, of=q, to="batch_views", every="10m") for q in batch),
]
