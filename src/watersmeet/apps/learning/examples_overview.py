"""What courses and students must look like at a glance, worked out by hand."""

from __future__ import annotations

from typing import Any

import watersmeet as wm

from .overview import course_overview, student_course_detailed, student_course_enrollment, student_overview
from .sample import event, rows, time


def _course(name: str, clock: str, kind: str, user: str, of: str, **more: Any) -> dict[str, object]:
    return event("COURSE", name, clock, kind, user, course_id=of, **more)


def _watched(name: str, clock: str, user: str, of: str, seconds: int) -> dict[str, object]:
    fields: dict[str, Any] = {
        "video_id": "VID001",
        "course_id": of,
        "session_id": name,
        "watch_duration_seconds": seconds,
    }
    return event("VIDEO", name, clock, "VIDEO_WATCHED", user, **fields)


def _submitted(name: str, clock: str, user: str, of: str, assignment: str) -> dict[str, object]:
    fields: dict[str, Any] = {"assignment_id": assignment, "course_id": of, "file_url": "s3://submissions/work.pdf"}
    return event("ASSESSMENT", name, clock, "SUBMIT_ASSIGNMENT", user, **fields)


def _graded(name: str, clock: str, student: str, of: str, assignment: str, score: int) -> dict[str, object]:
    fields: dict[str, Any] = {"assignment_id": assignment, "course_id": of, "student_id": student, "score": score}
    return event("ASSESSMENT", name, clock, "GRADE_ASSIGNMENT", "GV001", **fields)


# SV001 enrols in C1 (twice) and C2, works in C1 and watches in both. SV002 enrols in C1 and has done nothing since.
# SV003 watches C1 without being enrolled. The teacher downloads in C1, and nobody enrols in C3, which only he looks at.
STORY = {
    "auth_topic": [
        event("AUTH", "l1", "07:00:00", "LOGIN", "SV001", session_id="s1"),
        event("AUTH", "l2", "09:00:00", "LOGIN", "SV001", session_id="s2"),
        event("AUTH", "l3", "09:30:00", "LOGOUT", "SV001", session_id="s2"),
        event("AUTH", "l4", "07:00:00", "LOGIN", "GV001", session_id="s3"),
    ],
    "course_topic": [
        _course("a", "08:00:00", "COURSE_ENROLLED", "SV001", "C1"),
        _course("b", "10:00:00", "COURSE_ENROLLED", "SV001", "C1"),
        _course("c", "08:30:00", "COURSE_ENROLLED", "SV001", "C2"),
        _course("d", "11:00:00", "COURSE_ENROLLED", "SV002", "C1"),
        _course("e", "12:00:00", "DOWNLOAD_MATERIAL", "SV001", "C1", material_id="MAT1"),
        _course("f", "12:30:00", "DOWNLOAD_MATERIAL", "GV001", "C1", material_id="MAT1"),
        _course("g", "13:00:00", "COURSE_VIEW", "GV001", "C3"),
        _course("h", "13:30:00", "COURSE_VIEW", "SV001", "C1"),
    ],
    "video_topic": [
        _watched("v1", "09:10:00", "SV001", "C1", 60),
        _watched("v2", "09:20:00", "SV001", "C1", 30),
        _watched("v3", "09:25:00", "SV001", "C2", 600),
        _watched("v4", "09:30:00", "SV003", "C1", 45),
    ],
    "assessment_topic": [
        _submitted("w1", "14:00:00", "SV001", "C1", "ASM001"),
        _submitted("w2", "14:30:00", "SV001", "C1", "ASM002"),
        _graded("w3", "15:00:00", "SV001", "C1", "ASM001", 80),
        _graded("w4", "15:30:00", "SV001", "C1", "ASM002", 91),
    ],
}


def _of(*topics: str) -> dict[str, list[dict[str, object]]]:
    return {name: STORY[name] for name in topics}


BATCH = [
    # C1: v1 v2 v4, of whomever; the teacher's download is none of a student's
    wm.Example(
        of=course_overview,
        given=_of("course_topic", "video_topic"),
        expect=rows(
            "course_id total_enrolled_students total_videos_watched total_materials_downloaded",
            ("C1", 2, 3, 1),
            ("C2", 1, 1, 0),
        ),
    ),
    # (80 + 91) / 2 = 85.5; SV003 is enrolled nowhere
    wm.Example(
        of=student_overview,
        given=STORY,
        expect=rows(
            "student_id total_courses_enrolled total_videos_watched total_assignments_submitted avg_assignment_score "
            "total_logins",
            ("SV001", 2, 3, 2, 85.5, 2),
            ("SV002", 1, 0, 0, None, 0),
        ),
    ),
    # enrolling again changes neither the date nor the number of rows
    wm.Example(
        of=student_course_enrollment,
        given=_of("course_topic", "video_topic", "assessment_topic"),
        expect=rows(
            "student_id course_id enrollment_date enrollments total_videos_watched videos_watched "
            "assignments_submitted avg_score",
            ("SV001", "C1", time("08:00:00"), 2, 2, 2, 2, 85.5),
            ("SV001", "C2", time("08:30:00"), 1, 1, 1, 0, None),
            ("SV002", "C1", time("11:00:00"), 1, 0, 0, 0, None),
        ),
    ),
    # (60 + 30) / 60 = 1.5 minutes. SV002 never watched, SV003 did nothing else: both have a row.
    wm.Example(
        of=student_course_detailed,
        given=_of("course_topic", "video_topic"),
        expect=rows(
            "student_id course_id videos_watched watch_time_minutes materials_downloaded last_activity_date",
            ("SV001", "C1", 2, 1.5, 1, time("13:30:00")),
            ("SV001", "C2", 1, 10, 0, time("08:30:00")),
            ("SV002", "C1", 0, 0, 0, time("11:00:00")),
            ("SV003", "C1", 1, 0.75, 0, None),
        ),
    ),
]

examples = BATCH
