from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import duckdb
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.engines.columnar.naive import COLUMNS

pytestmark = pytest.mark.unit

Value = tuple[int, int]
"""An integer and the scale at which it stands for a decimal."""


def sql(value: Value) -> str:
    whole, scale = value
    return f"({whole})::HUGEINT" if scale == 0 else f"'{Decimal(f'{whole}E-{scale}'):f}'::DECIMAL(38, {scale})"


def ask(expression: str) -> object:
    with COLUMNS.database.cursor() as cursor:
        [value] = cursor.execute(f"SELECT {expression}").fetchone() or ()
    return value


def half_away(value: Fraction) -> int:
    whole = (2 * abs(value.numerator) + value.denominator) // (2 * value.denominator)
    return -whole if value < 0 else whole


def fraction(value: Value) -> Fraction:
    return Fraction(value[0], 10 ** value[1])


def numbers(limit: int) -> st.SearchStrategy[Value]:
    """Of every size: a width is drawn first, so that small and huge values are alike in number."""
    widths = st.integers(0, len(str(limit)))
    wholes = widths.flatmap(lambda width: st.integers(-(10**width), 10**width)).map(
        lambda n: max(-limit, min(limit, n))
    )
    return st.tuples(wholes, st.sampled_from([0, 1, 4, 9, 18]))


@given(numbers(10**38 - 1), numbers(17 * 10**36), st.integers(0, 18))
@example((10**28, 0), (3, 0), 2)
@example((1, 18), (10**28, 0), 18)
@example((-(10**37), 9), (7, 9), 0)
@example((5, 1), (1, 0), 0)
@example((-5, 1), (1, 0), 0)
@example((12345678901234567890123456789012345678, 18), (9876543210987654321098765432109876543, 18), 18)
@settings(max_examples=200)
def test_a_ratio_is_the_fraction_rounded_half_away_from_zero(a: Value, b: Value, digits: int) -> None:
    assume(b[0] != 0)
    wanted = half_away(fraction(a) / fraction(b) * 10**digits)
    assume(abs(wanted) < 10**38)
    assert ask(f"ratio({sql(a)}, {sql(b)}, {digits})") == Decimal(f"{wanted}E-{digits}")


@given(numbers(10**30), numbers(10**30), st.integers(0, 6))
@settings(max_examples=50)
def test_a_percentage_is_a_hundred_times_as_much(a: Value, b: Value, digits: int) -> None:
    assume(b[0] != 0)
    wanted = half_away(100 * fraction(a) / fraction(b) * 10**digits)
    assume(abs(wanted) < 10**38)
    assert ask(f"pct({sql(a)}, {sql(b)}, {digits})") == Decimal(f"{wanted}E-{digits}")


def test_a_percentage_has_two_decimals_unless_asked() -> None:
    assert ask("pct(1, 3)") == Decimal("33.33")


@pytest.mark.parametrize("call", ["ratio(1, 0, 2)", "ratio(NULL, 2, 2)", "ratio(2, NULL, 2)", "pct(0, 0.00)"])
def test_nothing_comes_of_no_divisor_and_of_nulls(call: str) -> None:
    assert ask(call) is None


@pytest.mark.parametrize("digits", [0, 4, 18])
def test_a_ratio_is_a_decimal_of_just_so_many_digits(digits: int) -> None:
    assert ask(f"typeof(ratio(2, 3, {digits}))") == f"DECIMAL(38,{digits})"


@pytest.mark.parametrize("value", ["1::DOUBLE", "1::FLOAT", "'1'", "true", "DATE '2024-01-01'"])
@pytest.mark.parametrize("call", ["ratio({}, 2, 2)", "ratio(2, {}, 2)", "pct({}, 2)"])
def test_only_integers_and_decimals_are_divided(value: str, call: str) -> None:
    with pytest.raises(duckdb.BinderException, match="_exact"):
        ask(call.format(value))


@pytest.mark.parametrize("digits", ["-1", "19"])
def test_digits_are_those_of_a_decimal(digits: str) -> None:
    with pytest.raises(duckdb.ConversionException, match="digits: 0 to 18"):
        ask(f"ratio(1, 2, {digits})")


def test_digits_are_a_constant() -> None:
    with pytest.raises(duckdb.BinderException, match="round"):
        ask("ratio(1, 2, i) FROM range(3) t(i)")


def test_a_result_that_does_not_fit_fails_and_is_null_where_it_is_tried() -> None:
    call = "ratio(1e30::DECIMAL(38, 0), 1, 18)"
    with pytest.raises(duckdb.OutOfRangeException):
        ask(call)
    assert ask(f"TRY({call})") is None


def test_a_divisor_beyond_the_domain_fails_instead_of_being_wrong() -> None:
    with pytest.raises(duckdb.OutOfRangeException):
        ask(f"ratio({10**37 * 5 + 1}, {10**37 * 9}, 18)")


def test_columns_may_have_the_names_of_a_macro_s_own() -> None:
    source = "(SELECT 1 AS a, 8 AS b, 9 AS digits, 9 AS e, 9 AS p, 9 AS x, 9 AS shift)"
    assert ask(f"ratio(b, a, 1) + ratio(a, b, 3) FROM {source}") == Decimal("8.125")


def test_ratios_nest() -> None:
    assert ask("ratio(ratio(1, 3, 4), pct(1, 8, 1), 6)") == Decimal("0.026664")


def test_arguments_may_be_aggregates_and_window_functions() -> None:
    assert ask("ratio(sum(i), count(i), 2) FROM range(4) t(i)") == Decimal("1.50")
    assert ask("max(v) FROM (SELECT ratio(i - lag(i) OVER (ORDER BY i), 3, 2) AS v FROM range(4) t(i))") == Decimal(
        "0.33"
    )
