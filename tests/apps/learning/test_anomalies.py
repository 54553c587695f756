from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.apps.learning import anomalies
from watersmeet.apps.learning.anomalies import BASELINES
from watersmeet.apps.learning.detector import learned_anomalies
from watersmeet.apps.learning.examples_anomalies import examples
from watersmeet.core.declarations import collect
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.testing.kit import check

from . import oracle

pytestmark = pytest.mark.integration

ENGINE = ColumnarEngine(threads=1)
MONDAY = dt.datetime(2025, 9, 1)
NOON, NIGHT = 12, 3
HOUR = dt.timedelta(hours=1)
Counts = Mapping[dt.datetime, int]


def at(week: int, day: int = 0, hour: int = NOON) -> dt.datetime:
    """An hour of a week; weeks and days count from 0, days from Monday."""
    return MONDAY + dt.timedelta(weeks=week, days=day, hours=hour)


def judged(
    query: wm.Query, hours: Iterable[Mapping[str, object]], days: Iterable[dt.datetime]
) -> dict[tuple[str, dt.datetime], dict[str, Any]]:
    """The verdict on each hour, given hours of one dimension and the days on which anything happened."""
    dimension = query.key[1]
    rows = [{"window_end": row["window_start"] + HOUR, **row} for row in hours]  # type: ignore[operator]  # a time
    numbers = sorted({name for row in rows for name in row} - {"window_start", "window_end", dimension})
    kinds = [("window_start", pa.timestamp("us")), ("window_end", pa.timestamp("us")), (dimension, pa.string())]
    tables = {
        "hours": pa.Table.from_pylist(rows, pa.schema([*kinds, *((name, pa.int64()) for name in numbers)])),
        "days": pa.table({"window_start": pa.array(sorted(set(days)), pa.timestamp("us"))}),
    }
    found = pa.table(ENGINE.query(query.sql, tables, as_of_us=0)).to_pylist()
    return {(row[dimension], row["window_start"]): row for row in found}


def submissions(counts: Counts, course: str = "C1", *, more: Counts | None = None) -> dict[dt.datetime, dict[str, Any]]:
    """The verdicts on hours of a course, where ``more`` happened in another one."""
    rows = [
        {"window_start": when, "course_id": name, "submissions": count}
        for name, of in ((course, counts), ("other", more or {}))
        for when, count in of.items()
    ]
    days = [when.replace(hour=0) for when in (*counts, *(more or {}))]
    found = judged(anomalies.submission_baseline, rows, days)
    return {when: row for (name, when), row in found.items() if name == course}


def test_a_spike_is_flagged_and_explained() -> None:
    # median of 6, 4, 5, 5 is 5; the spread is its root, 2.236; (31 - 5) / 2.236 = 11.63
    found = submissions({at(0): 6, at(1): 4, at(2): 5, at(3): 5, at(4): 31})[at(4)]
    assert (found["observed"], found["expected"], found["score"], found["is_anomaly"]) == (31, 5.0, 11.63, True)
    assert found["reason"] == "31 submissions, 5.0 expected from 4 weeks before: 11.6 spreads of 2.2 away"


def test_the_hour_before_and_all_together_stand_beside_it() -> None:
    found = submissions({at(4, hour=11): 8, at(4): 31}, more={at(4): 9})
    assert (found[at(4)]["previous"], found[at(4)]["together"]) == (8, 40)
    assert (found[at(4, hour=11)]["previous"], found[at(4, hour=11)]["together"]) == (0, 8)


def test_what_is_usual_at_noon_is_strange_at_night() -> None:
    weeks = {at(week, hour=hour): count for week in range(5) for hour, count in ((NOON, 60), (NIGHT, 1))}
    assert not any(row["is_anomaly"] for row in submissions(weeks).values())
    assert submissions({**weeks, at(4, hour=NIGHT): 60})[at(4, hour=NIGHT)]["is_anomaly"]


def test_a_busy_monday_and_a_calm_saturday_are_as_usual_and_a_busy_saturday_is_not() -> None:
    weeks = {at(week, day): count for week in range(5) for day, count in ((0, 60), (5, 6))}
    assert not any(row["is_anomaly"] for row in submissions(weeks).values())
    assert submissions({**weeks, at(4, 5): 60})[at(4, 5)]["is_anomaly"]


@pytest.mark.parametrize(("week", "flagged"), [(0, False), (1, False), (2, True)])
def test_nothing_is_flagged_before_there_are_two_weeks_of_history(week: int, flagged: bool) -> None:
    found = submissions({at(each): 500 if each == week else 5 for each in range(week + 1)})[at(week)]
    assert (found["expected"] is not None, found["is_anomaly"]) == (flagged, flagged)
    assert flagged or found["reason"] == f"500 submissions; only {week} weeks of history"


def test_a_course_without_any_history_is_judged_by_its_silence() -> None:
    quiet = {at(week): 1 for week in range(4)}
    loud = submissions({at(4): 10}, more=quiet)[at(4)]
    assert (loud["expected"], loud["score"], loud["is_anomaly"]) == (0.0, 10.0, True)
    assert not submissions({at(4): 9}, more=quiet)[at(4)]["is_anomaly"]  # too few to mean anything


def test_silence_counts_as_none_and_days_on_which_nothing_happened_do_not_count() -> None:
    # four weeks are known by the other course; this one had 12 in one of them: the median of 0, 0, 0, 12 is 0
    known = {at(week): 1 for week in range(4)}
    assert submissions({at(2): 12, at(4): 12}, more=known)[at(4)]["expected"] == 0
    # the same where the first two weeks are unknown: the median of 12 and 0 is 6
    assert submissions({at(2): 12, at(4): 12}, more={at(3): 1})[at(4)]["expected"] == 6


def test_a_slow_drift_is_as_usual() -> None:
    weeks = {at(week): round(200 * 1.08**week) for week in range(12)}
    assert not any(row["is_anomaly"] for row in submissions(weeks).values())


def test_one_strange_week_neither_hides_the_next_nor_raises_an_alarm() -> None:
    weeks = {at(0): 20, at(1): 22, at(2): 19, at(3): 300}
    assert submissions({**weeks, at(4): 300})[at(4)]["is_anomaly"]
    assert not submissions({**weeks, at(4): 21})[at(4)]["is_anomaly"]


def test_weeks_that_differ_among_themselves_widen_the_spread() -> None:
    assert submissions({at(0): 20, at(1): 20, at(2): 20, at(3): 20, at(4): 60})[at(4)]["is_anomaly"]
    assert not submissions({at(0): 5, at(1): 35, at(2): 8, at(3): 32, at(4): 60})[at(4)]["is_anomaly"]


def test_what_is_older_than_four_weeks_is_forgotten() -> None:
    weeks = {at(week): 1000 for week in range(3)} | {at(week): 10 for week in range(3, 8)}
    assert submissions(weeks)[at(7)]["expected"] == 10


def viewings(*weeks: tuple[int, int]) -> dict[str, Any]:
    """The verdict on the last of some weeks, of each of which starts and abandoned viewings are given."""
    rows = [
        {"window_start": at(week), "course_id": "C1", "starts": starts, "abandoned": abandoned}
        for week, (starts, abandoned) in enumerate(weeks)
    ]
    days = [at(week, hour=0) for week in range(len(weeks))]
    return judged(anomalies.drop_off_baseline, rows, days)["C1", at(len(weeks) - 1)]


def test_a_drop_off_is_judged_as_a_share() -> None:
    # of 80 viewings 3 were left, with the 20 and 1 beside them 4 of 100: of 25 one is expected, with a spread of 1
    found = viewings((20, 1), (20, 0), (20, 1), (20, 1), (25, 20))
    assert (found["observed"], found["expected"], found["score"], found["is_anomaly"]) == (20, 1.0, 19.0, True)
    assert not viewings((20, 1), (20, 0), (20, 1), (20, 1), (25, 2))["is_anomaly"]
    assert not viewings((20, 1), (20, 0), (20, 1), (20, 1), (4, 4))["is_anomaly"]  # too few to mean anything
    # ten times as many who leave among ten times as many who begin are as usual
    assert not viewings((20, 3), (20, 4), (20, 3), (20, 2), (200, 30))["is_anomaly"]


def test_an_hour_in_which_all_stay_is_a_row_too() -> None:
    assert viewings((20, 0), (20, 0), (20, 0))["observed"] == 0


@pytest.mark.parametrize("seed", range(5))
def test_what_comes_later_never_changes_a_score(seed: int) -> None:
    draw = random.Random(seed)
    counts = {at(week, day, hour): draw.randint(1, 60) for week in range(7) for day in range(3) for hour in (3, 11, 12)}
    counts = {when: count for when, count in counts.items() if draw.random() < 0.8}
    whole = submissions(counts)
    for cut in draw.sample(sorted(counts), 12):
        early = submissions({when: count for when, count in counts.items() if when <= cut})
        assert early == {when: row for when, row in whole.items() if when <= cut}


@pytest.mark.parametrize("query", BASELINES.values(), ids=lambda query: query.name)
def test_a_range_reaches_four_weeks_back_and_not_ahead(query: wm.Query) -> None:
    shift = query.shifts["hours"]
    assert shift is not None
    assert (shift.before_us, shift.after_us) == (28 * 86_400_000_000, 0)


@pytest.mark.parametrize("example", examples, ids=lambda example: example.title)
def test_examples_hold_whatever_layer_has_the_records(example: wm.Example) -> None:
    served = [learned_anomalies] if isinstance(example.of, wm.Topic) else [example.of]
    [outcome] = check(collect([example, *served]), torture=2)
    assert outcome.passed, outcome.complaints


@pytest.mark.parametrize(
    "example", [x for x in examples if x.of in BASELINES.values()], ids=lambda example: example.title
)
def test_baselines_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []


def test_every_baseline_has_an_example() -> None:
    assert {query.name for query in BASELINES.values()} <= {example.of.name for example in examples}
