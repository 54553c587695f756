"""Bugs planted on purpose, each to be caught by a check that passes without it: one that cannot fail proves nothing."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.adapters.local.state import LocalState
from watersmeet.core import failpoint, manifest
from watersmeet.core.engine import Decided, Selection
from watersmeet.core.errors import WatersmeetError
from watersmeet.core.manifest import Cover, Manifest, Run
from watersmeet.core.state import Blob
from watersmeet.core.view import View
from watersmeet.engines import reference
from watersmeet.engines.columnar import partials
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers import audit, ingest
from watersmeet.layers import speed as speed_layer
from watersmeet.runtime.node import Node

from . import shop

pytestmark = pytest.mark.integration
Patch = pytest.MonkeyPatch


def story(folder: Path, *, copies: bool = True) -> Node:
    """Copies, restarts, rolls and batch runs; ends with cells in both layers."""
    payloads = shop.workload("duplicates" if copies else "steady", 30)
    node = shop.open_node(folder, shop.clock())
    node.apply()
    for at in range(0, len(payloads), 10):
        ingest.append(node.parts.log, node.declarations().topic("orders"), payloads[at : at + 10])
        node.absorb("orders")
        if at < 20:
            node.parts.state.change("orders", lambda m: manifest.roll(m, 1))
            node.catch_up({})
        node = shop.open_node(folder, shop.clock())
    ingest.append(node.parts.log, node.declarations().topic("orders"), payloads[:5])
    node.absorb("orders")
    return node


def rows(node: Node, of: str | View, **request: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.table(node.reader.read(wm.Request(of, **request)).rows).to_pylist()
    return found


def plain(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Times as microseconds, as the reference has them."""
    return [
        {name: _us(value) if isinstance(value, dt.datetime) else value for name, value in row.items()} for row in found
    ]


def _us(value: dt.datetime) -> int:
    return (value.replace(tzinfo=dt.UTC) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def answers_equal_the_reference(folder: Path) -> None:
    node = story(folder)
    log = node.parts.log
    records = pa.table(log.read("orders", log.start("orders"), log.end("orders"), 10_000)).to_pylist()
    for view in (shop.sales, shop.totals):
        assert plain(rows(node, view.name)) == reference.answer(view, records), view.name


def layers_add_up(folder: Path) -> None:
    node = story(folder)
    parts = [rows(node, "totals", layer=layer)[0]["orders"] for layer in ("batch", "speed", "merged")]
    assert parts[0] + parts[1] == parts[2] == shop.sums(node).used


def nothing_covered_stays_with_the_speed_layer(folder: Path) -> None:
    m = story(folder).parts.state.manifest("orders")
    assert {b.epoch for b in m.blocks} == {m.open_epoch}


def a_range_changes_no_row(folder: Path) -> None:
    node = story(folder)
    whole = rows(node, "sales")
    lower = (shop.NOON_MS + 300_000) * 1000
    part = rows(node, "sales", range=(lower, None))
    assert plain(part) == [row for row in plain(whole) if row["window_start"] >= lower]


def sketches_are_close(folder: Path) -> None:
    del folder
    view = wm.View("many", topic=shop.orders, measures={"n": wm.distinct("order_id", size=64)})
    engine = ColumnarEngine(threads=1)
    draw = random.Random(5)
    values = [shop.order(n, draw) for n in range(4000)]
    logged = pa.table(
        {
            "partition": pa.array([0] * 4000, pa.int32()),
            "offset": pa.array(range(4000), pa.int64()),
            "arrival": pa.array([(shop.NOON_MS + 3_600_000) * 1000] * 4000, pa.int64()),
            "key": pa.nulls(4000, pa.binary()),
            "value": pa.array(values, pa.binary()),
            "headers": pa.nulls(4000, pa.map_(pa.string(), pa.binary())),
        }
    )
    decoded = engine.decode(shop.orders, logged)
    used = engine.decide(shop.orders, decoded.rows, engine.ids().lookup).used
    held = engine.hold(view.cells)
    held.update({"a": engine.lift(shop.orders, [view.cells], used)[view.cells.fingerprint].cells})
    [row] = pa.table(held.rows(view, Selection()).rows).to_pylist()
    assert abs(row["n"] - 4000) < 4000 * 5 / 62**0.5  # five standard errors


def a_tampered_batch_is_noticed(folder: Path) -> None:
    """The audit must see a batch layer that computes something else than the speed layer did."""
    node = story(folder)
    runner = node.parts.runner
    honest = runner.recompute

    def tampered(*args: Any) -> Any:
        found = honest(*args)
        cells = {fp: dataclasses.replace(x, cells=pa.table(x.cells).slice(1)) for fp, x in found.cells.items()}
        return dataclasses.replace(found, cells=cells)

    object.__setattr__(runner, "recompute", tampered)
    node.parts.state.change("orders", lambda m: manifest.roll(m, 1))
    node.catch_up({})
    assert node.status().mismatches == 1


def two_layers_commit_one_after_the_other(folder: Path) -> None:
    """A speed layer that was overtaken must not commit."""
    node = shop.open_node(folder, shop.clock())
    node.apply()
    ingest.append(node.parts.log, node.declarations().topic("orders"), shop.workload("steady", 3))
    stop = threading.Event()

    def overtake(point: str) -> None:
        if point == "speed.commit.before":
            node.parts.state.change("orders", lambda m: manifest.lease(m, "second"))
            stop.set()

    failpoint.install(overtake)
    try:
        with pytest.raises(WatersmeetError, match="taken over"):
            node.speed("orders").run(stop)
    finally:
        failpoint.install(None)
    assert node.parts.state.manifest("orders").frontier == (0, 0)


def the_watermark_waits_for_the_slowest(folder: Path) -> None:
    node = story(folder, copies=False)
    m = node.parts.state.manifest("orders")
    times = [t for t in m.event_times if t is not None]
    assert m.watermark_us is not None
    assert len(times) == 2
    assert m.watermark_us <= min(times) - shop.orders.lateness_us


# -- the saboteurs -----------------------------------------------------------------------------------------------------


def offset_before_cells(patch: Patch) -> None:
    """The frontier moves on, the cells stay behind."""
    honest = Blob

    def lost(kind: str, owner: str, records: Any) -> Blob:
        return honest(kind, owner, pa.table(records).slice(0, 0) if kind.startswith("cells") else records)

    patch.setattr("watersmeet.layers.speed.Blob", lost)


def retirement_dropped(patch: Patch) -> None:
    patch.setattr(manifest, "_retire", lambda m: m)


def ids_lost_when_slices_retire(patch: Patch) -> None:
    """A new speed layer remembers only what live slices kept."""
    honest = speed_layer.Speed._load_ids

    def forgetful(self: speed_layer.Speed) -> None:
        whole = self._m
        self._m = dataclasses.replace(whole, epochs=())
        honest(self)
        self._m = whole

    patch.setattr(speed_layer.Speed, "_load_ids", forgetful)


def no_memory_of_ids(patch: Patch) -> None:
    honest = ColumnarEngine.decide

    def amnesia(self: ColumnarEngine, topic: Any, given: Any, known: Any) -> Decided:
        return honest(self, topic, given, lambda ids: known(pa.table(ids).slice(0, 0)))

    patch.setattr(ColumnarEngine, "decide", amnesia)


def both_layers_are_read(patch: Patch) -> None:
    """Blocks of epochs that a run covers are merged too."""
    honest = manifest.cover

    def greedy(m: Manifest, fingerprint: str) -> Cover:
        found = honest(m, fingerprint)
        runs = tuple(found.runs)
        return dataclasses.replace(found, runs=runs, blocks=tuple(b for b in m.blocks if fingerprint in b.fingerprints))

    patch.setattr(manifest, "_retire", lambda m: m)
    patch.setattr("watersmeet.layers.serving.cover", greedy)


def published_twice(patch: Patch) -> None:
    """A second run over an epoch is listed beside the first."""
    honest = manifest.publish

    def twice(m: Manifest, p: manifest.Published) -> Manifest:
        done = honest(m, p)
        copies = tuple(Run(r.owner + "x", r.fingerprint, r.first, r.last, r.panes) for r in p.runs)
        return dataclasses.replace(done, runs=(*done.runs, *copies))

    honest_load = LocalState.load

    def load(self: Any, topic: str, kind: str, owners: Any) -> Any:
        found = honest_load(self, topic, kind, sorted({o.removesuffix("x") for o in owners}))
        return {o: found[o.removesuffix("x")] for o in owners}

    patch.setattr(manifest, "publish", twice)
    patch.setattr(LocalState, "load", load)


def lag_stops_at_the_edge_of_the_range(patch: Patch) -> None:
    patch.setattr(View, "reach_us", property(lambda self: 0))


def largest_hashes_kept(patch: Patch) -> None:
    """Every law of a monoid holds, and the estimate is nonsense."""
    honest = partials._lifted

    def largest(*args: Any) -> Any:
        return {part: sql.replace("list_sort(", "list_reverse_sort(") for part, sql in honest(*args).items()}

    patch.setattr(partials, "_lifted", largest)


def audit_that_never_differs(patch: Patch) -> None:
    patch.setattr(audit.Audit, "differences", lambda self, a, b: (1, 0))


def fence_dropped(patch: Patch) -> None:
    honest = manifest.commit

    def unfenced(m: Manifest, c: manifest.Commit) -> Manifest:
        return honest(m, dataclasses.replace(c, generation=m.generation))

    patch.setattr(manifest, "commit", unfenced)


def watermark_of_the_fastest(patch: Patch) -> None:
    patch.setattr(
        speed_layer,
        "watermark_us",
        lambda newest, *args, lateness_us, **more: max(t for t in newest if t) - lateness_us,
    )


def one_block_forgotten(patch: Patch) -> None:
    """A reader passes over the first block."""
    honest = manifest.cover

    def short(m: Manifest, fingerprint: str) -> Cover:
        found = honest(m, fingerprint)
        return dataclasses.replace(found, blocks=found.blocks[1:])

    patch.setattr("watersmeet.layers.serving.cover", short)


Check = Callable[[Path], None]


def _name(check: Check) -> str:
    return str(getattr(check, "__name__", check))


PLANTED: list[tuple[Callable[[Patch], None], Check]] = [
    (offset_before_cells, answers_equal_the_reference),
    (retirement_dropped, nothing_covered_stays_with_the_speed_layer),
    (ids_lost_when_slices_retire, answers_equal_the_reference),
    (no_memory_of_ids, answers_equal_the_reference),
    (both_layers_are_read, layers_add_up),
    (published_twice, layers_add_up),
    (lag_stops_at_the_edge_of_the_range, a_range_changes_no_row),
    (largest_hashes_kept, sketches_are_close),
    (audit_that_never_differs, a_tampered_batch_is_noticed),
    (fence_dropped, two_layers_commit_one_after_the_other),
    (watermark_of_the_fastest, the_watermark_waits_for_the_slowest),
    (one_block_forgotten, answers_equal_the_reference),
]


@pytest.mark.parametrize("check", list(dict.fromkeys(check for _, check in PLANTED)), ids=_name)
def test_without_a_bug_every_check_passes(check: Check, tmp_path: Path) -> None:
    check(tmp_path)


@pytest.mark.parametrize(("bug", "check"), PLANTED, ids=[bug.__name__ for bug, _ in PLANTED])
def test_a_planted_bug_is_caught(
    bug: Callable[[Patch], None], check: Check, tmp_path: Path, monkeypatch: Patch
) -> None:
    bug(monkeypatch)
    with pytest.raises((AssertionError, WatersmeetError, pytest.fail.Exception)):
        check(tmp_path)
