"""Courses and students at a glance: what four topics together say of them.

Nothing is counted here. Every figure is one of courses, videos, assessments or logins, and as fresh as it is there.
Only students appear, each of a course once, however often they enrol.
"""

from __future__ import annotations

import watersmeet as wm

from .assessment import assignment_turns, student_grades
from .auth import auth_activity
from .course import course_activity, course_learners
from .video import video_students

course_overview = wm.Query(
    "course_overview",
    inputs={
        "activity": course_activity.at(None, by=["course_id"]),
        "learners": course_learners.at(None, by=["role", "course_id"]),
        "watching": video_students.at(None, by=["course_id"]),
    },
    key=["course_id"],
    sql="""
    select course_id, students_enrolled as total_enrolled_students, coalesce(sessions, 0) as total_videos_watched,
           total_downloads as total_materials_downloaded
    from activity join learners using (course_id) left join watching using (course_id)
    where activity.enrollments > 0 and role = 'student'""",
)

student_overview = wm.Query(
    "student_overview",
    inputs={
        "learners": course_learners.at(None, by=["user_id"]),
        "watching": video_students.at(None, by=["user_id"]),
        "work": assignment_turns.at(None, by=["user_id"]),
        "grades": student_grades.at(None, by=["student_id"]),
        "visits": auth_activity.at(None, by=["user_id"]),
    },
    key=["student_id"],
    sql="""
    select user_id as student_id, courses_enrolled as total_courses_enrolled,
           coalesce(sessions, 0) as total_videos_watched, coalesce(submissions, 0) as total_assignments_submitted,
           grades.avg_score as avg_assignment_score, coalesce(login_count, 0) as total_logins
    from learners left join watching using (user_id) left join work using (user_id) left join visits using (user_id)
         left join grades on student_id = user_id
    where courses_enrolled > 0""",
)

student_course_enrollment = wm.Query(
    "student_course_enrollment",
    inputs={
        "learners": course_learners.at(None, by=["user_id", "course_id"]),
        "watching": video_students.at(None, by=["user_id", "course_id"]),
        "work": assignment_turns.at(None, by=["user_id", "course_id"]),
        "grades": student_grades,
    },
    key=["student_id", "course_id"],
    sql="""
    select user_id as student_id, course_id, first_enrolled_at as enrollment_date, enrollments,
           coalesce(sessions, 0) as total_videos_watched, coalesce(sessions, 0) as videos_watched,
           coalesce(submissions, 0) as assignments_submitted, grades.avg_score
    from learners left join watching using (user_id, course_id) left join work using (user_id, course_id)
         left join grades on student_id = user_id and grades.course_id = learners.course_id
    where enrollments > 0""",
)
"""Since when a student has been in a course, and how far they came: the first enrolment, and how often."""

student_course_detailed = wm.Query(
    "student_course_detailed",
    inputs={
        "learners": course_learners,
        "watching": video_students.at(None, by=["user_id", "course_id"]),
    },
    key=["student_id", "course_id"],
    sql="""
    select user_id as student_id, course_id, coalesce(sessions, 0) as videos_watched,
           coalesce(total_watch_minutes, 0) as watch_time_minutes, coalesce(total_downloads, 0) as materials_downloaded,
           last_activity as last_activity_date
    from (from learners where role = 'student') full join watching using (user_id, course_id)""",
)

batch = (course_overview, student_overview, student_course_enrollment, student_course_detailed)

tables = [wm.Table(q.name, of=q, to="batch_views", every="10m") for q in batch]
