"""What arrives in one night of a campus of 10,000 students, and what a node answers to it.

    four Mondays before     22:15 to 22:25, so that the night has weeks to be compared with; on the first of them the
                            campus opens, and students join
    the night               Monday 22:00 to Tuesday 06:00, with an outbreak of each kind from 22:15 on

Everything arrives as the campus sends it: late, twice, and broken. The detector's topic, which the campus knows nothing
of, gets `verdicts`. The node absorbs it hour by hour, with the clock at the last arrival of each. The batch layer counts
the Mondays before and the first hour of the night, which has nearly half of its lines; the speed layer the other hours.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import watersmeet as wm
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.apps.learning.campus import Campus
from watersmeet.apps.learning.delivery import Delivery
from watersmeet.apps.learning.outbreaks import Outbreak
from watersmeet.apps.learning.simulation import key_of
from watersmeet.core.manifest import roll
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.runtime.loading import App, load
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import wire

SEED, STUDENTS, STUDENTS_A_RATE = 1, 10_000, 1500
MINUTE_US, HOUR_US = 60_000_000, 3_600_000_000
WEEK_US = 168 * HOUR_US
NIGHT_US = 1_767_045_600_000_000  # 2025-12-29T22:00Z, a Monday
MORNING_US = NIGHT_US + 8 * HOUR_US
TROUBLE_US = NIGHT_US + 15 * MINUTE_US
WEEKS = 4
EACH_BOUNDARY = frozenset({"waiting_work", "assessment_realtime_grading_queue", "assessment_grading_backlog"})
"""They have rows for every five minutes since the first week: they are asked for the night alone."""


def arrivals() -> list[Delivery]:
    """Everything that arrives, in order: (topic, µs since 1970-01-01Z, payload)."""
    outbreaks = [
        Outbreak("failed_logins", TROUBLE_US, 10, 3, 30),
        Outbreak("submissions", TROUBLE_US, 10, 5, 30),
        Outbreak("video_drop_off", TROUBLE_US, 180, 7, 30),
        Outbreak("enrolments", TROUBLE_US, 10, 9, 30),
    ]
    opens_us = NIGHT_US - WEEKS * WEEK_US
    rate = STUDENTS / STUDENTS_A_RATE
    campus = Campus(rate, opens_us=opens_us, seed=SEED, offset_minutes=0, outbreaks=outbreaks)
    found: list[Delivery] = []
    for week in range(WEEKS, 0, -1):
        begins_us = TROUBLE_US - week * WEEK_US
        found += campus.arrivals(begins_us, begins_us + 10 * MINUTE_US)
    found += campus.arrivals(NIGHT_US, MORNING_US)
    return sorted([*found, *verdicts()], key=lambda one: one[1])


def verdicts() -> Iterator[Delivery]:
    """What a detector could have said of each quarter of an hour, some of it twice, late, or broken."""
    chance = random.Random(SEED)
    for number in range(4 * 8 * 20):
        starts_us = NIGHT_US + number // 20 * 15 * MINUTE_US
        score = chance.random()
        verdict = {
            "anomaly_id": f"verdict-{number}",
            "detector": chance.choice(["isolation_forest", "other"]),
            "kind": chance.choice(["failed_logins", "submissions", "enrolments"]),
            "dimension": chance.choice(["SV004", "COURSE006"]),
            "starts_at": starts_us // 1000,
            "ends_at": (starts_us + HOUR_US) // 1000,
            "observed": chance.randrange(50),
            "score": score,
            "threshold": chance.choice([0.5, 0.6, 0.1234565]),
            "is_anomaly": score > 0.6,
            "model_version": f"model-{chance.randrange(3)}",
            "reason": f"reason {number}",
        }
        at_us = min(MORNING_US - 1, starts_us + chance.randrange(90 * MINUTE_US))
        payload = json.dumps(verdict).encode()
        yield "anomaly_topic", at_us, payload
        if number % 10 == 0:
            yield "anomaly_topic", at_us, payload
        if number % 25 == 0:
            broken = {"ends_at": verdict["starts_at"]} if number % 2 else {"score": "high"}
            yield "anomaly_topic", at_us, json.dumps(verdict | {"anomaly_id": f"broken-{number}"} | broken).encode()


def answer(arrived: Sequence[Delivery], folder: Path) -> dict[str, Any]:
    """Let a node count it all, and write what it answers to every view and query: ``answers/<name>.parquet``.

    Returns what the ledger says of each topic, how far the layers agreed, and name -> whether an answer is
    complete, and of how many epochs and slices in each topic.
    """
    app = load("watersmeet.apps.learning")
    clock = ManualClock(NIGHT_US - WEEKS * WEEK_US)
    settings = Settings.model_validate({"directory": folder / "node", "compute": {"threads": 1}})
    declared = App(app.name, app.declarations, app.functions, ModuleType("learning"))
    node = Node(wire(settings, clock=clock, engine=ColumnarEngine(threads=1)), declared, sources=[])
    node.apply()
    hours = [list(found) for _, found in groupby(arrived, lambda one: one[1] // HOUR_US)]
    _take(node, clock, hours[: WEEKS + 1])
    for topic in node.declarations().topics:
        node.parts.state.change(topic, lambda manifest: roll(manifest, clock.now_us()))
    node.catch_up({})
    _take(node, clock, hours[WEEKS + 1 :])
    clock.advance((MORNING_US - clock.now_us()) / 1e6)
    return {"status": _status(node), "rests": dict(_answers(node, folder / "answers"))}


def _take(node: Node, clock: ManualClock, hours: Sequence[Sequence[Delivery]]) -> None:
    for hour in hours:
        clock.advance((hour[-1][1] - clock.now_us()) / 1e6)
        by_topic: dict[str, list[wm.Record]] = {}
        for topic, _, payload in hour:
            by_topic.setdefault(topic, []).append(wm.Record(payload, key_of(payload)))
        for topic, records in by_topic.items():
            node.parts.log.append(topic, records)
            node.absorb(topic)


def _status(node: Node) -> dict[str, Any]:
    status = node.status()
    topics = {of.name: [of.used, of.duplicates, of.dead] for of in status.topics}
    return {"balanced": status.balanced, "match_rate": status.match_rate, "topics": topics}


def _answers(node: Node, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    folder.mkdir()
    declared = node.declarations()
    asked: dict[str, wm.View | wm.Query] = {**declared.views, **declared.queries}
    for name, of in asked.items():
        bounds = (NIGHT_US, MORNING_US) if name in EACH_BOUNDARY else None
        found = node.reader.read(wm.Request(of, bounds))
        pq.write_table(pa.table(found.rows), folder / f"{name}.parquet")
        layers = [(rest.epochs, rest.slices) for rest in found.receipt.topics.values()]
        yield name, {"complete": found.receipt.complete, "layers": layers}
