"""How the sandbox's figures move: seeded walks that need no memory.

Every value is a pure function of (seed, film, time): nothing is stored, any instant can be asked for, and two processes
with one seed agree. The stuff is value noise: between lattice points, each a 64-bit hash made a number in [-1, 1], a
smooth curve. Popularity multiplies a film's own figure by e to the power of four such curves (of about 2 hours, 9
hours, 30 hours and a week) and of rare outbreaks that rise within two hours and fade over a day, so that what trends
changes over hours. Votes only ever come in, at a rate that swings by day and by week; the mean of the new ones stays
near the film's own.

Shapes: ``film`` and ``at`` are arrays that broadcast, film ids as integers and minutes since 1970-01-01Z.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

EPOCH_MINUTE = 28_928_160
"""2025-01-01T00:00Z. Votes are those of the file until then, and grow from there."""

_CURVES = ((120, 0.06), (540, 0.18), (1800, 0.30), (10080, 0.35))  # minutes between lattice points, amplitude
_OUTBREAK_SHARE = 1 / 150  # of films, a day
_DAY = 1440
_SWINGS = ((_DAY, 0.5), (7 * _DAY, 0.3))  # period in minutes, strength: they sum to less than 1, so votes never leave
_VOTES_A_WAVE = 200  # new votes between lattice points of their mean
_WAVE = 40.0


def unit(seed: int, *parts: npt.ArrayLike) -> Floats:
    """Hash the parts to numbers in [0, 1). At least one-dimensional."""
    state = np.atleast_1d(np.asarray(seed, dtype=np.int64)).astype(np.uint64)
    for part in parts:
        state = _mix(state ^ _mix(np.atleast_1d(np.asarray(part, dtype=np.int64)).astype(np.uint64)))
    return (state >> np.uint64(11)).astype(np.float64) / 2.0**53


def _mix(x: Words) -> Words:
    """The finisher of splitmix64: every bit of the input moves every bit of the output."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def curve(seed: int, label: int, film: Ints, x: Floats) -> Floats:
    """Value noise in [-1, 1] along ``x``, a lattice point at each whole number; its slope stays below 3."""
    left = np.floor(x)
    share = x - left
    share = share * share * (3 - 2 * share)
    low = unit(seed, label, film, left.astype(np.int64)) * 2 - 1
    high = unit(seed, label, film, left.astype(np.int64) + 1) * 2 - 1
    return low + (high - low) * share


def swell(seed: int, film: Ints, at: Ints) -> Floats:
    """By which factor a film is more popular than its own figure."""
    total = np.zeros(np.broadcast_shapes(film.shape, at.shape))
    for label, (period, amplitude) in enumerate(_CURVES):
        total += amplitude * curve(seed, label, film, at / period)
    for day in (at // _DAY, at // _DAY - 1):
        total += _outbreak(seed, film, day, at)
    return np.exp(total)


def _outbreak(seed: int, film: Ints, day: Ints, at: Ints) -> Floats:
    """How an outbreak that starts on this day stands at ``at``; 0 if there is none or it began a day ago."""
    there = unit(seed, 10, film, day) < _OUTBREAK_SHARE
    hours = (at - day * _DAY - unit(seed, 11, film, day) * _DAY) / 60
    shape = np.where(hours < 2, hours / 2, np.exp(-(hours - 2) / 8) * (24 - hours) / 22)
    height = 0.8 + 1.2 * unit(seed, 12, film, day)
    return np.where(there & (hours > 0) & (hours < 24), height * shape, 0.0)


def popularity(seed: int, film: Ints, own: Floats, at: Ints) -> Floats:
    """A film's popularity, three decimals, at least 0.001."""
    return np.maximum(np.round(own * swell(seed, film, at), 3), 0.001)


def votes(seed: int, film: Ints, own: Floats, at: Ints) -> Ints:
    """How many votes have come in since the epoch; never falls. About 0.05 + own / 50 an hour."""
    elapsed = np.maximum(at - EPOCH_MINUTE, 0)
    warped = elapsed.astype(np.float64)
    for label, (period, strength) in enumerate(_SWINGS):
        phase = 2 * np.pi * unit(seed, 20 + label, film)
        angle = 2 * np.pi * elapsed / period
        warped = warped + strength * period / (2 * np.pi) * (np.sin(angle + phase) - np.sin(phase))
    return np.floor((0.05 + own / 50) / 60 * warped).astype(np.int64)


def vote_average(seed: int, film: Ints, mean: Floats, count: Ints, new: Ints) -> Floats:
    """The mean of ``count`` old votes of this ``mean`` and ``new`` ones, three decimals; 0 without any vote.

    A film with no old votes takes its new ones around 6. The new votes of any stretch average within about 1.5 of that,
    and within 1 to 10.
    """
    centre = np.where(count > 0, mean, 6.0) + 1.6 * unit(seed, 30, film) - 0.8
    centre = np.clip(centre, 2.0, 9.0)
    wave = new / _VOTES_A_WAVE
    total = mean * count + centre * new + _WAVE * (curve(seed, 31, film, wave) - curve(seed, 31, film, np.zeros(1)))
    return np.where(count + new > 0, np.round(total / np.maximum(count + new, 1), 3), 0.0)
