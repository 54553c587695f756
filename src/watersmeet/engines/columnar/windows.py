"""Windows, composed of cells in SQL.

    cells ── keyed ──────────── placed ──────────────────────────── merged
    as     by the view's        tumbling, calendar: in one window   one row a window and key,
    held   dimensions           user: it is one                     with its partials
                                hopping: in each that holds it
                                session: in the island it is on
                                running: at its boundary, summed with all before
                                all time: in the only one

The **range law** is kept here. A read of the windows that start in [least, below) leaves a cell unread only if no
such window holds it, and drops a window that starts outside even if cells of it were read:

    tumbling, hopping, calendar    panes in [least, below + size)
    user                           panes in [least, below)
    session                        all fragments of keys that have one in [least, below): a session starts with one
    running                        all panes before the last boundary, those before the first boundary as one
    all time                       no range

A running key has a row at each boundary from its first record to the last one, or to its newest if none is given. With
``expire`` it begins anew after a longer silence, and has no row during one; silence is between starts of its windows.

The SQL takes parameters: ``$asked_least`` and ``$asked_below``, and of running windows the boundaries ``$asked_first``
and ``$asked_last``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...core.view import CellSpec, View
from ...core.window import Window
from . import partials
from .partials import quoted

BLOCK = 64
"""Prefixes are summed in blocks: a key with m changes costs 64·m/2 + (m/64)²/2 additions instead of m²/2."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the cells of a spec are read.

    Args:
        spec: of the cells.
        tables: SQL names, or subqueries in parentheses, of relations that have the cells' columns.
        scope: conditions on a cell that say which cells there are at all.
        where: conditions on a cell that only spare reading what the view will not need.
        calendar: SQL name of the relation (unit, pane, window_start, window_end).
        prefix: of the names of the common table expressions.
        extra: dimensions of the cells that are not the view's, such as the value of a top.
        keep: partial columns wanted in the end; None: all.
        among: SQL name of a relation of the view's dimensions; only cells of keys that are in it are read.
    """

    spec: CellSpec
    tables: Sequence[str]
    scope: Sequence[str] = ()
    where: Sequence[str] = ()
    calendar: str = "calendar"
    prefix: str = ""
    extra: Sequence[str] = ()
    keep: Collection[str] | None = None
    among: str = ""

    def scan(self, columns: Sequence[str], where: Sequence[str]) -> str:
        """SQL of the held cells that meet the conditions."""
        condition = f" WHERE {' AND '.join(where)}" if where else ""
        return " UNION ALL ".join(f"SELECT {', '.join(columns)} FROM {table}{condition}" for table in self.tables)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which parameters a read is given: ``least`` (for running windows ``first``), ``below``, ``last``.

    ``prefix`` is of their names, for a statement that reads two parts of the time axis.
    """

    lower: bool = False
    upper: bool = False
    upto: bool = False
    prefix: str = "asked_"


@dataclass(frozen=True, slots=True)
class Merged:
    """Common table expressions, (name, SELECT), the last of them with one row a window and key.

    Args:
        steps: the expressions.
        time: columns that identify a window among the rows of a key.
        end: SQL of window_end; None for running windows, whose states hold from ``_b`` to before ``_stop``.
    """

    steps: tuple[tuple[str, str], ...]
    time: tuple[str, ...] = ("window_start",)
    end: str | None = "window_end"

    @property
    def name(self) -> str:
        return self.steps[-1][0]


def compose(view: View, source: Source, bounds: Bounds) -> Merged:
    """SQL that composes the view's windows from cells."""
    composer = _Composer(view, source, bounds)
    match view.frame.kind:
        case "tumbling" | "hopping":
            merged = composer.fixed()
        case "calendar":
            merged = composer.calendar()
        case "user":
            merged = composer.user()
        case "session":
            merged = composer.sessions()
        case "running":
            merged = composer.running()
        case "all":
            merged = composer.all_time()
    return Merged(((composer.name("keyed"), composer.keyed()), *merged.steps), merged.time, merged.end)


def spread(view: View, source: str) -> str:
    """SQL that gives each state of a running key its rows: the boundaries from ``_b`` to before ``_stop``."""
    every = _interval(view.frame.every_us)
    return (
        f"SELECT _boundary - {every} AS window_start, _boundary AS window_end, * EXCLUDE (_boundary)"
        f" FROM (SELECT *, unnest(range(_b, _stop, {every})) AS _boundary FROM {source})"
    )


def _interval(us: int) -> str:
    return f"to_microseconds({us})"


def _step(frame: Window, time: str = "pane") -> str:
    """The start of the hop, or the boundary, at or before a pane."""
    return f"time_bucket({_interval(frame.every_us)}, {time}, make_timestamp({frame.origin_us}))"


@dataclass(frozen=True, slots=True)
class _Composer:
    view: View
    source: Source
    bounds: Bounds

    @property
    def by(self) -> tuple[str, ...]:
        return tuple(quoted(d.name) for d in self.view.by)

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self.by, *map(quoted, self.source.extra))

    def name(self, step: str) -> str:
        return self.source.prefix + step

    def keyed(self) -> str:
        spec, through = self.source.spec, self.view.through
        time = ["pane", "pane_end"] if spec.pane.carries_end else ["pane"]
        values = partials.partial_names(spec)
        own = [quoted(d.name) for d in spec.dimensions]
        read = [*own, *time, *values] if through else [*self.keys, *time, *values]
        scan = self.source.scan(read, [*self.source.scope, *self.source.where])
        if through is None:
            return self.among(scan)
        columns = [f"{'c' if name in own else 't'}.{name}" for name in self.keys]
        columns += [f"c.{name}" for name in (*time, *values)]
        same = [f"c.{quoted(d.name)} IS NOT DISTINCT FROM t.{quoted(d.name)}" for d in through.by]
        join = f"LEFT JOIN through t ON {' AND '.join(same) or 'true'}"
        return self.among(f"SELECT {', '.join(columns)} FROM ({scan}) c {join}")

    def among(self, cells: str) -> str:
        if not self.source.among:
            return cells
        same = [f"k.{column} IS NOT DISTINCT FROM p.{column}" for column in self.by]
        return f"SELECT k.* FROM ({cells}) k SEMI JOIN {self.source.among} p ON {' AND '.join(same) or 'true'}"

    def merge(self, time: Sequence[str], source: str, more: Sequence[str] = (), *, final: bool = False) -> str:
        """One row for each value of ``time`` and the keys, partials added up; ``more`` are further aggregates."""
        keep = self.source.keep if final else None
        pairs = zip(partials.partial_names(self.source.spec), partials.merge_columns(self.source.spec), strict=True)
        merges = [column for name, column in pairs if keep is None or name in keep]
        by = [*time, *self.keys]
        return f"SELECT {', '.join([*by, *more, *merges])} FROM {source} GROUP BY {', '.join(by)}"

    def in_range(self, column: str = "window_start") -> str:
        given, prefix = self.bounds, self.bounds.prefix
        held = [f"{column} >= ${prefix}least"] * given.lower + [f"{column} < ${prefix}below"] * given.upper
        return f" WHERE {' AND '.join(held)}" if held else ""

    def islands(self, source: str, at: str, end: str, apart: str, start: str) -> str:
        """Cells with the ``start`` of the island of their key that each is on.

        Cells are taken by their time ``at``; an island begins where ``apart`` holds of ``_before``, the greatest
        ``end`` of earlier cells. Cells of one time see the same earlier ones, whatever their order.
        """
        by = f"PARTITION BY {', '.join(self.by)} " if self.by else ""
        earlier = f"max({end}) OVER ({by}ORDER BY {at} RANGE BETWEEN UNBOUNDED PRECEDING AND {_interval(1)} PRECEDING)"
        marked = f"(SELECT *, {earlier} AS _before FROM {source})"
        first = f"CASE WHEN _before IS NULL OR {apart} THEN {at} END"
        return f"(SELECT *, max({first}) OVER ({by}ORDER BY {at}) AS {start} FROM {marked})"

    def all_time(self) -> Merged:
        placed = f"(SELECT NULL::TIMESTAMP AS window_start, * FROM {self.name('keyed')})"
        merged = (self.name("merged"), self.merge(("window_start",), placed, final=True))
        return Merged((merged,), end="NULL::TIMESTAMP")

    def fixed(self) -> Merged:
        frame, start = self.view.frame, _step(self.view.frame)
        if frame.kind == "hopping":
            # The starts at or before a pane, back to the first whose window ends by then.
            ended = f"pane - {_interval(frame.size_us)}"
            start = f"unnest(range({start}, {ended}, {_interval(-frame.every_us)}))"
        elif frame.size_us == self.source.spec.pane.pane_us:
            start = "pane"
        placed = f"(SELECT {start} AS window_start, * FROM {self.name('keyed')})"
        if self.in_range():
            placed = f"(SELECT * FROM {placed}{self.in_range()})"
        merged = (self.name("merged"), self.merge(("window_start",), placed, final=True))
        return Merged((merged,), end=f"window_start + {_interval(frame.size_us)}")

    def calendar(self) -> Merged:
        placed = (
            f"(SELECT u.window_start, u.window_end, k.* FROM {self.name('keyed')} k JOIN {self.source.calendar} u"
            f" ON u.unit = '{self.view.frame.unit}' AND u.pane = k.pane{self.in_range('u.window_start')})"
        )
        return Merged(((self.name("merged"), self.merge(("window_start", "window_end"), placed, final=True)),))

    def user(self) -> Merged:
        """A user's own windows are their own panes."""
        time = ("window_start", "window_end")
        bounds = "pane AS window_start, pane_end AS window_end"
        placed = f"(SELECT {bounds}, * FROM {self.name('keyed')}{self.in_range('pane')})"
        return Merged(((self.name("merged"), self.merge(time, placed, final=True)),), time)

    def sessions(self) -> Merged:
        keyed, gap = self.name("keyed"), _interval(self.view.frame.size_us)
        if self.in_range():
            starting = f"SELECT DISTINCT {', '.join(self.by) or '1'} FROM {keyed}{self.in_range('pane')}"
            same = [f"k.{column} IS NOT DISTINCT FROM s.{column}" for column in self.by]
            keyed = f"(SELECT k.* FROM {keyed} k SEMI JOIN ({starting}) s ON {' AND '.join(same) or 'true'})"
        placed = self.islands(keyed, "pane", "pane_end", f"pane >= _before + {gap}", "window_start")
        if self.in_range():
            placed = f"(SELECT * FROM {placed}{self.in_range()})"
        end = f"max(pane_end) + {gap} AS window_end"
        return Merged(((self.name("merged"), self.merge(("window_start",), placed, (end,), final=True)),))

    def running(self) -> Merged:
        """Prefix sums over the boundaries at which a key changes, in two levels: within blocks, and over blocks."""
        n, by, extra = self.name, self.by, tuple(map(quoted, self.source.extra))
        values = partials.partial_names(self.source.spec)
        group = (*by, "_chain")
        changes = self.merge(("_chain", "_b"), self._placed(), ("max(_start) AS _newest",))
        order = f"PARTITION BY {', '.join(group)} ORDER BY _b"
        numbered = (
            f"SELECT *, _i // {BLOCK} AS _block FROM (SELECT *, dense_rank() OVER ({order}) - 1 AS _i FROM ({changes}))"
        )
        next_by = f"PARTITION BY {', '.join(by)} " if by else ""
        states = (
            f"SELECT *, {self._stop(f'lead(_b) OVER ({next_by}ORDER BY _b, _chain)')} AS _stop FROM"
            f" (SELECT {', '.join(group)}, _b, _i, _block, max(_newest) AS _newest FROM {n('numbered')}"
            f" GROUP BY {', '.join(group)}, _b, _i, _block)"
        )
        same = " AND ".join(f"a.{column} IS NOT DISTINCT FROM z.{column}" for column in group)
        columns = ", ".join([*(f"z.{c}" for c in group), *(f"a.{c}" for c in (*extra, *values))])
        blocks = self.merge(("_chain", "_block"), n("numbered"))
        earlier = (
            f"(SELECT {columns}, z._block FROM (SELECT DISTINCT {', '.join(group)}, _block FROM {n('numbered')}) z"
            f" JOIN {n('blocks')} a ON {same} AND a._block < z._block)"
        )
        pieces = (
            f"(SELECT {columns}, z._b, z._stop FROM {n('states')} z JOIN {n('numbered')} a"
            f" ON {same} AND a._block = z._block AND a._i <= z._i UNION ALL"
            f" SELECT {columns}, z._b, z._stop FROM {n('states')} z JOIN {n('earlier')} a"
            f" ON {same} AND a._block = z._block)"
        )
        steps = (
            (n("numbered"), numbered),
            (n("states"), states),
            (n("blocks"), blocks),
            (n("earlier"), self.merge(("_chain", "_block"), earlier)),
            (n("merged"), self.merge(("_chain", "_b", "_stop"), pieces, final=True)),
        )
        return Merged(steps, ("_chain", "_b"), None)

    def _placed(self) -> str:
        """Cells at ``_start``, with the first boundary asked for that sums them, ``_b``, and their key's ``_chain``."""
        every, expire = _interval(self.view.frame.every_us), self.view.expire_us
        placed = f"(SELECT {_step(self.view.frame)} AS _start, * FROM {self.name('keyed')})"
        chained = f"(SELECT *, NULL::TIMESTAMP AS _chain FROM {placed})"
        if expire:
            chained = self.islands(placed, "_start", "_start", f"_start > _before + {_interval(expire)}", "_chain")
        boundary = f"greatest(_start + {every}, $asked_first)" if self.bounds.lower else f"_start + {every}"
        return f"(SELECT {boundary} AS _b, * FROM {chained})"

    def _stop(self, following: str) -> str:
        """A time after the last boundary at which a state holds, and at most at the next one."""
        every = _interval(self.view.frame.every_us)
        last = f"greatest(_newest + {every}, $asked_last)" if self.bounds.upto else f"_newest + {every}"
        stops = [f"coalesce({following}, {last} + {every})"]
        if self.bounds.upper:
            stops.append(f"$asked_below + {every}")
        if self.view.expire_us:
            stops.append(f"_newest + {every} + {_interval(self.view.expire_us + 1)}")
        return f"least({', '.join(stops)})" if len(stops) > 1 else stops[0]
