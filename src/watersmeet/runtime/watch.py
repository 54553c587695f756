"""The platform's watch over itself: rules on its status, its threads and the machine, told like any alert.

    job_failing        a thread failed in the last while, or has ended            critical
    unbalanced         a topic has records without exactly one outcome            critical
    audit_mismatch     batch and speed computed something differently             critical
    incomplete         an epoch that neither layer can give                       critical
    reading_delayed    records are unread, and none was read for too long         warning
    watermark_delayed  what is final lies too far behind the clock                warning
    memory_short       the process takes too much of the machine's memory         warning
    disk_short         the disk of the state has too little room left             critical

A rule looks at each thing each time, so a thing that has recovered is told too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from watersmeet.layers.alerts import Observation, Rule
from watersmeet.layers.status import Status, TopicStatus

from .settings import Watch

PREFIX = "watersmeet:"
"""No declared alert can be called so."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What a thread or a task recovered from.

    Args:
        job: its name.
        message: of the last error.
        at_us: when that was.
        count: how many there have been in this process.
    """

    job: str
    message: str
    at_us: int
    count: int


@dataclass(frozen=True, slots=True)
class Machine:
    """How much of the machine is used: shares from 0 to 1 of its memory by this process, of the disk that are free."""

    memory: float
    disk_free: float


def machine(folder: Path) -> Machine:
    """Look at this process and at the disk of a folder."""
    import psutil

    taken, room = psutil.Process().memory_info().rss, psutil.disk_usage(str(folder))
    return Machine(taken / psutil.virtual_memory().total, room.free / room.total)


def watch(
    status: Status, alive: Mapping[str, bool], failures: Iterable[Failure], seen: Machine, limits: Watch
) -> Iterator[tuple[Rule, list[Observation]]]:
    """Each rule, and what it says of each thing.

    Args:
        status: of the app.
        alive: thread -> whether it runs.
        failures: of threads and tasks, the last of each.
        seen: the machine.
        limits: of the settings.
    """
    now_us = status.at_us
    jobs = {name: "" if runs else "it has ended" for name, runs in alive.items()}
    jobs |= {f.job: f.message for f in failures if now_us - f.at_us < limits.failure_seconds * 1e6}
    yield (
        _rule("job_failing", "critical"),
        [_seen({"job": name}, bool(text), error=text) for name, text in jobs.items()],
    )
    topics = status.topics
    yield (
        _rule("unbalanced", "critical"),
        [_seen({"topic": t.name}, not t.balanced, received=t.received) for t in topics],
    )
    yield _rule("audit_mismatch", "critical"), [_seen({}, status.mismatches > 0, epochs=status.mismatches)]
    yield _rule("incomplete", "critical"), [_seen({"topic": t.name}, bool(t.gaps), epochs=list(t.gaps)) for t in topics]
    yield _rule("reading_delayed", "warning"), [_reading(t, limits) for t in topics]
    yield _rule("watermark_delayed", "warning"), [_watermark(t, now_us, limits) for t in topics]
    yield (
        _rule("memory_short", "warning"),
        [_seen({}, seen.memory > limits.memory_percent / 100, percent=round(seen.memory * 100, 1))],
    )
    yield (
        _rule("disk_short", "critical"),
        [_seen({}, seen.disk_free < limits.disk_free_percent / 100, percent_free=round(seen.disk_free * 100, 1))],
    )


def _reading(topic: TopicStatus, limits: Watch) -> Observation:
    old = topic.freshness_seconds is None or topic.freshness_seconds > limits.unread_seconds
    behind = topic.unread != 0 and old  # None: the log does not answer, so nothing is read
    return _seen({"topic": topic.name}, behind, unread=topic.unread, seconds=topic.freshness_seconds)


def _watermark(topic: TopicStatus, now_us: int, limits: Watch) -> Observation:
    behind = 0.0 if topic.watermark_us is None else (now_us - topic.watermark_us) / 1e6
    return _seen({"topic": topic.name}, behind > limits.watermark_seconds, seconds=behind)


def _rule(name: str, severity: str) -> Rule:
    return Rule(f"{PREFIX}{name}", severity)


def _seen(labels: Mapping[str, str], holds: bool, **shown: object) -> Observation:
    return Observation(labels, holds, {name: str(value) for name, value in shown.items()})
