"""When people are at it: by hour of day, by day of week, and before a deadline.

Weights are per hour of the week in local time, with a mean of 1, and change linearly from the middle of one hour to the
middle of the next.
"""

from __future__ import annotations

import math
from itertools import accumulate

HOUR_US = 3_600_000_000
WEEK_US = 168 * HOUR_US
_MONDAY_US = 4 * 24 * HOUR_US
"""1970-01-05T00:00, the first Monday."""

_HOURS = (4, 2, 1, 1, 1, 2, 6, 14, 26, 34, 38, 34, 24, 28, 36, 38, 34, 28, 24, 30, 36, 34, 24, 12)
_DAYS = (1.15, 1.2, 1.15, 1.1, 0.95, 0.55, 0.9)
_RUSH = 3.0
_RUSH_POWER = 10


def _scaled(weights: list[float]) -> tuple[float, ...]:
    mean = sum(weights) / len(weights)
    return tuple(weight / mean for weight in weights)


HOURS = _scaled([_HOURS[hour % 24] * _DAYS[hour // 24] for hour in range(168)])
"""The weight of each hour of the week, from Monday 00:00."""


def weight(local_us: int) -> float:
    """How much goes on at this time of the week, compared with the mean of the week."""
    place = ((local_us - _MONDAY_US) % WEEK_US) / HOUR_US - 0.5
    hour = math.floor(place)
    part = place - hour
    return HOURS[hour % 168] * (1 - part) + HOURS[(hour + 1) % 168] * part


class Rush:
    """How a week's work spreads over the seven days before its deadline.

    Args:
        start_us: local time at which the weeks begin; the first deadline is seven days later.
        steady: as much in each hour as in any other.
    """

    def __init__(self, start_us: int, *, steady: bool = False) -> None:
        first = (start_us - _MONDAY_US) % WEEK_US / HOUR_US
        hours = [
            1.0 if steady else HOURS[int(first + hour) % 168] * (1 + _RUSH * ((hour + 1) / 168) ** _RUSH_POWER)
            for hour in range(168)
        ]
        self._edges = [0.0, *accumulate(_scaled(hours))]

    def done(self, week_us: int, total: int) -> int:
        """How many of ``total`` are begun once this much of the week has passed."""
        place = week_us / HOUR_US
        hour = min(int(place), 167)
        begun = self._edges[hour] + (self._edges[hour + 1] - self._edges[hour]) * (place - hour)
        return min(total, int(total * begun / 168)) if place < 168 else total
