"""Whether two relations hold the same rows: all columns, as often as there are copies, in any order."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import duckdb

RELATIVE = 1e-12
"""Doubles may differ by so much of themselves, since a sum of doubles depends on their order. All else is equal."""
SHOWN = 3

Row = tuple[Any, ...]


def kinds(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """Column -> its kind: whole numbers are alike whatever their width, decimals are told apart by their digits."""
    return {name: _kind(sql) for name, sql, *_ in connection.execute(f"describe {relation}").fetchall()}


def _kind(sql: str) -> str:
    if sql.startswith("DECIMAL"):
        digits = sql[:-1].split(",")[1]
        return f"decimal with {digits} digits" if digits != "0" else "whole"
    return "whole" if sql.endswith(("INT", "INTEGER")) else sql.lower()


def differences(connection: duckdb.DuckDBPyConnection, found: str, expected: str) -> list[str]:
    """What is wrong with one relation, given another that is right; nothing if they are the same.

    Args:
        connection: holds both.
        found, expected: SELECT or FROM statements.
    """
    shapes = kinds(connection, found), kinds(connection, expected)
    if shapes[0] != shapes[1]:
        return [f"column {name} is {kind}" for name, kind in sorted(shapes[0].items() ^ shapes[1].items())]
    names = ", ".join(shapes[0])
    sides = [f"(select {names} from ({relation}))" for relation in (found, expected)]
    more, less = (
        connection.execute(f"{left} except all {right}").fetchall() for left, right in (sides, reversed(sides))
    )
    doubles = [place for place, kind in enumerate(shapes[0].values()) if kind == "double"]
    more, less = _but_for_rounding(more, less, doubles)
    return [f"{what}: {row}" for what, rows in (("found", more), ("expected", less)) for row in rows[:SHOWN]]


def _but_for_rounding(more: list[Row], less: list[Row], doubles: list[int]) -> tuple[list[Row], list[Row]]:
    """What remains of both when rows are paired that are alike but for the last digits of their doubles."""

    def sign(row: Row) -> str:
        return repr([value for place, value in enumerate(row) if place not in doubles])

    counts = Counter(map(sign, less))
    if not doubles or any(times > 1 for times in counts.values()):
        return more, less
    known = {sign(row): row for row in less}
    alike = {
        sign(row)
        for row in more
        if (other := known.get(sign(row))) and all(_near(row[place], other[place]) for place in doubles)
    }
    return [row for row in more if sign(row) not in alike], [row for row in less if sign(row) not in alike]


def _near(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=RELATIVE)
