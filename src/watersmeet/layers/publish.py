"""Publishing: keeps declared tables equal to the rows of their views and queries.

A table is written scope by scope, a scope being a value of its time column (or the whole table). What was published
last is remembered as key → row hash; only rows that differ are written, and rows that vanished are deleted. Each round
of a table takes the next sequence number by compare-and-set and a sink refuses a lower one, so of two publishers that
overtake each other the later look wins, and a crash between sink and state repeats the same writes.

Which scopes can have changed is decided by what the answer rests on: a table is looked at when a manifest version below
it has moved. A frozen scope is compared and counted, not written.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from watersmeet.core import failpoint
from watersmeet.core.answer import Answer
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Engine
from watersmeet.core.errors import ConflictError, PendingError
from watersmeet.core.query import Query
from watersmeet.core.reader import Reader, Request
from watersmeet.core.sink import Shape, Sink
from watersmeet.core.state import State
from watersmeet.core.table import Table
from watersmeet.core.topic import Topic
from watersmeet.core.view import View

failpoint.declare("publish.sequence.after", "publish.write.before", "publish.write.after", "publish.state.after")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """What one look at a table did.

    Args:
        table: its name.
        scopes: how many differed.
        upserts, deletes: rows written and removed.
        frozen: rows that differ in frozen scopes, left as they are.
    """

    table: str
    scopes: int
    upserts: int
    deletes: int
    frozen: int = 0


class Publisher:
    """Publishes tables.

    Args:
        reader, state, engine, clock: the ports.
        sink: destination name or URL -> sink.
    """

    def __init__(self, reader: Reader, state: State, engine: Engine, clock: Clock, sink: Callable[[str], Sink]) -> None:
        self._reader, self._state, self._engine, self._clock, self._sink = reader, state, engine, clock, sink
        self._looked: dict[str, tuple[int, str]] = {}
        self._prepared: set[str] = set()

    def due(self, table: Table) -> bool:
        """True if ``every`` has passed since the last look."""
        looked = self._looked.get(table.name)
        return looked is None or self._clock.now_us() - looked[0] >= table.every_us

    def publish(self, table: Table) -> Round:
        """Look at a table once and write what differs."""
        of = table.of
        if isinstance(of, Topic):
            return Round(table.name, 0, 0, 0)
        try:
            answer = self._reader.read(Request(of))
        except PendingError:
            return Round(table.name, 0, 0, 0)
        if self._looked.get(table.name, (0, ""))[1] == answer.receipt.etag:
            self._looked[table.name] = (self._clock.now_us(), answer.receipt.etag)
            return Round(table.name, 0, 0, 0)
        now_us = self._clock.now_us()
        rows = _columns(table, answer, self._engine, now_us)
        if table.when == "final":
            rows = _final(rows, of, answer.receipt.watermark_us)
        shape = self._shape(table, rows)
        if table.name not in self._prepared:
            self._sink(table.to).prepare(table, shape)
            self._prepared.add(table.name)
        done = self._write(table, shape, rows, of, answer)
        self._looked[table.name] = (now_us, answer.receipt.etag)
        return done

    def _write(self, table: Table, shape: Shape, rows: pa.Table, of: View | Query, answer: Answer) -> Round:
        sink, sequence = self._sink(table.to), self._next_sequence(table.name)
        failpoint.hit("publish.sequence.after")
        published = {
            k: v for k, v in self._state.scan("tables", f"{table.name}/").items() if not k.endswith("/sequence")
        }
        scopes = _by_scope(rows, shape.scope)
        upserts = deletes = frozen = changed = 0
        for scope in sorted({*scopes, *(k.split("/", 1)[1] for k in published)}):
            key = f"{table.name}/{scope}"
            old = json.loads(published[key].data) if key in published else {}
            part = scopes.get(scope, rows.slice(0, 0))
            new = _hashes(part, shape.key)
            different = [i for i, k in enumerate(new) if old.get(k) != new[k]]
            gone = [json.loads(k) for k in old if k not in new]
            if not different and not gone:
                continue
            if self._is_frozen(table, of, scope, answer):
                frozen += len(different) + len(gone)
                continue
            changed, upserts, deletes = changed + 1, upserts + len(different), deletes + len(gone)
            value = None if shape.scope is None else _scope_value(part, shape.scope, scope)
            failpoint.hit("publish.write.before")
            sink.write(
                shape, value, part.take(pa.array(different, pa.int64())), _key_table(gone, shape, rows.schema), sequence
            )
            failpoint.hit("publish.write.after")
            self._state.put("tables", key, json.dumps(new).encode() if new else None)
            failpoint.hit("publish.state.after")
        return Round(table.name, changed, upserts, deletes, frozen)

    def _next_sequence(self, name: str) -> int:
        key = f"{name}/sequence"
        while True:
            stored = self._state.get("tables", key)
            sequence = int(stored.data) + 1 if stored else 1
            try:
                self._state.put("tables", key, str(sequence).encode(), stored.version if stored else 0)
            except ConflictError:
                continue
            return sequence

    def _is_frozen(self, table: Table, of: View | Query, scope: str, answer: Answer) -> bool:
        mark = answer.receipt.watermark_us
        if table.freeze_us is None or mark is None or not scope.lstrip("-").isdigit():
            return False
        length = of.frame.size_us if isinstance(of, View) else 0
        return mark >= int(scope) + length + table.freeze_us

    def _shape(self, table: Table, rows: pa.Table) -> Shape:
        of = table.of
        key = of.key if isinstance(of, View | Query) else ("partition", "offset")
        kinds = "select column_name as name, column_type as kind from (describe rows)"
        described = pa.table(self._engine.query(kinds, {"rows": rows.slice(0, 0)}, as_of_us=0)).to_pylist()
        columns = tuple((row["name"], row["kind"]) for row in described)
        names = {name for name, _ in columns}
        time = of.time if isinstance(of, View | Query) else None
        return Shape(
            table.name,
            columns,
            tuple(k for k in key if k in names),
            time if time in names else None,
            tuple(table.partition),
            tuple(table.order),
            table.ttl_us,
        )


def _columns(table: Table, answer: Answer, engine: Engine, now_us: int) -> pa.Table:
    """The declared columns of the rows; ``published_at`` is when this round looked."""
    rows = pa.table(answer.rows)
    stamp = pa.array([now_us] * rows.num_rows, pa.timestamp("us"))
    if list(table.columns) == ["*"]:
        return rows
    listing = ", ".join("* exclude (published_at)" if c == "*" else c for c in table.columns)
    sql = f"select {listing} from rows"  # noqa: S608  # columns were checked when the table was declared
    return pa.table(engine.query(sql, {"rows": rows.append_column("published_at", stamp)}, as_of_us=now_us))


def _final(rows: pa.Table, of: View | Query, mark_us: int | None) -> pa.Table:
    column = "window_end" if "window_end" in rows.column_names else of.time
    if column is None or mark_us is None:
        return rows.slice(0, 0)
    keep = [end is not None and end <= mark_us for end in rows.column(column).cast(pa.int64()).to_pylist()]
    return rows.filter(pa.array(keep, pa.bool_()))


def _by_scope(rows: pa.Table, scope: str | None) -> Mapping[str, pa.Table]:
    """Rows by the value of their scope column, as text: microseconds for times."""
    if scope is None:
        return {"all": rows} if rows.num_rows else {}
    column = rows.column(scope)
    values = column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()
    places: dict[str, list[int]] = {}
    for place, value in enumerate(values):
        places.setdefault(str(value), []).append(place)
    return {text: rows.take(found) for text, found in places.items()}


def _scope_value(part: pa.Table, column: str, text: str) -> object:
    if part.num_rows:
        return part.column(column)[0].as_py()
    return pa.scalar(int(text), pa.timestamp("us")).as_py() if text.lstrip("-").isdigit() else text


def _hashes(rows: pa.Table, key: tuple[str, ...]) -> dict[str, str]:
    """key, as JSON -> digest of the row; ``published_at`` and its aliases do not count as a change."""
    out = {}
    counted = [c for c in rows.column_names if c not in ("published_at", "processed_at")]
    for row in rows.select(counted).to_pylist():
        identity = json.dumps([row[k] for k in key], default=str)
        out[identity] = hashlib.sha256(repr([row[c] for c in counted]).encode()).hexdigest()[:16]
    return out


def _key_table(keys: list[list[object]], shape: Shape, schema: pa.Schema) -> pa.Table:
    fields = [schema.field(name) for name in shape.key]
    columns = []
    for place, field in enumerate(fields):
        values = pa.array([None if k[place] is None else str(k[place]) for k in keys], pa.string())
        columns.append(values.cast(field.type) if not pa.types.is_string(field.type) else values)
    return pa.table(columns, schema=pa.schema(fields))
