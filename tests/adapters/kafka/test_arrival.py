from __future__ import annotations

import uuid

import pyarrow as pa
import pytest

from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.clock import ManualClock, SystemClock
from watersmeet.core.address import parse_address
from watersmeet.core.errors import ConflictError
from watersmeet.core.record import Record

pytestmark = pytest.mark.integration


def test_a_simulation_may_take_its_own_clock_for_arrivals(kafka: str) -> None:
    then_us = SystemClock().now_us() // 1_000_000 * 1_000_000 - 3_600_000_000  # younger than the retention
    topic, clock = f"arrival-{uuid.uuid4().hex[:8]}", ManualClock(then_us)
    with KafkaLog(parse_address(f"{kafka}&arrival=clock"), clock) as log:
        log.create(topic, 1)
        log.append(topic, [Record(b"a"), Record(b"b")])
        clock.advance(5.0)
        log.append(topic, [Record(b"c")])
        found = pa.table(log.read(topic, (0,), log.end(topic), 10))
    assert found["arrival"].to_pylist() == [then_us, then_us, then_us + 5_000_000]
    with KafkaLog(parse_address(kafka), clock) as other:
        with pytest.raises(ConflictError, match=r"message\.timestamp\.type"):
            other.create(topic, 1)
        with pytest.raises(ConflictError, match="LogAppendTime"):
            other.read(topic, (0,), other.end(topic), 10)
