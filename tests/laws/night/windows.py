"""When a row of an oracle is: the columns that say so, as SQL over an event's time ``t``."""

from __future__ import annotations

ALWAYS = "null::timestamp as window_start, null::timestamp as window_end"
DATE = "floor_to(t, 1440) as window_start, day_of(t) as date"
SLIDING = (
    "floor_to(t, 1) - to_minutes(back) as window_start, floor_to(t, 1) - to_minutes(back) + to_minutes(5) as window_end"
)
FIVE_STARTS = "(select unnest(range(5))::integer as back)"
"""To be joined where `SLIDING` is: an event is in the five windows of five minutes that start in the minutes before."""


NIGHT, MORNING = "timestamp '2025-12-29 22:00'", "timestamp '2025-12-30 06:00'"
"""When the night begins, and when it is over: that is when everything is asked for."""


def each(minutes: int) -> str:
    """The bounds of the window of so many minutes that holds the event."""
    return f"floor_to(t, {minutes}) as window_start, floor_to(t, {minutes}) + to_minutes({minutes}) as window_end"
