"""Lift: used records to cells, for every spec of a topic.

A spec is one statement over the chunk: *input rows* (one a record, or one an element where the spec explodes) with the
key of their cell and the inputs of the lifts (`partials`), then one GROUP BY.

Expressions never fail a chunk. A result that raised, is not finite or out of range is null and counted as unusable: one
for each row and expression, one for a record whose list has more elements than are taken, one for a record on which the
spec's own condition fails, and one for a row whose window cannot be (`placement`). A null that an expression gives of
its own accord is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core.engine import Lifted
from ...core.record import Records
from ...core.topic import Topic
from ...core.user_window import UserWindow
from ...core.view import EXPLODE_LIMIT, CellSpec
from ...core.window import Window
from .calendars import GREATEST_US, LEAST_US, bounds
from .columns import Columns, is_column, tried
from .database import BATCH_ROWS, table
from .merge import islands
from .partials import SAFE_DIGITS, decimal_digits, finite, key_columns, lift_columns, partial_types, quoted, usable
from .placement import placed

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
        self._given: list[str] = []
        """The columns of ``used``."""

    def of(self, rows: pa.Table) -> Lifted:
        schema = self._columns.schema(self._cell_types())
        if not rows.num_rows:
            return Lifted(schema.empty_table(), 0, 0)
        self._given = rows.column_names
        pane, lost, tables = self._spec.pane, self._lost(rows), {"used": rows}
        if pane.kind == "calendar":
            tables["used"] = rows.append_column("_pane", _calendar_panes(pane, rows))
            self._given = [*self._given, "_pane"]
        elif isinstance(pane, UserWindow):
            asked = self._columns.database.select(self._asked(pane), tables)
            tables["placed"], unusable = placed(pane, asked)
            lost += unusable
        found = self._columns.database.select(self._statement(), tables)
        counted, bad = (found.column(name).to_numpy().sum() for name in ("_rows", "_unusable"))
        return Lifted(found.select(schema.names).cast(schema), int(counted), int(bad) + lost)

    def _cell_types(self) -> dict[str, str]:
        spec, types = self._spec, self._types
        ends = {"pane_end": "TIMESTAMP"} if spec.pane.carries_end else {}
        dimensions = {d.name: kind for d, kind in zip(spec.dimensions, types.dimensions, strict=True)}
        return {"pane": "TIMESTAMP", **ends, **dimensions, **partial_types(spec, types.lifts)}

    def _statement(self) -> str:
        spec, keys = self._spec, key_columns(self._spec)
        lifts = [*lift_columns(spec, self._types.lifts), "count(*) AS _rows", "sum(_bad)::BIGINT AS _unusable"]
        source = self._source()
        if spec.pane.kind == "user":
            source = f'(SELECT * FROM {source} JOIN placed USING (partition, "offset", _place))'
        rows = self._input_rows(source, _pane(spec.pane))
        if spec.pane.kind == "session":
            return islands(rows, keys[2:], lifts, spec.pane.size_us)
        return f"SELECT {', '.join([*keys, *lifts])} FROM ({rows}) GROUP BY {', '.join(keys)}"

    def _asked(self, window: UserWindow) -> str:
        """The input rows, as a window function is asked about them."""
        names = [quoted(name) for name in window.parameters if name != "event_time"]
        rows = self._input_rows(self._source(), "NULL AS pane")
        return f"SELECT {', '.join(['partition', quoted('offset'), '_place', 'event_time', *names])} FROM ({rows})"

    def _input_rows(self, source: str, pane: str) -> str:
        """The input rows: key, _x{i}, _w{i}, the order of first and last, and how many results were unusable.

        Args:
            source: SQL of the records, or elements of their lists.
            pane: SQL of their pane.
        """
        spec, conditions = self._spec, [item.where for item in self._spec.lifts if item.where]
        written = dict.fromkeys(e for e in (*(d.expr for d in spec.dimensions), *(x.expr for x in spec.lifts)) if e)
        values = {expr: f"_e{i}" for i, expr in enumerate(written)}
        met = {condition: f"_c{i}" for i, condition in enumerate(dict.fromkeys(conditions))}
        rows = f"SELECT * FROM {source}" + (f" WHERE TRY({spec.where})" if spec.where else "")
        tries = [f"{tried(sql, self._known)} AS {name}" for sql, name in (*values.items(), *met.items())]
        rows = f"SELECT {', '.join(['*', *tries])} FROM ({rows})"
        inputs, bad, key = [], [_failed(sql, name) for sql, name in met.items()], [pane]
        for i, (dimension, kind) in enumerate(zip(spec.dimensions, self._types.dimensions, strict=True)):
            inputs.append(f"{finite(kind, values[dimension.expr])} AS _d{i}")
            key.append(f"_d{i} AS {quoted(dimension.name)}")
            bad += self._unusable(dimension.expr, kind, f"_d{i}")
        for i, (item, kind) in enumerate(zip(spec.lifts, self._types.lifts, strict=True)):
            if item.expr:
                inputs.append(f"{usable(item, kind, values[item.expr])} AS _x{i}")
                key.append(f"_x{i}")
                bad += self._unusable(item.expr, kind, f"_x{i}")
            if item.where:
                key.append(f"{met[item.where]} AS _w{i}")
        rows = f"SELECT {', '.join(['*', *inputs])} FROM ({rows})"
        key += ["event_time", "partition", '"offset"', "_place", f"({' + '.join(bad) or '0'})::BIGINT AS _bad"]
        return f"SELECT {', '.join(key)} FROM ({rows})"

    def _unusable(self, written: str, kind: str, value: str) -> list[str]:
        """SQL: 1 where nothing usable came of an expression; nothing to add where that cannot be."""
        is_safe = is_column(written, self._known) and kind not in _RISKY and decimal_digits(kind) <= SAFE_DIGITS
        return [] if is_safe else [_failed(written, value)]

    def _source(self) -> str:
        explode = self._spec.explode
        if explode is None:
            return "(SELECT *, 0 AS _place FROM used)"
        others = [quoted(name) for name in self._given if name.lower() != explode.name.lower()]
        taken = f"_list[:{EXPLODE_LIMIT}]"
        elements = f"unnest({taken}) AS {quoted(explode.name)}, generate_subscripts({taken}, 1)::INTEGER AS _place"
        lists = f"SELECT *, TRY({explode.expr}) AS _list FROM used"
        return f"(SELECT {', '.join(others)}, {elements} FROM ({lists}))"

    def _lost(self, rows: pa.Table) -> int:
        """How often the spec's own condition or list failed, or a list had more elements than are taken."""
        explode, lost = self._spec.explode, []
        if explode is not None:
            more = f"coalesce(len(TRY({explode.expr})) > {EXPLODE_LIMIT}, false)"
            lost.append(f"SELECT 1 FROM used WHERE {more} OR {_raised(explode.expr)}")
        if self._spec.where:
            lost.append(f"SELECT 1 FROM {self._source()} WHERE {_raised(self._spec.where)}")
        if not lost:
            return 0
        found = self._columns.database.select(f"SELECT count(*) AS n FROM ({' UNION ALL '.join(lost)})", {"used": rows})
        return int(found.column("n")[0].as_py())


def _failed(written: str, value: str) -> str:
    """SQL: 1 where ``value`` is null although the expression as written is not."""
    return f"CASE WHEN {value} IS NULL THEN CASE WHEN TRY(({written}) IS NULL) THEN 0 ELSE 1 END ELSE 0 END"


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
        case "user":
            return "_pane AS pane, _pane_end AS pane_end"
    # The remainder takes the sign of what is divided, so times before the origin need one more width.
    behind = f"((epoch_us(event_time) - {pane.origin_us}) % {pane.pane_us} + {pane.pane_us}) % {pane.pane_us}"
    return f"make_timestamp(epoch_us(event_time) - {behind}) AS pane"


def _calendar_panes(pane: Window, rows: pa.Table) -> pa.Array:
    """The start of the day, week, … that each record lies in."""
    assert pane.unit is not None
    times: NDArray[np.int64] = rows.column("event_time").cast(pa.int64()).to_numpy()
    starts: set[int] = set()
    for day in np.unique(np.clip(times, LEAST_US, GREATEST_US) // _DAY_US).tolist():
        last = min((day + 1) * _DAY_US - 1, GREATEST_US)
        start, end = bounds(pane.unit, pane.zone, day * _DAY_US)
        starts.add(start)
        while end <= last:
            start, end = bounds(pane.unit, pane.zone, end)
            starts.add(start)
    ordered = np.array(sorted(starts), dtype=np.int64)
    place = np.maximum(np.searchsorted(ordered, times, side="right") - 1, 0)
    return pa.array(ordered[place], pa.timestamp("us"))
