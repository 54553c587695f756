"""Lengths of time as SQL writes them, and how far truncation moves a time back."""

from __future__ import annotations

import re

from sqlglot import exp

from .axis import Span

DAY_US = 86_400_000_000
_UNITS_US = {
    "MICROSECOND": 1,
    "MILLISECOND": 1_000,
    "SECOND": 1_000_000,
    "MINUTE": 60_000_000,
    "HOUR": 3_600_000_000,
    "DAY": DAY_US,
    "WEEK": 7 * DAY_US,
}
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12, "DECADE": 120, "CENTURY": 1200}
_PART = re.compile(r"(-?\d+)\s*([A-Za-z]+)\s*")
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d)")


def span_of(node: exp.Expr) -> Span | None:
    """The least and the greatest length that adding a constant interval amounts to; None for anything else.

    A month is 28 to 31 days long.
    """
    if isinstance(node, exp.Paren):
        return span_of(node.this)
    if isinstance(node, exp.Neg):
        span = span_of(node.this)
        return None if span is None else (-span[1], -span[0])
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and node.is_type("interval"):
        return _read(node.this.name)
    if not isinstance(node, exp.Interval):
        return None
    number, unit = node.this, node.args.get("unit")
    while isinstance(number, exp.Paren):
        number = number.this
    if not isinstance(number, exp.Literal):
        return None
    return _read(f"{number.name} {unit.name}" if isinstance(unit, exp.Var) else number.name)


def unit_us(name: str) -> int | None:
    """The greatest length of a unit that ``date_trunc`` knows; None if it is not one of them."""
    found = _scaled(1, name)
    return found[1] if found else None


def _read(text: str) -> Span | None:
    clock = _CLOCK.fullmatch(text.strip())
    if clock:
        hours, minutes, seconds = (int(part) for part in clock.groups())
        return ((hours * 60 + minutes) * 60 + seconds) * 1_000_000, ((hours * 60 + minutes) * 60 + seconds) * 1_000_000
    parts = _PART.findall(text)
    spans = [_scaled(int(number), unit) for number, unit in parts]
    if not parts or _PART.sub("", text).strip():
        return None
    known = [span for span in spans if span is not None]
    return (sum(low for low, _ in known), sum(high for _, high in known)) if len(known) == len(spans) else None


def _scaled(number: int, unit: str) -> Span | None:
    name = unit.upper()
    name = (
        name if name in _UNITS_US or name in _MONTHS else "CENTURY" if name == "CENTURIES" else name.removesuffix("S")
    )
    if name in _UNITS_US:
        return number * _UNITS_US[name], number * _UNITS_US[name]
    if name not in _MONTHS:
        return None
    least, greatest = number * _MONTHS[name] * 28 * DAY_US, number * _MONTHS[name] * 31 * DAY_US
    return min(least, greatest), max(least, greatest)
