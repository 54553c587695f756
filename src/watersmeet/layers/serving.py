"""Serving: one number out of two layers.

An answer is put together in a fixed order: look at the manifests, hold exactly the cells that they list for the
fingerprints at hand, read them, write the receipt. Cells are held merged in this process and brought up to date when
the state's token says that something changed; what is durable stays in the state, so a serving process starts from
nothing and agrees with every other one about the same versions.

While somebody reads, the held cells do not change (`_Gate`): rows and receipt always speak of the same versions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import pyarrow as pa

from watersmeet.core.answer import Answer, Receipt, Rest
from watersmeet.core.cache import Cache
from watersmeet.core.clock import Clock
from watersmeet.core.declarations import Declarations
from watersmeet.core.duration import Duration
from watersmeet.core.engine import Engine, Held, Selection
from watersmeet.core.errors import PendingError, RequestError, UnavailableError
from watersmeet.core.finding import Finding, match_rate
from watersmeet.core.frontier import Frontier, size
from watersmeet.core.ledger import Totals, total
from watersmeet.core.log import Log
from watersmeet.core.manifest import Cover, Manifest, cover
from watersmeet.core.query import Query, Readable
from watersmeet.core.reader import Request
from watersmeet.core.record import Records
from watersmeet.core.site import suggest
from watersmeet.core.state import State
from watersmeet.core.view import CellSpec, View
from watersmeet.core.window import Window

MAX_ROWS = 1_000_000
PAUSE_SECONDS = 3.0
"""How long a log that did not answer is left alone: answers need it for nothing but what is unread."""
_Bounds = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class _Topic:
    """What this process knows of a topic at one version, as receipts need it."""

    manifest: Manifest
    sums: Totals
    newest_us: int | None
    arrival_us: int | None
    published: int
    """Another number whenever the batch layer has published, so that there may be more audits."""


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells held of one fingerprint, and the part of the manifest that they are."""

    spec: CellSpec
    held: Held
    cover: Cover
    token: int


class Serving:
    """A `watersmeet.core.reader.Reader` over the cells of both layers.

    Args:
        declarations: the applied declarations, asked at every answer.
        state, engine, clock: the ports.
        source: for how much is unread; None leaves it at 0.
        cache: for rows of queries; None: they are made for every answer.
        as_of_us: answer as of a past time, always.
    """

    def __init__(
        self,
        declarations: Callable[[], Declarations],
        state: State,
        engine: Engine,
        clock: Clock,
        *,
        source: Log | None = None,
        cache: Cache | None = None,
        as_of_us: int | None = None,
    ) -> None:
        self._declarations, self._state, self._engine, self._clock = declarations, state, engine, clock
        self._cache, self._as_of_us = cache, as_of_us
        self._ends = None if source is None else _Ends(source, clock)
        self._gate = _Gate()
        self._topics: dict[str, _Topic] = {}
        self._cells: dict[str, _Cells] = {}
        self._audits: dict[str, tuple[int, list[Finding]]] = {}

    def read(self, request: Request) -> Answer:
        """See `watersmeet.core.reader.Reader`."""
        readable = self._resolve(request)
        if request.limit is not None and request.limit < 0:
            raise RequestError("limit", expected="0 or more", got=str(request.limit))
        if request.as_of_us is not None and self._as_of_us is None:
            return self._read_past(request)
        specs = {spec.fingerprint: spec for view in _views(readable) for spec in _specs(view)}
        while True:
            with self._gate.reading():
                if not self._is_stale(specs):
                    return self._answer(readable, request, specs)
            with self._gate.writing():
                if self._is_stale(specs):  # of many that waited, the first has brought it up to date for all
                    self._refresh(specs)

    def _read_past(self, request: Request) -> Answer:
        """Answer from what was live then; holds those cells for this one answer."""
        if request.as_of_us is not None and request.as_of_us > self._clock.now_us():
            raise RequestError("as_of", expected="a time that has been", got=str(request.as_of_us))
        past = Serving(self._declarations, self._state, self._engine, self._clock, as_of_us=request.as_of_us)
        try:
            return past.read(request)
        finally:
            past.close()

    def close(self) -> None:
        """Free the cells held."""
        for cells in self._cells.values():
            cells.held.close()

    def _resolve(self, request: Request) -> Readable:
        readable = self._declarations().readable(request.of) if isinstance(request.of, str) else request.of
        changed = request.window != "declared" or request.by is not None or request.every is not None
        if not changed:
            return readable
        if isinstance(readable, Query):
            raise RequestError(f"query {readable.name}", expected="no window and no by: its SQL fixes them")
        window = readable.frame if request.window == "declared" else request.window
        if window is not None and not isinstance(window, str) and getattr(window, "kind", "") == "all":
            window = None
        return _reading(readable, window, request.every, None if request.by is None else tuple(request.by))

    # -- holding cells ---------------------------------------------------------------------------------------------

    def _is_stale(self, specs: Mapping[str, CellSpec]) -> bool:
        if self._as_of_us is not None:  # the past does not change
            return not specs.keys() <= self._cells.keys()
        token = self._state.token()
        return any(fp not in self._cells or self._cells[fp].token != token for fp in specs)

    def _refresh(self, specs: Mapping[str, CellSpec]) -> None:
        """Hold exactly the cells that the manifests list for ``specs``. Called with the gate closed.

        Every fingerprint of a topic that is held already moves along, so that all of them show one version.
        """
        token = self._state.token()
        topics = {spec.topic.name for spec in specs.values()}
        along = {fp: c.spec for fp, c in self._cells.items() if c.spec.topic.name in topics}
        for name in topics:
            m = self._state.manifest(name, self._as_of_us)
            if not m.version:
                raise RequestError(
                    f"topic {name} as of {self._as_of_us}", kind="gone", expected="a time at which it had a manifest"
                )
            known = self._topics.get(name)
            if known is None or known.manifest.version != m.version:
                self._topics[name] = _topic(m)
        for fp, spec in {**along, **specs}.items():
            m = self._topics[spec.topic.name].manifest
            old = self._cells.get(fp)
            held = old.held if old else self._engine.hold(spec)
            found = cover(m, fp)
            if old is None or old.cover != found:
                self._hold(held, m, found, f"cells:{fp}")
            self._cells[fp] = _Cells(spec, held, found, token)

    def _hold(self, held: Held, m: Manifest, found: Cover, kind: str) -> None:
        have = held.owners()
        runs, blocks = {r.owner for r in found.runs}, {b.owner for b in found.blocks}
        gone, new_runs = sorted(have - runs - blocks), sorted(runs - have)
        if new_runs or gone:
            held.update(self._state.load(m.topic, kind, new_runs), gone, base=True)
        if new_blocks := sorted(blocks - have):
            held.update(self._state.load(m.topic, kind, new_blocks))

    # -- reading ---------------------------------------------------------------------------------------------------

    def _answer(self, of: Readable, request: Request, specs: Mapping[str, CellSpec]) -> Answer:
        reasons = self._missing(of, specs)
        limit = MAX_ROWS if request.limit is None else min(request.limit, MAX_ROWS)
        lower, upper = request.range or (None, None)
        selection = Selection(
            lower, upper, tuple(request.where), tuple(request.order), limit + 1, tuple(request.after), request.fill
        )
        _check(of, selection)
        errors: dict[str, float] = {}
        as_of_us = request.as_of_us or self._clock.now_us()
        if isinstance(of, View):
            rows = self._rows(of, selection, request, errors)
        else:
            rows = self._cached(of, selection, request, specs, errors, as_of_us)
        table = _table(rows)
        more = table.num_rows > limit
        if more and request.limit is None:
            remedy = "ask for a range, a filter or a limit"
            raise RequestError(of.name, kind="too_large", expected=f"at most {MAX_ROWS} rows", remedy=remedy)
        table = table.slice(0, limit)
        after = _last_key(of, table) if more and not request.order and table.num_rows else None
        return Answer(table, self._receipt(of, request, specs, reasons, errors, as_of_us), after)

    def _missing(self, of: Readable, specs: Mapping[str, CellSpec]) -> list[str]:
        """Why the answer is not complete; raises `PendingError` where it will be, later."""
        reasons = set()
        for fp, spec in specs.items():
            m = self._topics[spec.topic.name].manifest
            gaps = {gap.epoch: gap for gap in m.gaps}
            for epoch in self._cells[fp].cover.missing:
                if epoch not in gaps:
                    raise PendingError(
                        of.name,
                        expected=f"cells of epoch {epoch} of {m.topic}",
                        got="they are not computed yet",
                        remedy="the batch layer is covering its history; 'watersmeet status' shows how far it is",
                    )
                until = "for ever" if gaps[epoch].lost else "until it is recomputed"
                reasons.add(f"epoch {epoch} of {m.topic} is missing {until}: {gaps[epoch].reason}")
        return sorted(reasons)

    def _rows(self, view: View, selection: Selection, request: Request, errors: dict[str, float]) -> Records:
        cells = self._cells[view.cells.fingerprint]
        selection = replace(selection, upto_us=self._topics[cells.spec.topic.name].newest_us)
        owners = None
        if request.layer != "merged":
            covers = [self._cells[spec.fingerprint].cover for spec in view.specs]
            parts = [part for c in covers for part in (c.runs if request.layer == "batch" else c.blocks)]
            owners = frozenset(part.owner for part in parts)
        tops = {name: self._cells[top.fingerprint].held for name, top in view.tops}
        through = self._rows(view.through, Selection(), request, errors) if view.through else None
        found = cells.held.rows(view, selection, owners=owners, tops=tops, through=through)
        errors.update(found.errors)
        return found.rows

    def _cached(
        self,
        of: Query,
        selection: Selection,
        request: Request,
        specs: Mapping[str, CellSpec],
        errors: dict[str, float],
        as_of_us: int,
    ) -> Records:
        """A query's rows, made once for each state of its topics; one that asks for the time is made every time."""

        def make() -> bytes:
            found: dict[str, float] = {}
            rows = self._query(of, (selection.lower_us, selection.upper_us), request, found, as_of_us)
            chosen = _table(self._engine.select(rows, selection, key=tuple(of.key), time=of.time))
            return _packed(chosen.replace_schema_metadata({"errors": json.dumps(found)}))

        topics = sorted({spec.topic.name for spec in specs.values()})
        versions = [(name, self._topics[name].manifest.version) for name in topics]
        key = repr((of.fingerprint, versions, request.layer, selection))
        timeless = ":as_of" not in of.sql and self._as_of_us is None
        data = self._cache.get(key, make) if self._cache is not None and timeless else make()
        rows: pa.Table = pa.ipc.open_stream(data).read_all()
        errors.update(json.loads(rows.schema.metadata[b"errors"]))
        plain: Records = rows.replace_schema_metadata(None)
        return plain

    def _query(
        self, query: Query, bounds: _Bounds, request: Request, errors: dict[str, float], as_of_us: int
    ) -> Records:
        """Rows of a query that are right within ``bounds`` of its time; outside they may be there or not."""
        tables: dict[str, Records] = {}
        for alias, of in query.inputs.items():
            shift = query.shifts[alias]
            lower_us, upper_us = (None, None) if shift is None else shift.apply(*bounds)
            selection = Selection(lower_us, upper_us)
            if isinstance(of, View):
                tables[alias] = self._rows(of, selection, request, errors)
                continue
            rows = self._query(of, (lower_us, upper_us), request, errors, as_of_us)
            if (lower_us, upper_us) != (None, None):
                rows = self._engine.select(rows, selection, key=tuple(of.key), time=of.time)
            tables[alias] = rows
        return self._engine.query(query.sql, tables, as_of_us=as_of_us)

    # -- receipts --------------------------------------------------------------------------------------------------

    def _receipt(
        self,
        of: Readable,
        request: Request,
        specs: Mapping[str, CellSpec],
        reasons: list[str],
        errors: Mapping[str, float],
        as_of_us: int,
    ) -> Receipt:
        complete = not reasons and request.layer == "merged"
        if request.layer != "merged":
            reasons = [*reasons, f"only what the {request.layer} layer contributes"]
        if errors:
            reasons = [*reasons, f"estimated: {', '.join(sorted(errors))}"]
        topics = {name: self._rest(name, specs) for name in sorted({spec.topic.name for spec in specs.values()})}
        if self._ends is not None and self._ends.is_failing():
            reasons = [*reasons, "the log does not answer: what is unread is as it was last seen"]
        findings = [finding for name in topics for finding in self._findings(name)]
        verdict = "none" if not findings else "match" if all(f.matches for f in findings) else "mismatch"
        return Receipt(
            of.name,
            as_of_us,
            complete,
            not errors,
            verdict,
            match_rate(findings)[0],
            topics,
            of.fingerprint,
            tuple(reasons),
            dict(errors),
            of.unsafe if isinstance(of, Query) else None,
        )

    def _rest(self, name: str, specs: Mapping[str, CellSpec]) -> Rest:
        topic = self._topics[name]
        covers = [self._cells[fp].cover for fp, spec in specs.items() if spec.topic.name == name]
        m = topic.manifest
        return Rest(
            m.version,
            m.frontier,
            min(sum(r.last - r.first + 1 for r in c.runs) for c in covers),
            max(sum(b.last - b.first + 1 for b in c.blocks) for c in covers),
            m.watermark_us,
            topic.newest_us,
            topic.arrival_us,
            size(m.frontier, self._ends.of(name, m.frontier)) if self._ends else 0,
            tuple(sorted({e for c in covers for e in c.missing})),
            topic.sums.late,
            topic.sums.dead,
            topic.sums.duplicates,
        )

    def _findings(self, topic: str) -> list[Finding]:
        published = self._topics[topic].published
        known = self._audits.get(topic)
        if known is None or known[0] != published:
            found = [Finding.decode(value.data) for value in self._state.scan("audits", f"{topic}/").values()]
            known = self._audits[topic] = (published, found)
        return known[1]


def _table(rows: Records) -> pa.Table:
    """Rows as an Arrow table. Asked to convert what is one already, Arrow would load pandas, where it is installed."""
    return rows if isinstance(rows, pa.Table) else pa.table(rows)


def _packed(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@lru_cache(maxsize=1024)
def _reading(view: View, window: Window | Duration | None, every: Duration | None, by: tuple[str, ...] | None) -> View:
    """Another reading of a view: made once, since it parses every expression anew."""
    return view.at(window, every=every, by=by)


def _views(of: Readable) -> tuple[View, ...]:
    return (of,) if isinstance(of, View) else of.views


def _specs(view: View) -> tuple[CellSpec, ...]:
    return view.specs + (_specs(view.through) if view.through else ())


def _topic(m: Manifest) -> _Topic:
    unsealed = [e for s in m.slices if s.epoch == m.open_epoch for e in s.ledger]
    return _Topic(
        m,
        total([e for epoch in m.epochs for e in epoch.ledger] + unsealed),
        max((t for t in m.event_times if t is not None), default=None),
        max((t for t in m.arrivals if t is not None), default=None),
        hash((m.runs, sum(bool(epoch.owner) for epoch in m.epochs))),
    )


def _check(of: Readable, selection: Selection) -> None:
    """Refuse filters and orders on columns that do not exist, and a range on what has no time."""
    if (selection.lower_us, selection.upper_us) != (None, None) and of.time is None:
        raise RequestError(f"range of {of.name}", expected="no range: its rows have no time")
    if isinstance(of, View):
        for name in [f.column for f in selection.where] + [o.column for o in selection.order]:
            if name not in of.columns:
                subject, remedy = f"column {name!r} of {of.name}", suggest(name, of.columns)
                raise RequestError(subject, expected="one of its columns", remedy=remedy)
    if selection.after and (len(selection.after) != len(of.key) or selection.order):
        raise RequestError(f"page of {of.name}", expected=f"a value for each of {', '.join(of.key)} and no order")


def _last_key(of: Readable, rows: pa.Table) -> tuple[object, ...]:
    last = rows.slice(rows.num_rows - 1, 1).to_pylist()[0]
    return tuple(last[column] for column in of.key)


class _Ends:
    """Where topics end, as the log last said. One that does not answer is left alone for a while."""

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log, self._clock = log, clock
        self._seen: dict[str, Frontier] = {}
        self._paused_until: float | None = None

    def of(self, topic: str, frontier: Frontier) -> Frontier:
        """The end of a topic, at ``frontier`` or above."""
        if self._paused_until is None or self._clock.monotonic() >= self._paused_until:
            if self._paused_until is not None:  # for all but this one
                self._paused_until = self._clock.monotonic() + PAUSE_SECONDS
            try:
                self._seen[topic] = self._log.end(topic)
                self._paused_until = None
            except UnavailableError:
                self._paused_until = self._clock.monotonic() + PAUSE_SECONDS
        return tuple(map(max, self._seen.get(topic, frontier), frontier))

    def is_failing(self) -> bool:
        """True while it does not answer."""
        return self._paused_until is not None


class _Gate:
    """Many readers or one writer; a waiting writer goes before new readers."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._readers = 0
        self._writer = False
        self._waiting = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._condition:
            self._condition.wait_for(lambda: not self._writer and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._condition:
                self._readers -= 1
                self._condition.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._condition:
            self._waiting += 1
            self._condition.wait_for(lambda: not self._writer and not self._readers)
            self._waiting -= 1
            self._writer = True
        try:
            yield
        finally:
            with self._condition:
                self._writer = False
                self._condition.notify_all()
