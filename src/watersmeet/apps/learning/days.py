"""What each person does on each day, and the campus as a whole: what answers to questions by person and date rest on.

The views of the categories count minutes, courses and videos; who did what is known there over all time only. Here it
is kept by day (UTC), so that any run of days is one reading: its distinct counts, means and extremes are those of the
run, never sums of days.
"""

from __future__ import annotations

import watersmeet as wm

from .assessment import GRADE, PERCENTAGE, SUBMIT, VIEW, assessment_activity, assignment_turns
from .auth import auth_activity
from .course import DOWNLOADED, ENROLLED, OPENED, course_activity
from .notification import notification_recipients
from .overview import student_overview
from .profile import PICTURED, UPDATED
from .topics import assessment, course, notification, profile, video
from .video import COMPLETED, WATCHED, video_activity

course_days = wm.View(
    "course_days",
    topic=course,
    dimensions=[
        "user_id",
        "role",
        "course_id",
        "event_type",
        "coalesce(material_id, item_id) as material_id",
        "coalesce(item_type, material_type) as item_type",
    ],
    window=wm.tumbling("1d"),
    measures={
        "event_count": wm.count(),
        "unique_users": wm.distinct("user_id"),
        "unique_materials": wm.distinct("coalesce(material_id, item_id)"),
        "enrollments": wm.count(where=ENROLLED),
        "material_accesses": wm.count(where=OPENED),
        "downloads": wm.count(where=DOWNLOADED),
        "first_event": wm.min("event_time"),
        "last_event": wm.max("event_time"),
    },
)

video_days = wm.View(
    "video_days",
    topic=video,
    dimensions=["user_id", "course_id", "video_id"],
    window=wm.tumbling("1d"),
    measures={
        "sessions": wm.count(where=WATCHED),
        "videos": wm.distinct("video_id", where=WATCHED),
        "watch_seconds": wm.sum("watch_duration_seconds"),
        "completions": wm.distinct("session_id", where=COMPLETED),
        "last_event": wm.max("event_time"),
    },
    derive={
        "total_watch_seconds": "coalesce(watch_seconds, 0)::bigint",
        "avg_watch_seconds": "ratio(watch_seconds, sessions, 2)::double",
    },
)

work_days = wm.View(
    "work_days",
    topic=assessment,
    where="assignment_id is not null",
    dimensions=[
        "coalesce(student_id, user_id) as student_id",
        "case when student_id is not null then user_id end as teacher_id",
        "course_id",
        "assignment_id",
    ],
    window=wm.tumbling("1d"),
    measures={
        "event_count": wm.count(),
        "students": wm.distinct("coalesce(student_id, user_id)"),
        "views": wm.count(where=VIEW),
        "submissions": wm.count(where=SUBMIT),
        "students_submitted": wm.distinct("user_id", where=SUBMIT),
        "assignments_submitted": wm.distinct("assignment_id", where=SUBMIT),
        "first_submission": wm.min("event_time", where=SUBMIT),
        "last_submission": wm.max("event_time", where=SUBMIT),
        "works_viewed": wm.count(where="event_type = 'VIEW_STUDENT_WORK'"),
        "graded": wm.count(where=GRADE),
        "students_graded": wm.distinct("student_id", where=GRADE),
        "score_sum": wm.sum("score", where=GRADE),
        "lowest": wm.min("score", where=GRADE),
        "highest": wm.max("score", where=GRADE),
        "percentage": wm.mean(PERCENTAGE, where=GRADE, digits=2),
        "last_event": wm.max("event_time"),
    },
    derive={
        "avg_score": "ratio(score_sum, graded, 2)::double",
        "min_score": "lowest::double",
        "max_score": "highest::double",
        "avg_percentage": "percentage::double",
    },
)
"""Work on assignments: of whom it is, who looked at it or graded it (null: the student), and what became of it."""

profile_days = wm.View(
    "profile_days",
    topic=profile,
    dimensions=["user_id", "role", "event_type"],
    window=wm.tumbling("1d"),
    measures={
        "event_count": wm.count(),
        "unique_users": wm.distinct("user_id"),
        "profile_updates": wm.count(where=UPDATED),
        "avatar_changes": wm.count(where=PICTURED),
        "first_event": wm.min("event_time"),
        "last_event": wm.max("event_time"),
    },
)

profile_field_days = wm.View(
    "profile_field_days",
    topic=profile,
    explode="list_distinct(updated_fields) as field_name",
    dimensions=["user_id", "role", "field_name"],
    window=wm.tumbling("1d"),
    where=UPDATED,
    measures={
        "total_updates": wm.count(),
        "unique_users_updating": wm.distinct("user_id"),
        "last_update": wm.max("event_time"),
    },
)

notification_times = wm.View(
    "notification_times", topic=notification, measures={"last_event": wm.max("event_time")}, window=None
)

assignment_timeline = wm.Query(
    "assessment_assignment_timeline",
    inputs={"turns": assignment_turns},
    key=["user_id", "course_id", "assignment_id"],
    sql="""
    with viewed as (
      select user_id, course_id, assignment_id, min(taken_at) as viewed_at from turns where views > 0 group by all),
    submitted as (
      select user_id, course_id, assignment_id, min(taken_at) as submitted_at
      from viewed join turns using (user_id, course_id, assignment_id)
      where submissions > 0 and taken_at >= viewed_at group by all)
    select user_id, course_id, assignment_id, viewed_at, submitted_at,
           date_diff('millisecond', viewed_at, submitted_at)::double / 3600000 as hours_to_submit
    from viewed left join submitted using (user_id, course_id, assignment_id)""",
)
"""From the first view of an assignment to the first submission after it, by student; null while there is none."""

campus_days = wm.Query(
    "campus_days",
    inputs={
        "visits": auth_activity.at("1d", by=[]),
        "work": assessment_activity.at("1d", by=[]),
        "viewing": video_activity.at("1d", by=[]),
        "study": course_activity.at("1d", by=[]),
        "changes": profile_days.at("1d", by=[]),
        "notices": notification_recipients.at("1d", by=[]),
    },
    key=["date", "category"],
    time="window_start",
    sql="""
    with days as (
      select window_start, 'auth' as category, total_events from visits
      union all select window_start, 'assessment' as category, event_count as total_events from work
      union all select window_start, 'video' as category, total_events from viewing
      union all select window_start, 'course' as category, total_interactions as total_events from study
      union all select window_start, 'profile' as category, event_count as total_events from changes
      union all select window_start, 'notification' as category, total_events from notices)
    select window_start, strftime(window_start, '%Y-%m-%d') as date, category, total_events from days""",
)

campus_totals = wm.Query(
    "campus_totals",
    inputs={
        "visits": auth_activity.at(None, by=["user_id"]),
        "work": work_days.at(None, by=["student_id"]),
        "tasks": assessment_activity.at(None, by=["user_id", "course_id"]),
        "viewing": video_days.at(None, by=["user_id", "course_id"]),
        "study": course_days.at(None, by=["user_id", "course_id"]),
        "changes": profile_days.at(None, by=["user_id"]),
        "notices": notification_recipients.at(None, by=["user_id"]),
    },
    key=["kind"],
    sql="""
    with people as (
      select user_id from visits union select student_id as user_id from work union select user_id from tasks
      union select user_id from viewing union select user_id from study union select user_id from changes
      union select user_id from notices),
    courses as (
      select course_id from tasks where course_id is not null union select course_id from viewing
      union select course_id from study)
    select 'students' as kind, count(*) filter (where user_id[1] = 'S') as total from people
    union all select 'teachers' as kind, count(*) filter (where user_id[1] = 'G') as total from people
    union all select 'courses' as kind, count(*) as total from courses""",
)
"""How many students, teachers and courses any event has ever named."""

student_engagement_distribution = wm.Query(
    "student_engagement_distribution",
    inputs={"students": student_overview},
    key=["level"],
    sql="""
    with levels as (
      select unnest(['highly_active', 'moderately_active', 'low_activity', 'inactive']) as level),
    counted as (
      select student_id, total_videos_watched + total_assignments_submitted + total_logins as n from students),
    placed as (
      select case when n > 50 then 'highly_active' when n >= 10 then 'moderately_active'
                  when n >= 1 then 'low_activity' else 'inactive' end as level, count(*) as total
      from counted group by all)
    select level, coalesce(total, 0) as students from levels left join placed using (level)""",
)
"""Enrolled students by how much they do: videos, submissions and logins, over all time."""

views = (course_days, video_days, work_days, profile_days, profile_field_days, notification_times)
batch = (assignment_timeline, campus_days, campus_totals, student_engagement_distribution)
