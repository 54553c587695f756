"""The app's own routes: every figure by the path under which it is asked for, and the campus as a whole.

Each answer is read from applied views by name, both layers as one, and carries a ``receipt`` that says what it rests
on. An id that no record has named is 404; one that has nothing to show for what was asked gets zeros, nulls and empty
lists. Nothing is made up: where nothing is known, there is null.

    routes.py             the card, health, the catalogue, the overview
    routes_people.py      students, users, sessions, profiles, notifications
    routes_assessment.py  submissions, quizzes, assignments, teachers
    routes_courses.py     videos, courses, materials
    routes_analytics.py   what dashboards show
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

import watersmeet as wm

from . import assessment, auth, course, days, notification, overview, profile, video
from .asking import DAY_US, Asking, Day, health, midnight, pulse
from .figures import Answered
from .routes_analytics import analytics
from .routes_assessment import assessment as assessment_routes
from .routes_courses import courses
from .routes_people import people

_MODULES = (auth, assessment, video, course, profile, notification, overview, days)
VIEWS: tuple[tuple[Literal["realtime", "batch"], wm.Query], ...] = (
    *(("realtime", query) for module in _MODULES for query in getattr(module, "realtime", ())),
    *(("batch", query) for module in _MODULES for query in module.batch),
)
"""Every view by the layer that its figures used to come from."""


class Card(BaseModel):
    """What this is, and where to go on."""

    service: str
    description: str
    documentation: str
    health: str
    routes: list[str]


class TopicHealth(BaseModel):
    """One topic; the freshness is the age of the newest record taken, in seconds, null before the first."""

    status: str
    unread: int
    batch_epochs: int
    speed_slices: int
    freshness_seconds: float | None
    watermark_us: int | None
    late: int
    dead: int
    duplicates: int


class Health(Answered):
    """The worst of all that is read: see the route."""

    status: str
    topics: dict[str, TopicHealth]
    views_available: int
    views_unavailable: dict[str, str]


class ViewCard(BaseModel):
    """One view: which layer its figures came from, its row identity, its time, and whether what it rests on answers."""

    name: str
    layer: Literal["realtime", "batch"]
    topics: list[str]
    key: list[str]
    time: str | None
    columns: list[str]
    available: bool
    reason: str | None
    rows: str


class Catalogue(Answered):
    """Every view, real-time ones first."""

    total: int
    views: list[ViewCard]


class DashboardOverview(Answered):
    """The campus: everybody and every course that any event has named, and one day (UTC)."""

    date: dt.date
    total_students: int
    total_teachers: int
    total_courses: int
    daily_active_users: int
    total_events_today: int
    events_by_category: dict[str, int]
    system_health: str


def routes(reader: wm.Reader) -> APIRouter:
    """All routes of the app; mounted behind the keys and limits of the API."""
    api = APIRouter()
    parts = (people(reader), assessment_routes(reader), courses(reader), analytics(reader), _campus(reader))
    for part in parts:
        api.include_router(part)
    paths = sorted({route.path for part in parts for route in part.routes if hasattr(route, "path")})

    @api.get("/", tags=["campus"])
    def card() -> Card:
        """What this is, and where to go on."""
        return Card(
            service="learning",
            description="What is handed in, watched, opened and read on a campus: batch and speed as one number.",
            documentation="/openapi.json",
            health="/health",
            routes=paths,
        )

    return api


def _campus(reader: wm.Reader) -> APIRouter:
    api = APIRouter(tags=["campus"])
    _health_routes(api, reader)
    _overview_routes(api, reader)
    return api


def _health_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/health")
    @api.get("/api/v1/health")
    def state() -> Health:
        """How every topic does and whether every view answers, found out by reading.

        ``unavailable``: a view does not answer. ``incomplete``: records are missing. ``mismatch``: the layers disagree.
        ``behind``: records wait, and none was taken for five minutes. ``stale``: none came for five minutes. ``empty``:
        none ever came. Else ``healthy``.
        """
        asked = Asking(reader, "health")
        complaints = {card.name: card.reason for card in _cards(asked) if card.reason is not None}
        receipt = asked.rest
        topics = {
            name: TopicHealth(
                status="incomplete" if rest.missing else pulse(receipt, name),
                unread=rest.unread,
                batch_epochs=rest.epochs,
                speed_slices=rest.slices,
                freshness_seconds=None if rest.arrival_us is None else (receipt.as_of_us - rest.arrival_us) / 1e6,
                watermark_us=rest.watermark_us,
                late=rest.late,
                dead=rest.dead,
                duplicates=rest.duplicates,
            )
            for name, rest in sorted(receipt.topics.items())
        }
        return Health(
            status="unavailable" if complaints else health(receipt),
            topics=topics,
            views_available=len(VIEWS) - len(complaints),
            views_unavailable=complaints,
            **asked.basis,
        )

    @api.get("/api/v1/views/list")
    def catalogue() -> Catalogue:
        """Every view, where its rows are, and whether it answers."""
        asked = Asking(reader, "views")
        cards = _cards(asked)
        return Catalogue(total=len(cards), views=cards, **asked.basis)


def _overview_routes(api: APIRouter, reader: wm.Reader) -> None:
    @api.get("/api/v1/dashboard/overview")
    def dashboard_overview(date: Day = None) -> DashboardOverview:
        """The campus in all, and a day of it (UTC; default today): who logged in, and the events of all categories.

        The health is that of the topics: see the route of health.
        """
        asked = Asking(reader, "dashboard overview")
        totals = {row["kind"]: row["total"] for row in asked.rows("campus_totals")}
        day = asked.day(date)
        bounds = (midnight(day), midnight(day) + DAY_US)
        users = asked.rows("auth_daily_active_users", range=bounds)
        events = {row["category"]: row["total_events"] for row in asked.rows("campus_days", range=bounds)}
        return DashboardOverview(
            date=day,
            total_students=totals["students"],
            total_teachers=totals["teachers"],
            total_courses=totals["courses"],
            daily_active_users=users[0]["daily_active_users"] if users else 0,
            total_events_today=sum(events.values()),
            events_by_category=events,
            system_health=health(asked.rest),
            **asked.basis,
        )


def _cards(asked: Asking) -> list[ViewCard]:
    """A card for every view; each view that one rests on is read once."""
    roots = {view.root.name: view.root for _, query in VIEWS for view in query.views}
    reasons = {name: asked.probe(root) for name, root in roots.items()}
    out = []
    for layer, query in VIEWS:
        complaints = {reason for view in query.views if (reason := reasons[view.root.name]) is not None}
        out.append(
            ViewCard(
                name=query.name,
                layer=layer,
                topics=sorted({view.topic.name for view in query.views}),
                key=list(query.key),
                time=query.time,
                columns=list(query.lineage.columns or ()),
                available=not complaints,
                reason="; ".join(sorted(complaints)) or None,
                rows=f"/v1/views/{query.name}/rows",
            )
        )
    return out
