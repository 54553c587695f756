"""Chance without memory: every draw is a hash of what it is for.

A *word* is 64 bits that stand for one story: ``word(seed, number)``. Each draw takes a label, and two labels of one
word are independent. The hash of a number is a bijection, so that stories with different numbers never share a word.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_MASK = (1 << 64) - 1
_STEP = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_LARGE_MEAN = 60.0
_STEP_WORD, _FIRST_WORD, _SECOND_WORD = np.uint64(_STEP), np.uint64(_FIRST), np.uint64(_SECOND)
_30, _27, _31, _33, _11 = (np.uint64(bits) for bits in (30, 27, 31, 33, 11))


def mixed(value: int) -> int:
    """The finisher of splitmix64 over one whole number."""
    x = (value + _STEP) & _MASK
    x = ((x ^ (x >> 30)) * _FIRST) & _MASK
    x = ((x ^ (x >> 27)) * _SECOND) & _MASK
    return x ^ (x >> 31)


@lru_cache(maxsize=1 << 12)
def seeded(*parts: int) -> int:
    """One seed out of several whole numbers."""
    state = 0
    for part in parts:
        state = mixed(state ^ mixed(part & _MASK))
    return state


def words(seed: int, numbers: Ints | Words) -> Words:
    """A word for each number: all different if the numbers are."""
    x = numbers.astype(np.uint64) ^ np.uint64(seed)
    x += _STEP_WORD
    x ^= x >> _30
    x *= _FIRST_WORD
    x ^= x >> _27
    x *= _SECOND_WORD
    x ^= x >> _31
    return x


def below(word: Words, label: int, bound: int | Ints) -> Ints:
    """A whole number from 0 to ``bound`` - 1 for each word; ``bound`` is at most 2^31."""
    drawn = words(seeded(label), word) >> _33
    return (drawn.astype(np.int64) * bound) >> 31


def share(word: Words, label: int) -> Floats:
    """A number in [0, 1) for each word."""
    return (words(seeded(label), word) >> _11).astype(np.float64) / 2.0**53


def chance(word: Words, label: int, probability: float) -> Mask:
    """True for about this share of the words."""
    return share(word, label) < probability


def choice(word: Words, label: int, weights: tuple[float, ...]) -> Ints:
    """The place of one of the weights for each word; weights are shares that sum to 1."""
    edges = np.cumsum(np.array(weights[:-1]))
    return np.searchsorted(edges, share(word, label), side="right").astype(np.int64)


def count(mean: float, *parts: int) -> int:
    """How many of something there are when ``mean`` are expected: Poisson, or its normal form for many."""
    state = seeded(*parts)
    first = (state >> 11) / 2.0**53
    if mean > _LARGE_MEAN:
        second = (mixed(state) >> 11) / 2.0**53
        normal = math.sqrt(-2 * math.log(1 - first)) * math.cos(2 * math.pi * second)
        return max(0, round(mean + math.sqrt(mean) * normal))
    found, term = 0, math.exp(-mean)
    total = term
    while first >= total and term > 0:
        found += 1
        term *= mean / found
        total += term
    return found


def ranges(lower: Ints, sizes: Ints) -> tuple[Ints, Ints]:
    """The numbers of all ranges [lower, lower + size), one after the other, and of which range each is."""
    owner = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    before = np.cumsum(sizes) - sizes
    return np.arange(len(owner), dtype=np.int64) - before[owner] + lower[owner], owner
