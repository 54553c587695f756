from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.engines.columnar.chunks import ARRIVAL_US, COLUMNS, logged
from watersmeet.apps.learning.topics import EVENT_TYPES, STUDENT, TEACHER, TOPICS
from watersmeet.engines.columnar.decode import Decoder
from watersmeet.engines.reference.decoding import decode as decode_one_by_one

pytestmark = pytest.mark.unit

AT_MS = ARRIVAL_US // 1000 - 5000

# what each field may look like; an event of a type carries those it needs
VALUES: dict[str, Any] = {
    "session_id": "s",
    "email": "sv001@university.edu",
    "registration_source": "web",
    "assignment_id": "ASM001",
    "course_id": "COURSE001",
    "assignment_type": "essay",
    "quiz_id": "QUIZ001",
    "question_id": "Q1",
    "correct_answers": 5,
    "student_id": "SV002",
    "score": 77.5,
    "new_due_date": AT_MS + 1,
    "video_id": "VID001",
    "watch_duration_seconds": 30,
    "course_name": "Databases",
    "course_code": "CS101",
    "semester": "Fall 2025",
    "item_id": "ITEM1",
    "item_type": "lesson",
    "material_id": "MAT1",
    "full_name": "Trần Thu Hà",
    "date_of_birth": "2001-02-28",
    "gender": "other",
    "phone_number": "+84",
    "updated_fields": ["email"],
    "picture_url": "s3://profiles/sv001.jpg",
    "notification_id": "NOTIF1",
    "notification_type": "new_message",
    "channel": "push",
    "related_object_id": "COURSE001",
}
ALWAYS = {"VIDEO": ["video_id", "course_id"], "COURSE": ["course_id"]}
TYPES = [(category, name) for category, types in EVENT_TYPES.items() for name in types]


def event(category: str, name: str, **changes: Any) -> dict[str, Any]:
    """The least that an event of this type carries, changed; a field that is changed to ``...`` is left out."""
    kind = EVENT_TYPES[category][name]
    teacher = kind.by == TEACHER
    fields: dict[str, Any] = {
        "event_id": "1",
        "event_category": category,
        "event_type": name,
        "user_id": "GV001" if teacher else "SV001",
        "role": TEACHER if teacher else STUDENT,
        "timestamp": AT_MS,
    }
    needs = [*kind.needs, *ALWAYS.get(category, []), *(["session_id"] if name == "LOGIN" else [])]
    fields |= {field: VALUES[field] for field in needs} | changes
    return {field: value for field, value in fields.items() if value is not ...}


def verdicts(category: str, events: list[dict[str, Any]]) -> list[str]:
    """The reason why each is dead, or an empty text; both engines say the same."""
    topic, records = TOPICS[category], logged([json.dumps(one).encode() for one in events])
    both = Decoder(COLUMNS).decode(topic, records)
    dead = pa.table(both.dead)
    reasons = dict(zip(dead["offset"].to_pylist(), dead["reason"].to_pylist(), strict=True))
    assert pa.table(both.rows).num_rows + len(reasons) == len(events)
    found = [reasons.get(place, "") for place in range(len(events))]
    assert [one.reason for one in decode_one_by_one(topic, records.to_pylist())] == found
    return found


def test_the_topics_are_those_of_the_campus() -> None:
    assert {category: (topic.name, topic.partitions) for category, topic in TOPICS.items()} == {
        "AUTH": ("auth_topic", 3),
        "ASSESSMENT": ("assessment_topic", 5),
        "VIDEO": ("video_topic", 5),
        "COURSE": ("course_topic", 3),
        "PROFILE": ("profile_topic", 2),
        "NOTIFICATION": ("notification_topic", 3),
    }
    for topic in TOPICS.values():
        assert (topic.id, topic.key, topic.event_time) == ("event_id", "user_id", "timestamp")
        assert "double" not in {kind.name for _, kind in topic.types}


@pytest.mark.parametrize("category", TOPICS)
def test_the_least_of_each_type_is_accepted_as_the_first_version(category: str) -> None:
    least = [event(category, name) for name in EVENT_TYPES[category]]
    more = [event(category, name, schema_version=1, something_new={"a": [1]}) for name in EVENT_TYPES[category]]
    assert set(verdicts(category, least + more)) == {""}


@pytest.mark.parametrize(("category", "name"), TYPES)
def test_a_type_without_a_field_that_it_needs_is_dead(category: str, name: str) -> None:
    required = {column for column, kind in TOPICS[category].types if kind.required}
    needs = [*EVENT_TYPES[category][name].needs, *ALWAYS.get(category, [])]
    cases = [event(category, name, **{field: gone}) for field in needs for gone in (..., None)]
    wanted = ["missing_field" if field in required else f"missing_{field}" for field in needs for _ in range(2)]
    assert [reason.replace("invalid_value", "missing_field") for reason in verdicts(category, cases)] == wanted


COMMON: list[tuple[dict[str, Any], str]] = [
    ({"event_id": ...}, "missing_field"),
    ({"event_category": ...}, "missing_field"),
    ({"event_type": ...}, "missing_field"),
    ({"user_id": ...}, "missing_field"),
    ({"timestamp": ...}, "missing_field"),
    ({"timestamp": "2025-12-17 05:46:35"}, "invalid_value"),
    ({"timestamp": AT_MS + 0.5}, "invalid_value"),
    ({"timestamp": AT_MS + 600_000}, "invalid_timestamp"),
    ({"event_category": "SPORT"}, "wrong_category"),
    ({"event_type": "DANCE"}, "unknown_event_type"),
    ({"event_type": ""}, "unknown_event_type"),
    ({"schema_version": 2}, "unsupported_schema_version"),
    ({"schema_version": 0}, "unsupported_schema_version"),
    ({"user_id": "XX001"}, "invalid_user_id"),
    ({"user_id": "SV"}, "invalid_user_id"),
    ({"user_id": " SV001"}, "invalid_user_id"),
    ({"role": "dean"}, "invalid_role"),
]


@pytest.mark.parametrize("category", TOPICS)
def test_what_all_events_have_is_checked_in_each_topic(category: str) -> None:
    name = next(iter(EVENT_TYPES[category]))
    found = verdicts(category, [event(category, name, **changes) for changes, _ in COMMON])
    assert found == [reason for _, reason in COMMON]


def test_only_notices_may_leave_the_role_out() -> None:
    for category in TOPICS:
        (found,) = verdicts(category, [event(category, next(iter(EVENT_TYPES[category])), role=...)])
        assert found == ("" if category == "NOTIFICATION" else "missing_field")


@pytest.mark.parametrize(("category", "name"), TYPES)
def test_a_type_that_is_for_one_role_is_dead_from_the_other(category: str, name: str) -> None:
    student = event(category, name, user_id="SV001", role=STUDENT)
    teacher = event(category, name, user_id="GV001", role=TEACHER)
    by = EVENT_TYPES[category][name].by
    wanted = {"": ["", ""], STUDENT: ["", "not_by_a_student"], TEACHER: ["not_by_a_teacher", ""]}
    assert verdicts(category, [student, teacher]) == wanted[by]


RULES: list[tuple[str, str, dict[str, Any], str]] = [
    ("AUTH", "LOGIN", {"role": TEACHER}, "invalid_role"),
    ("AUTH", "LOGIN", {"session_id": ...}, "missing_session_id"),
    ("AUTH", "LOGIN", {"session_id": ..., "success": True}, "missing_session_id"),
    ("AUTH", "LOGIN", {"session_id": ..., "success": False}, ""),
    ("AUTH", "LOGIN", {"success": "yes"}, "invalid_value"),
    ("AUTH", "LOGOUT", {"success": True}, "success_without_login"),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"score": 0}, ""),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"score": 100}, ""),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"score": 100.01}, "score_out_of_range"),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"score": -0.01}, "score_out_of_range"),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"score": 150, "max_score": 200}, ""),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"score": 11, "max_score": 10}, "score_out_of_range"),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"score": 0, "max_score": 0}, "invalid_max_score"),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"score": 1.234}, "invalid_value"),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"student_id": "GV002"}, "invalid_student_id"),
    ("ASSESSMENT", "GRADE_ASSIGNMENT", {"course_id": "no such course"}, "invalid_course_id"),
    ("ASSESSMENT", "QUIZ_COMPLETED", {"total_questions": 5}, ""),
    ("ASSESSMENT", "QUIZ_COMPLETED", {"total_questions": 4}, "correct_answers_out_of_range"),
    ("ASSESSMENT", "QUIZ_COMPLETED", {"correct_answers": -1}, "correct_answers_out_of_range"),
    ("ASSESSMENT", "QUIZ_STARTED", {"total_questions": 0}, "invalid_total_questions"),
    ("VIDEO", "VIDEO_WATCHED", {"watch_duration_seconds": 0}, ""),
    ("VIDEO", "VIDEO_WATCHED", {"watch_duration_seconds": -1}, "negative_watch_duration"),
    ("VIDEO", "VIDEO_WATCHED", {"watch_duration_seconds": 1.5}, "invalid_value"),
    ("VIDEO", "VIDEO_PAUSED", {"watch_duration_seconds": 10}, "watch_duration_outside_watching"),
    ("VIDEO", "VIDEO_COMPLETED", {"video_duration_seconds": 0}, "invalid_video_duration"),
    ("VIDEO", "VIDEO_PAUSED", {"position_seconds": -1}, "position_out_of_range"),
    ("VIDEO", "VIDEO_PAUSED", {"position_seconds": 61, "video_duration_seconds": 60}, "position_out_of_range"),
    ("VIDEO", "VIDEO_PAUSED", {"position_seconds": 60, "video_duration_seconds": 60}, ""),
    ("VIDEO", "VIDEO_WATCHED", {"course_id": ""}, "invalid_course_id"),
    ("COURSE", "COURSE_VIEW", {"course_id": "a" * 65}, "invalid_course_id"),
    ("COURSE", "COURSE_VIEW", {"course_id": "AAA-2013J"}, ""),
    ("COURSE", "COURSE_CREATED", {"max_students": 0}, "invalid_max_students"),
    ("PROFILE", "UPDATE_PROFILE", {"updated_fields": []}, "no_updated_fields"),
    ("PROFILE", "UPDATE_PROFILE", {"updated_fields": "email"}, "invalid_value"),
    ("PROFILE", "CREATE_PROFILE", {"major": None, "enrollment_year": None}, ""),
    ("PROFILE", "CREATE_PROFILE", {"enrollment_year": 20180}, "invalid_enrollment_year"),
    ("PROFILE", "CREATE_PROFILE", {"date_of_birth": "2001-02-29"}, "invalid_value"),
]


@pytest.mark.parametrize(("category", "name", "changes", "reason"), RULES)
def test_each_rule_refuses_what_breaks_it(category: str, name: str, changes: dict[str, Any], reason: str) -> None:
    assert verdicts(category, [event(category, name, **changes)]) == [reason]


def test_every_check_has_a_case_here() -> None:
    known = {reason for *_, reason in RULES} | {reason for _, reason in COMMON}
    for category, topic in TOPICS.items():
        needed = {f"missing_{field}" for kind in EVENT_TYPES[category].values() for field in kind.needs}
        assert set(topic.check) <= known | needed | {"not_by_a_student", "not_by_a_teacher"}, category


def test_values_are_exact() -> None:
    grade = event("ASSESSMENT", "GRADE_ASSIGNMENT", score=77.1, max_score=100)
    rows = pa.table(Decoder(COLUMNS).decode(TOPICS["ASSESSMENT"], logged([json.dumps(grade).encode()])).rows)
    assert rows["score"].to_pylist() == [Decimal("77.10")]
    assert rows["max_score"].to_pylist() == [Decimal("100.00")]
    assert rows["timestamp"].cast(pa.int64()).to_pylist() == [AT_MS * 1000]
