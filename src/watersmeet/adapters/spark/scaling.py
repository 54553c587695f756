"""How much of a fleet a topic needs: a pure decision from how far behind it is and how fast slices go.

    wanted = (arriving + lag / drain seconds) / records a second of one executor, of which a part is kept free

More is asked for at once, at most twice as many; less only when clearly less would do, and one at a time, since moving
executors costs more than keeping one for a while.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BUSY = 0.7
"""How much of an executor is planned for."""
SHRINK = 0.6
"""Executors are given back when at most this part of them is wanted."""
TASK_RECORDS = 50_000
"""Fewer than these are not worth a task of their own."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was seen when a slice was committed.

    Args:
        arriving: records a second that the log took in.
        lag: records that are unread.
        records, seconds: of the slice: how many, and how long reading and computing took.
        executors: that it ran on.
    """

    arriving: float
    lag: int
    records: int
    seconds: float
    executors: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """Within what may be decided.

    Args:
        least, most: executors.
        cores: of one.
        partitions: of the topic.
        drain_seconds: within which a lag should be gone.
    """

    least: int = 1
    most: int = 1
    cores: int = 1
    partitions: int = 1
    drain_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What to do next.

    Args:
        executors: to ask for.
        tasks: into how many the next slice is cut.
    """

    executors: int
    tasks: int


def decide(load: Load, bounds: Bounds, records: int) -> Scale:
    """How many executors, and tasks of the next slice of ``records``.

    >>> slow = Load(arriving=30_000, lag=600_000, records=100_000, seconds=5.0, executors=1)
    >>> decide(slow, Bounds(most=8, cores=2, partitions=4), 400_000)
    Scale(executors=2, tasks=4)
    """
    now = min(max(load.executors, bounds.least), bounds.most)
    executors = _executors(load, bounds, now)
    parallel = executors * bounds.cores
    # A task reads one partition or a part of one: fewer tasks than partitions cannot be had.
    tasks = min(max(bounds.partitions, parallel), max(bounds.partitions, math.ceil(records / TASK_RECORDS)))
    return Scale(executors, tasks)


def _executors(load: Load, bounds: Bounds, now: int) -> int:
    if load.records <= 0 or load.seconds <= 0:
        return now
    each = load.records / load.seconds / now
    wanted = max(1, math.ceil((load.arriving + load.lag / bounds.drain_seconds) / (each * BUSY)))
    if wanted > now:
        return min(wanted, 2 * now, bounds.most)
    if wanted <= SHRINK * now:
        return max(now - 1, bounds.least)
    return now
