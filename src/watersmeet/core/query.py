"""Queries: declared SQL over views and other queries, served exactly like a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .errors import DeclarationError
from .fingerprint import digest
from .site import caller, check_name, suggest
from .sql import lineage as lineages
from .sql import query as statements
from .sql.lineage import Lineage, Shift
from .sql.relation import Field, Input
from .topic import Topic
from .view import View

_PRESENTED = {
    "mean": "a mean",
    "variance": "a variance",
    "stddev": "a standard deviation",
    "distinct": "a distinct count",
    "top": "a list cut to the top",
}


@dataclass(frozen=True)
class Query:
    """A declared SELECT over named inputs.

    Args:
        name: how it is served.
        inputs: alias -> view or query. Each brings its answer's columns.
        sql: one SELECT in DuckDB's dialect; ``ratio(a, b, digits)`` and ``pct(a, b)`` divide exactly; ``:as_of`` is the
            time of the answer.
        key: columns that identify a row; also its tie-break and its paging.
        time: the column that a range selects by; None if the result has no time.
        unsafe: why it is right all the same that presented means or distinct counts are aggregated again; the receipt
            shows it.
    """

    name: str
    inputs: Mapping[str, View | Query] = field(hash=False)
    sql: str
    key: Sequence[str] = field(hash=False)
    time: str | None = None
    unsafe: str | None = None
    where_declared: str = field(default_factory=caller, compare=False, repr=False)

    def __post_init__(self) -> None:
        where = self.where_declared
        check_name("query", self.name, where)
        if not self.inputs:
            raise DeclarationError(
                f"query {self.name}",
                expected="at least one input",
                got="none",
                remedy="name what its SQL reads: inputs={'v': my_view}",
                where=where,
            )
        for alias, of in self.inputs.items():
            if sum(alias.lower() == other.lower() for other in self.inputs) > 1:
                raise DeclarationError(
                    f"input {alias!r} of query {self.name}",
                    expected="each alias once",
                    got="two, whatever their letter case",
                    remedy="rename one of them",
                    where=where,
                )
            if not isinstance(of, View | Query):
                raise DeclarationError(
                    f"input {alias!r} of query {self.name}",
                    expected="a view or a query",
                    got=type(of).__name__,
                    remedy="declare a wm.View of the topic, and read that" if isinstance(of, Topic) else "",
                    where=where,
                )
        if isinstance(self.key, str) or not self.key:
            raise DeclarationError(
                f"key of query {self.name}",
                expected="a list of the columns that identify a row",
                got=repr(self.key),
                remedy=f"write key=[{self.key!r}]" if isinstance(self.key, str) else "name at least one",
                where=where,
            )
        _ = self.canonical
        columns = self.lineage.columns
        if columns is not None and self.time is not None and self.time not in columns:
            raise DeclarationError(
                f"time of query {self.name}",
                expected="a column of its result",
                got=repr(self.time),
                remedy=suggest(self.time, columns),
                where=where,
            )
        lineages.check_aggregates(self.lineage, self.unsafe, subject=f"query {self.name}", where=where)

    @cached_property
    def canonical(self) -> str:
        """The SQL, independent of white space and comments."""
        return statements.check(self.sql, self.inputs, subject=f"query {self.name}", where=self.where_declared)

    @cached_property
    def lineage(self) -> Lineage:
        """Where its columns come from, found out without running it."""
        inputs = {alias: _input(of) for alias, of in self.inputs.items()}
        return lineages.trace(self.sql, inputs, subject=f"query {self.name}", where=self.where_declared)

    @cached_property
    def shifts(self) -> Mapping[str, Shift | None]:
        """For each input how far a range on the result reaches into it; None: that input is read whole."""
        return lineages.pushdown(self.lineage, self.time)

    @cached_property
    def settles_us(self) -> int | None:
        """How far a watermark must have passed a row's time until no input with a time can change the row.

        In microseconds, 0 or more; None: nothing bounds it. Inputs without time, such as facts, may change at any time.
        """
        out = 0
        for alias, of in self.inputs.items():
            shift = self.shifts[alias]
            if of.time is None:
                continue
            longest = (of.frame.lengths_us or (0, None))[1] if isinstance(of, View) else of.settles_us
            if shift is None or longest is None:
                return None
            out = max(out, shift.after_us + longest)
        return out

    @cached_property
    def views(self) -> tuple[View, ...]:
        """Every view that it rests on, directly or through other queries, each once."""
        out: dict[str, View] = {}
        for of in self.inputs.values():
            for view in (of,) if isinstance(of, View) else of.views:
                out.setdefault(view.fingerprint + view.name, view)
        return tuple(out.values())

    @cached_property
    def fingerprint(self) -> str:
        """The *view* fingerprint of a query: its SQL and everything below it."""
        return digest(
            self.canonical,
            tuple(sorted((a, x.fingerprint) for a, x in self.inputs.items())),
            tuple(self.key),
            self.time,
            self.unsafe,
        )


def _input(of: View | Query) -> Input:
    """What is known of the rows of a view or query."""
    if isinstance(of, Query):
        return of.lineage.result.as_input(of.time)
    frame = of.frame
    overlapping = frame.kind in ("hopping", "running")
    fields = [
        Field("window_start", (0, 0) if of.time else None),
        Field("window_end", of.frame.lengths_us),
        *(Field(dimension.name) for dimension in of.by),
        *(Field(name, None, _PRESENTED.get(m.kind, ""), overlapping) for name, m in of.measures.items()),
    ]
    given = Input(tuple(fields), always=of.time is not None)
    if not of.derive:
        return given
    derived = [(name, item.text) for name, item in of.derived]
    return lineages.extended(given, derived, of.time, subject=f"view {of.name}", where=of.where_declared)


Readable = View | Query
