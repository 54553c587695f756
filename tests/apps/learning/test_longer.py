from __future__ import annotations

import pytest

import watersmeet as wm
from watersmeet.apps.learning import longer
from watersmeet.apps.learning.course import course_activity
from watersmeet.apps.learning.sample import event
from watersmeet.core.declarations import collect
from watersmeet.testing.kit import check

pytestmark = pytest.mark.integration


def test_the_quarter_of_an_hour_and_the_hour_are_what_their_minutes_add_up_to() -> None:
    clocks = ("12:01:00", "12:14:59", "12:15:00", "13:00:00")
    given = [event("COURSE", f"c{i}", clock, "COURSE_VIEW", "SV001", course_id="C1") for i, clock in enumerate(clocks)]
    [quarter, hour] = [query for query in longer.longer if query.name.startswith("course_")]
    examples = [
        wm.Example(of=quarter, given=given, expect=[{"total_interactions": n} for n in (2, 1, 1)]),
        wm.Example(of=hour, given=given, expect=[{"total_interactions": n} for n in (3, 1)]),
    ]
    outcomes = check(collect([course_activity, *examples]), torture=1)
    assert all(outcome.passed for outcome in outcomes), [outcome.complaints for outcome in outcomes]
