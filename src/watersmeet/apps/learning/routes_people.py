"""Routes of people: students, users and their sessions, profiles, notifications.

A run of days is from the start of ``start_date`` to the end of ``end_date`` (UTC), both included; without either it is
all time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel

import watersmeet as wm

from .asking import DAY_US, Asking, Day, Id, Limit, Row, Span, days, midnight
from .figures import Answered, Moment

Role = Literal["student", "teacher"]


class StudentCourse(BaseModel):
    """What a student did in one course; null: events that name none."""

    course_id: str | None
    watch_seconds: int = 0
    videos_watched: int = 0
    video_sessions: int = 0
    submissions: int = 0
    quizzes_completed: int = 0
    material_accesses: int = 0
    downloads: int = 0
    enrollments: int = 0


class StudentEngagement(Answered):
    """Total watch time in seconds, logins, submissions, courses enrolled in, and the last event of any kind."""

    student_id: str
    start_date: dt.date | None
    end_date: dt.date | None
    total_watch_time: int
    login_count: int
    submission_count: int
    course_count: int
    last_activity: Moment | None
    courses: list[StudentCourse]


class LoginHour(BaseModel):
    """An hour (UTC) with logins."""

    date: str
    hour: int
    login_count: int


class UserActivity(Answered):
    """Logins and paired sessions of a user; lengths of sessions in minutes, from LOGIN to LOGOUT."""

    user_id: str
    start_date: dt.date | None
    end_date: dt.date | None
    total_logins: int
    failed_logins: int
    total_logouts: int
    unique_sessions: int
    first_activity: Moment | None
    last_activity: Moment | None
    paired_sessions: int
    avg_session_duration_minutes: float | None
    min_session_duration_minutes: float | None
    max_session_duration_minutes: float | None
    total_time_online_minutes: float
    login_hours: list[LoginHour]


class OpenSessions(BaseModel):
    """Sessions of a role with a LOGIN and no LOGOUT so far."""

    role: str | None
    open_sessions: int
    users: int
    oldest_login: Moment | None


class ActiveWindow(BaseModel):
    """Who was active in a window of some minutes."""

    window_start: Moment
    window_end: Moment
    active_users: int
    total_events: int
    login_count: int
    logout_count: int


class ActiveSessions(Answered):
    """Open sessions by role, and the newest five minutes with any event of logging in or out; null: there is none."""

    role: str | None
    total_open_sessions: int
    sessions: list[OpenSessions]
    newest: ActiveWindow | None


class LoginDay(BaseModel):
    """A day (UTC) with logins."""

    date: str
    daily_active_users: int
    total_sessions: int


class LoginPatterns(Answered):
    """The logins of one day; null where nobody logged in; hours, if asked for, only where somebody did."""

    date: dt.date
    day: LoginDay | None
    hours: list[LoginHour] | None


class ProfileDay(BaseModel):
    """Events of one type on a day (UTC)."""

    date: str
    event_type: str
    unique_users: int
    event_count: int


class ProfileField(BaseModel):
    """How often a field was updated."""

    field_name: str
    total_updates: int
    unique_users_updating: int
    last_update: Moment | None


class ProfileActivity(Answered):
    """What a user changed; fields only where they were asked for."""

    user_id: str
    total_profile_updates: int
    avatar_changes_count: int
    first_activity: Moment | None
    last_activity: Moment | None
    days: list[ProfileDay]
    fields: list[ProfileField] | None


class ProfileUser(BaseModel):
    """How often one user updated a profile."""

    user_id: str
    total_profile_updates: int
    avatar_changes: int
    last_activity: Moment


class ProfileUpdates(Answered):
    """Updates of all, of one role, or since a day; users are those with any event of a profile."""

    role: str | None
    start_date: dt.date | None
    total_updates: int
    avatar_changes: int
    unique_users: int
    users: list[ProfileUser]
    fields: list[ProfileField]
    days: list[ProfileDay]


class NotificationType(BaseModel):
    """Notifications of one type; rates out of 100, null where none was sent."""

    notification_type: str
    notifications_received: int
    notifications_viewed: int
    notifications_clicked: int
    view_rate_pct: float | None
    click_rate_pct: float | None


class NotificationActivity(Answered):
    """What a user was sent, opened and clicked."""

    user_id: str
    start_date: dt.date | None
    end_date: dt.date | None
    types: list[NotificationType]


def people(reader: wm.Reader) -> APIRouter:
    """The routes of people."""
    api = APIRouter(prefix="/api/v1", tags=["people"])
    _student_routes(api, reader)
    _user_routes(api, reader)
    _login_routes(api, reader)
    _profile_routes(api, reader)
    return api


def _student_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/student/{student_id}/engagement")
    def student_engagement(student_id: Id, start_date: Day = None, end_date: Day = None) -> StudentEngagement:
        """What a student did in a run of days; courses by id.

        Watch times in seconds. The last activity is the last login, logout, view, submission, viewing or change.
        """
        asked, span, me = Asking(reader, "student engagement"), days(start_date, end_date), {"user_id": student_id}
        studied = asked.over("course_days", span, ["course_id"], me)
        watched = asked.over("video_days", span, ["course_id"], me)
        worked = asked.over("assessment_activity", span, ["course_id"], me)
        visits, changes = asked.one("auth_activity", span, me), asked.one("profile_days", span, me)
        asked.known("student", student_id, studied, watched, worked, visits, changes)
        courses: dict[str | None, Row] = {}
        for rows, names in ((studied, _STUDIED), (watched, _WATCHED), (worked, _WORKED)):
            for row in rows:
                mine = courses.setdefault(row["course_id"], {"course_id": row["course_id"]})
                mine |= {name: row[column] for name, column in names.items()}
        moments = [row["last_event"] for row in (*studied, *watched, *worked, visits, changes) if row]
        return StudentEngagement(
            student_id=student_id,
            start_date=start_date,
            end_date=end_date,
            total_watch_time=sum(row["total_watch_seconds"] for row in watched),
            login_count=visits.get("login_count", 0),
            submission_count=sum(row["submissions"] for row in worked),
            course_count=sum(row["enrollments"] > 0 for row in studied),
            last_activity=max(moments, default=None),
            courses=[StudentCourse(**courses[name]) for name in sorted(courses, key=lambda name: name or "")],
            **asked.basis,
        )


def _user_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/auth/user/{user_id}/activity")
    def user_activity(user_id: Id, start_date: Day = None, end_date: Day = None) -> UserActivity:
        """Logins, logouts and sessions of a user in a run of days; sessions count for the day they began.

        Hours are UTC, those with a login only. Lengths of sessions in minutes.
        """
        asked, span, me = Asking(reader, "user activity"), days(start_date, end_date), {"user_id": user_id}
        total = asked.one("auth_activity", span, me)
        hours = asked.over("auth_activity", span, (), me, every="1h", also=[wm.Filter("login_count", ">", 0)])
        sessions = asked.rows("auth_sessions", me, range=span.bounds)
        asked.known("user", user_id, total)
        minutes = [row["length_ms"] / 60_000 for row in sessions if row["length_ms"] is not None]
        return UserActivity(
            user_id=user_id,
            start_date=start_date,
            end_date=end_date,
            total_logins=total.get("login_count", 0),
            failed_logins=total.get("failed_logins", 0),
            total_logouts=total.get("logout_count", 0),
            unique_sessions=total.get("unique_sessions", 0),
            first_activity=total.get("first_event"),
            last_activity=total.get("last_event"),
            paired_sessions=len(minutes),
            avg_session_duration_minutes=sum(minutes) / len(minutes) if minutes else None,
            min_session_duration_minutes=min(minutes, default=None),
            max_session_duration_minutes=max(minutes, default=None),
            total_time_online_minutes=sum(minutes),
            login_hours=[LoginHour(login_count=row["login_count"], **_hour(row["window_start"])) for row in hours],
            **asked.basis,
        )

    @api.get("/notification/user/{user_id}/activity")
    def notification_activity(user_id: Id, start_date: Day = None, end_date: Day = None) -> NotificationActivity:
        """What a user was sent, opened and clicked in a run of days, by type of notification."""
        asked, span = Asking(reader, "notification activity"), days(start_date, end_date)
        types = asked.over("notification_recipients", span, ["notification_type"], {"user_id": user_id})
        asked.known("user", user_id, types)
        return NotificationActivity(
            user_id=user_id,
            start_date=start_date,
            end_date=end_date,
            types=[NotificationType(**row) for row in types],
            **asked.basis,
        )


def _login_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/auth/sessions/active")
    def active_sessions(role: Role | None = None) -> ActiveSessions:
        """Sessions that are open: a LOGIN in the last seven days, no LOGOUT yet; and the newest five minutes.

        The five minutes (UTC, aligned) are the newest of the last hour with an event of logging in or out.
        """
        asked, mine = Asking(reader, "active sessions"), {"role": role}
        sessions = asked.rows("auth_open_sessions", mine)
        recent = asked.over("auth_activity", asked.last(1), (), mine, every="5m")
        return ActiveSessions(
            role=role,
            total_open_sessions=sum(row["open_sessions"] for row in sessions),
            sessions=[OpenSessions(**row) for row in sessions],
            newest=ActiveWindow(**recent[-1]) if recent else None,
            **asked.basis,
        )

    @api.get("/auth/login-patterns")
    def login_patterns(date: Day = None, hourly: bool = False) -> LoginPatterns:
        """Who logged in on a day (UTC; default today): distinct users and sessions, and by hour if asked."""
        asked = Asking(reader, "login patterns")
        day = asked.day(date)
        bounds = (midnight(day), midnight(day) + DAY_US)
        found = asked.rows("auth_daily_active_users", range=bounds)
        hours = asked.rows("auth_hourly_login_patterns", range=bounds) if hourly else None
        return LoginPatterns(
            date=day,
            day=LoginDay(**found[0]) if found else None,
            hours=None if hours is None else [LoginHour(**row) for row in hours],
            **asked.basis,
        )


def _profile_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/profile/user/{user_id}/activity")
    def profile_activity(user_id: Id, include_updates: bool = True) -> ProfileActivity:
        """What a user changed in the profile, over all time and by day (UTC); which fields, if asked."""
        asked, me = Asking(reader, "profile activity"), {"user_id": user_id}
        total = asked.one("profile_days", Span(), me)
        each = asked.over("profile_days", Span(), ["event_type"], me, every="1d")
        fields = asked.over("profile_field_days", Span(), ["field_name"], me) if include_updates else None
        asked.known("user", user_id, total)
        return ProfileActivity(
            user_id=user_id,
            total_profile_updates=total.get("profile_updates", 0),
            avatar_changes_count=total.get("avatar_changes", 0),
            first_activity=total.get("first_event"),
            last_activity=total.get("last_event"),
            days=[_profile_day(row) for row in each],
            fields=None if fields is None else [ProfileField(**row) for row in fields],
            **asked.basis,
        )

    @api.get("/profile/updates/summary")
    def profile_updates(role: Role | None = None, start_date: Day = None, limit: Limit = 100) -> ProfileUpdates:
        """Changes to profiles since a day (UTC; default all time), of one role if asked.

        ``limit`` is of the users, those with the most updates first; fields and days are all there are.
        """
        asked, span, mine = Asking(reader, "profile updates"), days(start_date, None), {"role": role}
        updated = [wm.Filter("profile_updates", ">", 0)]
        total = asked.one("profile_days", span, mine)
        users = asked.over(
            "profile_days", span, ["user_id"], mine, also=updated, order="-profile_updates,user_id", limit=limit
        )
        fields = asked.over("profile_field_days", span, ["field_name"], mine, order="-total_updates,field_name")
        each = asked.over("profile_days", span, ["event_type"], mine, every="1d")
        return ProfileUpdates(
            role=role,
            start_date=start_date,
            total_updates=total.get("profile_updates", 0),
            avatar_changes=total.get("avatar_changes", 0),
            unique_users=total.get("unique_users", 0),
            users=[
                ProfileUser(
                    user_id=row["user_id"],
                    total_profile_updates=row["profile_updates"],
                    avatar_changes=row["avatar_changes"],
                    last_activity=row["last_event"],
                )
                for row in users
            ],
            fields=[ProfileField(**row) for row in fields],
            days=[_profile_day(row) for row in each],
            **asked.basis,
        )


_STUDIED = {name: name for name in ("material_accesses", "downloads", "enrollments")}
_WATCHED = {"watch_seconds": "total_watch_seconds", "videos_watched": "videos", "video_sessions": "sessions"}
_WORKED = {"submissions": "submissions", "quizzes_completed": "quiz_completions"}


def _hour(start: dt.datetime) -> Mapping[str, Any]:
    return {"date": f"{start:%Y-%m-%d}", "hour": start.hour}


def _profile_day(row: Row) -> ProfileDay:
    return ProfileDay(date=f"{row['window_start']:%Y-%m-%d}", **row)
