"""Courses, materials and learners, said again in SQL."""

from __future__ import annotations

from .windows import ALWAYS, DATE, FIVE_STARTS, SLIDING, each

ENROLLED, OPENED, FETCHED = (
    f"filter (type = '{kind}')" for kind in ("COURSE_ENROLLED", "ITEM_CLICK", "DOWNLOAD_MATERIAL")
)
STUDENTS = "count(distinct user_id) filter (role = 'student')"
PER_STUDENT = f"hundredths(100 * count(*), 100 * {STUDENTS})::double as avg_interactions_per_student"

FIGURES = f"""
    count(*) as total_interactions, count(distinct user_id) as unique_users, {STUDENTS} as active_students,
    count(distinct course_id) as active_courses, count(distinct type) as distinct_actions,
    count(*) {ENROLLED} as enrollments, count(distinct user_id) {ENROLLED} as students_enrolled,
    count(*) {OPENED} as material_accesses, count(distinct item_id) {OPENED} as unique_materials_accessed,
    count(*) {FETCHED} as downloads, count(distinct material_id) {FETCHED} as unique_resources_downloaded,
    {PER_STUDENT}"""
CAMPUS = f"""
    count(distinct course_id) as active_courses, {STUDENTS} as active_students, count(*) as total_interactions,
    count(*) {ENROLLED} as enrollments, count(*) {OPENED} as material_accesses, count(*) {FETCHED} as downloads"""

ORACLES = {
    "course_activity": f"select {each(1)}, course_id, type as event_type, {FIGURES} from course group by all",
    "course_realtime_activity_15min": f"select {each(15)}, {FIGURES} from course group by all",
    "course_realtime_activity_1h": f"select {each(60)}, {FIGURES} from course group by all",
    "course_materials": f"""
        select {each(5)}, course_id, item_id, item_type, count(distinct user_id) as unique_students,
               count(*) as access_count
        from course where type = 'ITEM_CLICK' group by all""",
    "course_downloads": f"""
        select {each(5)}, course_id, material_id as resource_id, count(distinct user_id) as unique_downloaders,
               count(*) as download_count
        from course where type = 'DOWNLOAD_MATERIAL' group by all""",
    "course_learners": f"""
        select {ALWAYS}, user_id, role, course_id, count(*) {ENROLLED} as enrollments,
               min(t) {ENROLLED} as first_enrolled_at, count(distinct course_id) {ENROLLED} as courses_enrolled,
               count(*) {OPENED} as total_material_accesses,
               count(distinct item_id) {OPENED} as unique_materials_accessed,
               min(t) {OPENED} as first_access, max(t) {OPENED} as last_access,
               count(distinct course_id) {OPENED} as courses_with_material_access,
               count(*) {FETCHED} as total_downloads,
               count(distinct material_id) {FETCHED} as unique_resources_downloaded, max(t) as last_activity
        from course group by all""",
    "course_realtime_active_courses_1min": f"select {each(1)}, {CAMPUS} from course group by all",
    "course_realtime_enrollment_rate": f"""
        select {each(5)}, course_id, count(*) as enrollment_count, count(distinct user_id) as unique_students,
               hundredths(count(*), 5)::decimal(24, 2) as enrollments_per_minute
        from course where type = 'COURSE_ENROLLED' group by all""",
    "course_realtime_material_access_5min": f"""
        select {each(5)}, course_id, item_id as material_id, count(distinct user_id) as unique_students,
               count(*) as access_count, hundredths(count(*), 5)::decimal(24, 2) as accesses_per_minute
        from course where type = 'ITEM_CLICK' group by all""",
    "course_realtime_download_activity": f"""
        select {each(5)}, course_id, material_id as resource_id, count(distinct user_id) as unique_downloaders,
               count(*) as download_count, hundredths(count(*), 5)::decimal(24, 2) as downloads_per_minute
        from course where type = 'DOWNLOAD_MATERIAL' group by all""",
    "course_realtime_engagement_metrics": f"""
        select {SLIDING}, course_id, {STUDENTS} as active_students, count(*) as total_interactions,
               count(distinct type) as distinct_actions, count(*) {ENROLLED} as enrollments,
               count(*) {OPENED} as material_accesses, count(*) {FETCHED} as downloads,
               count(distinct item_id) {OPENED} as unique_materials_accessed,
               count(distinct material_id) {FETCHED} as unique_resources_downloaded, {PER_STUDENT}
        from course, {FIVE_STARTS} group by all""",
    "course_enrollment_stats": f"""
        select {DATE}, course_id, count(*) as new_enrollments, count(distinct user_id) as unique_new_students
        from course where type = 'COURSE_ENROLLED' group by all""",
    "course_daily_engagement": f"""
        select {DATE}, course_id, type as event_type, count(distinct user_id) as unique_users, count(*) as event_count
        from course group by all""",
    "course_daily_active_courses": f"select {DATE}, {CAMPUS} from course group by all",
    "course_overall_metrics": f"""
        select course_id, count(*) {ENROLLED} as total_enrollments, count(*) {OPENED} as total_material_accesses,
               count(*) {FETCHED} as total_downloads, {STUDENTS} as unique_students_interacting,
               count(*) as total_interactions, count(distinct type) as distinct_actions,
               count(distinct item_id) {OPENED} as unique_materials_accessed,
               count(distinct material_id) {FETCHED} as unique_resources_downloaded, {PER_STUDENT}
        from course group by all""",
    "course_material_popularity": """
        select course_id, item_id as material_id, item_type as material_type,
               count(distinct user_id) as unique_accessors, count(*) as total_accesses
        from course where type = 'ITEM_CLICK' group by all""",
    "course_resource_download_stats": """
        select course_id, material_id as resource_id, count(distinct user_id) as unique_downloaders,
               count(*) as total_download_count
        from course where type = 'DOWNLOAD_MATERIAL' group by all""",
    "course_material_access": """
        select user_id, course_id, count(*) as total_material_accesses,
               count(distinct item_id) as unique_materials_accessed, min(t) as first_access, max(t) as last_access
        from course where type = 'ITEM_CLICK' group by all""",
    "course_download_analytics": """
        select user_id, course_id, count(*) as total_downloads,
               count(distinct material_id) as unique_resources_downloaded
        from course where type = 'DOWNLOAD_MATERIAL' group by all""",
    "course_activity_summary": f"""
        select user_id, count(distinct course_id) {ENROLLED} as courses_enrolled,
               count(*) {OPENED} as total_material_accesses,
               count(distinct course_id) {OPENED} as courses_with_material_access, count(*) {FETCHED} as total_downloads
        from course where type in ('COURSE_ENROLLED', 'ITEM_CLICK', 'DOWNLOAD_MATERIAL') group by all""",
    "course_days": f"""
        select {each(1440)}, user_id, role, course_id, type as event_type,
               coalesce(material_id, item_id) as material_id, coalesce(item_type, material_type) as item_type,
               count(*) as event_count, count(distinct user_id) as unique_users,
               count(distinct coalesce(course.material_id, item_id)) as unique_materials,
               count(*) {ENROLLED} as enrollments, count(*) {OPENED} as material_accesses,
               count(*) {FETCHED} as downloads, min(t) as first_event, max(t) as last_event
        from course group by all""",
}
