from __future__ import annotations

import json

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.apps.learning.campus import Campus
from watersmeet.apps.learning.simulation import BACK_US, MOST_US, CampusSource
from watersmeet.apps.learning.topics import TOPICS
from watersmeet.runtime.wiring import manual_clock

pytestmark = pytest.mark.unit

NOON_US = 1_765_800_000_000_000


def test_a_campus_that_is_pulled_brings_what_has_arrived_whatever_the_pace() -> None:
    clock = manual_clock(NOON_US)
    source = CampusSource(clock, rate=0.5, seed=3)
    position, brought = None, list[tuple[str, wm.Record]]()
    for pause in (0, 0, 0, 0, 0, 0, 0, 61, 7_300, 0, 0, 5):
        clock.sleep(pause)
        pulled = source.pull(position)
        again = source.pull(position)
        assert again == pulled  # all progress lives in the position
        brought, position = [*brought, *pulled.records], pulled.position
    opens_us, until_us = json.loads(position or b"[0, 0]")
    assert (opens_us, until_us) == (NOON_US - BACK_US, clock.now_us())
    assert until_us - opens_us > 8 * MOST_US
    expected = list(Campus(0.5, opens_us=opens_us, seed=3).arrivals(opens_us, until_us))
    assert [(topic, record.value) for topic, record in brought] == [(topic, payload) for topic, _, payload in expected]
    assert {topic for topic, _ in brought} == {topic.name for topic in TOPICS.values()}
    keyed = pa.array([record.key for _, record in brought])
    assert keyed.null_count < len(keyed) / 100  # only some broken copies name nobody
