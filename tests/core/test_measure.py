"""Measures: which partials they keep, and what they cannot be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

import watersmeet as wm
from watersmeet.core.measure import PARTIALS, Lift, Measure

from .refusals import refusal

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("measure", "kinds"),
    [
        (wm.count(), ["count"]),
        (wm.sum("x"), ["sum"]),
        (wm.mean("x"), ["sum"]),
        (wm.variance("x"), ["sum", "squares"]),
        (wm.stddev("x"), ["sum", "squares"]),
        (wm.min("x"), ["min"]),
        (wm.max("x"), ["max"]),
        (wm.first("x"), ["first"]),
        (wm.last("x", nulls=True), ["last"]),
        (wm.distinct("x"), ["distinct"]),
        (wm.distinct("x", exact=True), ["values"]),
        (wm.top("x", 3), ["count"]),
    ],
)
def test_a_measure_keeps_the_partials_that_it_is_shown_from(measure: Measure, kinds: list[str]) -> None:
    assert [lift.kind for lift in measure.lifts] == kinds
    assert set(kinds) <= PARTIALS.keys()


def test_a_mean_a_sum_and_a_spread_of_one_column_share_their_sum() -> None:
    assert wm.mean("x").lifts[0] == wm.sum(" x ").lifts[0] == wm.stddev("x").lifts[0]
    assert wm.mean("x", where="y > 0").lifts[0] != wm.mean("x").lifts[0]


def test_what_a_top_ranks_is_one_more_dimension() -> None:
    measure = wm.top(" lower(x) ", 3, where="y > 0")
    assert (measure.expr, measure.limit, measure.lifts) == ("lower(x)", 3, (Lift("count", where="y > 0"),))


WRONG: Mapping[str, tuple[Callable[[], object], str, str]] = {
    "nothing": (lambda: wm.sum(""), "measure", "name what is measured"),
    "white space": (lambda: wm.max("  "), "measure", "name what is measured"),
    "no text": (lambda: wm.mean(5), "measure", "name what is measured"),  # type: ignore[arg-type]  # as users do
    "scale": (lambda: wm.sum("x", scale=19), "scale", "leave it out"),
    "digits": (lambda: wm.mean("x", digits=-1), "digits", "leave it out"),
    "sketch": (lambda: wm.distinct("x", size=15), "distinct size", "exact=True"),
    "top": (lambda: wm.top("x", 0), "top limit", "dimension"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_measure_is_refused(name: str) -> None:
    declare, subject, remedy = WRONG[name]
    error = refusal(declare)
    assert error.subject == subject
    assert remedy in error.remedy
