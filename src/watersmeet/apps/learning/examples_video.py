"""Two days of watching, and what each view must make of them, worked out by hand."""

from __future__ import annotations

import watersmeet as wm

from . import topics
from . import video as views

DAY = 1_765_756_800_000  # 2025-12-15T00:00:00Z
DATE, NEXT = "2025-12-15", "2025-12-16"
MATHS, PHYSICS = "COURSE001", "COURSE002"


def at(clock: str) -> int:
    """Milliseconds of a time of the first day, such as ``"12:02:00"``; hours go on after 23."""
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return DAY + 1000 * (3600 * hours + 60 * minutes + seconds)


def event(
    user: str, kind: str, clock: str, video: str, session: str, course: str = MATHS, **more: object
) -> dict[str, object]:
    """An event of VIDEO; its id says who, what and when, so that the same call makes a copy."""
    return {
        "event_id": f"{user}-{kind}-{clock}-{session}",
        "event_category": "VIDEO",
        "event_type": f"VIDEO_{kind}",
        "user_id": user,
        "role": "student",
        "timestamp": at(clock),
        "video_id": video,
        "course_id": course,
        "session_id": session,
        **more,
    }


def watched(
    user: str, clock: str, video: str, seconds: int, session: str = "", course: str = MATHS, **more: object
) -> dict[str, object]:
    """A viewing that ended at ``clock`` after ``seconds``."""
    session = session or f"{user}-{video}-{clock}"
    return event(user, "WATCHED", clock, video, session, course, watch_duration_seconds=seconds, **more)


STORY = [
    watched("SV001", "12:02:00", "VID001", 120, "w1", video_duration_seconds=150),  # 80 %: complete
    watched("SV001", "12:02:00", "VID001", 120, "w1", video_duration_seconds=150),  # sent twice
    event("SV001", "COMPLETED", "12:02:00", "VID001", "w1"),  # the player says so too
    watched("SV002", "12:03:10", "VID001", 100, "w2", video_duration_seconds=150),
    event("SV002", "PAUSED", "12:02:30", "VID001", "w2"),  # late: what came of it is here already
    watched("SV003", "12:04:59", "VID002", 30, "w3", PHYSICS),
    watched("SV001", "12:06:00", "VID002", 300, "w4"),
    event("SV004", "PAUSED", "12:06:30", "VID003", "w5"),  # and nothing else is known of it
    watched("SV002", "24:00:30", "VID001", 60, "w6", video_duration_seconds=150),
]

# SV001 watches from 12:00 to 12:02 and from 12:01 to 12:03, one viewer; SV002 from 12:01:30 to 12:03:10; SV003 begins
# when SV001 ends, at 12:03:00, the one moment at which there are three
TOGETHER = [
    watched("SV001", "12:02:00", "VID001", 120),
    watched("SV001", "12:03:00", "VID001", 120),
    watched("SV002", "12:03:10", "VID001", 100),
    watched("SV003", "12:04:00", "VID001", 60),
]


def _window(clock: str, minutes: int) -> dict[str, object]:
    start = at(f"{clock}:00")
    return {"window_start": start * 1000, "window_end": (start + 60_000 * minutes) * 1000}


def _rows(columns: str, *rows: tuple[object, ...]) -> list[dict[str, object]]:
    return [dict(zip(columns.split(), row, strict=True)) for row in rows]


def _windows(minutes: int, columns: str, *rows: tuple[object, ...]) -> list[dict[str, object]]:
    return [{**_window(str(clock), minutes), **dict(zip(columns.split(), row, strict=True))} for clock, *row in rows]


examples = [
    wm.Example(
        of=topics.video,
        given=[*STORY, watched("SV005", "12:00:00", "VID001", -1), event("GV001", "PAUSED", "12:00:00", "VID001", "w")],
        expect=[{"used": 8, "duplicates": 1, "dead": 2, "filtered": 0}],
    ),
    # 12:02 holds the viewing of 120 s, that it was completed (once), and the pause of SV002
    wm.Example(
        of=views.viewers_1min,
        given=STORY,
        expect=_windows(
            1,
            "unique_viewers videos_watched total_events video_starts video_pauses video_completions total_watch_seconds"
            " total_watch_minutes",
            ("12:02", 2, 1, 3, 1, 1, 1, 120, "2.00"),
            ("12:03", 1, 1, 1, 1, 0, 0, 100, "1.67"),
            ("12:04", 1, 1, 1, 1, 0, 0, 30, "0.50"),
            ("12:06", 2, 2, 2, 1, 1, 0, 300, "5.00"),
            ("24:00", 1, 1, 1, 1, 0, 0, 60, "1.00"),
        ),
    ),
    # VID001: 120 + 100 = 220 s by two; nobody is known to have watched VID003
    wm.Example(
        of=views.watch_time_5min,
        given=STORY,
        expect=_windows(
            5,
            "video_id course_id unique_viewers total_watch_seconds total_watch_minutes avg_watch_seconds"
            " max_watch_seconds view_count",
            ("12:00", "VID001", MATHS, 2, 220, "3.67", 110, 120, 2),
            ("12:00", "VID002", PHYSICS, 1, 30, "0.50", 30, 30, 1),
            ("12:05", "VID002", MATHS, 1, 300, "5.00", 300, 300, 1),
            ("24:00", "VID001", MATHS, 1, 60, "1.00", 60, 60, 1),
        ),
    ),
    # VID001: of two starts one is completed and one paused
    wm.Example(
        of=views.engagement_rate,
        given=STORY,
        expect=_windows(
            5,
            "video_id starts pauses completions unique_users total_watch_seconds completion_rate_pct pause_rate_pct"
            " avg_watch_per_start",
            ("12:00", "VID001", 2, 1, 1, 2, 220, 50, 50, 110),
            ("12:00", "VID002", 1, 0, 0, 1, 30, 0, 0, 30),
            ("12:05", "VID002", 1, 0, 0, 1, 300, 0, 0, 300),
            ("24:00", "VID001", 1, 0, 0, 1, 60, 0, 0, 60),
        ),
    ),
    # VID003 has no start, and so no rate; nothing watched ranks behind anything
    wm.Example(
        of=views.popular_videos,
        given=STORY,
        expect=_windows(
            5,
            "video_id course_id unique_viewers total_interactions total_watch_seconds starts completions"
            " completion_rate_pct rank",
            ("12:00", "VID001", MATHS, 2, 4, 220, 2, 1, 50, 1),
            ("12:00", "VID002", PHYSICS, 1, 1, 30, 1, 0, 0, 2),
            ("12:05", "VID002", MATHS, 1, 1, 300, 1, 0, 0, 1),
            ("12:05", "VID003", MATHS, 1, 1, None, 0, 0, None, 2),
            ("24:00", "VID001", MATHS, 1, 1, 60, 1, 0, 0, 1),
        ),
    ),
    # 11:58 to 12:03 ends before there are three, and holds but one event; 12:04 to 12:09 begins when one is left
    wm.Example(
        of=views.concurrent_viewers,
        given=TOGETHER,
        expect=_windows(
            5,
            "video_id concurrent_viewers event_count total_watch_seconds total_watch_minutes peak_concurrent_viewers",
            ("11:58", "VID001", 1, 1, 120, "2.00", 2),
            ("11:59", "VID001", 2, 3, 340, "5.67", 3),
            ("12:00", "VID001", 3, 4, 400, "6.67", 3),
            ("12:01", "VID001", 3, 4, 400, "6.67", 3),
            ("12:02", "VID001", 3, 4, 400, "6.67", 3),
            ("12:03", "VID001", 3, 3, 280, "4.67", 3),
            ("12:04", "VID001", 1, 1, 60, "1.00", 1),
        ),
    ),
    # SV002 watches 100 + 60 = 160 of 150 s, in two sessions; the length of VID002 is not known
    wm.Example(
        of=views.total_watch_time,
        given=STORY,
        expect=_rows(
            "user_id course_id video_id total_watch_seconds total_watch_sessions avg_watch_duration_seconds"
            " longest_session_seconds shortest_session_seconds total_watch_minutes total_watch_hours"
            " watched_pct completion_status",
            ("SV001", MATHS, "VID001", 120, 1, 120, 120, 120, 2, 120 / 3600, 80, "Completed"),
            ("SV001", MATHS, "VID002", 300, 1, 300, 300, 300, 5, 300 / 3600, None, None),
            ("SV002", MATHS, "VID001", 160, 2, 80, 100, 60, 160 / 60, 160 / 3600, 106.67, "Completed"),
            ("SV003", PHYSICS, "VID002", 30, 1, 30, 30, 30, 0.5, 30 / 3600, None, None),
        ),
    ),
    wm.Example(
        of=views.student_engagement,
        given=STORY,
        expect=_rows(
            "user_id course_id unique_videos_watched total_watch_seconds total_video_events avg_watch_duration_seconds"
            " total_watch_hours",
            ("SV001", MATHS, 2, 420, 2, 210, 420 / 3600),
            ("SV002", MATHS, 1, 160, 2, 80, 160 / 3600),
            ("SV003", PHYSICS, 1, 30, 1, 30, 30 / 3600),
        ),
    ),
    # VID001: 120 + 100 + 60 s in three viewings by two, one of them complete: 33.33 %; VID002 ranks by its seconds
    wm.Example(
        of=views.popularity,
        given=STORY,
        expect=_rows(
            "video_id course_id unique_viewers total_views_seconds total_view_events avg_view_duration_seconds"
            " total_views_hours total_interactions max_watch_seconds completions completion_rate_pct rank",
            ("VID001", MATHS, 2, 280, 3, 280 / 3, 280 / 3600, 5, 120, 1, 33.33, 1),
            ("VID002", MATHS, 1, 300, 1, 300, 300 / 3600, 1, 300, 0, 0, 2),
            ("VID002", PHYSICS, 1, 30, 1, 30, 30 / 3600, 1, 30, 0, 0, 3),
        ),
    ),
    # maths on the first day: 120 + 100 + 300 s; the pause of SV004 is no watching
    wm.Example(
        of=views.daily_engagement,
        given=STORY,
        expect=_rows(
            "date course_id active_video_watchers unique_videos_watched total_watch_seconds total_watch_events"
            " total_watch_hours",
            (DATE, MATHS, 2, 2, 520, 3, 520 / 3600),
            (DATE, PHYSICS, 1, 1, 30, 1, 30 / 3600),
            (NEXT, MATHS, 1, 1, 60, 1, 60 / 3600),
        ),
    ),
    wm.Example(
        of=views.course_metrics,
        given=STORY,
        expect=_rows(
            "course_id total_students_watching total_videos_in_course total_course_watch_seconds"
            " total_course_watch_hours",
            (MATHS, 2, 2, 580, 580 / 3600),
            (PHYSICS, 1, 1, 30, 30 / 3600),
        ),
    ),
    wm.Example(
        of=views.student_course_summary,
        given=STORY,
        expect=_rows(
            "user_id course_id videos_watched_count total_watch_seconds total_sessions total_watch_hours"
            " total_videos_in_course video_coverage_percentage",
            ("SV001", MATHS, 2, 420, 2, 420 / 3600, 2, "100.00"),
            ("SV002", MATHS, 1, 160, 2, 160 / 3600, 2, "50.00"),
            ("SV003", PHYSICS, 1, 30, 1, 30 / 3600, 1, "100.00"),
        ),
    ),
    # means of 93.3, 300 and 30 s
    wm.Example(
        of=views.drop_off_indicators,
        given=STORY,
        expect=_rows(
            "video_id course_id total_views avg_watch_duration min_watch_duration unique_viewers potential_drop_off",
            ("VID001", MATHS, 3, 280 / 3, 60, 2, "Medium Risk"),
            ("VID002", MATHS, 1, 300, 300, 1, "Good Engagement"),
            ("VID002", PHYSICS, 1, 30, 30, 1, "High Risk"),
        ),
    ),
    # 120 + 100 + 30 + 300 = 550 s, 9.17 minutes
    wm.Example(
        of=views.daily_viewing,
        given=STORY,
        expect=_rows(
            "date unique_viewers videos_watched total_events video_starts video_pauses video_completions"
            " total_watch_seconds total_watch_minutes",
            (DATE, 4, 3, 7, 4, 2, 1, 550, "9.17"),
            (NEXT, 1, 1, 1, 1, 0, 0, 60, "1.00"),
        ),
    ),
    wm.Example(
        of=views.engagement_summary,
        given=STORY,
        expect=_rows(
            "video_id starts pauses completions unique_users total_watch_seconds completion_rate_pct pause_rate_pct"
            " avg_watch_per_start",
            ("VID001", 3, 1, 1, 2, 280, 33.33, 33.33, 93.33),
            ("VID002", 2, 0, 0, 2, 330, 0, 0, 165),
        ),
    ),
    # SV001 watches VID001 from 23:59:30 to 00:00:30 and SV002 until 23:59:50: two on the first day, one on the next
    wm.Example(
        of=views.daily_concurrency,
        given=[
            watched("SV001", "24:00:30", "VID001", 60),
            watched("SV002", "23:59:50", "VID001", 60),
            watched("SV001", "24:10:00", "VID002", 60),
        ],
        expect=_rows(
            "date video_id peak_concurrent_viewers", (DATE, "VID001", 2), (NEXT, "VID001", 1), (NEXT, "VID002", 1)
        ),
    ),
]
