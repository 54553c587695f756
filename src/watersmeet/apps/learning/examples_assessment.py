"""Two days of assignments and quizzes, and what each view must make of them, worked out by hand."""

from __future__ import annotations

import watersmeet as wm

from . import assessment as views
from . import topics

DAY = 1_765_756_800_000  # 2025-12-15T00:00:00Z
DATE, NEXT = "2025-12-15", "2025-12-16"
MATHS, PHYSICS = "COURSE001", "COURSE002"


def at(clock: str) -> int:
    """Milliseconds of a time of the first day, such as ``"12:00:30"``; hours go on after 23."""
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return DAY + 1000 * (3600 * hours + 60 * minutes + seconds)


def event(user: str, kind: str, clock: str, **more: object) -> dict[str, object]:
    """An event of ASSESSMENT; its id says who, what and when, so that the same call makes a copy."""
    return {
        "event_id": f"{user}-{kind}-{clock}",
        "event_category": "ASSESSMENT",
        "event_type": kind,
        "user_id": user,
        "role": "teacher" if user.startswith("G") else "student",
        "timestamp": at(clock),
        **more,
    }


def work(user: str, kind: str, clock: str, assignment: str, course: str = MATHS, **more: object) -> dict[str, object]:
    """A student's turn: VIEW, SUBMIT or EDIT."""
    kinds = {"VIEW": "VIEW_ASSIGNMENT_FIRST_TIME", "SUBMIT": "SUBMIT_ASSIGNMENT", "EDIT": "EDIT_ASSIGNMENT"}
    given = {"assignment_type": "homework"} if kind == "VIEW" else {"file_url": f"s3://submissions/{user}.pdf"}
    return event(user, kinds[kind], clock, assignment_id=assignment, course_id=course, **given, **more)


def grade(
    teacher: str, clock: str, student: str, assignment: str, score: float, course: str = MATHS, **more: object
) -> dict[str, object]:
    """A grade by ``teacher``."""
    named = {"assignment_id": assignment, "course_id": course, "student_id": student, "score": score}
    return event(teacher, "GRADE_ASSIGNMENT", clock, **named, **more)


def quiz(user: str, kind: str, clock: str, **more: object) -> dict[str, object]:
    """A step of a quiz of maths."""
    return event(user, kind, clock, quiz_id="QUIZ001", course_id=MATHS, **more)


STORY = [
    work("SV001", "VIEW", "11:58:00", "ASM001"),
    work("SV001", "SUBMIT", "12:00:30", "ASM001"),
    work("SV001", "SUBMIT", "12:00:30", "ASM001"),  # sent twice
    work("SV002", "SUBMIT", "12:00:50", "ASM001"),
    grade("GV001", "12:00:59", "SV001", "ASM001", 80),
    grade("GV001", "12:06:00", "SV002", "ASM002", 45, PHYSICS, max_score=50),  # no submission was seen
    work("SV001", "SUBMIT", "12:07:00", "ASM002", PHYSICS),
    quiz("SV002", "QUIZ_COMPLETED", "12:04:00", correct_answers=7, total_questions=10),
    quiz("SV002", "QUIZ_STARTED", "12:01:00"),  # late: what came of it is here already
    quiz("SV002", "QUESTION_ANSWERED", "12:02:00", question_id="q1", is_correct=True),
    quiz("SV001", "QUIZ_COMPLETED", "12:04:30", correct_answers=4),
    event("SV002", "DELETE_ASSIGNMENT", "12:12:00", assignment_id="ASM001"),  # names no course
    event("GV001", "VIEW_STUDENT_WORK", "12:12:30", assignment_id="ASM002", course_id=PHYSICS, student_id="SV001"),
    event("GV002", "VIEW_STUDENT_WORK", "12:13:00", assignment_id="ASM001", course_id=MATHS, student_id="SV001"),
    work("SV001", "SUBMIT", "24:00:10", "ASM001"),  # again, though it was graded
]

# waiting at 12:05 two, 12:10 one, 12:15 none, 12:20 one again, 12:25 none: it is reopened, and an edit submits nothing
QUEUE = [
    work("SV001", "SUBMIT", "12:00:30", "ASM001"),
    work("SV002", "SUBMIT", "12:01:00", "ASM001"),
    grade("GV001", "12:06:00", "SV001", "ASM001", 80),
    grade("GV001", "12:06:30", "SV003", "ASM002", 80),
    event("SV002", "DELETE_ASSIGNMENT", "12:12:00", assignment_id="ASM001"),
    work("SV001", "SUBMIT", "12:16:00", "ASM001"),
    event("GV001", "ASSIGNMENT_REOPENED", "12:21:00", assignment_id="ASM001", student_id="SV001", new_due_date=DAY),
    work("SV002", "EDIT", "12:21:30", "ASM001"),
]

# an hour and a half, and half an hour; before the view, a second time, in another course, or never: not counted
TURNS = [
    work("SV001", "SUBMIT", "11:00:00", "ASM001"),
    work("SV001", "VIEW", "12:00:00", "ASM001"),
    work("SV001", "SUBMIT", "13:30:00", "ASM001"),
    work("SV001", "SUBMIT", "15:00:00", "ASM001"),
    work("SV001", "VIEW", "12:00:01", "ASM002"),
    work("SV001", "SUBMIT", "12:30:01", "ASM002"),
    work("SV001", "VIEW", "12:00:02", "ASM003"),
    work("SV001", "SUBMIT", "12:10:00", "ASM003", PHYSICS),
    work("SV002", "VIEW", "12:00:00", "ASM001"),
]


def _rows(columns: str, *rows: tuple[object, ...]) -> list[dict[str, object]]:
    return [dict(zip(columns.split(), row, strict=True)) for row in rows]


def _windows(minutes: int, columns: str, *rows: tuple[object, ...]) -> list[dict[str, object]]:
    out = []
    for clock, *row in rows:
        start = at(f"{clock}:00")
        bounds = {"window_start": start * 1000, "window_end": (start + 60_000 * minutes) * 1000}
        out.append({**bounds, **dict(zip(columns.split(), row, strict=True))})
    return out


def _time(clock: str) -> int:
    return at(clock) * 1000


_RATE = "course_id submissions unique_students unique_assignments avg_score avg_percentage submissions_per_minute"
_QUEUED = "submissions students_submitted graded students_graded pending_grading pending_in_window"

examples = [
    wm.Example(
        of=topics.assessment,
        given=[
            *STORY,
            {**grade("GV001", "12:00:00", "SV001", "ASM001", 101), "event_id": "more than the most"},
            {**grade("SV001", "12:00:00", "SV002", "ASM001", 1), "event_id": "no teacher"},
        ],
        expect=[{"used": 14, "duplicates": 1, "dead": 2, "filtered": 0}],
    ),
    # the grade of 12:00:59 falls into the minute of two submissions; the one of 12:06 meets none, and makes no row
    wm.Example(
        of=views.submissions_1min,
        given=STORY,
        expect=_windows(
            1,
            "total_submissions unique_students unique_assignments avg_score min_score max_score",
            ("12:00", 2, 2, 1, 80, 80, 80),
            ("12:07", 1, 1, 1, None, None, None),
            ("24:00", 1, 1, 1, None, None, None),
        ),
    ),
    # no teacher is among them; DELETE_ASSIGNMENT names no course
    wm.Example(
        of=views.active_students,
        given=STORY,
        expect=_windows(
            5,
            "user_id course_id event_count distinct_actions views submissions quiz_starts quiz_completions",
            ("11:55", "SV001", MATHS, 1, 1, 1, 0, 0, 0),
            ("12:00", "SV001", MATHS, 2, 2, 0, 1, 0, 1),
            ("12:00", "SV002", MATHS, 4, 4, 0, 1, 1, 1),
            ("12:05", "SV001", PHYSICS, 1, 1, 0, 1, 0, 0),
            ("12:10", "SV002", None, 1, 1, 0, 0, 0, 0),
            ("24:00", "SV001", MATHS, 1, 1, 0, 1, 0, 0),
        ),
    ),
    wm.Example(
        of=views.quiz_attempts,
        given=STORY,
        expect=_windows(
            5,
            "quiz_id user_id event_count starts answers completions avg_correct_answers avg_total_questions",
            ("12:00", "QUIZ001", "SV001", 1, 0, 0, 1, 4, None),
            ("12:00", "QUIZ001", "SV002", 3, 1, 1, 1, 7, 10),
        ),
    ),
    # no row for 12:10 to 12:15: nothing was submitted or graded, and nothing waits at its end
    wm.Example(
        of=views.grading_queue,
        given=QUEUE,
        expect=_windows(
            5,
            f"assignment_id {_QUEUED}",
            ("12:00", "ASM001", 2, 2, 0, 0, 2, 2),
            ("12:05", "ASM001", 0, 0, 1, 1, 1, 0),
            ("12:05", "ASM002", 0, 0, 1, 1, 0, 0),
            ("12:15", "ASM001", 1, 1, 0, 0, 1, 1),
        ),
    ),
    # submissions in the minutes 12:00 and 12:01, grades of 45 of 50 and 80 of 100 in 12:01: means of 62.5 and of 85 %
    wm.Example(
        of=views.submission_rate,
        given=[
            work("SV001", "SUBMIT", "12:00:30", "ASM001"),
            work("SV002", "SUBMIT", "12:01:10", "ASM002"),
            grade("GV001", "12:01:20", "SV001", "ASM001", 45, max_score=50),
            grade("GV001", "12:01:50", "SV002", "ASM002", 80),
        ],
        expect=_windows(
            5,
            _RATE,
            ("11:56", MATHS, 1, 1, 1, None, None, "0.20"),
            *((clock, MATHS, 2, 2, 2, 62.5, 85, "0.40") for clock in ("11:57", "11:58", "11:59", "12:00")),
            ("12:01", MATHS, 1, 1, 1, 62.5, 85, "0.20"),
        ),
    ),
    # ASM001 is handed in twice
    wm.Example(
        of=views.student_submissions,
        given=STORY,
        expect=_rows(
            "user_id course_id total_assignments_submitted total_submissions first_submission last_submission",
            ("SV001", MATHS, 1, 2, _time("12:00:30"), _time("24:00:10")),
            ("SV001", PHYSICS, 1, 1, _time("12:07:00"), _time("12:07:00")),
            ("SV002", MATHS, 1, 1, _time("12:00:50"), _time("12:00:50")),
        ),
    ),
    wm.Example(
        of=views.engagement_timeline,
        given=TURNS,
        expect=_rows(
            "user_id course_id assignments_completed avg_hours_to_submit min_hours_to_submit max_hours_to_submit",
            ("SV001", MATHS, 2, 1, 0.5, 1.5),
        ),
    ),
    # a second quiz with 6 right: (4 + 6) / 2
    wm.Example(
        of=views.quiz_performance,
        given=[*STORY, quiz("SV001", "QUIZ_COMPLETED", "13:00:00", correct_answers=6)],
        expect=_rows(
            "user_id course_id total_quizzes_completed avg_correct_answers total_correct_answers min_correct_answers"
            " max_correct_answers",
            ("SV001", MATHS, 2, 5, 10, 4, 6),
            ("SV002", MATHS, 1, 7, 7, 7, 7),
        ),
    ),
    # another grade of 61: (80 + 61) / 2
    wm.Example(
        of=views.grading_stats,
        given=[*STORY, grade("GV001", "13:00:00", "SV001", "ASM003", 61)],
        expect=_rows(
            "student_id course_id total_assignments_graded avg_assignment_score min_assignment_score"
            " max_assignment_score total_assignment_score",
            ("SV001", MATHS, 2, 70.5, 61, 80, 141),
            ("SV002", PHYSICS, 1, 45, 45, 45, 45),
        ),
    ),
    # GV001 looked at no work of maths, GV002 graded none
    wm.Example(
        of=views.teacher_workload,
        given=STORY,
        expect=_rows(
            "user_id course_id total_works_viewed total_assignments_graded avg_score_given",
            ("GV001", MATHS, None, 1, 80),
            ("GV001", PHYSICS, 1, 1, 45),
            ("GV002", MATHS, 1, None, None),
        ),
    ),
    # nobody has viewed ASM002, so its type is not known; that of ASM001 is, on both days
    wm.Example(
        of=views.submission_distribution,
        given=STORY,
        expect=_rows(
            "date course_id assignment_type submissions_count unique_students",
            (DATE, MATHS, "homework", 2, 2),
            (DATE, PHYSICS, None, 1, 1),
            (NEXT, MATHS, "homework", 1, 1),
        ),
    ),
    wm.Example(
        of=views.student_overall_performance,
        given=STORY,
        expect=_rows(
            "user_id course_id quizzes_completed avg_quiz_correct assignments_graded avg_assignment_score",
            ("SV001", MATHS, 1, 4, 1, 80),
            ("SV002", MATHS, 1, 7, None, None),
            ("SV002", PHYSICS, None, None, 1, 45),
        ),
    ),
    # (80 + 45) / 2
    wm.Example(
        of=views.daily_submissions,
        given=STORY,
        expect=_rows(
            "date total_submissions unique_students unique_assignments total_graded avg_score min_score max_score",
            (DATE, 3, 2, 2, 2, 62.5, 45, 80),
            (NEXT, 1, 1, 1, 0, None, None, None),
        ),
    ),
    wm.Example(
        of=views.student_activity,
        given=STORY,
        expect=_rows(
            "user_id course_id event_count distinct_actions views submissions quiz_starts quiz_completions",
            ("SV001", MATHS, 4, 3, 1, 2, 0, 1),
            ("SV001", PHYSICS, 1, 1, 0, 1, 0, 0),
            ("SV002", MATHS, 4, 4, 0, 1, 1, 1),
            ("SV002", None, 1, 1, 0, 0, 0, 0),
        ),
    ),
    # (7 + 4) / 2 right; 7 of 10 where the number of questions is known; two completed, but one seen to start
    wm.Example(
        of=views.quiz_summary,
        given=STORY,
        expect=_rows(
            "quiz_id course_id unique_students event_count starts answers completions avg_correct_answers"
            " min_correct_answers max_correct_answers avg_total_questions correct_pct completion_pct",
            ("QUIZ001", MATHS, 2, 4, 1, 1, 2, 5.5, 4, 7, 10, 70, 200),
        ),
    ),
    # the work of SV002 is deleted on the first day, ASM002 of SV001 waits on both, ASM001 of SV001 again on the next
    wm.Example(
        of=views.daily_grading_queue,
        given=STORY,
        expect=_rows(
            f"date assignment_id {_QUEUED}",
            (DATE, "ASM001", 2, 2, 1, 1, 0, 1),
            (DATE, "ASM002", 1, 1, 1, 1, 1, 0),
            (NEXT, "ASM001", 1, 1, 0, 0, 1, 1),
            (NEXT, "ASM002", 0, 0, 0, 0, 1, 0),
        ),
    ),
    wm.Example(
        of=views.assignment_summary,
        given=STORY,
        expect=_rows(
            "assignment_id submissions students_submitted graded students_graded pending_grading"
            " oldest_pending_submission",
            ("ASM001", 3, 2, 1, 1, 1, _time("24:00:10")),
            ("ASM002", 1, 1, 1, 1, 1, _time("12:07:00")),
        ),
    ),
    # 2 and 1 in 1440 minutes; 45 of 50 is 90 %
    wm.Example(
        of=views.course_submissions,
        given=STORY,
        expect=_rows(
            f"date {_RATE}",
            (DATE, MATHS, 2, 2, 1, 80, 80, "0.0014"),
            (DATE, PHYSICS, 1, 1, 1, 45, 90, "0.0007"),
            (NEXT, MATHS, 1, 1, 1, None, None, "0.0007"),
        ),
    ),
]
