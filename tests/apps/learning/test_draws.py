from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watersmeet.apps.learning.draws import below, choice, count, mixed, ranges, seeded, share, words

pytestmark = pytest.mark.unit

MANY = np.arange(100_000, dtype=np.int64)


def test_different_numbers_have_different_words() -> None:
    assert len(np.unique(words(seeded(1), MANY))) == len(MANY)
    assert not np.array_equal(words(seeded(1), MANY), words(seeded(2), MANY))


def test_a_word_is_the_same_for_one_number_as_among_many() -> None:
    assert words(0, MANY[:3]).tolist() == [mixed(number) for number in range(3)]


def test_draws_are_even_and_labels_independent() -> None:
    word = words(seeded(1), MANY)
    drawn = below(word, 1, 7)
    assert (drawn.min(), drawn.max()) == (0, 6)
    assert np.bincount(drawn) == pytest.approx([len(MANY) / 7] * 7, rel=0.05)
    shares = np.bincount(choice(word, 2, (0.2, 0.5, 0.3))) / len(MANY)
    assert shares == pytest.approx([0.2, 0.5, 0.3], abs=0.01)
    assert abs(np.corrcoef(share(word, 1), share(word, 2))[0, 1]) < 0.01


def test_each_word_may_have_its_own_bound() -> None:
    bounds = 1 + MANY % 5
    drawn = below(words(seeded(1), MANY), 1, bounds)
    assert (drawn >= 0).all()
    assert (drawn < bounds).all()


@pytest.mark.parametrize("mean", [0.0, 0.05, 3.0, 59.0, 61.0, 4000.0])
def test_counts_have_the_mean_and_the_spread_of_poisson(mean: float) -> None:
    found = np.array([count(mean, 1, place) for place in range(4000)])
    assert found.mean() == pytest.approx(mean, abs=4 * (mean / 4000) ** 0.5)
    assert found.var() == pytest.approx(mean, rel=0.15, abs=0.01)


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.integers(0, 5))))
def test_ranges_are_those_of_a_loop(given: list[tuple[int, int]]) -> None:
    lower, sizes = (np.array([pair[side] for pair in given], dtype=np.int64) for side in (0, 1))
    numbers, owner = ranges(lower, sizes)
    wanted = [(low + step, place) for place, (low, size) in enumerate(given) for step in range(size)]
    assert list(zip(numbers.tolist(), owner.tolist(), strict=True)) == wanted
