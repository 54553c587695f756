"""Logins, logouts and accounts, said again in SQL."""

from __future__ import annotations

from .windows import DATE, FIVE_STARTS, SLIDING, each

LOGIN, LOGOUT = "filter (type = 'LOGIN')", "filter (type = 'LOGOUT')"
FAILED, SUCCEEDED = "filter (type = 'LOGIN' and success = false)", "filter (type = 'LOGIN' and success is not false)"

SESSIONS = f"""
create table sessions as
with steps as (
  select *, coalesce(t - lag(t) over (partition by session_id order by t) >= interval 7 days, false) as is_new
  from auth where session_id is not null and (type = 'LOGOUT' or type = 'LOGIN' and success is not false)),
numbered as (
  select *, count(*) filter (is_new) over (partition by session_id order by t) as part from steps)
select session_id, min(t) as window_start, max(t) + interval 7 days as window_end,
       arg_min(user_id, t) {LOGIN} as user_id, arg_min(role, t) {LOGIN} as role,
       min(t) {LOGIN} as login_at, min(t) {LOGOUT} as logout_at,
       case when logout_at >= login_at then epoch_ms(logout_at) - epoch_ms(login_at) end as length_ms
from numbered group by session_id, part
"""
"""LOGIN and LOGOUT of one session_id, as long as no week lies between two of them."""

TABLES = (SESSIONS,)

FIGURES = f"""
    count(*) as total_events, count(distinct user_id) as active_users, count(distinct session_id) as unique_sessions,
    count(*) {LOGIN} as login_count, count(*) {LOGOUT} as logout_count,
    count(*) filter (type = 'SIGNUP') as register_count,
    count(*) {SUCCEEDED} as successful_logins, count(*) {FAILED} as failed_logins,
    count(distinct user_id) {LOGIN} as login_users, count(distinct session_id) {LOGIN} as login_sessions,
    min(t) as first_event, max(t) as last_event,
    min(t) {FAILED} as first_failed_attempt, max(t) {FAILED} as last_failed_attempt,
    percent(count(*) {SUCCEEDED}, count(*) {LOGIN})::double as success_rate_pct,
    seconds_between(min(t), max(t)) as session_duration_seconds"""

ORACLES = {
    "auth_activity": f"select {each(1)}, user_id, role, registration_source, {FIGURES} from auth group by all",
    "auth_sessions": "from sessions",
    "auth_realtime_activity_15min": f"select {each(15)}, {FIGURES} from auth group by all",
    "auth_realtime_activity_1h": f"select {each(60)}, {FIGURES} from auth group by all",
    "auth_realtime_active_users_1min": f"""
        select {each(1)}, count(distinct user_id) as active_users, count(*) as total_events,
               count(*) {LOGIN} as login_count, count(*) {LOGOUT} as logout_count
        from auth group by all""",
    "auth_realtime_active_users_5min": f"""
        select {each(5)}, count(distinct user_id) as active_users, count(*) as total_events,
               count(*) {LOGIN} as login_count, count(*) {LOGOUT} as logout_count,
               count(*) filter (type = 'SIGNUP') as register_count
        from auth group by all""",
    "auth_realtime_login_rate": f"""
        select {each(1)}, count(*) as total_logins, count(*) filter (success is not false) as successful_logins,
               count(*) filter (success = false) as failed_logins, count(distinct user_id) as unique_users,
               percent(count(*) filter (success is not false), count(*))::double as success_rate_pct
        from auth where type = 'LOGIN' group by all""",
    "auth_realtime_session_activity": f"""
        with seen as (
          select {SLIDING}, user_id, count(*) as event_count, min(t) as first_event, max(t) as last_event,
                 count(*) {LOGIN} as logins, count(*) {LOGOUT} as logouts,
                 seconds_between(min(t), max(t)) as session_duration_seconds
          from auth, {FIVE_STARTS} group by all),
        ended as (
          select {SLIDING}, user_id, count(*) as sessions_ended, max(length_ms) // 1000 as true_session_seconds
          from (select user_id, logout_at as t, length_ms from sessions where length_ms is not null), {FIVE_STARTS}
          group by all)
        select seen.*, coalesce(sessions_ended, 0) as sessions_ended, true_session_seconds
        from seen left join ended using (window_start, window_end, user_id)""",
    "auth_realtime_failed_logins": f"""
        select {each(1)}, user_id, count(*) as failed_attempt_count,
               min(t) as first_failed_attempt, max(t) as last_failed_attempt
        from auth where type = 'LOGIN' and success = false group by all""",
    "auth_daily_active_users": f"""
        select {DATE}, count(distinct user_id) as daily_active_users, count(distinct session_id) as total_sessions
        from auth where type = 'LOGIN' group by all""",
    "auth_hourly_login_patterns": """
        select floor_to(t, 60) as window_start, day_of(t) as date, hour(t) as hour, count(*) as login_count
        from auth where type = 'LOGIN' group by all""",
    "auth_user_session_metrics": """
        select user_id, count(*) as total_sessions, avg(length_ms) / 60000 as avg_session_duration_minutes,
               min(length_ms) / 60000 as min_session_duration_minutes,
               max(length_ms) / 60000 as max_session_duration_minutes,
               sum(length_ms) / 60000 as total_time_online_minutes
        from sessions where length_ms is not null group by all""",
    "auth_user_activity_summary": f"""
        select user_id, role, count(*) {LOGIN} as total_logins, count(*) {LOGOUT} as total_logouts,
               min(t) as first_activity, max(t) as last_activity, count(distinct session_id) as unique_sessions,
               count(*) as total_events
        from auth group by all""",
    "auth_registration_analytics": f"""
        select {DATE}, registration_source, role, count(*) as new_signups from auth where type = 'SIGNUP' group by all""",
    "auth_daily_activity": f"""
        select {DATE}, count(distinct user_id) as active_users, count(*) as total_events,
               count(*) {LOGIN} as login_count, count(*) {LOGOUT} as logout_count,
               count(*) filter (type = 'SIGNUP') as register_count,
               count(*) {SUCCEEDED} as successful_logins, count(*) {FAILED} as failed_logins,
               count(distinct user_id) {LOGIN} as unique_users,
               percent(count(*) {SUCCEEDED}, count(*) {LOGIN})::double as success_rate_pct
        from auth group by all""",
    "auth_failed_login_summary": """
        select user_id, count(*) as failed_attempt_count, min(t) as first_failed_attempt, max(t) as last_failed_attempt
        from auth where type = 'LOGIN' and success = false group by all""",
    "auth_open_sessions": """
        select role, count(*) as open_sessions, count(distinct user_id) as users, min(login_at) as oldest_login
        from sessions
        where login_at is not null and logout_at is null and window_end > (select max(t) from auth) group by all""",
    "auth_sessions_now": """
        select 'campus' as scope, count(*) as open_sessions from sessions
        where login_at is not null and logout_at is null and window_end > (select max(t) from auth)""",
}
