"""How many events of a campus one process absorbs, with every view of the learning app declared.

Each job is a topic or two, as such platforms split them. Its events are in the log; what is timed makes them readable
in all views of those topics. Then one more event is appended, again and again, and asked for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from watersmeet.apps.learning.campus import Campus
from watersmeet.core.reader import Request
from watersmeet.runtime.loading import App, load
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import wire

from .node import append, close_node
from .report import Figure
from .stopwatch import lap, percentile, resident_mb
from .stopwatch import load as machine_load

PART = "campus"
JOBS = {
    "auth": ("auth_topic",),
    "assessment": ("assessment_topic",),
    "video": ("video_topic",),
    "course": ("course_topic",),
    "profile and notification": ("profile_topic", "notification_topic"),
}
RATE, SEED = 60.0, 1
HOURS = 3
OPENS_US = 1_764_547_200_000_000
TARGET_PER_SECOND, TARGET_SECONDS, TARGET_MB = 10_000.0, 1.0, 2_000.0


def measure(folder: Path, *, events: int, asked: int) -> Iterator[Figure]:
    """Fill the log with a campus, absorb it job by job, then see how soon an event is in an answer.

    Args:
        folder: for the stores.
        events: about how many of all topics.
        asked: how many events are appended and asked for one by one.
    """
    node = _open(folder)
    sent = _fill(node, events)
    for job, topics in JOBS.items():
        count = sum(sent[topic] for topic in topics)
        with lap() as taken:
            for topic in topics:
                node.absorb(topic)
        views = sum(view.topic.name in topics for view in node.declarations().views.values())
        beside = {"events": count, "views": views, "load": machine_load()}
        yield Figure(PART, f"{job}: absorbed", count / taken.seconds, "events/s", TARGET_PER_SECOND, beside=beside)
    ledger = node.status().ledger
    if not ledger.balanced or ledger.received != sum(sent.values()):
        raise SystemExit(f"the ledger does not balance: {ledger}")
    yield from _fresh(node, asked)
    yield Figure(PART, "memory of the process", resident_mb(), "MB", TARGET_MB, at_most=True)
    close_node(node)


def _open(folder: Path) -> Node:
    app: App = load("watersmeet.apps.learning")
    node = Node(wire(Settings.model_validate({"directory": folder})), app, sources=[])
    node.apply()
    return node


def _fill(node: Node, events: int) -> dict[str, int]:
    """Append what arrives in the campus's third hour and later; topic -> how many."""
    campus = Campus(RATE, opens_us=OPENS_US, seed=SEED, steady=True)
    start = OPENS_US + HOURS * 3_600_000_000
    found: dict[str, list[bytes]] = {topic: [] for topics in JOBS.values() for topic in topics}
    for count, (topic, _, payload) in enumerate(campus.arrivals(start, start + 24 * 3_600_000_000)):
        if count == events:
            break
        found[topic].append(payload)
    for topic, payloads in found.items():
        append(node, topic, payloads)
    return {topic: len(payloads) for topic, payloads in found.items()}


def _fresh(node: Node, asked: int) -> Iterator[Figure]:
    """From the append of a login to an answer of a query that counts it."""
    view = node.declarations().views["auth_activity"].at(None, by=[])
    taken, before = [], _logins(node, view)
    for number in range(asked):
        event = {
            "event_id": f"asked{number}", "event_category": "AUTH", "event_type": "LOGIN", "user_id": "SV001",
            "role": "student", "timestamp": OPENS_US // 1000 + number, "session_id": f"s{number}",
        }  # fmt: skip
        began = time.perf_counter()
        append(node, "auth_topic", [json.dumps(event).encode()])
        node.absorb("auth_topic")
        if _logins(node, view) != before + number + 1:
            raise SystemExit("an event that was absorbed is not in the answer")
        taken.append(time.perf_counter() - began)
    name = "from an append to an answer that counts it"
    yield Figure(PART, f"{name}: p50", percentile(taken, 50), "s", beside={"asked": asked})
    yield Figure(PART, f"{name}: p99", percentile(taken, 99), "s", TARGET_SECONDS, at_most=True)


def _logins(node: Node, view: object) -> int:
    rows = pa.table(node.reader.read(Request(view)).rows)  # type: ignore[arg-type]  # a reading of a view
    return int(rows["login_count"][0].as_py())
