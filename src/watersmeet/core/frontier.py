"""Cuts of a log.

A frontier names, for each partition, the offset *after* the last record taken: an exclusive upper bound. The records in
``[lower, upper)`` are the interval between two frontiers. Frontiers compare component by component, so two of them may
be incomparable; `covers` says so instead of an order that would lie.

    partition 0   0 1 2 3 4 5 6          lower = (2, 0)
                      [─────)            upper = (5, 3)
    partition 1   0 1 2 3 4              interval = 2,3,4 of partition 0 and 0,1,2 of partition 1
                  [─────)
"""

from __future__ import annotations

Frontier = tuple[int, ...]


def covers(upper: Frontier, lower: Frontier) -> bool:
    """True if ``upper`` is at or above ``lower`` in every partition.

    >>> covers((5, 3), (2, 3)), covers((5, 3), (6, 0))
    (True, False)
    """
    return len(upper) == len(lower) and all(u >= low for u, low in zip(upper, lower, strict=True))


def join(a: Frontier, b: Frontier) -> Frontier:
    """The least frontier at or above both.

    >>> join((5, 0), (2, 3))
    (5, 3)
    """
    return tuple(max(x, y) for x, y in zip(a, b, strict=True))


def size(lower: Frontier, upper: Frontier) -> int:
    """How many offsets lie in ``[lower, upper)``."""
    return sum(u - low for low, u in zip(lower, upper, strict=True))


def zero(partitions: int) -> Frontier:
    """The frontier before the first record of a topic with ``partitions`` partitions."""
    return (0,) * partitions
