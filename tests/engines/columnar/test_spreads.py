from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import watersmeet as wm
from watersmeet.engines.columnar.partials import LIMB
from watersmeet.engines.columnar.spreads import quotient, root, settle

pytestmark = pytest.mark.unit


@given(st.integers(0, 10**60), st.integers(1, 10**60), st.integers(0, 18))
def test_a_quotient_is_rounded_half_up(above: int, below: int, digits: int) -> None:
    rest = Fraction(above, below) * 10**digits - quotient(above, below, digits)
    assert Fraction(-1, 2) <= rest < Fraction(1, 2)


@given(st.integers(0, 10**40), st.integers(1, 10**20), st.integers(0, 18))
def test_a_root_is_rounded_half_up(above: int, below: int, digits: int) -> None:
    found = root(above, below, digits)
    square = Fraction(above, below) * 10 ** (2 * digits)
    assert found == 0 or (found - Fraction(1, 2)) ** 2 <= square
    assert square < (found + Fraction(1, 2)) ** 2


def test_halves_go_up() -> None:
    assert (quotient(1, 2, 0), quotient(5, 4, 1)) == (1, 13)
    assert (root(1, 4, 0), root(9, 4, 0)) == (1, 2)


def sums(values: list[int], scale: int) -> pa.Table:
    squares = [value * value for value in values]
    hi, lo = (sum(square // LIMB for square in squares), sum(square % LIMB for square in squares))
    total = f"{Decimal(sum(values)).scaleb(-scale):f}"
    return pa.table({"_n_v": [str(len(values))], "_s_v": [total], "_hi_v": [str(hi)], "_lo_v": [str(lo)]})


@given(st.lists(st.integers(-(10**18), 10**18), min_size=2, max_size=20), st.sampled_from([0, 2, 9]))
def test_variance_and_deviation_are_those_of_the_values(values: list[int], scale: int) -> None:
    with localcontext(prec=60):
        middle = Fraction(sum(values), len(values))
        exact = sum((value - middle) ** 2 for value in values) / (len(values) - 1) / 10 ** (2 * scale)
        [variance] = settle(sums(values, scale), {"v": wm.variance("x", digits=0)}, {"v": scale})["v"].to_pylist()
        [deviation] = settle(sums(values, scale), {"v": wm.stddev("x", digits=4)}, {"v": scale})["v"].to_pylist()
        assert abs(Fraction(variance) - exact) <= Fraction(1, 2)
        assert abs(Fraction(deviation) ** 2 - exact) <= Fraction(deviation) / 10**4 + Fraction(1, 10**8)


def test_fewer_than_two_values_have_no_spread() -> None:
    none = pa.table({f"_{part}_v": pa.array([None], pa.string()) for part in ("n", "s", "hi", "lo")})
    for rows in (none, sums([5], 0)):
        assert settle(rows, {"v": wm.variance("x")}, {"v": 0}).to_pylist() == [{"v": None}]


def test_more_than_38_digits_are_null() -> None:
    wide = sums([-(10**18), 10**18], 0)
    assert settle(wide, {"v": wm.variance("x", digits=18)}, {"v": 0})["v"].to_pylist() == [None]
