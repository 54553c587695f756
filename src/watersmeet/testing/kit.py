"""Examples, run for real and then tortured.

Each example runs on embedded stores in a temporary directory. First as it is written. Then again and again with the
same records disturbed in ways that must not matter: permuted, repeated (where the topic has an id), delayed, split into
other slices, the frontier between batch and speed moved, the process restarted. The same rows must come out every time.

What may matter is left alone: records of one id stay in order, since the first one counts, and so do records of one
event time, since ``first`` and ``last`` break ties by position.
"""

from __future__ import annotations

import datetime as dt
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pyarrow as pa

from watersmeet.core.declarations import Declarations
from watersmeet.core.engine import Engine
from watersmeet.core.example import Example
from watersmeet.core.manifest import roll
from watersmeet.core.normal import functions, in_json
from watersmeet.core.reader import Request
from watersmeet.core.topic import Topic
from watersmeet.core.view import View
from watersmeet.layers import ingest
from watersmeet.layers.status import ledger
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire

EPOCH_US = 1_000_000
OUTCOMES = ("used", "duplicates", "dead", "filtered")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one example.

    Args:
        title: of the example.
        passed: whether every run gave the expected rows.
        runs: how many there were.
        complaints: what was wrong in the first run that failed: its disturbances, then row by row.
    """

    title: str
    passed: bool
    runs: int
    complaints: tuple[str, ...] = ()


def check(declarations: Declarations, *, torture: int = 20, seed: int = 1) -> list[Outcome]:
    """Run every example of ``declarations``, each with ``torture`` disturbed runs after the plain one."""
    if any(topic.format != "json" for topic in declarations.topics.values()):
        declarations = in_json(declarations)  # as examples are written
    return [_check_one(declarations, example, torture, seed) for example in declarations.examples]


def _check_one(declarations: Declarations, example: Example, torture: int, seed: int) -> Outcome:
    for turn in range(torture + 1):
        draw = random.Random(f"{seed}/{example.title}/{turn}") if turn else None  # noqa: S311  # a seeded draw
        complaints = _run(declarations, example, draw)
        if complaints:
            how = f"run {turn} of seed {seed}" if turn else "as written"
            return Outcome(example.title, False, turn + 1, (f"{example.where_declared}: {how}", *complaints))
    return Outcome(example.title, True, torture + 1)


def _run(declarations: Declarations, example: Example, draw: random.Random | None) -> list[str]:
    given = _given(example)
    with tempfile.TemporaryDirectory(prefix="watersmeet-test-") as folder:
        world = _World(Path(folder), replace(declarations, tables={}, alerts={}), _newest(given, declarations))
        records = [(name, json.dumps(r, default=str).encode()) for name, rs in given.items() for r in rs]
        repeated = 0
        if draw is not None:
            records, repeated = _disturb(records, given, declarations, draw)
        world.play(records, draw)
        return _compare(example, world, repeated if isinstance(example.of, Topic) else 0)


class _World:
    """Embedded stores, a clock moved by hand, and layers that take single steps."""

    def __init__(self, folder: Path, declarations: Declarations, now_us: int) -> None:
        self._app = App("example", declarations, functions(declarations), ModuleType("example"))
        self._settings = Settings.model_validate({"directory": folder, "compute": {"threads": 1}})
        self.clock = manual_clock(now_us)
        self._engine: Engine | None = None
        self.node = self._start()
        self.node.apply()

    def _start(self) -> Node:
        parts = wire(self._settings, clock=self.clock, engine=self._engine)
        self._engine = parts.engine
        return Node(parts, self._app, sources=[])

    def play(self, records: Sequence[tuple[str, bytes]], draw: random.Random | None) -> None:
        """Append and absorb: at once, or in random pieces with rolls, batch runs, delays and restarts in between."""
        at = 0
        while at < len(records):
            size = len(records) if draw is None else draw.randint(1, max(1, len(records) // 2))
            for name, value in records[at : at + size]:
                ingest.append(self.node.parts.log, self.node.declarations().topic(name), [value])
            at += size
            self.absorb()
            if draw is None:
                continue
            if draw.random() < 0.5:
                for name in self.node.declarations().topics:
                    self.node.parts.state.change(name, lambda m: roll(m, self.clock.now_us()))
            if draw.random() < 0.5:
                self.node.catch_up({})
            if draw.random() < 0.3:
                self.node = self._start()
            if draw.random() < 0.3:
                self.clock.sleep(draw.random() * 10)

    def absorb(self) -> None:
        """Let the speed layer take everything that is unread."""
        for name in self.node.declarations().topics:
            self.node.absorb(name)


def _given(example: Example) -> dict[str, list[Mapping[str, object]]]:
    if isinstance(example.given, Mapping):
        return {name: list(records) for name, records in example.given.items()}
    of = example.of
    topics = (
        {of.name} if isinstance(of, Topic) else {v.topic.name for v in ((of,) if isinstance(of, View) else of.views)}
    )
    return {sorted(topics)[0]: list(example.given)}


def _newest(given: Mapping[str, Sequence[Mapping[str, object]]], declarations: Declarations) -> int:
    """The clock of an example: just after its newest event, so that nothing in it lies in the future."""
    times = [0]
    for name, records in given.items():
        column, kinds = declarations.topic(name).event_time, dict(declarations.topic(name).types)
        for record in records:
            value = record.get(column) if column else None
            if isinstance(value, int) and column:
                times.append(value * {"timestamp_ms": 1000, "timestamp_s": 1_000_000}.get(kinds[column].name, 1))
            elif isinstance(value, str):
                times.append(_iso_us(value))
    return max(times) + EPOCH_US


def _iso_us(text: str) -> int:
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError:
        return 0
    when = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return (when - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def _disturb(
    records: list[tuple[str, bytes]],
    given: Mapping[str, Sequence[Mapping[str, object]]],
    declarations: Declarations,
    draw: random.Random,
) -> tuple[list[tuple[str, bytes]], int]:
    """The records in another order, some of them twice; and how many copies were added."""
    payloads = [r for rs in given.values() for r in rs]
    groups: dict[object, int] = {}
    order: list[tuple[float, int]] = []
    ties = [_ties(declarations.topic(name), payload) for (name, _), payload in zip(records, payloads, strict=True)]
    places: dict[int, float] = {}
    for place, keys in enumerate(ties):
        group = next((groups[k] for k in keys if k in groups), place)
        for key in keys:
            groups[key] = group
        order.append((places.setdefault(group, draw.random()), place))
    moved = [place for _, place in sorted(order)]
    out, copies = [records[p] for p in moved], 0
    for place in moved:
        topic = declarations.topic(records[place][0])
        if topic.id is not None and topic.id in payloads[place] and draw.random() < 0.3 and _usable(payloads[place]):
            out.append(records[place])
            copies += 1
    return out, copies


def _ties(topic: Topic, payload: Mapping[str, object]) -> list[object]:
    return [(topic.name, column, str(payload.get(column))) for column in (topic.id, topic.event_time) if column]


def _usable(payload: Mapping[str, object]) -> bool:
    return bool(payload)


def _compare(example: Example, world: _World, repeated: int) -> list[str]:
    of = example.of
    if isinstance(of, Topic):
        sums = ledger(world.node.parts.state.manifest(of.name))
        got: list[dict[str, object]] = [{name: getattr(sums, name) for name in OUTCOMES}]
        if repeated:  # a copy of a good record is a duplicate, of a dead one dead again
            got[0] = {"used": sums.used, "filtered": sums.filtered}
    else:
        got = pa.table(world.node.reader.read(Request(of)).rows).to_pylist()
    return _differences(got, example.expect, exact=not repeated)


def _differences(got: list[dict[str, object]], expect: Sequence[Mapping[str, object]], *, exact: bool) -> list[str]:
    out = []
    if len(got) != len(expect):
        out.append(f"expected {len(expect)} rows, got {len(got)}")
    for number, (row, wanted) in enumerate(zip(got, expect, strict=False)):
        for column, value in wanted.items():
            if column not in row:
                if exact:
                    out.append(f"row {number}: there is no column {column!r}")
            elif not _same(row[column], value):
                out.append(f"row {number}, {column}: expected {value!r}, got {row[column]!r}")
    return out


def _same(got: object, expected: object) -> bool:
    if isinstance(got, bool) or isinstance(expected, bool):
        return got == expected
    if isinstance(got, Decimal | int | float) and isinstance(expected, Decimal | int | float | str):
        try:
            return Decimal(str(got)) == Decimal(str(expected))
        except ArithmeticError:
            return False
    if isinstance(got, dt.datetime) and isinstance(expected, str | int):
        us = (got - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)  # noqa: DTZ001  # times here are UTC
        return us == (expected if isinstance(expected, int) else _iso_us(expected))
    if isinstance(got, dt.date) and isinstance(expected, str):
        return got.isoformat() == expected
    if isinstance(got, list) and isinstance(expected, list | tuple):
        return len(got) == len(expected) and all(_same(a, b) for a, b in zip(got, expected, strict=True))
    if isinstance(got, dict) and isinstance(expected, Mapping):
        return got.keys() == expected.keys() and all(_same(got[k], expected[k]) for k in got)
    return got == expected
