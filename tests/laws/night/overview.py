"""Students, courses and days of several topics together, and what is out of the ordinary, said again in SQL."""

from __future__ import annotations

from .windows import DATE, each

STUDENTS = """
    select student_id, count(distinct course_id) as total_courses_enrolled,
           (select count(*) from viewings v where v.user_id = e.student_id) as total_videos_watched,
           (select count(*) from assessment a where a.user_id = e.student_id and a.type = 'SUBMIT_ASSIGNMENT')
           as total_assignments_submitted,
           (select sum(score)::double / count(*) from assessment a
            where a.student_id = e.student_id and a.type = 'GRADE_ASSIGNMENT') as avg_assignment_score,
           (select count(*) from auth a where a.user_id = e.student_id and a.type = 'LOGIN') as total_logins
    from (select user_id as student_id, course_id from course where type = 'COURSE_ENROLLED') e group by student_id"""

PEOPLE = "union ".join(
    f"select user_id from {topic} " for topic in ("auth", "assessment", "video", "course", "profile", "notification")
)


def baseline(topic: str, dimension: str, observed: str, noun: str, least: int, exposure: str = "") -> str:
    """Each hour beside the same hour 7, 14, 21 and 28 days before.

    Args:
        topic: the table of its events.
        dimension: of whom or what, as SQL.
        observed: the condition on what is counted.
        noun: of it.
        least: fewer are never out of the ordinary.
        exposure: the condition on what it is a share of; none: it is a count.
    """
    name = dimension.split(" as ")[-1]
    if exposure:
        expected = "h.e * ((sum_n + 1)::double / (sum_e + 20))"
        spread = "greatest(sqrt(expected * (1 - expected / e)), 1)"
    else:
        expected = "middle"
        spread = "greatest(sqrt(expected), 0.2 * expected, 1.4826 * deviation, 1)"
    return f"""
    with hours as (
      select {each(60)}, {dimension}, count(*) filter ({observed}) as n, count(*) filter ({exposure or observed}) as e
      from {topic} group by all having {name} is not null and e > 0),
    days as (select distinct floor_to(t, 1440) as day from {topic}),
    weeks as (
      select h.*, coalesce(p.n, 0) as past_n, coalesce(p.e, 0) as past_e
      from hours h cross join (select to_days(unnest([7, 14, 21, 28])) as ago)
           join days d on d.day = floor_to(h.window_start, 1440) - ago
           left join hours p on p.{name} = h.{name} and p.window_start = h.window_start - ago),
    usual as (
      select h.*, past.* exclude (window_start, {name}), case when weeks >= 2 then {expected} end as expected
      from hours h left join (
           select window_start, {name}, count(*) as weeks, median(past_n) as middle, sum(past_n) as sum_n,
                  sum(past_e) as sum_e from weeks group by all) past using (window_start, {name})),
    deviating as (
      select window_start, {name}, median(abs(past_n - expected)) as deviation
      from usual join weeks using (window_start, {name}) group by all),
    scored as (
      select *, {spread} as spread, round((n - expected) / ({spread}), 2) as score
      from usual left join deviating using (window_start, {name}))
    select window_start, window_end, {name}, n as observed, round(expected, 2) as expected, score,
           coalesce(score >= 4 and n >= {least}, false) as is_anomaly,
           case when expected is null then format('{{}} {noun}; only {{}} weeks of history', n, coalesce(weeks, 0))
                else format('{{}} {noun}, {{:.1f}} expected from {{}} weeks before: {{:.1f}} spreads of {{:.1f}} away',
                            n, expected, weeks, score, spread) end as reason,
           coalesce((select any_value(b.n) from hours b
                     where b.{name} = s.{name} and b.window_start = s.window_start - interval 1 hour), 0) as previous,
           (select sum(b.n) from hours b where b.window_start = s.window_start) as together
    from scored s"""


ORACLES = {
    "course_overview": """
        select course_id, count(distinct user_id) filter (type = 'COURSE_ENROLLED') as total_enrolled_students,
               (select count(*) from viewings v where v.course_id = c.course_id) as total_videos_watched,
               count(*) filter (type = 'DOWNLOAD_MATERIAL') as total_materials_downloaded
        from course c where role = 'student' group by course_id
        having count(*) filter (type = 'COURSE_ENROLLED') > 0""",
    "student_overview": STUDENTS,
    "student_engagement_distribution": f"""
        select level, count(student_id) as students
        from (select unnest(['highly_active', 'moderately_active', 'low_activity', 'inactive']) as level) left join (
             select student_id, case when n > 50 then 'highly_active' when n >= 10 then 'moderately_active'
                                     when n >= 1 then 'low_activity' else 'inactive' end as level
             from (select student_id, total_videos_watched + total_assignments_submitted + total_logins as n
                   from ({STUDENTS}))) using (level)
        group by level""",
    "student_course_enrollment": """
        select student_id, course_id, min(t) as enrollment_date, count(*) as enrollments,
               (select count(*) from viewings v where v.user_id = e.student_id and v.course_id = e.course_id)
               as total_videos_watched,
               (select count(*) from viewings v where v.user_id = e.student_id and v.course_id = e.course_id)
               as videos_watched,
               (select count(*) from assessment a
                where a.user_id = e.student_id and a.course_id = e.course_id and a.type = 'SUBMIT_ASSIGNMENT')
               as assignments_submitted,
               (select sum(score)::double / count(*) from assessment a
                where a.student_id = e.student_id and a.course_id = e.course_id and a.type = 'GRADE_ASSIGNMENT')
               as avg_score
        from (select user_id as student_id, course_id, t from course where type = 'COURSE_ENROLLED') e
        group by student_id, course_id""",
    "student_course_detailed": """
        with watching as (
          select user_id, course_id, count(*) as n, sum(watch_duration_seconds) / 60 as minutes from viewings group by all),
        learning as (
          select user_id, course_id, count(*) filter (type = 'DOWNLOAD_MATERIAL') as fetched, max(t) as last
          from course where role = 'student' group by all)
        select user_id as student_id, course_id, coalesce(n, 0) as videos_watched,
               coalesce(minutes, 0) as watch_time_minutes, coalesce(fetched, 0) as materials_downloaded,
               last as last_activity_date
        from learning full join watching using (user_id, course_id)""",
    "campus_days": f"""
        select {DATE}, regexp_replace(topic, '_topic$', '') as category, count(*) as total_events
        from events where topic <> 'anomaly_topic' group by all""",
    "campus_totals": f"""
        with people as (
          {PEOPLE} union select student_id as user_id from assessment where student_id is not null),
        courses as (
          select course_id from course union select course_id from video
          union select course_id from assessment where course_id is not null)
        select 'students' as kind, count(*) filter (user_id like 'S%') as total from people
        union all select 'teachers' as kind, count(*) filter (user_id like 'G%') as total from people
        union all select 'courses' as kind, count(*) as total from courses""",
    "failed_login_hours": f"""
        select {each(60)}, case when type = 'LOGIN' and success = false then auth.user_id end as user_id,
               count(*) filter (type = 'LOGIN' and success = false) as failed_logins
        from auth group by all""",
    "submission_hours": f"""
        select {each(60)}, course_id, count(*) filter (type = 'SUBMIT_ASSIGNMENT') as submissions
        from assessment group by all""",
    "enrolment_hours": f"""
        select {each(60)}, course_id, count(*) filter (type = 'COURSE_ENROLLED') as enrollments
        from course group by all""",
    "anomalies_of_failed_logins": baseline(
        "auth", "user_id", "type = 'LOGIN' and success = false", "failed logins", least=10
    ),
    "anomalies_of_submissions": baseline(
        "assessment", "course_id", "type = 'SUBMIT_ASSIGNMENT'", "submissions", least=10
    ),
    "anomalies_of_video_drop_off": baseline(
        "video",
        "course_id",
        "10 * watch_duration_seconds <= video_duration_seconds",
        "viewings left at once",
        least=5,
        exposure="type = 'VIDEO_WATCHED'",
    ),
    "anomalies_of_enrolments": baseline("course", "course_id", "type = 'COURSE_ENROLLED'", "enrolments", least=10),
    "learned_anomalies": f"""
        select {each(60)}, detector, kind, dimension, count(*) as windows, count(*) filter (is_anomaly) as anomalies,
               round(max(score), 6) as highest_score, round(arg_max(threshold, (t, seq)), 6) as threshold,
               arg_max(model_version, (t, seq)) as model_version, arg_max(reason, (t, seq)) as reason
        from anomaly group by all""",
}
