"""Windows, and the panes they are composed of.

A pane is the smallest aligned interval of event time for which cells are kept; a window is a run of panes. All are
start-inclusive and end-exclusive, and count from 1970-01-01Z plus a declared origin.

    panes of 1m     |  |  |  |  |  |  |
    tumbling(5m)    [────────────)[────────────)
    hopping(5m, 1m) [────────────)
                       [────────────)
    running(5m)     ───────────────)  everything before each boundary
    session(gap)      [─x──x─)gap     [─x─)gap      as long as events come nearer than the gap
    None            all time

A user's own windows, which are their own panes, are declared in `watersmeet.core.user_window`.

Panes are positions on the time axis, so cells survive any change of window that keeps the pane: an hour is twelve
five-minute panes, whoever asks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .duration import Duration, microseconds, text
from .errors import DeclarationError
from .site import caller, check_zone

Kind = Literal["tumbling", "hopping", "calendar", "session", "running", "user", "all"]
Unit = Literal["day", "week", "month", "quarter", "year"]
_UNITS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "year")


_DAY_US = 86_400_000_000
# Clocks that change make a local day up to an hour or so longer; none was ever two days long.
_LONGEST_US = {
    "day": 2 * _DAY_US,
    "week": 8 * _DAY_US,
    "month": 32 * _DAY_US,
    "quarter": 93 * _DAY_US,
    "year": 367 * _DAY_US,
}


@dataclass(frozen=True, slots=True)
class Window:
    """A declared window; made by `tumbling`, `hopping`, `calendar`, `session` and `running`.

    Args:
        kind: which family.
        size_us: length of a tumbling or hopping window; the gap of a session; 0 otherwise.
        every_us: distance between starts (tumbling: the size) or between boundaries (running); 0 otherwise.
        origin_us: where panes are counted from.
        unit, zone: of a calendar window.
    """

    kind: Kind
    size_us: int = 0
    every_us: int = 0
    origin_us: int = 0
    unit: Unit | None = None
    zone: str = "UTC"

    @property
    def pane_us(self) -> int:
        """Width of a pane; 0 where panes have no fixed width (calendar, session, user, all time)."""
        if self.kind in ("tumbling", "hopping"):
            return math.gcd(self.size_us, self.every_us)
        return self.every_us if self.kind == "running" else 0

    @property
    def carries_end(self) -> bool:
        """Whether a cell's address has the end of its pane too: it does not follow from the start."""
        return self.kind in ("session", "user")

    @property
    def meaning(self) -> tuple[object, ...]:
        """Everything that decides which windows these are, as plain values."""
        return self.kind, self.size_us, self.every_us, self.origin_us, self.unit, self.zone

    @property
    def lengths_us(self) -> tuple[int, int] | None:
        """Between which bounds a window's end lies after its start; None where nothing bounds it."""
        match self.kind:
            case "tumbling" | "hopping":
                return self.size_us, self.size_us
            case "running":
                return self.every_us, self.every_us
            case "calendar" if self.unit is not None:
                return 0, _LONGEST_US[self.unit]
        return None

    def __str__(self) -> str:
        match self.kind:
            case "tumbling":
                return text(self.size_us)
            case "hopping":
                return f"{text(self.size_us)} every {text(self.every_us)}"
            case "calendar":
                return f"{self.unit} in {self.zone}"
            case "session":
                return f"sessions with a gap of {text(self.size_us)}"
            case "running":
                return f"running, every {text(self.every_us)}"
        return "all time"


ALL_TIME = Window("all")


def tumbling(size: Duration, *, origin: int = 0) -> Window:
    """Windows of ``size`` that touch and never overlap.

    Args:
        size: such as ``"5m"``.
        origin: microseconds from 1970-01-01Z to any window start; default 0.

    >>> str(tumbling("5m"))
    '5m'
    """
    size_us = microseconds(size, subject="window size")
    return Window("tumbling", size_us, size_us, origin % size_us)


def hopping(size: Duration, every: Duration, *, origin: int = 0) -> Window:
    """Windows of ``size`` that start every ``every`` and overlap; ``every`` must not exceed ``size``.

    >>> hopping("1h", "5m").pane_us // 1_000_000
    300
    """
    size_us, every_us = microseconds(size, subject="window size"), microseconds(every, subject="window hop")
    if every_us > size_us:
        raise DeclarationError(
            "window hop",
            expected=f"at most the size, {text(size_us)}",
            got=text(every_us),
            remedy="use tumbling(every) and a where to sample",
            where=caller(),
        )
    if every_us == size_us:
        return Window("tumbling", size_us, size_us, origin % size_us)
    return Window("hopping", size_us, every_us, origin % every_us)


def calendar(unit: Unit, zone: str = "UTC") -> Window:
    """Days, ISO weeks, months, quarters or years as the clocks of ``zone`` show them.

    A day starts at the first instant whose local date is that day, so days with a clock change have 23 or 25 hours.
    """
    if unit not in _UNITS:
        raise DeclarationError(
            "calendar unit",
            expected=", ".join(_UNITS),
            got=repr(unit),
            remedy="use tumbling for a fixed length",
            where=caller(),
        )
    check_zone("calendar zone", zone, caller())
    return Window("calendar", unit=unit, zone=zone)


def session(gap: Duration) -> Window:
    """Windows that last as long as events follow each other by less than ``gap``; they end at the last event + gap."""
    return Window("session", size_us=microseconds(gap, subject="session gap"))


def running(every: Duration, *, origin: int = 0) -> Window:
    """Everything before each boundary, boundaries being ``every`` apart: a true backlog or balance."""
    every_us = microseconds(every, subject="running window")
    return Window("running", every_us=every_us, origin_us=origin % every_us)


def composes(window: Window, pane: Window) -> bool:
    """True if ``window`` can be put together from the panes that a view with window ``pane`` keeps."""
    if window.kind == "all":
        return pane.kind != "session"
    if window.kind in ("tumbling", "hopping", "running"):
        width = pane.pane_us
        return bool(width) and window.pane_us % width == 0 and (window.origin_us - pane.origin_us) % width == 0
    if window.kind == "calendar":
        return pane.kind == "calendar" and pane.zone == window.zone and _coarser(window.unit, pane.unit)
    return window == pane


def _coarser(unit: Unit | None, than: Unit | None) -> bool:
    nests = {
        "day": _UNITS,
        "week": ("week",),
        "month": ("month", "quarter", "year"),
        "quarter": ("quarter", "year"),
        "year": ("year",),
    }
    return than is not None and unit in nests[than]
