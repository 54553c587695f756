"""All that is neither a visit nor coursework: joining, notices, changes of mind, profiles, trial courses."""

from __future__ import annotations

import numpy as np

from .draws import Ints, below, chance, choice, ranges, words
from .ground import (
    CHANGE,
    COURSES_AT,
    JOINING,
    NOTICE,
    PROFILE,
    STUDENTS_AT,
    TEACHING,
    TRIAL,
    Ground,
)
from .people import COURSES_EACH, WORK_EACH
from .scenes import Scenes

_TOPICS_OF_NOTICES = (0.3, 0.2, 0.15, 0.25, 0.1)
_CHANNELS = (0.4, 0.3, 0.05, 0.25)
_OPENED_AFTER = np.array((1, 5, 30, 240))  # minutes
_OPENED_SHARES = (0.4, 0.25, 0.2, 0.15)
_CLICKED_AFTER = np.array((1, 3))
_NOTICE_LAGS = sorted({0} | {int(o) + c for o in _OPENED_AFTER for c in (0, 1, 3)})
_OPENS, _CLICKS, _DROPS = 0.6, 0.45, 0.35
_DECIDED, _DELETED = 8, 360


def play(ground: Ground, slots: range, scenes: Scenes) -> None:
    """Add all of it for some slots."""
    _teachers(ground, slots, scenes)
    _students(ground, slots, scenes)
    _notices(ground, slots, scenes)
    _changes(ground, slots, scenes)
    _profiles(ground, slots, scenes)
    _trials(ground, slots, scenes)


def _new(numbers: int, slots: Ints, span: int) -> tuple[Ints, Ints]:
    """Who of ``numbers`` comes in each slot, if they come evenly in the first ``span``, and in which place of slots."""
    lower, upper = (numbers * np.clip(at, 0, span) // span for at in (slots, slots + 1))
    return ranges(lower, upper - lower)


def _teachers(ground: Ground, slots: range, scenes: Scenes) -> None:
    span = COURSES_AT * ground.a_minute
    if slots.start > 3 * span:
        return
    slot = np.array(slots, dtype=np.int64)
    for minute in range(2):
        teacher, of = _new(ground.people.teachers, slot - minute * ground.a_minute, span)
        _join(ground, -1 - teacher, slot[of], minute, scenes, TEACHING)
    course, of = _new(ground.people.courses, slot - span, (STUDENTS_AT - COURSES_AT - 1) * ground.a_minute)
    scenes.add("COURSE_CREATED", TEACHING, slot[of], course, 2, ground.people.teacher(course), course)


def _join(ground: Ground, user: Ints, slot: Ints, minute: int, scenes: Scenes, kind: int) -> None:
    """Signing up, or a minute later writing the profile."""
    story = np.where(user < 0, -1 - user, user)
    word = words(ground.seed_of(kind), story)
    if minute == 0:
        scenes.add("SIGNUP", kind, slot, story, 0, user, choice(word, 1, (0.6, 0.3, 0.1)))
    else:
        scenes.add("CREATE_PROFILE", kind, slot, story, 1, user, below(word, 2, 1 << 30))


def _students(ground: Ground, slots: range, scenes: Scenes) -> None:
    slot = np.array(slots, dtype=np.int64)
    for minute in range(4):
        before = slot - minute * ground.a_minute
        lower = ground.students(before)
        student, of = ranges(lower, ground.students(before + 1) - lower)
        if minute < 2:
            _join(ground, student, slot[of], minute, scenes, JOINING)
            continue
        for half in range(2):
            which = (minute - 2) * 2 + half
            course = ground.people.course(student, which)
            parts = (8 * half, 8 * half + 8)
            scenes.add("COURSE_ENROLLED", JOINING, slot[of], student, 2 + which, student, course, parts=parts)


def _notices(ground: Ground, slots: range, scenes: Scenes) -> None:
    cast = ground.cast(NOTICE, slots, _NOTICE_LAGS)
    word = words(ground.seed_of(NOTICE), cast.story)
    opened = _OPENED_AFTER[choice(word, 1, _OPENED_SHARES)]
    clicked = opened + _CLICKED_AFTER[below(word, 2, 2)]
    opens = chance(word, 3, _OPENS)
    student = below(word, 4, cast.present)
    course = ground.people.course(student, below(word, 5, COURSES_EACH))
    subject = choice(word, 6, _TOPICS_OF_NOTICES)
    work = ground.weeks(cast.story >> 20) * WORK_EACH + below(word, 7, WORK_EACH)
    facts = (cast.story, subject + 5 * choice(word, 8, _CHANNELS), course, work)
    for scene, name, where in (
        (0, "SENT", cast.lag == 0),
        (1, "OPENED", opens & (cast.lag == opened)),
        (2, "CLICKED", opens & chance(word, 9, _CLICKS) & (cast.lag == clicked)),
    ):
        scenes.add(f"NOTIFICATION_{name}", NOTICE, cast.slot, cast.story, scene, student, *facts, where=where)


def _changes(ground: Ground, slots: range, scenes: Scenes) -> None:
    """Some look at a course they do not take, take it, and some of them leave it again."""
    cast = ground.cast(CHANGE, slots, (0, 1, _DECIDED))
    word = words(ground.seed_of(CHANGE), cast.story)
    student, course = below(word, 1, cast.present), below(word, 2, ground.people.courses)
    new = ground.people.takes(student, course) == 0
    for scene, name, where in (
        (0, "COURSE_VIEW", new & (cast.lag == 0)),
        (1, "COURSE_ENROLLED", new & (cast.lag == 1)),
        (2, "COURSE_DROPPED", new & chance(word, 3, _DROPS) & (cast.lag == _DECIDED)),
    ):
        scenes.add(name, CHANGE, cast.slot, cast.story, scene, student, course, where=where)


def _profiles(ground: Ground, slots: range, scenes: Scenes) -> None:
    cast = ground.cast(PROFILE, slots, (0,))
    word = words(ground.seed_of(PROFILE), cast.story)
    teacher = -1 - below(word, 1, ground.people.teachers)
    user = np.where(chance(word, 2, 0.05), teacher, below(word, 3, cast.present))
    change, draw = choice(word, 4, (0.5, 0.2, 0.3)), below(word, 5, 1 << 30)
    for scene, name in enumerate(("UPDATE_PROFILE", "PROFILE_PICTURE_UPDATED", "PASSWORD_CHANGED")):
        scenes.add(name, PROFILE, cast.slot, cast.story, scene, user, draw, where=change == scene)


def _trials(ground: Ground, slots: range, scenes: Scenes) -> None:
    """Courses that a teacher makes to try something, and deletes."""
    cast = ground.cast(TRIAL, slots, (0, 30, _DELETED))
    course = ground.people.courses + cast.story
    teacher = -1 - below(words(ground.seed_of(TRIAL), cast.story), 1, ground.people.teachers)
    for scene, name, lag in ((0, "COURSE_CREATED", 0), (1, "COURSE_UPDATED", 30), (2, "COURSE_DELETED", _DELETED)):
        scenes.add(name, TRIAL, cast.slot, cast.story, scene, teacher, course, where=cast.lag == lag)
