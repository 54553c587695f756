"""Two days on a small campus, and the API of a node that has seen them: the first through batch, the second through speed.

Now is 13:00 on the second day. SV001 and SV002 study, GV001 teaches, and all that is known of SV003 is a message sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from watersmeet.api.app import create
from watersmeet.apps.learning.sample import at, event
from watersmeet.apps.learning.topics import TOPICS
from watersmeet.core.manifest import roll
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers import ingest
from watersmeet.runtime.loading import App, load
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire

NOW_US = at("13:00:00") * 1000
ENGINE = ColumnarEngine(threads=1)


def _auth(name: str, clock: str, kind: str, user: str, **more: Any) -> dict[str, object]:
    return event("AUTH", name, clock, kind, user, **more)


def _course(name: str, clock: str, kind: str, user: str, of: str, **more: Any) -> dict[str, object]:
    return event("COURSE", name, clock, kind, user, course_id=of, **more)


def _item(name: str, clock: str, user: str, item: str, kind: str, **more: Any) -> dict[str, object]:
    return _course(name, clock, "ITEM_CLICK", user, "C1", item_id=item, item_type=kind, **more)


def _fetched(name: str, clock: str, user: str, material: str, **more: Any) -> dict[str, object]:
    return _course(name, clock, "DOWNLOAD_MATERIAL", user, "C1", material_id=material, **more)


def _watched(name: str, clock: str, user: str, of: str, video_id: str, seconds: int, **more: Any) -> dict[str, object]:
    fields = {"course_id": of, "video_id": video_id, "watch_duration_seconds": seconds, "session_id": name}
    return event("VIDEO", name, clock, "VIDEO_WATCHED", user, **{**fields, **more})


def _work(name: str, clock: str, kind: str, user: str, assignment: str, of: str, **more: Any) -> dict[str, object]:
    extra = {"file_url": "s3://submissions/w.pdf"} if kind == "SUBMIT_ASSIGNMENT" else {}
    return event(
        "ASSESSMENT", name, clock, kind, user, **{"assignment_id": assignment, "course_id": of, **extra, **more}
    )


def _quiz(name: str, clock: str, kind: str, user: str, **more: Any) -> dict[str, object]:
    return event("ASSESSMENT", name, clock, kind, user, **{"quiz_id": "QUIZ1", "course_id": "C1", **more})


def _profile(name: str, clock: str, kind: str, user: str, **more: Any) -> dict[str, object]:
    return event("PROFILE", name, clock, kind, user, **more)


def _notice(name: str, clock: str, what: str, user: str, number: str, kind: str, **more: Any) -> dict[str, object]:
    fields = {"notification_id": number, "notification_type": kind, "channel": "email", "related_object_id": "C1"}
    return event("NOTIFICATION", name, clock, f"NOTIFICATION_{what}", user, **{**fields, **more})


YESTERDAY: list[dict[str, object]] = [
    _auth("l1", "08:00:00", "LOGIN", "SV001", session_id="s1", days=-1),
    _auth("l2", "08:30:00", "LOGOUT", "SV001", session_id="s1", days=-1),
    _course(
        "c1", "09:00:00", "COURSE_CREATED", "GV001", "C1",
        course_name="Rivers", course_code="CS100", semester="Fall 2025", max_students=30, days=-1,
    ),
    _course("c2", "09:05:00", "COURSE_ENROLLED", "SV001", "C1", days=-1),
    _item("c4", "10:00:00", "SV001", "ITEM1", "lesson", days=-1),
    _fetched("c7", "11:00:00", "SV001", "MAT1", days=-1),
    _watched("v1", "12:00:00", "SV001", "C1", "VID001", 100, video_duration_seconds=200, days=-1),
    _work("a1", "10:00:00", "VIEW_ASSIGNMENT_FIRST_TIME", "SV001", "ASM1", "C1", assignment_type="homework", days=-1),
    _work("a2", "12:00:00", "SUBMIT_ASSIGNMENT", "SV001", "ASM1", "C1", days=-1),
    _quiz("a6", "15:00:00", "QUIZ_COMPLETED", "SV001", correct_answers=10, days=-1),
    _profile("p1", "16:00:00", "UPDATE_PROFILE", "SV001", updated_fields=["email", "phone_number"], days=-1),
    _notice("n1", "17:00:00", "SENT", "SV001", "NOTIF1", "grade_posted", days=-1),
]  # fmt: skip
TODAY: list[dict[str, object]] = [
    _auth("l3", "12:55:10", "LOGIN", "SV001", session_id="s2"),
    _auth("l4", "12:55:40", "LOGIN", "GV001", session_id="s3"),
    _auth("l5", "12:56:00", "LOGIN", "SV002", success=False),
    _auth("l6", "12:57:00", "LOGIN", "SV002", session_id="s4"),
    _auth("l7", "12:58:30", "LOGOUT", "SV002", session_id="s4"),
    _course("c3", "09:05:00", "COURSE_ENROLLED", "SV002", "C1"),
    _course("c11", "10:30:00", "COURSE_VIEW", "SV001", "C1"),
    _course("c10", "12:30:00", "COURSE_VIEW", "SV001", "C2"),
    _item("c5", "12:58:00", "SV001", "ITEM1", "lesson"),
    _item("c6", "12:58:30", "SV002", "ITEM2", "quiz"),
    _fetched("c8", "12:59:00", "SV002", "MAT1"),
    _fetched("c9", "12:59:10", "SV002", "MAT2"),
    _watched("v2", "12:50:00", "SV002", "C1", "VID001", 180, video_duration_seconds=200),
    _watched("v3", "12:59:00", "SV001", "C2", "VID002", 60),
    _work("a3", "08:00:00", "SUBMIT_ASSIGNMENT", "SV002", "ASM1", "C1"),
    _work("a4", "09:00:00", "GRADE_ASSIGNMENT", "GV001", "ASM1", "C1", student_id="SV001", score=80),
    _work("a5", "09:10:00", "VIEW_STUDENT_WORK", "GV001", "ASM1", "C1", student_id="SV002"),
    _quiz("a7", "09:50:00", "QUIZ_STARTED", "SV002"),
    _quiz("a8", "10:00:00", "QUIZ_COMPLETED", "SV002", correct_answers=20),
    _work("a9", "11:00:00", "SUBMIT_ASSIGNMENT", "SV001", "ASM2", "C2"),
    _profile("p2", "08:00:00", "UPDATE_PROFILE", "SV001", updated_fields=["email"]),
    _profile("p3", "08:10:00", "PROFILE_PICTURE_UPDATED", "GV001", picture_url="s3://profiles/GV001.jpg"),
    _profile("p4", "08:20:00", "UPDATE_PROFILE", "GV001", updated_fields=["email"]),
    _notice("n2", "08:00:00", "OPENED", "SV001", "NOTIF1", "grade_posted"),
    _notice("n3", "08:01:00", "CLICKED", "SV001", "NOTIF1", "grade_posted"),
    _notice("n4", "08:02:00", "SENT", "SV003", "NOTIF2", "new_message"),
]


def open_node(folder: Path, batch: Iterable[Mapping[str, object]], speed: Iterable[Mapping[str, object]]) -> Node:
    """A node over the whole app and its routes; nothing runs in the background, and its clock stands at 13:00."""
    node = unapplied(folder, load("watersmeet.apps.learning"))
    node.apply()
    take(node, batch)
    for topic in TOPICS.values():
        node.parts.state.change(topic.name, lambda m: roll(m, NOW_US))
    node.catch_up({})
    take(node, speed)
    return node


def unapplied(folder: Path, app: App) -> Node:
    """A node that knows an app's files and has applied nothing of them."""
    settings = Settings.model_validate({"directory": folder, "compute": {"threads": 1}})
    return Node(wire(settings, clock=manual_clock(NOW_US), engine=ENGINE), app, sources=[])


def take(node: Node, records: Iterable[Mapping[str, object]]) -> None:
    """Append records and let the speed layer take them."""
    for topic in send(node, records):
        node.absorb(topic)


def send(node: Node, records: Iterable[Mapping[str, object]]) -> list[str]:
    """Append records, which no layer takes yet; returns the topics that have some."""
    payloads: dict[str, list[bytes]] = {}
    for record in records:
        payloads.setdefault(str(record["event_category"]), []).append(json.dumps(record).encode())
    for category, these in payloads.items():
        ingest.append(node.parts.log, TOPICS[category], these)
    return [TOPICS[category].name for category in payloads]


def asked_of(node: Node) -> TestClient:
    """A client of a node's API, on loopback and without a key."""
    return TestClient(create(node), client=("127.0.0.1", 50_000), raise_server_exceptions=False)


def figures(client: TestClient, path: str) -> dict[str, Any]:
    """What a route says, without what it rests on."""
    found = client.get(path)
    assert found.status_code == 200, found.text
    return {name: value for name, value in found.json().items() if name not in ("receipt", "more")}


def problem(client: TestClient, path: str) -> tuple[int, str]:
    """Status and detail of a refusal."""
    found = client.get(path)
    assert found.headers["content-type"] == "application/problem+json", found.text
    return found.status_code, found.json()["detail"]


def moment(text: str) -> str:
    """``"15 12:59"`` in December 2025, as answers write it."""
    day, _, clock = text.partition(" ")
    return f"2025-12-{day}T{clock}{':00' if clock.count(':') == 1 else ''}Z"
