"""The DuckDB tables behind a holder: cells by owner, in a sorted base and a tail.

``base`` is sorted by dimensions and pane, so a read of one key looks at one row group; ``tail`` is in order of arrival,
and small. Cells stay apart by owner in both, so an owner can be dropped at any time.

    dropped owners ──> deleted where they are          added owners ──> appended to the tail
    tail large against the base, or much of it dead ──> base sorted anew, tail empty

A change is one transaction: a statement sees the cells before it or those after it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from itertools import count
from typing import get_args

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ...core.errors import CorruptError
from ...core.view import CellSpec
from ...core.window import Unit, Window, composes
from .calendars import bounds
from .database import Database
from .partials import quoted
from .selection import moment

TAIL_ROWS = 122_880
"""One row group of DuckDB: looked through in a fraction of a millisecond, sorted or not."""
TAIL_OWNERS = 24
_NUMBERS = count()


class CellStore:
    """Tables of the cells of one spec.

    Args:
        database: in which they are made.
        spec: of the cells.
        types: column -> SQL type of the cells.
    """

    def __init__(self, database: Database, spec: CellSpec, types: Mapping[str, str]) -> None:
        self._owners: Mapping[str, int] = {}
        self._database, self.spec, self._types = database, spec, types
        number = next(_NUMBERS)
        self.base, self.tail, self.calendar = (f"{name}_{number}" for name in ("base", "tail", "calendar"))
        self._writing, self._publishing = threading.Lock(), threading.Lock()
        self._numbers = count()
        self._in_base: frozenset[int] = frozenset()
        self._dead = 0
        self._panes: frozenset[int] = frozenset()
        columns = ", ".join(f"{quoted(name)} {kind}" for name, kind in types.items())
        with database.cursor() as cursor:
            for name in (self.base, self.tail):
                cursor.execute(f"CREATE TABLE {name} ({columns}, _owner INTEGER)")
            cursor.execute(
                f"CREATE TABLE {self.calendar}"
                " (unit VARCHAR, pane TIMESTAMP, window_start TIMESTAMP, window_end TIMESTAMP)"
            )

    def snapshot(self) -> Mapping[str, int]:
        """Whose cells there are: owner -> number in the column ``_owner``; a number is never used twice.

        Statements that ran between two snapshots that are one object saw just these.
        """
        with self._publishing:
            return self._owners

    def change(self, add: Mapping[str, pa.Table], drop: Collection[str], *, base: bool) -> None:
        """Forget ``drop``, take in ``add``; an owner that is there already is replaced.

        With ``base`` the cells are meant to stay: they are sorted into the base sooner.
        """
        with self._writing:
            kept = {name: number for name, number in self._owners.items() if name not in add and name not in drop}
            gone = frozenset(self._owners.values()) - frozenset(kept.values())
            new = {name: next(self._numbers) for name in add}
            # Closing the cursor takes back what was not committed.
            with self._database.cursor({f"chunk_{new[name]}": chunk for name, chunk in add.items()}) as cursor:
                cursor.execute("BEGIN")
                dead = self._delete(cursor, gone)
                for name, number in new.items():
                    self._append(cursor, name, number)
                panes = self._chart(cursor, add)
                in_base = self._in_base - gone
                rows = _rows(cursor, self.base), _rows(cursor, self.tail)
                if self._unsettled(*rows, dead, (len(kept) + len(new) - len(in_base)) if base else None):
                    self._settle(cursor)
                    in_base, dead = frozenset({**kept, **new}.values()), 0
                with self._publishing:
                    cursor.execute("COMMIT")
                    self._owners = {**kept, **new}
            self._in_base, self._dead, self._panes = in_base, dead, panes

    def close(self) -> None:
        """Drop the tables."""
        with self._writing, self._database.cursor() as cursor:
            for name in (self.base, self.tail, self.calendar):
                cursor.execute(f"DROP TABLE IF EXISTS {name}")

    def _delete(self, cursor: duckdb.DuckDBPyConnection, gone: frozenset[int]) -> int:
        """Delete owners; how many dead rows there are then."""
        dead = self._dead
        for name, numbers in ((self.base, gone & self._in_base), (self.tail, gone - self._in_base)):
            if numbers:
                among = ", ".join(map(str, sorted(numbers)))
                [deleted] = cursor.execute(f"DELETE FROM {name} WHERE _owner IN ({among})").fetchone() or (0,)
                dead += deleted
        return dead

    def _append(self, cursor: duckdb.DuckDBPyConnection, owner: str, number: int) -> None:
        names = ", ".join(map(quoted, self._types))
        try:
            cursor.execute(f"INSERT INTO {self.tail} SELECT {names}, {number} FROM chunk_{number}")
        except (duckdb.BinderException, duckdb.ConversionException) as error:
            raise CorruptError(
                f"cells of {owner!r}", expected=f"columns {', '.join(self._types)}", got=str(error).splitlines()[0]
            ) from None

    def _chart(self, cursor: duckdb.DuckDBPyConnection, add: Mapping[str, pa.Table]) -> frozenset[int]:
        """Enter the calendar's units that hold the panes of new cells; all panes that are entered then."""
        pane = self.spec.pane
        if pane.kind != "calendar":
            return self._panes
        units = [unit for unit in get_args(Unit) if composes(Window("calendar", unit=unit, zone=pane.zone), pane)]
        found = {at for chunk in add.values() for at in pc.unique(chunk["pane"].cast(pa.int64())).to_pylist()}
        new = found - self._panes
        rows = [(unit, moment(at), *map(moment, bounds(unit, pane.zone, at))) for unit in units for at in sorted(new)]
        if rows:
            names = ("unit", "pane", "window_start", "window_end")
            columns = zip(*rows, strict=True)
            cursor.register("charted", pa.table(dict(zip(names, map(pa.array, columns), strict=True))))
            cursor.execute(f"INSERT INTO {self.calendar} SELECT {', '.join(names)} FROM charted")
        return self._panes | new

    def _unsettled(self, base: int, tail: int, dead: int, owners: int | None) -> bool:
        """True if the tail, or what is dead, has grown too large; ``owners``: so many in it are meant to stay."""
        if owners is not None and tail and (4 * tail >= base or owners > TAIL_OWNERS):
            return True
        return tail + dead > max(TAIL_ROWS, base // 4)

    def _settle(self, cursor: duckdb.DuckDBPyConnection) -> None:
        order = ", ".join([*(quoted(d.name) for d in self.spec.dimensions), "pane"])
        both = f"SELECT * FROM {self.base} UNION ALL SELECT * FROM {self.tail}"
        cursor.execute(f"CREATE OR REPLACE TABLE {self.base} AS SELECT * FROM ({both}) ORDER BY {order}")
        cursor.execute(f"CREATE OR REPLACE TABLE {self.tail} AS SELECT * FROM {self.base} LIMIT 0")


def _rows(cursor: duckdb.DuckDBPyConnection, name: str) -> int:
    [rows] = cursor.execute(f"SELECT count(*) FROM {name}").fetchone() or (0,)
    return int(rows)
