"""The learned detector: scores finished windows and appends what it finds to a topic of its own.

    windows (baselines) ── a day's model, trained on published history ──> anomaly_topic ──> learned_anomalies ──> alert

It reads through the `Reader` and writes as any source does, so that its findings are counted, served and audited like
events. Windows of day D are scored by the model of day D alone, trained on the windows of D - 29 to D - 1 days as the
batch layer has published them; until all of that is published, it waits. So equal history gives equal scores, whenever
and however often they are made. A window's finding has the same id whatever model made it: the first one counts.

A kind of which there are too few windows to learn from has no model that day, and its windows are passed over.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa

import watersmeet as wm

from . import forest
from .anomalies import BASELINES, LEAST
from .forest import Floats, Forest, Growth

DETECTOR = "isolation_forest"
HOUR_US, DAY_US = 3_600_000_000, 86_400_000_000

anomalies = wm.Topic(
    "anomaly_topic",
    id="anomaly_id",
    key="dimension",
    event_time="starts_at",
    lateness="2h",
    partitions=1,
    retention="7d",
    schema={
        "anomaly_id": "varchar not null",
        "detector": "varchar not null",
        "kind": "varchar not null",
        "dimension": "varchar not null",
        "starts_at": "timestamp_ms not null",
        "ends_at": "timestamp_ms not null",
        "observed": "integer not null",
        "score": "decimal(7,6) round not null",
        "threshold": "decimal(7,6) round not null",
        "is_anomaly": "boolean not null",
        "model_version": "varchar not null",
        "reason": "varchar not null",
    },
    check={"window_out_of_order": "starts_at < ends_at"},
)

learned_anomalies = wm.View(
    "learned_anomalies",
    topic=anomalies,
    dimensions=["detector", "kind", "dimension"],
    window=wm.tumbling("1h"),
    measures={
        "windows": wm.count(),
        "anomalies": wm.count(where="is_anomaly"),
        "highest_score": wm.max("score"),
        "threshold": wm.last("threshold"),
        "model_version": wm.last("model_version"),
        "reason": wm.last("reason"),
    },
)
"""What the detector found: by hour and dimension, or, read at other windows, how much it finds at all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the detector learns from, and how often it looks.

    Args:
        days: of training.
        settled_days: how long ago training ends, so that late events are in.
        windows: fewer to train on than so many give no model.
        back_days: how far before the newest finished window it begins when it runs for the first time.
        every_seconds: how long it waits when there is nothing to do.
        growth: of the models.
    """

    days: int = 28
    settled_days: int = 1
    windows: int = 200
    back_days: int = 7
    every_seconds: float = 60.0
    growth: Growth = field(default_factory=Growth)


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows that a baseline judged, in the order of their keys."""

    start_us: list[int]
    dimension: list[str]
    observed: list[int]
    more: list[bool]
    features: Floats


class LearnedDetector:
    """A source whose records are verdicts on windows.

    Args:
        reader: of the same app.
        plan: what it learns from.

    Raises `WatersmeetError` if scikit-learn is not installed.
    """

    def __init__(self, reader: wm.Reader, plan: Plan | None = None) -> None:
        forest.library()
        self._reader, self._plan = reader, plan or Plan()
        self._models: dict[str, tuple[int, Forest | None]] = {}

    @property
    def name(self) -> str:
        """``learned_detector``."""
        return "learned_detector"

    def pull(self, position: bytes | None) -> wm.Pulled:
        """Score what has finished, of each kind a day at most."""
        progress: dict[str, int] = json.loads(position) if position else {}
        records: list[tuple[str, wm.Record]] = []
        before = dict(progress)
        for kind, query in BASELINES.items():
            finished_us = self._finished_us(query)
            if finished_us is None:
                continue
            since_us = progress.setdefault(kind, _day_us(finished_us) - self._plan.back_days * DAY_US)
            until_us = min(_day_us(since_us) + DAY_US, finished_us)
            if since_us < until_us and self._is_ready(kind, query, _day_us(since_us)):
                records += self._verdicts(kind, self._windows(query, (since_us, until_us)))
                progress[kind] = until_us
        wait = 0.0 if progress != before else self._plan.every_seconds
        return wm.Pulled(records, json.dumps(progress).encode(), wait)

    def _finished_us(self, query: wm.Query) -> int | None:
        """The end of the last window that no event in time can change."""
        mark_us = self._reader.read(wm.Request(query.inputs["hours"], range=(0, 1))).receipt.watermark_us
        return None if mark_us is None else mark_us - mark_us % HOUR_US

    def _is_ready(self, kind: str, query: wm.Query, day_us: int) -> bool:
        """Train the model of a day if there is none yet; False while not all of its history is published."""
        if self._models.get(kind, (-1, None))[0] == day_us:
            return True
        span = (
            day_us - (self._plan.days + self._plan.settled_days) * DAY_US,
            day_us - self._plan.settled_days * DAY_US,
        )
        published = self._rows(query, span, "batch")
        if not published.equals(self._rows(query, span, "merged")):
            return False
        training = _windows(query, published).features
        enough = len(training) >= self._plan.windows
        self._models[kind] = (day_us, forest.grow(training, span, self._plan.growth) if enough else None)
        return True

    def _windows(self, query: wm.Query, span: tuple[int, int]) -> _Windows:
        return _windows(query, self._rows(query, span, "merged"))

    def _rows(self, query: wm.Query, span: tuple[int, int], layer: Literal["merged", "batch"]) -> pa.Table:
        rows = pa.table(self._reader.read(wm.Request(query, range=span, layer=layer)).rows)
        return rows.sort_by([(name, "ascending") for name in query.key])

    def _verdicts(self, kind: str, found: _Windows) -> Iterator[tuple[str, wm.Record]]:
        model = self._models[kind][1]
        if model is None or not found.start_us:
            return
        scores = model.scores(found.features)
        for place, score in enumerate(scores.tolist()):
            start_us, dimension = found.start_us[place], found.dimension[place]
            strange = score > model.threshold and found.more[place] and found.observed[place] >= LEAST[kind]
            verdict = {
                "anomaly_id": f"{DETECTOR}/{kind}/{start_us // 1000}/{dimension}",
                "detector": DETECTOR,
                "kind": kind,
                "dimension": dimension,
                "starts_at": start_us // 1000,
                "ends_at": (start_us + HOUR_US) // 1000,
                "observed": found.observed[place],
                "score": score,
                "threshold": model.threshold,
                "is_anomaly": strange,
                "model_version": model.version,
                "reason": model.reason(found.features[place]),
            }
            yield anomalies.name, wm.Record(json.dumps(verdict).encode(), key=dimension.encode())


def _windows(query: wm.Query, rows: pa.Table) -> _Windows:
    """The rows of a baseline that have an expectation."""
    rows = rows.filter(rows["expected"].is_valid())
    observed, expected, previous, together = (
        np.asarray(rows[name].to_numpy(), dtype=np.float64) for name in ("observed", "expected", "previous", "together")
    )
    return _Windows(
        [_us(at) for at in rows["window_start"].to_pylist()],
        rows[query.key[1]].to_pylist(),
        rows["observed"].to_pylist(),
        (observed > expected).tolist(),
        forest.features(observed, expected, previous, together),
    )


def _day_us(time_us: int) -> int:
    return time_us - time_us % DAY_US


def _us(at: dt.datetime) -> int:
    return (at.replace(tzinfo=dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
