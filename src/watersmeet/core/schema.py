"""Column types, written as SQL.

``"varchar not null"``, ``"decimal(4,2)"``, ``"decimal(12,4) round"``, ``"varchar[]"``. What each accepts in JSON:

    boolean                         true, false
    integer, bigint                 a whole number literal in range (``1.0`` and ``"1"`` are invalid)
    double                          a finite number; −0.0 becomes 0.0
    decimal(p,s)                    a number whose digits fit; with ``round``, more are rounded half away from zero
    varchar                         a string
    date                            "YYYY-MM-DD"
    timestamp                       ISO 8601 with zone or Z (without: UTC), to the microsecond
    timestamp_ms, timestamp_s       a whole number since 1970-01-01Z
    T[]                             an array of T, none of them null

Every timestamp is held in microseconds, UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from .errors import DeclarationError
from .site import check_column

_TYPE = re.compile(
    r"(?P<name>boolean|integer|bigint|double|varchar|date|timestamp|timestamp_ms|timestamp_s|decimal\((?P<p>\d+),\s*(?P<s>\d+)\))"
    r"(?P<list>\[\])?(?P<round> round)?(?P<required> not null)?"
)


@dataclass(frozen=True, slots=True)
class SqlType:
    """A parsed column type.

    Args:
        name: boolean, integer, bigint, double, varchar, date, timestamp, timestamp_ms, timestamp_s or decimal.
        precision, scale: of a decimal, else 0.
        many: an array of it.
        rounded: extra decimal digits are rounded instead of invalid.
        required: ``not null``.
    """

    name: str
    precision: int = 0
    scale: int = 0
    many: bool = False
    rounded: bool = False
    required: bool = False

    @property
    def scalar_sql(self) -> str:
        """The DuckDB type of one element."""
        if self.name == "decimal":
            return f"DECIMAL({self.precision},{self.scale})"
        return "TIMESTAMP" if self.name.startswith("timestamp") else self.name.upper()

    @property
    def sql(self) -> str:
        """The DuckDB type that holds it once decoded."""
        return self.scalar_sql + "[]" * self.many


def parse(text: str, *, column: str, where: str) -> SqlType:
    """Read one type; raises `DeclarationError` naming the column."""
    match = _TYPE.fullmatch(" ".join(text.lower().split())) if isinstance(text, str) else None
    if match is None:
        raise DeclarationError(
            f"type of column {column!r}",
            expected="boolean, integer, bigint, double, decimal(p,s), varchar, date, timestamp, timestamp_ms or "
            "timestamp_s, then optionally [], 'round' and 'not null'",
            got=repr(text),
            remedy="for example 'varchar not null', 'decimal(12,4)' or 'varchar[]'",
            where=where,
        )
    precision, scale = int(match["p"] or 0), int(match["s"] or 0)
    is_decimal = match["p"] is not None
    if is_decimal and not (1 <= precision <= 38 and scale <= precision and scale <= 18):
        raise DeclarationError(
            f"type of column {column!r}",
            expected="decimal(p,s) with p <= 38, s <= p and s <= 18",
            got=text,
            remedy="for example decimal(18,4)",
            where=where,
        )
    if match["round"] and not is_decimal:
        raise DeclarationError(
            f"type of column {column!r}",
            expected="'round' on a decimal only",
            got=text,
            remedy="declare a decimal(p,s), or leave 'round' out",
            where=where,
        )
    return SqlType(
        "decimal" if is_decimal else match["name"],
        precision,
        scale,
        bool(match["list"]),
        bool(match["round"]),
        bool(match["required"]),
    )


def parse_all(schema: Mapping[str, str], *, where: str) -> tuple[tuple[str, SqlType], ...]:
    """Read a whole schema, in the order of its columns."""
    if not schema:
        raise DeclarationError(
            "schema",
            expected="at least one column",
            got=repr(schema),
            remedy="for example schema={'user_id': 'varchar not null'}",
            where=where,
        )
    out = []
    for column, text in schema.items():
        # A payload may well carry its time under the platform's own word; then the pseudo-column is that very column.
        check_column("schema", column, where, reserved=column != "event_time")
        out.append((column, parse(text, column=column, where=where)))
    return tuple(out)
