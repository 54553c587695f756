"""What the figures of notifications must be, worked out by hand."""

from __future__ import annotations

import watersmeet as wm

from .notification import (
    click_rate,
    click_through_rate,
    daily_activity,
    daily_delivery_times,
    daily_sent,
    delivery_stats,
    delivery_status,
    delivery_times,
    engagement,
    engagement_metrics,
    sent_1min,
    user_preferences,
    user_summary,
)
from .sample import event, rows, time
from .topics import notification

GRADE, MESSAGE, COURSE = "grade_posted", "new_message", "course_announcement"


def _event(
    name: str, clock: str, kind: str, user: str, number: str, of: str, *, days: int = 0, **more: object
) -> dict[str, object]:
    fields = {"notification_id": number, "notification_type": of, "channel": "push", "related_object_id": "ASM001"}
    return event("NOTIFICATION", name, clock, f"NOTIFICATION_{kind}", user, days=days, **{**fields, **more})


_FIRST = _event("a", "12:00:10", "SENT", "SV001", "N1", GRADE)

# N1 goes to two students, one of whom opens it and clicks twice. N2 is opened in the next window and clicked two days
# later. N9 is clicked, but no sending of it is known.
STORY = [
    _FIRST,
    _event("b", "12:00:20", "SENT", "SV002", "N1", GRADE),
    _event("c", "12:00:50", "SENT", "SV001", "N2", MESSAGE),
    _event("d", "12:02:10", "OPENED", "SV001", "N1", GRADE),
    _event("e", "12:02:40", "CLICKED", "SV001", "N1", GRADE),
    _event("f", "12:02:50", "CLICKED", "SV001", "N1", GRADE),
    _event("h", "12:00:00", "CLICKED", "SV001", "N2", MESSAGE, days=2),
    _FIRST,  # a copy counts once
    {**_FIRST, "event_id": "nobody", "user_id": None},
    _event("g", "12:06:00", "OPENED", "SV001", "N2", MESSAGE),  # these two are late by two days
    _event("i", "12:03:00", "CLICKED", "SV003", "N9", COURSE),
]
# 11 records: one copy, one dead, and a to i
TOPIC = wm.Example(of=notification, given=STORY, expect=[{"used": 9, "duplicates": 1, "dead": 1, "filtered": 0}])

_STATUS = (
    "window_start window_end notification_id notification_type sent_count viewed_count clicked_count unique_users "
    "sent_time first_view_time first_click_time time_to_view_seconds time_to_click_seconds"
)
_NOON, _FIVE, _TWO_DAYS = time("12:00:00"), time("12:05:00"), time("12:00:00", days=2)
_LATER, _LATER_FIVE = time("12:00:00", days=8), time("12:05:00", days=8)
REALTIME = [
    # a b c, to two students, of two types; minutes without a sending have no row
    wm.Example(
        of=sent_1min,
        given=STORY,
        expect=rows(
            "window_start window_end total_sent unique_recipients unique_types", (_NOON, time("12:01:00"), 3, 2, 2)
        ),
    ),
    # Of the two grades sent, one was clicked: 50, though two clicks fell into the window: 100. The message was clicked
    # two days later: 100. Nothing was sent of the course's: no row.
    wm.Example(
        of=click_rate,
        given=STORY,
        expect=rows(
            "window_start window_end notification_type sent clicked unique_users click_through_rate_pct sent_clicked "
            "clicks_per_sent_pct",
            (_NOON, _FIVE, GRADE, 2, 2, 2, 50, 1, 100),
            (_NOON, _FIVE, MESSAGE, 1, 0, 1, 100, 1, 0),
        ),
    ),
    # 12:00:10 to 12:02:10 and :40 are 120 and 150 s; 12:00:50 to 12:06:00 are 310 s, to noon in two days 2·86400 − 50
    wm.Example(
        of=delivery_status,
        given=STORY,
        expect=rows(
            _STATUS,
            (_NOON, _FIVE, "N1", GRADE, 2, 1, 2, 2, time("12:00:10"), time("12:02:10"), time("12:02:40"), 120, 150),
            (_NOON, _FIVE, "N2", MESSAGE, 1, 1, 1, 1, time("12:00:50"), time("12:06:00"), _TWO_DAYS, 310, 172750),
            (_NOON, _FIVE, "N9", COURSE, 0, 0, 1, 1, None, None, time("12:03:00"), None, None),
        ),
    ),
    # Exactly a week of silence ends a delivery: the id is taken as a new notification. A day is part of the same.
    wm.Example(
        of=delivery_status,
        name="notification_realtime_delivery_status: silence",
        given=[
            _event("a", "12:00:00", "SENT", "SV001", "N1", GRADE),
            _event("b", "12:00:01.999", "OPENED", "SV001", "N1", GRADE, days=1),
            _event("c", "12:00:01.999", "SENT", "SV001", "N1", GRADE, days=8),
        ],
        expect=rows(
            _STATUS,
            (_NOON, _FIVE, "N1", GRADE, 1, 1, 0, 1, _NOON, time("12:00:01.999", days=1), None, 86401, None),
            (_LATER, _LATER_FIVE, "N1", GRADE, 1, 0, 0, 1, time("12:00:01.999", days=8), None, None, None, None),
        ),
    ),
    # SV001 receives 1, opens 1, clicks 2 of two types in each of the five windows over minute 0; SV003 received nothing
    wm.Example(
        of=engagement_metrics,
        given=[
            _event("a", "12:00:10", "SENT", "SV001", "N1", GRADE),
            _event("b", "12:00:20", "OPENED", "SV001", "N1", GRADE),
            _event("c", "12:00:30", "CLICKED", "SV001", "N1", GRADE),
            _event("d", "12:00:40", "CLICKED", "SV001", "N2", MESSAGE),
            _event("e", "12:00:50", "OPENED", "SV003", "N2", MESSAGE),
        ],
        expect=rows(
            "window_start window_end user_id total_events notifications_received notifications_viewed "
            "notifications_clicked unique_notification_types view_rate_pct click_rate_pct",
            *(
                row
                for start, end in [(f"11:{m}:00", f"12:0{m - 55}:00") for m in range(56, 60)]
                + [("12:00:00", "12:05:00")]
                for row in (
                    (time(start), time(end), "SV001", 4, 1, 1, 2, 2, 100, 200),
                    (time(start), time(end), "SV003", 1, 0, 1, 0, 1, None, None),
                )
            ),
        ),
    ),
]

_TIMES = (
    "deliveries viewed_deliveries clicked_deliveries "
    "avg_time_to_view_seconds min_time_to_view_seconds max_time_to_view_seconds "
    "avg_time_to_click_seconds min_time_to_click_seconds max_time_to_click_seconds"
)
BATCH = [
    wm.Example(
        of=daily_activity,
        given=STORY,
        expect=rows(
            "date event_type notification_type unique_users event_count",
            ("2025-12-15", "NOTIFICATION_CLICKED", COURSE, 1, 1),
            ("2025-12-15", "NOTIFICATION_CLICKED", GRADE, 1, 2),
            ("2025-12-15", "NOTIFICATION_OPENED", GRADE, 1, 1),
            ("2025-12-15", "NOTIFICATION_OPENED", MESSAGE, 1, 1),
            ("2025-12-15", "NOTIFICATION_SENT", GRADE, 2, 2),
            ("2025-12-15", "NOTIFICATION_SENT", MESSAGE, 1, 1),
            ("2025-12-17", "NOTIFICATION_CLICKED", MESSAGE, 1, 1),
        ),
    ),
    wm.Example(
        of=daily_sent,
        given=STORY,
        expect=rows("date total_sent unique_recipients unique_types", ("2025-12-15", 3, 2, 2)),
    ),
    wm.Example(
        of=delivery_stats,
        given=STORY,
        expect=rows("notification_type total_sent unique_recipients", (GRADE, 2, 2), (MESSAGE, 1, 1)),
    ),
    # grades: 2 clicks on 2 sent, but on one of them alone; the message: its one click
    wm.Example(
        of=click_through_rate,
        given=STORY,
        expect=rows(
            "notification_type total_sent total_clicked click_through_rate unique_users sent_clicked "
            "attributed_click_rate",
            (GRADE, 2, 2, 100, 2, 1, 50),
            (MESSAGE, 1, 1, 100, 1, 1, 100),
        ),
    ),
    wm.Example(
        of=engagement,
        given=STORY,
        expect=rows(
            "user_id notification_type notifications_clicked",
            ("SV001", GRADE, 2),
            ("SV001", MESSAGE, 1),
            ("SV003", COURSE, 1),
        ),
    ),
    # SV003 received nothing: no row
    wm.Example(
        of=user_preferences,
        given=STORY,
        expect=rows(
            "user_id notification_type notifications_received notifications_clicked engagement_rate "
            "notifications_viewed view_rate",
            ("SV001", GRADE, 1, 2, 200, 1, 100),
            ("SV001", MESSAGE, 1, 1, 100, 1, 100),
            ("SV002", GRADE, 1, 0, 0, 0, 0),
        ),
    ),
    # SV001: a c received, e f h clicked, d g opened; 3 / 2. SV003 received nothing: no rates.
    wm.Example(
        of=user_summary,
        given=STORY,
        expect=rows(
            "user_id total_received total_clicked overall_engagement_rate total_viewed overall_view_rate total_events "
            "unique_notification_types",
            ("SV001", 2, 3, 150, 2, 100, 7, 2),
            ("SV002", 1, 0, 0, 0, 0, 1, 1),
            ("SV003", 0, 1, None, 0, None, 1, 1),
        ),
    ),
    wm.Example(
        of=delivery_times,
        given=STORY,
        expect=rows(
            f"notification_type {_TIMES}",
            (GRADE, 2, 1, 1, 120, 120, 120, 150, 150, 150),
            (MESSAGE, 1, 1, 1, 310, 310, 310, 172750, 172750, 172750),
        ),
    ),
    # 10 and 21 s: 15.50. The third was opened half a minute before it was sent, which says nothing of how long it took.
    wm.Example(
        of=daily_delivery_times,
        given=[
            _event("a", "12:00:00", "SENT", "SV001", "N1", GRADE),
            _event("b", "12:00:10", "OPENED", "SV001", "N1", GRADE),
            _event("c", "12:00:00", "SENT", "SV002", "N1", GRADE),
            _event("d", "12:00:21", "OPENED", "SV002", "N1", GRADE),
            _event("e", "12:00:00", "OPENED", "SV003", "N1", GRADE),
            _event("f", "12:00:30", "SENT", "SV003", "N1", GRADE),
        ],
        expect=rows(
            f"date notification_type {_TIMES}", ("2025-12-15", GRADE, 3, 2, 0, "15.5", 10, 21, None, None, None)
        ),
    ),
]

examples = [TOPIC, *REALTIME, *BATCH]
