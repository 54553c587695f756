"""Lift: used records to cells, for every spec of a topic.

A spec is one statement over the chunk: *input rows* (one a record, or one an element where the spec explodes) with the
key of their cell and the inputs of the lifts (`partials`), then one GROUP BY.

Expressions never fail a chunk. A result that raised, is not finite or out of range is null and counted as unusable: one
for each row and expression, one for a record whose list has more elements than are taken, and one for a record on which
the spec's own condition fails. A null that an expression gives of its own accord is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core.engine import Lifted
from ...core.record import Records
from ...core.topic import Topic
from ...core.view import EXPLODE_LIMIT, CellSpec
from ...core.window import Window
from .calendars import bounds
from .columns import Columns, is_column, tried
from .database import BATCH_ROWS, table
from .decode_record import MAX_US, MIN_US
from .merge import islands
from .partials import key_columns, lift_columns, partial_names, partial_types, quoted, usable

_DAY_US = 86_400_000_000
_RISKY = ("FLOAT", "DOUBLE", "HUGEINT", "UHUGEINT")


def lift(columns: Columns, topic: Topic, specs: Sequence[CellSpec], used: Records) -> Mapping[str, Lifted]:
    """See `watersmeet.core.engine.Engine.lift`."""
    whole = table(used)
    rows = pa.Table.from_batches(whole.to_batches(max_chunksize=BATCH_ROWS), whole.schema)
    return {spec.fingerprint: _Lifting(columns, topic, spec).of(rows) for spec in specs}


class _Lifting:
    """One spec over one chunk."""

    def __init__(self, columns: Columns, topic: Topic, spec: CellSpec) -> None:
        self._columns, self._spec = columns, spec
        self._types = columns.spec(spec)
        self._known = [*columns.decoded(topic), *([spec.explode.name] if spec.explode else [])]

    def of(self, rows: pa.Table) -> Lifted:
        schema = self._columns.schema(self._cell_types())
        if not rows.num_rows:
            return Lifted(schema.empty_table(), 0, 0)
        if self._spec.pane.kind == "calendar":
            rows = rows.append_column("_pane", _calendar_panes(self._spec.pane, rows))
        found = self._columns.database.select(self._statement(), {"used": rows})
        counted, bad = (found.column(name).to_numpy().sum() for name in ("_rows", "_unusable"))
        return Lifted(found.select(schema.names).cast(schema), int(counted), int(bad) + self._lost(rows))

    def _cell_types(self) -> dict[str, str]:
        spec, types = self._spec, self._types
        ends = {"pane_end": "TIMESTAMP"} if spec.pane.kind == "session" else {}
        dimensions = {d.name: kind for d, kind in zip(spec.dimensions, types.dimensions, strict=True)}
        return {"pane": "TIMESTAMP", **ends, **dimensions, **partial_types(spec, types.lifts)}

    def _statement(self) -> str:
        spec, keys = self._spec, key_columns(self._spec)
        lifts = [*lift_columns(spec, self._types.lifts), "count(*) AS _rows", "sum(_bad)::BIGINT AS _unusable"]
        source = self._input_rows()
        if spec.pane.kind == "session":
            return islands(source, keys[2:], lifts, spec.pane.size_us)
        return f"SELECT {', '.join([*keys, *lifts])} FROM ({source}) GROUP BY {', '.join(keys)}"

    def _input_rows(self) -> str:
        """The input rows: key, x{i}, w{i}, the order of first and last, and how many expressions were unusable."""
        spec, parts, bad = self._spec, [_pane(self._spec.pane)], []
        for dimension, kind in zip(spec.dimensions, self._types.dimensions, strict=True):
            value = tried(kind, dimension.expr, self._known)
            parts.append(f"{value} AS {quoted(dimension.name)}")
            bad += self._unusable(dimension.expr, kind, value)
        for i, (each, kind) in enumerate(zip(spec.lifts, self._types.lifts, strict=True)):
            if each.expr:
                value = usable(each, kind, tried(kind, each.expr, self._known))
                parts.append(f"{value} AS x{i}")
                bad += self._unusable(each.expr, kind, value)
            if each.where:
                parts.append(f"coalesce(TRY({each.where}), false) AS w{i}")
                bad += self._unusable(each.where, "BOOLEAN", f"TRY({each.where})")
        counted = " + ".join(dict.fromkeys(bad)) or "0"
        parts += ["event_time", "partition", '"offset"', "_place", f"({counted})::BIGINT AS _bad"]
        where = f" WHERE coalesce(TRY({spec.where}), false)" if spec.where else ""
        return f"SELECT {', '.join(parts)} FROM {self._source()}{where}"

    def _unusable(self, written: str, kind: str, value: str) -> list[str]:
        """SQL: 1 where the value is null although the expression as written is not; nothing where that cannot be."""
        is_wide = kind in _RISKY or kind.startswith("DECIMAL(") and int(kind[8:].split(",")[0]) > 28
        if is_column(written, self._known) and not is_wide:
            return []
        return [f"CASE WHEN ({value}) IS NULL THEN CASE WHEN TRY(({written}) IS NULL) THEN 0 ELSE 1 END ELSE 0 END"]

    def _source(self) -> str:
        explode = self._spec.explode
        if explode is None:
            return "(SELECT *, 0 AS _place FROM used)"
        others = ", ".join([*(quoted(n) for n in self._known if n.lower() != explode.name.lower()), *self._pane_column()])
        taken = f"_list[:{EXPLODE_LIMIT}]"
        return (
            f"(SELECT {others}, unnest({taken}) AS {quoted(explode.name)}, "
            f"generate_subscripts({taken}, 1)::INTEGER AS _place FROM (SELECT *, TRY({explode.expr}) AS _list FROM used))"
        )

    def _pane_column(self) -> list[str]:
        return ["_pane"] if self._spec.pane.kind == "calendar" else []

    def _lost(self, rows: pa.Table) -> int:
        """How many records are left out, in part or in whole, because an expression of the spec itself failed."""
        spec, failed = self._spec, []
        if spec.explode is not None:
            items = f"TRY({spec.explode.expr})"
            failed += [f"coalesce(len({items}) > {EXPLODE_LIMIT}, false)", _raised(spec.explode.expr)]
        if not failed and not spec.where:
            return 0
        sql = f"SELECT count(*) AS n FROM used WHERE {' OR '.join(failed)}" if failed else "SELECT 0 AS n"
        lost = self._columns.database.select(sql, {"used": rows}).column("n")[0].as_py() if failed else 0
        if spec.where:
            sql = f"SELECT count(*) AS n FROM {self._source()} WHERE {_raised(spec.where)}"
            lost += self._columns.database.select(sql, {"used": rows}).column("n")[0].as_py()
        return int(lost)


def _raised(written: str) -> str:
    """SQL: the expression fails on the row."""
    return f"TRY({written}) IS NULL AND TRY(({written}) IS NULL) IS NULL"


def _pane(pane: Window) -> str:
    match pane.kind:
        case "all":
            return "NULL::TIMESTAMP AS pane"
        case "session":
            return "event_time AS pane, event_time AS pane_end"
        case "calendar":
            return "_pane AS pane"
    # The remainder takes the sign of what is divided, so times before the origin need one more width.
    behind = f"((epoch_us(event_time) - {pane.origin_us}) % {pane.pane_us} + {pane.pane_us}) % {pane.pane_us}"
    return f"make_timestamp(epoch_us(event_time) - {behind}) AS pane"


def _calendar_panes(pane: Window, rows: pa.Table) -> pa.Array:
    """The start of the day, week, … that each record lies in."""
    assert pane.unit is not None
    times: NDArray[np.int64] = rows.column("event_time").cast(pa.int64()).to_numpy()
    starts: set[int] = set()
    for day in np.unique(times // _DAY_US).tolist():
        # On its first day the calendar of a western zone has not begun; nor has a year an end after its last.
        at, last = (min(max(t, MIN_US + _DAY_US), MAX_US - 366 * _DAY_US) for t in (day * _DAY_US, (day + 1) * _DAY_US - 1))
        start, end = bounds(pane.unit, pane.zone, at)
        starts.add(start)
        while end <= last:
            start, end = bounds(pane.unit, pane.zone, end)
            starts.add(start)
    ordered = np.array(sorted(starts), dtype=np.int64)
    place = np.maximum(np.searchsorted(ordered, times, side="right") - 1, 0)
    return pa.array(ordered[place], pa.timestamp("us"))
