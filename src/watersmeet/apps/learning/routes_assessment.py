"""Routes of what is handed in, answered and graded, by student, quiz, teacher and assignment.

Scores are points as given. A run of days is from the start of ``start_date`` to the end of ``end_date`` (UTC), both
included; without either it is all time.
"""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter
from pydantic import BaseModel

import watersmeet as wm

from .asking import Asking, Day, Id, MaybeId, Row, Span, days
from .figures import Answered, Moment


class TeacherCourse(BaseModel):
    """A teacher's work in one course; scores as given."""

    course_id: str | None
    total_works_viewed: int
    total_assignments_graded: int
    students_graded: int
    avg_score_given: float | None
    min_score_given: float | None
    max_score_given: float | None


class TeacherWorkload(Answered):
    """A teacher's work by course, and in all."""

    teacher_id: str
    start_date: dt.date | None
    end_date: dt.date | None
    total_works_viewed: int
    total_assignments_graded: int
    students_graded: int
    avg_score_given: float | None
    courses: list[TeacherCourse]


class CourseTotals(BaseModel):
    """What happened in a course, over all time."""

    course_id: str
    total_enrollments: int
    total_material_accesses: int
    total_downloads: int
    unique_students_interacting: int
    total_interactions: int
    avg_interactions_per_student: float | None


class TeacherDashboard(Answered):
    """A teacher's day, and the courses that the teacher ever worked in."""

    teacher_id: str
    date: dt.date
    works_viewed: int
    assignments_graded: int
    students_graded: int
    avg_score_given: float | None
    workload: list[TeacherCourse]
    courses: list[CourseTotals]


class SubmissionCourse(BaseModel):
    """A student's work in one course; correct answers and scores as counts and points."""

    course_id: str | None
    total_assignments_submitted: int = 0
    total_submissions: int = 0
    first_submission: Moment | None = None
    last_submission: Moment | None = None
    quizzes_completed: int = 0
    avg_quiz_correct: float | None = None
    assignments_graded: int = 0
    avg_assignment_score: float | None = None


class Turn(BaseModel):
    """From the first view of an assignment to the first submission after it, in hours."""

    user_id: str
    course_id: str | None
    assignment_id: str
    viewed_at: Moment
    submitted_at: Moment | None
    hours_to_submit: float | None


class StudentSubmissions(Answered):
    """What a student handed in, by course, and how long each assignment took."""

    student_id: str
    course_id: str | None
    start_date: dt.date | None
    courses: list[SubmissionCourse]
    timeline: list[Turn]


class QuizFigures(BaseModel):
    """Attempts at a quiz; correct answers are counts."""

    course_id: str | None
    unique_students: int
    starts: int
    answers: int
    completions: int
    avg_correct_answers: float | None
    min_correct_answers: int | None
    max_correct_answers: int | None
    avg_total_questions: float | None


class QuizStudent(BaseModel):
    """One student's attempts at a quiz in one course."""

    user_id: str
    course_id: str | None
    starts: int
    completions: int
    avg_correct_answers: float | None


class QuizPerformance(Answered):
    """A quiz by course and by student, over all time."""

    quiz_id: str
    course_id: str | None
    unique_students: int
    completions: int
    avg_correct_answers: float | None
    courses: list[QuizFigures]
    students: list[QuizStudent]


class SubmissionDay(BaseModel):
    """Submissions and grades of a day (UTC)."""

    date: str
    submissions: int
    students_submitted: int
    graded: int


class AssignmentAnalytics(Answered):
    """An assignment over all time: what was handed in, graded, and waits; the timeline only where it was asked for."""

    assignment_id: str
    views: int
    submissions: int
    students_submitted: int
    graded: int
    students_graded: int
    pending_grading: int
    oldest_pending_submission: Moment | None
    avg_score: float | None
    min_score: float | None
    max_score: float | None
    courses: list[str]
    days: list[SubmissionDay]
    timeline: list[Turn] | None


def assessment(reader: wm.Reader) -> APIRouter:
    """The routes of assessment."""
    api = APIRouter(prefix="/api/v1", tags=["assessment"])
    _student_routes(api, reader)
    _work_routes(api, reader)
    _teacher_routes(api, reader)
    return api


def _student_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/assessment/student/{student_id}/submissions")
    def student_submissions(student_id: Id, course_id: MaybeId = None, start_date: Day = None) -> StudentSubmissions:
        """What a student handed in and how it was graded since a day (UTC; default all time), by course.

        The timeline has the assignments first viewed since that day; hours from that view to the next submission.
        """
        asked, span = Asking(reader, "student submissions"), days(start_date, None)
        work = asked.over("work_days", span, ["course_id"], {"student_id": student_id, "course_id": course_id})
        answers = {"user_id": student_id, "course_id": course_id}
        quizzes = asked.over("quiz_activity", span, ["course_id"], answers, also=[wm.Filter("completions", ">", 0)])
        turns = asked.rows("assessment_assignment_timeline", answers, also=_since(start_date), order="viewed_at")
        asked.known("student", student_id, work, quizzes)
        asked.known("course", course_id, work, quizzes)
        courses: dict[str | None, Row] = {row["course_id"]: {} for row in (*work, *quizzes)}
        for row in work:
            courses[row["course_id"]] |= {
                "total_assignments_submitted": row["assignments_submitted"],
                "total_submissions": row["submissions"],
                "first_submission": row["first_submission"],
                "last_submission": row["last_submission"],
                "assignments_graded": row["graded"],
                "avg_assignment_score": row["avg_score"],
            }
        for row in quizzes:
            courses[row["course_id"]] |= {
                "quizzes_completed": row["completions"],
                "avg_quiz_correct": row["avg_correct_answers"],
            }
        return StudentSubmissions(
            student_id=student_id,
            course_id=course_id,
            start_date=start_date,
            courses=[
                SubmissionCourse(course_id=name, **courses[name]) for name in sorted(courses, key=lambda n: n or "")
            ],
            timeline=[Turn(**row) for row in turns],
            **asked.basis,
        )

    @api.get("/assessment/quiz/{quiz_id}/performance")
    def quiz_performance(quiz_id: Id, course_id: MaybeId = None) -> QuizPerformance:
        """How a quiz went over all time: in all, by course, by student; correct answers are counts."""
        asked, it = Asking(reader, "quiz performance"), {"quiz_id": quiz_id, "course_id": course_id}
        total = asked.one("quiz_activity", Span(), it)
        courses = asked.rows("assessment_quiz_summary", it)
        students = asked.over("quiz_activity", Span(), ["user_id", "course_id"], it)
        asked.known("quiz", quiz_id, total)
        asked.known("course", course_id, total)
        return QuizPerformance(
            quiz_id=quiz_id,
            course_id=course_id,
            unique_students=total.get("students", 0),
            completions=total.get("completions", 0),
            avg_correct_answers=total.get("avg_correct_answers"),
            courses=[QuizFigures(**row) for row in courses],
            students=[QuizStudent(**row) for row in students],
            **asked.basis,
        )


def _work_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/assessment/assignment/{assignment_id}/analytics")
    def assignment_analytics(assignment_id: Id, include_timeline: bool = True) -> AssignmentAnalytics:
        """An assignment over all time and by day (UTC): what was viewed, handed in, graded, and waits for a grade.

        The timeline, if asked for, has each student's hours from the first view to the next submission.
        """
        asked, it = Asking(reader, "assignment analytics"), {"assignment_id": assignment_id}
        total = asked.one("work_days", Span(), it)
        asked.known("assignment", assignment_id, total)
        queue = asked.rows("assessment_assignment_summary", it)
        courses = asked.over("work_days", Span(), ["course_id"], it)
        each = asked.over("work_days", Span(), (), it, every="1d")
        turns = asked.rows("assessment_assignment_timeline", it, order="viewed_at") if include_timeline else None
        return AssignmentAnalytics(
            **total,
            pending_grading=queue[0]["pending_grading"] if queue else 0,
            oldest_pending_submission=queue[0]["oldest_pending_submission"] if queue else None,
            courses=[row["course_id"] for row in courses if row["course_id"] is not None],
            days=[SubmissionDay(date=f"{row['window_start']:%Y-%m-%d}", **row) for row in each],
            timeline=None if turns is None else [Turn(**row) for row in turns],
            **asked.basis,
        )


def _teacher_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/assessment/teacher/{teacher_id}/workload")
    def teacher_workload(teacher_id: Id, start_date: Day = None, end_date: Day = None) -> TeacherWorkload:
        """What a teacher looked at and graded in a run of days, in all and by course."""
        asked, span, mine = Asking(reader, "teacher workload"), days(start_date, end_date), {"teacher_id": teacher_id}
        total, courses = asked.one("work_days", span, mine), asked.over("work_days", span, ["course_id"], mine)
        asked.known("teacher", teacher_id, total)
        return TeacherWorkload(
            teacher_id=teacher_id,
            start_date=start_date,
            end_date=end_date,
            total_works_viewed=total.get("works_viewed", 0),
            total_assignments_graded=total.get("graded", 0),
            students_graded=total.get("students_graded", 0),
            avg_score_given=total.get("avg_score"),
            courses=[_teacher_course(row) for row in courses],
            **asked.basis,
        )

    @api.get("/teacher/{teacher_id}/dashboard")
    def teacher_dashboard(teacher_id: Id, date: Day = None) -> TeacherDashboard:
        """A teacher's day (UTC; default today), and over all time the courses that the teacher ever worked in."""
        asked, mine = Asking(reader, "teacher dashboard"), {"teacher_id": teacher_id}
        day = asked.day(date)
        span = days(day, day)
        total, workload = asked.one("work_days", span, mine), asked.over("work_days", span, ["course_id"], mine)
        graded = asked.over("work_days", Span(), ["course_id"], mine)
        taught = asked.over("course_days", Span(), ["course_id"], {"user_id": teacher_id})
        asked.known("teacher", teacher_id, graded, taught)
        names = sorted({row["course_id"] for row in (*graded, *taught)} - {None})
        courses = asked.rows("course_overall_metrics", {"course_id": names}) if names else []
        return TeacherDashboard(
            teacher_id=teacher_id,
            date=day,
            works_viewed=total.get("works_viewed", 0),
            assignments_graded=total.get("graded", 0),
            students_graded=total.get("students_graded", 0),
            avg_score_given=total.get("avg_score"),
            workload=[_teacher_course(row) for row in workload],
            courses=[CourseTotals(**row) for row in courses],
            **asked.basis,
        )


def _teacher_course(row: Row) -> TeacherCourse:
    return TeacherCourse(
        course_id=row["course_id"],
        total_works_viewed=row["works_viewed"],
        total_assignments_graded=row["graded"],
        students_graded=row["students_graded"],
        avg_score_given=row["avg_score"],
        min_score_given=row["min_score"],
        max_score_given=row["max_score"],
    )


def _since(day: dt.date | None) -> list[wm.Filter]:
    return [] if day is None else [wm.Filter("viewed_at", ">=", dt.datetime.combine(day, dt.time()))]
