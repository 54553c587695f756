"""The events of the campus as bytes: one small function for each type.

An event in columns is a kind (a place in `KINDS`), a time, a number that is its id, a user's number, and up to four
whole numbers whose meaning depends on the kind; each function says which.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from .people import (
    ITEM_TYPES,
    ITEMS,
    MAJORS,
    MATERIAL_TYPES,
    MATERIALS,
    QUIZZES,
    VIDEOS,
    assignment_id,
    assignment_type,
    course_id,
    full_name,
    user_id,
    video_id,
)
from .topics import TOPICS

Fields = Callable[[int, int, int, int, int], str]

_DEVICES = ("desktop", "laptop", "phone", "tablet")
_SOURCES = ("web", "mobile", "admin")
_SEMESTERS = ("Fall 2025", "Spring 2026", "Summer 2026")
_SUBJECTS = ("Algorithms", "Databases", "Statistics", "Networks", "Ethics of Data", "Compilers", "Machine Learning")
_UPDATABLE = ("phone_number", "email", "address", "emergency_contact")
NOTICES = ("assignment_reminder", "grade_posted", "deadline_approaching", "course_announcement", "new_message")
ABOUT_WORK = 3  # the first NOTICES are about an assignment, the others about a course
CHANNELS = ("email", "push", "sms", "in_app")


def _login(user: int, session: int, ok: int, device: int, address: int) -> str:
    place = (
        f',"device_type":"{_DEVICES[device]}","ip_address":"10.{address >> 16}.{address >> 8 & 255}.{address & 255}"'
    )
    if ok:
        return f',"session_id":"{session:016x}","success":true{place}'
    return f',"success":false,"failure_reason":"wrong_password"{place}'


def _logout(user: int, session: int, b: int, c: int, d: int) -> str:
    return f',"session_id":"{session:016x}"'


def _signup(user: int, source: int, b: int, c: int, d: int) -> str:
    return f',"email":"{_email(user)}","registration_source":"{_SOURCES[source]}"'


def _email(user: int) -> str:
    return f"{user_id(user).lower()}@university.edu"


def _work(user: int, course: int, number: int, c: int, d: int) -> str:
    return (
        f',"assignment_id":"{assignment_id(course, number)}","course_id":"{course_id(course)}"'
        f',"assignment_type":"{assignment_type(course, number)}"'
    )


def _handed_in(user: int, course: int, number: int, version: int, d: int) -> str:
    suffix = f"_v{version}" if version > 1 else ""
    url = f"s3://submissions/{user_id(user)}_{assignment_id(course, number)}{suffix}.pdf"
    return f'{_work(user, course, number, 0, 0)},"file_url":"{url}"'


def _students_work(user: int, course: int, number: int, student: int, d: int) -> str:
    return f'{_work(user, course, number, 0, 0)},"student_id":"{user_id(student)}"'


def _grade(user: int, course: int, number: int, student: int, tenths: int) -> str:
    score = f"{tenths // 10}.{tenths % 10}"
    return f'{_students_work(user, course, number, student, 0)},"score":{score},"max_score":100'


def _reopened(user: int, course: int, number: int, student: int, due_ms: int) -> str:
    return f'{_students_work(user, course, number, student, 0)},"new_due_date":{due_ms}'


def _quiz(user: int, quiz: int, total: int, c: int, attempt: int) -> str:
    return (
        f',"quiz_id":"QUIZ{quiz + 1:03d}","course_id":"{course_id(quiz // QUIZZES)}"'
        f',"attempt_id":"TRY{attempt:x}","total_questions":{total}'
    )


def _answer(user: int, quiz: int, total: int, answer: int, attempt: int) -> str:
    name = f"QUIZ{quiz + 1:03d}-Q{answer // 2 + 1:02d}"
    right = "true" if answer % 2 else "false"
    return f'{_quiz(user, quiz, total, 0, attempt)},"question_id":"{name}","is_correct":{right}'


def _quiz_done(user: int, quiz: int, total: int, correct: int, attempt: int) -> str:
    return f'{_quiz(user, quiz, total, 0, attempt)},"correct_answers":{correct}'


def _viewing(user: int, video: int, session: int, c: int, length: int) -> str:
    return (
        f',"video_id":"{video_id(video)}","course_id":"{course_id(video // VIDEOS)}"'
        f',"session_id":"{session:016x}","video_duration_seconds":{length}'
    )


def _watched(user: int, video: int, session: int, seconds: int, length: int) -> str:
    return f'{_viewing(user, video, session, 0, length)},"watch_duration_seconds":{seconds}'


def _paused(user: int, video: int, session: int, position: int, length: int) -> str:
    return f'{_viewing(user, video, session, 0, length)},"position_seconds":{position}'


def _course(user: int, course: int, b: int, c: int, d: int) -> str:
    return f',"course_id":"{course_id(course)}"'


def _course_created(user: int, course: int, b: int, c: int, d: int) -> str:
    name = f"{_SUBJECTS[course % 7]} {'I' * (1 + course // 7 % 3)}"
    return (
        f'{_course(user, course, 0, 0, 0)},"course_name":"{name}","course_code":"CS{100 + course % 400}"'
        f',"semester":"{_SEMESTERS[course % 3]}","max_students":{(30, 50, 100, 150)[course % 4]}'
    )


def _item(user: int, course: int, item: int, c: int, d: int) -> str:
    number = course * ITEMS + item
    return f'{_course(user, course, 0, 0, 0)},"item_id":"ITEM{number + 1}","item_type":"{ITEM_TYPES[number % 5]}"'


def _material(user: int, course: int, material: int, c: int, d: int) -> str:
    number = course * MATERIALS + material
    name = MATERIAL_TYPES[number % 4]
    return f'{_course(user, course, 0, 0, 0)},"material_id":"MAT{number + 1}","material_type":"{name}"'


def _profile(user: int, draw: int, b: int, c: int, d: int) -> str:
    study = f'"{MAJORS[draw % 5]}"' if user >= 0 else "null"
    year = str(2018 + draw % 7) if user >= 0 else "null"
    born = f"{1990 + draw % 16}-{1 + draw % 12:02d}-{1 + draw % 28:02d}"
    return (
        f',"email":"{_email(user)}","full_name":"{full_name(draw % 1152)}","date_of_birth":"{born}"'
        f',"gender":"{("male", "female", "other")[draw % 17 // 8]}","phone_number":"{_phone(draw)}"'
        f',"major":{study},"enrollment_year":{year}'
    )


def _phone(draw: int) -> str:
    return f"+84 9{draw % 100:02d} {draw // 100 % 1000:03d} {draw // 7 % 1000:03d}"


def _profile_updated(user: int, draw: int, b: int, c: int, d: int) -> str:
    fields = list(dict.fromkeys((_UPDATABLE[draw % 4], _UPDATABLE[draw // 4 % 4])))
    out = f',"updated_fields":{json.dumps(fields, separators=(",", ":"))}'
    if "email" in fields:
        out += f',"old_email":"old.{_email(user)}","new_email":"{_email(user)}"'
    if "phone_number" in fields:
        out += f',"old_phone":"{_phone(draw + 1)}","new_phone":"{_phone(draw)}"'
    return out


def _picture(user: int, a: int, b: int, c: int, d: int) -> str:
    return f',"picture_url":"s3://profiles/{user_id(user)}_avatar.jpg"'


def _nothing(user: int, a: int, b: int, c: int, d: int) -> str:
    return ""


def _notice(user: int, number: int, kind: int, course: int, work: int) -> str:
    name, channel = NOTICES[kind % 5], CHANNELS[kind // 5]
    about = assignment_id(course, work) if kind % 5 < ABOUT_WORK else course_id(course)
    return (
        f',"notification_id":"NOTIF{number:x}","notification_type":"{name}","channel":"{channel}"'
        f',"related_object_id":"{about}"'
    )


_FIELDS: dict[str, dict[str, Fields]] = {
    "AUTH": {"LOGIN": _login, "LOGOUT": _logout, "SIGNUP": _signup},
    "ASSESSMENT": {
        "VIEW_ASSIGNMENT_FIRST_TIME": _work,
        "SUBMIT_ASSIGNMENT": _handed_in,
        "EDIT_ASSIGNMENT": _handed_in,
        "DELETE_ASSIGNMENT": _work,
        "QUIZ_STARTED": _quiz,
        "QUESTION_ANSWERED": _answer,
        "QUIZ_COMPLETED": _quiz_done,
        "VIEW_STUDENT_WORK": _students_work,
        "GRADE_ASSIGNMENT": _grade,
        "ASSIGNMENT_REOPENED": _reopened,
    },
    "VIDEO": {"VIDEO_WATCHED": _watched, "VIDEO_PAUSED": _paused, "VIDEO_COMPLETED": _viewing},
    "COURSE": {
        "COURSE_CREATED": _course_created,
        "COURSE_UPDATED": _course,
        "COURSE_DELETED": _course,
        "COURSE_VIEW": _course,
        "ITEM_CLICK": _item,
        "DOWNLOAD_MATERIAL": _material,
        "COURSE_ENROLLED": _course,
        "COURSE_DROPPED": _course,
    },
    "PROFILE": {
        "CREATE_PROFILE": _profile,
        "UPDATE_PROFILE": _profile_updated,
        "PROFILE_PICTURE_UPDATED": _picture,
        "PASSWORD_CHANGED": _nothing,
    },
    "NOTIFICATION": {
        "NOTIFICATION_SENT": _notice,
        "NOTIFICATION_OPENED": _notice,
        "NOTIFICATION_CLICKED": _notice,
    },
}

KINDS = tuple((category, name) for category, types in _FIELDS.items() for name in types)
"""(category, event type) of each kind."""

KIND = {name: place for place, (_, name) in enumerate(KINDS)}
"""Event type -> kind."""

TOPIC_OF = tuple(TOPICS[category].name for category, _ in KINDS)
"""The topic's name of each kind."""

_MAKE = tuple(
    (f',"event_category":"{category}","event_type":"{name}","user_id":"', _FIELDS[category][name])
    for category, name in KINDS
)


def payload(kind: int, event: int, at_ms: int, user: int, a: int, b: int, c: int, d: int) -> bytes:
    """One event as JSON."""
    head, fields = _MAKE[kind]
    role = "student" if user >= 0 else "teacher"
    return (
        f'{{"event_id":"{event:016x}"{head}{user_id(user)}","role":"{role}","timestamp":{at_ms}'
        f"{fields(user, a, b, c, d)}}}"
    ).encode()
