"""Decide: duplicate, filtered or used.

Records are taken in the order (slice, partition, offset). One is a duplicate iff a kept record with its id precedes it
and its arrival less the greatest kept arrival of that id is at most the horizon. What is not a duplicate is kept; of the
kept, those that an exclusion names are filtered and the rest are used.

Almost every id of a chunk occurs once, or in copies that all lie within the horizon of the first: those are decided column
by column. Only ids whose copies straddle the horizon are walked record by record.

Conflicts are duplicates whose content differs from the kept record of their id in the same chunk; of a record kept
earlier only the id and its arrival are remembered, so there a difference cannot be seen.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ...core.engine import Decided, Known
from ...core.record import Records
from ...core.topic import Topic
from .columns import Columns
from .database import run, table

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
_Mask = npt.NDArray[np.bool_]


def decide(columns: Columns, topic: Topic, records: Records, known: Known) -> Decided:
    """See `watersmeet.core.engine.Engine.decide`."""
    rows = _in_order(table(records))
    arrivals = rows.column("arrived_at").cast(pa.int64()).to_numpy()
    duplicate, conflict = _duplicates(rows, arrivals, topic, known)
    filtered = _excluded(columns, topic, rows) & ~duplicate
    used = ~duplicate & ~filtered
    return Decided(
        rows if used.all() else rows.filter(pa.array(used)),
        _kept(rows, arrivals, ~duplicate) if topic.id is not None else KEPT.empty_table(),
        _counts(rows, used, duplicate, filtered, conflict),
        _newest(rows),
    )


def _in_order(rows: pa.Table) -> pa.Table:
    places = [rows.column(name).to_numpy() for name in ("offset", "partition", "slice")]
    order = np.lexsort(places)
    if np.array_equal(order, np.arange(len(order))):
        return rows
    return rows.take(pa.array(order))


def _duplicates(rows: pa.Table, arrivals: npt.NDArray[np.int64], topic: Topic, known: Known) -> tuple[_Mask, _Mask]:
    count = rows.num_rows
    duplicate, conflict = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    if topic.id is None or not count:
        return duplicate, conflict
    hi, lo = rows.column("_hi").to_numpy(), rows.column("_lo").to_numpy()
    order = np.lexsort((lo, hi))  # stable: equal ids stay in the order of the topic
    fresh = np.ones(count, dtype=bool)
    fresh[1:] = (hi[order][1:] != hi[order][:-1]) | (lo[order][1:] != lo[order][:-1])
    group = np.cumsum(fresh) - 1
    firsts = order[fresh]
    before = _known_arrivals(hi[firsts], lo[firsts], known)
    first_is_copy = (before != _NEVER) & (arrivals[firsts] - np.where(before == _NEVER, 0, before) <= topic.horizon_us)
    anchor = np.where(first_is_copy, before, np.maximum(before, arrivals[firsts]))
    within = arrivals[order] - anchor[group] <= topic.horizon_us
    copies = ~fresh | first_is_copy[group]
    duplicate[order] = copies & within
    straddling = np.unique(group[copies & ~within])
    content = rows.column("_content").to_numpy()
    kept_content = np.where(first_is_copy[group], content[order], content[firsts][group])
    conflict[order] = duplicate[order] & (content[order] != kept_content)
    for one in straddling:
        _walk(order[group == one], arrivals, content, int(before[one]), topic.horizon_us, duplicate, conflict)
    return duplicate, conflict


def _walk(
    places: npt.NDArray[np.int64],
    arrivals: npt.NDArray[np.int64],
    content: npt.NDArray[np.uint64],
    before: int,
    horizon_us: int,
    duplicate: _Mask,
    conflict: _Mask,
) -> None:
    """One id whose copies straddle the horizon, record by record."""
    greatest, kept_content = (None if before == _NEVER else before), None
    for place in places.tolist():
        arrival = int(arrivals[place])
        duplicate[place] = greatest is not None and arrival - greatest <= horizon_us
        conflict[place] = bool(duplicate[place]) and kept_content is not None and content[place] != kept_content
        if not duplicate[place]:
            greatest = arrival if greatest is None else max(greatest, arrival)
            kept_content = content[place]


def _known_arrivals(hi: npt.NDArray[np.uint64], lo: npt.NDArray[np.uint64], known: Known) -> npt.NDArray[np.int64]:
    """The greatest kept arrival of each id before this chunk; the least integer where there is none."""
    found = table(known(pa.table({"hi": pa.array(hi), "lo": pa.array(lo)})))
    out = np.full(len(hi), _NEVER, dtype=np.int64)
    if not found.num_rows:
        return out
    arrival = {
        (int(h), int(low)): int(a)
        for h, low, a in zip(*(found.column(c).to_pylist() for c in ("hi", "lo", "arrival")), strict=True)
    }
    suspects = np.flatnonzero(np.isin(hi, found.column("hi").to_numpy()))
    for place in suspects.tolist():
        out[place] = arrival.get((int(hi[place]), int(lo[place])), _NEVER)
    return out


def _excluded(columns: Columns, topic: Topic, rows: pa.Table) -> _Mask:
    """Which rows an exclusion of the topic names."""
    out = np.zeros(rows.num_rows, dtype=bool)
    partitions, offsets = rows.column("partition").to_numpy(), rows.column("offset").to_numpy()
    for exclusion in topic.exclusions:
        for partition, offset in exclusion.positions:
            out |= (partitions == partition) & (offsets == offset)
        if exclusion.where and rows.num_rows:
            with columns.database.cursor({"rows": rows.append_column("_row", pa.array(np.arange(rows.num_rows)))}) as cursor:
                sql = f"SELECT coalesce(TRY({exclusion.where}), false) AS out FROM rows ORDER BY _row"  # noqa: S608
                out |= run(cursor, sql).column("out").to_numpy(zero_copy_only=False)
    return out


def _kept(rows: pa.Table, arrivals: npt.NDArray[np.int64], kept: _Mask) -> pa.Table:
    columns = [rows.column("_hi"), rows.column("_lo"), pa.array(arrivals)]
    columns += [rows.column(name) for name in ("partition", "offset", "_content")]
    whole = pa.table(columns, schema=KEPT)
    return whole if kept.all() else whole.filter(pa.array(kept))


def _counts(rows: pa.Table, *masks: _Mask) -> Mapping[int, tuple[int, int, int, int]]:
    partitions = rows.column("partition").to_numpy()
    if not len(partitions):
        return {}
    size = int(partitions.max()) + 1
    used, duplicate, filtered, conflict = (np.bincount(partitions[mask], minlength=size) for mask in masks)
    return {
        int(p): (int(used[p]), int(duplicate[p]), int(filtered[p]), int(conflict[p])) for p in np.unique(partitions)
    }


def _newest(rows: pa.Table) -> Mapping[int, int]:
    if not rows.num_rows:
        return {}
    found = rows.select(["partition", "event_time"]).group_by("partition").aggregate([("event_time", "max")])
    times = found.column("event_time_max").cast(pa.int64()).to_pylist()
    return dict(zip(found.column("partition").to_pylist(), times, strict=True))
