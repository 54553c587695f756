"""Submissions, quizzes, assignments and teachers, over two days worked out by hand."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from .campus_story import figures, moment

pytestmark = pytest.mark.integration


def test_submissions_of_a_student(client: TestClient) -> None:
    path = "/api/v1/assessment/student/SV001/submissions"
    found = figures(client, path)
    columns = (
        "course_id", "total_assignments_submitted", "total_submissions", "first_submission", "last_submission",
        "quizzes_completed", "avg_quiz_correct", "assignments_graded", "avg_assignment_score",
    )  # fmt: skip
    assert [tuple(course[name] for name in columns) for course in found["courses"]] == [
        ("C1", 1, 1, moment("14 12:00"), moment("14 12:00"), 1, 10.0, 1, 80.0),
        ("C2", 1, 1, moment("15 11:00"), moment("15 11:00"), 0, None, 0, None),
    ]
    assert [(turn["assignment_id"], turn["hours_to_submit"]) for turn in found["timeline"]] == [("ASM1", 2.0)]
    today = figures(client, f"{path}?start_date=2025-12-15")
    assert [(c["course_id"], c["total_submissions"], c["assignments_graded"]) for c in today["courses"]] == [
        ("C1", 0, 1),
        ("C2", 1, 0),
    ]
    assert today["timeline"] == []
    assert [course["course_id"] for course in figures(client, f"{path}?course_id=C2")["courses"]] == ["C2"]


def test_performance_in_a_quiz(client: TestClient) -> None:
    found = figures(client, "/api/v1/assessment/quiz/QUIZ1/performance")
    assert (found["unique_students"], found["completions"], found["avg_correct_answers"]) == (2, 2, 15.0)
    [course] = found["courses"]
    assert (course["starts"], course["min_correct_answers"], course["max_correct_answers"]) == (1, 10, 20)
    assert [(s["user_id"], s["avg_correct_answers"]) for s in found["students"]] == [("SV001", 10.0), ("SV002", 20.0)]
    elsewhere = figures(client, "/api/v1/assessment/quiz/QUIZ1/performance?course_id=C2")
    assert (elsewhere["completions"], elsewhere["avg_correct_answers"], elsewhere["courses"]) == (0, None, [])


def test_analytics_of_an_assignment(client: TestClient) -> None:
    found = figures(client, "/api/v1/assessment/assignment/ASM1/analytics")
    names = "views submissions students_submitted graded students_graded pending_grading avg_score min_score max_score"
    assert tuple(found[name] for name in names.split()) == (1, 2, 2, 1, 1, 1, 80.0, 80.0, 80.0)
    assert (found["oldest_pending_submission"], found["courses"]) == (moment("15 08:00"), ["C1"])
    assert [(day["date"], day["submissions"], day["graded"]) for day in found["days"]] == [
        ("2025-12-14", 1, 0),
        ("2025-12-15", 1, 1),
    ]
    assert [(turn["user_id"], turn["hours_to_submit"]) for turn in found["timeline"]] == [("SV001", 2.0)]
    short = figures(client, "/api/v1/assessment/assignment/ASM2/analytics?include_timeline=false")
    assert (short["timeline"], short["submissions"], short["avg_score"]) == (None, 1, None)


def test_workload_of_a_teacher(client: TestClient) -> None:
    path = "/api/v1/assessment/teacher/GV001/workload"
    found = figures(client, path)
    names = ("total_works_viewed", "total_assignments_graded", "students_graded", "avg_score_given")
    assert tuple(found[name] for name in names) == (1, 1, 1, 80.0)
    [course] = found["courses"]
    assert tuple(course[name] for name in ("course_id", *names)) == ("C1", 1, 1, 1, 80.0)
    before = figures(client, f"{path}?end_date=2025-12-14")
    assert (before["total_assignments_graded"], before["avg_score_given"], before["courses"]) == (0, None, [])


def test_dashboard_of_a_teacher(client: TestClient) -> None:
    path = "/api/v1/teacher/GV001/dashboard"
    found = figures(client, path)
    assert (found["date"], found["works_viewed"], found["assignments_graded"], found["students_graded"]) == (
        "2025-12-15", 1, 1, 1,
    )  # fmt: skip
    [course] = found["courses"]
    assert (course["course_id"], course["total_enrollments"], course["unique_students_interacting"]) == ("C1", 2, 2)
    before = figures(client, f"{path}?date=2025-12-14")
    assert (before["assignments_graded"], before["workload"]) == (0, [])
    assert before["courses"] == [course], "the courses are of all time"
