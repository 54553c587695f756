from __future__ import annotations

from itertools import pairwise

import pytest

from watersmeet.apps.learning.rhythm import HOUR_US, WEEK_US, Rush, weight

pytestmark = pytest.mark.unit

MONDAY_US = 1_764_547_200_000_000  # 2025-12-01T00:00
MINUTE_US = 60_000_000


def test_the_mean_of_a_week_is_one() -> None:
    weights = [weight(MONDAY_US + at) for at in range(0, WEEK_US, 10 * MINUTE_US)]
    assert sum(weights) / len(weights) == pytest.approx(1)
    assert weight(MONDAY_US + 3 * WEEK_US + HOUR_US) == weight(MONDAY_US + HOUR_US)


def test_days_are_busy_and_nights_are_not() -> None:
    tuesday, saturday = (MONDAY_US + day * 24 * HOUR_US for day in (1, 5))
    assert weight(tuesday + 10 * HOUR_US) > 10 * weight(tuesday + 3 * HOUR_US)
    assert weight(tuesday + 10 * HOUR_US) > 1.5 * weight(saturday + 10 * HOUR_US)


def test_it_changes_without_leaps() -> None:
    weights = [weight(MONDAY_US + at) for at in range(0, WEEK_US, MINUTE_US)]
    assert max(abs(a - b) for a, b in pairwise(weights)) < 0.02


@pytest.mark.parametrize("steady", [False, True])
def test_all_the_work_is_begun_once(steady: bool) -> None:
    rush = Rush(MONDAY_US + 17 * MINUTE_US, steady=steady)
    done = [rush.done(at, 100_003) for at in range(0, WEEK_US + 1, MINUTE_US)]
    assert (done[0], done[-1]) == (0, 100_003)
    assert done == sorted(done)
    last_day = done[-1] - done[6 * 1440]
    assert last_day == pytest.approx(100_003 / 7, abs=1) if steady else last_day > 1.4 * 100_003 / 7
