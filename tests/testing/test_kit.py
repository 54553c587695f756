from __future__ import annotations

import pytest

import watersmeet as wm
from tests.faults import shop
from watersmeet.core.declarations import collect
from watersmeet.testing.kit import check

pytestmark = pytest.mark.integration


def order(name: str, minute: int, **more: object) -> dict[str, object]:
    return {"order_id": name, "product": "tea", "buyer": 1, "amount": 2.5, "at": shop.NOON_MS + minute * 60_000, **more}


GIVEN: list[dict[str, object]] = [
    order("a", 0),
    order("b", 0, buyer=2),
    order("a", 0),
    order("c", 3, amount=None),
    {"order_id": "broken"},
]
RIGHT = [
    {"product": "tea", "orders": 2, "revenue": 5, "buyers": 2, "growth": None},
    {"product": "tea", "orders": 1, "revenue": None, "growth": -1, "window_start": "2023-11-14T22:23:00"},
]


def test_a_right_example_survives_the_torture() -> None:
    [outcome] = check(collect([wm.Example(of=shop.sales, given=GIVEN, expect=RIGHT), shop.sales]), torture=6)
    assert outcome.passed, outcome.complaints
    assert outcome.runs == 7


def test_a_wrong_example_says_row_column_and_line() -> None:
    wrong = [{**RIGHT[0], "orders": 3}, RIGHT[1]]
    [outcome] = check(collect([wm.Example(of=shop.sales, given=GIVEN, expect=wrong), shop.sales]), torture=2)
    assert not outcome.passed
    assert "test_kit.py" in outcome.complaints[0]
    assert outcome.complaints[1] == "row 0, orders: expected 3, got 2"


def test_a_missing_row_is_a_complaint() -> None:
    [outcome] = check(collect([wm.Example(of=shop.sales, given=GIVEN, expect=RIGHT[:1]), shop.sales]), torture=0)
    assert outcome.complaints[1] == "expected 1 rows, got 2"


def test_an_example_of_a_topic_counts_outcomes() -> None:
    expect = [{"used": 3, "duplicates": 1, "dead": 1, "filtered": 0}]
    [outcome] = check(collect([wm.Example(of=shop.orders, given=GIVEN, expect=expect), shop.sales]), torture=6)
    assert outcome.passed, outcome.complaints


@pytest.mark.parametrize(("busy", "passed"), [(True, True), (False, False)])
def test_a_truth_value_is_compared(busy: bool, passed: bool) -> None:
    query = wm.Query("busy", {"s": shop.hourly}, "select hour, orders >= 3 as busy from s", ["hour"], "hour")
    example = wm.Example(of=query, given={"orders": GIVEN}, expect=[{"busy": busy}])
    [outcome] = check(collect([example, query]), torture=0)
    assert outcome.passed is passed


def test_a_query_is_tortured_like_a_view() -> None:
    expect = [{"product": "tea", "orders": 3, "revenue": 5}]
    [outcome] = check(
        collect([wm.Example(of=shop.hourly, given={"orders": GIVEN}, expect=expect), shop.hourly]), torture=6
    )
    assert outcome.passed, outcome.complaints


def test_torture_catches_a_measure_that_depends_on_the_order_of_arrival() -> None:
    """What a user can get wrong: a tie in event time broken by position is left alone, another order is not."""
    first = wm.View("first_seen", topic=shop.orders, measures={"buyer": wm.first("buyer")})
    given = [order("a", 5, buyer=5), order("b", 1, buyer=1), order("c", 9, buyer=9)]
    [outcome] = check(collect([first, wm.Example(of=first, given=given, expect=[{"buyer": 1}])]), torture=8)
    assert outcome.passed, outcome.complaints


def test_the_films_examples_hold() -> None:
    from watersmeet.runtime import loading

    outcomes = check(loading.load("watersmeet.apps.movies").declarations, torture=2)
    assert len(outcomes) >= 4
    assert [o for o in outcomes if not o.passed] == []


def test_examples_of_a_topic_in_avro_are_written_as_json() -> None:
    topic = wm.Topic("taps", schema={"user": "varchar not null", "n": "integer"}, format="avro")
    view = wm.View("taps_by_user", topic=topic, dimensions=["user"], measures={"n": wm.sum("n")})
    example = wm.Example(of=view, given=[{"user": "a", "n": 1}, {"user": "a", "n": 2}], expect=[{"user": "a", "n": 3}])
    [found] = check(collect([view, example]), torture=3)
    assert found.complaints == ()
