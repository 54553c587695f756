"""Courses: who is active in them, who enrols, what is opened and downloaded.

Three views carry every figure of a course. `course_activity` keeps minutes by course and type of event,
`course_materials` and `course_downloads` five minutes by course and what was opened or fetched. A minute, a day and all
time are readings of the same. `course_learners` keeps what is asked of a single user, over all time.

A click on an item is an access to material: the item is the material, its type the material's type.
"""

from __future__ import annotations

import watersmeet as wm

from .topics import course

ENROLLED, OPENED, DOWNLOADED = (
    f"event_type = '{name}'" for name in ("COURSE_ENROLLED", "ITEM_CLICK", "DOWNLOAD_MATERIAL")
)

course_activity = wm.View(
    "course_activity",
    topic=course,
    dimensions=["course_id", "event_type"],
    window=wm.tumbling("1m"),
    measures={
        "total_interactions": wm.count(),
        "unique_users": wm.distinct("user_id"),
        "active_students": wm.distinct("user_id", where="role = 'student'"),
        "active_courses": wm.distinct("course_id"),
        "distinct_actions": wm.distinct("event_type"),
        "enrollments": wm.count(where=ENROLLED),
        "students_enrolled": wm.distinct("user_id", where=ENROLLED),
        "material_accesses": wm.count(where=OPENED),
        "unique_materials_accessed": wm.distinct("item_id", where=OPENED),
        "downloads": wm.count(where=DOWNLOADED),
        "unique_resources_downloaded": wm.distinct("material_id", where=DOWNLOADED),
    },
    derive={"avg_interactions_per_student": "cast(ratio(total_interactions, active_students, 2) as double)"},
)

course_materials = wm.View(
    "course_materials",
    topic=course,
    dimensions=["course_id", "item_id", "item_type"],
    window=wm.tumbling("5m"),
    where=OPENED,
    measures={"unique_students": wm.distinct("user_id"), "access_count": wm.count()},
)

course_downloads = wm.View(
    "course_downloads",
    topic=course,
    dimensions=["course_id", "material_id as resource_id"],
    window=wm.tumbling("5m"),
    where=DOWNLOADED,
    measures={"unique_downloaders": wm.distinct("user_id"), "download_count": wm.count()},
)

course_learners = wm.View(
    "course_learners",
    topic=course,
    dimensions=["user_id", "role", "course_id"],
    measures={
        "enrollments": wm.count(where=ENROLLED),
        "first_enrolled_at": wm.min("event_time", where=ENROLLED),
        "courses_enrolled": wm.distinct("course_id", where=ENROLLED),
        "total_material_accesses": wm.count(where=OPENED),
        "unique_materials_accessed": wm.distinct("item_id", where=OPENED),
        "first_access": wm.min("event_time", where=OPENED),
        "last_access": wm.max("event_time", where=OPENED),
        "courses_with_material_access": wm.distinct("course_id", where=OPENED),
        "total_downloads": wm.count(where=DOWNLOADED),
        "unique_resources_downloaded": wm.distinct("material_id", where=DOWNLOADED),
        "last_activity": wm.max("event_time"),
    },
)

# -- real-time --------------------------------------------------------------------------------------------------------

active_courses = wm.Query(
    "course_realtime_active_courses_1min",
    inputs={"active": course_activity.at("1m", by=[])},
    key=["window_start"],
    time="window_start",
    sql="""
    select window_start, window_end, active_courses, active_students, total_interactions,
           enrollments, material_accesses, downloads
    from active""",
)

enrollment_rate = wm.Query(
    "course_realtime_enrollment_rate",
    inputs={"active": course_activity.at("5m", by=["course_id"])},
    key=["window_start", "course_id"],
    time="window_start",
    sql="""
    select window_start, window_end, course_id, enrollments as enrollment_count, students_enrolled as unique_students,
           cast(ratio(enrollments, 5, 2) as decimal(24, 2)) as enrollments_per_minute
    from active where enrollments > 0""",
)

material_access = wm.Query(
    "course_realtime_material_access_5min",
    inputs={"opened": course_materials.at("5m", by=["course_id", "item_id"])},
    key=["window_start", "course_id", "material_id"],
    time="window_start",
    sql="""
    select window_start, window_end, course_id, item_id as material_id, unique_students, access_count,
           cast(ratio(access_count, 5, 2) as decimal(24, 2)) as accesses_per_minute
    from opened""",
)

download_activity = wm.Query(
    "course_realtime_download_activity",
    inputs={"fetched": course_downloads},
    key=["window_start", "course_id", "resource_id"],
    time="window_start",
    sql="""
    select *, cast(ratio(download_count, 5, 2) as decimal(24, 2)) as downloads_per_minute from fetched""",
)

engagement_metrics = wm.Query(
    "course_realtime_engagement_metrics",
    inputs={"active": course_activity.at("5m", every="1m", by=["course_id"])},
    key=["window_start", "course_id"],
    time="window_start",
    sql="""
    select window_start, window_end, course_id, active_students, total_interactions, distinct_actions,
           enrollments, material_accesses, downloads, unique_materials_accessed, unique_resources_downloaded,
           avg_interactions_per_student
    from active""",
)

realtime = [active_courses, enrollment_rate, material_access, download_activity, engagement_metrics]

# -- by day and of all time -------------------------------------------------------------------------------------------

enrollment_stats = wm.Query(
    "course_enrollment_stats",
    inputs={"active": course_activity.at("1d", by=["course_id"])},
    key=["date", "course_id"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, course_id,
           enrollments as new_enrollments, students_enrolled as unique_new_students
    from active where enrollments > 0""",
)

daily_engagement = wm.Query(
    "course_daily_engagement",
    inputs={"active": course_activity.at("1d")},
    key=["date", "course_id", "event_type"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, course_id, event_type,
           unique_users, total_interactions as event_count
    from active""",
)

daily_active_courses = wm.Query(
    "course_daily_active_courses",
    inputs={"active": course_activity.at("1d", by=[])},
    key=["date"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, active_courses, active_students,
           total_interactions, enrollments, material_accesses, downloads
    from active""",
)

overall_metrics = wm.Query(
    "course_overall_metrics",
    inputs={"active": course_activity.at(None, by=["course_id"])},
    key=["course_id"],
    sql="""
    select course_id, enrollments as total_enrollments, material_accesses as total_material_accesses,
           downloads as total_downloads, active_students as unique_students_interacting,
           total_interactions, distinct_actions, unique_materials_accessed, unique_resources_downloaded,
           avg_interactions_per_student
    from active""",
)

material_popularity = wm.Query(
    "course_material_popularity",
    inputs={"opened": course_materials.at(None)},
    key=["course_id", "material_id", "material_type"],
    sql="""
    select course_id, item_id as material_id, item_type as material_type,
           unique_students as unique_accessors, access_count as total_accesses
    from opened""",
)

resource_download_stats = wm.Query(
    "course_resource_download_stats",
    inputs={"fetched": course_downloads.at(None)},
    key=["course_id", "resource_id"],
    sql="""
    select course_id, resource_id, unique_downloaders, download_count as total_download_count from fetched""",
)

student_material_access = wm.Query(
    "course_material_access",
    inputs={"learners": course_learners.at(None, by=["user_id", "course_id"])},
    key=["user_id", "course_id"],
    sql="""
    select user_id, course_id, total_material_accesses, unique_materials_accessed, first_access, last_access
    from learners where total_material_accesses > 0""",
)

download_analytics = wm.Query(
    "course_download_analytics",
    inputs={"learners": course_learners.at(None, by=["user_id", "course_id"])},
    key=["user_id", "course_id"],
    sql="""
    select user_id, course_id, total_downloads, unique_resources_downloaded
    from learners where total_downloads > 0""",
)

activity_summary = wm.Query(
    "course_activity_summary",
    inputs={"learners": course_learners.at(None, by=["user_id"])},
    key=["user_id"],
    sql="""
    select user_id, courses_enrolled, total_material_accesses, courses_with_material_access, total_downloads
    from learners where courses_enrolled > 0 or total_material_accesses > 0 or total_downloads > 0""",
)

batch = [
    enrollment_stats,
    daily_engagement,
    daily_active_courses,
    overall_metrics,
    material_popularity,
    resource_download_stats,
    student_material_access,
    download_analytics,
    activity_summary,
]

tables = [
    *(
        wm.Table(q.name, of=q, to="realtime_views", freeze="7d", columns=["*", "published_at as processed_at"])
        for q in realtime
    ),
    *(wm.Table(q.name, of=q, to="batch_views", every="10m") for q in batch),
]
