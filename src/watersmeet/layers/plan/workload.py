"""What a change costs: records to compute again, and how much memory it takes to remember.

Records are counted in offsets, from the manifests. Rates are measured: arrivals by the manifests, recomputation by
earlier runs (`remember_rate`); where nothing was measured yet, the plan says so.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass

from watersmeet.core.catalogue import Duty
from watersmeet.core.duration import text
from watersmeet.core.frontier import size
from watersmeet.core.manifest import Manifest, cover
from watersmeet.core.measure import PARTIALS
from watersmeet.core.outcome import undecided
from watersmeet.core.state import State
from watersmeet.core.topic import Topic
from watersmeet.core.view import CellSpec, View

SPACE = "rates"
ASSUMED_RECORDS_PER_SECOND = 250_000.0
ID_BYTES = 24
COLUMN_BYTES = 16
SHORTEST_S = 60.0
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Backfill:
    """History of a topic that is to be computed again.

    Args:
        topic: whose.
        epochs, records: how many; records are offsets, holes among them.
        seconds: that it takes at ``rate`` records a second.
        measured: the rate is that of earlier runs; otherwise it is assumed.
    """

    topic: str
    epochs: int
    records: int
    seconds: float
    rate: float
    measured: bool


def remember_rate(state: State, topic: str, records: int, seconds: float) -> None:
    """Note how long the batch layer took for some records; what is older counts half each time."""
    value = state.get(SPACE, topic)
    before = json.loads(value.data) if value else [0, 0]
    state.put(SPACE, topic, json.dumps([before[0] / 2 + records, before[1] / 2 + seconds]).encode())


def backfill(state: State, m: Manifest, duty: Duty) -> Backfill | None:
    """What of a topic's history a duty leaves to be computed; None if nothing."""
    owed = owed_epochs(m, duty.readable) | (set(undecided(m, duty.waiting)) if duty.waiting else set())
    if not owed:
        return None
    records = sum(size(e.lower, e.upper) for e in m.epochs if e.number in owed)
    records += sum(size(s.lower, s.upper) for s in m.slices if s.epoch == m.open_epoch and m.open_epoch in owed)
    value = state.get(SPACE, m.topic)
    counted, seconds = json.loads(value.data) if value else (0, 0)
    rate = counted / seconds if seconds else ASSUMED_RECORDS_PER_SECOND
    return Backfill(m.topic, len(owed), records, records / rate, rate, bool(seconds))


def owed_epochs(m: Manifest, fingerprints: Collection[str]) -> set[int]:
    """The epochs, the open one included, in which cells of some of the fingerprints are missing and can be made."""
    lost = {gap.epoch for gap in m.gaps if gap.lost}
    return {epoch for fp in fingerprints for epoch in cover(m, fp).missing if epoch not in lost}


def arrival_rate(m: Manifest, now_us: int) -> float | None:
    """Records a second since the first epoch was sealed; None where that is too short a time to tell."""
    if not m.epochs or now_us - m.epochs[0].sealed_us < SHORTEST_S * 1e6:
        return None
    return size(m.epochs[0].upper, m.frontier) / ((now_us - m.epochs[0].sealed_us) / 1e6)


def id_bytes(topic: Topic, records_per_second: float) -> int:
    """How much memory the ids of a topic take that lie within its horizon."""
    return int(records_per_second * topic.horizon_us / 1e6 * ID_BYTES) if topic.id else 0


def longest_horizon(records_per_second: float, limit_bytes: int) -> str:
    """The longest horizon, in whole seconds, whose ids take at most so much memory."""
    return text(max(1, int(limit_bytes / (records_per_second * ID_BYTES))) * 1_000_000)


def growth(view: View, records_per_second: float | None, keys: int | None) -> str | None:
    """What is to be said of how large a view becomes that keeps cells for each key it ever saw; None for others."""
    if view.frame.kind not in ("all", "running", "session") or not view.by:
        return None
    each = sum(_cell_bytes(spec) for spec in view.specs)
    now = f"holds {keys:,} keys now, about {amount(keys * each)}; " if keys is not None else ""
    if records_per_second is None:
        bound = "its size follows the number of keys"
    else:
        span_s = view.expire_us / 1e6 if view.expire_us else _DAY_S
        most = int(records_per_second * span_s)
        within = f"within {text(view.expire_us)}" if view.expire_us else "more each day"
        bound = f"at most {most:,} keys {within}, about {amount(most * each)}"
    without = "" if view.expire_us else "; it grows for ever, expire= would end a silent key's history"
    return f"view {view.name} ({view.frame}): {now}{bound}{without}"


def amount(count: float) -> str:
    """Bytes, as people read them.

    >>> amount(1_500_000)
    '1.5 MB'
    """
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _cell_bytes(spec: CellSpec) -> int:
    return COLUMN_BYTES * (1 + len(spec.dimensions) + sum(len(PARTIALS[lift.kind]) for lift in spec.lifts))
