"""Cells kept ready for reading.

Law: what is held is a set of (owner, cell), and a read sums exactly the cells of the owners that it asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from ...core.engine import Held, Rows, Selection
from ...core.errors import RequestError
from ...core.record import Records
from ...core.view import CellSpec, View
from . import partials
from .cellstore import CellStore
from .columns import Columns
from .database import table
from .partials import quoted
from .present import hidden
from .query import fetch
from .reading import Scopes, answer, consistent, prepare
from .rowtypes import RowTypes, cell_types, row_types
from .windows import Source

REMEMBERED = 256


class ColumnarHeld:
    """Cells of one fingerprint, in the engine's database. Used by many threads.

    Args:
        columns: the types of expressions, and the database.
        spec: of the cells.
    """

    def __init__(self, columns: Columns, spec: CellSpec) -> None:
        self.spec = spec
        self._columns = columns
        self._types = cell_types(columns, spec)
        self._rows: dict[str, RowTypes] = {}
        self.store = CellStore(columns.database, spec, self._types)

    def update(self, add: Mapping[str, Records], drop: Sequence[str] = (), *, base: bool = False) -> None:
        """Take in cells by owner and forget others; an owner that is held already is replaced."""
        self.store.change({name: table(records) for name, records in add.items()}, drop, base=base)

    def owners(self) -> frozenset[str]:
        """Whose cells are held."""
        return frozenset(self.store.snapshot())

    def rows(
        self,
        view: View,
        selection: Selection,
        *,
        owners: frozenset[str] | None = None,
        tops: Mapping[str, Held] | None = None,
        through: Records | None = None,
    ) -> Rows:
        """Merge, compose windows, present, derive, having, then the selection.

        Without ``owners``, cells of the view and of its tops are each those of one moment, not of the same.
        """
        reading = prepare(view, self._row_types(view), self._types, selection)
        stores = [self.store, *self._tops(view, tops or {})]
        if view.through is not None and through is None:
            raise RequestError(f"view {view.name}", expected=f"the rows of {view.through.name}", got="none")
        rows = consistent(stores, owners, lambda scopes: reading.run(self._columns.database, stores, scopes, through))
        return answer(rows, hidden(view))

    def cells(self, *, owners: frozenset[str] | None = None) -> pa.Table:
        """The merged CELLS, sorted by dimensions and pane."""
        keys = partials.key_columns(self.spec)
        names = [quoted(d.name) for d in self.spec.dimensions]
        order = ", ".join([*names, *keys[: len(keys) - len(names)]])
        merges = ", ".join([*keys, *partials.merge_columns(self.spec)])

        def read(scopes: Scopes) -> pa.Table:
            source = Source(self.spec, (self.store.base, self.store.tail))
            scan = source.scan([*keys, *partials.partial_names(self.spec)], scopes[0])
            with self._columns.database.cursor() as cursor:
                return fetch(cursor, f"SELECT {merges} FROM ({scan}) GROUP BY {', '.join(keys)} ORDER BY {order}")

        return consistent([self.store], owners, read)

    def close(self) -> None:
        """Free the memory."""
        self.store.close()

    def _row_types(self, view: View) -> RowTypes:
        if view.cells.fingerprint != self.spec.fingerprint:
            raise RequestError(
                f"view {view.name}",
                expected=f"a reading of the cells {self.spec.fingerprint}",
                got=view.cells.fingerprint,
            )
        found = self._rows.get(view.fingerprint)
        if found is None:
            if len(self._rows) >= REMEMBERED:  # as many readings as callers think of
                self._rows.clear()
            found = self._rows[view.fingerprint] = row_types(self._columns, view)
        return found

    def _tops(self, view: View, tops: Mapping[str, Held]) -> list[CellStore]:
        stores = []
        for name, spec in view.tops:
            held = tops.get(name)
            if not isinstance(held, ColumnarHeld) or held.spec.fingerprint != spec.fingerprint:
                raise RequestError(
                    f"top {name!r} of view {view.name}", expected="the holder of its cells", got=repr(held)
                )
            stores.append(held.store)
        return stores
