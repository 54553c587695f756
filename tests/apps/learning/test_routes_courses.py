"""Videos, courses and materials, over two days worked out by hand."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from .campus_story import figures, moment

pytestmark = pytest.mark.integration


def test_analytics_of_a_video(client: TestClient) -> None:
    found = figures(client, "/api/v1/video/VID001/analytics")
    names = ("total_views", "total_watch_time", "avg_watch_duration", "completion_rate", "unique_viewers")
    assert tuple(found[name] for name in names) == (2, 280, 140.0, 50.0, 2)
    assert [course["course_id"] for course in found["courses"]] == ["C1"]
    assert [(v["user_id"], v["total_watch_seconds"]) for v in found["viewers"]] == [("SV002", 180), ("SV001", 100)]
    assert found["last_minutes"] is None
    elsewhere = figures(client, "/api/v1/video/VID001/analytics?course_id=C2")
    assert (elsewhere["total_views"], elsewhere["courses"], elsewhere["viewers"]) == (0, [], [])
    now = figures(client, "/api/v1/video/VID002/analytics?course_id=C2")
    assert (now["total_views"], now["completion_rate"]) == (1, 0.0)
    assert now["last_minutes"] == {
        "window_start": moment("15 12:56"),
        "window_end": moment("15 13:01"),
        "concurrent_viewers": 1,
        "peak_concurrent_viewers": 1,
    }


def test_statistics_of_a_course(client: TestClient) -> None:
    found = figures(client, "/api/v1/course/C1/statistics")
    names = "total_enrollments active_students material_access_count download_count avg_engagement_score"
    assert tuple(found[name] for name in names.split()) == (2, 2, 3, 3, 5.0)
    assert [(d["date"], d["new_enrollments"]) for d in found["enrollment_days"]] == [
        ("2025-12-14", 1),
        ("2025-12-15", 1),
    ]
    assert found["last_minutes"] == {
        "window_start": moment("15 12:56"),
        "window_end": moment("15 13:01"),
        "active_students": 2,
        "total_interactions": 4,
        "enrollments": 0,
        "material_accesses": 2,
        "downloads": 2,
    }
    assert found["students"] is None
    told = figures(client, "/api/v1/course/C1/statistics?include_students=true")["students"]
    columns = ("user_id", "enrollments", "material_accesses", "downloads", "event_count", "last_event")
    assert [tuple(student[name] for name in columns) for student in told] == [
        ("SV001", 1, 2, 1, 5, moment("15 12:58")),
        ("SV002", 1, 1, 2, 4, moment("15 12:59:10")),
    ]
    quiet = figures(client, "/api/v1/course/C2/statistics")
    assert (quiet["total_enrollments"], quiet["active_students"], quiet["last_minutes"]) == (0, 1, None)


def test_life_of_courses(client: TestClient) -> None:
    def days(asked: str) -> list[tuple[str, str, str]]:
        found = figures(client, f"/api/v1/course/lifecycle{asked}")["events"]
        return [(day["date"], day["course_id"], day["event_type"]) for day in found]

    created, viewed = ("2025-12-14", "C1", "COURSE_CREATED"), ("2025-12-15", "C1", "COURSE_VIEW")
    assert days("") == [viewed, ("2025-12-15", "C2", "COURSE_VIEW"), created]
    assert days("?event_type=CREATED") == [created]
    assert days("?course_id=C1") == [viewed, created]
    assert days("?course_id=C1&event_type=DELETED") == []
    enrolled = figures(client, "/api/v1/course/lifecycle?course_id=C1")["enrollments"]
    assert [(day["date"], day["new_enrollments"]) for day in enrolled] == [("2025-12-15", 1), ("2025-12-14", 1)]


def test_downloads_of_a_course(client: TestClient) -> None:
    def told(asked: str) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]], list[tuple[object, ...]]]:
        found = figures(client, f"/api/v1/course/C1/materials/downloads{asked}")
        return (
            [(m["material_id"], m["total_download_count"], m["unique_downloaders"]) for m in found["materials"]],
            [(u["user_id"], u["total_downloads"], u["unique_resources_downloaded"]) for u in found["users"]],
            [(a["material_id"], a["material_type"], a["total_accesses"]) for a in found["accesses"]],
        )

    assert told("") == (
        [("MAT1", 2, 2), ("MAT2", 1, 1)],
        [("SV002", 2, 2), ("SV001", 1, 1)],
        [("ITEM1", "lesson", 2), ("ITEM2", "quiz", 1)],
    )
    assert told("?material_id=MAT1") == ([("MAT1", 2, 2)], [("SV001", 1, 1), ("SV002", 1, 1)], [])
    assert told("?start_date=2025-12-15") == (
        [("MAT1", 1, 1), ("MAT2", 1, 1)],
        [("SV002", 2, 2)],
        [("ITEM1", "lesson", 1), ("ITEM2", "quiz", 1)],
    )
    assert told("?start_date=2025-12-16") == ([], [], [])


def test_interactions_with_a_course(client: TestClient) -> None:
    def told(asked: str) -> list[tuple[object, ...]]:
        found = figures(client, f"/api/v1/course/C1/interactions{asked}")["rows"]
        return [(row["user_id"], row["event_type"], row["item_type"], row["event_count"]) for row in found]

    clicked = ("SV001", "ITEM_CLICK", "lesson", 2)
    assert len(told("")) == 8
    assert told("?student_id=SV001") == [
        ("SV001", "COURSE_ENROLLED", None, 1),
        ("SV001", "COURSE_VIEW", None, 1),
        ("SV001", "DOWNLOAD_MATERIAL", None, 1),
        clicked,
    ]
    assert told("?item_type=lesson") == [clicked]
    assert told("?student_id=SV002&item_type=lesson") == []
