"""One read of a view: its SQL, its parameters, and what Python does with the rows.

    cells of the owners ── measured ──(variance, stddev in Python)── derived ── finished ── rows, errors

Values never become part of a statement's text: they are parameters, whose names all begin with ``asked_``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ...core.engine import Rows, Selection
from ...core.errors import UnavailableError
from ...core.record import Records
from ...core.view import View
from . import partials
from .cellstore import CellStore
from .database import Database, table
from .present import Hidden, Pick, derived, finished, hidden, measured, needed, picked, plain_columns
from .query import fetch, refused
from .rowtypes import RowTypes
from .selection import Ending, Parameters, conditions, ending
from .spans import Span, span, windows_between
from .spreads import settle
from .windows import Source, spread

Scopes = Sequence[tuple[str, ...]]
Steps = list[tuple[str, str]]


FEW = 20_000
"""Cells up to which a point read is quicker in two statements than in one."""
FEW_ROWS = 1_000
"""Rows up to which a first look at their order is worth it."""
_PARAMETER = re.compile(r"\$(asked_\w+)")


@dataclass(frozen=True, slots=True)
class Reading:
    """A read that is ready to run.

    Args:
        view: what is read.
        types: of its rows.
        cells: SQL types of the partial columns.
        seen: the part of the time axis that is read.
        where: conditions on the dimensions of the cells that are read.
        end: what picks and orders the rows.
        values: of all parameters, by name; each name begins with ``asked_``.
        fill: whether empty windows get rows.
        first: what a first look sees that picks the keys of a few rows; None: there is no such look.
        point: whether cells are picked by the value of a dimension, so that there are few.
    """

    view: View
    types: RowTypes
    cells: Mapping[str, str]
    seen: Span
    where: Sequence[str]
    end: Ending
    values: Parameters
    fill: bool
    first: Span | None
    point: bool

    def run(self, database: Database, stores: Sequence[CellStore], scopes: Scopes, through: Records | None) -> pa.Table:
        """The rows, hidden columns last.

        DuckDB plans a statement over its tables anew each time it runs, and for a few cells that takes longer than all
        the rest. So a point read takes its cells out first, and hands them to a statement that was planned before.

        Args:
            database: of the stores.
            stores: the view's cells, then those of its `top` measures in their order.
            scopes: for each store the conditions that restrict it to the owners asked for.
            through: all rows of ``view.through``.
        """
        sources = [self._source(i, *each) for i, each in enumerate(zip(stores, scopes, strict=True))]
        tables = {} if through is None else {"through": table(through)}
        with database.cursor(tables) as cursor:
            try:
                taken = self._taken(cursor, sources) if self.point else {}
                if not taken or len(taken["cells0"]) > FEW:
                    return self._rows(sources, lambda sql, more: self._direct(cursor, sql, more))
                moved = [
                    replace(source, tables=(f"cells{i}",), scope=(), where=(), calendar="calendar")
                    for i, source in enumerate(sources)
                ]
                return self._rows(moved, lambda sql, more: self._planned(database, sql, {**tables, **taken, **more}))
            except duckdb.Error as error:
                raise refused(f"view {self.view.name}", error) from None

    def _source(self, i: int, store: CellStore, scope: tuple[str, ...]) -> Source:
        """The i-th cells: 0 the view's own, then its tops'."""
        tables, where = (store.base, store.tail), (*self.where, *self.seen.panes)
        if i == 0:
            return Source(store.spec, tables, scope, where, store.calendar, keep=needed(self.view))
        return Source(store.spec, tables, scope, where, store.calendar, f"top{i}_", ("value",))

    def _taken(self, cursor: duckdb.DuckDBPyConnection, sources: Sequence[Source]) -> dict[str, pa.Table]:
        """The cells of a point read, taken out of the stores' tables."""
        taken = {}
        for i, source in enumerate(sources):
            columns = [*partials.key_columns(source.spec), *partials.partial_names(source.spec)]
            taken[f"cells{i}"] = self._direct(cursor, source.scan(columns, [*source.scope, *source.where]), {})
        if self.view.frame.kind == "calendar":
            taken["calendar"] = fetch(cursor, f"SELECT * FROM {sources[0].calendar}")
        return taken

    def _direct(self, cursor: duckdb.DuckDBPyConnection, sql: str, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Run a statement over the tables of the stores."""
        for name, content in tables.items():
            cursor.register(name, content)
        return fetch(cursor, sql, {name: self.values[name] for name in _PARAMETER.findall(sql)})

    def _planned(self, database: Database, sql: str, tables: Mapping[str, pa.Table]) -> pa.Table:
        """Run a statement over tables that are handed in; its parameters are the columns of one of them."""
        names = dict.fromkeys(_PARAMETER.findall(sql))
        asked = {"asked": pa.table({name: [self.values[name]] for name in names})} if names else {}
        return database.select(_PARAMETER.sub(r"(SELECT \1 FROM asked)", sql), {**tables, **asked})

    def _rows(self, sources: Sequence[Source], ask: Callable[[str, Mapping[str, pa.Table]], pa.Table]) -> pa.Table:
        names = (name for name, measure in self.view.measures.items() if measure.kind == "top")
        steps: Steps = []
        if self.first is not None:
            seen = replace(sources[0], where=(*self.where, *self.first.panes))
            steps = picked(self.view, Pick(seen, self.first.given, self.end.sql, self.end.columns))
            sources = [replace(source, among="picked") for source in sources]
        tops = dict(zip(names, sources[1:], strict=True))
        steps += measured(self.view, sources[0], self.cells, tops, self.seen.given)
        spreads = hidden(self.view).spreads
        if not spreads:
            return ask(self._finished(steps), {})
        rows = ask(_with(steps, "SELECT * FROM measured"), {})
        return ask(self._finished([]), {"measured": settle(rows, spreads, self.types.scales)})

    def _finished(self, steps: Steps) -> str:
        last = "measured"
        if self.view.frame.kind == "running":
            steps = [*steps, ("spread", spread(self.view, last))]
            last = "spread"
        steps = [*steps, *derived(self.view, last, self.types.doubles)]
        more, select = finished(self.view, steps[-1][0] if steps else last, fill=self.fill)
        return _with([*steps, *more], select + self.end.sql)


def prepare(view: View, types: RowTypes, cells: Mapping[str, str], selection: Selection) -> Reading:
    """Work out a read; raises `RequestError` for a selection that the view cannot answer."""
    asked = ending(selection, types.columns, view.key, view.time)
    seen = span(view, selection, view.reach_us)
    fill = windows_between(view, selection) if selection.fill else None
    own = {d.name for d in view.cells.dimensions} & {d.name for d in view.by}
    where, bound = conditions([item for item in selection.where if item.column in own], types.columns, "asked_d")
    # What cells were picked by holds of every row; so does the range, unless rows around it were made as well.
    left = replace(selection, where=tuple(item for item in selection.where if item.column not in own))
    if fill is None and not view.reach_us:
        left = replace(left, lower_us=None, upper_us=None)
    end = ending(left, types.columns, view.key, view.time)
    point = any(item.op == "=" and item.column in own for item in selection.where)
    few = selection.limit is not None and selection.limit <= FEW_ROWS and not point
    plain = asked.columns <= plain_columns(view) and fill is None and not view.having
    can_look = few and plain and view.by and view.frame.kind != "running"
    first = span(view, selection, 0, "asked_first_") if can_look else None
    values = {**bound, **seen.values, **(first.values if first else {}), **end.values, **(fill or {})}
    return Reading(view, types, cells, seen, where, end, values, fill is not None, first, point)


def consistent(
    stores: Sequence[CellStore], owners: frozenset[str] | None, read: Callable[[Scopes], pa.Table]
) -> pa.Table:
    """Run ``read`` on exactly the owners' cells, and again if one of them went meanwhile; None: on all there are.

    An owner may have cells in some of the stores only, as a run of the batch layer has. Raises `UnavailableError` if
    no store holds cells of an owner.
    """
    if owners is None:
        return read([()] * len(stores))
    while True:
        before = [store.snapshot() for store in stores]
        missing = sorted(owners.difference(*before))
        if missing:
            raise UnavailableError(
                "cells", expected="cells that are held", got=", ".join(missing[:5]), remedy="update the holder first"
            )
        rows = read([_scope(held, owners) for held in before])
        after = [store.snapshot() for store in stores]
        if all(_undisturbed(owners, *pair) for pair in zip(before, after, strict=True)):
            return rows


def answer(rows: pa.Table, aside: Hidden) -> Rows:
    """The rows without hidden columns, and the errors of the estimates among them."""
    flags = {f"_estimate_{name}": name for name in aside.estimates}
    errors = {name: aside.estimates[name] for flag, name in flags.items() if pc.any(rows[flag]).as_py()}
    return Rows(rows.drop_columns(list(flags)), errors)


def _scope(held: Mapping[str, int], owners: frozenset[str]) -> tuple[str, ...]:
    mine = owners & held.keys()
    if len(mine) == len(held):
        return ()
    return (f"_owner IN ({', '.join(str(held[owner]) for owner in sorted(mine))})" if mine else "false",)


def _undisturbed(owners: frozenset[str], before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    mine = owners & before.keys()
    restricted = len(mine) != len(before)
    return before is after or (restricted and all(after.get(owner) == before[owner] for owner in mine))


def _with(steps: Sequence[tuple[str, str]], select: str) -> str:
    if not steps:
        return select
    return f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in steps)} {select}"
