"""Examples, answered in other ways than the one that serves them.

`referred` lets the reference engine compute what a query rests on. `layered` lets the batch layer compute the first
records and the speed layer the others.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

import watersmeet as wm
from watersmeet.core.declarations import collect
from watersmeet.core.engine import Selection
from watersmeet.core.manifest import roll
from watersmeet.core.reader import Layer
from watersmeet.engines import reference
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers import ingest
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire
from watersmeet.testing.kit import _differences, check

Given = Mapping[str, Sequence[Mapping[str, object]]]
"""Topic name -> records, in order of arrival."""
ENGINE = ColumnarEngine(threads=1)
LATER_US = 4_000_000_000_000_000
"""After every event."""
LAYERS: dict[float, Layer] = {0: "speed", 1: "batch"}
"""Which layer alone must give the whole answer when this part of the records goes to the batch layer."""
FROM, UNTIL = dt.datetime(2025, 12, 15, 12), dt.datetime(2025, 12, 15, 12, 2)


def layered(examples: Sequence[wm.Example], folder: Path, part: float) -> Iterator[str]:
    """Where answers put together by both layers are not what examples of queries expect.

    Args:
        examples: of queries; those that share their records are asked in one world.
        folder: for the stores.
        part: of each topic's records goes to the batch layer, 0 to 1.
    """
    worlds: dict[int, list[wm.Example]] = {}
    for example in examples:
        worlds.setdefault(id(example.given), []).append(example)
    for number, same in enumerate(worlds.values()):
        node = _node(folder / str(number), same)
        given = _given(same[0])
        cuts = {name: round(part * len(records)) for name, records in given.items()}
        _take(node, {name: records[: cuts[name]] for name, records in given.items()})
        if part:
            for name in given:
                node.parts.state.change(name, lambda m: roll(m, LATER_US))
            node.catch_up({})
        _take(node, {name: records[cuts[name] :] for name, records in given.items()})
        for example in same:
            yield from (f"{example.title}: {text}" for text in _complaints(node, example, LAYERS.get(part, "merged")))


def _given(example: wm.Example) -> Given:
    if isinstance(example.given, Mapping):
        return example.given
    assert isinstance(example.of, wm.Query)
    [topic] = {view.topic.name for view in example.of.views}
    return {topic: example.given}


def _take(node: Node, records: Given) -> None:
    for name, these in records.items():
        for record in these:
            ingest.append(node.parts.log, node.declarations().topic(name), [json.dumps(record).encode()])
        node.absorb(name)


def _complaints(node: Node, example: wm.Example, layer: Layer) -> list[str]:
    """What is wrong with the whole answer, or with the part of it between two moments."""
    assert isinstance(example.of, wm.Query)
    rows = _read(node, wm.Request(example.of, layer=layer))
    found = _differences(rows, example.expect, exact=True)
    if example.of.time is not None:
        inside = [row for row in rows if FROM <= row[example.of.time] < UNTIL]
        bounds = tuple((at - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1) for at in (FROM, UNTIL))
        if _read(node, wm.Request(example.of, layer=layer, range=(bounds[0], bounds[1]))) != inside:
            found.append(f"the rows from {FROM} are not those of the whole answer")
    return found


def _read(node: Node, request: wm.Request) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.table(node.reader.read(request).rows).to_pylist()
    return rows


def _node(folder: Path, examples: Sequence[wm.Example]) -> Node:
    declarations = collect([example.of for example in examples])
    settings = Settings.model_validate({"directory": folder, "compute": {"threads": 1}})
    parts = wire(settings, clock=manual_clock(LATER_US), engine=ENGINE)
    node = Node(parts, App("learning", declarations, {}, ModuleType("learning")), sources=[])
    node.apply()
    return node


def columns(queries: Sequence[wm.Query]) -> dict[str, str]:
    """Query name -> its columns and their types, as one text."""
    bound = ENGINE.bind(collect(queries))
    return {q.name: ", ".join(f"{name} {kind.lower()}" for name, kind in bound[q.name].items()) for q in queries}


def published(tables: Sequence[wm.Table]) -> dict[str, tuple[str, ...]]:
    """Name of each table of the speed layer's answers -> its columns, in order."""
    return {
        t.name: (*(t.of.lineage.columns or ()), *(c.split(" as ")[-1] for c in t.columns if c != "*"))
        for t in tables
        if t.to == "realtime_views" and isinstance(t.of, wm.Query)
    }


def check_published(tables: Sequence[wm.Table], names: Iterable[str]) -> None:
    """The tables of the speed layer's answers are these, begin with the window's bounds and end with when."""
    found = published(tables)
    assert list(found) == list(names)
    assert all(columns[:2] == ("window_start", "window_end") for columns in found.values())
    assert all(columns[-1] == "processed_at" for columns in found.values())


def holds(of: wm.Query, given: Sequence[Mapping[str, object]], expect: Sequence[Mapping[str, object]]) -> None:
    """The query gives these rows, whatever is done to the order of the records."""
    [outcome] = check(collect([wm.Example(of=of, given=given, expect=expect), of]), torture=1)
    assert outcome.passed, outcome.complaints


def referred(example: wm.Example) -> list[str]:
    """Where the answer that rests on the reference engine is not what an example of a query expects."""
    assert isinstance(example.of, wm.Query)
    return _differences(_rows(example.of, _given(example)), example.expect, exact=True)


def _rows(of: wm.Query, given: Given) -> list[dict[str, Any]]:
    tables = {alias: _input(view, given) for alias, view in of.inputs.items()}
    found = ENGINE.query(of.sql, tables, as_of_us=LATER_US)
    rows: list[dict[str, Any]] = pa.table(ENGINE.select(found, Selection(), key=of.key, time=of.time)).to_pylist()
    return rows


def _input(of: wm.View | wm.Query, given: Given) -> pa.Table:
    """The rows of an input, typed as the columnar engine types them."""
    assert isinstance(of, wm.View)
    logged = [
        {"partition": 0, "offset": place, "arrival": LATER_US, "value": json.dumps(record).encode()}
        for place, record in enumerate(given[of.topic.name])
    ]
    empty = ENGINE.hold(of.cells)
    try:
        schema = pa.table(empty.rows(of, Selection()).rows).schema
    finally:
        empty.close()
    answer = reference.answer(of, logged)
    return pa.table([pa.array([row[field.name] for row in answer], field.type) for field in schema], schema=schema)
