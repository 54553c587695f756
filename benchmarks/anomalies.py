"""How well trouble is found: a campus with outbreaks at known times, judged by both detectors.

The history before is published; then event time goes on in steps of `STEP` minutes while there is an outbreak, and of
six hours between them, with a batch run a day. A flagged hour is right if it overlaps an outbreak of its kind and
dimension. Of each kind there are outbreaks of every strength in `EACH`, down to some that nobody would notice.

    precision   flagged hours that are right, of those flagged
    recall      outbreaks that were flagged, of all
    delay       event time from an outbreak's beginning to its first flag: median, with the longest beside it
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pyarrow as pa

from watersmeet.apps.learning.anomalies import BASELINES
from watersmeet.apps.learning.campus import Campus
from watersmeet.apps.learning.delivery import Delivery
from watersmeet.apps.learning.detector import LearnedDetector, anomalies, learned_anomalies
from watersmeet.apps.learning.outbreaks import Label, Outbreak
from watersmeet.core.manifest import roll
from watersmeet.core.reader import Request
from watersmeet.layers.ingest import Pull
from watersmeet.runtime.node import Node
from watersmeet.runtime.wiring import manual_clock

from .node import append, close_node, open_node
from .report import Figure

RATE, SEED = 0.25, 23  # thresholds were chosen on another campus
MINUTE_US, HOUR_US, DAY_US = 60_000_000, 3_600_000_000, 86_400_000_000
OPENS_US = 1_764_547_200_000_000  # 2025-12-01, a Monday
HISTORY = 21  # days
STEP = 15  # minutes
EACH = {
    "failed_logins": ((10, 1), (20, 1), (10, 4), (15, 10)),
    "submissions": ((30, 1), (45, 1), (30, 2), (45, 4)),
    "video_drop_off": ((45, 0), (90, 0), (135, 0), (180, 0)),
    "enrolments": ((20, 1), (45, 1), (30, 2), (45, 4)),
}
"""Kind -> minutes and extra events a minute, from the weakest to the strongest."""
Flag = tuple[str, str, int]
"""Kind, dimension, start of the hour."""


@dataclass
class _Seen:
    """Flags of one detector, and when each was first raised."""

    flags: dict[Flag, int] = field(default_factory=dict)

    def add(self, flags: Iterator[Flag], now_us: int) -> None:
        for flag in flags:
            self.flags.setdefault(flag, now_us)


def measure(folder: Path, *, days: int) -> Iterator[Figure]:
    """Both detectors on every kind, over ``days`` of outbreaks."""
    campus = Campus(RATE, opens_us=OPENS_US, seed=SEED, outbreaks=list(_outbreaks(days)))
    clock = manual_clock(OPENS_US)
    node = open_node(folder, [*BASELINES.values(), learned_anomalies], clock=clock)
    found = {"seasonal": _Seen(), "learned": _Seen()}
    pull = Pull(LearnedDetector(node.reader), node.parts.log, node.parts.state, clock)
    steps = list(_steps(campus.labels(), days))
    arriving = campus.arrivals(OPENS_US, steps[-1])
    events = 0
    for now_us in steps:
        clock.sleep((now_us - clock.now_us()) / 1e6)
        events += _play(node, arriving, now_us)
        if now_us % DAY_US == 0:
            _publish(node)
        while pull.once() == 0:
            pass
        node.absorb(anomalies.name)
        found["seasonal"].add(_seasonal(node, now_us), now_us)
        found["learned"].add(_learned(node, now_us), now_us)
    close_node(node)
    beside = {"events": events, "days": days, "students": campus.students, "courses": campus.courses}
    for kind in BASELINES:
        for detector, seen in found.items():
            yield from _judged(detector, kind, seen, [x for x in campus.labels() if x.kind == kind], beside)


def _outbreaks(days: int) -> Iterator[Outbreak]:
    """Two of each kind in each half of a day, of every strength by turns, of targets drawn by chance."""
    draw = random.Random(SEED)
    for half in range(2 * days):
        begins_us = OPENS_US + HISTORY * DAY_US + half * DAY_US // 2 + draw.randrange(480) * MINUTE_US
        for kind, strengths in EACH.items():
            targets = draw.sample(range(300 if kind == "failed_logins" else 8), 2)
            for target, (minutes, a_minute) in zip(targets, strengths[half % 2 :: 2], strict=True):
                yield Outbreak(kind, begins_us, minutes, target, a_minute)  # type: ignore[arg-type]  # keys of EACH


def _steps(labels: tuple[Label, ...], days: int) -> Iterator[int]:
    """The times at which both detectors look."""
    step_us, begins_us = STEP * MINUTE_US, OPENS_US + HISTORY * DAY_US
    yield begins_us
    for at_us in range(begins_us + step_us, begins_us + days * DAY_US + 3 * HOUR_US, step_us):
        near = any(label.start_us < at_us <= label.end_us + HOUR_US for label in labels)
        if near or at_us % (6 * HOUR_US) == 0:
            yield at_us


def _play(node: Node, arriving: Iterator[Delivery], until_us: int) -> int:
    """Append what arrives before a time, of the topics that are served, and absorb it."""
    by_topic: dict[str, list[bytes]] = {name: [] for name in node.declarations().topics}
    for topic, at_us, payload in arriving:
        if topic in by_topic:
            by_topic[topic].append(payload)
        if at_us >= until_us:  # one too many is a matter of seconds
            break
    for topic, payloads in by_topic.items():
        append(node, topic, payloads)
        node.absorb(topic)
    return sum(map(len, by_topic.values()))


def _publish(node: Node) -> None:
    """Let the batch layer compute everything that has been absorbed."""
    for topic in node.declarations().topics:
        node.parts.state.change(topic, lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})


def _seasonal(node: Node, now_us: int) -> Iterator[Flag]:
    for kind, query in BASELINES.items():
        for row in pa.table(node.reader.read(Request(query, range=_lately(now_us))).rows).to_pylist():
            if row["is_anomaly"]:
                yield kind, row[query.key[1]], _us(row["window_start"])


def _learned(node: Node, now_us: int) -> Iterator[Flag]:
    for row in pa.table(node.reader.read(Request(learned_anomalies, range=_lately(now_us))).rows).to_pylist():
        if row["anomalies"]:
            yield row["kind"], row["dimension"], _us(row["window_start"])


def _lately(now_us: int) -> tuple[int, None]:
    """All hours since the look before, and the one before it."""
    return now_us - now_us % HOUR_US - 8 * HOUR_US, None


def _judged(
    detector: str, kind: str, seen: _Seen, labels: list[Label], beside: Mapping[str, object]
) -> Iterator[Figure]:
    """The figures of one detector on one kind."""
    flags = [flag for flag in seen.flags if flag[0] == kind]
    right = [flag for flag in flags if any(_meets(flag, label) for label in labels)]
    first = [
        min(at_us for flag, at_us in seen.flags.items() if flag in right and _meets(flag, label)) - label.start_us
        for label in labels
        if any(_meets(flag, label) for flag in right)
    ]
    name = f"{detector} {kind}"
    told = {**beside, "flagged": len(flags), "right": len(right)}
    if flags:
        yield Figure("anomalies", f"{name}, precision", 100 * len(right) / len(flags), "%", beside=told)
    told = {"outbreaks": len(labels), "found": len(first)}
    yield Figure("anomalies", f"{name}, recall", 100 * len(first) / len(labels), "%", beside=told)
    if first:
        minutes = [each / MINUTE_US for each in first]
        yield Figure("anomalies", f"{name}, delay", median(minutes), "min", beside={"longest": max(minutes)})


def _meets(flag: Flag, label: Label) -> bool:
    return flag[1] == label.value and label.start_us < flag[2] + HOUR_US and flag[2] < label.end_us


def _us(at: dt.datetime) -> int:
    return round(at.replace(tzinfo=dt.UTC).timestamp()) * 1_000_000
