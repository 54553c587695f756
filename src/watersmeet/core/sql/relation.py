"""Relations: what is known of the columns of a table, subquery or result without running it.

Of each column: which time it is, if it is one; which presented values went into it, that must not be added up; and
which overlapping windows it speaks of, whose rows must not be added up across windows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from .axis import Axes, Axis, Moment, Span

OVERLAPPING = "a value of overlapping windows"


@dataclass(frozen=True, slots=True)
class Field:
    """A column of an input.

    Args:
        name: of the column.
        since_us: between which bounds it lies after the input's time, in microseconds; None if it is not known to.
        presented: what it shows and cannot be added up, such as ``"a mean"``; empty for anything else.
        overlapping: it speaks of a window that overlaps others of the same input.
    """

    name: str
    since_us: Span | None = None
    presented: str = ""
    overlapping: bool = False


@dataclass(frozen=True, slots=True)
class Input:
    """What a query may read under one alias.

    Args:
        fields: its columns; those with a ``since_us`` follow its time, which a range selects by.
        complete: these are all columns that there are.
        always: every row has its time.
    """

    fields: tuple[Field, ...]
    complete: bool = True
    always: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value comes from.

    Args:
        moment: which time it is; None if it is none, or nobody knows.
        presented: the presented columns that went into it, as errors name them.
        windows: times of the overlapping windows that it speaks of.
    """

    moment: Moment | None = None
    presented: frozenset[str] = frozenset()
    windows: frozenset[Axis] = frozenset()

    def mixed(self, *others: Origin) -> Origin:
        """What went into a value that is made of several; it is no time."""
        found = (self, *others)
        presented = frozenset(label for origin in found for label in origin.presented)
        return Origin(presented=presented, windows=frozenset(axis for origin in found for axis in origin.windows))

    def without_time(self) -> Origin:
        """The same for a reader to whom its rows are not rows but constants."""
        return Origin(presented=self.presented)


@dataclass(frozen=True, slots=True)
class Relation:
    """Rows, of which only the columns are known.

    Args:
        columns: name (as written; empty: it has none) and origin, in order.
        axes: the times of its rows, and what they rest on.
        complete: these are all columns that there are, each in its place.
    """

    columns: tuple[tuple[str, Origin], ...] = ()
    axes: Axes = field(default_factory=Axes)
    complete: bool = True

    @property
    def closed(self) -> bool:
        """True if no other name than those known can stand for a column."""
        names = [name.lower() for name, _ in self.columns]
        return self.complete and all(names) and len(set(names)) == len(names)

    def fresh(self) -> Relation:
        """Another reading of the same rows: equal, but with times of its own."""
        axes, new = self.axes.fresh()
        return replace(self.moved(lambda m: Moment(new[m.axis], m.offset_us), new), axes=axes)

    def moved(self, moment: Callable[[Moment], Moment | None], windows: Mapping[Axis, Axis]) -> Relation:
        """The same columns with other moments; a window that has no other is forgotten."""
        columns = tuple(
            (
                name,
                Origin(
                    moment(origin.moment) if origin.moment is not None else None,
                    origin.presented,
                    frozenset(windows[x] for x in origin.windows if x in windows),
                ),
            )
            for name, origin in self.columns
        )
        return replace(self, columns=columns)

    def renamed(self, names: Sequence[str]) -> Relation:
        """The first columns under other names, as an alias with a column list gives them."""
        if len(names) > len(self.columns):
            return replace(self, columns=tuple((name, Origin()) for name in names), complete=False)
        columns = (*zip(names, (origin for _, origin in self.columns), strict=False), *self.columns[len(names) :])
        return replace(self, columns=columns)

    def find(self, name: str) -> Origin | None:
        """The first column of that name, whatever its letter case."""
        return next((origin for known, origin in self.columns if known.lower() == name.lower()), None)

    def as_input(self, time: str | None) -> Input:
        """How another query sees this result, if ranges select by its column ``time``."""
        origin = self.find(time) if time else None
        start = origin.moment if origin else None
        fields = []
        for name, of in self.columns:
            tied = start is not None and all(self.axes.tied(start.axis, x) for x in of.windows)
            kinds = {label.rpartition(", ")[2] for label in of.presented}
            if of.windows and not tied:
                kinds.add(OVERLAPPING)
            since = self._since(start, of.moment)
            if time and name.lower() == time.lower():
                since = (0, 0)
            fields.append(Field(name, since, " and ".join(sorted(kinds)), bool(of.windows) and tied))
        always = start is not None and start.axis in self.axes.reach and not self.axes.may_lack(start.axis)
        return Input(tuple(fields), self.complete, always)

    def _since(self, start: Moment | None, end: Moment | None) -> Span | None:
        if start is None or end is None or start.axis not in self.axes.reach or end.axis not in self.axes.reach:
            return None
        gap = self.axes.gap(start.axis, end.axis)
        # A row that has this time but lacks the query's own is in no range.
        together = self.axes.roots[start.axis] is self.axes.roots[end.axis] or not self.axes.may_lack(start.axis)
        if gap is None or not together:
            return None
        offset_us = end.offset_us - start.offset_us
        return gap[0] + offset_us, gap[1] + offset_us


def relation_of(name: str, given: Input) -> Relation:
    """The rows of an input; its axis is its own time, if any column follows it."""
    if all(item.since_us is None for item in given.fields):
        axes, axis = Axes(frozenset([name])), None
    else:
        axes, axis = Axes().scanned(name, nullable=not given.always)
    columns = []
    for item in given.fields:
        moment = None
        if axis is not None and item.since_us is not None:
            low, high = item.since_us
            if low == high:
                moment = Moment(axis, low)
            else:
                axes, loose = axes.derived(Moment(axis), item.since_us, item.name)
                moment = Moment(loose) if loose is not None else None
        label = f"{item.name} of {name}, {item.presented}"
        presented = frozenset([label] if item.presented else ())
        windows = frozenset([axis] if axis is not None and item.overlapping else ())
        columns.append((item.name, Origin(moment, presented, windows)))
    return Relation(tuple(columns), replace(axes, names={}), given.complete)
