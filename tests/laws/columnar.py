"""The columnar engine as the laws use one, and its chunks as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa

import watersmeet as wm
from watersmeet.core.engine import Selection
from watersmeet.core.frontier import Frontier
from watersmeet.core.ledger import Entry
from watersmeet.core.record import Records
from watersmeet.core.topic import Topic
from watersmeet.core.view import CellSpec
from watersmeet.engines.columnar.engine import ColumnarEngine

from .model import Absorbed, Blob, interval
from .worlds import LoggedRecord

LOGGED = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("arrival", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.map_(pa.string(), pa.binary())),
        ("slice", pa.int64()),
    ]
)


def chunk(records: Iterable[Mapping[str, Any]], slices: Iterable[int] = ()) -> pa.Table:
    """Records as a LOGGED chunk; all of slice 0 unless told otherwise."""
    of = iter(slices)
    rows = [{"key": None, **r, "headers": [], "slice": next(of, 0)} for r in records]
    return pa.Table.from_pylist(rows, LOGGED)


def plain(rows: Records) -> list[dict[str, Any]]:
    """A chunk as the reference holds values: times in µs, lists as tuples."""
    return [{name: _value(value) for name, value in row.items()} for row in pa.table(rows).to_pylist()]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value.replace(tzinfo=None) - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    if isinstance(value, list):
        return tuple(_value(item) for item in value)
    if isinstance(value, dict):
        return {name: _value(item) for name, item in value.items()}
    return value if not isinstance(value, date) else date(value.year, value.month, value.day)


class ColumnarKit:
    """See `tests.laws.model.Kit`."""

    finished = True

    def __init__(self, engine: ColumnarEngine, topic: Topic) -> None:
        self.engine, self._topic = engine, topic

    def absorb(
        self,
        specs: Sequence[CellSpec],
        records: Sequence[LoggedRecord],
        bounds: Sequence[tuple[Frontier, Frontier]],
        known: Sequence[Blob],
    ) -> Absorbed:
        """Decode, decide and lift one interval."""
        parts = [interval(records, *bound) for bound in bounds]
        logged = chunk([r for part in parts for r in part], [i for i, part in enumerate(parts) for _ in part])
        ids = self.engine.ids()
        for kept in known:
            ids.add(kept)
        decoded = self.engine.decode(self._topic, logged)
        decided = self.engine.decide(self._topic, decoded.rows, ids.lookup)
        lifted = self.engine.lift(self._topic, specs, decided.used)
        dead = pa.table(decoded.dead).column("partition").to_pylist()
        there = logged.column("partition").to_pylist()
        ledger = []
        for p, (low, up) in enumerate(zip(bounds[0][0], bounds[-1][1], strict=True)):
            used, duplicates, filtered, conflicts = decided.counts.get(p, (0, 0, 0, 0))
            holes = up - low - there.count(p)
            ledger.append(Entry(p, low, up, used, duplicates, dead.count(p), filtered, holes, conflicts))
        newest = tuple(decided.newest.get(p) for p in range(self._topic.partitions))
        return Absorbed({fp: found.cells for fp, found in lifted.items()}, decided.kept, tuple(ledger), newest)

    def merge(self, spec: CellSpec, cells: Sequence[Blob]) -> Blob:
        """Add cells up."""
        return self.engine.merge(spec, cells)

    def answer(self, view: wm.View, cells: Mapping[str, Sequence[Blob]], upto_us: int | None) -> list[dict[str, Any]]:
        """The finished rows."""
        return self.rows(view, cells, Selection(upto_us=upto_us))

    def rows(
        self,
        view: wm.View,
        cells: Mapping[str, Sequence[Blob]],
        selection: Selection,
        through: Records | None = None,
    ) -> list[dict[str, Any]]:
        """The finished rows of a selection."""
        helds = {spec.fingerprint: self.engine.hold(spec) for spec in view.specs}
        try:
            for fp, held in helds.items():
                for i, part in enumerate(cells[fp]):
                    held.update({f"owner{i}": part}, base=i % 2 == 0)
            tops = {name: helds[spec.fingerprint] for name, spec in view.tops}
            main = helds[view.cells.fingerprint]
            return plain(main.rows(view, selection, tops=tops, through=through).rows)
        finally:
            for held in helds.values():
                held.close()
