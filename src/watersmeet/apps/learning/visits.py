"""Visits: somebody signs in, does this and that in pieces of five minutes, and signs out.

    minute    0                 5                 10                15
              failures, LOGIN   │                 │                 LOGOUT, or the window is just closed
              ├─ browsing ──────┼─ a quiz ────────┼─ a video ───────┤
              ├─ or one lecture all the way ──────────────────────┤

A quiz is started, answered and, unless given up, completed. A video is paused, and reported when the viewing ends: with
what was watched, and as completed if that is four fifths of its length.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .draws import Ints, Mask, Words, below, chance, choice, words
from .ground import VISIT, Ground
from .outbreaks import Outbreaks
from .people import ITEMS, MATERIALS, QUIZZES
from .scenes import Scenes

PIECE = 5  # minutes
LENGTHS = (0.16, 0.22, 0.2, 0.15, 0.1, 0.08, 0.05, 0.04)  # shares of visits with 1, 2, … pieces
TEACHERS, LECTURES = 0.07, 0.35
PAUSES = 0.16  # in a minute of watching
FAILURES = (0.915, 0.055, 0.018, 0.012)  # shares of visits with none, 1, 2, or so many that it comes to nothing
LOCKED_OUT = 4
COMPLETED_PERCENT = 80

_VIDEO, _BROWSE, _QUIZ, _IDLE = range(4)
_PIECES = (0.55, 0.23, 0.12, 0.1)
_GIVEN_UP = 0.08


@dataclass(frozen=True, slots=True)
class _Visits:
    slot: Ints
    story: Ints
    minute: Ints
    word: Words
    user: Ints
    pieces: Ints

    def take(self, where: Mask) -> _Visits:
        return _Visits(*(getattr(self, field.name)[where] for field in fields(self)))


def play(ground: Ground, outbreaks: Outbreaks, slots: range, scenes: Scenes) -> None:
    """Add what visitors do in some slots."""
    cast = ground.cast(VISIT, slots, range(PIECE * len(LENGTHS) + 1))
    word = words(ground.seed_of(VISIT), cast.story)
    pieces = 1 + choice(word, 1, LENGTHS)
    on = cast.lag <= PIECE * pieces
    word, pieces, minute, story = word[on], pieces[on], cast.lag[on], cast.story[on]
    teacher = chance(word, 2, TEACHERS)
    user = np.where(teacher, -1 - below(word, 3, ground.people.teachers), below(word, 4, cast.present[on]))
    failures = choice(word, 5, FAILURES)
    failures = np.where(failures == len(FAILURES) - 1, LOCKED_OUT, failures)
    visits = _Visits(cast.slot[on], story, minute, word, user, pieces)
    _sign_in(visits, failures, scenes)
    in_ = failures < LOCKED_OUT
    visits, teacher = visits.take(in_), teacher[in_]
    ends = visits.minute == PIECE * visits.pieces
    facts = (visits.word >> np.uint64(1)).astype(np.int64)
    scenes.add(
        "LOGOUT", VISIT, visits.slot, visits.story, 5, visits.user, facts, where=ends & chance(visits.word, 6, 0.82)
    )
    teaching = visits.take(teacher & ~ends)
    updated = (teaching.minute == 2) & chance(teaching.word, 7, 0.08)
    own = below(teaching.word, 8, 2) * ground.people.teachers - 1 - teaching.user
    scenes.add("COURSE_UPDATED", VISIT, teaching.slot, teaching.story, 6, teaching.user, own, where=updated)
    lecture = chance(visits.word, 9, LECTURES) & (visits.pieces > 1)
    _lectures(ground, outbreaks, visits.take(lecture & ~teacher & ~ends), scenes)
    _pieces(ground, outbreaks, visits.take(~lecture & ~teacher & ~ends), scenes)


def _sign_in(visits: _Visits, failures: Ints, scenes: Scenes) -> None:
    first = visits.minute == 0
    now, failures = visits.take(first), failures[first]
    session = (now.word >> np.uint64(1)).astype(np.int64)
    device, address = below(now.word, 10, 4), below(now.word, 11, 1 << 24)
    slot, story, user = now.slot, now.story, now.user
    for place in range(LOCKED_OUT):
        facts, parts = (0, 0, device, address), (place, place + 1)
        scenes.add("LOGIN", VISIT, slot, story, place, user, *facts, where=failures > place, parts=parts)
    facts_in = (session, 1, device, address)
    scenes.add("LOGIN", VISIT, slot, story, 4, user, *facts_in, where=failures < LOCKED_OUT, parts=(4, 6))


def _scene(minute: Ints, place: int) -> Ints:
    return 16 + minute * 16 + place


def _lectures(ground: Ground, outbreaks: Outbreaks, visits: _Visits, scenes: Scenes) -> None:
    course = ground.people.course(visits.user, below(visits.word, 20, 4))
    video = ground.people.video(visits.word, course, lecture=True)
    seconds = (visits.pieces - 1) * 60 * PIECE + 20 + below(visits.word, 21, 180)
    viewing = _Viewing(video, seconds, _of(ground, visits, np.full_like(video, 48)), visits.minute)
    _view(ground, outbreaks, visits, viewing, visits.minute == PIECE * visits.pieces - 1, scenes)


def _of(ground: Ground, visits: _Visits, part: Ints) -> Words:
    """A word for each part of a visit."""
    return words(ground.seed_of(VISIT, 1), visits.story * 64 + part)


def _pieces(ground: Ground, outbreaks: Outbreaks, visits: _Visits, scenes: Scenes) -> None:
    word = _of(ground, visits, visits.minute // PIECE)
    doing = choice(word, 1, _PIECES)
    course = ground.people.course(visits.user, below(word, 2, 4))
    videos, browsing, quizzes = (doing == what for what in (_VIDEO, _BROWSE, _QUIZ))
    _videos(ground, outbreaks, visits.take(videos), word[videos], course[videos], scenes)
    _browsing(ground, visits.take(browsing), course[browsing], scenes)
    _quizzes(visits.take(quizzes), word[quizzes], course[quizzes], scenes)


def _videos(ground: Ground, outbreaks: Outbreaks, visits: _Visits, word: Words, course: Ints, scenes: Scenes) -> None:
    video = ground.people.video(word, course, lecture=False)
    since = visits.minute % PIECE
    viewing = _Viewing(video, 10 + below(word, 3, 200), _of(ground, visits, 49 + visits.minute // PIECE), since)
    _view(ground, outbreaks, visits, viewing, since == PIECE - 1, scenes)


@dataclass(frozen=True, slots=True)
class _Viewing:
    """A video that is being watched: which, how long if it does not end before, as what, and for how many minutes."""

    video: Ints
    seconds: Ints
    word: Words
    minutes: Ints


def _view(ground: Ground, outbreaks: Outbreaks, visits: _Visits, viewing: _Viewing, ends: Mask, scenes: Scenes) -> None:
    """Pauses, and the end of a viewing."""
    video, length = viewing.video, ground.people.video_seconds(viewing.video)
    seconds = outbreaks.shortened(visits.slot, video, length, np.minimum(viewing.seconds, length))
    session = (viewing.word >> np.uint64(1)).astype(np.int64)
    position = np.minimum(seconds, 50 * viewing.minutes)
    pausing = (viewing.minutes > 0) & ~ends & chance(_of(ground, visits, visits.minute), 22, PAUSES)
    slot, story, user, minute = visits.slot, visits.story, visits.user, visits.minute
    scenes.add(
        "VIDEO_PAUSED", VISIT, slot, story, _scene(minute, 0), user, video, session, position, length,
        where=pausing, parts=(6, 14),
    )  # fmt: skip
    scenes.add(
        "VIDEO_WATCHED", VISIT, slot, story, _scene(minute, 1), user, video, session, seconds, length,
        where=ends, parts=(6, 12),
    )  # fmt: skip
    scenes.add(
        "VIDEO_COMPLETED", VISIT, slot, story, _scene(minute, 2), user, video, session, 0, length,
        where=ends & (seconds * 100 >= length * COMPLETED_PERCENT), parts=(13, 16),
    )  # fmt: skip


def _browsing(ground: Ground, visits: _Visits, course: Ints, scenes: Scenes) -> None:
    step, word = visits.minute % PIECE, _of(ground, visits, visits.minute)
    slot, story, user, minute = visits.slot, visits.story, visits.user, visits.minute
    scenes.add("COURSE_VIEW", VISIT, slot, story, _scene(minute, 3), user, course, where=step == 0, parts=(6, 16))
    doing = choice(word, 4, (0.5, 0.17, 0.33))
    item, material = below(word, 5, ITEMS), below(word, 6, MATERIALS)
    clicks, loads = (step > 0) & (doing == 0), (step > 0) & (doing == 1)
    scenes.add("ITEM_CLICK", VISIT, slot, story, _scene(minute, 4), user, course, item, where=clicks, parts=(6, 16))
    scenes.add(
        "DOWNLOAD_MATERIAL", VISIT, slot, story, _scene(minute, 5), user, course, material, where=loads, parts=(6, 16)
    )


def _quizzes(visits: _Visits, word: Words, course: Ints, scenes: Scenes) -> None:
    """Start in the first minute, one to four answers in each of the next three, done in the last."""
    step = visits.minute % PIECE
    quiz = course * QUIZZES + below(word, 7, QUIZZES)
    each = 1 + below(word, 8, 4)
    total = 3 * each
    given_up = np.where(chance(word, 9, _GIVEN_UP), 1 + below(word, 10, 3), PIECE)
    skill = 40 + below(word, 11, 60)
    attempt = visits.story * 16 + visits.minute // PIECE
    slot, story, user, minute = visits.slot, visits.story, visits.user, visits.minute
    facts = (quiz, total, 0, attempt)
    scenes.add("QUIZ_STARTED", VISIT, slot, story, _scene(minute, 6), user, *facts, where=step == 0, parts=(6, 16))
    for place in range(4):
        asked = (step - 1) * each + place
        answered = (step > 0) & (step < PIECE - 1) & (place < each) & (step <= given_up)
        answer = 2 * asked + _right(word, asked, skill)
        scenes.add(
            "QUESTION_ANSWERED", VISIT, slot, story, _scene(minute, 7 + place), user, quiz, total, answer, attempt,
            where=answered, parts=(6 + 2 * place, 8 + 2 * place),
        )  # fmt: skip
    done = np.flatnonzero((step == PIECE - 1) & (given_up == PIECE))
    correct = np.zeros(len(done), dtype=np.int64)
    for question in range(12 if len(done) else 0):
        asked = np.full(len(done), question)
        correct += _right(word[done], asked, skill[done]) & (question < total[done])
    slot, story, user, quiz, scene = slot[done], story[done], user[done], quiz[done], _scene(minute[done], 11)
    scenes.add(
        "QUIZ_COMPLETED", VISIT, slot, story, scene, user, quiz, total[done], correct, attempt[done], parts=(6, 16)
    )


def _right(word: Words, question: Ints, skill: Ints) -> Mask:
    """Whether a question is answered rightly; ``skill`` is in percent."""
    return below(words(0x51, word + question.astype(np.uint64)), 12, 100) < skill
