"""Binding: every expression of an app typed on empty tables, before any record."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb

from ...core.declarations import Declarations
from ...core.errors import DeclarationError
from ...core.query import Query, Readable
from ...core.sql import query as statements
from ...core.view import View
from .columns import Columns
from .rowtypes import row_types


def bind(columns: Columns, declarations: Declarations) -> Mapping[str, Mapping[str, str]]:
    """Readable name -> column -> SQL type. Raises `DeclarationError` naming the declaration's line."""
    for topic in declarations.topics.values():
        columns.decoded(topic)
    out: dict[str, Mapping[str, str]] = {}
    for name, readable in declarations.readables.items():
        out[name] = _types(columns, readable)
    return out


def _types(columns: Columns, of: Readable) -> Mapping[str, str]:
    return row_types(columns, of).columns if isinstance(of, View) else _query_types(columns, of)


def _query_types(columns: Columns, query: Query) -> Mapping[str, str]:
    inputs = {alias: _types(columns, of) for alias, of in query.inputs.items()}
    text = statements.parse(query.sql, subject=f"query {query.name}", where=query.where_declared).sql(dialect="duckdb")
    # Every run of a query hands :as_of over; here any time has the right type.
    text = text.replace("$as_of", "TIMESTAMP '1970-01-01'")
    empty = {alias: columns.schema(types).empty_table() for alias, types in inputs.items()}
    with columns.database.cursor(empty) as cursor:
        try:
            found = {name: kind for name, kind, *_ in cursor.execute(f"DESCRIBE {text}").fetchall()}
        except duckdb.Error as error:
            message = str(error).splitlines()[0]
            raise DeclarationError(
                f"query {query.name}", expected="SQL that DuckDB can type", got=message, where=query.where_declared
            ) from None
    for column in (*query.key, *([query.time] if query.time else [])):
        if column not in found:
            raise DeclarationError(
                f"key of query {query.name}",
                expected="columns of its result",
                got=repr(column),
                where=query.where_declared,
            )
    return found
