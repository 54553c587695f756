"""What the figures of courses must be, worked out by hand."""

from __future__ import annotations

from typing import Any

import watersmeet as wm

from .course import (
    active_courses,
    activity_summary,
    daily_active_courses,
    daily_engagement,
    download_activity,
    download_analytics,
    engagement_metrics,
    enrollment_rate,
    enrollment_stats,
    material_access,
    material_popularity,
    overall_metrics,
    resource_download_stats,
    student_material_access,
)
from .sample import event, rows, time
from .topics import course


def _event(name: str, clock: str, kind: str, user: str, of: str, *, days: int = 0, **more: object) -> dict[str, object]:
    return event("COURSE", name, clock, kind, user, days=days, course_id=of, **more)


def _click(name: str, clock: str, user: str, item: str, item_type: str) -> dict[str, object]:
    return _event(name, clock, "ITEM_CLICK", user, "C1", item_id=item, item_type=item_type)


_CREATED: dict[str, Any] = {
    "course_name": "Rivers",
    "course_code": "CS101",
    "semester": "Fall 2025",
    "max_students": 30,
}
_ENROLLED_FIRST = _event("b", "12:00:20", "COURSE_ENROLLED", "SV001", "C1")

# SV001 enrols in C1 twice and in C2; SV002 enrols in C1 and drops it. A teacher creates C1 and looks at C2.
STORY: list[dict[str, object]] = [
    _event("a", "12:00:10", "COURSE_CREATED", "GV001", "C1", **_CREATED),
    _ENROLLED_FIRST,
    _event("c", "12:00:50", "COURSE_ENROLLED", "SV002", "C1"),
    _click("d", "12:01:10", "SV001", "ITEM1", "lesson"),
    _click("e", "12:01:30", "SV001", "ITEM1", "lesson"),
    _click("f", "12:01:40", "SV002", "ITEM2", "quiz"),
    _event("g", "12:01:50", "COURSE_ENROLLED", "SV001", "C2"),
    _event("h", "12:02:00", "DOWNLOAD_MATERIAL", "SV001", "C1", material_id="MAT1"),
    _event("i", "12:06:30", "COURSE_VIEW", "GV001", "C2"),
    _event("j", "12:00:00", "DOWNLOAD_MATERIAL", "SV002", "C1", days=1, material_id="MAT1"),
    _ENROLLED_FIRST,  # a copy counts once
    {"event_id": "broken"},
    _event("k", "12:03:00", "COURSE_ENROLLED", "SV001", "C1"),  # late by a day, counts all the same
    _event("l", "12:04:59.999", "COURSE_DROPPED", "SV002", "C1"),  # the last moment of its window
]
# 14 records: one copy, one dead, and a to l
TOPIC = wm.Example(of=course, given=STORY, expect=[{"used": 12, "duplicates": 1, "dead": 1, "filtered": 0}])

REALTIME = [
    # minute 0: a b c, one of them a teacher; 1: d e f in C1, g in C2; 2: h; 3: k; 4: l; 6: i, a teacher alone; then j
    wm.Example(
        of=active_courses,
        given=STORY,
        expect=rows(
            "window_start window_end active_courses active_students total_interactions "
            "enrollments material_accesses downloads",
            (time("12:00:00"), time("12:01:00"), 1, 2, 3, 2, 0, 0),
            (time("12:01:00"), time("12:02:00"), 2, 2, 4, 1, 3, 0),
            (time("12:02:00"), time("12:03:00"), 1, 1, 1, 0, 0, 1),
            (time("12:03:00"), time("12:04:00"), 1, 1, 1, 1, 0, 0),
            (time("12:04:00"), time("12:05:00"), 1, 1, 1, 0, 0, 0),
            (time("12:06:00"), time("12:07:00"), 1, 0, 1, 0, 0, 0),
            (time("12:00:00", days=1), time("12:01:00", days=1), 1, 1, 1, 0, 0, 1),
        ),
    ),
    # C1: b c k by two students, 3 / 5 = 0.60; C2: g, 1 / 5 = 0.20; from 12:05 on nobody enrols, so there is no row
    wm.Example(
        of=enrollment_rate,
        given=STORY,
        expect=rows(
            "window_start window_end course_id enrollment_count unique_students enrollments_per_minute",
            (time("12:00:00"), time("12:05:00"), "C1", 3, 2, "0.60"),
            (time("12:00:00"), time("12:05:00"), "C2", 1, 1, "0.20"),
        ),
    ),
    # d and e are one student on one item: 2 / 5 = 0.40
    wm.Example(
        of=material_access,
        given=STORY,
        expect=rows(
            "window_start window_end course_id material_id unique_students access_count accesses_per_minute",
            (time("12:00:00"), time("12:05:00"), "C1", "ITEM1", 1, 2, "0.40"),
            (time("12:00:00"), time("12:05:00"), "C1", "ITEM2", 1, 1, "0.20"),
        ),
    ),
    wm.Example(
        of=download_activity,
        given=STORY,
        expect=rows(
            "window_start window_end course_id resource_id unique_downloaders download_count downloads_per_minute",
            (time("12:00:00"), time("12:05:00"), "C1", "MAT1", 1, 1, "0.20"),
            (time("12:00:00", days=1), time("12:05:00", days=1), "C1", "MAT1", 1, 1, "0.20"),
        ),
    ),
    # Five windows see the click and the two enrolments of minute 0: 3 events of 2 students, 3 / 2 = 1.50. Five others
    # see only a teacher: no students, so no ratio.
    wm.Example(
        of=engagement_metrics,
        given=[
            _click("a", "12:00:10", "SV001", "ITEM1", "lesson"),
            _event("b", "12:00:20", "COURSE_ENROLLED", "SV001", "C1"),
            _event("c", "12:00:50", "COURSE_ENROLLED", "SV002", "C1"),
            _event("d", "12:07:00", "DOWNLOAD_MATERIAL", "GV001", "C1", material_id="MAT1"),
        ],
        expect=rows(
            "window_start window_end course_id active_students total_interactions distinct_actions enrollments "
            "material_accesses downloads unique_materials_accessed unique_resources_downloaded "
            "avg_interactions_per_student",
            *((time(f"11:{m}:00"), time(f"12:0{m - 55}:00"), "C1", 2, 3, 2, 2, 1, 0, 1, 0, 1.5) for m in range(56, 60)),
            (time("12:00:00"), time("12:05:00"), "C1", 2, 3, 2, 2, 1, 0, 1, 0, 1.5),
            *(
                (time(f"12:0{m}:00"), time(f"12:{m + 5:02}:00"), "C1", 0, 1, 1, 0, 0, 1, 0, 1, None)
                for m in range(3, 8)
            ),
        ),
    ),
]

BATCH = [
    wm.Example(
        of=enrollment_stats,
        given=STORY,
        expect=rows(
            "date course_id new_enrollments unique_new_students",
            ("2025-12-15", "C1", 3, 2),
            ("2025-12-15", "C2", 1, 1),
        ),
    ),
    wm.Example(
        of=daily_engagement,
        given=STORY,
        expect=rows(
            "date course_id event_type unique_users event_count",
            ("2025-12-15", "C1", "COURSE_CREATED", 1, 1),
            ("2025-12-15", "C1", "COURSE_DROPPED", 1, 1),
            ("2025-12-15", "C1", "COURSE_ENROLLED", 2, 3),
            ("2025-12-15", "C1", "DOWNLOAD_MATERIAL", 1, 1),
            ("2025-12-15", "C1", "ITEM_CLICK", 2, 3),
            ("2025-12-15", "C2", "COURSE_ENROLLED", 1, 1),
            ("2025-12-15", "C2", "COURSE_VIEW", 1, 1),
            ("2025-12-16", "C1", "DOWNLOAD_MATERIAL", 1, 1),
        ),
    ),
    # on the first day all but j: 11 events of two students and a teacher in two courses; b c g k enrol, d e f click
    wm.Example(
        of=daily_active_courses,
        given=STORY,
        expect=rows(
            "date active_courses active_students total_interactions enrollments material_accesses downloads",
            ("2025-12-15", 2, 2, 11, 4, 3, 1),
            ("2025-12-16", 1, 1, 1, 0, 0, 1),
        ),
    ),
    # C1: all but g and i, 10 events of 5 types by two students and a teacher, 10 / 2; C2: g and i, 2 / 1
    wm.Example(
        of=overall_metrics,
        given=STORY,
        expect=rows(
            "course_id total_enrollments total_material_accesses total_downloads unique_students_interacting "
            "total_interactions distinct_actions unique_materials_accessed unique_resources_downloaded "
            "avg_interactions_per_student",
            ("C1", 3, 3, 2, 2, 10, 5, 2, 1, 5),
            ("C2", 1, 0, 0, 1, 2, 2, 0, 0, 2),
        ),
    ),
    wm.Example(
        of=material_popularity,
        given=STORY,
        expect=rows(
            "course_id material_id material_type unique_accessors total_accesses",
            ("C1", "ITEM1", "lesson", 1, 2),
            ("C1", "ITEM2", "quiz", 1, 1),
        ),
    ),
    # h and j, on two days
    wm.Example(
        of=resource_download_stats,
        given=STORY,
        expect=rows("course_id resource_id unique_downloaders total_download_count", ("C1", "MAT1", 2, 2)),
    ),
    # SV001 in C2 only enrols: no row
    wm.Example(
        of=student_material_access,
        given=STORY,
        expect=rows(
            "user_id course_id total_material_accesses unique_materials_accessed first_access last_access",
            ("SV001", "C1", 2, 1, time("12:01:10"), time("12:01:30")),
            ("SV002", "C1", 1, 1, time("12:01:40"), time("12:01:40")),
        ),
    ),
    wm.Example(
        of=download_analytics,
        given=STORY,
        expect=rows(
            "user_id course_id total_downloads unique_resources_downloaded",
            ("SV001", "C1", 1, 1),
            ("SV002", "C1", 1, 1),
        ),
    ),
    wm.Example(
        of=activity_summary,
        given=STORY,
        expect=rows(
            "user_id courses_enrolled total_material_accesses courses_with_material_access total_downloads",
            ("SV001", 2, 2, 1, 1),
            ("SV002", 1, 1, 1, 1),
        ),
    ),
]

examples = [TOPIC, *REALTIME, *BATCH]
