"""Cells made the slow way, and a database to read them in.

Expressions are evaluated by DuckDB, since they are SQL; everything else is plain Python over lists of records. A record
is a dictionary with the topic's columns and ``event_time`` in µs; its place in the list is its offset.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from watersmeet.core.engine import Rows, Selection
from watersmeet.core.measure import PARTIALS, Lift
from watersmeet.core.topic import Topic
from watersmeet.core.view import CellSpec, View
from watersmeet.engines.columnar import macros
from watersmeet.engines.columnar.calendars import bounds
from watersmeet.engines.columnar.columns import Columns
from watersmeet.engines.columnar.database import Database, table
from watersmeet.engines.columnar.held import ColumnarHeld
from watersmeet.engines.columnar.partials import LIMB
from watersmeet.engines.columnar.rowtypes import cell_types

Record = Mapping[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
MINUTE = 60_000_000


def at(us: int) -> datetime:
    """A time as answers have it."""
    return EPOCH + timedelta(microseconds=us)


def us(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)


def columns() -> Columns:
    """A database ready for holders."""
    database = Database(threads=2)
    with database.cursor() as cursor:
        macros.install(cursor)
    return Columns(database)


def lift(spec: CellSpec, records: Sequence[Record], first: int = 0) -> pa.Table:
    """Cells of one owner's records; ``first`` is the offset of the first of them."""
    cells: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in _evaluated(spec, records, first):
        if row["_counts"]:
            key = (_pane(spec, row["event_time"]), *(_hashable(row[f"_d{i}"]) for i in range(len(spec.dimensions))))
            cells[key].append(row)
    rows = []
    for key, group in cells.items():
        for fragment in _fragments(spec, group):
            out: dict[str, Any] = {"pane": key[0]}
            if spec.pane.kind == "session":
                out |= {"pane": fragment[0]["event_time"], "pane_end": fragment[-1]["event_time"]}
            out |= {d.name: fragment[0][f"_d{i}"] for i, d in enumerate(spec.dimensions)}
            kinds = cell_types(COLUMNS, spec)
            for i, item in enumerate(spec.lifts):
                values = _partials(item, i, fragment, kinds)
                out |= {f"p{i}_{part}": value for part, value in zip(PARTIALS[item.kind], values, strict=True)}
            rows.append(out)
    return pa.Table.from_pylist(rows, schema=COLUMNS.schema(cell_types(COLUMNS, spec)))


def hold(spec: CellSpec, records: Sequence[Record], pieces: int = 1) -> ColumnarHeld:
    """A holder of the records' cells, which ``pieces`` owners brought."""
    held = ColumnarHeld(COLUMNS, spec)
    cuts = [len(records) * i // pieces for i in range(pieces + 1)]
    for i in range(pieces):
        part = records[cuts[i] : cuts[i + 1]]
        held.update({f"owner{i}": lift(spec, part, cuts[i])})
    return held


class World:
    """Holders of all cells that readings of a view need, filled with records that ``pieces`` owners brought."""

    def __init__(self, view: View, records: Sequence[Record], pieces: int = 1) -> None:
        self.view = view
        self.held = hold(view.cells, records, pieces)
        self.tops = {name: hold(spec, records, pieces) for name, spec in view.tops}
        self.records = records

    def answer(self, selection: Selection, view: View | None = None, owners: frozenset[str] | None = None) -> Rows:
        """What the view answers, or another reading of its cells."""
        of = view or self.view
        through = read(of.through, self.records, Selection()).rows if of.through else None
        return self.held.rows(of, selection, owners=owners, tops=self.tops, through=through)

    def rows(self, view: View | None = None, **selection: Any) -> list[dict[str, Any]]:
        """The rows of an answer."""
        return dicts(self.answer(Selection(**selection), view))


def read(view: View, records: Sequence[Record], selection: Selection, pieces: int = 1) -> Rows:
    """What a view answers over records."""
    return World(view, records, pieces).answer(selection)


def dicts(rows: Rows) -> list[dict[str, Any]]:
    """Rows as dictionaries."""
    found: list[dict[str, Any]] = table(rows.rows).to_pylist()
    return found


def _evaluated(spec: CellSpec, records: Sequence[Record], first: int) -> list[dict[str, Any]]:
    topic: Topic = spec.topic
    decoded = COLUMNS.decoded(topic)
    filled = [
        {"arrived_at": None, "partition": 0, "offset": first + i, "slice": 0, "_content": 0, "_hi": 0, "_lo": 0}
        | {**record, "event_time": at(record["event_time"])}
        for i, record in enumerate(records)
    ]
    source = pa.Table.from_pylist(filled, schema=COLUMNS.schema(decoded))
    bound = COLUMNS.spec(spec)
    rows = "SELECT *, 0 AS _place FROM source"
    if spec.explode:
        element = f'unnest({spec.explode.expr}) AS "{spec.explode.name}"'
        rows = f"SELECT *, {element}, generate_subscripts({spec.explode.expr}, 1) AS _place FROM source"
    wanted = ["event_time", '"partition"', '"offset"', "_place", f"{spec.where or 'true'} AS _counts"]
    wanted += [f"({d.expr}) AS _d{i}" for i, d in enumerate(spec.dimensions)]
    for i, item in enumerate(spec.lifts):
        wanted.append(f"{item.where or 'true'} AS _w{i}")
        value = f"({item.expr})" if item.expr else "NULL"
        canonical = f"epoch_us({value})" if bound.lifts[i].startswith("TIMESTAMP") else value
        wanted += [f"{value} AS _x{i}", f"{canonical}::VARCHAR AS _t{i}"]
    with COLUMNS.database.cursor({"source": source}) as cursor:
        sql = f"SELECT {', '.join(wanted)} FROM ({rows})"
        found: list[dict[str, Any]] = cursor.sql(sql).to_arrow_table().to_pylist()
        return found


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _pane(spec: CellSpec, time: datetime) -> datetime | None:
    pane = spec.pane
    if pane.kind in ("all", "session"):
        return None
    if pane.unit is not None:
        return at(bounds(pane.unit, pane.zone, us(time))[0])
    return at((us(time) - pane.origin_us) // pane.pane_us * pane.pane_us + pane.origin_us)


def _fragments(spec: CellSpec, group: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """A session's records, cut wherever they are the gap apart; otherwise all in one."""
    group = sorted(group, key=lambda row: row["event_time"])
    if spec.pane.kind != "session":
        return [group]
    out = [[group[0]]]
    for row in group[1:]:
        if us(row["event_time"]) - us(out[-1][-1]["event_time"]) < spec.pane.size_us:
            out[-1].append(row)
        else:
            out.append([row])
    return out


def _partials(item: Lift, i: int, rows: list[dict[str, Any]], kinds: Mapping[str, str]) -> list[Any]:
    rows = [row for row in rows if row[f"_w{i}"]]
    present = [row for row in rows if row[f"_x{i}"] is not None]
    values = [row[f"_x{i}"] for row in present]
    if item.kind == "count":
        return [len(rows)]
    if item.kind == "sum":
        scale = int(kinds[f"p{i}_s"][:-1].split(",")[1])
        total = sum(_scaled(value, scale) for value in values)
        return [Decimal(f"{total}E-{scale}") if values else None, len(values)]
    if item.kind == "squares":
        squares = [_scaled(value, _scale(value, item)) ** 2 for value in values]
        limbs = [Decimal(sum(square // LIMB for square in squares)), Decimal(sum(square % LIMB for square in squares))]
        return limbs if values else [None, None]
    if item.kind in ("min", "max"):
        return [(min if item.kind == "min" else max)(values, default=None)]
    if item.kind in ("first", "last"):
        among = rows if item.nulls else present
        places = [[row["event_time"], row["partition"], row["offset"], row["_place"], row[f"_x{i}"]] for row in among]
        places.sort(key=lambda place: place[:4])
        return places[0 if item.kind == "first" else -1] if places else [None] * 5
    if item.kind == "values":
        return [sorted(set(values))]
    hashes = sorted({_hash(row[f"_t{i}"]) for row in present})
    return [hashes[: item.size], len(hashes) > item.size]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def _scale(value: Any, item: Lift) -> int:
    if isinstance(value, float):
        return item.size
    return -int(value.as_tuple().exponent) if isinstance(value, Decimal) else 0


def _scaled(value: Any, scale: int) -> int:
    """The integer that is added: decimals and integers exactly, a double as the product rounded half to even."""
    return round(value * 10**scale) if isinstance(value, float) else int(Decimal(value).scaleb(scale))


COLUMNS = columns()
