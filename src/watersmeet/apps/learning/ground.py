"""What all stories of a campus stand on: its size, its clockwork, and how many stories start when.

    minutes after opening   0      5        10                  130      140
                            teachers join   students join       |        coursework begins, a week at a time
                                   courses are created          and later on a few more every day

Visits and the rest begin with the first students, and grow with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import rhythm
from .draws import Ints, count, ranges, seeded
from .people import COURSES_EACH, WORK_EACH, People

MINUTE_US = 60_000_000
DAY_US = 1440 * MINUTE_US
COURSES_AT, STUDENTS_AT, STUDENTS_BY, WORK_AT = 5, 10, 130, 140
"""Minutes after the opening."""

VISIT, JOINING, TEACHING, COURSEWORK, NOTICE, PROFILE, CHANGE, TRIAL, OUTBREAK = range(1, 10)
"""The kinds of stories."""

_STORIES = {VISIT: 0.0833, NOTICE: 0.0215, PROFILE: 0.026, CHANGE: 0.01, TRIAL: 0.0005}
"""Stories for each event of the mean rate."""

_GROWTH_A_DAY = 0.002
_SETTLING_MINUTES = 6  # from joining to the first visit: all courses are taken by then
_STUDENTS_A_RATE = 1500
_TOGETHER, _EVENTS_TOGETHER = 30, 30_000  # slots that are played at a time, for speed alone
_PLACES = 1 << 20  # stories of one kind that may start in one slot


@dataclass(frozen=True, slots=True)
class Cast:
    """Stories with a scene at hand.

    Args:
        story: their numbers.
        slot: the slot that is played.
        lag: minutes since they started.
        present: how many students there were then.
    """

    story: Ints
    slot: Ints
    lag: Ints
    present: Ints


class Ground:
    """The campus without its events.

    Args:
        rate: mean number of events a second over a week.
        opens_us: when it opens, since 1970-01-01Z.
        seed: names one of many campuses.
        steady: no rhythm: at any time as much as at any other.
        offset_minutes: local time less UTC.
    """

    def __init__(self, rate: float, opens_us: int, seed: int, *, steady: bool, offset_minutes: int) -> None:
        self.seed = seed
        self.opens_us = opens_us
        self.slot_us = MINUTE_US if rate <= 500 else MINUTE_US // 6 if rate <= 5000 else MINUTE_US // 60
        self.a_minute = MINUTE_US // self.slot_us
        self.together = max(1, min(_TOGETHER, int(_EVENTS_TOGETHER * 1e6 / (rate * self.slot_us))))
        teachers = max(3, round(rate * _STUDENTS_A_RATE / 100))
        self.people = People(seed, max(60, round(rate * _STUDENTS_A_RATE)), teachers, 2 * teachers)
        self._rate = rate
        self._steady = steady
        self._offset_us = offset_minutes * MINUTE_US
        self._rush = rhythm.Rush(opens_us + WORK_AT * MINUTE_US + self._offset_us, steady=steady)
        # each slot is asked for again at every lag
        self.started = lru_cache(maxsize=1 << 14)(self._started)
        self.begun = lru_cache(maxsize=1 << 14)(self._begun)

    def slot(self, time_us: int) -> int:
        """The slot that holds a time; negative before the opening."""
        return (time_us - self.opens_us) // self.slot_us

    def start_us(self, slots: Ints) -> Ints:
        """When slots begin."""
        return self.opens_us + slots * self.slot_us

    def weight(self, slot: int) -> float:
        """How much goes on in a slot, compared with the mean."""
        middle = self.opens_us + slot * self.slot_us + self.slot_us // 2 + self._offset_us
        return 1.0 if self._steady else rhythm.weight(middle)

    def students(self, slots: Ints) -> Ints:
        """How many have joined before each slot begins."""
        passed = slots * self.slot_us - STUDENTS_AT * MINUTE_US
        opening = (STUDENTS_BY - STUDENTS_AT) * MINUTE_US
        everybody = self.people.students
        more = everybody * _GROWTH_A_DAY * (passed - opening) / DAY_US
        some = everybody * np.clip(passed, 0, opening) // opening
        return np.where(passed < opening, some, everybody + more.astype(np.int64))

    def present(self, slots: Ints) -> Ints:
        """How many students have joined and settled before each slot begins."""
        return self.students(slots - _SETTLING_MINUTES * self.a_minute)

    def _started(self, play: int, slot: int) -> int:
        """How many stories of a kind start in a slot: none before anybody is there."""
        there = min(1.0, int(self.present(np.array([slot]))[0]) / self.people.students)
        mean = self._rate * _STORIES[play] * self.slot_us / 1e6 * self.weight(slot) * there
        return min(_PLACES, count(mean, self.seed, play, slot)) if there else 0

    def cast(self, play: int, slots: range, lags: Sequence[int]) -> Cast:
        """The stories of a kind that started so many minutes before one of the slots."""
        lag = np.repeat(np.array(lags, dtype=np.int64), len(slots))
        slot = np.tile(np.array(slots, dtype=np.int64), len(lags))
        start = slot - lag * self.a_minute
        sizes = np.array([self.started(play, before) for before in start.tolist()], dtype=np.int64)
        story, of = ranges(start << 20, sizes)
        return Cast(story, slot[of], lag[of], self.present(start)[of])

    def weeks(self, slots: Ints) -> Ints:
        """Which week of coursework each slot lies in; 0 before the first."""
        return np.maximum(0, (slots - WORK_AT * self.a_minute) // (7 * 1440 * self.a_minute))

    def _begun(self, slot: int) -> tuple[int, int, int]:
        """The works that are begun in a slot: which week's, from which place, how many.

        There are `works` places in a week, each taken once.
        """
        since = slot - WORK_AT * self.a_minute
        if since < 0:
            return 0, 0, 0
        week, passed = divmod(since, 7 * 1440 * self.a_minute)
        lower, upper = (self._rush.done(at * self.slot_us, self.works) for at in (passed, passed + 1))
        return week, lower, upper - lower

    @property
    def works(self) -> int:
        """How many works a week has: a student's, on each assignment of each of the courses taken."""
        return self.people.students * COURSES_EACH * WORK_EACH

    def seed_of(self, *parts: int) -> int:
        """A seed for one purpose."""
        return seeded(self.seed, *parts)
