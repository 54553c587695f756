"""SQL scalars, evaluated by DuckDB: the expression language is DuckDB's by definition, so the reference borrows it.

All expressions of all rows go in one statement over VALUES of plain columns. An expression that fails is null, and so
is a number that is not finite. ``ratio`` and ``pct`` are written here a second time, with fractions.
"""

from __future__ import annotations

import atexit
import math
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling

Row = dict[str, Any]


def evaluate(types: Mapping[str, str], rows: Sequence[Row], expressions: Sequence[str]) -> list[list[Any]]:
    """The values of each expression, in the order of the rows.

    Args:
        types: column -> SQL type of what the expressions may read.
        rows: values of those columns.
        expressions: SQL scalars.
    """
    if not rows or not expressions:
        return [[] for _ in expressions]
    kinds = types_of(types, expressions)
    wanted = ", ".join(_read(f"TRY({item})", kind) for item, kind in zip(expressions, kinds, strict=True))
    found = _run(f"SELECT {wanted} FROM ({_source(types)}) ORDER BY _row", types, rows).fetchall()
    return [[_plain(row[i]) for row in found] for i in range(len(expressions))]


def types_of(types: Mapping[str, str], expressions: Sequence[str]) -> tuple[str, ...]:
    """The SQL type of each expression."""
    return _bound(tuple(types.items()), tuple(expressions)) if expressions else ()


@lru_cache(maxsize=4096)
def _bound(types: tuple[tuple[str, str], ...], expressions: tuple[str, ...]) -> tuple[str, ...]:
    wanted = ", ".join(f"({item})" for item in expressions)
    found = _run(f"SELECT {wanted} FROM ({_source(dict(types))})", dict(types), [])
    return tuple(str(column[1]) for column in found.description or ())


def _run(sql: str, types: Mapping[str, str], rows: Sequence[Row]) -> duckdb.DuckDBPyConnection:
    columns = [[_sent(row[name], kind) for row in rows] for name, kind in types.items()]
    return _connection().cursor().execute(sql, [list(range(len(rows))), *columns])


def _source(types: Mapping[str, str]) -> str:
    columns = "".join(
        f', {_cast(f"unnest(${i})", kind)} AS "{name}"' for i, (name, kind) in enumerate(types.items(), 2)
    )
    return f"SELECT unnest($1::BIGINT[]) AS _row{columns}"


def _cast(values: str, kind: str) -> str:
    """Columns travel as text, but for structs, and are cast to their type."""
    if "STRUCT" in kind:
        return values.replace(")", f"::{kind}[])")
    lists = "[]" * kind.count("[]")
    text = values.replace(")", f"::VARCHAR{lists}[])")
    if kind == "TIMESTAMP[]":
        return f"list_transform({text}, lambda e: make_timestamp(e::BIGINT))"
    return f"make_timestamp({text}::BIGINT)" if kind == "TIMESTAMP" else f"{text}::{kind}"


def _read(expression: str, kind: str) -> str:
    if kind == "TIMESTAMP[]":
        return f"list_transform({expression}, lambda e: epoch_us(e))"
    return f"epoch_us({expression})" if kind == "TIMESTAMP" else expression


def _sent(value: Any, kind: str) -> Any:
    if value is None or isinstance(value, str) or "STRUCT" in kind:
        return value
    if isinstance(value, tuple):
        return [_sent(item, kind) for item in value]
    if isinstance(value, bool | float):
        return repr(value)
    return format(value, "f") if isinstance(value, Decimal) else value.isoformat() if _is_date(value) else str(value)


def _is_date(value: Any) -> bool:
    return isinstance(value, date)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_plain(item) for item in value)
    if isinstance(value, float):
        return value + 0.0 if math.isfinite(value) else None
    return value


def rounded(value: Fraction, digits: int) -> Decimal | None:
    """A fraction as a decimal, half away from zero; None if it has more than 38 digits."""
    whole = (2 * abs(value) * 10**digits + 1) // 2
    return fixed(-whole if value < 0 else whole, digits)


def fixed(whole: int, digits: int) -> Decimal | None:
    """``whole / 10**digits``; None if it has more than 38 digits."""
    return None if abs(whole) >= 10**38 else Decimal((whole < 0, tuple(map(int, str(abs(whole)))), -digits))


def _ratio(a: str | None, b: str | None, digits: int | None, shift: int) -> str | None:
    """a / b in whole units of the last digit, times 10^shift."""
    if a is None or b is None or digits is None or Fraction(b) == 0:
        return None
    found = rounded(Fraction(a) / Fraction(b) * 10 ** (digits + shift), 0)
    return None if found is None else str(found)


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    atexit.register(connection.close)
    nulls = FunctionNullHandling.SPECIAL
    connection.create_function(
        "_ratio", _ratio, ["varchar", "varchar", "integer", "integer"], "varchar", null_handling=nulls
    )
    connection.execute("SET TimeZone = 'UTC'")
    # A decimal rounded to a constant number of digits has just so many in its type, and hands them to the product.
    connection.execute("CREATE MACRO _unit(digits) AS round(('1e-' || digits)::DECIMAL(19, 18), digits)")
    for name, digits, shift in (("ratio", "digits", 0), ("pct", "digits := 2", 2)):
        body = f"_ratio(a::VARCHAR, b::VARCHAR, digits, {shift})::HUGEINT * _unit(digits)"
        connection.execute(f"CREATE MACRO {name}(a, b, {digits}) AS {body}")
    return connection
