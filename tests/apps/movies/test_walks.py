"""The sandbox's moving figures: the same for everybody, whoever asks in which order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watersmeet.apps.movies import walks

pytestmark = pytest.mark.unit

NOW = walks.EPOCH_MINUTE + 700 * 1440
IDS = np.arange(10, 4010, 10)
OWN = np.linspace(0.5, 80, len(IDS))


def minute(at: int) -> walks.Ints:
    return np.array([at])


def test_figures_are_pinned() -> None:
    """A change of these changes every demo, and what two processes of different versions see."""
    assert walks.unit(7, 1, [2, 3]).tolist() == [0.35108338112701065, 0.05443178435507301]
    assert walks.popularity(7, IDS[:3], OWN[:3] + 20, minute(NOW)).tolist() == [28.931, 16.84, 21.079]
    assert walks.votes(7, IDS[:3], OWN[:3] + 20, minute(NOW)).tolist() == [7728, 7794, 7861]


@given(st.integers(0, 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**31))
def test_hashes_lie_in_the_unit_interval(seed: int, part: int, film: int) -> None:
    assert 0 <= walks.unit(seed, part, film)[0] < 1


def test_hashes_are_spread_evenly() -> None:
    counts, _ = np.histogram(walks.unit(1, 2, np.arange(100_000)), bins=20, range=(0, 1))
    assert np.all(np.abs(counts - 5000) < 5 * np.sqrt(5000))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(walks.EPOCH_MINUTE - 1440, NOW + 10**6), st.integers(0, len(IDS) - 1))
def test_one_film_at_one_instant_equals_the_whole(seed: int, at: int, place: int) -> None:
    every = walks.popularity(seed, IDS, OWN, minute(at))
    one = walks.popularity(seed, IDS[place : place + 1], OWN[place : place + 1], minute(at))
    series = walks.popularity(seed, IDS[place : place + 1], OWN[place : place + 1], np.arange(at - 2, at + 3))
    assert every[place] == one[0] == series[2]


def test_another_seed_is_another_world() -> None:
    assert np.mean(walks.popularity(1, IDS, OWN, minute(NOW)) == walks.popularity(2, IDS, OWN, minute(NOW))) < 0.01


def test_popularity_moves_smoothly_around_the_films_own() -> None:
    ratio = walks.swell(7, IDS[:200, None], np.arange(NOW, NOW + 7 * 1440)[None, :])
    step = np.abs(np.diff(np.log(ratio), axis=1)).max()
    assert step < 0.05, "no leaps from one minute to the next"
    assert 0.7 < np.exp(np.log(ratio).mean()) < 1.4
    assert ratio.max() > 3, "an outbreak now and then"


def test_what_gains_most_changes_over_hours() -> None:
    def leaders(at: int) -> set[int]:
        gained = walks.popularity(7, IDS, OWN, minute(at)) - walks.popularity(7, IDS, OWN, minute(at - 1440))
        return set(IDS[np.argsort(-gained)[:20]].tolist())

    assert len(leaders(NOW) & leaders(NOW + 5)) >= 15
    assert len(leaders(NOW) & leaders(NOW + 12 * 60)) <= 15


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 10**6), st.lists(st.integers(0, 5000), min_size=2, max_size=20))
def test_votes_only_come_in(seed: int, start: int, steps: list[int]) -> None:
    at = walks.EPOCH_MINUTE + start + np.cumsum(steps)
    counts = walks.votes(seed, IDS[::40, None], OWN[::40, None], at[None, :])
    assert np.all(np.diff(counts, axis=1) >= 0)
    assert np.all(counts >= 0)


def test_there_are_no_votes_before_the_epoch_and_some_every_day_after() -> None:
    assert np.all(walks.votes(7, IDS, OWN, minute(walks.EPOCH_MINUTE - 10**6)) == 0)
    gained = walks.votes(7, IDS, OWN, minute(NOW)) - walks.votes(7, IDS, OWN, minute(NOW - 1440))
    assert np.all(gained >= 1)


def test_the_mean_of_new_votes_is_a_possible_rating() -> None:
    """Δn new votes of mean (a1 n1 - a0 n0) / Δn, as a trend is worked out from two polls."""
    mean, count = np.linspace(0.9, 10, len(IDS)), np.full(len(IDS), 50)
    count[::7] = 0
    new0, new1 = (walks.votes(7, IDS, OWN, minute(at)) for at in (NOW - 30 * 1440, NOW))
    average0, average1 = (walks.vote_average(7, IDS, mean, count, new) for new in (new0, new1))
    assert np.all((average0 >= 0) & (average0 <= 10))
    implied = ((count + new1) * average1 - (count + new0) * average0) / (new1 - new0)
    slack = 0.001 * (count + new1) / (new1 - new0)  # three decimals of the averages
    assert np.all((implied > 1 - slack) & (implied < 10 + slack))


def test_no_votes_have_no_mean() -> None:
    zero = np.zeros(3, dtype=np.int64)
    assert walks.vote_average(7, IDS[:3], np.array([5.0, 0, 9]), zero, zero).tolist() == [0, 0, 0]
