"""The sandbox's reviews: who wrote what about a film, and when it became visible.

Time is cut into slots of six hours. How many reviews of a film are written in a slot, and each of them, is a pure
function of (seed, film, slot): ids and texts never change, whoever asks when. A film draws more when it is popular, and
more still during an outbreak (`walks.swell`).

    slot 7 of a film      ├───r0────────────r1───────┤
    visible                    r0 (within a minute)         r1 (1 to 6 hours later: one in ten is late)

A review is listed from when it is visible until it is 30 days old, newest first by when it was written.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import random
from dataclasses import dataclass

import numpy as np

from .films import Film
from .walks import swell, unit

KEPT_DAYS = 30
_SLOT = 6 * 3600
_MOST_A_SLOT = 12
_LATE_SHARE = 0.1

_FIRST = (
    "quiet",
    "late",
    "mira",
    "front",
    "tom",
    "paper",
    "nadia",
    "second",
    "olive",
    "harbor",
    "lena",
    "silver",
    "joe",
)
_SECOND = (
    "reel",
    "row",
    "lantern",
    "k",
    "matinee",
    "ortiz",
    "popcorn",
    "fox",
    "projector",
    "w",
    "balcony",
    "hall",
    "77",
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """One review. ``rating`` is 1 to 10 or ``None``; ``created`` is in seconds since 1970-01-01Z."""

    id: str
    author: str
    content: str
    rating: float | None
    created: int


def opinions(seed: int, film: Film, now: int) -> list[tuple[int, int, int]]:
    """The reviews of a film that are listed at ``now`` (s): (created, slot, number in the slot), newest first."""
    oldest = now - KEPT_DAYS * 86_400
    slots = np.arange(oldest // _SLOT, now // _SLOT + 1)
    key = np.array([film.id])
    expected = film.popularity / 40 * np.clip(swell(seed, key, slots * _SLOT // 60), 0.3, 6.0)
    counts = np.minimum(np.floor(expected + unit(seed, 40, key, slots)), _MOST_A_SLOT).astype(np.int64)
    slot = np.repeat(slots, counts)
    number = np.concatenate([np.arange(count) for count in counts]) if len(slot) else slot
    created = slot * _SLOT + np.floor(unit(seed, 41, key, slot, number) * _SLOT).astype(np.int64)
    late = unit(seed, 42, key, slot, number) < _LATE_SHARE
    draw = unit(seed, 43, key, slot, number)
    visible = created + np.where(late, 3600 + draw * 5 * 3600, draw * 60).astype(np.int64)
    listed = (visible <= now) & (created > oldest)
    rows = zip(created[listed].tolist(), slot[listed].tolist(), number[listed].tolist(), strict=True)
    return sorted(rows, reverse=True)


def opinion(seed: int, film: Film, created: int, slot: int, number: int) -> Opinion:
    """One of the reviews that `opinions` lists, in full."""
    name = hashlib.blake2b(f"{seed}/{film.id}/{slot}/{number}".encode(), digest_size=12).hexdigest()
    draw = random.Random(int(name, 16)).random  # noqa: S311 - a seeded draw, not a secret
    liked = draw() < _liking(film)
    wanted = "+" if liked else "-"
    sentences: list[str] = []
    for _ in range(2 + int(draw() * 3)):
        kind = wanted if draw() < 0.65 else "=" if draw() < 0.7 else "-" if liked else "+"
        sentence = _pick(_corpus()[kind], draw())
        if sentence not in sentences:
            sentences.append(sentence)
    stars = (6 + draw() * 4.5) if liked else (1 + draw() * 5)
    return Opinion(
        id=name,
        author=f"{_pick(_FIRST, draw())}_{_pick(_SECOND, draw())}{int(draw() * 90)}",
        content=" ".join(sentences).replace("{title}", film.title),
        rating=min(10.0, float(int(stars))) if draw() < 0.75 else None,
        created=created,
    )


def _liking(film: Film) -> float:
    """The chance that a reviewer liked the film: from 1 in 20 at a rating of 2 to 19 in 20 at 9."""
    rating = 6.0 if film.vote_average is None else film.vote_average
    return min(0.95, max(0.05, (rating - 2) / 7))


def _pick(choices: tuple[str, ...], draw: float) -> str:
    return choices[int(draw * len(choices))]


@functools.cache
def _corpus() -> dict[str, tuple[str, ...]]:
    text = (importlib.resources.files(__package__) / "reviews.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {kind: tuple(line[2:] for line in lines if line[0] == kind) for kind in "+-="}
