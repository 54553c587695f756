"""Row functions, the computed columns that need them, and window functions.

A row function is called once a chunk, with whole columns, for the records that are not dead. What it returns is checked
for length and type; a function that raises or returns something else stops the chunk with an error that names it:
declared Python that is wrong is no fault of a record.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa

from ...core.errors import WatersmeetError
from ...core.function import RowFunction
from ...core.sql.expression import Scalar
from ...core.topic import Topic
from .columns import Columns, tried
from .database import run
from .partials import finite, quoted


def call_functions(columns: Columns, topic: Topic, rows: pa.Table, wanted: Collection[str]) -> pa.Table:
    """Add the wanted computed columns from the first that calls a row function on; the earlier are there already."""
    types = columns.decoded(topic)
    functions = {f.name: f for f in topic.functions}
    for name, item in topic.computed:
        if name in wanted and name not in rows.column_names:
            rows = rows.append_column(name, _column(columns, topic, rows, types[name], item, functions))
    return rows


def _column(
    columns: Columns, topic: Topic, rows: pa.Table, kind: str, item: Scalar, functions: dict[str, RowFunction]
) -> pa.ChunkedArray:
    with columns.database.cursor({"source": rows}) as cursor:
        called = rows
        for call in item.calls:
            arguments = ", ".join(
                f"{tried(sql, topic.columns)} AS {quoted(f'_{i}')}" for i, sql in enumerate(call.arguments)
            )
            given = run(cursor, f"SELECT {arguments} FROM source") if arguments else pa.table({})
            function = functions[call.name]
            declared = columns.schema({"x": function.returns.sql}).field("x").type
            result = _call(function, [column.to_pylist() for column in given.columns], rows.num_rows, declared)
            called = called.append_column(call.placeholder, result)
        cursor.register("called", called)
        body = f"SELECT TRY({item.body}) AS _value FROM called"
        return run(cursor, f"SELECT {finite(kind, '_value')} AS x FROM ({body})").column("x")


def _call(function: RowFunction, arguments: list[Sequence[object]], length: int, kind: pa.DataType) -> pa.Array:
    subject = f"row function {function.name} (version {function.version})"
    result = called(subject, function, arguments)
    if not isinstance(result, Sequence) or isinstance(result, str | bytes) or len(result) != length:
        got = f"{len(result)} values" if isinstance(result, Sequence) else type(result).__name__
        raise WatersmeetError(subject, expected=f"a sequence of {length} values", got=got, where=function.where)
    try:
        return pa.array(result, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError, OverflowError) as error:
        raise WatersmeetError(
            subject, expected=f"values of type {function.returns.sql.lower()}", got=str(error), where=function.where
        ) from error


def called(subject: str, function: RowFunction, arguments: list[Sequence[object]]) -> object:
    """What the function returns; `WatersmeetError` naming ``subject`` if it raises."""
    try:
        return function.call(*arguments)
    except Exception as error:  # the author's code may raise anything; it must be named whatever it is
        raise WatersmeetError(
            subject, expected="columns in, columns out", got=f"{type(error).__name__}: {error}", where=function.where
        ) from error
