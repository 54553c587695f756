"""Rows of published tables in the types of a store that is no file, and what those types cannot hold.

A store's type may hold less than the table's: a date of milliseconds, a decimal of 34 digits, a list without nulls. The
native value is then the nearest one, or null, and the exact value stands beside it as text, under the column's name:
nothing is lost, and a reader who does not look there is wrong by less than the type can say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
from duckdb.sqltypes import DuckDBPyType

from watersmeet.core.errors import RequestError
from watersmeet.core.sink import Shape

from .statement import Sql, statement
from .table_rows import TableRows, is_nested, types_of

Converter = Callable[[Any], tuple[object, bool]]
"""A value that is not null, as Arrow gives it -> the store's own, and whether that is exact. A time is µs, whole."""
Row = tuple[list[object], dict[str, str]]
"""The values of a row in the order of its columns; the exact text of those which the store cannot hold."""
_START = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def native_rows(rows: TableRows, shape: Shape, table: pa.Table, convert: Mapping[str, Converter | None]) -> list[Row]:
    """The rows of a `TableRows.typed` chunk, column by column through ``convert``; None: a column is held as text."""
    types, lossy = dict(types_of(shape)), dict[str, list[bool]]()
    columns = list[Sequence[object]]()
    for name in table.column_names:
        change = convert[name]
        if change is None:
            columns.append(_texts(rows, shape, table, name, types[name]))
            continue
        pairs = [(None, True) if value is None else change(value) for value in _python(shape, name, table.column(name))]
        columns.append([value for value, _ in pairs])
        if not all(held for _, held in pairs):
            lossy[name] = [held for _, held in pairs]
    out = [(list(row), dict[str, str]()) for row in zip(*columns, strict=True)]
    for name, exact in lossy.items():
        texts = _texts(rows, shape, table, name, types[name])
        for (_, rest), text, held in zip(out, texts, exact, strict=True):
            if not held:
                rest[name] = str(text)
    return out


def key_texts(rows: TableRows, shape: Shape, table: pa.Table) -> list[str]:
    """The key of each row as one text: equal keys and no others have equal texts."""
    types = dict(types_of(shape))
    parts = [text_of(name, types[name]) for name in shape.key]
    query = statement("select cast(to_json([{parts}]) as varchar) as key from given", parts=parts)
    texts: list[str] = rows.run(f"rows of table {shape.name}", query, given=table)["key"].to_pylist()
    return texts


def text_of(name: str, type_: str) -> Sql:
    """SQL: the exact text of a column."""
    return statement("cast(to_json({name}) as varchar)" if is_nested(type_) else "cast({name} as varchar)", name=name)


def refuse_type(shape: Shape, name: str, type_: DuckDBPyType, store: str) -> RequestError:
    """The error for a column of a type that the store has nothing for."""
    remedy = "cast it in the table's columns, such as to varchar"
    subject = f"column {name} of table {shape.name}"
    return RequestError(subject, expected=f"a type that {store} can hold", got=str(type_), remedy=remedy)


def microseconds_of(value: int | datetime) -> int:
    """A time, as `Converter` gets it at the top (µs) or within another value (a `datetime`, in UTC if it is naive)."""
    if isinstance(value, int):
        return value
    return ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _START) // _MICROSECOND


def milliseconds(value: int | datetime) -> tuple[int, bool]:
    """A time cut to ms, and whether nothing was cut."""
    whole, rest = divmod(microseconds_of(value), 1000)
    return whole, not rest


def _texts(rows: TableRows, shape: Shape, table: pa.Table, name: str, type_: str) -> Sequence[object]:
    query = statement("select {text} as text from given", text=text_of(name, type_))
    texts: Sequence[object] = rows.run(f"rows of table {shape.name}", query, given=table)["text"].to_pylist()
    return texts


def _python(shape: Shape, name: str, column: pa.ChunkedArray) -> Sequence[Any]:
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz)).cast(pa.int64())
    try:
        values: Sequence[Any] = column.to_pylist()
    except (ValueError, OverflowError) as error:
        subject = f"column {name} of table {shape.name}"
        raise RequestError(subject, expected="values between the years 1 and 9999", got=str(error)) from error
    return values
