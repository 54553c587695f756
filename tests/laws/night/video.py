"""What is watched, and how many at once, said again in SQL."""

from __future__ import annotations

from .windows import ALWAYS, DATE, FIVE_STARTS, MORNING, SLIDING, each

WATCHED, PAUSED = "filter (type = 'VIDEO_WATCHED')", "filter (type = 'VIDEO_PAUSED')"
COMPLETIONS = """count(distinct session_id)
    filter (type = 'VIDEO_COMPLETED' or watch_duration_seconds >= 0.8 * video_duration_seconds)"""
SECONDS = "sum(watch_duration_seconds)"
MINUTES = f"hundredths({SECONDS}, 60)::decimal(24, 2)"
COMPLETED_PCT = f"percent({COMPLETIONS}, count(*) {WATCHED})::double"
PAUSED_PCT = f"percent(count(*) {PAUSED}, count(*) {WATCHED})::double"
PER_START = f"hundredths({SECONDS}, count(*) {WATCHED})::double"

FIGURES = f"""
    count(*) as total_events, count(distinct user_id) as users, count(distinct video_id) as videos,
    count(*) {WATCHED} as starts, count(*) {PAUSED} as pauses, {COMPLETIONS} as completions,
    count(distinct user_id) {WATCHED} as viewers, count(distinct video_id) {WATCHED} as watched_videos,
    {SECONDS} as watch_seconds, min(watch_duration_seconds) as min_watch_seconds,
    max(watch_duration_seconds) as max_watch_seconds, {SECONDS} as total_watch_seconds,
    {MINUTES} as total_watch_minutes, {COMPLETED_PCT} as completion_rate_pct, {PAUSED_PCT} as pause_rate_pct,
    {PER_START} as avg_watch_per_start"""
VIEWERS = f"""
    count(distinct user_id) as unique_viewers, count(distinct video_id) as videos_watched, count(*) as total_events,
    count(*) {WATCHED} as video_starts, count(*) {PAUSED} as video_pauses, {COMPLETIONS} as video_completions,
    {SECONDS} as total_watch_seconds, {MINUTES} as total_watch_minutes"""
ENGAGEMENT = f"""
    count(*) {WATCHED} as starts, count(*) {PAUSED} as pauses, {COMPLETIONS} as completions,
    count(distinct user_id) as unique_users, {SECONDS} as total_watch_seconds,
    {COMPLETED_PCT} as completion_rate_pct, {PAUSED_PCT} as pause_rate_pct, {PER_START} as avg_watch_per_start"""

VIEWINGS = """
create table viewings as
select *, t - to_seconds(watch_duration_seconds) as since from video where type = 'VIDEO_WATCHED'
"""
"""Each VIDEO_WATCHED took until its own time."""

MOMENTS = """
create table moments as
select m.video_id, m.moment, count(distinct v.user_id) as viewers
from (select distinct video_id, unnest([since, floor_to(t, 1440)] || [
        floor_to(t, 1) - to_minutes(back::integer) for back in range(5)]) as moment from viewings) m
     join viewings v on v.video_id = m.video_id and v.since <= m.moment and m.moment <= v.t
group by all
"""
"""How many watch a video at every moment at which that can be most: when one begins, and where windows begin."""

TABLES = (VIEWINGS, MOMENTS)


def peaks(windows: str) -> str:
    """The most at one moment of each window."""
    return f"""
        select w.*, max(viewers) as peak_concurrent_viewers from ({windows}) w join moments m
        on m.video_id = w.video_id and m.moment >= w.window_start and m.moment < w.window_end group by all"""


STATUS = """
    case when total_watch_seconds >= 0.8 * length then 'Completed' when total_watch_seconds < 0.5 * length then 'At Risk'
         when length is not null then 'In Progress' end as completion_status"""


def lately(columns: str, of: str) -> str:
    """What is over in the morning."""
    return f"select window_start, window_end, video_id, {columns} from ({of}) where window_end <= {MORNING}"


RATE = f"select {each(5)}, video_id, {ENGAGEMENT} from video group by all having count(*) {WATCHED} > 0"
CONCURRENT = peaks(f"""
    select {SLIDING}, video_id, count(distinct user_id) as concurrent_viewers, count(*) as event_count,
           {SECONDS} as total_watch_seconds, {MINUTES} as total_watch_minutes
    from viewings, {FIVE_STARTS} group by all""")
DAYS = """
    select distinct unnest([floor_to(since, 1440), floor_to(t, 1440)]) as window_start,
           window_start + interval 1 day as window_end, day_of(window_start) as date, video_id
    from viewings"""

ORACLES = {
    "video_activity": f"select {each(1)}, video_id, course_id, {FIGURES} from video group by all",
    "video_realtime_activity_15min": f"select {each(15)}, {FIGURES} from video group by all",
    "video_realtime_activity_1h": f"select {each(60)}, {FIGURES} from video group by all",
    "video_students": f"""
        select {ALWAYS}, user_id, course_id, video_id, count(*) as sessions, count(distinct video_id) as videos,
               {SECONDS} as watch_seconds, min(watch_duration_seconds) as shortest,
               max(watch_duration_seconds) as longest, arg_max(video_duration_seconds, t) as video_seconds,
               {SECONDS} as total_watch_seconds, {SECONDS} / 60 as total_watch_minutes,
               {SECONDS} / 3600 as total_watch_hours, avg(watch_duration_seconds) as avg_watch_duration_seconds
        from viewings group by all""",
    "video_intervals": f"""
        select {each(1)}, video_id, user_id, t as ended_at, watch_duration_seconds as seconds, count(*) as viewings,
               since as started_at
        from viewings group by all""",
    "video_days": f"""
        select {each(1440)}, user_id, course_id, video_id, count(*) {WATCHED} as sessions,
               count(distinct video_id) {WATCHED} as videos, {SECONDS} as watch_seconds, {COMPLETIONS} as completions,
               max(t) as last_event, coalesce({SECONDS}, 0) as total_watch_seconds, {PER_START} as avg_watch_seconds
        from video group by all""",
    "video_realtime_viewers_1min": f"select {each(1)}, {VIEWERS} from video group by all",
    "video_realtime_watch_time_5min": f"""
        select {each(5)}, video_id, course_id, count(distinct user_id) as unique_viewers,
               {SECONDS} as total_watch_seconds, {MINUTES} as total_watch_minutes, {PER_START} as avg_watch_seconds,
               max(watch_duration_seconds) as max_watch_seconds, count(*) as view_count
        from viewings group by all""",
    "video_realtime_engagement_rate": RATE,
    "video_engagement_lately": lately("starts, completions, completion_rate_pct", RATE),
    "video_realtime_popular_videos": f"""
        select *, rank() over (partition by window_start
                               order by unique_viewers desc, coalesce(total_watch_seconds, -1) desc) as rank
        from (select {each(5)}, video_id, course_id, count(distinct user_id) as unique_viewers,
                     count(*) as total_interactions, {SECONDS} as total_watch_seconds, count(*) {WATCHED} as starts,
                     {COMPLETIONS} as completions, {COMPLETED_PCT} as completion_rate_pct
              from video group by all)""",
    "video_realtime_concurrent_viewers": CONCURRENT,
    "video_viewers_lately": lately("concurrent_viewers, peak_concurrent_viewers", CONCURRENT),
    "video_total_watch_time": f"""
        select * exclude (length), percent(total_watch_seconds, length)::double as watched_pct, {STATUS}
        from (select user_id, video_id, course_id, {SECONDS} as total_watch_seconds, count(*) as total_watch_sessions,
                     avg(watch_duration_seconds) as avg_watch_duration_seconds,
                     max(watch_duration_seconds) as longest_session_seconds,
                     min(watch_duration_seconds) as shortest_session_seconds,
                     {SECONDS} / 60 as total_watch_minutes, {SECONDS} / 3600 as total_watch_hours,
                     arg_max(video_duration_seconds, t) as length
              from viewings group by all)""",
    "video_student_engagement": f"""
        select user_id, course_id, count(distinct video_id) as unique_videos_watched,
               {SECONDS} as total_watch_seconds, count(*) as total_video_events,
               avg(watch_duration_seconds) as avg_watch_duration_seconds, {SECONDS} / 3600 as total_watch_hours
        from viewings group by all""",
    "video_popularity": f"""
        select video_id, course_id, count(distinct user_id) {WATCHED} as unique_viewers,
               {SECONDS} as total_views_seconds, count(*) {WATCHED} as total_view_events,
               avg(watch_duration_seconds) as avg_view_duration_seconds, {SECONDS} / 3600 as total_views_hours,
               count(*) as total_interactions, max(watch_duration_seconds) as max_watch_seconds,
               {COMPLETIONS} as completions, {COMPLETED_PCT} as completion_rate_pct,
               rank() over (order by unique_viewers desc, total_views_seconds desc) as rank
        from video group by all having count(*) {WATCHED} > 0""",
    "video_daily_engagement": f"""
        select {DATE}, course_id, count(distinct user_id) as active_video_watchers,
               count(distinct video_id) as unique_videos_watched, {SECONDS} as total_watch_seconds,
               count(*) as total_watch_events, {SECONDS} / 3600 as total_watch_hours
        from viewings group by all""",
    "video_course_metrics": f"""
        select course_id, count(distinct user_id) as total_students_watching,
               count(distinct video_id) as total_videos_in_course, {SECONDS} as total_course_watch_seconds,
               {SECONDS} / 3600 as total_course_watch_hours
        from viewings group by all""",
    "video_student_course_summary": f"""
        select user_id, course_id, count(distinct video_id) as videos_watched_count, {SECONDS} as total_watch_seconds,
               count(*) as total_sessions, {SECONDS} / 3600 as total_watch_hours,
               any_value(offered) as total_videos_in_course,
               percent(count(distinct video_id), any_value(offered))::decimal(5, 2) as video_coverage_percentage
        from viewings join (select course_id, count(distinct video_id) as offered from viewings group by all)
             using (course_id) group by all""",
    "video_drop_off_indicators": f"""
        select video_id, course_id, count(*) as total_views, avg(watch_duration_seconds) as avg_watch_duration,
               min(watch_duration_seconds) as min_watch_duration, count(distinct user_id) as unique_viewers,
               case when {SECONDS} / count(*) < 60 then 'High Risk' when {SECONDS} / count(*) < 180 then 'Medium Risk'
                    else 'Good Engagement' end as potential_drop_off
        from viewings group by all""",
    "video_daily_viewing": f"select {DATE}, {VIEWERS} from video group by all",
    "video_engagement_summary": f"""
        select video_id, {ENGAGEMENT} from video group by all having count(*) {WATCHED} > 0""",
    "video_daily_concurrency": f"select * exclude (window_end) from ({peaks(DAYS)})",
    "viewing_hours": f"""
        select {each(60)}, course_id, count(*) {WATCHED} as starts,
               count(*) filter (10 * watch_duration_seconds <= video_duration_seconds) as abandoned
        from video group by all""",
}
