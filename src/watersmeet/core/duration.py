"""Lengths of time, written ``"15m"`` at the edge and held as integer microseconds inside."""

from __future__ import annotations

import re
from datetime import timedelta

from .errors import DeclarationError
from .site import caller

Duration = str | timedelta
_UNITS_US = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_PATTERN = re.compile(r"(\d+)(us|ms|[smhdw])")


def microseconds(value: Duration, *, subject: str = "duration") -> int:
    """Turn ``"90s"``, ``"1h30m"``, ``"7d"`` or a `timedelta` into microseconds; always more than 0.

    Units: us, ms, s, m, h, d, w. Raises `DeclarationError` for anything else.

    >>> microseconds("1h30m")
    5400000000
    """
    if isinstance(value, timedelta):
        total = value // timedelta(microseconds=1)
    else:
        parts = _PATTERN.findall(value) if isinstance(value, str) else []
        total = sum(int(number) * _UNITS_US[unit] for number, unit in parts)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            total = 0
    if total <= 0:
        raise DeclarationError(
            subject,
            expected="a length of time such as '30s', '5m', '1h30m' or '7d'",
            got=repr(value),
            remedy="write whole numbers, each with one of the units us, ms, s, m, h, d, w",
            where=caller(),
        )
    return total


def text(us: int) -> str:
    """The shortest spelling of ``us`` microseconds that `microseconds` reads back.

    >>> text(5_400_000_000)
    '1h30m'
    """
    out = ""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, us = divmod(us, _UNITS_US[unit])
        if count:
            out += f"{count}{unit}"
    return out or "0s"
