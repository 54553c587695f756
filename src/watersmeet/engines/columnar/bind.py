"""Binding: every expression of an app is typed on empty tables, before there is any record.

What is checked here is what needs types: that conditions are conditions, that sums are of numbers, that ``ratio`` gets
no double, that a query's SQL fits the columns of its inputs. Names were checked where they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import duckdb

from ...core.declarations import Declarations
from ...core.duration import text
from ...core.errors import DeclarationError
from ...core.query import Query, Readable
from ...core.site import suggest
from ...core.sql import query as statements
from ...core.view import View
from .columns import Columns
from .rowtypes import UNKNOWN, row_types
from .selection import moment

_CELL_COLUMN = re.compile(r"pane_end|p\d+_(n|s|hi|lo|v|t|p|o|i|h|cut)", re.IGNORECASE)
_NUMBER = re.compile(r"U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(.*\)")


def bind(columns: Columns, declarations: Declarations) -> Mapping[str, Mapping[str, str]]:
    """Readable name -> column -> SQL type.

    Args:
        columns: where types are bound and remembered.
        declarations: of an app.

    Raises `DeclarationError` naming the declaration's line.
    """
    for topic in declarations.topics.values():
        columns.decoded(topic)
    binder = _Binder(columns)
    return {name: binder.types(readable) for name, readable in declarations.readables.items()}


@dataclass(frozen=True, slots=True)
class _Binder:
    columns: Columns
    found: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def types(self, of: Readable) -> Mapping[str, str]:
        """Column -> SQL type; each view and query once."""
        key = f"{of.name} {of.fingerprint}"
        if key not in self.found:
            with _explained():
                self.found[key] = self.view(of) if isinstance(of, View) else self.query(of)
        return self.found[key]

    def view(self, view: View) -> Mapping[str, str]:
        if view.through is not None:
            self.types(view.through)
        if view.of is None:
            self.records(view)
        _check_expiry(view)
        types = row_types(self.columns, view).columns
        parts = {f"derive {name!r}": item.text for name, item in view.derived}
        for part, sql in (parts | {"having": view.having or ""}).items():
            if found := statements.bare_division(sql):
                raise _refused(
                    f"{part} of view {view.name}",
                    view.where_declared,
                    "ratio(a, b, digits) or pct(a, b)",
                    f"{found!r}, a double",
                    "or cast one side to double to say that you want one",
                )
        if view.having:
            self.condition(view.having, types, f"having of view {view.name}", view.where_declared)
        return types

    def records(self, view: View) -> None:
        """The expressions of a declared view over records."""
        where, types = view.where_declared, dict(self.columns.decoded(view.topic))
        if view.exploded is not None:
            subject = f"explode of view {view.name}"
            kind = self.value(view.exploded.expr, types, subject, where)
            if not kind.endswith("[]"):
                raise _refused(subject, where, "a list", f"a {kind.lower()}")
            types[view.exploded.name] = kind.removesuffix("[]")
        if view.where:
            self.condition(view.where, types, f"where of view {view.name}", where)
        for dimension in view.by:
            subject = f"dimension {dimension.name!r} of view {view.name}"
            self.value(dimension.expr, types, subject, where)
            if _CELL_COLUMN.fullmatch(dimension.name) or (view.tops and dimension.name.lower() == "value"):
                raise _refused(subject, where, "a name that cells do not use", repr(dimension.name), "rename it")
        for name, measure in view.measures.items():
            subject = f"measure {name!r} of view {view.name}"
            for lift in measure.lifts:
                if lift.where:
                    self.condition(lift.where, types, subject, where)
                kind = self.value(lift.expr, types, subject, where) if lift.expr else ""
                if lift.kind in ("sum", "squares") and not _NUMBER.fullmatch(kind):
                    raise _refused(subject, where, "a number", f"{lift.expr!r}, a {kind.lower()}")
            if measure.expr:
                self.value(measure.expr, types, subject, where)

    def query(self, query: Query) -> Mapping[str, str]:
        inputs = {alias: self.types(of) for alias, of in query.inputs.items()}
        empty = {alias: self.columns.schema(types).empty_table() for alias, types in inputs.items()}
        subject, where = f"query {query.name}", query.where_declared
        with self.columns.database.cursor(empty) as cursor:
            try:
                [statement] = cursor.extract_statements(query.canonical)
                values = {name: moment(0) for name in statement.named_parameters}
                relation = cursor.sql(query.canonical, params=values)
                names, kinds = list(relation.columns), [str(kind) for kind in relation.types]
            except duckdb.Error as error:
                raise _refused(subject, where, "SQL that fits its inputs", str(error).splitlines()[0]) from None
        types = dict(zip(names, kinds, strict=True))
        if len(types) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise _refused(subject, where, "each column once", ", ".join(twice), "give one of them another name")
        for name, kind in types.items():
            if kind == UNKNOWN:
                raise _refused(f"column {name!r} of {subject}", where, "a type", "null", "cast it to one")
        for role, column in (*(("key", column) for column in query.key), ("time", query.time)):
            if column is not None and column not in types:
                raise _refused(
                    f"{role} of {subject}", where, "a column of its result", repr(column), suggest(column, types)
                )
        if query.time is not None and not types[query.time].startswith(("TIMESTAMP", "DATE")):
            raise _refused(f"time of {subject}", where, "a timestamp", f"{query.time!r}, a {types[query.time].lower()}")
        return types

    def value(self, sql: str, types: Mapping[str, str], subject: str, where: str) -> str:
        kind = self.columns.bind(sql, types, subject=subject, where=where)
        if kind == UNKNOWN:
            raise _refused(subject, where, "a value with a type", repr(sql), "cast it to one")
        return kind

    def condition(self, sql: str, types: Mapping[str, str], subject: str, where: str) -> None:
        kind = self.columns.bind(sql, types, subject=subject, where=where)
        if kind not in ("BOOLEAN", UNKNOWN):
            raise _refused(subject, where, "a condition", f"{sql!r}, a {kind.lower()}")


def _check_expiry(view: View) -> None:
    subject, where = f"expire of view {view.name}", view.where_declared
    if view.expire_us and view.frame.kind not in ("running", "session"):
        raise _refused(subject, where, "a running or session window", str(view.frame), "only they know of silence")
    if view.expire_us and view.frame.kind == "session" and view.expire_us < view.frame.size_us:
        raise _refused(subject, where, f"at least the gap, {text(view.frame.size_us)}", text(view.expire_us))


def _refused(subject: str, where: str, expected: str, got: str, remedy: str = "") -> DeclarationError:
    return DeclarationError(subject, expected=expected, got=got, remedy=remedy, where=where)


@contextmanager
def _explained() -> Iterator[None]:
    """Put what DuckDB says of a ratio of doubles in the words of who wrote it."""
    try:
        yield
    except DeclarationError as error:
        if "_exact" not in error.got:
            raise
        raise _refused(
            error.subject,
            error.where,
            "integers or decimals in ratio and pct",
            "something else, such as a double",
            "declare the column as a decimal, or cast it to one",
        ) from None
