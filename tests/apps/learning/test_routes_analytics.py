"""What dashboards show, over two days worked out by hand."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from .campus_story import figures, moment

pytestmark = pytest.mark.integration


def test_totals_and_distribution(client: TestClient) -> None:
    summary = figures(client, "/analytics/batch/summary")
    assert (summary["total_students"], summary["total_courses"]) == (3, 2)
    assert summary["batch_last_run"] == moment("14 17:00"), "the newest event of yesterday"
    assert set(summary["batch_epochs"].values()) == {1}
    assert figures(client, "/analytics/batch/student_engagement_distribution") == {
        "highly_active": 0,
        "moderately_active": 0,
        "low_activity": 2,
        "inactive": 0,
    }
    everything = {"total_videos_watched": 3, "total_materials_downloaded": 3}
    assert figures(client, "/analytics/batch/recent_activity") == everything


def test_days_that_the_last_hours_touch(client: TestClient) -> None:
    def days(hours: str) -> list[tuple[str, int]]:
        rows = figures(client, f"/analytics/batch/dau{hours}")["rows"]
        return [(row["date"], row["daily_active_users"]) for row in rows]

    assert days("") == [("2025-12-15", 3)]
    assert days("?hours=14") == [("2025-12-14", 1), ("2025-12-15", 3)]


def test_tables_of_courses_and_students(client: TestClient) -> None:
    course = {
        "course_id": "C1",
        "total_enrolled_students": 2,
        "total_videos_watched": 2,
        "total_materials_downloaded": 3,
    }
    assert figures(client, "/analytics/courses")["rows"] == [course]
    assert figures(client, "/analytics/course/C1")["course"] == course
    columns = "student_id total_courses_enrolled total_videos_watched total_assignments_submitted avg_assignment_score total_logins"
    first, second = (
        dict(zip(columns.split(), values, strict=True))
        for values in (("SV001", 1, 2, 2, 80.0, 2), ("SV002", 1, 1, 1, None, 2))
    )
    assert figures(client, "/analytics/students")["rows"] == [first, second]
    assert figures(client, "/analytics/student/SV001")["student"] == first
    mine = {
        "student_id": "SV001",
        "course_id": "C1",
        "enrollment_date": moment("14 09:05"),
        "enrollments": 1,
        "videos_watched": 1,
        "assignments_submitted": 1,
        "avg_score": 80.0,
    }
    assert figures(client, "/analytics/student/SV001/courses")["rows"] == [mine]
    enrolled = figures(client, "/analytics/course/C1/students")["rows"]
    assert enrolled[0] == mine
    assert [row["student_id"] for row in enrolled] == ["SV001", "SV002"]
    assert figures(client, "/analytics/student/SV001/course/C2")["detail"] == {
        "student_id": "SV001",
        "course_id": "C2",
        "videos_watched": 1,
        "watch_time_minutes": 1.0,
        "materials_downloaded": 0,
        "last_activity_date": moment("15 12:30"),
    }


def test_what_goes_on_now(client: TestClient) -> None:
    newest = {"window_start": moment("15 12:58"), "window_end": moment("15 12:59")}
    assert figures(client, "/analytics/speed/summary") == {
        "current_users": 1,
        **newest,
        "active_courses": 2,
        "status": "healthy",
    }
    latest = figures(client, "/analytics/speed/active_users/latest")["latest"]
    assert latest == {**newest, "active_users": 1, "total_events": 1, "login_count": 0, "logout_count": 1}
    series = figures(client, "/analytics/speed/active_users")
    assert [(row["window_start"], row["active_users"]) for row in series["rows"]] == [
        (moment("15 12:55"), 2),
        (moment("15 12:56"), 1),
        (moment("15 12:57"), 1),
        (moment("15 12:58"), 1),
    ]
    assert (series["peak_active_users"], series["mean_active_users"]) == (2, 1.25)
    assert len(figures(client, "/analytics/speed/active_users?hours=30")["rows"]) == 6


@pytest.mark.parametrize(("hours", "views", "interactions"), [(1, 2, 5), (4, 2, 7), (30, 3, 11)])
def test_activity_of_the_last_hours(hours: int, views: int, interactions: int, client: TestClient) -> None:
    found = figures(client, f"/analytics/speed/recent_activity?hours={hours}")
    assert (found["total_views"], found["total_interactions"]) == (views, interactions)


def test_what_is_popular(client: TestClient) -> None:
    top = figures(client, "/analytics/speed/course_popularity")["rows"]
    assert top == [
        {"course_id": "C1", "interactions": 6, "views": 1, "active_students": 2},
        {"course_id": "C2", "interactions": 1, "views": 1, "active_students": 1},
    ]
    assert figures(client, "/analytics/speed/course_popularity?limit=1")["rows"] == top[:1]
    assert figures(client, "/analytics/speed/course_popularity?hours=1")["rows"][0]["interactions"] == 4
    videos = figures(client, "/analytics/speed/video")["rows"]
    assert [(row["video_id"], row["views"], row["total_watch_seconds"]) for row in videos] == [
        ("VID001", 1, 180),
        ("VID002", 1, 60),
    ]
    assert figures(client, "/analytics/speed/video?hours=30")["rows"][0] == {
        "video_id": "VID001",
        "views": 2,
        "unique_viewers": 2,
        "total_watch_seconds": 280,
    }
