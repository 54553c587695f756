"""Queries: declared SQL over views and other queries, served exactly like a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from .errors import DeclarationError
from .fingerprint import digest
from .site import caller, check_name
from .sql import query as statements
from .view import View


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
            raise DeclarationError(f"query {self.name}", expected="at least one input", where=where)
        for alias, of in self.inputs.items():
            if not isinstance(of, View | Query):
                raise DeclarationError(
                    f"input {alias!r} of query {self.name}",
                    expected="a view or a query",
                    got=type(of).__name__,
                    where=where,
                )
        if isinstance(self.key, str) or not self.key:
            raise DeclarationError(
                f"key of query {self.name}",
                expected="a list of the columns that identify a row",
                got=repr(self.key),
                where=where,
            )
        _ = self.canonical

    @cached_property
    def canonical(self) -> str:
        """The SQL, independent of white space and comments."""
        columns = {alias: of.columns if isinstance(of, View) else () for alias, of in self.inputs.items()}
        return statements.check(self.sql, columns, subject=f"query {self.name}", where=self.where_declared)

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


Readable = View | Query
