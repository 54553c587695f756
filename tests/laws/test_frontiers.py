"""Frontiers are a lattice: compared component by component, joined by the greater of each.

partition 0   0 1 2 3 4 5        (4, 1) and (2, 3) do not cover each other;
              ───────)           both are covered by their join, (4, 3), and by nothing below it
partition 1   0 1 2 3
              ─)
"""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from watersmeet.core.frontier import Frontier, covers, join, size, zero

from .worlds import cases

pytestmark = pytest.mark.unit

WIDTH = 3
FRONTIERS = st.tuples(*[st.integers(0, 4)] * WIDTH)


def records(frontier: Frontier) -> set[tuple[int, int]]:
    """What lies below a frontier, one by one."""
    return {(p, offset) for p, upper in enumerate(frontier) for offset in range(upper)}


@cases(200, 3000)
@given(FRONTIERS, FRONTIERS)
def test_to_cover_is_to_hold_every_record(a: Frontier, b: Frontier) -> None:
    assert covers(a, b) == (records(a) >= records(b))


@cases(200, 3000)
@given(FRONTIERS, FRONTIERS)
def test_a_join_holds_the_records_of_both_and_no_more(a: Frontier, b: Frontier) -> None:
    assert records(join(a, b)) == records(a) | records(b)
    assert join(a, b) == join(b, a)


@cases(200, 3000)
@given(FRONTIERS, FRONTIERS)
def test_a_size_counts_the_records_between(a: Frontier, b: Frontier) -> None:
    upper = join(a, b)
    assert size(a, upper) == len(records(upper) - records(a))


@cases(200, 3000)
@given(FRONTIERS, FRONTIERS, FRONTIERS)
def test_covering_is_an_order_that_leaves_some_pairs_open(a: Frontier, b: Frontier, c: Frontier) -> None:
    assert covers(a, a)
    assert not (covers(a, b) and covers(b, a)) or a == b
    assert not (covers(a, b) and covers(b, c)) or covers(a, c)
    assert covers(a, zero(WIDTH))


def test_frontiers_of_different_widths_never_cover_each_other() -> None:
    assert not covers((1, 1), (0,))
    assert not covers((1,), (0, 0))
