"""Every route, answered by the real application over two days whose figures were worked out by hand."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.api.app import create
from watersmeet.apps.learning import auth
from watersmeet.core.declarations import collect
from watersmeet.runtime.loading import load
from watersmeet.runtime.node import Node

from . import campus_story as story
from .campus_story import asked_of, figures, problem

pytestmark = pytest.mark.integration

SPECIFIED = [
    "/",
    "/health",
    "/api/v1/student/{student_id}/engagement",
    "/api/v1/video/{video_id}/analytics",
    "/api/v1/course/{course_id}/statistics",
    "/api/v1/dashboard/overview",
    "/api/v1/health",
    "/api/v1/views/list",
    "/api/v1/assessment/student/{student_id}/submissions",
    "/api/v1/assessment/quiz/{quiz_id}/performance",
    "/api/v1/assessment/teacher/{teacher_id}/workload",
    "/api/v1/assessment/assignment/{assignment_id}/analytics",
    "/api/v1/auth/user/{user_id}/activity",
    "/api/v1/auth/sessions/active",
    "/api/v1/auth/login-patterns",
    "/api/v1/course/{course_id}/materials/downloads",
    "/api/v1/course/{course_id}/interactions",
    "/api/v1/course/lifecycle",
    "/api/v1/profile/user/{user_id}/activity",
    "/api/v1/profile/updates/summary",
    "/api/v1/teacher/{teacher_id}/dashboard",
    "/analytics/batch/summary",
    "/analytics/batch/student_engagement_distribution",
    "/analytics/batch/dau",
    "/analytics/batch/recent_activity",
    "/analytics/courses",
    "/analytics/course/{course_id}",
    "/analytics/course/{course_id}/students",
    "/analytics/students",
    "/analytics/student/{student_id}",
    "/analytics/student/{student_id}/courses",
    "/analytics/student/{student_id}/course/{course_id}",
    "/analytics/speed/summary",
    "/analytics/speed/recent_activity",
    "/analytics/speed/active_users",
    "/analytics/speed/active_users/latest",
    "/analytics/speed/course_popularity",
    "/analytics/speed/video",
]
BESIDE = ["/api/v1/notification/user/{user_id}/activity"]
IDS = {
    "student_id": "SV001",
    "video_id": "VID001",
    "course_id": "C1",
    "quiz_id": "QUIZ1",
    "teacher_id": "GV001",
    "assignment_id": "ASM1",
    "user_id": "SV001",
}
EXAMPLES = [re.sub(r"{(\w+)}", lambda found: IDS[found[1]], path) for path in (*SPECIFIED, *BESIDE)]
"""Each route with ids that records have named."""


# -- what there is -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*SPECIFIED, *BESIDE])
def test_a_route_exists_is_typed_and_says_what_it_answers(path: str, client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    found = described["paths"][path]["get"]
    schema = found["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    fields = described["components"]["schemas"][schema]["properties"]

    assert found["description"]
    assert "404" in found["responses"]
    assert path == "/" or {"receipt", "more"} < fields.keys()


def test_the_card_names_every_route(client: TestClient) -> None:
    assert client.get("/").json()["routes"] == sorted({*SPECIFIED, *BESIDE} - {"/"})


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path != "/"])
def test_an_answer_has_the_receipt_of_the_api(path: str, client: TestClient) -> None:
    generic = client.get("/v1/views/course_overview/rows").json()["receipt"]
    receipt = client.get(path).json()["receipt"]

    assert receipt.keys() == generic.keys()
    assert {facts.keys() == generic["topics"]["course_topic"].keys() for facts in receipt["topics"].values()} == {True}
    assert (receipt["complete"], receipt["exact"], receipt["audit"]) == (True, True, "match")
    assert receipt["as_of_us"] == story.NOW_US
    for facts in receipt["topics"].values():
        assert facts["epochs"] == 1, "yesterday is in no answer of the batch layer"


def test_a_route_is_behind_the_keys(campus: Node) -> None:
    with TestClient(create(campus), client=("203.0.113.9", 50_000)) as stranger:
        assert {path: stranger.get(path).status_code for path in EXAMPLES} == dict.fromkeys(EXAMPLES, 401)


# -- the campus -----------------------------------------------------------------------------------------------------------


def test_overview_of_the_campus(client: TestClient) -> None:
    categories = {"assessment": 6, "auth": 5, "course": 7, "notification": 3, "profile": 3, "video": 2}
    assert figures(client, "/api/v1/dashboard/overview") == {
        "date": "2025-12-15",
        "total_students": 3,
        "total_teachers": 1,
        "total_courses": 2,
        "daily_active_users": 3,
        "total_events_today": len(story.TODAY),
        "events_by_category": categories,
        "system_health": "healthy",
    }
    before = figures(client, "/api/v1/dashboard/overview?date=2025-12-14")
    assert (before["daily_active_users"], before["total_events_today"]) == (1, len(story.YESTERDAY))
    never = figures(client, "/api/v1/dashboard/overview?date=2025-12-01")
    assert (never["daily_active_users"], never["total_events_today"], never["events_by_category"]) == (0, 0, {})


def test_the_catalogue_has_every_view(client: TestClient) -> None:
    found = figures(client, "/api/v1/views/list")
    layers = [view["layer"] for view in found["views"]]
    names = [view["name"] for view in found["views"]]
    assert (layers.count("realtime"), len(names), found["total"]) == (25, len(set(names)), len(names))
    assert layers.count("batch") >= 37
    assert {view["name"]: view["reason"] for view in found["views"] if not view["available"]} == {}
    assert client.get(found["views"][0]["rows"]).status_code == 200


# -- what cannot be answered -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/student/SV009/engagement", "student"),
        ("/api/v1/student/GV001/engagement", "student"),
        ("/api/v1/video/VID009/analytics", "video"),
        ("/api/v1/video/VID001/analytics?course_id=C9", "course"),
        ("/api/v1/course/C9/statistics", "course"),
        ("/api/v1/course/C9/materials/downloads", "course"),
        ("/api/v1/course/C1/materials/downloads?material_id=MAT9", "material"),
        ("/api/v1/course/C9/interactions", "course"),
        ("/api/v1/course/C1/interactions?student_id=SV009", "student"),
        ("/api/v1/course/lifecycle?course_id=C9", "course"),
        ("/api/v1/assessment/student/SV009/submissions", "student"),
        ("/api/v1/assessment/quiz/QUIZ9/performance", "quiz"),
        ("/api/v1/assessment/assignment/ASM9/analytics", "assignment"),
        ("/api/v1/assessment/teacher/GV009/workload", "teacher"),
        ("/api/v1/assessment/teacher/SV001/workload", "teacher"),
        ("/api/v1/teacher/GV009/dashboard", "teacher"),
        ("/api/v1/auth/user/SV009/activity", "user"),
        ("/api/v1/profile/user/SV009/activity", "user"),
        ("/api/v1/notification/user/SV009/activity", "user"),
        ("/analytics/course/C9", "course"),
        ("/analytics/course/C2", "course"),
        ("/analytics/course/C9/students", "course"),
        ("/analytics/student/SV003", "student"),
        ("/analytics/student/SV009/courses", "student"),
        ("/analytics/student/SV002/course/C2", "student"),
    ],
)
def test_what_no_record_has_named_is_not_found(path: str, kind: str, client: TestClient) -> None:
    status, detail = problem(client, path)
    assert status == 404
    assert detail.startswith(f"{kind} '")


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/v1/student/SV003/engagement", "courses"),
        ("/api/v1/auth/user/SV003/activity", "login_hours"),
        ("/api/v1/profile/user/SV003/activity", "days"),
        ("/api/v1/assessment/student/SV003/submissions", "courses"),
        ("/api/v1/notification/user/GV001/activity", "types"),
        ("/api/v1/course/C2/materials/downloads", "materials"),
        ("/analytics/student/SV003/courses", "rows"),
        ("/analytics/course/C2/students", "rows"),
    ],
)
def test_an_id_that_has_nothing_to_show_is_an_empty_list(path: str, field: str, client: TestClient) -> None:
    assert figures(client, path)[field] == []


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/student/SV001/engagement?start_date=yesterday",
        "/api/v1/student/SV001/engagement?start_date=2025-12-15&end_date=2025-12-14",
        "/api/v1/student/SV001/engagement?start_date=0001-01-01",
        f"/api/v1/student/{'S' * 65}/engagement",
        "/api/v1/course/C1/interactions?item_type=poem",
        "/api/v1/course/lifecycle?event_type=COURSE_CREATED",
        "/api/v1/course/C1/statistics?include_students=perhaps",
        "/api/v1/auth/sessions/active?role=dean",
        "/api/v1/profile/updates/summary?role=dean",
        "/api/v1/dashboard/overview?date=2025-13-01",
        "/analytics/batch/dau?hours=0",
        "/analytics/speed/active_users?hours=745",
        "/analytics/speed/video?limit=0",
        "/analytics/speed/course_popularity?limit=many",
    ],
)
def test_a_parameter_that_means_nothing_is_refused(path: str, client: TestClient) -> None:
    assert problem(client, path)[0] == 422


@pytest.mark.parametrize(
    "path",
    [
        "/analytics/students",
        "/analytics/course/C1/students",
        "/analytics/speed/video",
        "/api/v1/course/lifecycle",
        "/api/v1/course/C1/interactions",
        "/api/v1/course/C1/materials/downloads",
        "/api/v1/course/C1/statistics?include_students=true",
        "/api/v1/video/VID001/analytics",
        "/api/v1/profile/updates/summary",
    ],
)
def test_an_answer_says_when_a_limit_left_rows_out(path: str, client: TestClient) -> None:
    limited = f"{path}{'&' if '?' in path else '?'}limit="
    assert [client.get(f"{limited}{limit}").json()["more"] for limit in (1, 100)] == [True, False]


# -- both layers, and neither ------------------------------------------------------------------------------------------


def test_the_speed_layer_alone_says_the_same(client: TestClient, tmp_path_factory: pytest.TempPathFactory) -> None:
    everything = [*story.YESTERDAY, *story.TODAY]
    of_batch = {"/", "/health", "/api/v1/health", "/analytics/batch/summary"}
    paths = [path for path in EXAMPLES if path not in of_batch]

    with asked_of(story.open_node(tmp_path_factory.mktemp("speed"), [], everything)) as other:
        assert {path: figures(other, path) for path in paths} == {path: figures(client, path) for path in paths}
        assert figures(other, "/analytics/batch/summary")["batch_last_run"] is None


def test_health_is_what_is_found(tmp_path_factory: pytest.TempPathFactory) -> None:
    node = story.open_node(tmp_path_factory.mktemp("health"), [], [])
    clock = node.parts.clock
    assert isinstance(clock, ManualClock)

    with asked_of(node) as client:

        def told() -> tuple[str, ...]:
            health, overview = figures(client, "/health"), figures(client, "/api/v1/dashboard/overview")
            assert health["views_unavailable"] == {}
            assert health == figures(client, "/api/v1/health")
            topic = health["topics"]["auth_topic"]
            speed = figures(client, "/analytics/speed/summary")
            return health["status"], topic["status"], overview["system_health"], speed["status"]

        assert told() == ("empty",) * 4
        nothing = figures(client, "/analytics/speed/summary")
        assert (nothing["current_users"], nothing["window_start"], nothing["active_courses"]) == (None, None, 0)
        assert figures(client, "/analytics/batch/summary")["total_students"] == 0
        assert figures(client, "/analytics/speed/active_users")["mean_active_users"] is None
        assert figures(client, "/analytics/courses")["rows"] == []
        assert problem(client, "/analytics/student/SV001")[0] == 404

        story.take(node, story.TODAY)
        assert told() == ("healthy",) * 4

        clock.advance(301)
        assert told() == ("stale",) * 4

        story.send(node, story.YESTERDAY[:1])
        assert told() == ("behind", "behind", "behind", "stale")


def test_a_view_that_does_not_answer_is_told_with_its_reason(tmp_path: Path) -> None:
    app = load("watersmeet.apps.learning")
    node = story.unapplied(tmp_path, replace(app, declarations=collect([auth.auth_activity, *auth.realtime])))

    with asked_of(node) as client:
        for path in ("/health", "/api/v1/views/list", "/api/v1/dashboard/overview"):
            assert problem(client, path) == (409, "declarations; expected something applied")

        node.apply()
        health = figures(client, "/health")
        views = {view["name"]: view for view in figures(client, "/api/v1/views/list")["views"]}
    missing = "view 'video_activity'; expected a declared view or query"
    assert (health["status"], list(health["topics"])) == ("unavailable", ["auth_topic"])
    assert missing in health["views_unavailable"]["video_popularity"]
    assert health["views_available"] + len(health["views_unavailable"]) == len(views)
    assert (views["auth_realtime_login_rate"]["available"], views["auth_realtime_login_rate"]["reason"]) == (True, None)
    assert (views["video_popularity"]["available"], missing in views["video_popularity"]["reason"]) == (False, True)
