"""Who comes and goes: logins, failures, sessions, new accounts.

Two views hold every figure: `auth_activity` counts events by minute, `auth_sessions` pairs LOGIN with LOGOUT. All else
reads them at another window or by fewer dimensions, so that a minute, a day and all of history can never disagree.

A LOGIN that does not say whether it succeeded did. A session is paired if it is silent for less than seven days.
"""

from __future__ import annotations

import watersmeet as wm

from .topics import auth

LOGIN, LOGOUT, SIGNUP = (f"event_type = '{kind}'" for kind in ("LOGIN", "LOGOUT", "SIGNUP"))
FAILED, SUCCEEDED = f"{LOGIN} and not success", f"{LOGIN} and coalesce(success, true)"

auth_activity = wm.View(
    "auth_activity",
    topic=auth,
    dimensions=["user_id", "role", "registration_source"],
    window=wm.tumbling("1m"),
    measures={
        "total_events": wm.count(),
        "active_users": wm.distinct("user_id"),
        "unique_sessions": wm.distinct("session_id"),
        "login_count": wm.count(where=LOGIN),
        "logout_count": wm.count(where=LOGOUT),
        "register_count": wm.count(where=SIGNUP),
        "successful_logins": wm.count(where=SUCCEEDED),
        "failed_logins": wm.count(where=FAILED),
        "login_users": wm.distinct("user_id", where=LOGIN),
        "login_sessions": wm.distinct("session_id", where=LOGIN),
        "first_event": wm.min("event_time"),
        "last_event": wm.max("event_time"),
        "first_failed_attempt": wm.min("event_time", where=FAILED),
        "last_failed_attempt": wm.max("event_time", where=FAILED),
    },
    derive={
        "success_rate_pct": "pct(successful_logins, login_count)::double",
        "session_duration_seconds": "date_sub('second', first_event, last_event)",
    },
)

auth_sessions = wm.View(
    "auth_sessions",
    topic=auth,
    where=f"session_id is not null and (({SUCCEEDED}) or {LOGOUT})",
    dimensions=["session_id"],
    window=wm.session("7d"),
    measures={
        "user_id": wm.first("user_id", where=LOGIN),
        "role": wm.first("role", where=LOGIN),
        "login_at": wm.min("event_time", where=LOGIN),
        "logout_at": wm.min("event_time", where=LOGOUT),
    },
    derive={"length_ms": "case when logout_at >= login_at then date_diff('millisecond', login_at, logout_at) end"},
)

# -- real-time views ---------------------------------------------------------------------------------------------------

active_users_1min = wm.Query(
    "auth_realtime_active_users_1min",
    inputs={"activity": auth_activity.at("1m", by=[])},
    key=["window_start"],
    time="window_start",
    sql="select window_start, window_end, active_users, total_events, login_count, logout_count from activity",
)

active_users_5min = wm.Query(
    "auth_realtime_active_users_5min",
    inputs={"activity": auth_activity.at("5m", by=[])},
    key=["window_start"],
    time="window_start",
    sql="""
    select window_start, window_end, active_users, total_events, login_count, logout_count, register_count
    from activity""",
)

login_rate = wm.Query(
    "auth_realtime_login_rate",
    inputs={"activity": auth_activity.at("1m", by=[])},
    key=["window_start"],
    time="window_start",
    sql="""
    select window_start, window_end, login_count as total_logins, successful_logins, failed_logins,
           login_users as unique_users, success_rate_pct
    from activity where login_count > 0""",
)

session_activity = wm.Query(
    "auth_realtime_session_activity",
    inputs={"activity": auth_activity.at("5m", every="1m", by=["user_id"]), "sessions": auth_sessions},
    key=["window_start", "user_id"],
    time="window_start",
    sql="""
    with ended as (
      select a.window_start, a.user_id, count(*) as sessions_ended, max(s.length_ms) // 1000 as true_session_seconds
      from activity a join sessions s
        on s.user_id = a.user_id and s.logout_at >= a.window_start and s.logout_at < a.window_end
           and s.window_start between a.window_start - interval '7 days' and a.window_start + interval '5 minutes'
      where s.length_ms is not null
      group by all)
    select window_start, window_end, user_id, total_events as event_count, first_event, last_event,
           login_count as logins, logout_count as logouts, session_duration_seconds,
           coalesce(sessions_ended, 0) as sessions_ended, true_session_seconds
    from activity left join ended using (window_start, user_id)""",
)
"""Beside the span of a user's events in the window: the sessions that a LOGOUT of it ended, and the longest of them."""

failed_logins = wm.Query(
    "auth_realtime_failed_logins",
    inputs={"activity": auth_activity.at("1m", by=["user_id"])},
    key=["window_start", "user_id"],
    time="window_start",
    sql="""
    select window_start, window_end, user_id, failed_logins as failed_attempt_count,
           first_failed_attempt, last_failed_attempt
    from activity where failed_logins > 0""",
)

# -- batch views -------------------------------------------------------------------------------------------------------

daily_active_users = wm.Query(
    "auth_daily_active_users",
    inputs={"activity": auth_activity.at("1d", by=[])},
    key=["date"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date,
           login_users as daily_active_users, login_sessions as total_sessions
    from activity where login_count > 0""",
)

hourly_login_patterns = wm.Query(
    "auth_hourly_login_patterns",
    inputs={"activity": auth_activity.at("1h", by=[])},
    key=["date", "hour"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, hour(window_start)::integer as hour, login_count
    from activity where login_count > 0""",
)

user_session_metrics = wm.Query(
    "auth_user_session_metrics",
    inputs={"sessions": auth_sessions},
    key=["user_id"],
    sql="""
    select user_id, count(*) as total_sessions,
           sum(length_ms)::double / (60000 * count(*)) as avg_session_duration_minutes,
           min(length_ms)::double / 60000 as min_session_duration_minutes,
           max(length_ms)::double / 60000 as max_session_duration_minutes,
           sum(length_ms)::double / 60000 as total_time_online_minutes
    from sessions where length_ms is not null group by all""",
)

user_activity_summary = wm.Query(
    "auth_user_activity_summary",
    inputs={"activity": auth_activity.at(None, by=["user_id", "role"])},
    key=["user_id"],
    sql="""
    select user_id, role, login_count as total_logins, logout_count as total_logouts,
           first_event as first_activity, last_event as last_activity, unique_sessions, total_events
    from activity""",
)

registration_analytics = wm.Query(
    "auth_registration_analytics",
    inputs={"activity": auth_activity.at("1d", by=["registration_source", "role"])},
    key=["date", "registration_source", "role"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, registration_source, role,
           register_count as new_signups
    from activity where register_count > 0""",
)

# -- what history lacked -----------------------------------------------------------------------------------------------

daily_activity = wm.Query(
    "auth_daily_activity",
    inputs={"activity": auth_activity.at("1d", by=[])},
    key=["date"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, active_users, total_events,
           login_count, logout_count, register_count, successful_logins, failed_logins,
           login_users as unique_users, success_rate_pct
    from activity""",
)
"""The days of the three views of everybody: who was active, and how many logins failed."""

failed_login_summary = wm.Query(
    "auth_failed_login_summary",
    inputs={"activity": auth_activity.at(None, by=["user_id"])},
    key=["user_id"],
    sql="""
    select user_id, failed_logins as failed_attempt_count, first_failed_attempt, last_failed_attempt
    from activity where failed_logins > 0""",
)

open_sessions = wm.Query(
    "auth_open_sessions",
    inputs={"sessions": auth_sessions, "newest": auth_activity.at(None, by=[])},
    key=["role"],
    sql="""
    select role, count(*) as open_sessions, count(distinct user_id) as users, min(login_at) as oldest_login
    from sessions
    where login_at is not null and logout_at is null and window_end > (select last_event from newest) group by all""",
)
"""Sessions with a LOGIN and no LOGOUT so far, within the seven days in which one would still end them."""

realtime = (active_users_1min, active_users_5min, login_rate, session_activity, failed_logins)
batch = (
    daily_active_users,
    hourly_login_patterns,
    user_session_metrics,
    user_activity_summary,
    registration_analytics,
    daily_activity,
    failed_login_summary,
    open_sessions,
)

tables = [
    *(
        wm.Table(q.name, of=q, to="realtime_views", freeze="7d", columns=["*", "published_at as processed_at"])
        for q in realtime
    ),
    *(wm.Table(q.name, of=q, to="batch_views", every="10m") for q in batch),
]
