"""A campus that never was, and what happens on it.

The campus is a pure function of its arguments: it reads no clock, and any span of time can be asked for
in any order and in any pieces. It is played some minutes at a time, a second at high rates, and holds no more than the
events of that time and those that are late.

    >>> campus = Campus(2.0, opens_us=1_764_547_200_000_000, seed=7)
    >>> records = campus.arrivals(campus.opens_us, campus.opens_us + 3_600_000_000)
    >>> next(records)[0]
    'auth_topic'
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from watersmeet import WatersmeetError

from . import affairs, coursework, visits
from .delivery import LONGEST_US, Delivery, Mishaps, Post, delivered, payloads
from .ground import Ground
from .outbreaks import Label, Outbreak, Outbreaks
from .payloads import TOPIC_OF
from .scenes import Events, Scenes

LEAST_RATE, MOST_RATE = 0.1, 50_000.0


class Campus:
    """Students and teachers who join, study and teach, at a given pace.

    Args:
        rate: events a second, as a mean over a week once all students have joined; 0.1 to 50,000. How many people there
            are follows from it.
        opens_us: when it opens, a whole minute since 1970-01-01Z, in µs. Nothing happens before. Students join
            in the first two hours, coursework begins right after.
        seed: names one of many campuses.
        steady: leave out the rhythm of day and week.
        offset_minutes: local time less UTC; the rhythm is a local one.
        mishaps: how much arrives late, twice or broken.
        outbreaks: trouble to add, at most 256.

    Raises `WatersmeetError` for arguments out of range.
    """

    def __init__(
        self,
        rate: float = 1.25,
        *,
        opens_us: int,
        seed: int = 0,
        steady: bool = False,
        offset_minutes: int = 420,
        mishaps: Mishaps | None = None,
        outbreaks: Sequence[Outbreak] = (),
    ) -> None:
        if not LEAST_RATE <= rate <= MOST_RATE:
            raise WatersmeetError("rate of a campus", expected="0.1 to 50,000 events a second", got=repr(rate))
        if opens_us < 0 or opens_us % 60_000_000:
            raise WatersmeetError(
                "opening of a campus", expected="a whole minute since 1970, in µs", got=repr(opens_us)
            )
        if abs(offset_minutes) > 14 * 60:
            raise WatersmeetError(
                "offset of a campus", expected="at most 14 hours, in minutes", got=str(offset_minutes)
            )
        self._ground = Ground(rate, opens_us, seed, steady=steady, offset_minutes=offset_minutes)
        self._outbreaks = Outbreaks(self._ground, outbreaks)
        self._mishaps = mishaps or Mishaps()
        self.opens_us = opens_us
        self._kept: tuple[int, Post] | None = None
        self.students, self.courses = self._ground.people.students, self._ground.people.courses

    def labels(self) -> tuple[Label, ...]:
        """Where the outbreaks are, to judge a detector by."""
        return self._outbreaks.labels()

    def arrivals(self, start_us: int, end_us: int) -> Iterator[Delivery]:
        """The records that arrive in a half-open span of time, in order of arrival.

        A record may tell of something that happened an hour before; so a span that begins long after the opening costs
        an hour's play first, unless it begins where the last one that was read to its end stopped.
        """
        first, last = self._block(start_us - LONGEST_US), self._block(end_us - 1)
        played, post = first - 1, Post(self.opens_us, self._ground.slot_us * self._ground.together)
        if self._kept is not None and self._kept[0] == self._block(start_us):
            first = played = self._kept[0]
            post = self._kept[1].copy()
        for block in range(first, last + 1):
            if block > played:
                post.add(delivered(self._play(block), self._ground.seed, self._mishaps), block)
            due = post.due(block)
            if block == last:
                post.add(due, block)
                self._kept = block, post
            due = due.take((due.at_us >= start_us) & (due.at_us < end_us))
            topics = [TOPIC_OF[kind] for kind in due.events.kind.tolist()]
            yield from zip(topics, due.at_us.tolist(), payloads(due), strict=True)

    def _block(self, time_us: int) -> int:
        """Which block of slots holds a time; the first for what is before it."""
        return max(0, self._ground.slot(time_us) // self._ground.together)

    def _play(self, block: int) -> Events:
        """What happens in a block of slots, in order of time."""
        slots = range(block * self._ground.together, (block + 1) * self._ground.together)
        scenes = Scenes(self._ground.seed, self.opens_us, self._ground.slot_us)
        visits.play(self._ground, self._outbreaks, slots, scenes)
        coursework.play(self._ground, slots, scenes)
        affairs.play(self._ground, slots, scenes)
        self._outbreaks.play(slots, scenes)
        return scenes.events()
