"""Keeps declared tables equal to the rows of their views and queries, and to the records of topics.

A table is written scope by scope, a scope being an hour of its time, an epoch, or the whole table. What was published
last is remembered as key → row digest; only rows that differ are written, and rows that vanished are deleted. A look
first takes the next sequence number, then reads, and a sink refuses a lower number than it has: of two publishers that
overtake each other the later look wins, and a crash between sink and state repeats the same writes.

A table is looked at again once a manifest below it has another version. The engine digests the rows, and keys are
compared only in scopes whose digest is another than at the last look. A frozen scope is counted, not written.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from watersmeet.core import failpoint
from watersmeet.core.answer import Rest
from watersmeet.core.archive import Archive
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Engine
from watersmeet.core.errors import ConflictError, DeclarationError, PendingError
from watersmeet.core.query import Query
from watersmeet.core.reader import Reader, Request
from watersmeet.core.sink import Shape, Sink
from watersmeet.core.state import State
from watersmeet.core.table import Table
from watersmeet.core.topic import Topic
from watersmeet.core.view import View

from .records import EPOCH, KEY, Outcomes

failpoint.declare("publish.sequence.after", "publish.write.before", "publish.write.after", "publish.state.after")

_DIGEST = "_digest"
SCOPE_US = 3_600_000_000
"""How much event time is written at once: a file for each minute would cost more than what is in it."""
_ALL = "all"
"""The one scope of a table without time."""


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
    scopes: int = 0
    upserts: int = 0
    deletes: int = 0
    frozen: int = 0

    def __add__(self, other: Round) -> Round:
        sums = (getattr(self, name) + getattr(other, name) for name in ("scopes", "upserts", "deletes", "frozen"))
        return Round(self.table, *sums)


@dataclass(frozen=True, slots=True)
class _Look:
    """The last look at a table: when, at what, and the digest of each scope; None: there were no rows to see yet."""

    at_us: int
    version: str
    digests: Mapping[str, bytes] | None


class Publisher:
    """Publishes tables.

    Args:
        reader, state, archive, engine, clock: the ports.
        sink: destination name or URL -> sink.
    """

    def __init__(
        self, reader: Reader, state: State, archive: Archive, engine: Engine, clock: Clock, sink: Callable[[str], Sink]
    ) -> None:
        self._reader, self._state, self._engine, self._clock, self._sink = reader, state, engine, clock, sink
        self._outcomes = Outcomes(state, archive, engine)
        self._looks: dict[str, _Look] = {}
        self._prepared: set[str] = set()

    def due(self, table: Table) -> bool:
        """True if ``every`` has passed since the last look, or the clock has gone back behind it."""
        last = self._looks.get(table.name)
        return last is None or not 0 <= self._clock.now_us() - last.at_us < table.every_us

    def publish(self, table: Table, stop: threading.Event | None = None) -> Round:
        """Look at a table once and write what differs; when ``stop`` is set, the rest is left for another look."""
        stop = stop or threading.Event()
        now_us, version, last = self._clock.now_us(), self._version(table), self._looks.get(table.name)
        if last is not None and last.version == version:
            self._looks[table.name] = replace(last, at_us=now_us)
            return Round(table.name)
        digests: Mapping[str, bytes] | None = None
        if isinstance(table.of, Topic):
            done = self._publish_epochs(table, table.of, now_us, stop)
        else:
            done, digests, rests = self._publish_rows(table, table.of, now_us, last, stop)
            version = self._version(table, rests)  # of the answer: it may be older than the manifests just seen
        if stop.is_set():
            return done
        self._looks[table.name] = _Look(now_us, version, digests)
        return done

    def _version(self, table: Table, rests: Mapping[str, Rest] | None = None) -> str:
        """Another one whenever what the table holds may be another; ``rests``: of an answer, else as it is now."""
        of = table.of
        if isinstance(of, Topic):
            return f"{of.version}-{self._state.manifest(of.name).version}"
        views = (of,) if isinstance(of, View) else of.views
        topics = sorted({view.topic.name for view in views})
        timed = f"-{self._clock.now_us()}" if isinstance(of, Query) and ":as_of" in of.sql else ""
        versions = [(rests[name] if rests else self._state.manifest(name)).version for name in topics]
        return f"{of.fingerprint}-{versions}{timed}"

    # -- views and queries -------------------------------------------------------------------------------------------

    def _publish_rows(
        self, table: Table, of: View | Query, now_us: int, last: _Look | None, stop: threading.Event
    ) -> tuple[Round, Mapping[str, bytes] | None, Mapping[str, Rest] | None]:
        sequence = self._next_sequence(table.name)
        failpoint.hit("publish.sequence.after")
        try:
            answer = self._reader.read(Request(of))
        except PendingError:
            return Round(table.name), None, None
        mark = answer.receipt.watermark_us
        found = pa.table(answer.rows)
        if table.when == "final":
            found = _final(found, of, mark)
        digests = self._digests(found)
        rows = self._columns(table, found, now_us)
        shape = self._shape(table, rows, tuple(of.key), of.time)
        scopes = _places(rows, shape)
        seen = {scope: _digest(digests[place] for place in places) for scope, places in scopes.items()}
        if last is None or last.digests is None:
            moved = {*seen, *self._scopes(table.name)}
        else:
            moved = {scope for scope in {*seen, *last.digests} if seen.get(scope) != last.digests.get(scope)}
        done = Round(table.name)
        for scope in sorted(moved):
            if stop.is_set():
                break
            places = scopes.get(scope, [])
            part = rows.take(pa.array(places, pa.int64()))
            new = dict(zip(_keys(part, shape.key), (digests[place].hex()[:16] for place in places), strict=True))
            frozen = _is_frozen(table, of, scope, found, places, mark)
            done += self._write(table, shape, scope, part, new, sequence, frozen=frozen)
        return done, seen, answer.receipt.topics

    def _write(
        self,
        table: Table,
        shape: Shape,
        scope: str,
        rows: pa.Table,
        new: Mapping[str, str],
        sequence: int,
        *,
        frozen: bool,
    ) -> Round:
        """Make a scope hold ``rows``, whose keys and digests are ``new``, by writing the difference."""
        key = f"{table.name}/{scope}"
        stored = self._state.get("tables", key)
        old = json.loads(stored.data) if stored else {}
        different = [place for place, k in enumerate(new) if old.get(k) != new[k]]
        gone = [json.loads(k) for k in old if k not in new]
        if not different and not gone:
            return Round(table.name)
        if frozen:
            return Round(table.name, frozen=len(different) + len(gone))
        value = None if shape.scope is None else _scope_value(rows, shape, scope)
        upserts = rows.take(pa.array(different, pa.int64()))
        failpoint.hit("publish.write.before")
        self._sink(table.to).write(shape, value, upserts, _key_table(gone, shape, rows.schema), sequence)
        failpoint.hit("publish.write.after")
        self._state.put("tables", key, json.dumps(new).encode() if new else None)
        failpoint.hit("publish.state.after")
        return Round(table.name, 1, len(different), len(gone))

    def _digests(self, rows: pa.Table) -> list[bytes]:
        """128 bits of each row."""
        if not rows.num_rows:
            return []
        found = self._engine.query("select unhex(md5(rows::varchar)) as digest from rows", {"rows": rows}, as_of_us=0)
        digests: list[bytes] = pa.table(found).column("digest").to_pylist()
        return digests

    # -- topics ------------------------------------------------------------------------------------------------------

    def _publish_epochs(self, table: Table, topic: Topic, now_us: int, stop: threading.Event) -> Round:
        """Write the epochs that were decided under a topic version under which they have not been published."""
        done, sequence = Round(table.name), self._next_sequence(table.name)
        failpoint.hit("publish.sequence.after")
        read = self._outcomes.dead if table.dead else self._outcomes.used
        for epoch, owner in self._outcomes.epochs(topic):
            key = f"{table.name}/{epoch}"
            stored = self._state.get("tables", key)
            if stored is not None and stored.data == topic.version.encode():
                continue
            if stop.is_set():
                break
            rows = self._columns(table, read(topic, epoch, owner), now_us)
            shape = self._shape(table, rows, KEY, EPOCH)
            failpoint.hit("publish.write.before")
            self._sink(table.to).replace(shape, epoch, rows, sequence)
            failpoint.hit("publish.write.after")
            self._state.put("tables", key, topic.version.encode())
            failpoint.hit("publish.state.after")
            done += Round(table.name, 1, rows.num_rows)
        return done

    # -- both --------------------------------------------------------------------------------------------------------

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

    def _scopes(self, name: str) -> set[str]:
        """Every scope that was published and has rows."""
        keys = self._state.scan("tables", f"{name}/")
        return {key.removeprefix(f"{name}/") for key in keys} - {"sequence"}

    def _columns(self, table: Table, rows: pa.Table, now_us: int) -> pa.Table:
        """The declared columns of the rows, in their order; ``published_at`` is when this round looked."""
        if list(table.columns) == ["*"]:
            return rows
        stamp = pa.array([now_us] * rows.num_rows, pa.timestamp("us"))
        listing = ", ".join("* exclude (published_at)" if c == "*" else c for c in table.columns)
        if isinstance(table.of, Topic):
            listing += "".join(f', "{name}"' for name in (*KEY, EPOCH) if "*" not in table.columns)
        sql = f"select {listing} from rows"  # noqa: S608  # columns were checked when the table was declared
        given = rows.append_column("published_at", stamp)
        return pa.table(self._engine.query(sql, {"rows": given}, as_of_us=now_us))

    def _shape(self, table: Table, rows: pa.Table, key: tuple[str, ...], time: str | None) -> Shape:
        """What the table looks like; at the first look the sink makes it."""
        kinds = "select column_name as name, column_type as kind from (describe rows)"
        described = pa.table(self._engine.query(kinds, {"rows": rows.slice(0, 0)}, as_of_us=0)).to_pylist()
        columns = tuple((row["name"], row["kind"]) for row in described)
        names = {name for name, _ in columns}
        if lacking := [name for name in key if name not in names]:
            raise DeclarationError(
                f"columns of table {table.name}",
                expected=f"the key, which identifies a row: {', '.join(key)}",
                got=", ".join(names),
                remedy=f"add {', '.join(lacking)}",
                where=table.where_declared,
            )
        scope = time if time in names else None
        order, partition = tuple(table.order), tuple(table.partition)
        is_timed = scope is not None and pa.types.is_timestamp(rows.schema.field(scope).type)
        width_us = SCOPE_US if is_timed else 0
        shape = Shape(table.name, columns, key, scope, partition, order, table.ttl_us, width_us)
        if table.name not in self._prepared:
            self._sink(table.to).prepare(table, shape)
            self._prepared.add(table.name)
        return shape


def _is_frozen(
    table: Table, of: View | Query, scope: str, rows: pa.Table, places: Sequence[int], mark_us: int | None
) -> bool:
    """Whether the watermark has passed the scope's end by the table's freeze; its rows stand at ``places``."""
    if table.freeze_us is None or mark_us is None or not scope.lstrip("-").isdigit():
        return False
    end_us = int(scope) + SCOPE_US
    if isinstance(of, View) and of.frame.lengths_us is not None:
        end_us += of.frame.lengths_us[1]
    elif isinstance(of, View) and of.time is not None:
        ends = rows.column("window_end").take(pa.array(places, pa.int64()))
        end_us = max(ends.cast(pa.int64()).to_pylist(), default=end_us)
    return mark_us >= end_us + table.freeze_us


def _final(rows: pa.Table, of: View | Query, mark_us: int | None) -> pa.Table:
    """The rows that can change no more but for late records."""
    column = "window_end" if isinstance(of, View) else of.time
    after_us = 0 if isinstance(of, View) else of.settles_us or 0
    if column is None or mark_us is None:
        return rows.slice(0, 0)
    times = rows.column(column).cast(pa.int64()).to_pylist()
    return rows.filter(pa.array([at is not None and at + after_us <= mark_us for at in times], pa.bool_()))


def _places(rows: pa.Table, shape: Shape) -> Mapping[str, list[int]]:
    """Where the rows of each scope stand. A scope is its column's value as text; of times, µs of its start."""
    if shape.scope is None:
        return {_ALL: list(range(rows.num_rows))} if rows.num_rows else {}
    column = rows.column(shape.scope)
    values = column.to_pylist()
    if shape.scope_us:
        values = [None if at is None else at - at % shape.scope_us for at in column.cast(pa.int64()).to_pylist()]
    places: dict[str, list[int]] = {}
    for place, value in enumerate(values):
        places.setdefault(str(value), []).append(place)
    return places


def _scope_value(rows: pa.Table, shape: Shape, text: str) -> object:
    if shape.scope_us:
        return None if text == str(None) else pa.scalar(int(text), pa.timestamp("us")).as_py()
    return rows.column(shape.scope)[0].as_py() if rows.num_rows else text


def _digest(digests: Iterable[bytes]) -> bytes:
    """Of rows in any order."""
    return hashlib.sha256(b"".join(sorted(digests))).digest()


def _keys(rows: pa.Table, key: tuple[str, ...]) -> list[str]:
    """The keys as JSON."""
    columns = [rows.column(name).to_pylist() for name in key]
    return [json.dumps(values, default=str) for values in zip(*columns, strict=True)]


def _key_table(keys: list[list[object]], shape: Shape, schema: pa.Schema) -> pa.Table:
    fields = [schema.field(name) for name in shape.key]
    columns = []
    for place, field in enumerate(fields):
        values = pa.array([None if k[place] is None else str(k[place]) for k in keys], pa.string())
        columns.append(values.cast(field.type) if not pa.types.is_string(field.type) else values)
    return pa.table(columns, schema=pa.schema(fields))
