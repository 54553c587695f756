"""How much of each partition goes into a chunk of a limited size."""

from __future__ import annotations

from watersmeet.core.frontier import Frontier


def shares(lower: Frontier, upper: Frontier, limit: int) -> list[int]:
    """How many offsets to take from each partition: at most ``limit`` in all, and equal shares of it.

    What a partition has too little of goes to the others. Where fewer are left than partitions, those whose lower
    bound is lowest come first: they were served least, and being served raises it.

    >>> shares((0, 0, 0), (10, 2, 10), 9)
    [4, 2, 3]
    """
    wanted = [high - low for low, high in zip(lower, upper, strict=True)]
    takes = [0] * len(wanted)
    while limit > 0 and takes != wanted:
        hungry = sorted((low, p) for p, low in enumerate(lower) if takes[p] < wanted[p])
        share = max(limit // len(hungry), 1)
        for _, p in hungry[:limit]:
            take = min(share, wanted[p] - takes[p])
            takes[p] += take
            limit -= take
    return takes
