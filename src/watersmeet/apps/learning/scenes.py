"""Events in columns, collected while some slots of time are played.

Time is cut into slots. A *story* starts in a slot and has scenes, each a whole number of minutes later and somewhere in
a part of that slot; parts keep scenes of one minute in order. Which event a scene is, and every fact in it, follow
from the story's number alone, so any slot can be played by itself, in any order, and gives the same events.

    event id   a bijection of (play 4 bits · story 48 bits · scene 12 bits): unique by construction
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .draws import Ints, Mask, Words, words
from .payloads import KIND

PARTS = 16
"""How finely a slot is divided."""


@dataclass(frozen=True, slots=True)
class Events:
    """Events as columns of one length: see `watersmeet.apps.learning.payloads` for what a to d mean.

    ``at_us`` is when it happened, in whole milliseconds.
    """

    kind: Ints
    at_us: Ints
    event: Words
    user: Ints
    a: Ints
    b: Ints
    c: Ints
    d: Ints

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, where: Mask | Ints) -> Events:
        """The events at these places, or where this holds."""
        return Events(*(getattr(self, field.name)[where] for field in fields(self)))


def joined(parts: list[Events]) -> Events:
    """All parts one after the other."""
    if not parts:
        none = np.zeros(0, dtype=np.int64)
        return Events(none, none, none.astype(np.uint64), none, none, none, none, none)
    return Events(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Events)))


class Scenes:
    """Collects events.

    Args:
        seed: of the campus, for event ids.
        opens_us: when the first slot begins.
        slot_us: how long slots are.
    """

    def __init__(self, seed: int, opens_us: int, slot_us: int) -> None:
        self._seed = seed
        self._opens_us = opens_us
        self._slot_us = slot_us
        self._found: list[Events] = []

    def add(
        self,
        name: str,
        play: int,
        slot: Ints,
        story: Ints,
        scene: int | Ints,
        user: Ints,
        *facts: Ints | int,
        where: Mask | None = None,
        parts: tuple[int, int] = (0, PARTS),
    ) -> None:
        """Add an event for each story, or for those ``where`` it holds.

        Args:
            name: the event type.
            play: 0 to 15, the kind of story.
            slot: in which slot it happens.
            story: numbers below 2^48, at most once each for a scene.
            scene: 0 to 4095, different for every event of a story.
            user: who.
            facts: up to four of the kind's own numbers.
            where: for which stories; None: all.
            parts: between which parts of the slot it happens.
        """
        places = np.arange(len(story)) if where is None else np.flatnonzero(where)
        if not len(places):
            return

        def at(value: Ints | int) -> Ints:
            return value[places] if isinstance(value, np.ndarray) else np.full(len(places), value, dtype=np.int64)

        number = (at(story).astype(np.uint64) << np.uint64(12)) | at(scene).astype(np.uint64)
        event = words(self._seed, number | (np.uint64(play) << np.uint64(60)))
        low, high = parts
        part = low + (high - low) * ((event >> np.uint64(11)).astype(np.float64) / 2.0**53)
        at_us = self._opens_us + at(slot) * self._slot_us + (part * (self._slot_us / PARTS)).astype(np.int64)
        columns = [at(facts[i]) if i < len(facts) else at(0) for i in range(4)]
        kind = np.full(len(places), KIND[name], dtype=np.int64)
        self._found.append(Events(kind, at_us - at_us % 1000, event, at(user), *columns))

    def events(self) -> Events:
        """All that was added, in order of time."""
        found = joined(self._found)
        return found.take(np.argsort(found.at_us, kind="stable"))
