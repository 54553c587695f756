"""The learning demo: a campus that is simulated, on a clock that runs ahead."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import RenderableType

from watersmeet.apps.learning.simulation import RATE, CampusSource
from watersmeet.core.engine import Order
from watersmeet.core.errors import PendingError
from watersmeet.core.reader import Layer, Request
from watersmeet.runtime.node import Node

from . import stage
from .output import cell
from .stage import Figures, Row, Stage

SHOWN = 6
LATELY_US = 1_800_000_000
LOGINS = ("login_count", "successful_logins", "failed_logins")
SIMULATED = (
    "The campus, its people and what they do are simulated, by a seed; nothing of it is real.",
    "2 % of the events arrive up to an hour late, 1 % twice, 0.2 % are followed by a broken copy, as the counts show.",
)


@contextmanager
def playing() -> Iterator[Stage]:
    """A stage on a campus that opened six hours before the first look."""
    clock = stage.scaled()
    with stage.temporary() as directory:
        source = CampusSource(clock)
        node = stage.node("learning", directory, clock, [source], factor=stage.FACTOR, tables=False)
        facts = {"events_per_event_second": RATE}
        yield Stage("learning", node, clock, stage.FACTOR, "a simulated campus", facts, SIMULATED, figures)


def figures(node: Node) -> Figures:
    """Who is there, what waits for grading, who watches, what is clicked, what is out of order."""
    pulse: Row = {}
    queue: list[Row] = []
    clicks: list[Row] = []
    logins: dict[Layer, Row] = {}
    with contextlib.suppress(PendingError):  # the first slice of a topic is not there yet; the next look has it
        pulse = _pulse(node)
    with contextlib.suppress(PendingError):
        queue = _queue(node)
        clicks = stage.rows(node, Request("notification_click_through_rate", order=(Order("total_sent", True),)))
        logins = _logins(node)
    active = [alert for alert in node.alerts.active() if alert["state"] in ("firing", "resolving")]
    tables = [_pulse_table(pulse), _queue_table(queue), _clicks_table(clicks)]
    tables += [_logins_table(logins)] if logins else []
    tables += [_alerts_table(active)] if active else []
    document = {
        "answer": {"view": "auth_activity", **{str(layer): row for layer, row in logins.items()}},
        "now": pulse,
        "grading_queue": queue,
        "click_through": clicks,
        "alerts": [{name: alert[name] for name in ("alert", "labels", "state")} for alert in active],
    }
    return Figures(bool(pulse.get("active_users")), tables, document)


def _lately(node: Node, name: str) -> list[Row]:
    """The rows of the newest window of the last half hour."""
    now_us = node.parts.clock.now_us()
    found = stage.rows(node, Request(name, (now_us - LATELY_US, None)))
    newest = max((row["window_start"] for row in found), default=None, key=str)
    return [row for row in found if row["window_start"] == newest]


def _pulse(node: Node) -> Row:
    users, courses = (
        _lately(node, "auth_realtime_active_users_5min"),
        _lately(node, "course_realtime_active_courses_1min"),
    )
    sessions = stage.rows(node, Request("auth_sessions_now"))
    viewers = _lately(node, "video_realtime_concurrent_viewers")
    backlog = _lately(node, "assessment_grading_backlog")
    return {
        "active_users": users[0]["active_users"] if users else None,
        "open_sessions": sessions[0]["open_sessions"] if sessions else None,
        "active_courses": courses[0]["active_courses"] if courses else None,
        "concurrent_viewers": sum(int(str(row["concurrent_viewers"])) for row in viewers),
        "pending_grading": backlog[0]["pending_grading"] if backlog else None,
    }


def _queue(node: Node) -> list[Row]:
    waiting = [row for row in _lately(node, "assessment_realtime_grading_queue") if row["pending_grading"]]
    return sorted(waiting, key=lambda row: (-int(str(row["pending_grading"])), str(row["assignment_id"])))[:SHOWN]


def _logins(node: Node) -> dict[Layer, Row]:
    """The logins so far, as each layer and both together see them."""
    view = node.declarations().views["auth_activity"].at(None, by=[])
    found: dict[Layer, Row] = {}
    layers: tuple[Layer, ...] = ("batch", "speed", "merged")
    for layer in layers:
        rows = stage.rows(node, Request(view, layer=layer))
        if not rows:
            return {}
        found[layer] = {name: rows[0][name] for name in LOGINS}
    return found


def _pulse_table(pulse: Row) -> RenderableType:
    made = stage.table("The campus now", *(name.replace("_", " ") for name in pulse))
    made.add_row(*(cell(value) for value in pulse.values()))
    return made


def _queue_table(queue: list[Row]) -> RenderableType:
    names = ("assignment_id", "pending_grading", "submissions", "graded")
    made = stage.table("Most work waiting for grading", *(name.replace("_", " ") for name in names))
    for row in queue:
        made.add_row(*(cell(row[name]) for name in names))
    return made


def _clicks_table(clicks: list[Row]) -> RenderableType:
    names = ("notification_type", "total_sent", "sent_clicked", "attributed_click_rate")
    made = stage.table("Notifications that are clicked", *(name.replace("_", " ") for name in names))
    for row in clicks[:SHOWN]:
        made.add_row(*(cell(row[name]) for name in names))
    return made


def _logins_table(logins: dict[Layer, Row]) -> RenderableType:
    made = stage.table("Logins", "layer", *LOGINS)
    labels: dict[Layer, str] = {"batch": "batch (sealed)", "speed": "speed (since)", "merged": "answer"}
    for layer, label in labels.items():
        values = (cell(logins[layer][name]) for name in LOGINS)
        made.add_row(label, *values, style="bold" if layer == "merged" else "")
    return made


def _alerts_table(active: list[dict[str, object]]) -> RenderableType:
    made = stage.table("Alerts", "alert", "of", "state")
    for alert in active[:SHOWN]:
        labels = alert["labels"]
        about = ", ".join(map(str, labels.values())) if isinstance(labels, dict) else ""
        made.add_row(str(alert["alert"]), about, str(alert["state"]))
    return made
