"""What the campus as a whole must look like, worked out by hand."""

from __future__ import annotations

from typing import Any

import watersmeet as wm

from .days import assignment_timeline, campus_days, campus_totals, student_engagement_distribution
from .examples_overview import STORY
from .sample import event, rows, time


def _work(name: str, clock: str, kind: str, user: str, of: str, assignment: str, **more: Any) -> dict[str, object]:
    return event("ASSESSMENT", name, clock, kind, user, course_id=of, assignment_id=assignment, **more)


def _viewed(name: str, clock: str, user: str, of: str, assignment: str) -> dict[str, object]:
    return _work(name, clock, "VIEW_ASSIGNMENT_FIRST_TIME", user, of, assignment, assignment_type="homework")


def _submitted(name: str, clock: str, user: str, of: str, assignment: str) -> dict[str, object]:
    return _work(name, clock, "SUBMIT_ASSIGNMENT", user, of, assignment, file_url="s3://submissions/work.pdf")


# Beside the story at a glance: SV004 is only sent a message, SV005 only named by a teacher, GV002 only has a password.
NAMED = {
    **STORY,
    "assessment_topic": [
        *STORY["assessment_topic"],
        _work("w5", "16:00:00", "VIEW_STUDENT_WORK", "GV001", "C1", "ASM001", student_id="SV005"),
    ],
    "profile_topic": [event("PROFILE", "p1", "10:00:00", "PASSWORD_CHANGED", "GV002")],
    "notification_topic": [
        event(
            "NOTIFICATION",
            "n1",
            "10:00:00",
            "NOTIFICATION_SENT",
            "SV004",
            notification_id="NOTIF1",
            notification_type="new_message",
            channel="email",
            related_object_id="C1",
        )
    ],
}

LOGINS = {"SV001": 51, "SV002": 50, "SV003": 10, "SV004": 9, "SV005": 0}
"""Enrolled students and how often they log in, on both sides of each bound."""
BUSY = {
    **{name: [] for name in STORY},
    "course_topic": [
        event("COURSE", f"e{user}", "08:00:00", "COURSE_ENROLLED", user, course_id="C1") for user in LOGINS
    ],
    "auth_topic": [
        event("AUTH", f"{user} {n}", f"09:{n:02}:00", "LOGIN", user, session_id=f"{user} {n}")
        for user, times in LOGINS.items()
        for n in range(times)
    ],
}

BATCH = [
    # SV001 submits once before looking at it and twice after; SV002 never does; what is done in C2 says nothing of C1
    wm.Example(
        of=assignment_timeline,
        given=[
            _submitted("a", "08:00:00", "SV001", "C1", "ASM001"),
            _viewed("b", "09:00:00", "SV001", "C1", "ASM001"),
            _viewed("c", "09:30:00", "SV001", "C1", "ASM001"),
            _submitted("d", "10:30:00", "SV001", "C1", "ASM001"),
            _submitted("e", "12:00:00", "SV001", "C1", "ASM001"),
            _viewed("f", "10:00:00", "SV002", "C1", "ASM001"),
            _submitted("g", "11:00:00", "SV002", "C2", "ASM001"),
        ],
        expect=rows(
            "user_id course_id assignment_id viewed_at submitted_at hours_to_submit",
            ("SV001", "C1", "ASM001", time("09:00:00"), time("10:30:00"), 1.5),
            ("SV002", "C1", "ASM001", time("10:00:00"), None, None),
        ),
    ),
    wm.Example(
        of=campus_days,
        given=NAMED,
        expect=rows(
            "window_start date category total_events",
            (time("00:00:00"), "2025-12-15", "assessment", 5),
            (time("00:00:00"), "2025-12-15", "auth", 4),
            (time("00:00:00"), "2025-12-15", "course", 8),
            (time("00:00:00"), "2025-12-15", "notification", 1),
            (time("00:00:00"), "2025-12-15", "profile", 1),
            (time("00:00:00"), "2025-12-15", "video", 4),
        ),
    ),
    wm.Example(
        of=campus_totals, given=NAMED, expect=rows("kind total", ("courses", 3), ("students", 5), ("teachers", 2))
    ),
    wm.Example(
        of=student_engagement_distribution,
        given=BUSY,
        expect=rows(
            "level students", ("highly_active", 1), ("inactive", 1), ("low_activity", 1), ("moderately_active", 2)
        ),
    ),
]

examples = BATCH
