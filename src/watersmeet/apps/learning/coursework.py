"""Coursework: each student's work on each assignment, once, from the first look to the last grade.

    VIEW_ASSIGNMENT_FIRST_TIME
      └─ 15 min … 2 days ─ SUBMIT_ASSIGNMENT ─ EDIT_ASSIGNMENT or DELETE_ASSIGNMENT, seldom
            └─ 3 h … 3 days ─ VIEW_STUDENT_WORK ─ GRADE_ASSIGNMENT, by the course's teacher
                  └─ seldom: ASSIGNMENT_REOPENED ─ SUBMIT_ASSIGNMENT ─ VIEW_STUDENT_WORK ─ GRADE_ASSIGNMENT

Some look and hand nothing in. A week's works come in an order that is shuffled without being stored: place q of week w
is the work (q·a + b_w) mod m, a and m without a common factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .draws import Ints, Mask, Words, below, chance, choice, ranges, words
from .ground import COURSEWORK, DAY_US, Ground
from .people import WORK_EACH
from .scenes import Scenes

_SUBMITTED_AFTER = np.array((15, 40, 120, 1200, 2880))  # minutes
_SUBMITTED_SHARES = (0.3, 0.27, 0.22, 0.14, 0.07)
_READ_AFTER = np.array((180, 1200, 2640, 4080))
_READ_SHARES = (0.25, 0.35, 0.25, 0.15)
_EDITED, _DELETED, _GRADED, _REOPENED, _AGAIN, _READ_AGAIN, _GRADED_AGAIN = 10, 12, 4, 34, 1474, 2674, 2678
_NEVER, _EDITS, _DELETES, _UNREAD, _REOPENS = 0.08, 0.12, 0.02, 0.04, 0.03

_LAGS = sorted(
    {0}
    | {int(s) + d for s in _SUBMITTED_AFTER for d in (0, _EDITED, _DELETED)}
    | {
        int(s + r) + d
        for s in _SUBMITTED_AFTER
        for r in _READ_AFTER
        for d in (0, _GRADED, _REOPENED, _AGAIN, _READ_AGAIN, _GRADED_AGAIN)
    }
)


@dataclass(frozen=True, slots=True)
class _Works:
    """Works with a scene at hand; ``since`` is in minutes from the first look."""

    slot: Ints
    story: Ints
    since: Ints
    word: Words
    student: Ints
    course: Ints
    number: Ints


def play(ground: Ground, slots: range, scenes: Scenes) -> None:
    """Add what is done on assignments in some slots, by students and teachers."""
    works = _works(ground, slots)
    word, since = works.word, works.since
    submitted = _SUBMITTED_AFTER[choice(word, 1, _SUBMITTED_SHARES)]
    read = submitted + _READ_AFTER[choice(word, 2, _READ_SHARES)]
    handed_in = ~chance(word, 3, _NEVER)
    fate = choice(word, 4, (_DELETES, _EDITS, 1 - _DELETES - _EDITS))
    graded = handed_in & (fate != 0) & ~chance(word, 5, _UNREAD)
    reopened = graded & chance(word, 6, _REOPENS)

    def by_student(name: str, scene: int, where: Mask, version: int = 0) -> None:
        facts = (works.course, works.number, version)
        scenes.add(name, COURSEWORK, works.slot, works.story, scene, works.student, *facts, where=where)

    by_student("VIEW_ASSIGNMENT_FIRST_TIME", 0, since == 0)
    by_student("SUBMIT_ASSIGNMENT", 1, handed_in & (since == submitted), 1)
    by_student("DELETE_ASSIGNMENT", 2, handed_in & (fate == 0) & (since == submitted + _DELETED))
    by_student("EDIT_ASSIGNMENT", 3, handed_in & (fate == 1) & (since == submitted + _EDITED), 2)
    by_student("SUBMIT_ASSIGNMENT", 7, reopened & (since == read + _AGAIN), 3)

    teacher = ground.people.teacher(works.course)
    due_ms = (ground.start_us(works.slot) // DAY_US + 2 + below(word, 7, 6) + 1) * DAY_US // 1000 - 60_000

    def by_teacher(name: str, scene: int, where: Mask, last: Ints | int = 0) -> None:
        facts = (works.course, works.number, works.student, last)
        scenes.add(name, COURSEWORK, works.slot, works.story, scene, teacher, *facts, where=where)

    by_teacher("VIEW_STUDENT_WORK", 4, graded & (since == read))
    by_teacher("GRADE_ASSIGNMENT", 5, graded & (since == read + _GRADED), _tenths(word, 8))
    by_teacher("ASSIGNMENT_REOPENED", 6, reopened & (since == read + _REOPENED), due_ms)
    by_teacher("VIEW_STUDENT_WORK", 8, reopened & (since == read + _READ_AGAIN))
    by_teacher("GRADE_ASSIGNMENT", 9, reopened & (since == read + _GRADED_AGAIN), _tenths(word, 9))


def _tenths(word: Words, label: int) -> Ints:
    """A score from 40.0 to 100.0 in steps of a half, mostly around 70, in tenths."""
    return 400 + 5 * ((below(word, label, 121) + below(word, label + 20, 121)) // 2)


def _works(ground: Ground, slots: range) -> _Works:
    """The works begun so many minutes before one of the slots, for each of the lags."""
    since = np.repeat(np.array(_LAGS, dtype=np.int64), len(slots))
    slot = np.tile(np.array(slots, dtype=np.int64), len(_LAGS))
    begun = [ground.begun(before) for before in (slot - since * ground.a_minute).tolist()]
    week, lower, sizes = np.array(begun, dtype=np.int64).T
    place, of = ranges(lower, sizes)
    work = _shuffled(ground, place, week[of])
    a_student = ground.works // ground.people.students
    student, which = work // a_student, work % a_student
    return _Works(
        slot[of],
        story := (week[of] << 32) | work,
        since[of],
        words(ground.seed_of(COURSEWORK), story),
        student,
        ground.people.course(student, which // WORK_EACH),
        week[of] * WORK_EACH + which % WORK_EACH,
    )


def _shuffled(ground: Ground, place: Ints, week: Ints) -> Ints:
    total = ground.works
    factor = int(total * 0.6180339887) | 1
    while math.gcd(factor, total) > 1:
        factor += 2
    shift = below(words(ground.seed_of(COURSEWORK, 1), week), 1, total)
    return (place * factor + shift) % total
