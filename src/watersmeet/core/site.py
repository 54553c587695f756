"""Where a declaration stands in its author's files, for error messages."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from .errors import DeclarationError

_PACKAGE = str(Path(__file__).resolve().parent.parent) + os.sep
_APPS = f"{_PACKAGE}apps{os.sep}"
# What stands between a declaration and its author's line: core, generated constructors, `replace`, cached properties.
_BETWEEN = (f"{_PACKAGE}core{os.sep}", "<string>", "<frozen", str(dataclasses.__file__), str(functools.__file__))
NAME_LENGTH = 120
_NAME = re.compile(rf"[A-Za-z][A-Za-z0-9_.\-]{{0,{NAME_LENGTH - 1}}}")
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
RESERVED = frozenset(
    {"event_time", "arrived_at", "partition", "offset", "slice", "window_start", "window_end", "pane", "final"}
)


def caller() -> str:
    """``file:line`` of the nearest frame outside core: the line that declares; empty if the platform itself asks."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_BETWEEN):
        frame = frame.f_back
    path = frame.f_code.co_filename
    return "" if path.startswith(_PACKAGE) and not path.startswith(_APPS) else f"{path}:{frame.f_lineno}"


def check_name(kind: str, name: str, where: str) -> None:
    """Refuse a name that could not be a file, a table and a path segment at once."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or ".." in name:
        raise DeclarationError(
            f"{kind} name",
            expected="letters, digits, '_', '-' and '.', beginning with a letter, at most 120",
            got=repr(name),
            remedy="rename it; the name becomes a file, a table and part of an address",
            where=where,
        )


def check_column(subject: str, name: str, where: str, *, reserved: bool = True) -> None:
    """Refuse a column name that is not a plain identifier, or that the platform uses itself."""
    if not isinstance(name, str) or not _COLUMN.fullmatch(name):
        raise DeclarationError(
            f"{subject} column",
            expected="letters, digits and '_', beginning with a letter, at most 63",
            got=repr(name),
            remedy="rename it, for example with 'as'" if "view" in subject else "rename it",
            where=where,
        )
    if reserved and name.lower() in RESERVED:
        raise DeclarationError(
            f"{subject} column {name!r}",
            expected="a name that is not reserved",
            got=name,
            remedy=f"rename it; reserved are {', '.join(sorted(RESERVED))}",
            where=where,
        )


def check_zone(subject: str, zone: str, where: str) -> None:
    """Refuse what is no time zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        raise DeclarationError(
            subject,
            expected="an IANA zone such as 'Europe/Berlin'",
            got=repr(zone),
            remedy="leave it out for UTC",
            where=where,
        ) from None


def suggest(wrong: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?`` for the nearest known name, or what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(wrong, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"known are {', '.join(names[:20])}" if names else "there is none"
