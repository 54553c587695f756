"""Slices whose records executors read from a real broker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Producer

from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.core.address import Address, parse_address

from .bench import ENGINE, Bench, Commits, turn_of
from .films import NOW_MS, records

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas")]


@pytest.fixture
def bench(tmp_path: Path, fleet: Address, request: pytest.FixtureRequest) -> Iterator[Bench]:
    address = parse_address(request.getfixturevalue("kafka"))
    with closing(KafkaLog(address, SystemClock())) as log:
        yield Bench(tmp_path, fleet, log, address)


@pytest.mark.parametrize("case", ["reviews", "no id"])
def test_slices_are_the_same(bench: Bench, case: str) -> None:
    turn = turn_of(case, watermark_us=(NOW_MS - 1_800_000) * 1_000, suffix=uuid.uuid4().hex[:8])
    ours, theirs = Commits(ENGINE.ids()), Commits(ENGINE.ids())
    for first in (0, 300):
        lower, upper = bench.fill(turn.topic, 300, first)
        expected = theirs.run(bench.local(), turn, lower, upper)
        assert ours.run(bench.spark(), turn, lower, upper) == expected
    total = [entry for each in ours.found for entry in each.ledger]
    assert sum(e.used for e in total) > 300
    assert sum(e.dead for e in total) > 20
    assert (sum(e.duplicates for e in total) > 20) is (turn.topic.id is not None)


def test_offsets_without_records_are_holes(bench: Bench) -> None:
    """Of transactions: markers, and records that were taken back."""
    turn = turn_of("reviews", suffix=uuid.uuid4().hex[:8])
    lower, first = bench.fill(turn.topic, 20)
    assert bench.records is not None
    servers = {"bootstrap.servers": bench.records.servers(), "transactional.id": uuid.uuid4().hex}
    producer = Producer(servers)
    producer.init_transactions(30)
    sent = list(records(turn.topic.name, 10, 100))
    for kept in (True, False, True, False):
        producer.begin_transaction()
        for record in sent:
            producer.produce(turn.topic.name, record.value, record.key, partition=0)
        producer.flush()
        (producer.commit_transaction if kept else producer.abort_transaction)(30)
    while (upper := bench.log.end(turn.topic.name))[0] < first[0] + 4 * len(sent) + 4:
        pass  # the brokers write their markers a moment after they have promised to
    ours, theirs = Commits(ENGINE.ids()), Commits(ENGINE.ids())
    expected = theirs.run(bench.local(), turn, lower, upper)
    assert ours.run(bench.spark(), turn, lower, upper) == expected
    assert sum(entry.holes for entry in ours.found[0].ledger) > 20
