"""Decide: which decoded records are duplicates, which are filtered, which are used.

The order is (slice, partition, offset). A record is a **duplicate** iff a kept record with its id precedes it and

    arrival − (greatest arrival of the kept records with this id so far) ≤ horizon

A kept record is one that is no duplicate: used or filtered, never dead. ``known`` speaks for what came before the
chunk, so a record never meets itself there. **Filtered** is what is no duplicate and is held by an exclusion of the
topic; everything else is **used**.

A *conflict* is a duplicate whose payload differs from that of the kept record it repeats. It is counted where that
record stands in the same chunk; of records in earlier chunks only ids are known, so there it is not.

Ids that occur once, or whose copies all lie within the horizon of the first, are decided for the whole chunk at once;
the rest one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core.engine import Decided, Known
from ...core.record import Records
from ...core.topic import Topic
from .columns import Columns
from .database import table
from .ids import Times, Words, tier

KEPT = pa.schema(
    [
        ("hi", pa.uint64()),
        ("lo", pa.uint64()),
        ("arrival", pa.int64()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("content", pa.uint64()),
    ]
)
_NEVER = np.iinfo(np.int64).min
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]


def decide(columns: Columns, topic: Topic, rows: Records, known: Known) -> Decided:
    """See `watersmeet.core.engine.Engine.decide`."""
    decoded = _ordered(table(rows))
    excluded = _excluded(columns, topic, decoded)
    if topic.id is None:
        duplicate = conflict = np.zeros(decoded.num_rows, dtype=bool)
        kept = KEPT.empty_table()
    else:
        ids = _Ids.of(decoded)
        duplicate, conflict = _duplicates(ids, known, topic.horizon_us)
        kept = _kept(decoded, ids, ~duplicate)
    filtered = excluded & ~duplicate
    used = ~(duplicate | filtered)
    newest = _newest(decoded)
    partition = decoded.column("partition").to_numpy()
    width = max(newest, default=0) + 1
    used_of, copies_of, filtered_of, conflicts_of = (
        np.bincount(partition[mask], minlength=width).tolist() for mask in (used, duplicate, filtered, conflict)
    )
    return Decided(
        decoded if used.all() else decoded.filter(pa.array(used)),
        kept,
        {p: (used_of[p], copies_of[p], filtered_of[p], conflicts_of[p]) for p in newest},
        newest,
    )


def _ordered(decoded: pa.Table) -> pa.Table:
    """The rows in the order of the topic; they mostly come that way."""
    keys = [decoded.column(name).fill_null(0).to_numpy() for name in ("offset", "partition", "slice")]
    equal, later = np.ones(max(decoded.num_rows - 1, 0), dtype=bool), np.zeros(max(decoded.num_rows - 1, 0), dtype=bool)
    for key in reversed(keys):
        later |= equal & (key[1:] > key[:-1])
        equal &= key[1:] == key[:-1]
    if (later | equal).all():
        return decoded
    return decoded.take(pa.array(np.lexsort(keys)))


def _excluded(columns: Columns, topic: Topic, decoded: pa.Table) -> Mask:
    out = np.zeros(decoded.num_rows, dtype=bool)
    positions = {position for exclusion in topic.exclusions for position in exclusion.positions}
    if positions:
        wanted = np.array(sorted(positions), dtype=np.int64)
        partition, offset = (decoded.column(name).to_numpy() for name in ("partition", "offset"))
        for each in np.unique(wanted[:, 0]):
            out |= (partition == each) & np.isin(offset, wanted[wanted[:, 0] == each, 1])
    conditions = [f"coalesce(TRY({exclusion.where}), false)" for exclusion in topic.exclusions if exclusion.where]
    if conditions and decoded.num_rows:
        numbered = decoded.append_column("_row", pa.array(np.arange(decoded.num_rows)))
        sql = f"SELECT _row FROM source WHERE {' OR '.join(conditions)}"
        out[columns.database.select(sql, {"source": numbered}).column("_row").to_numpy()] = True
    return out


@dataclass(frozen=True, slots=True)
class _Ids:
    """The ids of a chunk in its order."""

    hi: Words
    lo: Words
    arrival: Times
    content: Words

    @classmethod
    def of(cls, decoded: pa.Table) -> _Ids:
        hi, lo, content = (decoded.column(name).to_numpy() for name in ("_hi", "_lo", "_content"))
        return cls(hi, lo, decoded.column("arrived_at").cast(pa.int64()).to_numpy(), content)

    def __len__(self) -> int:
        return len(self.hi)


def _duplicates(ids: _Ids, known: Known, horizon_us: int) -> tuple[Mask, Mask]:
    """Which records are duplicates, and which of those conflict with a record of this chunk."""
    duplicate, conflict = np.zeros(len(ids), dtype=bool), np.zeros(len(ids), dtype=bool)
    if not len(ids):
        return duplicate, conflict
    order, starts = _grouped(ids)
    first = order[starts]
    seen = _seen(ids, first, known)
    duplicate[first] = seen >= ids.arrival[first] - horizon_us
    if len(starts) == len(order):
        return duplicate, conflict
    seen = np.where(duplicate[first], seen, np.maximum(seen, ids.arrival[first]))
    group = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(order)))
    later = np.ones(len(order), dtype=bool)
    later[starts] = False
    copy, of = order[later], group[later]
    tangled = np.unique(of[seen[of] < ids.arrival[copy] - horizon_us])
    simple = ~np.isin(of, tangled)
    copy, of = copy[simple], of[simple]
    duplicate[copy] = True
    conflict[copy] = ~duplicate[first[of]] & (ids.content[copy] != ids.content[first[of]])
    for each in tangled:
        members = order[np.searchsorted(group, each) : np.searchsorted(group, each, side="right")]
        _one_by_one(ids, members, int(seen[each]), horizon_us, duplicate, conflict)
    return duplicate, conflict


def _one_by_one(ids: _Ids, members: Places, seen: int, horizon_us: int, duplicate: Mask, conflict: Mask) -> None:
    """Decide the copies of one id after the first, which is decided; ``seen`` counts it in if it was kept."""
    content = None if duplicate[members[0]] else ids.content[members[0]]
    for each in members[1:]:
        if seen >= ids.arrival[each] - horizon_us:
            duplicate[each] = True
            conflict[each] = content is not None and content != ids.content[each]
        else:
            seen, content = max(seen, int(ids.arrival[each])), ids.content[each]


def _grouped(ids: _Ids) -> tuple[Places, Places]:
    """The records by id and, of one id, in order; and where in that each id starts."""
    order = np.argsort(ids.hi, kind="stable")
    hi, lo = ids.hi[order], ids.lo[order]
    same_hi, same_lo = hi[1:] == hi[:-1], lo[1:] == lo[:-1]
    if (same_hi & ~same_lo).any():  # different ids that share their upper half
        order = np.lexsort((ids.lo, ids.hi))
        hi, lo = ids.hi[order], ids.lo[order]
        same_hi, same_lo = hi[1:] == hi[:-1], lo[1:] == lo[:-1]
    return order, np.flatnonzero(np.append(True, ~(same_hi & same_lo)))


def _seen(ids: _Ids, first: Places, known: Known) -> Times:
    """The greatest kept arrival of each id before this chunk; `_NEVER` where there is none."""
    hi, lo = ids.hi[first], ids.lo[first]
    found = table(known(pa.table({"hi": hi, "lo": lo})))
    seen = np.full(len(first), _NEVER)
    if found.num_rows:
        names = ("hi", "lo", "arrival")
        earlier = tier(*(found.column(name).to_numpy() for name in names))
        place = earlier.find(hi, lo)
        seen[place >= 0] = earlier.arrival[place[place >= 0]]
    return seen


def _kept(decoded: pa.Table, ids: _Ids, mask: Mask) -> pa.Table:
    columns = {"hi": ids.hi, "lo": ids.lo, "arrival": ids.arrival, "content": ids.content}
    columns |= {name: decoded.column(name).to_numpy() for name in ("partition", "offset")}
    return pa.table([columns[name][mask] for name in KEPT.names], schema=KEPT)


def _newest(decoded: pa.Table) -> dict[int, int]:
    """In numpy: Arrow's grouping costs more than all else a small chunk needs here."""
    partition = decoded.column("partition").to_numpy()
    found = np.full(int(partition.max(initial=-1)) + 1, _NEVER)
    np.maximum.at(found, partition, decoded.column("event_time").cast(pa.int64()).to_numpy())
    return {int(p): int(found[p]) for p in np.flatnonzero(np.bincount(partition))}
