"""One read of a view: its SQL, its parameters, and what Python does with the rows.

cells of the owners ── measured ──(variance, stddev in Python)── derived ── finished ── rows, errors
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ...core.engine import Rows, Selection
from ...core.errors import UnavailableError
from ...core.record import Records
from ...core.view import View
from .cellstore import CellStore
from .database import Database
from .present import Hidden, derived, finished, has_lags, hidden, measured, needed, plain_columns
from .query import fetch, refused
from .rowtypes import RowTypes
from .selection import Ending, Parameters, conditions, ending
from .spans import span, windows_between
from .spreads import settle
from .windows import Bounds, Source, spread

Scopes = Sequence[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Reading:
    """A read that is ready to run.

    Args:
        view: what is read.
        types: of its rows.
        cells: SQL types of the partial columns.
        given: which parameters of `windows` there are.
        where: conditions on cells that spare reading some.
        bound: parameters of the statement that measures.
        fill: ``starts`` and ``ends`` of the windows of which empty ones get rows; None: no such rows.
        end: what picks and orders the rows.
        early: whether that can be done before anything is computed.
    """

    view: View
    types: RowTypes
    cells: Mapping[str, str]
    given: Bounds
    where: tuple[str, ...]
    bound: Parameters
    fill: Parameters | None
    end: Ending
    early: bool

    def run(self, database: Database, stores: Sequence[CellStore], scopes: Scopes, through: Records | None) -> pa.Table:
        """The rows, hidden columns last.

        Args:
            database: of the stores.
            stores: the view's cells, then those of its `top` measures in their order.
            scopes: for each store the conditions that restrict it to the owners asked for.
            through: all rows of ``view.through``.
        """
        aside, end = hidden(self.view), self.end
        steps = self._measured(stores, scopes)
        asked = end.values | (self.fill or {})
        with database.cursor({} if through is None else {"through": through}) as cursor:
            try:
                if not aside.spreads:
                    return fetch(cursor, self._finished(steps), self.bound | asked)
                bound = self.bound | (end.values if self.early else {})
                rows = fetch(cursor, _with(steps, "SELECT * FROM measured"), bound)
                cursor.register("measured", settle(rows, aside.spreads, self.types.scales))
                return fetch(cursor, self._finished([]), {} if self._settled else asked)
            except duckdb.Error as error:
                raise refused(f"view {self.view.name}", error) from None

    @property
    def _settled(self) -> bool:
        """Whether measured rows are those asked for already, and but need their order."""
        return self.early and not has_lags(self.view)

    def _measured(self, stores: Sequence[CellStore], scopes: Scopes) -> list[tuple[str, str]]:
        names = [name for name, measure in self.view.measures.items() if measure.kind == "top"]
        main, *others = (
            Source(
                store.spec, (store.base, store.tail), scope, self.where, store.calendar,
                prefix=f"top{i}_" if i else "",
                extra=("value",) if i else (),
                keep=None if i else needed(self.view),
            )
            for i, (store, scope) in enumerate(zip(stores, scopes, strict=True))
        )  # fmt: skip
        early = self.end.sql if self.early else ""
        return measured(self.view, main, self.cells, dict(zip(names, others, strict=True)), self.given, early)

    def _finished(self, steps: list[tuple[str, str]]) -> str:
        last = "measured"
        if self.view.frame.kind == "running":
            steps = [*steps, ("spread", spread(self.view, last))]
            last = "spread"
        steps = [*steps, *derived(self.view, last, self.types.doubles)]
        last = steps[-1][0] if steps else last
        more, select = finished(self.view, last, fill=self.fill is not None)
        return _with([*steps, *more], select + (self.end.order if self._settled else self.end.sql))


def prepare(view: View, types: RowTypes, cells: Mapping[str, str], selection: Selection) -> Reading:
    """Work out a read; raises `RequestError` for a selection that the view cannot answer."""
    asked = ending(selection, types.columns, view.key, view.time)
    seen = span(view, selection)
    fill = windows_between(view, selection) if selection.fill else None
    own = {d.name for d in view.cells.dimensions} & {d.name for d in view.by}
    where, bound = conditions([item for item in selection.where if item.column in own], types.columns, "d")
    # What cells were picked by holds of every row; so does the range, unless rows around it were made as well.
    left = replace(selection, where=tuple(item for item in selection.where if item.column not in own))
    if fill is None and not view.reach_us:
        left = replace(left, lower_us=None, upper_us=None)
    end = ending(left, types.columns, view.key, view.time)
    early = (
        bool(end.limit or left.where or left.after)
        and asked.columns <= plain_columns(view)
        and fill is None
        and not view.having
        and view.frame.kind != "running"
    )
    return Reading(view, types, cells, seen.given, (*where, *seen.panes), bound | seen.values, fill, end, early)


def consistent(
    stores: Sequence[CellStore], owners: frozenset[str] | None, read: Callable[[Scopes], pa.Table]
) -> pa.Table:
    """Run ``read`` on exactly the owners' cells, and again if one of them went meanwhile; None: on all there are.

    Raises `UnavailableError` if an owner's cells are not held.
    """
    if owners is None:
        return read([()] * len(stores))
    while True:
        before = [store.snapshot() for store in stores]
        missing = sorted({owner for held in before for owner in owners - held.keys()})
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
    if len(owners) == len(held):
        return ()
    return (f"_owner IN ({', '.join(str(held[owner]) for owner in sorted(owners))})" if owners else "false",)


def _undisturbed(owners: frozenset[str], before: Mapping[str, int], after: Mapping[str, int]) -> bool:
    restricted = len(owners) != len(before)
    return before is after or (restricted and all(after.get(owner) == before[owner] for owner in owners))


def _with(steps: Sequence[tuple[str, str]], select: str) -> str:
    if not steps:
        return select
    return f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in steps)} {select}"
