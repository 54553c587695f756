"""What each partition gives to a chunk of a limited size."""

from __future__ import annotations

import itertools

import hypothesis.strategies as st
import pytest
from hypothesis import given

from watersmeet.formats.shares import shares

pytestmark = pytest.mark.unit


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=6),
    st.integers(1, 100),
)
def test_shares_are_equal_and_waste_nothing(intervals: list[tuple[int, int]], limit: int) -> None:
    lower, wanted = tuple(low for low, _ in intervals), [count for _, count in intervals]
    takes = shares(lower, tuple(low + count for low, count in intervals), limit)
    assert sum(takes) == min(limit, sum(wanted))
    assert all(take <= want for take, want in zip(takes, wanted, strict=True))
    hungry = [(low, take) for low, take, want in zip(lower, takes, wanted, strict=True) if take < want]
    assert all(take >= max(takes) - 1 for _, take in hungry)
    for (low, take), (other_low, other_take) in itertools.combinations(sorted(hungry), 2):
        assert low == other_low or take >= other_take
