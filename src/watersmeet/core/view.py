"""Views: declared aggregates of one topic.

A view has two sides. Its `CellSpec` says which partial states are kept, at which pane and dimensions; the rest (window,
presentation, derived columns, having) happens when it is read. `View.at` is another reading of the same cells.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .duration import Duration, microseconds, text
from .errors import DeclarationError
from .fingerprint import digest
from .measure import Lift, Measure
from .site import NAME_LENGTH, caller, check_column, check_name, suggest
from .sql.expression import Scalar, canonical, named, names, scalar
from .topic import Topic
from .user_window import UserWindow
from .window import ALL_TIME, Window, composes, hopping, tumbling

EXPLODE_LIMIT = 10_000
WINDOW_COLUMNS = ("window_start", "window_end")


@dataclass(frozen=True, slots=True)
class Dimension:
    """A grouping column: its name in answers and the SQL scalar it is."""

    name: str
    expr: str


@dataclass(frozen=True)
class CellSpec:
    """What is stored for a view: the key of its cells and the partials in them.

    Args:
        topic: whose records.
        where: SQL condition; records for which it is not true are left out; empty for all.
        explode: a list column and the name of its element, one row an element; None if the view does not explode.
        dimensions: in the order of the view, by which cells are keyed.
        pane: the window from whose panes everything is composed.
        lifts: without repetition, in a canonical order; the partials of lift ``i`` are columns ``p{i}_…``.
    """

    topic: Topic
    where: str
    explode: Dimension | None
    dimensions: tuple[Dimension, ...]
    pane: Window
    lifts: tuple[Lift, ...]
    expire_us: int = 0

    @cached_property
    def fingerprint(self) -> str:
        """The *cells* fingerprint."""
        # Windows of one family share panes: their cells are the same whatever is composed of them.
        family = "fixed" if self.pane.kind in ("tumbling", "hopping", "running") else self.pane.kind
        pane = (family, self.pane.pane_us, self.pane.origin_us, self.pane.unit, self.pane.zone)
        gap = self.pane.size_us if self.pane.kind == "session" else 0
        return digest(
            self.topic.version,
            canonical(self.where),
            self.explode and (self.explode.name, canonical(self.explode.expr)),
            tuple((d.name, canonical(d.expr)) for d in self.dimensions),
            self.pane.meaning if self.pane.kind == "user" else pane,
            gap,
            tuple(_meaning(x) for x in self.lifts),
            self.expire_us,
        )

    @cached_property
    def reads(self) -> frozenset[str]:
        """Names, in lower case, among which is every column of the topic that the cells are made of."""
        texts = [self.where, *(d.expr for d in self.dimensions), *(t for x in self.lifts for t in (x.expr, x.where))]
        if self.explode is not None:
            texts.append(self.explode.expr)
        return frozenset(name for text in texts for name in names(text))


@dataclass(frozen=True)
class View:
    """A declared aggregate of one topic.

    Args:
        name: how it is served.
        topic: whose records.
        dimensions: grouping columns, ``"movie_id"`` or ``"expression as name"``; none gives one row a window.
        window: `tumbling`, `hopping`, `calendar`, `session`, `running`, a function declared with `window`, or None for
            all time.
        measures: column -> measure.
        where: SQL condition on records.
        explode: a list column, ``"genres as genre"``: one row an element (at most 10,000 a record).
        derive: column -> SQL over dimensions, window bounds, measures and earlier derived columns; ``lag(x) over w``
            sees earlier windows of the same dimensions.
        lookback: how far a lag may reach; required by lag.
        having: SQL condition on finished rows; never hides a row from lag.
        expire: a silence longer than this ends a key's history (all-time, running and session views).
    """

    name: str
    topic: Topic
    measures: Mapping[str, Measure] = field(hash=False)
    dimensions: Sequence[str] = field(default=(), hash=False)
    window: Window | None = None
    where: str | None = None
    explode: str | None = None
    derive: Mapping[str, str] = field(default_factory=dict, hash=False)
    lookback: Duration | None = None
    having: str | None = None
    expire: Duration | None = None
    of: View | None = field(default=None, repr=False)
    through: View | None = field(default=None, repr=False)
    where_declared: str = field(default_factory=caller, compare=False, repr=False)

    def __post_init__(self) -> None:
        where = self.where_declared
        check_name("view", self.name, where)
        if not isinstance(self.topic, Topic):
            raise DeclarationError(
                f"topic of view {self.name}",
                expected="a wm.Topic",
                got=type(self.topic).__name__,
                remedy="to compute on views or queries, declare a wm.Query",
                where=where,
            )
        if self.window is not None and not isinstance(self.window, Window):
            raise DeclarationError(
                f"window of view {self.name}",
                expected="wm.tumbling(…), wm.hopping(…) or None",
                got=repr(self.window),
                remedy=f"write window=wm.tumbling({self.window!r})"
                if isinstance(self.window, str)
                else "declare a function of your own with @wm.window(version=1)",
                where=where,
            )
        if not self.measures:
            raise DeclarationError(
                f"view {self.name}",
                expected="at least one measure",
                got="none",
                remedy='for example measures={"n": wm.count()}',
                where=where,
            )
        if isinstance(self.dimensions, str):
            raise DeclarationError(
                f"dimensions of view {self.name}",
                expected="a list of columns and 'expression as name'",
                got=repr(self.dimensions),
                remedy=f"write dimensions=[{self.dimensions!r}]",
                where=where,
            )
        seen: set[str] = {"window_start", "window_end"}
        for column in [*(d.name for d in self.by), *self.measures, *self.derive]:
            check_column(f"view {self.name}", column, where)
            if column.lower() in seen:
                raise DeclarationError(
                    f"column {column!r} of view {self.name}",
                    expected="each column once",
                    got="two, whatever their letter case",
                    remedy="rename one of them",
                    where=where,
                )
            seen.add(column.lower())
        for name, measure in self.measures.items():
            if not isinstance(measure, Measure):
                raise DeclarationError(
                    f"measure {name!r} of view {self.name}",
                    expected="wm.count(), wm.sum(…), …",
                    got=repr(measure),
                    remedy="SQL over measures goes into derive" if isinstance(measure, str) else "call the measure",
                    where=where,
                )
        self._check_expressions()
        _ = self.derived, self.lookback_us, self.expire_us

    def _check_expressions(self) -> None:
        where, known = self.where_declared, self._record_columns
        if self.of is None:
            for dimension in self.by:
                scalar(dimension.expr, known, subject=f"dimension {dimension.name!r} of view {self.name}", where=where)
            if isinstance(self.window, UserWindow):
                self.window.check_parameters([d.name for d in self.by], f"window of view {self.name}", where)
        if self.where:
            scalar(self.where, known, subject=f"where of view {self.name}", where=where)
        for name, measure in self.measures.items():
            for lift in (*measure.lifts, Lift("min", measure.expr)):
                for part in filter(None, (lift.expr, lift.where)):
                    scalar(part, known, subject=f"measure {name!r} of view {self.name}", where=where)
        if self.having:
            scalar(self.having, self.columns, subject=f"having of view {self.name}", where=where)

    @cached_property
    def exploded(self) -> Dimension | None:
        """The list column and its element's name."""
        if self.explode is None:
            return None
        name, expr = named(self.explode, subject=f"explode of view {self.name}", where=self.where_declared)
        if name == expr:
            raise DeclarationError(
                f"explode of view {self.name}",
                expected="'column as element'",
                got=repr(self.explode),
                remedy="give the element a name of its own",
                where=self.where_declared,
            )
        check_column(f"view {self.name}", name, self.where_declared)
        scalar(expr, self.topic.columns, subject=f"explode of view {self.name}", where=self.where_declared)
        return Dimension(name, expr)

    @cached_property
    def by(self) -> tuple[Dimension, ...]:
        """The dimensions, named."""
        subject = f"dimension of view {self.name}"
        return tuple(Dimension(*named(item, subject=subject, where=self.where_declared)) for item in self.dimensions)

    @property
    def _record_columns(self) -> tuple[str, ...]:
        return self.topic.columns + ((self.exploded.name,) if self.exploded else ())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of an answer, in order: window bounds, dimensions, measures, derived."""
        return (*WINDOW_COLUMNS, *(d.name for d in self.by), *self.measures, *self.derive)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row: the start of its window (of a user's own the end too), then dimensions."""
        bounds = WINDOW_COLUMNS if self.frame.kind == "user" else WINDOW_COLUMNS[:1]
        return (*bounds, *(d.name for d in self.by))

    @property
    def time(self) -> str | None:
        """The column that a range selects by; None for all time."""
        return None if self.frame.kind == "all" else "window_start"

    @property
    def frame(self) -> Window:
        """The window; `ALL_TIME` where none was declared."""
        return self.window or ALL_TIME

    @cached_property
    def derived(self) -> tuple[tuple[str, Scalar], ...]:
        """The derived columns, checked, in stages: each may use the earlier ones."""
        known = [*WINDOW_COLUMNS, *(d.name for d in self.by), *self.measures]
        out = []
        for column, source in self.derive.items():
            subject = f"derive {column!r} of view {self.name}"
            item = scalar(source, known, subject=subject, where=self.where_declared, lag=True)
            if item.lags and self.lookback is None:
                raise DeclarationError(
                    subject,
                    expected="a lookback, since lag looks at earlier windows",
                    got="none",
                    remedy='for example lookback="24h"',
                    where=self.where_declared,
                )
            if item.lags and self.frame.kind == "all":
                raise DeclarationError(
                    subject,
                    expected="a window, since lag looks at earlier windows",
                    got="all time",
                    remedy="declare a window, or leave lag out",
                    where=self.where_declared,
                )
            out.append((column, item))
            known.append(column)
        return tuple(out)

    @property
    def lookback_us(self) -> int:
        return 0 if self.lookback is None else microseconds(self.lookback, subject=f"lookback of view {self.name}")

    @property
    def reach_us(self) -> int:
        """How far before a range a read must begin: the lookback, once for each stage that uses lag."""
        return self.lookback_us * len([item for _, item in self.derived if item.lags])

    @property
    def expire_us(self) -> int:
        return 0 if self.expire is None else microseconds(self.expire, subject=f"expire of view {self.name}")

    @cached_property
    def root(self) -> View:
        """The declared view whose cells this one reads."""
        return self if self.of is None else self.of.root

    @cached_property
    def cells(self) -> CellSpec:
        """What is stored; the same object for every `at` of a view."""
        return (
            self.root.cells
            if self.of is not None
            else self._spec(self.by, [x for m in self.measures.values() if m.kind != "top" for x in m.lifts])
        )

    @cached_property
    def tops(self) -> tuple[tuple[str, CellSpec], ...]:
        """For each `top` measure its own cells, with the ranked value as one more dimension called ``value``."""
        if self.of is not None:
            return tuple((name, spec) for name, spec in self.root.tops if name in self.measures)
        return tuple(
            (name, self._spec((*self.by, Dimension("value", m.expr)), list(m.lifts)))
            for name, m in self.measures.items()
            if m.kind == "top"
        )

    def _spec(self, dimensions: tuple[Dimension, ...], lifts: list[Lift]) -> CellSpec:
        return CellSpec(
            self.topic,
            self.where or "",
            self.exploded,
            dimensions,
            self.frame,
            # The place of a lift names its columns: it must be the same however the expression is spaced.
            tuple(sorted(set(lifts), key=lambda lift: (_meaning(lift), lift))),
            self.expire_us,
        )

    @property
    def specs(self) -> tuple[CellSpec, ...]:
        """All cells that this view needs."""
        return (self.cells, *(spec for _, spec in self.tops))

    @cached_property
    def fingerprint(self) -> str:
        """The *view* fingerprint: everything that decides an answer."""
        return digest(
            self.cells.fingerprint,
            tuple(spec.fingerprint for _, spec in self.tops),
            self.frame.meaning,
            tuple(d.name for d in self.by),
            tuple(
                (name, m.kind, m.digits, m.limit, tuple(_meaning(x) for x in m.lifts))
                for name, m in self.measures.items()
            ),
            tuple((name, item.canonical) for name, item in self.derived),
            self.lookback_us,
            canonical(self.having or ""),
            self.through and self.through.fingerprint,
        )

    def at(
        self,
        window: Duration | Window | None,
        *,
        every: Duration | None = None,
        by: Sequence[str] | None = None,
        through: View | None = None,
    ) -> View:
        """The same cells read at another window or by fewer dimensions; derived columns are computed anew.

        Args:
            window: a length such as ``"1h"``, a `Window`, or None for all time. It must be composed of whole panes.
            every: with a length, makes it a hopping window; ``"running"`` boundaries use `running`.
            by: a subset of the dimensions (or, with ``through``, columns of that view too).
            through: an all-time view keyed by dimensions of this one; its columns may be used in ``by``.

        Raises `DeclarationError` where the result could not equal a view declared so.
        """
        frame = _frame(window, every)
        where = caller()
        self._check_reading(frame, by, through, where)
        keep = self.dimensions if by is None else tuple(by)
        label = ".".join(
            filter(
                None,
                [
                    self.root.name,
                    re.sub(r"[^A-Za-z0-9]+", "_", str(frame)),
                    None if by is None else "by_" + "_".join(by or ("none",)),
                    f"through_{through.name}" if through else None,
                ],
            )
        )
        derive = (
            self.derive
            if frame.kind != "all"
            else {name: source for name, source in self.derive.items() if not dict(self.derived)[name].lags}
        )
        derive = _usable(
            derive, {*WINDOW_COLUMNS, *self.measures, *(named(k, subject="by", where=where)[0] for k in keep)}, self
        )
        return dataclasses.replace(
            self,
            name=label if len(label) <= NAME_LENGTH else f"{label[: NAME_LENGTH - 17]}.{digest(label)}",
            window=None if frame.kind == "all" else frame,
            dimensions=tuple(keep),
            derive=derive,
            having=self.having if frame.kind != "all" else None,
            of=self.root,
            through=through,
            where_declared=where,
        )

    def _check_reading(self, frame: Window, by: Sequence[str] | None, through: View | None, where: str) -> None:
        """Refuse a reading that could not equal a view declared so."""
        if not composes(frame, self.root.frame):
            raise DeclarationError(
                f"{self.name}.at({frame})",
                expected=f"a window composed of the panes of {self.root.name} ({self.root.frame})",
                got=str(frame),
                remedy=f"take a multiple of {text(self.root.frame.pane_us)}"
                if self.root.frame.pane_us
                else "declare a view with that window",
                where=where,
            )
        names = [d.name for d in self.root.by]
        extra = list(through.columns[2:]) if through else []
        if through is not None and (through.frame.kind != "all" or not {d.name for d in through.by} <= set(names)):
            raise DeclarationError(
                f"through of {self.name}.at",
                expected=f"an all-time view keyed by some of {', '.join(names) or 'no dimensions'}",
                got=f"{through.name}, {through.frame}, by {', '.join(d.name for d in through.by) or 'nothing'}",
                remedy="declare a view of the facts with window=None and only these dimensions",
                where=where,
            )
        for column in [by] if isinstance(by, str) else by or ():
            if isinstance(by, str) or column not in names + extra:
                raise DeclarationError(
                    f"by of {self.name}.at",
                    expected="a list of dimensions of the view",
                    got=repr(column),
                    remedy=f"write by=[{by!r}]" if isinstance(by, str) else suggest(column, names + extra),
                    where=where,
                )


def _meaning(lift: Lift) -> tuple[str, str, str, int, bool]:
    return lift.kind, canonical(lift.expr), canonical(lift.where), lift.size, lift.nulls


def _frame(window: Duration | Window | None, every: Duration | None) -> Window:
    if window is None:
        return ALL_TIME
    if isinstance(window, Window):
        return window
    return hopping(window, every) if every is not None else tumbling(window)


def _usable(derive: Mapping[str, str], known: set[str], view: View) -> dict[str, str]:
    """The derived columns whose inputs are all still there, in order."""
    out = {}
    for name, source in derive.items():
        if dict(view.derived)[name].columns <= known:
            out[name] = source
            known = known | {name}
    return out
