"""What several answers together rest on, and runs of days."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

import watersmeet as wm
from watersmeet.apps.learning.asking import DAY_US, Span, days, health, joined, pulse
from watersmeet.core.answer import Rest

pytestmark = pytest.mark.unit

NOW_US = 1_765_803_600_000_000
REST = Rest(7, (3,), 2, 1, None, None, NOW_US - 1_000_000, 0)
GOOD = wm.Receipt("a", NOW_US, True, True, "match", 1.0, {"auth": REST}, "f1")


def at_rest(**changes: object) -> wm.Receipt:
    """A receipt whose one topic rests on something else."""
    return replace(GOOD, topics={"auth": replace(REST, **changes)})  # type: ignore[arg-type]  # fields of several types


def test_one_answer_keeps_its_receipt() -> None:
    assert joined("whole", [GOOD]) == replace(GOOD, name="whole")


def test_several_answers_are_as_good_as_the_least_of_them() -> None:
    other = wm.Receipt(
        "b", NOW_US + 5, False, False, "mismatch", 0.5, {"video": REST}, "f2", ("epoch 3 is missing",), {"n": 0.01}, "x"
    )
    assert joined("whole", [GOOD, other]) == wm.Receipt(
        "whole", NOW_US, False, False, "mismatch", 0.5, {"auth": REST, "video": REST}, "f1+f2",
        ("epoch 3 is missing",), {"n": 0.01}, "x",
    )  # fmt: skip
    twice = [replace(GOOD, errors={"n": 0.02}), replace(GOOD, errors={"n": 0.01, "m": 0.03})]
    assert joined("whole", twice).errors == {"n": 0.02, "m": 0.03}
    assert joined("whole", [replace(GOOD, audit="none", match_rate=None), GOOD]).audit == "match"
    assert joined("whole", [replace(GOOD, audit="none", match_rate=None)] * 2).match_rate is None


def test_a_topic_that_moved_on_is_told_with_its_older_state() -> None:
    newer = at_rest(version=9, frontier=(5,), epochs=3, slices=4, missing=(1,))
    found = joined("whole", [newer, GOOD])
    assert found.topics == {"auth": replace(REST, epochs=2, slices=4, missing=(1,))}
    assert found.reasons == ("auth moved on while the answer was read",)


@pytest.mark.parametrize(
    ("receipt", "expected"),
    [
        (GOOD, "healthy"),
        (at_rest(arrival_us=None), "empty"),
        (at_rest(arrival_us=NOW_US - 300_000_000), "healthy"),
        (at_rest(arrival_us=NOW_US - 300_000_001), "stale"),
        (at_rest(arrival_us=NOW_US - 300_000_001, unread=1), "behind"),
        (replace(GOOD, audit="mismatch"), "mismatch"),
        (replace(GOOD, complete=False, audit="mismatch"), "incomplete"),
    ],
)
def test_health_is_the_worst_that_is_true(receipt: wm.Receipt, expected: str) -> None:
    assert health(receipt) == expected


def test_the_pulse_of_one_topic_is_its_own() -> None:
    both = replace(GOOD, topics={"auth": REST, "video": replace(REST, arrival_us=None)})
    assert (pulse(both), pulse(both, "auth"), pulse(both, "video")) == ("healthy", "healthy", "empty")


def test_runs_of_days_hold_both_their_ends() -> None:
    day = dt.date(1970, 1, 3)
    assert days(None, None) == Span()
    assert days(None, None).bounds is None
    assert days(day, day).bounds == (2 * DAY_US, 3 * DAY_US)
    assert days(day, dt.date(1970, 1, 4)).bounds == (2 * DAY_US, 4 * DAY_US)
    open_end, open_start = days(day, None).bounds, days(None, day).bounds
    assert open_end is not None
    assert open_start is not None
    assert (open_end[0], open_start[1]) == (2 * DAY_US, 3 * DAY_US)
    assert open_end[1] > NOW_US > 0 > open_start[0]


def test_days_that_end_before_they_start_are_refused() -> None:
    with pytest.raises(wm.RequestError, match="end_date; expected 2025-12-15 or later; got 2025-12-14"):
        days(dt.date(2025, 12, 15), dt.date(2025, 12, 14))
