"""The delivered apps on Kafka, Spark, Cassandra and S3: every view is the reference over all records in the log."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.apps.learning.simulation import key_of
from watersmeet.core.manifest import roll
from watersmeet.core.record import Record
from watersmeet.core.schema import SqlType
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.runtime.loading import App, load
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import system_clock, wire
from watersmeet.testing.services.spark import spark

from . import test_learning as campus

pytestmark = pytest.mark.integration
Arrived = list[tuple[str, Record]]
ENGINE = ColumnarEngine(threads=1)
PIECES = 3
FILMS = 400


@pytest.fixture(scope="module")
def stores(
    kafka: str, cassandra: str, s3: str, redis: str, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, str]:
    """All real servers, and the fleet."""
    mark = uuid.uuid4().hex[:8]
    return {
        "log": kafka,
        "state": f"{cassandra}?app=law_{mark}",
        "archive": f"{s3}/law-{mark}",
        "cache": redis,
        "runner": spark(tmp_path_factory.mktemp("spark")),
    }


def open_node(folder: Path, name: str, stores: Mapping[str, str]) -> Node:
    settings = Settings.model_validate({"app": name, "directory": folder, "stores": stores})
    loaded = load(f"watersmeet.apps.{name}")
    app = App(name, replace(loaded.declarations, tables={}), loaded.functions, ModuleType(name))
    return Node(wire(settings, clock=system_clock(), engine=ENGINE), app, sources=[])


def campus_records() -> Arrived:
    return [(topic, Record(payload, key_of(payload))) for topic, _, payload in campus.events(seed=1)]


def film_records() -> Arrived:
    """Records of every topic of the film app by its schema alone: some are late, some come twice, some are broken."""
    draw = random.Random(7)
    found: Arrived = []
    for topic in load("watersmeet.apps.movies").declarations.topics.values():
        payloads = [_payload(topic, number, draw) for number in range(FILMS)]
        payloads += draw.choices(payloads, k=FILMS // 10) + [p[: len(p) // 2] for p in payloads[:20]]
        draw.shuffle(payloads)
        found += [(topic.name, Record(payload, b"%d" % (n % 5))) for n, payload in enumerate(payloads)]
    draw.shuffle(found)
    return found


def _payload(topic: wm.Topic, number: int, draw: random.Random) -> bytes:
    row = {name: _value(kind, draw) for name, kind in topic.types}
    if topic.id is not None:
        kind = dict(topic.types)[topic.id]
        row[topic.id] = number if kind.name in ("integer", "bigint") else f"r{number}"
    return json.dumps(row).encode()


def _value(kind: SqlType, draw: random.Random) -> object:
    if not kind.required and draw.random() < 0.1:
        return None
    if kind.many:
        return [_value(replace(kind, many=False, required=True), draw) for _ in range(draw.randrange(3))]
    at_ms = campus.OPENS_US // 1000 + draw.randrange(3 * 3_600_000)
    match kind.name:
        case "varchar":
            return draw.choice(["good", "bad film", "a wonderful, touching story", "dull"])
        case "integer" | "bigint":
            return draw.randrange(8)
        case "decimal":
            return draw.randrange(10 ** min(kind.precision - kind.scale, 1) * 100) / 100
        case "timestamp_ms":
            return at_ms
        case "timestamp_s":
            return at_ms // 1000
        case "date":
            return "2025-12-01"
        case "timestamp":
            return "2025-12-01T05:06:07.089Z"
    return draw.random() < 0.5 if kind.name == "boolean" else draw.random()


def take(node: Node, arrived: Arrived) -> None:
    by_topic: dict[str, list[Record]] = {}
    for topic, record in arrived:
        by_topic.setdefault(topic, []).append(record)
    for topic, records in by_topic.items():
        node.parts.log.append(topic, records)
        node.absorb(topic)


@pytest.mark.parametrize(("name", "records"), [("movies", film_records), ("learning", campus_records)])
def test_every_view_on_a_cluster_is_the_reference_over_its_log(
    name: str, records: object, stores: Mapping[str, str], tmp_path: Path
) -> None:
    assert callable(records)
    arrived: Arrived = records()
    pieces = [arrived[at::PIECES] for at in range(PIECES)]
    node = open_node(tmp_path / "one", name, stores)
    node.apply()
    take(node, pieces[0])
    for topic in node.declarations().topics:
        if node.parts.state.manifest(topic).slices:
            node.parts.state.change(topic, lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})
    take(node, pieces[1])
    node = open_node(tmp_path / "two", name, stores)  # another machine
    take(node, pieces[2])
    status = node.status()
    assert (status.balanced, status.ledger.received, status.match_rate) == (True, len(arrived), 1.0)
    assert min(status.ledger.duplicates, status.ledger.dead) > 0
    wrong, compared = [], 0
    for view in node.declarations().views.values():
        found = pa.table(node.reader.read(wm.Request(view)).rows)
        rows = campus.expected(view, campus.logged(node, view.topic.name), found.schema)
        compared += len(rows)
        if sorted(map(repr, found.to_pylist())) != sorted(map(repr, rows)):
            wrong.append(view.name)
    assert wrong == []
    assert compared > len(arrived) / 10
