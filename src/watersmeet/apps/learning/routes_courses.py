"""Routes of courses and videos: what is watched, opened, downloaded, and how courses come and go.

Watch times are seconds. Figures are of all time where nothing else is said. The last five minutes are those that end
with the minute of now; null if nothing happened in them.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

import watersmeet as wm

from .asking import Asking, Day, Id, Limit, MaybeId, Span, days
from .figures import Answered, Listing, Moment

ItemType = Literal["lesson", "module", "quiz", "assignment", "discussion"]
Stage = Literal["CREATED", "DELETED", "UPDATED", "COMPLETED", "VIEW"]
STAGES: tuple[Stage, ...] = ("CREATED", "DELETED", "UPDATED", "COMPLETED", "VIEW")


class VideoCourse(BaseModel):
    """A video in one course."""

    course_id: str
    total_views: int
    unique_viewers: int
    total_watch_time: int
    completion_rate: float | None


class VideoViewer(BaseModel):
    """Who watched, and how long in all, in seconds."""

    user_id: str
    course_id: str
    total_watch_seconds: int
    total_watch_sessions: int
    avg_watch_duration_seconds: float | None


class LiveVideo(BaseModel):
    """Who watched a video in the last five minutes, and the most who did so at one moment of them."""

    window_start: Moment
    window_end: Moment
    concurrent_viewers: int
    peak_concurrent_viewers: int


class VideoAnalytics(Answered):
    """A video over all time: watch times in seconds, completed viewings out of 100 starts."""

    video_id: str
    course_id: str | None
    total_views: int
    total_watch_time: int
    avg_watch_duration: float | None
    completion_rate: float | None
    unique_viewers: int
    courses: list[VideoCourse]
    viewers: list[VideoViewer]
    last_minutes: LiveVideo | None


class LiveCourse(BaseModel):
    """What happened in a course in the last five minutes."""

    window_start: Moment
    window_end: Moment
    active_students: int
    total_interactions: int
    enrollments: int
    material_accesses: int
    downloads: int


class CourseStudent(BaseModel):
    """What one student did in a course."""

    user_id: str
    enrollments: int
    material_accesses: int
    downloads: int
    event_count: int
    last_event: Moment


class EnrollmentDay(BaseModel):
    """New enrolments in a course on a day (UTC)."""

    date: str
    course_id: str
    new_enrollments: int
    unique_new_students: int


class CourseStatistics(Answered):
    """A course over all time. The mean engagement score is interactions for each student who interacted."""

    course_id: str
    total_enrollments: int
    active_students: int
    material_access_count: int
    download_count: int
    avg_engagement_score: float | None
    enrollment_days: list[EnrollmentDay]
    last_minutes: LiveCourse | None
    students: list[CourseStudent] | None


class Download(BaseModel):
    """Downloads of one material."""

    material_id: str
    total_download_count: int
    unique_downloaders: int


class Downloader(BaseModel):
    """Downloads by one user."""

    user_id: str
    total_downloads: int
    unique_resources_downloaded: int


class Access(BaseModel):
    """Accesses to one material."""

    material_id: str
    material_type: str | None
    total_accesses: int
    unique_accessors: int


class CourseDownloads(Answered):
    """Downloads in a course by material and by user, and accesses to materials."""

    course_id: str
    material_id: str | None
    start_date: dt.date | None
    materials: list[Download]
    users: list[Downloader]
    accesses: list[Access]


class Interaction(BaseModel):
    """What a user did in a course, by type of event and of item."""

    user_id: str
    event_type: str
    item_type: str | None
    event_count: int
    unique_materials: int
    first_event: Moment
    last_event: Moment


class LifecycleDay(BaseModel):
    """Events of one type in the life of a course on a day (UTC)."""

    date: str
    course_id: str
    event_type: str
    unique_users: int
    event_count: int


class Lifecycle(Answered):
    """Courses created, updated, deleted, completed and viewed, by day; enrolments beside."""

    course_id: str | None
    event_type: str | None
    events: list[LifecycleDay]
    enrollments: list[EnrollmentDay]


def courses(reader: wm.Reader) -> APIRouter:
    """The routes of courses and videos."""
    api = APIRouter(prefix="/api/v1", tags=["courses"])
    _video_routes(api, reader)
    _course_routes(api, reader)
    _download_routes(api, reader)
    _interaction_routes(api, reader)
    return api


def _video_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/video/{video_id}/analytics")
    def video_analytics(video_id: Id, course_id: MaybeId = None, limit: Limit = 20) -> VideoAnalytics:
        """How much a video is watched, in all, by course, and now; ``limit`` viewers, the longest watching first.

        The completion rate is completed viewings out of 100; a viewing is complete from 80 % of the video's length, or
        when the player said so. Who watches now is not known by course.
        """
        asked, it = Asking(reader, "video analytics"), {"video_id": video_id, "course_id": course_id}
        total = asked.one("video_activity", Span(), it)
        asked.known("video", video_id, total)
        asked.known("course", course_id, total)
        each = asked.over("video_activity", Span(), ["course_id"], it)
        viewers = asked.rows("video_total_watch_time", it, order="-total_watch_seconds,user_id", limit=limit)
        now = asked.rows("video_realtime_concurrent_viewers", {"video_id": video_id}, range=asked.last_minutes())
        return VideoAnalytics(
            video_id=video_id,
            course_id=course_id,
            total_views=total.get("starts", 0),
            total_watch_time=total.get("total_watch_seconds") or 0,
            avg_watch_duration=total.get("avg_watch_per_start"),
            completion_rate=total.get("completion_rate_pct"),
            unique_viewers=total.get("viewers", 0),
            courses=[
                VideoCourse(
                    course_id=row["course_id"],
                    total_views=row["starts"],
                    unique_viewers=row["viewers"],
                    total_watch_time=row["total_watch_seconds"] or 0,
                    completion_rate=row["completion_rate_pct"],
                )
                for row in each
            ],
            viewers=[VideoViewer(**row) for row in viewers],
            last_minutes=LiveVideo(**now[0]) if now else None,
            **asked.basis,
        )


def _course_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/course/{course_id}/statistics")
    def course_statistics(course_id: Id, include_students: bool = False, limit: Limit = 1000) -> CourseStatistics:
        """A course over all time, its enrolments by day (UTC), and the last five minutes.

        With ``include_students`` what each student did in it, those who did most first, at most ``limit`` of them.
        """
        asked, it = Asking(reader, "course statistics"), {"course_id": course_id}
        found = asked.rows("course_overall_metrics", it)
        total = found[0] if found else {}
        enrolled = asked.rows("course_enrollment_stats", it)
        now = asked.rows("course_realtime_engagement_metrics", it, range=asked.last_minutes())
        students = None
        if include_students:
            theirs = {**it, "role": "student"}
            order = "-event_count,user_id"
            students = asked.over("course_days", Span(), ["user_id"], theirs, order=order, limit=limit)
        asked.known("course", course_id, total)
        return CourseStatistics(
            course_id=course_id,
            total_enrollments=total.get("total_enrollments", 0),
            active_students=total.get("unique_students_interacting", 0),
            material_access_count=total.get("total_material_accesses", 0),
            download_count=total.get("total_downloads", 0),
            avg_engagement_score=total.get("avg_interactions_per_student"),
            enrollment_days=[EnrollmentDay(**row) for row in enrolled],
            last_minutes=LiveCourse(**now[0]) if now else None,
            students=None if students is None else [CourseStudent(**row) for row in students],
            **asked.basis,
        )

    @api.get("/course/lifecycle")
    def course_lifecycle(course_id: MaybeId = None, event_type: Stage | None = None, limit: Limit = 1000) -> Lifecycle:
        """Events in the life of courses, and new enrolments, by day (UTC), newest first; at most ``limit`` of each."""
        asked, order = Asking(reader, "course lifecycle"), "-window_start,course_id"
        kinds = [f"COURSE_{stage}" for stage in ([event_type] if event_type else STAGES)]
        it = {"course_id": course_id, "event_type": kinds}
        events = asked.rows("course_daily_engagement", it, order=f"{order},event_type", limit=limit)
        enrolled = asked.rows("course_enrollment_stats", {"course_id": course_id}, order=order, limit=limit)
        asked.known("course", course_id, events, enrolled)
        return Lifecycle(
            course_id=course_id,
            event_type=event_type,
            events=[LifecycleDay(**row) for row in events],
            enrollments=[EnrollmentDay(**row) for row in enrolled],
            **asked.basis,
        )


def _download_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/course/{course_id}/materials/downloads")
    def material_downloads(
        course_id: Id, material_id: MaybeId = None, start_date: Day = None, limit: Limit = 100
    ) -> CourseDownloads:
        """Downloads in a course since a day (UTC; default all time), by material and by user; accesses beside.

        A clicked item is an access to material. At most ``limit`` rows of each, the most frequent first.
        """
        asked, span = Asking(reader, "material downloads"), days(start_date, None)
        fetched = {"course_id": course_id, "event_type": "DOWNLOAD_MATERIAL", "material_id": material_id}
        opened = {**fetched, "event_type": "ITEM_CLICK"}
        most = "-event_count"
        materials = asked.over("course_days", span, ["material_id"], fetched, order=f"{most},material_id", limit=limit)
        users = asked.over("course_days", span, ["user_id"], fetched, order=f"{most},user_id", limit=limit)
        accesses = asked.over(
            "course_days", span, ["material_id", "item_type"], opened, order=f"{most},material_id", limit=limit
        )
        asked.known("course", course_id, materials, accesses)
        asked.known("material", material_id, materials, accesses)
        return CourseDownloads(
            course_id=course_id,
            material_id=material_id,
            start_date=start_date,
            materials=[
                Download(
                    material_id=row["material_id"],
                    total_download_count=row["event_count"],
                    unique_downloaders=row["unique_users"],
                )
                for row in materials
            ],
            users=[
                Downloader(
                    user_id=row["user_id"],
                    total_downloads=row["event_count"],
                    unique_resources_downloaded=row["unique_materials"],
                )
                for row in users
            ],
            accesses=[
                Access(
                    material_id=row["material_id"],
                    material_type=row["item_type"],
                    total_accesses=row["event_count"],
                    unique_accessors=row["unique_users"],
                )
                for row in accesses
            ],
            **asked.basis,
        )


def _interaction_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/course/{course_id}/interactions")
    def course_interactions(
        course_id: Id, student_id: MaybeId = None, item_type: ItemType | None = None, limit: Limit = 1000
    ) -> Listing[Interaction]:
        """Who did what in a course over all time: a row a user, type of event and of item, at most ``limit``.

        With ``item_type`` clicks on items of that type only. In order of user and type.
        """
        asked = Asking(reader, "course interactions")
        where = {"course_id": course_id, "user_id": student_id, "item_type": item_type}
        rows = asked.over("course_days", Span(), ["user_id", "event_type", "item_type"], where, limit=limit)
        asked.known("course", course_id, rows)
        asked.known("student", student_id, rows)
        return Listing(rows=[Interaction(**row) for row in rows], **asked.basis)
