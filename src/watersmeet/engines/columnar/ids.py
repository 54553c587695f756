"""The ids that a topic remembers, in sorted tiers.

A tier holds distinct 128-bit ids sorted by (hi, lo), each with its greatest kept arrival: 24 bytes an id. New ids make a
tier of their own; neighbours of about equal size are merged, so there are few tiers and each id is moved seldom. A lookup
is a binary search for ``hi`` in each tier, then a look at ``lo``; 64 bits rarely tie, and where they do the run of equal
``hi`` is walked.
"""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...core.record import Records
from .database import table

_U64, _I64 = npt.NDArray[np.uint64], npt.NDArray[np.int64]
_Tier = tuple[_U64, _U64, _I64]
FOUND = pa.schema([("hi", pa.uint64()), ("lo", pa.uint64()), ("arrival", pa.int64())])


class ColumnarIds:
    """See `watersmeet.core.engine.Ids`. Used by one writer and many readers."""

    def __init__(self) -> None:
        self._tiers: tuple[_Tier, ...] = ()
        self._lock = threading.Lock()

    def add(self, kept: Records) -> None:
        """Remember KEPT rows; of an id that is there already the greater arrival counts."""
        tier = _tier(*_arrays(table(kept)))
        if not len(tier[0]):
            return
        with self._lock:
            tiers = [*self._tiers, tier]
            while len(tiers) > 1 and len(tiers[-2][0]) < 2 * len(tiers[-1][0]):
                last, before = tiers.pop(), tiers.pop()
                tiers.append(_tier(*(np.concatenate(pair) for pair in zip(before, last, strict=True))))
            self._tiers = tuple(tiers)

    def lookup(self, ids: Records) -> pa.Table:
        """(hi, lo, arrival) of those that are remembered."""
        wanted = table(ids)
        hi, lo = _column(wanted, "hi"), _column(wanted, "lo")
        best = np.full(len(hi), np.iinfo(np.int64).min, dtype=np.int64)
        found = np.zeros(len(hi), dtype=bool)
        for tier in self._tiers:
            _search(tier, hi, lo, best, found)
        arrays = [pa.array(hi[found]), pa.array(lo[found]), pa.array(best[found])]
        return pa.table(arrays, schema=FOUND)

    def purge(self, below_us: int) -> None:
        """Forget ids whose arrival is below ``below_us``."""
        with self._lock:
            kept = [tuple(part[tier[2] >= below_us] for part in tier) for tier in self._tiers]
            self._tiers = tuple((t[0], t[1], t[2]) for t in kept if len(t[0]))

    def count(self) -> int:
        """How many ids are remembered; one that stands in two tiers counts twice."""
        return sum(len(tier[0]) for tier in self._tiers)


def _arrays(kept: pa.Table) -> _Tier:
    return _column(kept, "hi"), _column(kept, "lo"), kept.column("arrival").to_numpy().astype(np.int64)


def _column(rows: pa.Table, name: str) -> _U64:
    found: _U64 = rows.column(name).to_numpy().astype(np.uint64)
    return found


def _tier(hi: _U64, lo: _U64, arrival: _I64) -> _Tier:
    """Sorted and distinct: of equal ids the greatest arrival."""
    order = np.lexsort((arrival, lo, hi))
    hi, lo, arrival = hi[order], lo[order], arrival[order]
    last = np.ones(len(hi), dtype=bool)
    last[:-1] = (hi[1:] != hi[:-1]) | (lo[1:] != lo[:-1])
    return hi[last], lo[last], arrival[last]


def _search(tier: _Tier, hi: _U64, lo: _U64, best: _I64, found: npt.NDArray[np.bool_]) -> None:
    """Note in ``best`` and ``found`` what the tier has of the wanted ids."""
    at = np.searchsorted(tier[0], hi)
    rows = np.arange(len(hi))
    while len(rows):
        inside = at < len(tier[0])
        rows, at = rows[inside], at[inside]
        same = tier[0][at] == hi[rows]
        rows, at = rows[same], at[same]
        equal = tier[1][at] == lo[rows]
        hits = rows[equal]
        best[hits] = np.maximum(best[hits], tier[2][at[equal]])
        found[hits] = True
        rows, at = rows[~equal], at[~equal] + 1
