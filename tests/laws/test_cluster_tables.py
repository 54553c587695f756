"""The tables that the learning app declares, in Cassandra: each holds the rows of its view or query, as others read them."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.core.topic import Topic
from watersmeet.layers.comparison import compare
from watersmeet.runtime.loading import App, load
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, read_table, wire

from . import test_learning as campus

pytestmark = pytest.mark.integration


def test_every_table_in_cassandra_is_its_view(cassandra: str, tmp_path: Path) -> None:
    app = load("watersmeet.apps.learning")
    prefix = f"t{uuid.uuid4().hex[:6]}"
    sink = f"{cassandra}?app={prefix}"
    settings = Settings.model_validate(
        {"directory": tmp_path, "compute": {"threads": 1}, "sinks": {"realtime_views": sink, "batch_views": sink}}
    )
    clock = manual_clock(campus.OPENS_US + 5 * campus.HOUR_US)
    tables = {name: t for name, t in app.declarations.tables.items() if not isinstance(t.of, Topic)}
    declared = App(app.name, replace(app.declarations, tables=tables), app.functions, ModuleType("learning"))
    node = Node(wire(settings, clock=clock, engine=campus.ENGINE), declared, sources=[])
    node.apply()
    campus.take(node, campus.events(seed=0))
    wrong, rows = [], 0
    for name, table in node.declarations().tables.items():
        node.publisher.publish(table)
        assert not isinstance(table.of, Topic)
        answer = pa.table(node.reader.read(wm.Request(table.of)).rows)
        if not answer.num_rows:
            continue
        rows += answer.num_rows
        found = compare(answer, read_table(f"{cassandra}/{prefix}_{name}"), key=table.of.key, tolerance=1e-12)
        if found.match_rate != 1.0:
            wrong.append(
                (name, found.equal, found.differing, found.only_ours, found.only_theirs, found.differences[:2])
            )
    assert wrong == []
    assert rows > 100
