"""The DuckDB tables behind a holder: cells by owner, in a sorted base and a tail.

``base`` is sorted by dimensions and pane, so a read of one key looks at one row group; ``tail`` is in order of arrival,
and small. Cells stay apart by owner in both, so an owner can be dropped at any time.

    dropped owners ──> deleted where they are          added owners ──> appended to the tail
    tail large against the base, or much of the base dead ──> base sorted anew, tail empty
    more of the tail dead than alive ──> tail written anew

A change is one transaction: a statement sees the cells before it or those after it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import get_args

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ...core.errors import CorruptError, UnavailableError
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
        self._dead = {self.base: 0, self.tail: 0}
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
            if not new and not gone:
                return
            chunks = {f"chunk_{new[name]}": chunk for name, chunk in add.items()}
            # Closing the cursor takes back what was not committed.
            with _named(self.spec), self._database.cursor(chunks) as cursor:
                cursor.execute("BEGIN")
                dead = self._delete(cursor, gone)
                for name, number in new.items():
                    self._append(cursor, name, number)
                panes = self._chart(cursor, add)
                in_base, owners = self._in_base - gone, {**kept, **new}
                if self._settle(cursor, dead, len(owners) - len(in_base) if base else 0):
                    in_base = frozenset(owners.values())
                with self._publishing:
                    cursor.execute("COMMIT")
                    self._owners = owners
            self._in_base, self._dead, self._panes = in_base, dead, panes

    def close(self) -> None:
        """Drop the tables."""
        with self._writing, self._database.cursor() as cursor:
            for name in (self.base, self.tail, self.calendar):
                cursor.execute(f"DROP TABLE IF EXISTS {name}")

    def _delete(self, cursor: duckdb.DuckDBPyConnection, gone: frozenset[int]) -> dict[str, int]:
        """Delete owners; how many dead rows each table has then."""
        dead = dict(self._dead)
        for name, numbers in ((self.base, gone & self._in_base), (self.tail, gone - self._in_base)):
            if numbers:
                among = ", ".join(map(str, sorted(numbers)))
                dead[name] += _count(cursor, f"DELETE FROM {name} WHERE _owner IN ({among})")
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

    def _settle(self, cursor: duckdb.DuckDBPyConnection, dead: dict[str, int], staying: int) -> bool:
        """Write tables anew if that is due, and set what is dead to nought; True if all cells are in the base then.

        ``staying``: the number of owners in the tail, if they are meant to stay.
        """
        base, tail = (_count(cursor, f"SELECT count(*) FROM {name}") for name in (self.base, self.tail))
        share = max(TAIL_ROWS, base // 4)
        wanted = staying > TAIL_OWNERS or (staying and 4 * tail >= base)
        if wanted or tail > share or dead[self.base] > share:
            order = ", ".join([*(quoted(d.name) for d in self.spec.dimensions), "pane"])
            both = f"SELECT * FROM {self.base} UNION ALL SELECT * FROM {self.tail}"
            cursor.execute(f"CREATE OR REPLACE TABLE {self.base} AS SELECT * FROM ({both}) ORDER BY {order}")
            cursor.execute(f"CREATE OR REPLACE TABLE {self.tail} AS SELECT * FROM {self.base} LIMIT 0")
            dead.update(dict.fromkeys(dead, 0))
            return True
        if dead[self.tail] > max(TAIL_ROWS, tail):
            cursor.execute(f"CREATE OR REPLACE TABLE {self.tail} AS SELECT * FROM {self.tail}")
            dead[self.tail] = 0
        return False


@contextmanager
def _named(spec: CellSpec) -> Iterator[None]:
    """Say of what there is too much when the memory does not hold it."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise UnavailableError(
            f"cells of topic {spec.topic.name}",
            expected="memory to hold them",
            got=str(error).splitlines()[0],
            remedy="allow more, or keep fewer: a larger pane, fewer dimensions, an expire",
        ) from None


def _count(cursor: duckdb.DuckDBPyConnection, sql: str) -> int:
    [rows] = cursor.execute(sql).fetchone() or (0,)
    return int(rows)
