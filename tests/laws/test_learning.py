"""A campus, counted by both layers in three pieces and a restart, is what the reference engine says of all its records."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.apps.learning.campus import Campus
from watersmeet.apps.learning.delivery import Delivery, Mishaps
from watersmeet.apps.learning.simulation import key_of
from watersmeet.core.manifest import roll
from watersmeet.engines import reference
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.runtime.loading import App, load
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire

from .worlds import PROVE

pytestmark = pytest.mark.data_quality

ENGINE = ColumnarEngine(threads=1)
OPENS_US = 1_764_547_200_000_000  # 2025-12-01, a Monday
HOUR_US = 3_600_000_000
RATE, HOURS = (1.0, 3) if PROVE else (0.25, 1)
SEEDS = range(6) if PROVE else range(2)
ROUGH = Mishaps(late=0.1, duplicated=0.1, malformed=0.05)


def events(seed: int) -> list[Delivery]:
    """What arrives in the third hour and later, much of it late, twice or broken."""
    campus = Campus(RATE, opens_us=OPENS_US, seed=seed, mishaps=ROUGH, steady=True)
    start = OPENS_US + 3 * HOUR_US
    return list(campus.arrivals(start, start + HOURS * HOUR_US))


def open_node(folder: Path, app: App) -> Node:
    settings = Settings.model_validate({"directory": folder, "compute": {"threads": 1}})
    clock = manual_clock(OPENS_US + (3 + HOURS) * HOUR_US)
    declared = App(app.name, app.declarations, app.functions, ModuleType("learning"))
    return Node(wire(settings, clock=clock, engine=ENGINE), declared, sources=[])


def take(node: Node, arrived: list[Delivery]) -> None:
    by_topic: dict[str, list[wm.Record]] = {}
    for topic, _, payload in arrived:
        by_topic.setdefault(topic, []).append(wm.Record(payload, key_of(payload)))
    for topic, records in by_topic.items():
        node.parts.log.append(topic, records)
        node.absorb(topic)


def logged(node: Node, topic: str) -> list[dict[str, Any]]:
    log = node.parts.log
    records: list[dict[str, Any]] = pa.table(log.read(topic, log.start(topic), log.end(topic), 10**9)).to_pylist()
    return records


def expected(view: wm.View, records: list[dict[str, Any]], schema: pa.Schema) -> list[dict[str, Any]]:
    rows = reference.answer(view, records)
    typed = pa.table([pa.array([row[field.name] for row in rows], field.type) for field in schema], schema=schema)
    found: list[dict[str, Any]] = typed.to_pylist()
    return found


@pytest.fixture(scope="module")
def app() -> App:
    return load("watersmeet.apps.learning")


@pytest.mark.parametrize("seed", SEEDS)
def test_every_view_of_a_campus_is_the_reference_over_all_its_records(seed: int, app: App, tmp_path: Path) -> None:
    arrived = events(seed)
    third = len(arrived) // 3
    node = open_node(tmp_path, app)
    node.apply()
    take(node, arrived[:third])
    for topic in node.declarations().topics:
        if node.parts.state.manifest(topic).slices:
            node.parts.state.change(topic, lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})
    take(node, arrived[third : 2 * third])
    node = open_node(tmp_path, app)  # as after a restart
    take(node, arrived[2 * third :])
    status = node.status()
    assert (status.balanced, status.ledger.received, status.match_rate) == (True, len(arrived), 1.0)
    assert min(status.ledger.duplicates, status.ledger.dead) > 0
    wrong, compared = [], 0
    for name, view in sorted(node.declarations().views.items()):
        found = pa.table(node.reader.read(wm.Request(view)).rows)
        rows = expected(view, logged(node, view.topic.name), found.schema)
        compared += len(rows)
        if sorted(map(repr, found.to_pylist())) != sorted(map(repr, rows)):
            wrong.append(name)
    assert wrong == []
    assert compared > len(arrived)
