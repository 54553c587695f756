"""What commands print: data as tables or JSON on standard output, words on standard error."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from rich.console import Console
from rich.table import Table

err = Console(stderr=True, highlight=False, soft_wrap=True)


def out() -> Console:
    """The console for data; made when asked for, so that a test's standard output is the one used."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())


def say(text: str, *, style: str = "") -> None:
    """A line for people, on standard error."""
    err.print(text, style=style, markup=False)


def plain(value: object) -> object:
    """A value as JSON has it: decimals as numbers, times as ISO 8601 in UTC, bytes as text."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
        case dt.datetime():
            return value.isoformat() + ("" if value.tzinfo else "Z")
        case dt.date() | dt.time():
            return value.isoformat()
        case bytes():
            return value.decode("utf-8", "replace")
        case Mapping():
            return {str(k): plain(v) for k, v in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(v) for v in value]
    return value


def print_json(value: object) -> None:
    """One JSON document, on standard output."""
    sys.stdout.write(json.dumps(plain(value), ensure_ascii=False, indent=2 if sys.stdout.isatty() else None) + "\n")


def print_rows(rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, title: str = "") -> None:
    """Rows as a table, numbers to the right."""
    table = Table(title=title or None, show_edge=False, pad_edge=False)
    for name in columns:
        numeric = all(isinstance(row.get(name), int | float | Decimal | None) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell(row.get(name)) for name in columns))
    out().print(table)


def cell(value: object) -> str:
    """A value for people; null is empty."""
    if value is None:
        return ""
    shown = plain(value)
    if isinstance(shown, list | dict):
        return json.dumps(shown, ensure_ascii=False)
    return f"{shown:,}" if isinstance(shown, int) and not isinstance(shown, bool) else str(shown)


def sparkline(values: Iterable[float | None]) -> str:
    """A row of blocks, one a value; gaps are spaces.

    >>> sparkline([1, 2, 3])
    '▁▅█'
    """
    found = list(values)
    known = [v for v in found if v is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    blocks = "▁▂▃▄▅▆▇█"
    spread = (high - low) or 1
    return "".join(" " if v is None else blocks[round((v - low) / spread * 7)] for v in found)
