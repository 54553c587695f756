"""How events reach the log: after a moment, late, twice, or broken.

Most arrive within two seconds. A ``late`` share comes 1 to `LATEST_MINUTES` minutes after it happened, as from a phone
without a network. Of a ``duplicated`` share a second copy, byte for byte, follows within 90 s. A ``malformed`` share is
followed by a broken copy, in one of five ways; the good one is there too, so what is usable is always complete, and

    records = events + duplicates + malformed ones
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from watersmeet import WatersmeetError

from .draws import Ints, Mask, below, chance, seeded, share, words
from .payloads import KINDS, payload
from .scenes import Events

Delivery = tuple[str, int, bytes]
"""A topic's name, when the record arrives (µs since 1970-01-01Z), its payload."""

LATEST_MINUTES = 60
_COPIED_US, _SOON_US, _LEAST_US = 90_000_000, 2_000_000, 20_000
LONGEST_US = LATEST_MINUTES * 60_000_000 + _COPIED_US + _SOON_US
"""Nothing arrives later after its event time than this."""

MALFORMED = {
    "truncated": "malformed_json",
    "nobody": "missing_field",
    "mistyped": "invalid_value",
    "unknown": "unknown_event_type",
    "future": "invalid_timestamp",
}
"""In which ways a record is broken -> the reason that its dead letter gives."""

_FORMS = tuple(MALFORMED)
_TEN_YEARS_MS = 3653 * 86_400_000


@dataclass(frozen=True, slots=True)
class Mishaps:
    """The share of events that each befalls; 0 to 1."""

    late: float = 0.02
    duplicated: float = 0.01
    malformed: float = 0.002

    def __post_init__(self) -> None:
        if not all(0 <= rate <= 1 for rate in (self.late, self.duplicated, self.malformed)):
            raise WatersmeetError("mishaps", expected="shares from 0 to 1", got=str(self))


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Events with the time at which they arrive, as one table, since many small ones are held for long.

    Args:
        table: a row for each column of `Events`; then the arrival in µs; then the form: 0, or 1 + the place in
            `MALFORMED` of the way in which it is broken.
    """

    table: Ints

    @property
    def events(self) -> Events:
        """What arrives."""
        kind, at_us, event, *more = self.table[:-2]
        return Events(kind, at_us, event.view(np.uint64), *more)

    @property
    def at_us(self) -> Ints:
        """When it arrives."""
        at_us: Ints = self.table[-2]
        return at_us

    @property
    def form(self) -> Ints:
        """How."""
        form: Ints = self.table[-1]
        return form

    def take(self, where: Mask | Ints) -> Arrivals:
        """Those at these places, or where this holds."""
        return Arrivals(self.table[:, where])


def arriving(events: Events, at_us: Ints, form: Ints) -> Arrivals:
    """These events, at these times, in these forms."""
    columns = [getattr(events, field.name).view(np.int64) for field in fields(Events)]
    return Arrivals(np.stack([*columns, at_us, form]))


def in_order(parts: Sequence[Arrivals]) -> Arrivals:
    """All parts, in order of arrival."""
    none = np.zeros((len(fields(Events)) + 2, 0), dtype=np.int64)
    whole = Arrivals(np.concatenate([none, *(part.table for part in parts)], axis=1))
    return whole.take(np.lexsort((whole.events.event, whole.at_us)))


def delivered(events: Events, seed: int, mishaps: Mishaps) -> Arrivals:
    """When each event arrives, and what else does."""
    word = words(seeded(seed, 70), events.event)
    moment = _LEAST_US + (share(word, 1) ** 3 * (_SOON_US - _LEAST_US)).astype(np.int64)
    offline = (60_000_000 * LATEST_MINUTES ** share(word, 2)).astype(np.int64)
    at_us = events.at_us + np.where(chance(word, 3, mishaps.late), offline, moment)
    zero = np.zeros(len(events), dtype=np.int64)
    parts = [arriving(events, at_us, zero)]
    again = at_us + 1 + below(word, 4, _COPIED_US)
    for label, rate, form in ((5, mishaps.duplicated, zero), (6, mishaps.malformed, 1 + below(word, 7, len(_FORMS)))):
        parts.append(arriving(events, again, form).take(chance(word, label, rate)))
    return in_order(parts)


class Post:
    """Arrivals that are on their way, by the block of time in which they arrive.

    Those of far blocks are kept together, `FAR` blocks at a time, lest there be very many very small tables.

    Args:
        opens_us: when block 0 begins.
        block_us: how long a block is.
    """

    FAR = 64

    def __init__(self, opens_us: int, block_us: int) -> None:
        self._opens_us, self._block_us = opens_us, block_us
        self._near: dict[int, list[Arrivals]] = {}
        self._far: dict[int, list[Arrivals]] = {}

    def copy(self) -> Post:
        """One with the same arrivals, that can go its own way."""
        other = Post(self._opens_us, self._block_us)
        other._near = {block: list(parts) for block, parts in self._near.items()}
        other._far = {block: list(parts) for block, parts in self._far.items()}
        return other

    def add(self, new: Arrivals, block: int) -> None:
        """Take what arrives in ``block`` or later."""
        due = (new.at_us - self._opens_us) // self._block_us
        near = due // self.FAR == block // self.FAR
        self._file(new.take(near), due[near], self._near)
        self._file(new.take(~near), due[~near] // self.FAR, self._far)

    def due(self, block: int) -> Arrivals:
        """Hand over what arrives in a block, in order."""
        for part in self._far.pop(block // self.FAR, []):
            self._file(part, (part.at_us - self._opens_us) // self._block_us, self._near)
        return in_order(self._near.pop(block, []))

    @staticmethod
    def _file(new: Arrivals, places: Ints, shelf: dict[int, list[Arrivals]]) -> None:
        if not len(places):
            return
        order = np.argsort(places, kind="stable")
        found, first = np.unique(places[order], return_index=True)
        for place, part in zip(found.tolist(), np.split(order, first[1:]), strict=True):
            shelf.setdefault(place, []).append(new.take(part))


def payloads(arrivals: Arrivals) -> list[bytes]:
    """The bytes that arrive, one for each."""
    columns = [getattr(arrivals.events, field.name).tolist() for field in fields(Events)]
    columns[1] = (arrivals.events.at_us // 1000).tolist()
    kinds, times, events, users, *facts = columns
    made = list(map(payload, kinds, events, times, users, *facts))
    for place in np.flatnonzero(arrivals.form).tolist():
        name = KINDS[kinds[place]][1]
        made[place] = _broken(made[place], _FORMS[int(arrivals.form[place]) - 1], name, times[place])
    return made


def _broken(good: bytes, how: str, name: str, at_ms: int) -> bytes:
    match how:
        case "truncated":
            return good[: len(good) * 2 // 3]
        case "nobody":
            return good.replace(b'"user_id":', b'"user":')
        case "mistyped":
            return good.replace(b'"timestamp":%d' % at_ms, b'"timestamp":"%d"' % at_ms)
        case "unknown":
            return good.replace(b'"%s"' % name.encode(), b'"X_%s"' % name.encode())
    return good.replace(b'"timestamp":%d' % at_ms, b'"timestamp":%d' % (at_ms + _TEN_YEARS_MS))
