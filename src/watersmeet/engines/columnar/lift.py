"""Lift: used records to cells, for every spec of a topic.

Each spec is one statement over the chunk: input rows (one a record, or one an element where the spec explodes) with the
key of their cell and the inputs of the lifts (`partials`), then one GROUP BY. Expressions never fail a chunk: what raises,
is not finite or out of range becomes null and is counted as unusable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from ...core.engine import Lifted
from ...core.errors import DeclarationError
from ...core.record import Records
from ...core.topic import Topic
from ...core.view import EXPLODE_LIMIT, CellSpec
from ...core.window import Window
from . import calendars
from .columns import Columns, is_column, tried
from .database import table
from .partials import key_columns, lift_columns, partial_names, partial_types, quoted, usable

_ALWAYS = ("event_time", "partition", "offset")


def lift(columns: Columns, topic: Topic, specs: Sequence[CellSpec], used: Records) -> Mapping[str, Lifted]:
    """See `watersmeet.core.engine.Engine.lift`."""
    rows = table(used)
    return {spec.fingerprint: _lift_one(columns, topic, spec, rows) for spec in specs}


def _lift_one(columns: Columns, topic: Topic, spec: CellSpec, rows: pa.Table) -> Lifted:
    types = columns.spec(spec)
    schema = columns.schema(_cell_types(columns, spec))
    if not rows.num_rows:
        return Lifted(schema.empty_table(), 0, 0)
    known = list(columns.decoded(topic)) + ([spec.explode.name] if spec.explode else [])
    inputs = _inputs(spec, topic, columns, known)
    keys = key_columns(spec)
    grouped = (
        f"SELECT {', '.join([*keys, *lift_columns(spec, types.lifts)])}, count(*) AS _rows, "
        f"sum(_bad)::BIGINT AS _unusable FROM ({inputs}) GROUP BY {', '.join(keys)}"
    )
    tables = {"used": rows}
    if spec.pane.kind == "calendar":
        tables["bounds"] = _bounds(spec.pane, rows)
    found = columns.database.select(grouped, tables)
    count, bad = (sum(found.column(name).to_pylist()) for name in ("_rows", "_unusable"))
    names = [name.strip('"') for name in keys] + partial_names(spec)
    return Lifted(found.select(names).cast(schema), int(count), int(bad))


def _cell_types(columns: Columns, spec: CellSpec) -> dict[str, str]:
    types = columns.spec(spec)
    ends = {"pane_end": "TIMESTAMP"} if spec.pane.kind == "session" else {}
    dimensions = {d.name: kind for d, kind in zip(spec.dimensions, types.dimensions, strict=True)}
    return {"pane": "TIMESTAMP", **ends, **dimensions, **partial_types(spec, types.lifts)}


def _inputs(spec: CellSpec, topic: Topic, columns: Columns, known: Sequence[str]) -> str:
    """The input rows: key columns, x{i}, w{i}, the order of first and last, and how many expressions were unusable."""
    types = columns.spec(spec)
    parts, bad = [_pane(spec.pane)], []
    for dimension, kind in zip(spec.dimensions, types.dimensions, strict=True):
        parts.append(f"{tried(kind, dimension.expr, known)} AS {quoted(dimension.name)}")
        if not is_column(dimension.expr, known):
            bad.append(_unusable(dimension.expr, tried(kind, dimension.expr, known), columns, known))
    for place, (item, kind) in enumerate(zip(spec.lifts, types.lifts, strict=True)):
        if item.expr:
            value = usable(item, kind, tried(kind, item.expr, known))
            parts.append(f"{value} AS x{place}")
            if not is_column(item.expr, known) or kind in ("DOUBLE", "FLOAT", "HUGEINT") or item.kind == "squares":
                bad.append(_unusable(item.expr, value, columns, known))
        if item.where:
            parts.append(f"coalesce(TRY({item.where}), false) AS w{place}")
    parts += ["event_time", "partition", '"offset"', "_place", f"({' + '.join(bad) or '0'})::BIGINT AS _bad"]
    where = f" WHERE coalesce(TRY({spec.where}), false)" if spec.where else ""
    source = _source(spec)
    return f"SELECT {', '.join(parts)} FROM {source}{where}"


def _unusable(written: str, value: str, columns: Columns, known: Sequence[str]) -> str:
    """1 where the expression has all its inputs and yet gives nothing, else 0."""
    reads = [quoted(name) for name in known if name.lower() in _words(written)]
    given = " AND ".join(f"{name} IS NOT NULL" for name in reads) or "true"
    # An expression may be null by intent (a CASE, a nullif): only what raises or leaves its range counts.
    return f"CASE WHEN ({value}) IS NULL AND {given} AND TRY({written}) IS DISTINCT FROM NULL THEN 1 ELSE 0 END"


def _words(sql: str) -> set[str]:
    out, word = set(), ""
    for letter in sql.lower() + " ":
        if letter.isalnum() or letter == "_":
            word += letter
        elif word:
            out.add(word)
            word = ""
    return out


def _source(spec: CellSpec) -> str:
    if spec.explode is None:
        joined = "(SELECT *, 0 AS _place FROM used)"
    else:
        element, source = quoted(spec.explode.name), spec.explode.expr
        joined = (
            f"(SELECT * EXCLUDE (_list), unnest(_list[:{EXPLODE_LIMIT}]) AS {element},"
            f" generate_subscripts(_list[:{EXPLODE_LIMIT}], 1)::INTEGER AS _place"
            f" FROM (SELECT *, TRY({source}) AS _list FROM used))"
        )
    if spec.pane.kind == "calendar":
        return f"{joined} AS u ASOF JOIN bounds AS b ON u.event_time >= b.bound"
    return joined


def _pane(pane: Window) -> str:
    match pane.kind:
        case "all":
            return "NULL::TIMESTAMP AS pane"
        case "session":
            return "event_time AS pane, event_time AS pane_end"
        case "calendar":
            return "bound AS pane"
    width, origin = pane.pane_us, pane.origin_us
    floor = f"epoch_us(event_time) - {origin}"
    # The remainder takes the sign of what is divided, so times before the origin need one more width.
    return f"make_timestamp(epoch_us(event_time) - ((({floor}) % {width}) + {width}) % {width}) AS pane"


def _bounds(pane: Window, rows: pa.Table) -> pa.Table:
    """The starts of every calendar unit that the chunk touches."""
    if pane.unit is None:
        raise DeclarationError("calendar window", expected="a unit")
    times = rows.column("event_time").cast(pa.int64())
    at, last, out = min(times.to_pylist()), max(times.to_pylist()), []
    while True:
        start, end = calendars.bounds(pane.unit, pane.zone, at)
        out.append(start)
        if end > last:
            return pa.table({"bound": pa.array(out, pa.timestamp("us"))})
        at = end
