"""Trouble on purpose, at known times: what an anomaly detector should find, and the labels to judge it by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from watersmeet import WatersmeetError

from .draws import Ints, below, ranges, words
from .ground import MINUTE_US, OUTBREAK, Ground
from .people import VIDEOS, course_id, user_id
from .scenes import Scenes

Kind = Literal["failed_logins", "submissions", "video_drop_off", "enrolments"]

_FIRST_EXTRA = 500  # the number of an outbreak's own assignment, beyond those of a hundred weeks
_GIVES_UP_PERCENT = 8
_STRETCH = 1 << 20


@dataclass(frozen=True, slots=True)
class Outbreak:
    """Something out of the ordinary.

    Args:
        kind: ``failed_logins``: somebody tries one student's password again and again; ``submissions``: a work due at
            once in one course, handed in by its students; ``video_drop_off``: those who watch one course's videos leave
            after a few seconds; ``enrolments``: students who did not take one course rush into it.
        start_us: when it begins, a whole minute.
        minutes: how long it lasts.
        target: the number of the student or course.
        per_minute: extra events a minute; no meaning for a drop-off.
    """

    kind: Kind
    start_us: int
    minutes: int
    target: int = 0
    per_minute: int = 60


@dataclass(frozen=True, slots=True)
class Label:
    """What a detector should find: ``column`` = ``value`` in a topic, in a half-open span of event time."""

    kind: str
    topic: str
    column: str
    value: str
    start_us: int
    end_us: int


_PLACES = {
    "failed_logins": ("auth_topic", "user_id"),
    "submissions": ("assessment_topic", "course_id"),
    "video_drop_off": ("video_topic", "course_id"),
    "enrolments": ("course_topic", "course_id"),
}


class Outbreaks:
    """The outbreaks of a campus.

    Args:
        ground: of the campus.
        found: at most 256 of them. Raises `WatersmeetError` for one whose target is not there.
    """

    def __init__(self, ground: Ground, found: Sequence[Outbreak]) -> None:
        self._ground = ground
        self._all = tuple(found)
        self._members = lru_cache(maxsize=16)(self._students_of)
        if len(self._all) > 256:
            raise WatersmeetError("outbreaks", expected="at most 256", got=str(len(self._all)))
        for one in self._all:
            there = ground.people.students if one.kind == "failed_logins" else ground.people.courses
            if (
                one.kind not in _PLACES
                or not (0 <= one.target < there and one.minutes > 0 and one.per_minute >= 0)
                or (one.start_us % MINUTE_US)
            ):
                raise WatersmeetError(
                    f"outbreak {one}",
                    expected=f"a kind out of {', '.join(_PLACES)}, a target from 0 to {there - 1}, a whole minute as "
                    "its start, and minutes above 0",
                )

    def labels(self) -> tuple[Label, ...]:
        """One for each outbreak, in their order."""
        return tuple(
            Label(
                one.kind,
                *_PLACES[one.kind],
                user_id(one.target) if one.kind == "failed_logins" else course_id(one.target),
                one.start_us,
                _end(one),
            )
            for one in self._all
        )

    def shortened(self, slot: Ints, video: Ints, length: Ints, seconds: Ints) -> Ints:
        """How much is watched of videos in these slots, given what would be."""
        at_us = self._ground.start_us(slot)
        for one in self._all:
            if one.kind == "video_drop_off":
                little = 1 + np.minimum(seconds, length * _GIVES_UP_PERCENT // 100)
                during = (one.start_us <= at_us) & (at_us < _end(one))
                seconds = np.where(during & (video // VIDEOS == one.target), little, seconds)
        return seconds

    def play(self, slots: range, scenes: Scenes) -> None:
        """Add the extra events of some slots."""
        slot = np.array(slots, dtype=np.int64)
        for place, one in enumerate(self._all):
            lower, upper = (self._extra(one, self._ground.start_us(at)) for at in (slot, slot + 1))
            if lower[0] < upper[-1] and one.kind != "video_drop_off":
                turn, of = ranges(lower, upper - lower)
                self._add(place, one, turn, slot[of], scenes)

    def _extra(self, one: Outbreak, at_us: Ints) -> Ints:
        """How many of its events come before each time."""
        return one.per_minute * np.clip(at_us - one.start_us, 0, one.minutes * MINUTE_US) // MINUTE_US

    def _add(self, place: int, one: Outbreak, turn: Ints, slot: Ints, scenes: Scenes) -> None:
        story = turn + (place << 40)
        word = words(self._ground.seed_of(OUTBREAK), story)
        present = self._ground.present(slot)
        if one.kind == "failed_logins":
            user = np.full(len(turn), one.target, dtype=np.int64)
            device, address = below(word, 2, 4), below(word, 3, 1 << 24)
            scenes.add("LOGIN", OUTBREAK, slot, story, 0, user, 0, 0, device, address, where=user < present)
        elif one.kind == "enrolments":
            student = below(word, 1, np.maximum(1, present))
            new = (self._ground.people.takes(student, one.target) == 0) & (student < present)
            scenes.add("COURSE_ENROLLED", OUTBREAK, slot, story, 0, student, one.target, where=new)
        else:
            members, work = self._members(one.target), _FIRST_EXTRA + place
            student, version = members[turn % len(members)], 1 + turn // len(members)
            there = student < present
            scenes.add(
                "VIEW_ASSIGNMENT_FIRST_TIME", OUTBREAK, slot, story, 0, student, one.target, work,
                where=there & (version == 1), parts=(0, 6),
            )  # fmt: skip
            scenes.add(
                "SUBMIT_ASSIGNMENT", OUTBREAK, slot, story, 1, student, one.target, work, version,
                where=there, parts=(7, 16),
            )  # fmt: skip

    def _students_of(self, course: int) -> Ints:
        """The students who take a course, looked for a stretch at a time; at least one."""
        people = self._ground.people
        found = []
        for lower in range(0, people.students, _STRETCH):
            student = np.arange(lower, min(lower + _STRETCH, people.students), dtype=np.int64)
            found.append(student[people.takes(student, course) == 1])
        members = np.concatenate(found)
        if not len(members):
            raise WatersmeetError(
                "outbreak of submissions", expected="a course that students take", got=course_id(course)
            )
        return members


def _end(one: Outbreak) -> int:
    return one.start_us + one.minutes * MINUTE_US
