"""What happens on a campus: six topics, one for each category of event.

Every event has an ``event_id`` that makes it unique, its category and type, who caused it, and when it happened in
milliseconds since 1970-01-01Z. What else it carries depends on its type: `EVENT_TYPES` says what it must, the schema
what it may. A type that is not listed, a field that is missing or out of range: the record is dead, with the reason.

Schemas are versioned by ``schema_version`` (absent: 1). New fields are optional and do not raise it, so that events of
old and new producers are read side by side; only a change of meaning does, and events of a version that is not known
yet wait among the dead letters until it is. Fields that no schema names are ignored.

Events arrive late by up to ``lateness`` before a window is called final; later ones still count. The log keeps a week,
the archive everything, which is more than the two to five years that the data must be kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import watersmeet as wm

SCHEMA_VERSION = 1
DEFAULT_MAX_SCORE = 100

STUDENT, TEACHER = "student", "teacher"


@dataclass(frozen=True, slots=True)
class EventType:
    """What one type of event must carry besides the fields that all events have.

    Args:
        needs: columns that must not be null.
        by: the role of who causes it; empty: anyone.
    """

    needs: tuple[str, ...] = ()
    by: str = ""


_WORK = ("assignment_id", "course_id")
_QUIZ = ("quiz_id", "course_id")
_NOTICE = EventType(("notification_id", "notification_type", "channel", "related_object_id"))

EVENT_TYPES: dict[str, dict[str, EventType]] = {
    "AUTH": {
        "LOGIN": EventType(),  # a session only when it succeeds: see the topic's checks
        "LOGOUT": EventType(("session_id",)),
        "SIGNUP": EventType(("email", "registration_source")),
    },
    "ASSESSMENT": {
        "VIEW_ASSIGNMENT_FIRST_TIME": EventType((*_WORK, "assignment_type"), STUDENT),
        "SUBMIT_ASSIGNMENT": EventType(_WORK, STUDENT),
        "EDIT_ASSIGNMENT": EventType(_WORK, STUDENT),
        "DELETE_ASSIGNMENT": EventType(("assignment_id",), STUDENT),
        "QUIZ_STARTED": EventType(_QUIZ, STUDENT),
        "QUESTION_ANSWERED": EventType((*_QUIZ, "question_id"), STUDENT),
        "QUIZ_COMPLETED": EventType((*_QUIZ, "correct_answers"), STUDENT),
        "VIEW_STUDENT_WORK": EventType((*_WORK, "student_id"), TEACHER),
        "GRADE_ASSIGNMENT": EventType((*_WORK, "student_id", "score"), TEACHER),
        "ASSIGNMENT_REOPENED": EventType(("assignment_id", "student_id", "new_due_date"), TEACHER),
    },
    "VIDEO": {
        "VIDEO_WATCHED": EventType(("watch_duration_seconds", "session_id"), STUDENT),
        "VIDEO_PAUSED": EventType(("session_id",), STUDENT),
        "VIDEO_COMPLETED": EventType(("session_id",), STUDENT),
    },
    "COURSE": {
        "COURSE_CREATED": EventType(("course_name", "course_code", "semester"), TEACHER),
        "COURSE_UPDATED": EventType((), TEACHER),
        "COURSE_DELETED": EventType((), TEACHER),
        "COURSE_VIEW": EventType(),
        "ITEM_CLICK": EventType(("item_id", "item_type")),
        "DOWNLOAD_MATERIAL": EventType(("material_id",)),
        "COURSE_ENROLLED": EventType((), STUDENT),
        "COURSE_DROPPED": EventType((), STUDENT),
        "COURSE_COMPLETED": EventType((), STUDENT),
    },
    "PROFILE": {
        "CREATE_PROFILE": EventType(("email", "full_name", "date_of_birth", "gender", "phone_number")),
        "UPDATE_PROFILE": EventType(("updated_fields",)),
        "PROFILE_PICTURE_UPDATED": EventType(("picture_url",)),
        "PASSWORD_CHANGED": EventType(),
    },
    "NOTIFICATION": {
        "NOTIFICATION_SENT": _NOTICE,
        "NOTIFICATION_OPENED": _NOTICE,
        "NOTIFICATION_CLICKED": _NOTICE,
    },
}
"""Category -> event type -> what it must carry."""

COMMON = {
    "event_id": "varchar not null",
    "event_category": "varchar not null",
    "event_type": "varchar not null",
    "user_id": "varchar not null",
    "role": "varchar not null",
    "timestamp": "timestamp_ms not null",
    "schema_version": "integer",
}
"""The columns of every event."""

USER_ID = "[SG]V[0-9]+"
COURSE_ID = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""What ids look like: SV and digits for a student, GV for a teacher."""


def _among(names: list[str]) -> str:
    return "event_type in (" + ", ".join(f"'{name}'" for name in names) + ")"


def _checks(category: str) -> dict[str, str]:
    """The checks that follow from `EVENT_TYPES`, and those of the common columns."""
    types = EVENT_TYPES[category]
    out = {
        "wrong_category": f"event_category = '{category}'",
        "unsupported_schema_version": f"coalesce(schema_version, 1) between 1 and {SCHEMA_VERSION}",
        "unknown_event_type": _among(list(types)),
        "invalid_user_id": f"regexp_full_match(user_id, '{USER_ID}')",
        "invalid_role": f"role is null or role = case user_id[1] when 'S' then '{STUDENT}' else '{TEACHER}' end",
    }
    for role, letter in ((STUDENT, "S"), (TEACHER, "G")):
        theirs = [name for name, event in types.items() if event.by == role]
        if theirs:
            out[f"not_by_a_{role}"] = f"user_id[1] = '{letter}' or not {_among(theirs)}"
    required = {field for event in types.values() for field in event.needs} - set(_ALWAYS.get(category, ()))
    for field in sorted(required):
        needing = [name for name, event in types.items() if field in event.needs]
        out[f"missing_{field}"] = f"{field} is not null or not {_among(needing)}"
    return out


_ALWAYS = {"NOTIFICATION": _NOTICE.needs}  # the schema itself wants them

_COURSE_EXISTS = f"course_id is null or regexp_full_match(course_id, '{COURSE_ID}')"
_STUDENT_EXISTS = f"student_id is null or (regexp_full_match(student_id, '{USER_ID}') and student_id[1] = 'S')"

auth = wm.Topic(
    "auth_topic",
    id="event_id",
    key="user_id",
    event_time="timestamp",
    lateness="2m",
    partitions=3,
    retention="7d",
    schema={
        **COMMON,
        "session_id": "varchar",
        "success": "boolean",
        "failure_reason": "varchar",
        "email": "varchar",
        "registration_source": "varchar",
        "ip_address": "varchar",
        "device_type": "varchar",
    },
    check={
        **_checks("AUTH"),
        "missing_session_id": "session_id is not null or event_type = 'SIGNUP' "
        "or (event_type = 'LOGIN' and not coalesce(success, true))",
        "success_without_login": "success is null or event_type = 'LOGIN'",
    },
)

assessment = wm.Topic(
    "assessment_topic",
    id="event_id",
    key="user_id",
    event_time="timestamp",
    lateness="2m",
    partitions=5,
    retention="7d",
    schema={
        **COMMON,
        "assignment_id": "varchar",
        "quiz_id": "varchar",
        "course_id": "varchar",
        "student_id": "varchar",
        "assignment_type": "varchar",
        "file_url": "varchar",
        "score": "decimal(6,2)",
        "max_score": "decimal(6,2)",
        "feedback": "varchar",
        "new_due_date": "timestamp_ms",
        "attempt_id": "varchar",
        "question_id": "varchar",
        "is_correct": "boolean",
        "correct_answers": "integer",
        "total_questions": "integer",
    },
    check={
        **_checks("ASSESSMENT"),
        "invalid_course_id": _COURSE_EXISTS,
        "invalid_student_id": _STUDENT_EXISTS,
        "invalid_max_score": "max_score is null or max_score > 0",
        "score_out_of_range": f"score is null or score between 0 and coalesce(max_score, {DEFAULT_MAX_SCORE})",
        "invalid_total_questions": "total_questions is null or total_questions > 0",
        "correct_answers_out_of_range": "correct_answers is null "
        "or (correct_answers >= 0 and correct_answers <= coalesce(total_questions, correct_answers))",
    },
)

video = wm.Topic(
    "video_topic",
    id="event_id",
    key="user_id",
    event_time="timestamp",
    lateness="2m",
    partitions=5,
    retention="7d",
    schema={
        **COMMON,
        "video_id": "varchar not null",
        "course_id": "varchar not null",
        "session_id": "varchar",
        "watch_duration_seconds": "integer",
        "video_duration_seconds": "integer",
        "position_seconds": "integer",
    },
    check={
        **_checks("VIDEO"),
        "invalid_course_id": _COURSE_EXISTS,
        "negative_watch_duration": "watch_duration_seconds is null or watch_duration_seconds >= 0",
        # else a sum over all events would count what was watched more than once
        "watch_duration_outside_watching": "watch_duration_seconds is null or event_type = 'VIDEO_WATCHED'",
        "invalid_video_duration": "video_duration_seconds is null or video_duration_seconds > 0",
        "position_out_of_range": "position_seconds is null or (position_seconds >= 0 "
        "and position_seconds <= coalesce(video_duration_seconds, position_seconds))",
    },
)

course = wm.Topic(
    "course_topic",
    id="event_id",
    key="user_id",
    event_time="timestamp",
    lateness="2m",
    partitions=3,
    retention="7d",
    schema={
        **COMMON,
        "course_id": "varchar not null",
        "course_name": "varchar",
        "course_code": "varchar",
        "semester": "varchar",
        "max_students": "integer",
        "item_id": "varchar",
        "item_type": "varchar",
        "material_id": "varchar",
        "material_type": "varchar",
    },
    check={
        **_checks("COURSE"),
        "invalid_course_id": _COURSE_EXISTS,
        "invalid_max_students": "max_students is null or max_students > 0",
    },
)

profile = wm.Topic(
    "profile_topic",
    id="event_id",
    key="user_id",
    event_time="timestamp",
    lateness="2m",
    partitions=2,
    retention="7d",
    schema={
        **COMMON,
        "email": "varchar",
        "full_name": "varchar",
        "date_of_birth": "date",
        "gender": "varchar",
        "phone_number": "varchar",
        "major": "varchar",
        "enrollment_year": "integer",
        "updated_fields": "varchar[]",
        "old_email": "varchar",
        "new_email": "varchar",
        "old_phone": "varchar",
        "new_phone": "varchar",
        "picture_url": "varchar",
        "change_reason": "varchar",
    },
    check={
        **_checks("PROFILE"),
        "no_updated_fields": "updated_fields is null or len(updated_fields) > 0",
        "invalid_enrollment_year": "enrollment_year is null or enrollment_year between 1900 and 2200",
    },
)

notification = wm.Topic(
    "notification_topic",
    id="event_id",
    key="user_id",
    event_time="timestamp",
    lateness="2m",
    partitions=3,
    retention="7d",
    schema={
        **COMMON,
        "role": "varchar",
        "notification_id": "varchar not null",
        "notification_type": "varchar not null",
        "channel": "varchar not null",
        "related_object_id": "varchar not null",
    },
    check=_checks("NOTIFICATION"),
)

TOPICS = {
    "AUTH": auth,
    "ASSESSMENT": assessment,
    "VIDEO": video,
    "COURSE": course,
    "PROFILE": profile,
    "NOTIFICATION": notification,
}
"""Category -> topic."""
