from __future__ import annotations

import pytest

from watersmeet.core.answer import Receipt, Rest

pytestmark = pytest.mark.unit


def receipt(*arrivals: int | None) -> Receipt:
    """Answered at 9 s, with a topic for each greatest arrival."""
    topics = {f"t{n}": Rest(1, (1,), 0, 1, 5 + n, 6, arrival, 0) for n, arrival in enumerate(arrivals)}
    return Receipt("sales", 9_000_000, True, True, "none", None, topics, "f")


def test_plain_values_have_what_is_stored_and_how_fresh_it_is() -> None:
    found = receipt(7_000_000, 8_500_000).as_dict()
    assert (found["name"], found["watermark_us"], found["freshness_seconds"]) == ("sales", 5, 0.5)
    assert found["topics"]["t1"]["frontier"] == (1,)  # type: ignore[index]  # plain values of any kind


def test_freshness_is_of_the_time_that_is_told() -> None:
    assert receipt(7_000_000).as_dict(10_000_000)["freshness_seconds"] == 3


def test_nothing_that_arrived_has_no_freshness() -> None:
    assert receipt(None).as_dict()["freshness_seconds"] is None
