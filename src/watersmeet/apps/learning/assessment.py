"""What is handed in, answered and graded: how much, how well, and what still waits.

`assessment_activity` counts events by minute, person and course; `quiz_activity` and `assignment_flow` count those of a
quiz and of an assignment. `waiting_work` has the work that waits for a grade at every moment, which is the
backlog; `assignment_turns` knows when each turn was taken. `student_grades` and `assignment_types` hold all time.

Scores are those of GRADE_ASSIGNMENT, out of 100 where no maximum is given. Work waits for a grade from its SUBMIT until
it is graded, deleted or reopened; only another SUBMIT makes it wait again. A year without any of these ends the wait.
Some events name no course: they are counted under a null course, on purpose.
"""

from __future__ import annotations

import watersmeet as wm

from .topics import DEFAULT_MAX_SCORE, assessment

VIEW, SUBMIT, GRADE = (
    f"event_type = '{kind}'" for kind in ("VIEW_ASSIGNMENT_FIRST_TIME", "SUBMIT_ASSIGNMENT", "GRADE_ASSIGNMENT")
)
DELETE, REOPEN = "event_type = 'DELETE_ASSIGNMENT'", "event_type = 'ASSIGNMENT_REOPENED'"
STARTED, ANSWERED, COMPLETED = (
    f"event_type = '{kind}'" for kind in ("QUIZ_STARTED", "QUESTION_ANSWERED", "QUIZ_COMPLETED")
)
PERCENTAGE = f"(100 * score::double / coalesce(max_score, {DEFAULT_MAX_SCORE}))::decimal(9, 6)"

assessment_activity = wm.View(
    "assessment_activity",
    topic=assessment,
    dimensions=["user_id", "role", "course_id"],
    window=wm.tumbling("1m"),
    measures={
        "event_count": wm.count(),
        "last_event": wm.max("event_time"),
        "distinct_actions": wm.distinct("event_type"),
        "views": wm.count(where=VIEW),
        "submissions": wm.count(where=SUBMIT),
        "quiz_starts": wm.count(where=STARTED),
        "quiz_completions": wm.count(where=COMPLETED),
        "unique_students": wm.distinct("user_id", where=SUBMIT),
        "unique_assignments": wm.distinct("assignment_id", where=SUBMIT),
        "first_submission": wm.min("event_time", where=SUBMIT),
        "last_submission": wm.max("event_time", where=SUBMIT),
        "works_viewed": wm.count(where="event_type = 'VIEW_STUDENT_WORK'"),
        "graded": wm.count(where=GRADE),
        "score_sum": wm.sum("score", where=GRADE),
        "lowest": wm.min("score", where=GRADE),
        "highest": wm.max("score", where=GRADE),
        "percentage": wm.mean(PERCENTAGE, where=GRADE, digits=2),
    },
    derive={
        "avg_score": "ratio(score_sum, graded, 2)::double",
        "min_score": "lowest::double",
        "max_score": "highest::double",
        "avg_percentage": "percentage::double",
    },
)

quiz_activity = wm.View(
    "quiz_activity",
    topic=assessment,
    where=f"{STARTED} or {ANSWERED} or {COMPLETED}",
    dimensions=["quiz_id", "user_id", "course_id"],
    window=wm.tumbling("5m"),
    measures={
        "event_count": wm.count(),
        "students": wm.distinct("user_id"),
        "starts": wm.count(where=STARTED),
        "answers": wm.count(where=ANSWERED),
        "completions": wm.count(where=COMPLETED),
        "correct": wm.sum("correct_answers", where=COMPLETED),
        "fewest": wm.min("correct_answers", where=COMPLETED),
        "most": wm.max("correct_answers", where=COMPLETED),
        "questions": wm.mean("total_questions", digits=2),
        "possible": wm.sum("total_questions", where=COMPLETED),
        "correct_of_possible": wm.sum("correct_answers", where=f"{COMPLETED} and total_questions is not null"),
    },
    derive={
        "avg_correct_answers": "ratio(correct, completions, 2)::double",
        "avg_total_questions": "questions::double",
    },
)

assignment_flow = wm.View(
    "assignment_flow",
    topic=assessment,
    where=f"{SUBMIT} or {GRADE}",
    dimensions=["assignment_id", "course_id"],
    window=wm.tumbling("5m"),
    measures={
        "submissions": wm.count(where=SUBMIT),
        "students_submitted": wm.distinct("user_id", where=SUBMIT),
        "graded": wm.count(where=GRADE),
        "students_graded": wm.distinct("student_id", where=GRADE),
    },
    derive={"pending_in_window": "greatest(submissions - graded, 0)"},
)

waiting_work = wm.View(
    "waiting_work",
    topic=assessment,
    where=f"{SUBMIT} or {GRADE} or {DELETE} or {REOPEN}",
    dimensions=["assignment_id", "coalesce(student_id, user_id) as student_id"],
    window=wm.running("5m"),
    expire="365d",
    measures={
        "submitted_at": wm.max("event_time", where=SUBMIT),
        "closed_at": wm.max("event_time", where=f"{GRADE} or {DELETE} or {REOPEN}"),
    },
    having="coalesce(submitted_at > closed_at, submitted_at is not null)",
)

assignment_turns = wm.View(
    "assignment_turns",
    topic=assessment,
    where=f"{VIEW} or {SUBMIT}",
    dimensions=["user_id", "course_id", "assignment_id", "event_time as taken_at"],
    window=None,
    measures={"views": wm.count(where=VIEW), "submissions": wm.count(where=SUBMIT)},
)

student_grades = wm.View(
    "student_grades",
    topic=assessment,
    where=GRADE,
    dimensions=["student_id", "course_id"],
    window=None,
    measures={
        "graded": wm.count(),
        "score_sum": wm.sum("score"),
        "lowest": wm.min("score"),
        "highest": wm.max("score"),
    },
    derive={"avg_score": "score_sum::double / graded"},
)

assignment_types = wm.View(
    "assignment_types",
    topic=assessment,
    where=VIEW,
    dimensions=["assignment_id"],
    window=None,
    measures={"assignment_type": wm.last("assignment_type")},
)

# -- real-time views ---------------------------------------------------------------------------------------------------

submissions_1min = wm.Query(
    "assessment_realtime_submissions_1min",
    inputs={"activity": assessment_activity.at("1m", by=[])},
    key=["window_start"],
    time="window_start",
    sql="""
    select window_start, window_end, submissions as total_submissions, unique_students, unique_assignments,
           avg_score, min_score, max_score
    from activity where submissions > 0""",
)

active_students = wm.Query(
    "assessment_realtime_active_students",
    inputs={"activity": assessment_activity.at("5m")},
    key=["window_start", "user_id", "course_id"],
    time="window_start",
    sql="""
    select window_start, window_end, user_id, course_id, event_count, distinct_actions, views, submissions,
           quiz_starts, quiz_completions
    from activity where role = 'student'""",
)

quiz_attempts = wm.Query(
    "assessment_realtime_quiz_attempts",
    inputs={"quizzes": quiz_activity.at("5m", by=["quiz_id", "user_id"])},
    key=["window_start", "quiz_id", "user_id"],
    time="window_start",
    sql="""
    select window_start, window_end, quiz_id, user_id, event_count, starts, answers, completions,
           avg_correct_answers, avg_total_questions
    from quizzes""",
)

_QUEUE = """
    with backlog as (
      select window_start, window_end, assignment_id, count(*) as pending_grading from work group by all)
    select window_start, coalesce(backlog.window_end, flow.window_end) as window_end, assignment_id,
           coalesce(submissions, 0) as submissions, coalesce(students_submitted, 0) as students_submitted,
           coalesce(graded, 0) as graded, coalesce(students_graded, 0) as students_graded,
           coalesce(pending_grading, 0) as pending_grading, coalesce(pending_in_window, 0) as pending_in_window
    from backlog full join flow using (window_start, assignment_id)"""

grading_queue = wm.Query(
    "assessment_realtime_grading_queue",
    inputs={"work": waiting_work, "flow": assignment_flow.at("5m", by=["assignment_id"])},
    key=["window_start", "assignment_id"],
    time="window_start",
    sql=_QUEUE,
)
"""What waits at the end of each five minutes, whenever it was handed in; beside it what came and went within them."""

submission_rate = wm.Query(
    "assessment_realtime_submission_rate",
    inputs={"activity": assessment_activity.at("5m", every="1m", by=["course_id"])},
    key=["window_start", "course_id"],
    time="window_start",
    sql="""
    select window_start, window_end, course_id, submissions, unique_students, unique_assignments,
           avg_score, avg_percentage, ratio(submissions, 5, 2)::decimal(24, 2) as submissions_per_minute
    from activity where submissions > 0""",
)

# -- batch views -------------------------------------------------------------------------------------------------------

student_submissions = wm.Query(
    "assessment_student_submissions",
    inputs={"activity": assessment_activity.at(None, by=["user_id", "course_id"])},
    key=["user_id", "course_id"],
    sql="""
    select user_id, course_id, unique_assignments as total_assignments_submitted, submissions as total_submissions,
           first_submission, last_submission
    from activity where submissions > 0""",
)

engagement_timeline = wm.Query(
    "assessment_engagement_timeline",
    inputs={"turns": assignment_turns},
    key=["user_id", "course_id"],
    sql="""
    with viewed as (
      select user_id, course_id, assignment_id, min(taken_at) as viewed_at from turns where views > 0 group by all),
    completed as (
      select user_id, course_id, assignment_id, date_diff('millisecond', viewed_at, min(taken_at)) as took_ms
      from viewed join turns using (user_id, course_id, assignment_id)
      where submissions > 0 and taken_at >= viewed_at group by user_id, course_id, assignment_id, viewed_at)
    select user_id, course_id, count(*) as assignments_completed,
           sum(took_ms)::double / (3600000 * count(*)) as avg_hours_to_submit,
           min(took_ms)::double / 3600000 as min_hours_to_submit, max(took_ms)::double / 3600000 as max_hours_to_submit
    from completed group by all""",
)
"""From the first view of an assignment to the first submission after it, in the same course."""

quiz_performance = wm.Query(
    "assessment_quiz_performance",
    inputs={"quizzes": quiz_activity.at(None, by=["user_id", "course_id"])},
    key=["user_id", "course_id"],
    sql="""
    select user_id, course_id, completions as total_quizzes_completed,
           correct::double / completions as avg_correct_answers, correct::bigint as total_correct_answers,
           fewest as min_correct_answers, most as max_correct_answers
    from quizzes where completions > 0""",
)

grading_stats = wm.Query(
    "assessment_grading_stats",
    inputs={"grades": student_grades},
    key=["student_id", "course_id"],
    sql="""
    select student_id, course_id, graded as total_assignments_graded, avg_score as avg_assignment_score,
           lowest::double as min_assignment_score, highest::double as max_assignment_score,
           score_sum::double as total_assignment_score
    from grades""",
)

teacher_workload = wm.Query(
    "assessment_teacher_workload",
    inputs={"activity": assessment_activity.at(None, by=["user_id", "course_id"])},
    key=["user_id", "course_id"],
    sql="""
    select user_id, course_id, nullif(works_viewed, 0) as total_works_viewed,
           nullif(graded, 0) as total_assignments_graded, score_sum::double / nullif(graded, 0) as avg_score_given
    from activity where works_viewed > 0 or graded > 0""",
)

submission_distribution = wm.Query(
    "assessment_submission_distribution",
    inputs={"flow": assignment_flow.at("1d", by=["course_id", "assignment_type"], through=assignment_types)},
    key=["date", "course_id", "assignment_type"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, course_id, assignment_type,
           submissions as submissions_count, students_submitted as unique_students
    from flow where submissions > 0""",
)
"""The type is the one that whoever viewed the assignment last was shown; null while nobody has."""

student_overall_performance = wm.Query(
    "assessment_student_overall_performance",
    inputs={"quizzes": quiz_activity.at(None, by=["user_id", "course_id"]), "grades": student_grades},
    key=["user_id", "course_id"],
    sql="""
    with quizzed as (select * from quizzes where completions > 0)
    select coalesce(user_id, student_id) as user_id, coalesce(quizzed.course_id, grades.course_id) as course_id,
           completions as quizzes_completed, correct::double / completions as avg_quiz_correct,
           graded as assignments_graded, avg_score as avg_assignment_score
    from quizzed full join grades on student_id = user_id and grades.course_id = quizzed.course_id""",
)

# -- what history lacked -----------------------------------------------------------------------------------------------

daily_submissions = wm.Query(
    "assessment_daily_submissions",
    inputs={"activity": assessment_activity.at("1d", by=[])},
    key=["date"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, submissions as total_submissions,
           unique_students, unique_assignments, graded as total_graded, avg_score, min_score, max_score
    from activity where submissions > 0 or graded > 0""",
)

student_activity = wm.Query(
    "assessment_student_activity",
    inputs={"activity": assessment_activity.at(None)},
    key=["user_id", "course_id"],
    sql="""
    select user_id, course_id, event_count, distinct_actions, views, submissions, quiz_starts, quiz_completions
    from activity where role = 'student'""",
)

quiz_summary = wm.Query(
    "assessment_quiz_summary",
    inputs={"quizzes": quiz_activity.at(None, by=["quiz_id", "course_id"])},
    key=["quiz_id", "course_id"],
    sql="""
    select quiz_id, course_id, students as unique_students, event_count, starts, answers, completions,
           avg_correct_answers, fewest as min_correct_answers, most as max_correct_answers, avg_total_questions,
           pct(correct_of_possible, possible)::double as correct_pct, pct(completions, starts)::double as completion_pct
    from quizzes""",
)

daily_grading_queue = wm.Query(
    "assessment_daily_grading_queue",
    inputs={
        "work": waiting_work.at(wm.running("1d")),
        "flow": assignment_flow.at("1d", by=["assignment_id"]),
    },
    key=["date", "assignment_id"],
    time="window_start",
    sql=f"select strftime(window_start, '%Y-%m-%d') as date, * from ({_QUEUE})",  # noqa: S608  # text of this file
)
"""The queue of each day, as its last moment left it: the newest day is the backlog of now."""

assignment_summary = wm.Query(
    "assessment_assignment_summary",
    inputs={
        "work": waiting_work.at(wm.running("1d")),
        "flow": assignment_flow.at(None, by=["assignment_id"]),
        "newest": assessment_activity.at(None, by=[]),
    },
    key=["assignment_id"],
    sql="""
    with backlog as (
      select assignment_id, count(*) as pending_grading, min(submitted_at) as oldest_pending_submission
      from work where window_end > (select last_event from newest) group by all)
    select assignment_id, submissions, students_submitted, graded, students_graded,
           coalesce(pending_grading, 0) as pending_grading, oldest_pending_submission
    from flow left join backlog using (assignment_id)""",
)
"""What waits now is what waits at the first boundary after the newest event."""

course_submissions = wm.Query(
    "assessment_course_submissions",
    inputs={"activity": assessment_activity.at("1d", by=["course_id"])},
    key=["date", "course_id"],
    time="window_start",
    sql="""
    select window_start, strftime(window_start, '%Y-%m-%d') as date, course_id, submissions, unique_students,
           unique_assignments, avg_score, avg_percentage,
           ratio(submissions, 1440, 4)::decimal(24, 4) as submissions_per_minute
    from activity where submissions > 0""",
)

realtime = (submissions_1min, active_students, quiz_attempts, grading_queue, submission_rate)
batch = (
    student_submissions,
    engagement_timeline,
    quiz_performance,
    grading_stats,
    teacher_workload,
    submission_distribution,
    student_overall_performance,
    daily_submissions,
    student_activity,
    quiz_summary,
    daily_grading_queue,
    assignment_summary,
    course_submissions,
)

tables = [
    *(
        wm.Table(q.name, of=q, to="realtime_views", freeze="7d", columns=["*", "published_at as processed_at"])
        for q in realtime
    ),
    *(wm.Table(q.name, of=q, to="batch_views", every="10m") for q in batch),
]
