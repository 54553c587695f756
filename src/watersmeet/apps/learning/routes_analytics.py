"""Routes of the dashboard: tables of courses and students, and what goes on in the last hours.

They keep the paths that told batch from speed apart. Each answers with both layers as one all the same; the paths only
say what is asked for, the figures of all time or those of the last ``hours``. These end now and begin with a whole
minute (UTC).
"""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
from fastapi import APIRouter
from pydantic import BaseModel

import watersmeet as wm

from .asking import DAY_US, STALE_SECONDS, Asking, Hours, Id, Limit, Span, health
from .figures import Answered, Listing, Moment
from .routes_people import ActiveWindow, LoginDay


class BatchSummary(Answered):
    """How many students and courses any event has named, and how far the batch layer has come.

    ``batch_last_run`` is the newest event that its last run took in; null before the first. ``batch_epochs`` counts, by
    topic, the sealed stretches of the log that it has published.
    """

    total_students: int
    total_courses: int
    batch_last_run: Moment | None
    batch_epochs: dict[str, int]


class EngagementDistribution(Answered):
    """Enrolled students by videos, submissions and logins in all: over 50, 10 to 50, 1 to 9, none."""

    highly_active: int
    moderately_active: int
    low_activity: int
    inactive: int


class AllActivity(Answered):
    """Videos watched and materials downloaded, over all time."""

    total_videos_watched: int
    total_materials_downloaded: int


class CourseOverview(BaseModel):
    """A course that somebody enrolled in, over all time."""

    course_id: str
    total_enrolled_students: int
    total_videos_watched: int
    total_materials_downloaded: int


class StudentOverview(BaseModel):
    """A student who enrolled in a course, over all time; the mean score is in points."""

    student_id: str
    total_courses_enrolled: int
    total_videos_watched: int
    total_assignments_submitted: int
    avg_assignment_score: float | None
    total_logins: int


class Enrollment(BaseModel):
    """A student in a course: since the first enrolment; the mean score is in points."""

    student_id: str
    course_id: str
    enrollment_date: Moment
    enrollments: int
    videos_watched: int
    assignments_submitted: int
    avg_score: float | None


class StudentInCourse(BaseModel):
    """What a student did in a course; ``last_activity_date`` is of the course's own events."""

    student_id: str
    course_id: str
    videos_watched: int
    watch_time_minutes: float
    materials_downloaded: int
    last_activity_date: Moment | None


class CourseFigures(Answered):
    """One course."""

    course: CourseOverview


class StudentFigures(Answered):
    """One student."""

    student: StudentOverview


class StudentInCourseFigures(Answered):
    """One student in one course."""

    detail: StudentInCourse


class SpeedSummary(Answered):
    """Users of the newest minute with an event of logging in or out, courses of the last hour, and how fresh that is.

    ``status`` is ``healthy`` if that minute began less than five minutes ago, else ``stale``; ``incomplete`` or
    ``mismatch`` where the receipt says so; ``empty`` if there was none in 24 hours.
    """

    current_users: int | None
    window_start: Moment | None
    window_end: Moment | None
    active_courses: int
    status: str


class HoursActivity(Answered):
    """Viewings of videos, and events in courses, in the last hours."""

    hours: int
    total_views: int
    total_interactions: int


class ActiveUsers(Listing[ActiveWindow]):
    """Minutes with any event, oldest first; peak and mean of the minutes listed, null if none is."""

    hours: int
    peak_active_users: int | None
    mean_active_users: float | None


class LatestActiveUsers(Answered):
    """The newest minute of the last 24 hours with any event; null if there is none."""

    latest: ActiveWindow | None


class PopularCourse(BaseModel):
    """Events in a course, and its views, in the last hours."""

    course_id: str
    interactions: int
    views: int
    active_students: int


class PopularVideo(BaseModel):
    """Viewings of a video in the last hours; watch time in seconds."""

    video_id: str
    views: int
    unique_viewers: int
    total_watch_seconds: int


def analytics(reader: wm.Reader) -> APIRouter:
    """The routes of the dashboard."""
    api = APIRouter(prefix="/analytics", tags=["analytics"])
    _history_routes(api, reader)
    _course_routes(api, reader)
    _student_routes(api, reader)
    _recent_routes(api, reader)
    _popular_routes(api, reader)
    return api


def _history_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/batch/summary")
    def batch_summary() -> BatchSummary:
        """How many students and courses there are, and how far the batch layer has come; all time."""
        asked = Asking(reader, "batch summary")
        totals = {row["kind"]: row["total"] for row in asked.rows("campus_totals")}
        taken = [_newest_of_batch(reader, view) for view in _TIMED]
        return BatchSummary(
            total_students=totals["students"],
            total_courses=totals["courses"],
            batch_last_run=max((at for at in taken if at is not None), default=None),
            batch_epochs={name: rest.epochs for name, rest in asked.rest.topics.items()},
            **asked.basis,
        )

    @api.get("/batch/student_engagement_distribution")
    def engagement_distribution() -> EngagementDistribution:
        """How many enrolled students do how much, over all time."""
        asked = Asking(reader, "student engagement distribution")
        levels = {row["level"]: row["students"] for row in asked.rows("student_engagement_distribution")}
        return EngagementDistribution(**levels, **asked.basis)

    @api.get("/batch/dau")
    def daily_active_users(hours: Hours = 6) -> Listing[LoginDay]:
        """Daily active users of each day (UTC) that the last hours touch, oldest first; days without are absent."""
        asked = Asking(reader, "daily active users")
        lower_us, upper_us = asked.last(hours).bounds or (0, 0)
        rows = asked.rows("auth_daily_active_users", range=(lower_us // DAY_US * DAY_US, upper_us))
        return Listing(rows=[LoginDay(**row) for row in rows], **asked.basis)

    @api.get("/batch/recent_activity")
    def all_activity() -> AllActivity:
        """Videos watched and materials downloaded, over all time."""
        asked = Asking(reader, "activity")
        watched, studied = asked.one("video_activity", Span()), asked.one("course_activity", Span())
        return AllActivity(
            total_videos_watched=watched.get("starts", 0),
            total_materials_downloaded=studied.get("downloads", 0),
            **asked.basis,
        )


def _course_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/courses")
    def courses(limit: Limit = 1000) -> Listing[CourseOverview]:
        """Courses that somebody enrolled in, over all time, by id."""
        asked = Asking(reader, "courses")
        rows = asked.rows("course_overview", limit=limit)
        return Listing(rows=[CourseOverview(**row) for row in rows], **asked.basis)

    @api.get("/course/{course_id}")
    def course(course_id: Id) -> CourseFigures:
        """One course over all time; 404 if nobody ever enrolled in it."""
        asked = Asking(reader, "course")
        rows = asked.rows("course_overview", {"course_id": course_id})
        if not rows:
            raise wm.RequestError(f"course {course_id!r}", kind="unknown", expected="one that somebody enrolled in")
        return CourseFigures(course=CourseOverview(**rows[0]), **asked.basis)

    @api.get("/course/{course_id}/students")
    def course_students(course_id: Id, limit: Limit = 1000) -> Listing[Enrollment]:
        """Who is enrolled in a course, and how far they came, over all time, by student."""
        asked = Asking(reader, "students of a course")
        rows = asked.rows("student_course_enrollment", {"course_id": course_id}, limit=limit)
        asked.known("course", course_id, rows)
        return Listing(rows=[Enrollment(**row) for row in rows], **asked.basis)


def _student_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/students")
    def students(limit: Limit = 1000) -> Listing[StudentOverview]:
        """Students who enrolled in a course, over all time, by id."""
        asked = Asking(reader, "students")
        rows = asked.rows("student_overview", limit=limit)
        return Listing(rows=[StudentOverview(**row) for row in rows], **asked.basis)

    @api.get("/student/{student_id}")
    def student(student_id: Id) -> StudentFigures:
        """One student over all time; 404 for one who never enrolled in a course."""
        asked = Asking(reader, "student")
        rows = asked.rows("student_overview", {"student_id": student_id})
        if not rows:
            raise wm.RequestError(f"student {student_id!r}", kind="unknown", expected="one who enrolled in a course")
        return StudentFigures(student=StudentOverview(**rows[0]), **asked.basis)

    @api.get("/student/{student_id}/courses")
    def student_courses(student_id: Id, limit: Limit = 1000) -> Listing[Enrollment]:
        """The courses that a student enrolled in, and how far the student came, over all time, by course."""
        asked = Asking(reader, "courses of a student")
        rows = asked.rows("student_course_enrollment", {"student_id": student_id}, limit=limit)
        asked.known("student", student_id, rows)
        return Listing(rows=[Enrollment(**row) for row in rows], **asked.basis)

    @api.get("/student/{student_id}/course/{course_id}")
    def student_course(student_id: Id, course_id: Id) -> StudentInCourseFigures:
        """What a student did in a course, over all time; 404 if that is nothing."""
        asked = Asking(reader, "student in a course")
        rows = asked.rows("student_course_detailed", {"student_id": student_id, "course_id": course_id})
        if not rows:
            raise wm.RequestError(
                f"student {student_id!r} in course {course_id!r}",
                kind="unknown",
                expected="one who did something in it",
            )
        return StudentInCourseFigures(detail=StudentInCourse(**rows[0]), **asked.basis)


def _recent_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/speed/summary")
    def speed_summary() -> SpeedSummary:
        """Who is there now, how many courses were active in the last hour, and whether that is fresh."""
        asked = Asking(reader, "speed summary")
        newest, studied = _latest(asked), asked.one("course_activity", asked.last(1))
        status = health(asked.rest)
        if status not in ("incomplete", "mismatch"):
            status = "empty"
            if newest is not None:
                age = asked.now_us() / 1e6 - newest.window_start.timestamp()
                status = "healthy" if age < STALE_SECONDS else "stale"
        return SpeedSummary(
            current_users=None if newest is None else newest.active_users,
            window_start=None if newest is None else newest.window_start,
            window_end=None if newest is None else newest.window_end,
            active_courses=studied.get("active_courses", 0),
            status=status,
            **asked.basis,
        )

    @api.get("/speed/recent_activity")
    def recent_activity(hours: Hours = 1) -> HoursActivity:
        """Viewings of videos, and events in courses, in the last hours."""
        asked = Asking(reader, "recent activity")
        span = asked.last(hours)
        watched, studied = asked.one("video_activity", span), asked.one("course_activity", span)
        return HoursActivity(
            hours=hours,
            total_views=watched.get("starts", 0),
            total_interactions=studied.get("total_interactions", 0),
            **asked.basis,
        )

    @api.get("/speed/active_users")
    def active_users(hours: Hours = 6) -> ActiveUsers:
        """Active users by minute (UTC) in the last hours; minutes without an event of logging in or out are absent."""
        asked = Asking(reader, "active users")
        rows = asked.rows("auth_realtime_active_users_1min", range=asked.last(hours).bounds)
        counts = [row["active_users"] for row in rows]
        return ActiveUsers(
            hours=hours,
            rows=[ActiveWindow(**row) for row in rows],
            peak_active_users=max(counts, default=None),
            mean_active_users=sum(counts) / len(counts) if counts else None,
            **asked.basis,
        )

    @api.get("/speed/active_users/latest")
    def latest_active_users() -> LatestActiveUsers:
        """Active users of the newest minute (UTC) with an event of logging in or out, of the last 24 hours."""
        asked = Asking(reader, "latest active users")
        return LatestActiveUsers(latest=_latest(asked), **asked.basis)


def _popular_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/speed/course_popularity")
    def course_popularity(limit: Limit = 10, hours: Hours = 24) -> Listing[PopularCourse]:
        """The courses with the most events in the last hours, those first."""
        asked = Asking(reader, "course popularity")
        span, order = asked.last(hours), "-total_interactions,course_id"
        rows = asked.over("course_activity", span, ["course_id"], order=order, limit=limit)
        top = {"course_id": [row["course_id"] for row in rows], "event_type": "COURSE_VIEW"}
        seen = asked.over("course_activity", span, (), top) if rows else []
        views = {row["course_id"]: row["total_interactions"] for row in seen}
        return Listing(
            rows=[
                PopularCourse(
                    course_id=row["course_id"],
                    interactions=row["total_interactions"],
                    views=views.get(row["course_id"], 0),
                    active_students=row["active_students"],
                )
                for row in rows
            ],
            **asked.basis,
        )

    @api.get("/speed/video")
    def video_popularity(limit: Limit = 20, hours: Hours = 1) -> Listing[PopularVideo]:
        """The videos with the most viewings in the last hours, those first."""
        asked = Asking(reader, "video popularity")
        watched = [wm.Filter("starts", ">", 0)]
        rows = asked.over(
            "video_activity", asked.last(hours), ["video_id"], also=watched, order="-starts,video_id", limit=limit
        )
        return Listing(
            rows=[
                PopularVideo(
                    video_id=row["video_id"],
                    views=row["starts"],
                    unique_viewers=row["viewers"],
                    total_watch_seconds=row["total_watch_seconds"],
                )
                for row in rows
            ],
            **asked.basis,
        )


_TIMED = ("auth_activity", "assessment_activity", "video_days", "course_days", "profile_days", "notification_times")
"""Of each topic, a view that knows the newest event."""


def _newest_of_batch(reader: wm.Reader, view: str) -> dt.datetime | None:
    """The newest event that the batch layer has of a view's topic."""
    rows = reader.read(wm.Request(view, window=None, by=[], layer="batch")).rows
    found = pa.table(rows).to_pylist()
    return found[0]["last_event"] if found else None


def _latest(asked: Asking) -> ActiveWindow | None:
    rows = asked.rows("auth_realtime_active_users_1min", range=asked.last(24).bounds)
    return ActiveWindow(**rows[-1]) if rows else None
