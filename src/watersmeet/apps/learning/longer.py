"""The quarter of an hour and the hour: what each topic's views count by the minute, read at longer windows."""

from __future__ import annotations

import watersmeet as wm

from .assessment import assessment_activity
from .auth import auth_activity
from .course import course_activity
from .notification import notification_activity
from .profile import profile_activity
from .video import video_activity

_ACTIVITY = {
    "auth": auth_activity,
    "assessment": assessment_activity,
    "video": video_activity,
    "course": course_activity,
    "profile": profile_activity,
    "notification": notification_activity,
}

longer = [
    wm.Query(
        f"{topic}_realtime_activity_{label}",
        inputs={"activity": view.at(size, by=[])},
        key=["window_start"],
        time="window_start",
        sql="select * from activity",
    )
    for topic, view in _ACTIVITY.items()
    for label, size in (("15min", "15m"), ("1h", "1h"))
]
tables = [
    wm.Table(q.name, of=q, to="realtime_views", every="30s", freeze="7d", columns=["*", "published_at as processed_at"])
    for q in longer
]
