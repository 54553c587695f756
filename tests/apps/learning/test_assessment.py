from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.apps.learning import assessment
from watersmeet.apps.learning.examples_assessment import DAY, MATHS, PHYSICS, at, event, examples, grade, quiz, work
from watersmeet.core.declarations import collect
from watersmeet.testing.kit import check

from . import oracle

pytestmark = pytest.mark.integration

Row = Mapping[str, object]

OUTCOMES, FIGURES = examples[0], examples[1:]
WINDOW = "window_start timestamp, window_end timestamp"
REALTIME = {
    "assessment_realtime_submissions_1min": f"{WINDOW}, total_submissions bigint, unique_students bigint, "
    "unique_assignments bigint, avg_score double, min_score double, max_score double",
    "assessment_realtime_active_students": f"{WINDOW}, user_id varchar, course_id varchar, event_count bigint, "
    "distinct_actions bigint, views bigint, submissions bigint, quiz_starts bigint, quiz_completions bigint",
    "assessment_realtime_quiz_attempts": f"{WINDOW}, quiz_id varchar, user_id varchar, event_count bigint, "
    "starts bigint, answers bigint, completions bigint, avg_correct_answers double, avg_total_questions double",
    "assessment_realtime_grading_queue": f"{WINDOW}, assignment_id varchar, submissions bigint, "
    "students_submitted bigint, graded bigint, students_graded bigint, pending_grading bigint, "
    "pending_in_window bigint",
    "assessment_realtime_submission_rate": f"{WINDOW}, course_id varchar, submissions bigint, unique_students bigint, "
    "unique_assignments bigint, avg_score double, avg_percentage double, submissions_per_minute decimal(24,2)",
}
BATCH = {
    "assessment_student_submissions": "user_id varchar, course_id varchar, total_assignments_submitted bigint, "
    "total_submissions bigint, first_submission timestamp, last_submission timestamp",
    "assessment_engagement_timeline": "user_id varchar, course_id varchar, assignments_completed bigint, "
    "avg_hours_to_submit double, min_hours_to_submit double, max_hours_to_submit double",
    "assessment_quiz_performance": "user_id varchar, course_id varchar, total_quizzes_completed bigint, "
    "avg_correct_answers double, total_correct_answers bigint, min_correct_answers integer, "
    "max_correct_answers integer",
    "assessment_grading_stats": "student_id varchar, course_id varchar, total_assignments_graded bigint, "
    "avg_assignment_score double, min_assignment_score double, max_assignment_score double, "
    "total_assignment_score double",
    "assessment_teacher_workload": "user_id varchar, course_id varchar, total_works_viewed bigint, "
    "total_assignments_graded bigint, avg_score_given double",
    "assessment_submission_distribution": "window_start timestamp, date varchar, course_id varchar, "
    "assignment_type varchar, submissions_count bigint, unique_students bigint",
    "assessment_student_overall_performance": "user_id varchar, course_id varchar, quizzes_completed bigint, "
    "avg_quiz_correct double, assignments_graded bigint, avg_assignment_score double",
}
# the reference engine is asked without the facts that a view reads through
DIRECT = [e for e in FIGURES if isinstance(e.of, wm.Query) and not any(v.through for v in e.of.views)]


def submitted(minute: str, user: str = "SV001", assignment: str = "ASM001") -> dict[str, object]:
    return work(user, "SUBMIT", f"12:{minute}:00", assignment)


def test_outcomes() -> None:
    [outcome] = check(collect([OUTCOMES, assessment.submissions_1min]), torture=1)
    assert outcome.passed, outcome.complaints


def test_every_figure_has_an_example() -> None:
    assert [example.of.name for example in FIGURES] == [q.name for q in (*assessment.realtime, *assessment.batch)]


def test_columns_and_types() -> None:
    found = oracle.columns([*assessment.realtime, *assessment.batch])
    assert {name: found[name] for name in REALTIME | BATCH} == REALTIME | BATCH
    assert [q.name for q in assessment.realtime] == list(REALTIME)


def test_published_tables_end_with_when_they_were_processed() -> None:
    oracle.check_published(assessment.tables, REALTIME)
    assert [t.name for t in assessment.tables if t.to == "batch_views"] == [q.name for q in assessment.batch]


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["speed", "half and half", "batch"])
def test_figures_by_layer(part: float, tmp_path: Path) -> None:
    assert list(oracle.layered(FIGURES, tmp_path, part)) == []


@pytest.mark.parametrize("example", DIRECT, ids=lambda example: example.title)
def test_figures_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []


@pytest.mark.parametrize("example", DIRECT, ids=lambda example: example.title)
def test_of_nothing_there_is_no_row(example: wm.Example) -> None:
    assert oracle.referred(wm.Example(of=example.of, given={"assessment_topic": []}, expect=[])) == []


def test_scores_of_a_minute() -> None:
    # 70, 71 and 71.5: 212.5 / 3 = 70.8333; the grade of the next minute is not among them
    given = [
        submitted("00"),
        grade("GV001", "12:00:01", "SV001", "ASM001", 70),
        grade("GV001", "12:00:02", "SV002", "ASM001", 71),
        grade("GV002", "12:00:59", "SV003", "ASM001", 71.5),
        grade("GV002", "12:01:00", "SV004", "ASM001", 0),
    ]
    oracle.holds(assessment.submissions_1min, given, [{"avg_score": 70.83, "min_score": 70.0, "max_score": 71.5}])


def test_percentages_are_of_the_maximum_of_each_grade() -> None:
    # 1 of 3, 1 of 3 and 50 of 100: (33.333333 + 33.333333 + 50) / 3 = 38.89 %, though the mean score is 17.33
    given = [
        submitted("00"),
        grade("GV001", "12:00:01", "SV001", "ASM001", 1, max_score=3),
        grade("GV001", "12:00:02", "SV002", "ASM001", 1, max_score=3),
        grade("GV001", "12:00:03", "SV003", "ASM001", 50),
    ]
    oracle.holds(assessment.submission_rate, given, [{"avg_score": 17.33, "avg_percentage": 38.89}] * 5)


def test_a_teacher_is_no_student_at_work() -> None:
    given = [
        grade("GV001", "12:00:01", "SV001", "ASM001", 1),
        event("GV001", "VIEW_STUDENT_WORK", "12:00:02", assignment_id="ASM001", course_id=MATHS, student_id="SV001"),
    ]
    oracle.holds(assessment.active_students, given, [])
    oracle.holds(assessment.student_activity, given, [])
    oracle.holds(assessment.teacher_workload, given, [{"total_works_viewed": 1, "total_assignments_graded": 1}])


def test_a_quiz_that_nobody_completes() -> None:
    # no answers to take a mean of, and 0 of 1 completed
    given = [quiz("SV001", "QUIZ_STARTED", "12:00:00")]
    oracle.holds(assessment.quiz_attempts, given, [{"starts": 1, "completions": 0, "avg_correct_answers": None}])
    oracle.holds(
        assessment.quiz_summary, given, [{"correct_pct": None, "completion_pct": 0.0, "min_correct_answers": None}]
    )
    oracle.holds(assessment.quiz_performance, given, [])
    oracle.holds(assessment.student_overall_performance, given, [])


def test_a_quiz_taken_twice_in_a_window() -> None:
    # (1 + 2 + 2) / 3 = 1.67 right, of (4 + 5) / 2 questions where their number is told
    given = [
        quiz("SV001", "QUIZ_COMPLETED", "12:00:00", correct_answers=1, total_questions=4),
        quiz("SV001", "QUIZ_COMPLETED", "12:01:00", correct_answers=2, total_questions=5),
        quiz("SV001", "QUIZ_COMPLETED", "12:02:00", correct_answers=2),
        quiz("SV001", "QUIZ_COMPLETED", "12:05:00", correct_answers=9),
    ]
    expect: list[Row] = [
        {"completions": 3, "avg_correct_answers": 1.67, "avg_total_questions": 4.5},
        {"completions": 1, "avg_correct_answers": 9.0, "avg_total_questions": None},
    ]
    oracle.holds(assessment.quiz_attempts, given, expect)


def queued(*rows: tuple[str, int]) -> list[dict[str, object]]:
    return [{"window_start": at(f"12:{minute}:00") * 1000, "pending_grading": n} for minute, n in rows]


def test_work_waits_until_it_is_graded() -> None:
    # three windows with nothing but what waits; the grade at the very end of a window is in the next one
    given = [submitted("00"), grade("GV001", "12:15:00", "SV001", "ASM001", 50)]
    oracle.holds(assessment.grading_queue, given, queued(("00", 1), ("05", 1), ("10", 1), ("15", 0)))


def test_a_grade_of_one_student_is_not_one_of_another() -> None:
    # as many grades as submissions in the window, and still somebody waits
    given = [submitted("00"), grade("GV001", "12:01:00", "SV002", "ASM001", 50)]
    [row] = queued(("00", 1))
    oracle.holds(assessment.grading_queue, given, [{**row, "submissions": 1, "graded": 1, "pending_in_window": 0}])


def test_a_grade_that_comes_before_its_submission_arrives() -> None:
    # by event time the work was there first
    given = [grade("GV001", "12:01:00", "SV001", "ASM001", 50), submitted("00")]
    oracle.holds(assessment.grading_queue, given, queued(("00", 0)))


def test_work_handed_in_twice_waits_once() -> None:
    given = [submitted("00"), submitted("01"), submitted("02", "SV002"), submitted("03", assignment="ASM002")]
    [row] = queued(("00", 2))
    oracle.holds(
        assessment.grading_queue, given, [{**row, "students_submitted": 2, "submissions": 3}, {"pending_grading": 1}]
    )


def test_deleted_and_reopened_work_waits_no_more() -> None:
    given = [
        submitted("00"),
        submitted("00", "SV002"),
        submitted("00", "SV003"),
        event("SV001", "DELETE_ASSIGNMENT", "12:05:00", assignment_id="ASM001"),
        event("GV001", "ASSIGNMENT_REOPENED", "12:10:00", assignment_id="ASM001", student_id="SV002", new_due_date=DAY),
        submitted("15", "SV001"),
    ]
    oracle.holds(assessment.grading_queue, given, queued(("00", 3), ("05", 2), ("10", 1), ("15", 2)))


def test_a_year_of_silence_ends_the_wait() -> None:
    # SV001 waits since 13 months, SV002 since 11; ASM002 is what makes the time pass
    hours = 24 * 30
    given = [
        work("SV001", "SUBMIT", "00:00:00", "ASM001"),
        work("SV002", "SUBMIT", f"{2 * hours}:00:00", "ASM001"),
        grade("GV001", f"{13 * hours}:00:00", "SV001", "ASM002", 50),
    ]
    expect = [
        {"assignment_id": "ASM001", "submissions": 2, "pending_grading": 1},
        {"assignment_id": "ASM002", "submissions": 0, "pending_grading": 0, "oldest_pending_submission": None},
    ]
    oracle.holds(assessment.assignment_summary, given, expect)


def test_the_type_of_an_assignment_is_what_its_latest_viewer_was_shown() -> None:
    # also of the submission before anybody viewed it, and of another course
    given = [
        submitted("00"),
        work("SV002", "VIEW", "12:02:00", "ASM001") | {"assignment_type": "lab"},
        work("SV001", "VIEW", "12:01:00", "ASM001") | {"assignment_type": "essay"},
        work("SV001", "SUBMIT", "12:03:00", "ASM001", PHYSICS),
    ]
    expect = [
        {"course_id": course, "assignment_type": "lab", "submissions_count": 1, "unique_students": 1}
        for course in (MATHS, PHYSICS)
    ]
    oracle.holds(assessment.submission_distribution, given, expect)


def test_a_submission_in_the_second_of_the_view() -> None:
    given = [work("SV001", "VIEW", "12:00:00", "ASM001"), submitted("00")]
    expect = [{"assignments_completed": 1, "avg_hours_to_submit": 0.0, "max_hours_to_submit": 0.0}]
    oracle.holds(assessment.engagement_timeline, given, expect)
