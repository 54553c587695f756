"""Disturbs what a source brings, in a known way: for demos and tests of what must not matter.

Each record meets one fate, drawn from (seed, pull, place):

    duplicated   appended twice, the copy next to it
    delayed      held back for 1 to 4 pulls, then appended first
    truncated    the payload breaks off in the middle: no JSON any more
    mistyped     its ``movie_id`` becomes a text
    future       its event time moves ten years ahead
    clean        none of these

and neighbours may change places. Everything is counted by topic and the counts travel in the position, with the records
held, so that they survive a crash and can be compared with the ledger: of what has been appended, `Counts.used` is
used, ``duplicated`` are duplicates and `Counts.dead` are dead, provided that the inner source brings no record twice.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from watersmeet import Pulled, Record, Source, WatersmeetError

Emitted = tuple[str, Record]

HELD_BYTES = 192 << 10
"""The most payload held back at once; beyond it, records that would be delayed pass unharmed."""

_TEN_YEARS_MS = 3653 * 86_400_000
_EVENT_TIMES = ("created_at", "timestamp")
_LONGEST_DELAY = 4


@dataclass(frozen=True, slots=True)
class Rates:
    """The share of records that meet each fate, and of neighbours that change places; 0 to 1."""

    duplicated: float = 0.02
    delayed: float = 0.02
    truncated: float = 0.003
    mistyped: float = 0.003
    future: float = 0.002
    swapped: float = 0.05

    def __post_init__(self) -> None:
        fates = (self.duplicated, self.delayed, self.truncated, self.mistyped, self.future)
        if not all(0 <= rate <= 1 for rate in (*fates, self.swapped)) or sum(fates) > 1:
            raise WatersmeetError("the noise's rates", expected="shares that sum to 1 at most", got=str(self))


class Counts(msgspec.Struct):
    """What was done to one topic. ``taken`` came from the inner source, ``emitted`` was handed on; ``held`` is neither.

    Always ``taken + duplicated == emitted + held``.
    """

    taken: int = 0
    emitted: int = 0
    held: int = 0
    duplicated: int = 0
    delayed: int = 0
    truncated: int = 0
    mistyped: int = 0
    future: int = 0
    swapped: int = 0

    @property
    def dead(self) -> int:
        """How many of the emitted records cannot be used."""
        return self.truncated + self.mistyped + self.future

    @property
    def used(self) -> int:
        """How many of the emitted records are good and the first of their id."""
        return self.emitted - self.duplicated - self.dead


class Held(msgspec.Struct, array_like=True):
    """A record that is held back until a pull number."""

    until: int
    topic: str
    value: bytes
    key: bytes | None
    headers: dict[str, bytes]


class Disturbance(msgspec.Struct):
    """Where the noise stands: the number of the next pull, what is held, what was done."""

    pull: int = 0
    held: list[Held] = []
    counts: dict[str, Counts] = {}
    inner: bool = False


class NoisySource:
    """A source that brings what another brings, disturbed.

    Args:
        inner: the source to disturb.
        seed: of the noise.
        rates: how much of which kind.
    """

    def __init__(self, inner: Source, seed: int, rates: Rates | None = None) -> None:
        self._inner = inner
        self._seed = seed
        self._rates = rates or Rates()

    @property
    def name(self) -> str:
        """The inner source's name with ``+noise``: the positions of the two are not alike."""
        return f"{self._inner.name}+noise"

    def pull(self, position: bytes | None) -> Pulled:
        """The inner source's next records, disturbed; raises what the inner source raises."""
        state, inner_position = _split(position)
        pulled = self._inner.pull(inner_position)
        records = disturb(pulled.records, self._seed, state, self._rates)
        return Pulled(records, _join(state, pulled.position), pulled.wait_seconds)


def counts(position: bytes | None) -> dict[str, Counts]:
    """What was done so far by topic, from a position of a `NoisySource`."""
    return _split(position)[0].counts


def disturb(
    records: Sequence[Emitted], seed: int, state: Disturbance | None = None, rates: Rates | None = None
) -> list[Emitted]:
    """Disturb the records of one pull and note in ``state`` what was done; the same arguments give the same records."""
    state, rates = state or Disturbance(), rates or Rates()
    draw = random.Random(f"{seed}/{state.pull}").random  # noqa: S311 - a seeded draw, not a secret
    out = _release(state)
    for topic, record in records:
        count = state.counts.setdefault(topic, Counts())
        count.taken += 1
        out += _meet(topic, record, draw(), draw(), state, count, rates)
    for place in range(len(out) - 1):
        if draw() < rates.swapped:
            out[place], out[place + 1] = out[place + 1], out[place]
            state.counts[out[place][0]].swapped += 1
    for topic, _ in out:
        state.counts[topic].emitted += 1
    state.pull += 1
    return out


def _release(state: Disturbance) -> list[Emitted]:
    due = [held for held in state.held if held.until <= state.pull]
    state.held = [held for held in state.held if held.until > state.pull]
    for held in due:
        state.counts[held.topic].held -= 1
    return [(held.topic, Record(held.value, held.key, held.headers)) for held in due]


def _meet(
    topic: str, record: Record, fate: float, draw: float, state: Disturbance, count: Counts, rates: Rates
) -> list[Emitted]:
    """What becomes of one record: ``fate`` picks among the rates laid end to end, ``draw`` decides the rest."""
    if (fate := fate - rates.duplicated) < 0:
        count.duplicated += 1
        return [(topic, record), (topic, record)]
    if (fate := fate - rates.delayed) < 0:
        if sum(len(held.value) for held in state.held) + len(record.value) > HELD_BYTES:
            return [(topic, record)]
        until = state.pull + 1 + int(draw * _LONGEST_DELAY)
        state.held.append(Held(until, topic, record.value, record.key, dict(record.headers)))
        count.delayed += 1
        count.held += 1
        return []
    if (fate := fate - rates.truncated) < 0:
        count.truncated += 1
        return [(topic, _changed(record, record.value[: max(1, len(record.value) // 2)]))]
    if (fate := fate - rates.mistyped) < 0:
        count.mistyped += 1
        return [(topic, _changed(record, _edited(record.value, future=False)))]
    if fate - rates.future < 0:
        count.future += 1
        return [(topic, _changed(record, _edited(record.value, future=True)))]
    return [(topic, record)]


def _edited(value: bytes, *, future: bool) -> bytes:
    """The payload with its event time ten years ahead, or with a text where its film's number should be."""
    fields: dict[str, object] = msgspec.json.decode(value, type=dict[str, object])
    for name in _EVENT_TIMES if future else ("movie_id",):
        if isinstance(number := fields.get(name), int):
            fields[name] = number + _TEN_YEARS_MS if future else f"film {number}"
    return msgspec.json.encode(fields)


def _changed(record: Record, value: bytes) -> Record:
    return Record(value, record.key, record.headers)


def _split(position: bytes | None) -> tuple[Disturbance, bytes | None]:
    """The state and the inner position: a line of JSON, then the inner bytes as they are."""
    if position is None:
        return Disturbance(), None
    line, _, inner = position.partition(b"\n")
    try:
        state = msgspec.json.decode(line, type=Disturbance)
    except msgspec.DecodeError as error:
        raise WatersmeetError("the position of a noisy source", expected="its own JSON", got=str(error)) from error
    return state, inner if state.inner else None


def _join(state: Disturbance, inner: bytes | None) -> bytes:
    state.inner = inner is not None
    return msgspec.json.encode(state) + b"\n" + (inner or b"")
