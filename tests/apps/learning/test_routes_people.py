"""Students, users, sessions, profiles and notifications, over two days worked out by hand."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from .campus_story import figures, moment

pytestmark = pytest.mark.integration


def test_engagement_of_a_student(client: TestClient) -> None:
    found = figures(client, "/api/v1/student/SV001/engagement")

    courses = {course.pop("course_id"): course for course in found.pop("courses")}
    assert found == {
        "student_id": "SV001",
        "start_date": None,
        "end_date": None,
        "total_watch_time": 160,
        "login_count": 2,
        "submission_count": 2,
        "course_count": 1,
        "last_activity": moment("15 12:59"),
    }
    columns = "watch_seconds videos_watched video_sessions submissions quizzes_completed material_accesses downloads enrollments"
    assert courses == {
        "C1": dict(zip(columns.split(), (100, 1, 1, 1, 1, 2, 1, 1), strict=True)),
        "C2": dict(zip(columns.split(), (60, 1, 1, 1, 0, 0, 0, 0), strict=True)),
    }


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("end_date=2025-12-14", (100, 1, 1, 1, moment("14 16:00"))),
        ("start_date=2025-12-15", (60, 1, 1, 0, moment("15 12:59"))),
        ("start_date=2025-12-14&end_date=2025-12-15", (160, 2, 2, 1, moment("15 12:59"))),
        ("start_date=2025-12-16", (0, 0, 0, 0, None)),
        ("end_date=2025-12-13", (0, 0, 0, 0, None)),
    ],
)
def test_engagement_in_a_run_of_days(asked: str, expected: tuple[object, ...], client: TestClient) -> None:
    found = figures(client, f"/api/v1/student/SV001/engagement?{asked}")
    names = ("total_watch_time", "login_count", "submission_count", "course_count", "last_activity")
    assert tuple(found[name] for name in names) == expected
    assert bool(found["courses"]) == (expected[4] is not None)


def test_activity_of_a_user(client: TestClient) -> None:
    assert figures(client, "/api/v1/auth/user/SV001/activity") == {
        "user_id": "SV001",
        "start_date": None,
        "end_date": None,
        "total_logins": 2,
        "failed_logins": 0,
        "total_logouts": 1,
        "unique_sessions": 2,
        "first_activity": moment("14 08:00"),
        "last_activity": moment("15 12:55:10"),
        "paired_sessions": 1,
        "avg_session_duration_minutes": 30.0,
        "min_session_duration_minutes": 30.0,
        "max_session_duration_minutes": 30.0,
        "total_time_online_minutes": 30.0,
        "login_hours": [
            {"date": "2025-12-14", "hour": 8, "login_count": 1},
            {"date": "2025-12-15", "hour": 12, "login_count": 1},
        ],
    }
    today = figures(client, "/api/v1/auth/user/SV001/activity?start_date=2025-12-15")
    assert (today["total_logins"], today["paired_sessions"], today["avg_session_duration_minutes"]) == (1, 0, None)
    assert [hour["date"] for hour in today["login_hours"]] == ["2025-12-15"]
    failing = figures(client, "/api/v1/auth/user/SV002/activity")
    assert (failing["total_logins"], failing["failed_logins"], failing["total_time_online_minutes"]) == (2, 1, 1.5)


def test_open_sessions(client: TestClient) -> None:
    found = figures(client, "/api/v1/auth/sessions/active")
    assert found["total_open_sessions"] == 2
    assert [(row["role"], row["open_sessions"], row["oldest_login"]) for row in found["sessions"]] == [
        ("student", 1, moment("15 12:55:10")),
        ("teacher", 1, moment("15 12:55:40")),
    ]
    assert found["newest"] == {
        "window_start": moment("15 12:55"),
        "window_end": moment("15 13:00"),
        "active_users": 3,
        "total_events": 5,
        "login_count": 4,
        "logout_count": 1,
    }
    students = figures(client, "/api/v1/auth/sessions/active?role=student")
    assert (students["total_open_sessions"], students["newest"]["active_users"]) == (1, 2)
    assert students["newest"]["total_events"] == 4


def test_login_patterns(client: TestClient) -> None:
    today = {"date": "2025-12-15", "daily_active_users": 3, "total_sessions": 3}
    assert figures(client, "/api/v1/auth/login-patterns") == {"date": "2025-12-15", "day": today, "hours": None}
    before = figures(client, "/api/v1/auth/login-patterns?date=2025-12-14&hourly=true")
    assert before["day"] == {"date": "2025-12-14", "daily_active_users": 1, "total_sessions": 1}
    assert before["hours"] == [{"date": "2025-12-14", "hour": 8, "login_count": 1}]
    nothing = figures(client, "/api/v1/auth/login-patterns?date=2025-12-13&hourly=true")
    assert nothing == {"date": "2025-12-13", "day": None, "hours": []}


def test_profile_of_a_user(client: TestClient) -> None:
    found = figures(client, "/api/v1/profile/user/SV001/activity")
    assert (found["total_profile_updates"], found["avatar_changes_count"]) == (2, 0)
    assert (found["first_activity"], found["last_activity"]) == (moment("14 16:00"), moment("15 08:00"))
    assert [(f["field_name"], f["total_updates"]) for f in found["fields"]] == [("email", 2), ("phone_number", 1)]
    assert [(d["date"], d["event_type"], d["event_count"]) for d in found["days"]] == [
        ("2025-12-14", "UPDATE_PROFILE", 1),
        ("2025-12-15", "UPDATE_PROFILE", 1),
    ]
    assert figures(client, "/api/v1/profile/user/GV001/activity?include_updates=false")["fields"] is None


def test_profile_updates(client: TestClient) -> None:
    found = figures(client, "/api/v1/profile/updates/summary")
    assert (found["total_updates"], found["avatar_changes"], found["unique_users"]) == (3, 1, 2)
    assert [(user["user_id"], user["total_profile_updates"]) for user in found["users"]] == [("SV001", 2), ("GV001", 1)]
    assert [(f["field_name"], f["total_updates"], f["unique_users_updating"]) for f in found["fields"]] == [
        ("email", 3, 2),
        ("phone_number", 1, 1),
    ]
    teachers = figures(client, "/api/v1/profile/updates/summary?role=teacher")
    assert (teachers["total_updates"], [user["user_id"] for user in teachers["users"]]) == (1, ["GV001"])
    today = figures(client, "/api/v1/profile/updates/summary?start_date=2025-12-15&role=student")
    assert (today["total_updates"], [f["field_name"] for f in today["fields"]]) == (1, ["email"])
    assert [(d["date"], d["event_count"]) for d in today["days"]] == [("2025-12-15", 1)]


def test_notifications_of_a_user(client: TestClient) -> None:
    path = "/api/v1/notification/user/SV001/activity"
    assert figures(client, path)["types"] == [
        {
            "notification_type": "grade_posted",
            "notifications_received": 1,
            "notifications_viewed": 1,
            "notifications_clicked": 1,
            "view_rate_pct": 100.0,
            "click_rate_pct": 100.0,
        }
    ]
    [today] = figures(client, f"{path}?start_date=2025-12-15")["types"]
    assert (today["notifications_received"], today["notifications_clicked"], today["click_rate_pct"]) == (0, 1, None)
