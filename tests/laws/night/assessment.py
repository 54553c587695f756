"""Work, quizzes, grades and the queue of what waits for one, said again in SQL."""

from __future__ import annotations

from .windows import ALWAYS, DATE, FIVE_STARTS, MORNING, NIGHT, SLIDING, each

VIEWED, SUBMITTED, GRADED = (
    f"filter (type = '{kind}')" for kind in ("VIEW_ASSIGNMENT_FIRST_TIME", "SUBMIT_ASSIGNMENT", "GRADE_ASSIGNMENT")
)
STARTED, ANSWERED, COMPLETED = (
    f"filter (type = '{kind}')" for kind in ("QUIZ_STARTED", "QUESTION_ANSWERED", "QUIZ_COMPLETED")
)
READ = "filter (type = 'VIEW_STUDENT_WORK')"

SCORED = f"hundredths((100 * sum(score) {GRADED})::hugeint, 100 * count(*) {GRADED})"
"""The mean of the scores, which have two digits, half up to two."""
OUT_OF_100 = f"""hundredths(
    (1000000 * sum((100 * score / coalesce(max_score, 100))::decimal(12, 6)) {GRADED})::hugeint,
    1000000 * count(*) {GRADED})"""

GRADES = f"""
    sum(score) {GRADED} as score_sum, min(score) {GRADED} as lowest, max(score) {GRADED} as highest,
    {OUT_OF_100} as percentage, {SCORED}::double as avg_score, min(score) {GRADED}::double as min_score,
    max(score) {GRADED}::double as max_score, {OUT_OF_100}::double as avg_percentage"""
FIGURES = f"""
    count(*) as event_count, max(t) as last_event, count(distinct type) as distinct_actions, count(*) {VIEWED} as views,
    count(*) {SUBMITTED} as submissions, count(*) {STARTED} as quiz_starts, count(*) {COMPLETED} as quiz_completions,
    count(distinct user_id) {SUBMITTED} as unique_students,
    count(distinct assignment_id) {SUBMITTED} as unique_assignments,
    min(t) {SUBMITTED} as first_submission, max(t) {SUBMITTED} as last_submission,
    count(*) {READ} as works_viewed, count(*) {GRADED} as graded, {GRADES}"""
STUDENT = f"""
    count(*) as event_count, count(distinct type) as distinct_actions, count(*) {VIEWED} as views,
    count(*) {SUBMITTED} as submissions, count(*) {STARTED} as quiz_starts, count(*) {COMPLETED} as quiz_completions"""
FLOW = f"""
    count(*) {SUBMITTED} as submissions, count(distinct user_id) {SUBMITTED} as students_submitted,
    count(*) {GRADED} as graded, count(distinct student_id) {GRADED} as students_graded"""
CORRECT = f"hundredths((100 * sum(correct_answers) {COMPLETED})::hugeint, 100 * count(*) {COMPLETED})::double"
QUESTIONS = "hundredths(100 * sum(total_questions), 100 * count(total_questions))"

WORK = """
create table work as
select assignment_id, coalesce(student_id, user_id) as student_id, t, type = 'SUBMIT_ASSIGNMENT' as is_open
from assessment where type in ('SUBMIT_ASSIGNMENT', 'GRADE_ASSIGNMENT', 'DELETE_ASSIGNMENT', 'ASSIGNMENT_REOPENED')
"""
"""What makes a student's work on an assignment wait for a grade, and what ends that."""

STAGES = """
create table stages as
with steps as (
  select assignment_id, student_id, t, max(case when is_open then t end) over so_far as submitted_at,
         max(case when not is_open then t end) over so_far as closed_at
  from work window so_far as (partition by assignment_id, student_id order by t))
select distinct *, coalesce(lead(t) over (partition by assignment_id, student_id order by t), timestamp '2200-01-01')
       as until
from (select distinct * from steps)
"""
"""How each piece of work stands from one event to the next one."""


def boundaries(minutes: int) -> str:
    """The ends of windows of so many minutes, up to the one that holds the newest event."""
    return f"""
        select unnest(range(floor_to(min(t), {minutes}), floor_to(max(t), {minutes}) + interval 1 second,
                            to_minutes({minutes}))) + to_minutes({minutes}) as window_end
        from assessment"""


def waiting(minutes: int) -> str:
    """The work that waits at each boundary: handed in before it, and nothing ended that since."""
    return f"""
        select window_end - to_minutes({minutes}) as window_start, window_end, assignment_id, student_id,
               submitted_at, closed_at
        from stages join ({boundaries(minutes)}) on t < window_end and until >= window_end
        where submitted_at is not null and (closed_at is null or closed_at < submitted_at)"""


def queue(minutes: int) -> str:
    """What waits at the end of each window by assignment, beside what came and went within it."""
    return f"""
        with backlog as (
          select window_start, window_end, assignment_id, count(*) as pending from ({waiting(minutes)}) group by all),
        flow as (
          select {each(minutes)}, assignment_id, {FLOW} from assessment
          where type in ('SUBMIT_ASSIGNMENT', 'GRADE_ASSIGNMENT') group by all)
        select window_start, window_end, assignment_id, coalesce(submissions, 0) as submissions,
               coalesce(students_submitted, 0) as students_submitted, coalesce(graded, 0) as graded,
               coalesce(students_graded, 0) as students_graded, coalesce(pending, 0) as pending_grading,
               greatest(coalesce(submissions, 0) - coalesce(graded, 0), 0) as pending_in_window
        from backlog full join flow using (window_start, window_end, assignment_id)"""


TURNAROUND = """
create table turnaround as
with viewed as (
  select user_id, course_id, assignment_id, min(t) as viewed_at
  from assessment where type = 'VIEW_ASSIGNMENT_FIRST_TIME' group by all)
select v.user_id, v.course_id, v.assignment_id, v.viewed_at, min(s.t) as submitted_at,
       (epoch_ms(min(s.t)) - epoch_ms(v.viewed_at)) / 3600000 as hours_to_submit
from viewed v left join assessment s
     on s.type = 'SUBMIT_ASSIGNMENT' and s.user_id = v.user_id and s.course_id = v.course_id
        and s.assignment_id = v.assignment_id and s.t >= v.viewed_at
group by 1, 2, 3, v.viewed_at
"""
"""From the first view of an assignment to the first submission after it."""

TABLES = (WORK, STAGES, TURNAROUND)
IN_THE_NIGHT = f"window_start >= {NIGHT} and window_start < {MORNING}"

ORACLES = {
    "assessment_activity": f"select {each(1)}, user_id, role, course_id, {FIGURES} from assessment group by all",
    "assessment_realtime_activity_15min": f"select {each(15)}, {FIGURES} from assessment group by all",
    "assessment_realtime_activity_1h": f"select {each(60)}, {FIGURES} from assessment group by all",
    "quiz_activity": f"""
        select {each(5)}, quiz_id, user_id, course_id, count(*) as event_count, count(distinct user_id) as students,
               count(*) {STARTED} as starts, count(*) {ANSWERED} as answers, count(*) {COMPLETED} as completions,
               sum(correct_answers) {COMPLETED} as correct, min(correct_answers) {COMPLETED} as fewest,
               max(correct_answers) {COMPLETED} as most, {QUESTIONS} as questions,
               sum(total_questions) {COMPLETED} as possible,
               sum(correct_answers) filter (type = 'QUIZ_COMPLETED' and total_questions is not null)
               as correct_of_possible,
               {CORRECT} as avg_correct_answers, {QUESTIONS}::double as avg_total_questions
        from assessment where type in ('QUIZ_STARTED', 'QUESTION_ANSWERED', 'QUIZ_COMPLETED') group by all""",
    "assignment_flow": f"""
        select {each(5)}, assignment_id, course_id, {FLOW},
               greatest(count(*) {SUBMITTED} - count(*) {GRADED}, 0) as pending_in_window
        from assessment where type in ('SUBMIT_ASSIGNMENT', 'GRADE_ASSIGNMENT') group by all""",
    "waiting_work": f"from ({waiting(5)}) where {IN_THE_NIGHT}",
    "assignment_turns": f"""
        select {ALWAYS}, user_id, course_id, assignment_id, t as taken_at, count(*) {VIEWED} as views,
               count(*) {SUBMITTED} as submissions
        from assessment where type in ('VIEW_ASSIGNMENT_FIRST_TIME', 'SUBMIT_ASSIGNMENT') group by all""",
    "student_grades": f"""
        select {ALWAYS}, student_id, course_id, count(*) as graded, sum(score) as score_sum, min(score) as lowest,
               max(score) as highest, sum(score)::double / count(*) as avg_score
        from assessment where type = 'GRADE_ASSIGNMENT' group by all""",
    "assignment_types": f"""
        select {ALWAYS}, assignment_id, arg_max(assignment_type, t) as assignment_type
        from assessment where type = 'VIEW_ASSIGNMENT_FIRST_TIME' group by all""",
    "assessment_realtime_submissions_1min": f"""
        select {each(1)}, count(*) {SUBMITTED} as total_submissions,
               count(distinct user_id) {SUBMITTED} as unique_students,
               count(distinct assignment_id) {SUBMITTED} as unique_assignments, {SCORED}::double as avg_score,
               min(score) {GRADED}::double as min_score, max(score) {GRADED}::double as max_score
        from assessment group by all having count(*) {SUBMITTED} > 0""",
    "assessment_realtime_active_students": f"""
        select {each(5)}, user_id, course_id, {STUDENT} from assessment where role = 'student' group by all""",
    "assessment_realtime_quiz_attempts": f"""
        select {each(5)}, quiz_id, user_id, count(*) as event_count, count(*) {STARTED} as starts,
               count(*) {ANSWERED} as answers, count(*) {COMPLETED} as completions,
               {CORRECT} as avg_correct_answers, {QUESTIONS}::double as avg_total_questions
        from assessment where type in ('QUIZ_STARTED', 'QUESTION_ANSWERED', 'QUIZ_COMPLETED') group by all""",
    "assessment_realtime_grading_queue": f"from ({queue(5)}) where {IN_THE_NIGHT}",
    "assessment_grading_backlog": f"""
        select window_start, window_end, sum(pending_grading) as pending_grading,
               count(*) filter (pending_grading > 0) as assignments
        from ({queue(5)}) where {IN_THE_NIGHT} group by all""",
    "assessment_realtime_submission_rate": f"""
        select {SLIDING}, course_id, count(*) {SUBMITTED} as submissions,
               count(distinct user_id) {SUBMITTED} as unique_students,
               count(distinct assignment_id) {SUBMITTED} as unique_assignments, {SCORED}::double as avg_score,
               {OUT_OF_100}::double as avg_percentage,
               hundredths(count(*) {SUBMITTED}, 5)::decimal(24, 2) as submissions_per_minute
        from assessment, {FIVE_STARTS} group by all having count(*) {SUBMITTED} > 0""",
    "assessment_student_submissions": """
        select user_id, course_id, count(distinct assignment_id) as total_assignments_submitted,
               count(*) as total_submissions, min(t) as first_submission, max(t) as last_submission
        from assessment where type = 'SUBMIT_ASSIGNMENT' group by all""",
    "assessment_engagement_timeline": """
        select user_id, course_id, count(*) as assignments_completed, avg(hours_to_submit) as avg_hours_to_submit,
               min(hours_to_submit) as min_hours_to_submit, max(hours_to_submit) as max_hours_to_submit
        from turnaround where submitted_at is not null group by all""",
    "assessment_assignment_timeline": "from turnaround",
    "assessment_quiz_performance": """
        select user_id, course_id, count(*) as total_quizzes_completed, avg(correct_answers) as avg_correct_answers,
               sum(correct_answers) as total_correct_answers, min(correct_answers) as min_correct_answers,
               max(correct_answers) as max_correct_answers
        from assessment where type = 'QUIZ_COMPLETED' group by all""",
    "assessment_grading_stats": """
        select student_id, course_id, count(*) as total_assignments_graded,
               sum(score)::double / count(*) as avg_assignment_score, min(score)::double as min_assignment_score,
               max(score)::double as max_assignment_score, sum(score)::double as total_assignment_score
        from assessment where type = 'GRADE_ASSIGNMENT' group by all""",
    "assessment_teacher_workload": f"""
        select user_id, course_id, nullif(count(*) {READ}, 0) as total_works_viewed,
               nullif(count(*) {GRADED}, 0) as total_assignments_graded,
               sum(score) {GRADED}::double / count(*) {GRADED} as avg_score_given
        from assessment where type in ('VIEW_STUDENT_WORK', 'GRADE_ASSIGNMENT') group by all""",
    "assessment_submission_distribution": f"""
        with types as (
          select assignment_id, arg_max(assignment_type, t) as kind
          from assessment where type = 'VIEW_ASSIGNMENT_FIRST_TIME' group by all)
        select {DATE}, course_id, kind as assignment_type, count(*) as submissions_count,
               count(distinct user_id) as unique_students
        from assessment left join types using (assignment_id) where type = 'SUBMIT_ASSIGNMENT' group by all""",
    "assessment_student_overall_performance": """
        with quizzed as (
          select user_id, course_id, count(*) as quizzes_completed, avg(correct_answers) as avg_quiz_correct
          from assessment where type = 'QUIZ_COMPLETED' group by all),
        graded as (
          select student_id as user_id, course_id, count(*) as assignments_graded,
                 sum(score)::double / count(*) as avg_assignment_score
          from assessment where type = 'GRADE_ASSIGNMENT' group by all)
        from quizzed full join graded using (user_id, course_id)""",
    "assessment_daily_submissions": f"""
        select {DATE}, count(*) {SUBMITTED} as total_submissions, count(distinct user_id) {SUBMITTED} as unique_students,
               count(distinct assignment_id) {SUBMITTED} as unique_assignments, count(*) {GRADED} as total_graded,
               {SCORED}::double as avg_score, min(score) {GRADED}::double as min_score,
               max(score) {GRADED}::double as max_score
        from assessment where type in ('SUBMIT_ASSIGNMENT', 'GRADE_ASSIGNMENT') group by all""",
    "assessment_student_activity": f"""
        select user_id, course_id, {STUDENT} from assessment where role = 'student' group by all""",
    "assessment_quiz_summary": f"""
        select quiz_id, course_id, count(distinct user_id) as unique_students, count(*) as event_count,
               count(*) {STARTED} as starts, count(*) {ANSWERED} as answers, count(*) {COMPLETED} as completions,
               {CORRECT} as avg_correct_answers, min(correct_answers) {COMPLETED} as min_correct_answers,
               max(correct_answers) {COMPLETED} as max_correct_answers, {QUESTIONS}::double as avg_total_questions,
               percent(sum(correct_answers) filter (type = 'QUIZ_COMPLETED' and total_questions > 0),
                       sum(total_questions) {COMPLETED})::double as correct_pct,
               percent(count(*) {COMPLETED}, count(*) {STARTED})::double as completion_pct
        from assessment where type in ('QUIZ_STARTED', 'QUESTION_ANSWERED', 'QUIZ_COMPLETED') group by all""",
    "assessment_daily_grading_queue": f"select day_of(window_start) as date, * from ({queue(1440)})",
    "assessment_assignment_summary": f"""
        with backlog as (
          select assignment_id, count(*) as pending, min(submitted_at) as oldest from stages
          where until > timestamp '2199-01-01' and submitted_at is not null
                and (closed_at is null or closed_at < submitted_at) group by all)
        select assignment_id, {FLOW}, coalesce(any_value(pending), 0) as pending_grading,
               any_value(oldest) as oldest_pending_submission
        from assessment left join backlog using (assignment_id)
        where type in ('SUBMIT_ASSIGNMENT', 'GRADE_ASSIGNMENT') group by all""",
    "assessment_course_submissions": f"""
        select {DATE}, course_id, count(*) {SUBMITTED} as submissions,
               count(distinct user_id) {SUBMITTED} as unique_students,
               count(distinct assignment_id) {SUBMITTED} as unique_assignments, {SCORED}::double as avg_score,
               {OUT_OF_100}::double as avg_percentage,
               (((20000 * count(*) {SUBMITTED} + 1440) // 2880)::decimal(20, 0) * 0.0001)::decimal(24, 4)
               as submissions_per_minute
        from assessment group by all having count(*) {SUBMITTED} > 0""",
    "work_days": f"""
        select {each(1440)}, coalesce(student_id, user_id) as student_id,
               case when student_id is not null then user_id end as teacher_id, course_id, assignment_id,
               count(*) as event_count, count(distinct coalesce(assessment.student_id, user_id)) as students,
               count(*) {VIEWED} as views, count(*) {SUBMITTED} as submissions,
               count(distinct user_id) {SUBMITTED} as students_submitted,
               count(distinct assignment_id) {SUBMITTED} as assignments_submitted,
               min(t) {SUBMITTED} as first_submission, max(t) {SUBMITTED} as last_submission,
               count(*) {READ} as works_viewed, count(*) {GRADED} as graded,
               count(distinct assessment.student_id) {GRADED} as students_graded, {GRADES}, max(t) as last_event
        from assessment where assignment_id is not null group by all""",
}
