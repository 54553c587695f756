"""A day of comings and goings, and what each view must make of it, worked out by hand."""

from __future__ import annotations

import watersmeet as wm

from . import auth as views
from . import topics

DAY = 1_765_756_800_000  # 2025-12-15T00:00:00Z
DATE, NEXT = "2025-12-15", "2025-12-16"


def at(clock: str) -> int:
    """Milliseconds of a time of that day, such as ``"12:00:10"``; hours go on after 23."""
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return DAY + 1000 * (3600 * hours + 60 * minutes + seconds)


def event(user: str, kind: str, clock: str, session: str | None = None, **more: object) -> dict[str, object]:
    """An event of AUTH; its id says who, what and when, so that the same call makes a copy."""
    return {
        "event_id": f"{user}-{kind}-{clock}-{session}",
        "event_category": "AUTH",
        "event_type": kind,
        "user_id": user,
        "role": "teacher" if user.startswith("G") else "student",
        "timestamp": at(clock),
        **({"session_id": session} if session else {}),
        **more,
    }


STORY = [
    event("SV001", "LOGIN", "12:00:10", "s1"),
    event("SV002", "LOGIN", "12:00:20", success=False),
    event("SV002", "LOGIN", "12:00:50", success=False),
    event("SV001", "LOGIN", "12:00:10", "s1"),  # sent twice
    event("SV001", "LOGOUT", "12:06:10", "s1"),
    event("SV003", "SIGNUP", "12:04:59", email="sv003@university.edu", registration_source="web"),
    event("SV002", "LOGIN", "12:01:00", "s2", success=True),  # late: later ones are here already
    event("SV002", "LOGOUT", "13:31:00", "s2"),
    event("GV001", "LOGIN", "23:59:30", "s3"),
    event("GV001", "LOGOUT", "24:00:00", "s9"),  # of a session that nobody saw begin
]

# s1 lasts 6:00, s4 10:30 and s2 90:00; s3 goes on; s9 has no LOGIN; the clock of s5 ran backwards
SESSIONS = [
    *STORY,
    event("SV001", "LOGIN", "15:00:00", "s4"),
    event("SV001", "LOGOUT", "15:10:30", "s4"),
    event("SV003", "LOGOUT", "11:00:00", "s5"),
    event("SV003", "LOGIN", "12:00:00", "s5"),
]


def _minute(clock: str) -> dict[str, object]:
    return {"window_start": at(f"{clock}:00") * 1000, "window_end": (at(f"{clock}:00") + 60_000) * 1000}


def _five(clock: str) -> dict[str, object]:
    return {"window_start": at(f"{clock}:00") * 1000, "window_end": (at(f"{clock}:00") + 300_000) * 1000}


def _time(clock: str) -> int:
    return at(clock) * 1000


examples = [
    wm.Example(
        of=topics.auth,
        given=[*STORY, {**event("SV001", "LOGIN", "12:00:10"), "event_id": "no session"}],
        expect=[{"used": 9, "duplicates": 1, "dead": 1, "filtered": 0}],
    ),
    # 12:00 holds one LOGIN of SV001, whose copy does not count, and two of SV002
    wm.Example(
        of=views.active_users_1min,
        given=STORY,
        expect=[
            {**_minute(clock), "active_users": users, "total_events": n, "login_count": ins, "logout_count": outs}
            for clock, users, n, ins, outs in (
                ("12:00", 2, 3, 3, 0),
                ("12:01", 1, 1, 1, 0),
                ("12:04", 1, 1, 0, 0),
                ("12:06", 1, 1, 0, 1),
                ("13:31", 1, 1, 0, 1),
                ("23:59", 1, 1, 1, 0),
                ("24:00", 1, 1, 0, 1),
            )
        ],
    ),
    # 12:00–12:05: SV001 once, SV002 three times, the SIGNUP of SV003 one second before the end
    wm.Example(
        of=views.active_users_5min,
        given=STORY,
        expect=[
            {
                **_five(clock),
                "active_users": users,
                "total_events": n,
                "login_count": ins,
                "logout_count": outs,
                "register_count": new,
            }
            for clock, users, n, ins, outs, new in (
                ("12:00", 3, 5, 4, 0, 1),
                ("12:05", 1, 1, 0, 1, 0),
                ("13:30", 1, 1, 0, 1, 0),
                ("23:55", 1, 1, 1, 0, 0),
                ("24:00", 1, 1, 0, 1, 0),
            )
        ],
    ),
    # one of three succeeds: 33.33 %; a LOGIN that says nothing of success succeeds; no row without a LOGIN
    wm.Example(
        of=views.login_rate,
        given=STORY,
        expect=[
            {
                **_minute(clock),
                "total_logins": n,
                "successful_logins": good,
                "failed_logins": bad,
                "unique_users": users,
                "success_rate_pct": rate,
            }
            for clock, n, good, bad, users, rate in (
                ("12:00", 3, 1, 2, 2, 33.33),
                ("12:01", 1, 1, 0, 1, 100.0),
                ("23:59", 1, 1, 0, 1, 100.0),
            )
        ],
    ),
    # LOGIN 12:00:10 is in the windows from 11:56 to 12:00, LOGOUT 12:03:20 in those from 11:59 to 12:03; both are in
    # two of them, 190 s apart. The session of 190 s ends in each window with the LOGOUT, even where its LOGIN is not.
    wm.Example(
        of=views.session_activity,
        given=[event("SV001", "LOGIN", "12:00:10", "s1"), event("SV001", "LOGOUT", "12:03:20", "s1")],
        expect=[
            {
                **_five(clock),
                "user_id": "SV001",
                "event_count": ins + outs,
                "first_event": _time("12:00:10" if ins else "12:03:20"),
                "last_event": _time("12:03:20" if outs else "12:00:10"),
                "logins": ins,
                "logouts": outs,
                "session_duration_seconds": span,
                "sessions_ended": outs,
                "true_session_seconds": 190 if outs else None,
            }
            for clock, ins, outs, span in (
                ("11:56", 1, 0, 0),
                ("11:57", 1, 0, 0),
                ("11:58", 1, 0, 0),
                ("11:59", 1, 1, 190),
                ("12:00", 1, 1, 190),
                ("12:01", 0, 1, 0),
                ("12:02", 0, 1, 0),
                ("12:03", 0, 1, 0),
            )
        ],
    ),
    wm.Example(
        of=views.failed_logins,
        given=STORY,
        expect=[
            {
                **_minute("12:00"),
                "user_id": "SV002",
                "failed_attempt_count": 2,
                "first_failed_attempt": _time("12:00:20"),
                "last_failed_attempt": _time("12:00:50"),
            }
        ],
    ),
    # LOGINs are by SV001, SV002 and GV001, in s1, s2 and s3; the next day has a LOGOUT only
    wm.Example(
        of=views.daily_active_users,
        given=STORY,
        expect=[{"date": DATE, "daily_active_users": 3, "total_sessions": 3}],
    ),
    wm.Example(
        of=views.hourly_login_patterns,
        given=STORY,
        expect=[{"date": DATE, "hour": 12, "login_count": 4}, {"date": DATE, "hour": 23, "login_count": 1}],
    ),
    # SV001: (6 + 10.5) / 2 = 8.25 minutes
    wm.Example(
        of=views.user_session_metrics,
        given=SESSIONS,
        expect=[
            {
                "user_id": user,
                "total_sessions": n,
                "avg_session_duration_minutes": mean,
                "min_session_duration_minutes": least,
                "max_session_duration_minutes": most,
                "total_time_online_minutes": total,
            }
            for user, n, mean, least, most, total in (
                ("SV001", 2, 8.25, 6.0, 10.5, 16.5),
                ("SV002", 1, 90.0, 90.0, 90.0, 90.0),
            )
        ],
    ),
    # GV001 logs in to s3 and out of s9; a SIGNUP has no session
    wm.Example(
        of=views.user_activity_summary,
        given=STORY,
        expect=[
            {
                "user_id": user,
                "role": "teacher" if user == "GV001" else "student",
                "total_logins": ins,
                "total_logouts": outs,
                "first_activity": _time(first),
                "last_activity": _time(last),
                "unique_sessions": sessions,
                "total_events": n,
            }
            for user, ins, outs, first, last, sessions, n in (
                ("GV001", 1, 1, "23:59:30", "24:00:00", 2, 2),
                ("SV001", 1, 1, "12:00:10", "12:06:10", 1, 2),
                ("SV002", 3, 1, "12:00:20", "13:31:00", 1, 4),
                ("SV003", 0, 0, "12:04:59", "12:04:59", 0, 1),
            )
        ],
    ),
    wm.Example(
        of=views.registration_analytics,
        given=STORY,
        expect=[{"date": DATE, "registration_source": "web", "role": "student", "new_signups": 1}],
    ),
    # 3 of 5 LOGINs succeed; the next day has none, and so no rate
    wm.Example(
        of=views.daily_activity,
        given=STORY,
        expect=[
            {
                "date": DATE,
                "active_users": 4,
                "total_events": 8,
                "login_count": 5,
                "logout_count": 2,
                "register_count": 1,
                "successful_logins": 3,
                "failed_logins": 2,
                "unique_users": 3,
                "success_rate_pct": 60.0,
            },
            {"date": NEXT, "active_users": 1, "total_events": 1, "login_count": 0, "success_rate_pct": None},
        ],
    ),
    wm.Example(
        of=views.failed_login_summary,
        given=STORY,
        expect=[
            {
                "user_id": "SV002",
                "failed_attempt_count": 2,
                "first_failed_attempt": _time("12:00:20"),
                "last_failed_attempt": _time("12:00:50"),
            }
        ],
    ),
    wm.Example(
        of=views.open_sessions,
        given=STORY,
        expect=[{"role": "teacher", "open_sessions": 1, "users": 1, "oldest_login": _time("23:59:30")}],
    ),
]
