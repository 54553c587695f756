"""What of the time axis a read must see to keep the range law.

asked for                              [lower ──────── upper)
rows, for lag                 [least ──────────────────below)      least = lower − lookback × stages with a lag
panes of windows of a size    [least ────────────────── below + size)
a user's own windows          [least ──────────────────below)
boundaries of running         first … last                         last: the first after the newest event
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...core.engine import Selection
from ...core.errors import RequestError
from ...core.view import View
from ...core.window import Window
from .calendars import bounds
from .selection import Parameters, moment
from .windows import Bounds

YEAR_US = 367 * 86_400_000_000
FILL_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class Span:
    """The part of the time axis that a read sees.

    Args:
        given: which parameters of `windows` there are.
        panes: conditions on the panes that may be read.
        values: of all parameters in them.
    """

    given: Bounds = field(default_factory=Bounds)
    panes: tuple[str, ...] = ()
    values: Parameters = field(default_factory=dict)


def span(view: View, selection: Selection, reach_us: int, prefix: str = "asked_") -> Span:
    """What a read of the view sees, from ``reach_us`` before the range; ``prefix`` is of the parameters' names."""
    frame, lower, upper = view.frame, selection.lower_us, selection.upper_us
    if frame.kind == "all":
        return Span()
    least = None if lower is None else lower - reach_us
    if frame.kind == "running":
        return _running(frame, least, upper, selection.upto_us)
    values: Parameters = {}
    panes: list[str] = []
    if least is not None:
        values[f"{prefix}least"] = moment(least)
    if upper is not None:
        values[f"{prefix}below"] = moment(upper)
    if least is not None and frame.kind != "session":
        panes.append(f"pane >= ${prefix}least")
    if upper is not None and frame.kind != "session":
        beyond = 0 if frame.kind == "user" else frame.size_us or YEAR_US
        values[f"{prefix}pane_below"] = moment(upper + beyond)
        panes.append(f"pane < ${prefix}pane_below")
    return Span(Bounds(least is not None, upper is not None, prefix=prefix), tuple(panes), values)


def _running(frame: Window, least: int | None, upper: int | None, upto: int | None) -> Span:
    every, origin = frame.every_us, frame.origin_us
    values: Parameters = {}
    panes: tuple[str, ...] = ()
    if least is not None:
        values["asked_first"] = moment(-(-(least - origin) // every) * every + origin + every)
    if upper is not None:
        values |= {"asked_below": moment(upper), "asked_pane_below": moment(upper + every)}
        # Without a last boundary, a key has rows up to its newest pane, wherever that is.
        panes = ("pane < $asked_pane_below",) if upto is not None else ()
    if upto is not None:
        values["asked_last"] = moment((upto - origin) // every * every + origin + every)
    return Span(Bounds(least is not None, upper is not None, upto is not None), panes, values)


def windows_between(view: View, selection: Selection) -> Parameters:
    """The starts and ends of the windows that start in the range, for `fill`.

    Raises `RequestError` where windows are not given by the calendar, without both bounds, or for more than 100,000.
    """
    frame, lower, upper = view.frame, selection.lower_us, selection.upper_us
    if frame.kind not in ("tumbling", "hopping", "calendar"):
        raise RequestError(
            "fill", expected="tumbling, hopping or calendar windows", got=str(frame), remedy="leave fill away"
        )
    if lower is None or upper is None:
        raise RequestError("fill", expected="a range with both bounds", got="an open range")
    starts, ends = [], []
    start, end = _first(frame, lower)
    while start < upper:
        starts.append(moment(start))
        ends.append(moment(end))
        if len(starts) > FILL_LIMIT:
            raise RequestError(
                "fill", kind="too_large", expected=f"at most {FILL_LIMIT} windows a key", remedy="ask for less time"
            )
        start, end = _next(frame, start, end)
    return {"asked_starts": starts, "asked_ends": ends}


def _first(frame: Window, lower: int) -> tuple[int, int]:
    if frame.unit is not None:
        start, end = bounds(frame.unit, frame.zone, lower)
        return (start, end) if start >= lower else _next(frame, start, end)
    start = -(-(lower - frame.origin_us) // frame.every_us) * frame.every_us + frame.origin_us
    return start, start + frame.size_us


def _next(frame: Window, start: int, end: int) -> tuple[int, int]:
    if frame.unit is not None:
        return bounds(frame.unit, frame.zone, end)
    return start + frame.every_us, end + frame.every_us
