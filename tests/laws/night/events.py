"""From raw lines to events in tables of a bare DuckDB: what is valid, what is a copy, what an event says.

    lines (as they arrived) ── spoken ── JSON or nothing ── judged ── dead, or valid ── one for each id ──> auth, video …

Written from the meaning of the events alone: a line counts if it is one JSON object, tells of a type of event that its
topic knows by somebody who can cause it, carries every field which that type needs, and is not ahead of its arrival by
more than five minutes; then the first of each id. Nothing here knows how watersmeet reads records.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import pyarrow as pa

NEEDS = {
    ("AUTH", "LOGIN", "any"): "",
    ("AUTH", "LOGOUT", "any"): "session_id",
    ("AUTH", "SIGNUP", "any"): "email registration_source",
    ("ASSESSMENT", "VIEW_ASSIGNMENT_FIRST_TIME", "S"): "assignment_id course_id assignment_type",
    ("ASSESSMENT", "SUBMIT_ASSIGNMENT", "S"): "assignment_id course_id",
    ("ASSESSMENT", "EDIT_ASSIGNMENT", "S"): "assignment_id course_id",
    ("ASSESSMENT", "DELETE_ASSIGNMENT", "S"): "assignment_id",
    ("ASSESSMENT", "QUIZ_STARTED", "S"): "quiz_id course_id",
    ("ASSESSMENT", "QUESTION_ANSWERED", "S"): "quiz_id course_id question_id",
    ("ASSESSMENT", "QUIZ_COMPLETED", "S"): "quiz_id course_id correct_answers",
    ("ASSESSMENT", "VIEW_STUDENT_WORK", "G"): "assignment_id course_id student_id",
    ("ASSESSMENT", "GRADE_ASSIGNMENT", "G"): "assignment_id course_id student_id score",
    ("ASSESSMENT", "ASSIGNMENT_REOPENED", "G"): "assignment_id student_id new_due_date",
    ("VIDEO", "VIDEO_WATCHED", "S"): "video_id course_id watch_duration_seconds session_id",
    ("VIDEO", "VIDEO_PAUSED", "S"): "video_id course_id session_id",
    ("VIDEO", "VIDEO_COMPLETED", "S"): "video_id course_id session_id",
    ("COURSE", "COURSE_CREATED", "G"): "course_id course_name course_code semester",
    ("COURSE", "COURSE_UPDATED", "G"): "course_id",
    ("COURSE", "COURSE_DELETED", "G"): "course_id",
    ("COURSE", "COURSE_VIEW", "any"): "course_id",
    ("COURSE", "ITEM_CLICK", "any"): "course_id item_id item_type",
    ("COURSE", "DOWNLOAD_MATERIAL", "any"): "course_id material_id",
    ("COURSE", "COURSE_ENROLLED", "S"): "course_id",
    ("COURSE", "COURSE_DROPPED", "S"): "course_id",
    ("COURSE", "COURSE_COMPLETED", "S"): "course_id",
    ("PROFILE", "CREATE_PROFILE", "any"): "email full_name date_of_birth gender phone_number",
    ("PROFILE", "UPDATE_PROFILE", "any"): "updated_fields",
    ("PROFILE", "PROFILE_PICTURE_UPDATED", "any"): "picture_url",
    ("PROFILE", "PASSWORD_CHANGED", "any"): "",
    ("NOTIFICATION", "NOTIFICATION_SENT", "any"): "notification_id notification_type channel related_object_id",
    ("NOTIFICATION", "NOTIFICATION_OPENED", "any"): "notification_id notification_type channel related_object_id",
    ("NOTIFICATION", "NOTIFICATION_CLICKED", "any"): "notification_id notification_type channel related_object_id",
}
"""(category, event type, first letter of who causes it) -> the fields that it must carry."""

JUDGED = """
create table judged as
with spoken as (
  select seq, topic, arrived_us, try_cast(try(decode(payload)) as json) as said from lines),
told as (
  select *, said ->> '$.event_id' as id, said ->> '$.event_category' as category, said ->> '$.event_type' as type,
         said ->> '$.user_id' as user_id, said ->> '$.role' as role, try_cast(said ->> '$.timestamp' as bigint) as at_ms,
         coalesce(json_type(said, '$.timestamp') in ('UBIGINT', 'BIGINT'), false) as is_timed
  from spoken where topic <> 'anomaly_topic')
select seq, topic, said, id, type, user_id, role, make_timestamp(at_ms * 1000) as t,
       coalesce(json_type(said) = 'OBJECT' and id <> '' and is_timed and at_ms * 1000 <= arrived_us + 300000000
                and upper(split_part(topic, '_', 1)) = category
                and regexp_full_match(user_id, '[SG]V[0-9]+')
                and role = case left(user_id, 1) when 'S' then 'student' else 'teacher' end
                and (cause = 'any' or cause = left(user_id, 1))
                and list_bool_and([said ->> ('$.' || field) is not null for field in fields] || [true]), false) as valid
from told left join needs using (category, type)
union all by name
select seq, topic, said, said ->> '$.anomaly_id' as id,
       make_timestamp((said ->> '$.starts_at')::bigint * 1000) as t,
       coalesce(json_type(said, '$.score') = 'DOUBLE', false)
       and (said ->> '$.starts_at')::bigint < (said ->> '$.ends_at')::bigint as valid
from spoken where topic = 'anomaly_topic'
"""

EVENTS = """
create table events as
select seq, topic, said, type, user_id, role, t from judged where valid
qualify row_number() over (partition by topic, id order by seq) = 1
"""

COLUMNS = {
    "auth": ("session_id varchar", "success boolean", "registration_source varchar"),
    "assessment": (
        *(f"{name}_id varchar" for name in ("assignment", "quiz", "course", "student")),
        "assignment_type varchar",
        "score decimal(6,2)",
        "max_score decimal(6,2)",
        "correct_answers integer",
        "total_questions integer",
    ),
    "video": (
        *(f"{name}_id varchar" for name in ("video", "course", "session")),
        "watch_duration_seconds integer",
        "video_duration_seconds integer",
    ),
    "course": (
        *(f"{name}_id varchar" for name in ("course", "item", "material")),
        "item_type varchar",
        "material_type varchar",
    ),
    "profile": ("updated_fields varchar[]",),
    "notification": ("notification_id varchar", "notification_type varchar"),
    "anomaly": (
        *(f"{name} varchar" for name in ("detector", "kind", "dimension", "model_version", "reason")),
        "score decimal(20,18)",
        "threshold decimal(20,18)",
        "is_anomaly boolean",
    ),
}
"""Topic, without its ``_topic`` -> what its figures are made of, beside seq, type, user_id, role and t, its time."""

MACROS = (
    # The start of the window of so many minutes, counted from 1970, that holds a moment.
    "floor_to(t, minutes) as make_timestamp(epoch_us(t) - epoch_us(t) % (minutes * 60000000::bigint))",
    # a / b to two digits, half up; both are integers, and not negative.
    "hundredths(a, b) as ((200 * a::hugeint + b) // (2 * nullif(b, 0)))::decimal(36, 0) * 0.01::decimal(2, 2)",
    "percent(a, b) as hundredths(100 * a::hugeint, b)",
    "day_of(t) as strftime(t, '%Y-%m-%d')",
    # Whole seconds from one moment to another, as they have passed.
    "seconds_between(a, b) as trunc((epoch_us(b) - epoch_us(a)) / 1000000.0)::bigint",
)


def tables(connection: duckdb.DuckDBPyConnection, arrived: Sequence[tuple[str, int, bytes]]) -> None:
    """Make the tables: lines, judged, events, and one of each topic."""
    topics, times, payloads = zip(*arrived, strict=True)
    lines = pa.table(
        {
            "seq": pa.array(range(len(arrived)), pa.int64()),
            "topic": pa.array(topics),
            "arrived_us": pa.array(times, pa.int64()),
            "payload": pa.array(payloads, pa.binary()),
        }
    )
    needs = pa.table(
        {
            "category": [category for category, _, _ in NEEDS],
            "type": [name for _, name, _ in NEEDS],
            "cause": [letter for _, _, letter in NEEDS],
            "fields": pa.array([fields.split() for fields in NEEDS.values()], pa.list_(pa.string())),
        }
    )
    for name, rows in (("lines", lines), ("needs", needs)):
        connection.register("given", rows)
        connection.execute(f"create table {name} as from given")
        connection.unregister("given")
    for macro in MACROS:
        connection.execute(f"create macro {macro}")
    connection.execute(JUDGED)
    connection.execute(EVENTS)
    for topic, fields in COLUMNS.items():
        columns = ", ".join(_read(*field.split()) for field in fields)
        connection.execute(
            f"create table {topic} as select seq, type, user_id, role, t, {columns} "
            f"from events where topic = '{topic}_topic'"
        )


def _read(name: str, kind: str) -> str:
    arrow = "->" if kind.endswith("[]") else "->>"
    return f"(said {arrow} '$.{name}')::{kind} as {name}"
