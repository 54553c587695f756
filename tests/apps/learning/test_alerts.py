from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import watersmeet as wm
from watersmeet.apps.learning import alerts, detector
from watersmeet.apps.learning.anomalies import BASELINES
from watersmeet.apps.learning.sample import at, event
from watersmeet.core.declarations import collect
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers import ingest
from watersmeet.layers.alerts import Notice
from watersmeet.runtime.loading import App, load
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire

pytestmark = pytest.mark.integration

ENGINE = ColumnarEngine(threads=1)
Events = list[dict[str, object]]
ALERTS = {alert.name: alert for alert in (*alerts.limits, *alerts.out_of_the_ordinary, alerts.learned)}


class World:
    """One alert on a node, and a clock that is set by hand.

    Args:
        folder: for the stores.
        alert: that is looked at.
    """

    def __init__(self, folder: Path, alert: wm.Alert) -> None:
        settings = Settings.model_validate(
            {
                "directory": folder,
                "compute": {"threads": 1},
                "routes": {"critical": ["log", "phone"], "warning": ["log"]},
            }
        )
        self.alert, self.sent = alert, list[tuple[str, Notice]]()
        self.clock = manual_clock(at("00:00:00") * 1000)
        app = App("learning", collect([alert.of, alert]), {}, ModuleType("learning"))
        self.node = Node(
            wire(settings, clock=self.clock, engine=ENGINE),
            app,
            sources=[],
            notify=lambda name, notice: self.sent.append((name, notice)),
        )
        self.node.apply()

    def look(self, clock: str, *, days: int = 0) -> list[tuple[str, dict[str, str]]]:
        """Evaluate at a time of day; status and labels of the new notices."""
        self.clock.sleep((at(clock, days=days) * 1000 - self.clock.now_us()) / 1e6)
        return [(notice.status, dict(notice.labels)) for notice in self.node.alerts.evaluate(self.alert)]

    def take(self, topic: str, events: Events) -> None:
        payloads = [json.dumps(each).encode() for each in events]
        ingest.append(self.node.parts.log, self.node.declarations().topic(topic), payloads)
        self.node.absorb(topic)


def logins(count: int, *, users: int = 1, success: bool = False) -> Events:
    """So many logins within the minute 12:00, by users in turn; each session has its own number."""
    return [
        event(
            "AUTH", f"in{n}", f"12:00:{n % 60:02d}", "LOGIN", f"SV{n % users:03d}", success=success, session_id=f"s{n}"
        )
        for n in range(count)
    ]


def submitted(count: int) -> Events:
    work: dict[str, Any] = {"assignment_id": "A1", "course_id": "C1", "file_url": "f"}
    return [
        event("ASSESSMENT", f"w{n}", f"12:00:{n % 60:02d}", "SUBMIT_ASSIGNMENT", f"SV{n:03d}", **work)
        for n in range(count)
    ]


def viewed(count: int, *, seconds: int = 600) -> Events:
    """So many viewings of one video of ten minutes, each by somebody else, that end within five minutes."""
    video: dict[str, Any] = {
        "video_id": "V1",
        "course_id": "C1",
        "video_duration_seconds": 600,
        "watch_duration_seconds": seconds,
    }
    return [
        event("VIDEO", f"v{n}", f"12:0{n % 5}:30", "VIDEO_WATCHED", f"SV{n:03d}", session_id=f"s{n}", **video)
        for n in range(count)
    ]


def in_course(count: int, kind: str, **more: Any) -> Events:
    return [
        event("COURSE", f"c{n}", f"12:0{n % 5}:{n % 60:02d}", kind, f"SV{n:03d}", course_id="C1", **more)
        for n in range(count)
    ]


#   alert -> topic, events that stay below the limit, events that exceed it, when it is seen, and of what
CASES: dict[str, tuple[str, Events, Events, str, dict[str, str]]] = {
    "failed_logins_of_a_user": ("auth_topic", logins(9), logins(10), "12:00:59", {"user_id": "SV000"}),
    "failed_logins_of_all": ("auth_topic", logins(9, users=9), logins(10, users=10), "12:00:59", {}),
    "submission_spike": ("assessment_topic", submitted(50), submitted(51), "12:00:59", {}),
    "too_many_viewers": ("video_topic", viewed(500), viewed(501), "12:05:01", {"video_id": "V1"}),
    "low_engagement": ("video_topic", viewed(19, seconds=9), viewed(20, seconds=9), "12:05:01", {"video_id": "V1"}),
    "enrolment_spike": (
        "course_topic", in_course(100, "COURSE_ENROLLED"), in_course(101, "COURSE_ENROLLED"), "12:04:59", {"course_id": "C1"},
    ),
    "material_access_spike": (
        "course_topic",
        in_course(100, "ITEM_CLICK", item_id="I1", item_type="lesson"),
        in_course(101, "ITEM_CLICK", item_id="I1", item_type="lesson"),
        "12:04:59",
        {"course_id": "C1", "material_id": "I1"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_limit_fires_when_it_is_crossed_and_is_over_when_all_is_quiet(name: str, tmp_path: Path) -> None:
    topic, below, above, clock, labels = CASES[name]
    calm, loud = World(tmp_path / "calm", ALERTS[name]), World(tmp_path / "loud", ALERTS[name])
    calm.look(clock)
    calm.take(topic, below)
    assert calm.look(clock) == []
    loud.look(clock)
    loud.take(topic, above)
    assert loud.look(clock) == [("firing", labels)]
    assert loud.look("12:06:00") == []  # it is said once
    later = [notice for minute in range(10, 60, 5) for notice in loud.look(f"12:{minute}:00")]
    assert later == [("resolved", labels)]
    assert loud.node.alerts.active() == []


def test_a_share_above_its_limit_is_no_alarm(tmp_path: Path) -> None:
    world = World(tmp_path, ALERTS["low_engagement"])
    world.look("12:05:01")
    world.take("video_topic", viewed(20, seconds=480))
    assert world.look("12:05:01") == []


def test_a_window_that_is_not_over_is_no_share_yet(tmp_path: Path) -> None:
    world = World(tmp_path, ALERTS["low_engagement"])
    world.look("12:04:59")
    world.take("video_topic", viewed(20, seconds=9))
    assert world.look("12:04:59") == []
    assert world.look("12:05:00") == [("firing", {"video_id": "V1"})]


def test_too_many_sessions_for_five_minutes(tmp_path: Path) -> None:
    world = World(tmp_path, ALERTS["too_many_sessions"])
    world.look("12:01:00")
    world.take("auth_topic", logins(1000, users=1000, success=True))
    assert world.look("12:20:00") == []
    world.take("auth_topic", [event("AUTH", "one more", "12:20:00", "LOGIN", "SV001", session_id="one more")])
    assert world.look("12:20:00") == []
    assert world.look("12:25:00") == [("firing", {"scope": "campus"})]
    world.take("auth_topic", [event("AUTH", "out", "12:26:00", "LOGOUT", "SV001", session_id="one more")])
    assert world.look("12:26:00") == []
    assert world.look("12:36:00") == [("resolved", {"scope": "campus"})]


def test_a_grading_backlog_for_a_quarter_of_an_hour(tmp_path: Path) -> None:
    world = World(tmp_path, ALERTS["grading_backlog"])
    world.look("12:01:00")
    world.take("assessment_topic", submitted(101))
    assert world.look("12:01:00") == []
    assert world.look("12:16:00") == [("firing", {})]
    work: dict[str, Any] = {"assignment_id": "A1", "course_id": "C1", "student_id": "SV000", "score": 80}
    world.take("assessment_topic", [event("ASSESSMENT", "g", "12:17:00", "GRADE_ASSIGNMENT", "GV001", **work)])
    assert world.look("12:17:00") == []
    assert world.look("12:32:00") == [("resolved", {})]


BURSTS: dict[str, tuple[str, Callable[[int, int], dict[str, object]], dict[str, str]]] = {
    "unusual_failed_logins": (
        "auth_topic",
        lambda day, n: event("AUTH", f"{day}-{n}", f"12:00:{n:02d}", "LOGIN", "SV001", days=day, success=False),
        {"user_id": "SV001"},
    ),
    "unusual_submissions": (
        "assessment_topic",
        lambda day, n: event(
            "ASSESSMENT", f"{day}-{n}", f"12:00:{n:02d}", "SUBMIT_ASSIGNMENT", "SV001", days=day,
            assignment_id="A1", course_id="C1", file_url="f",
        ),
        {"course_id": "C1"},
    ),
    "unusual_video_drop_off": (
        "video_topic",
        lambda day, n: event(
            "VIDEO", f"{day}-{n}", f"12:00:{n:02d}", "VIDEO_WATCHED", "SV001", days=day,
            video_id="V1", course_id="C1", session_id=f"{n}", watch_duration_seconds=5, video_duration_seconds=600,
        ),
        {"course_id": "C1"},
    ),
    "unusual_enrolments": (
        "course_topic",
        lambda day, n: event("COURSE", f"{day}-{n}", f"12:00:{n:02d}", "COURSE_ENROLLED", "SV001", days=day, course_id="C1"),
        {"course_id": "C1"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BURSTS)
def test_what_is_out_of_the_ordinary_fires_while_its_hour_lasts(name: str, tmp_path: Path) -> None:
    topic, make, labels = BURSTS[name]
    world = World(tmp_path, ALERTS[name])
    world.look("12:01:00", days=14)
    world.take(topic, [make(day, n) for day in (0, 7, 14) for n in range(1 if day < 14 else 20)])
    assert world.look("12:01:00", days=14) == [("firing", labels)]
    assert world.look("13:00:00", days=14) == []
    assert world.look("15:00:00", days=14) == []
    assert world.look("15:30:00", days=14) == [("resolved", labels)]


def test_a_learned_anomaly(tmp_path: Path) -> None:
    world = World(tmp_path, ALERTS["learned_anomaly"])
    world.look("13:05:00")
    verdict = {
        "anomaly_id": "a", "detector": "isolation_forest", "kind": "enrolments", "dimension": "C1",
        "starts_at": at("12:00:00"), "ends_at": at("13:00:00"), "observed": 60, "score": 0.8, "threshold": 0.7,
        "is_anomaly": True, "model_version": "1", "reason": "much",
    }  # fmt: skip
    world.take(
        detector.anomalies.name, [{**verdict, "anomaly_id": "b", "dimension": "C2", "is_anomaly": False}, verdict]
    )
    labels = {"detector": "isolation_forest", "kind": "enrolments", "dimension": "C1"}
    assert world.look("13:05:00") == [("firing", labels)]
    assert world.look("16:00:00") == []
    assert world.look("16:30:00") == [("resolved", labels)]


@pytest.mark.parametrize(("name", "to"), [("failed_logins_of_a_user", ["log", "phone"]), ("submission_spike", ["log"])])
def test_alerts_go_where_the_settings_send_their_severity(name: str, to: Sequence[str], tmp_path: Path) -> None:
    topic, _, above, clock, _ = CASES[name]
    world = World(tmp_path, ALERTS[name])
    world.look(clock)
    world.take(topic, above)
    world.look(clock)
    assert [sent for sent, _ in world.sent] == to


def test_every_alert_is_tried_here() -> None:
    tried = {*CASES, *BURSTS, "too_many_sessions", "grading_backlog", "learned_anomaly"}
    assert set(ALERTS) == tried
    assert {f"unusual_{kind}" for kind in BASELINES} == set(BURSTS)


def test_the_app_declares_them_and_what_they_rest_on() -> None:
    found = load("watersmeet.apps.learning").declarations
    assert set(ALERTS) <= set(found.alerts)
    assert detector.anomalies.name in found.topics
    assert {query.name for query in BASELINES.values()} <= set(found.queries)
