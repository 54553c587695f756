"""The ids that a topic remembers: 128-bit digests with the greatest kept arrival of each, sorted in tiers.

Invariant: within a tier ids ascend by (hi, lo); no id is in two tiers. New ids make a tier of their own; the last two
are joined while the younger is as long as the older, so there are few tiers, and an id is moved about log n times in
its life. An id takes 24 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core.record import Records
from .database import table

Words = NDArray[np.uint64]
Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tier:
    """Ids in ascending order, each once, with an arrival in µs."""

    hi: Words
    lo: Words
    arrival: Times

    def __len__(self) -> int:
        return len(self.hi)

    def find(self, hi: Words, lo: Words) -> NDArray[np.int64]:
        """The place of each id, −1 where it is not here. Fastest when ``hi`` ascends."""
        place = np.searchsorted(self.hi, hi)
        found = np.full(len(hi), -1, dtype=np.int64)
        left = np.arange(len(hi))
        while len(left):  # a second turn only for ids that share their upper half
            at = place[left]
            inside = at < len(self.hi)
            left, at = left[inside], at[inside]
            near = self.hi[at] == hi[left]
            left, at = left[near], at[near]
            same = self.lo[at] == lo[left]
            found[left[same]] = at[same]
            left = left[~same]
            place[left] += 1
        return found


def tier(hi: Words, lo: Words, arrival: Times) -> Tier:
    """Any ids as a tier; of equal ones the greatest arrival stays."""
    order = np.argsort(hi, kind="stable")
    hi, lo, arrival = hi[order], lo[order], arrival[order]
    if (hi[1:] == hi[:-1]).any():
        order = np.lexsort((arrival, lo, hi))
        hi, lo, arrival = hi[order], lo[order], arrival[order]
        last = np.append((hi[1:] != hi[:-1]) | (lo[1:] != lo[:-1]), True)
        hi, lo, arrival = hi[last], lo[last], arrival[last]
    return Tier(hi, lo, arrival)


def _words(records: pa.Table, name: str) -> Words:
    words: Words = records.column(name).to_numpy().astype(np.uint64, copy=False)
    return words


class TieredIds:
    """See `watersmeet.core.engine.Ids`. A lookup may run beside an `add`; two changes may not."""

    def __init__(self) -> None:
        self._tiers: tuple[Tier, ...] = ()

    def add(self, kept: Records) -> None:
        """Remember KEPT rows; of an id that is there already the greater arrival stays."""
        rows = table(kept)
        if rows.num_rows == 0:
            return
        new = tier(_words(rows, "hi"), _words(rows, "lo"), rows.column("arrival").to_numpy())
        for old in self._tiers:
            place = old.find(new.hi, new.lo)
            there = place >= 0
            if there.any():
                old.arrival[place[there]] = np.maximum(old.arrival[place[there]], new.arrival[there])
                new = Tier(new.hi[~there], new.lo[~there], new.arrival[~there])
        if not len(new):
            return
        tiers = list(self._tiers)
        while tiers and len(new) >= len(tiers[-1]):
            old = tiers.pop()
            new = tier(*(np.concatenate(pair) for pair in zip(_parts(old), _parts(new), strict=True)))
        self._tiers = (*tiers, new)

    def lookup(self, ids: Records) -> pa.Table:
        """(hi, lo) in, (hi, lo, arrival) of those that are remembered out, in ascending order."""
        rows = table(ids)
        hi, lo = _words(rows, "hi"), _words(rows, "lo")
        order = np.argsort(hi, kind="stable")
        hi, lo = hi[order], lo[order]
        arrival = np.empty(len(hi), dtype=np.int64)
        known = np.zeros(len(hi), dtype=bool)
        for each in self._tiers:
            place = each.find(hi, lo)
            there = place >= 0
            arrival[there] = each.arrival[place[there]]
            known |= there
        return pa.table({"hi": hi[known], "lo": lo[known], "arrival": arrival[known]})

    def purge(self, below_us: int) -> None:
        """Forget ids whose arrival is below ``below_us``."""
        kept = []
        for each in self._tiers:
            stays = each.arrival >= below_us
            if stays.all():
                kept.append(each)
            elif stays.any():
                kept.append(Tier(each.hi[stays], each.lo[stays], each.arrival[stays]))
        self._tiers = tuple(kept)

    def count(self) -> int:
        """How many ids are remembered."""
        return sum(map(len, self._tiers))


def _parts(each: Tier) -> tuple[Words, Words, Times]:
    return each.hi, each.lo, each.arrival
