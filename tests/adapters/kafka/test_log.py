"""The log on Kafka beyond its port: transactions, compaction, expiry, settings of topics, arrivals, the mirror."""

from __future__ import annotations

import logging
import random
import re
import threading
import uuid

import pyarrow as pa
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Message, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types say only where these come from
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.clock import ManualClock, SystemClock
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import ConflictError, GapError, RequestError, SettingsError, UnavailableError
from watersmeet.core.frontier import Frontier
from watersmeet.core.record import Position, Record
from watersmeet.testing.services.server import free_ports

pytestmark = pytest.mark.integration
DAY_US = 24 * 3_600_000_000


@pytest.fixture
def topic() -> str:
    return f"ratings-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def address(kafka: str) -> Address:
    return parse_address(kafka)


@pytest.fixture
def admin(address: Address) -> AdminClient:
    return AdminClient({"bootstrap.servers": address.servers()})


def opened(url: str, topic: str = "", **options: str) -> KafkaLog:
    """A log on real time; ``options`` hold for ``topic``."""
    return KafkaLog(parse_address(url), SystemClock(), {topic: options} if options else None)


def alter(admin: AdminClient, topic: str, **settings: str) -> None:
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result()


def values(table: pa.Table) -> list[bytes]:
    return [value.as_py() for value in table["value"]]


def everything(log: KafkaLog, topic: str) -> list[bytes]:
    return values(log.read(topic, log.start(topic), log.end(topic), 1_000_000))


class Transactions:
    """A producer of somebody else, which commits some of its transactions and aborts others."""

    def __init__(self, address: Address, topic: str) -> None:
        self.topic = topic
        self.kept: dict[Position, bytes] = {}
        self.producer = Producer({"bootstrap.servers": address.servers(), "transactional.id": topic, "linger.ms": 0})
        self.producer.init_transactions()

    def run(self, places: list[tuple[int, bytes]], *, commit: bool) -> None:
        written: dict[Position, bytes] = {}

        def note(error: object, message: Message[bytes, bytes]) -> None:
            assert error is None
            written[Position(message.partition() or 0, message.offset() or 0)] = message.value() or b""

        self.producer.begin_transaction()
        for partition, value in places:
            self.producer.produce(self.topic, value, partition=partition, on_delivery=note)
        self.producer.flush()
        if commit:
            self.producer.commit_transaction()
            self.kept |= written
        else:
            self.producer.abort_transaction()


def test_any_interval_of_a_topic_with_transactions_is_what_was_committed_in_it(
    kafka: str, address: Address, topic: str
) -> None:
    """Offsets of a partition, with k kept, x aborted and m a marker; every interval of them, at every limit:

    k k m x x x m k m x m k k k m …
    """
    chance = random.Random(7)
    with opened(kafka) as log:
        log.create(topic, 3)
        producer = Transactions(address, topic)
        for i in range(40):
            places = [(chance.randrange(3), b"%d-%d" % (i, j)) for j in range(chance.randrange(1, 9))]
            producer.run(places, commit=chance.random() < 0.6)
        end, kept = log.end(topic), producer.kept
        assert sum(end) > len(kept) + 40
        for _ in range(50):
            bounds = [sorted(chance.randint(0, high) for _ in range(2)) for high in end]
            lower, upper = tuple(low for low, _ in bounds), tuple(high for _, high in bounds)
            limit = chance.choice((1, 5, 30, 1_000))
            inside = {at: v for at, v in kept.items() if lower[at.partition] <= at.offset < upper[at.partition]}
            assert read_in_turns(log, topic, lower, upper, limit) == inside


def read_in_turns(log: KafkaLog, topic: str, lower: Frontier, upper: Frontier, limit: int) -> dict[Position, bytes]:
    """The whole interval, as a runner reads it: after a chunk that is full, on from each partition's last record."""
    found: dict[Position, bytes] = {}
    while True:
        table = log.read(topic, lower, upper, limit)
        reached = list(lower)
        for row in table.to_pylist():
            assert row["offset"] >= reached[row["partition"]]
            reached[row["partition"]] = row["offset"] + 1
            found[Position(row["partition"], row["offset"])] = row["value"]
        if table.num_rows < limit:
            return found
        assert table.num_rows == limit
        lower = tuple(reached)


def test_an_open_transaction_holds_back_the_end_and_stalls_no_reader(kafka: str, address: Address, topic: str) -> None:
    with opened(kafka) as log:
        log.create(topic, 1)
        log.append(topic, [Record(b"before")])
        producer = Transactions(address, topic).producer
        producer.begin_transaction()
        producer.produce(topic, b"open", partition=0)
        producer.flush()
        log.append(topic, [Record(b"behind")])
        assert log.end(topic) == (1,)
        assert everything(log, topic) == [b"before"]
        producer.abort_transaction()
        while log.end(topic) == (1,):
            pass
        assert everything(log, topic) == [b"before", b"behind"]


def test_compaction_leaves_holes_that_reading_passes_over(kafka: str, admin: AdminClient, topic: str) -> None:
    with opened(kafka, topic, cleanup="compact", compaction_lag="1s", least_retention="1s") as log:
        log.create(topic, 1)
        alter(admin, topic, segment_ms="100", min_compaction_lag_ms="0", min_cleanable_dirty_ratio="0.001")
        with pytest.raises(RequestError, match="no key only where the topic is not compacted"):
            log.append(topic, [Record(b"without a key")])
        log.append(topic, [Record(b"%d" % i, b"key-%d" % (i % 5)) for i in range(500)])
        appended = 500
        while len(found := everything(log, topic)) > 100:
            log.append(topic, [Record(b"%d" % appended, b"roller")])
            appended += 1
        end = log.end(topic)
        assert end == (appended,)
        assert set(found) >= {b"%d" % i for i in range(495, 500)}
        assert sorted(read_in_turns(log, topic, (0,), end, 3).values()) == sorted(found)
        log.trim(topic, end)
        assert log.start(topic) == (0,)


def test_expired_records_are_a_gap_and_never_skipped(kafka: str, admin: AdminClient, topic: str) -> None:
    with opened(kafka, topic, retention="1s", least_retention="1s") as log:
        log.create(topic, 1)
        alter(admin, topic, segment_ms="100")
        log.append(topic, [Record(b"x" * 1_000) for _ in range(100)])
        assert log.read(topic, (0,), (100,), 10).num_rows == 10
        while log.start(topic) < (100,):
            log.append(topic, [Record(b"roller")])
        start, end = log.start(topic), log.end(topic)
        gap = (
            rf"topic {topic}, partition 0; expected {start[0]}, the oldest kept.*\. Read older records from the archive"
        )
        with pytest.raises(GapError, match=gap):
            log.read(topic, (0,), end, 10)
        with opened(kafka) as other, pytest.raises(GapError, match=gap):
            other.read(topic, (10,), end, 10)
        assert log.read(topic, start, end, 10_000).num_rows == end[0] - start[0]


def test_arrivals_are_the_brokers_time_and_never_go_back(kafka: str, address: Address, topic: str) -> None:
    clock = SystemClock()
    with opened(kafka) as log:
        log.create(topic, 1)
        before = clock.now_us()
        theirs = Producer({"bootstrap.servers": address.servers()})
        for i in range(20):
            log.append(topic, [Record(b"ours")])
            theirs.produce(topic, b"theirs", partition=0, timestamp=1_000 + i)
            theirs.flush()
        after = clock.now_us()
        found = [row["arrival"] for row in log.read(topic, (0,), log.end(topic), 100).to_pylist()]
    assert len(found) == 40
    assert found == sorted(found)
    assert before // 1_000 * 1_000 <= found[0]
    assert found[-1] <= after


def test_a_topic_with_producers_times_is_refused(kafka: str, admin: AdminClient, topic: str) -> None:
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    with opened(kafka) as log:
        log.append(topic, [Record(b"1")])
        with pytest.raises(ConflictError, match="LogAppendTime"):
            log.read(topic, (0,), log.end(topic), 10)


def test_what_others_write_is_read_whole(kafka: str, address: Address, topic: str) -> None:
    with opened(kafka) as log:
        log.create(topic, 1)
        theirs = Producer({"bootstrap.servers": address.servers()})
        theirs.produce(topic, None, key=b"deleted")
        theirs.produce(topic, b"v", headers=[("twice", b"1"), ("twice", b"2"), ("nothing", None)])
        theirs.flush()
        rows = log.read(topic, (0,), log.end(topic), 10).to_pylist()
    assert [(row["key"], row["value"]) for row in rows] == [(b"deleted", b""), (None, b"v")]
    assert rows[1]["headers"] == [("twice", b"1"), ("twice", b"2"), ("nothing", b"")]


def test_a_topic_is_made_with_what_keeps_its_records_safe(kafka: str, admin: AdminClient, topic: str) -> None:
    with opened(kafka) as log:
        log.create(topic, 2, 5 * DAY_US)
    resource = ConfigResource(ResourceType.TOPIC, topic)
    found = {name: entry.value for name, entry in admin.describe_configs([resource])[resource].result().items()}
    wanted = {
        "message.timestamp.type": "LogAppendTime",
        "retention.ms": str(5 * 24 * 3_600_000),
        "retention.bytes": "-1",
        "cleanup.policy": "delete",
        "min.insync.replicas": "1",
        "unclean.leader.election.enable": "false",
    }
    assert {name: found[name] for name in wanted} == wanted


def test_an_existing_topic_that_differs_is_reported_whole_and_left_alone(
    kafka: str, admin: AdminClient, topic: str
) -> None:
    config = {"retention.ms": "3600000", "cleanup.policy": "compact,delete", "retention.bytes": "1000000"}
    admin.create_topics([NewTopic(topic, 4, 1, config=config)])[topic].result()
    with opened(kafka) as log:
        with pytest.raises(ConflictError) as caught:
            log.create(topic, 3)
        assert log.partitions(topic) == 4
    for difference in (
        "4 partitions, not 3",
        "message.timestamp.type=CreateTime, not LogAppendTime",
        "retention.ms=3600000, not at least 604800000",
        "cleanup.policy=compact,delete, not delete",
        "retention.bytes=1000000, not -1",
    ):
        assert difference in str(caught.value)
    resource = ConfigResource(ResourceType.TOPIC, topic)
    found = admin.describe_configs([resource])[resource].result()
    assert {name: found[name].value for name in config} == config


def test_more_copies_than_brokers_are_refused_with_what_to_write(kafka: str, topic: str) -> None:
    with opened(f"{kafka.partition('?')[0]}?replication=9&min_insync=2") as log:
        with pytest.raises(SettingsError, match=r"at least 9 brokers.*replication=1&min_insync=1"):
            log.create(topic, 1)
        with pytest.raises(RequestError):
            log.partitions(topic)


def test_a_retention_that_the_archive_may_not_meet_is_refused_unless_meant(kafka: str, topic: str) -> None:
    with opened(kafka) as log:
        with pytest.raises(SettingsError, match=r"at least 72 h.*got 48 h.*least_retention=172800s"):
            log.create(topic, 1, 2 * DAY_US)
        with pytest.raises(RequestError):
            log.partitions(topic)
    with opened(kafka, topic, least_retention="172800s") as log:
        log.create(topic, 1, 2 * DAY_US)


def test_a_record_that_is_too_large_is_refused_before_anything_is_appended(kafka: str, topic: str) -> None:
    with opened(kafka, topic, message_bytes="2000000") as log:
        log.create(topic, 1)
        with pytest.raises(RequestError, match="record 1 for topic") as caught:
            log.append(topic, [Record(b"small"), Record(bytes(2_000_000))])
        assert caught.value.kind == "too_large"
        assert log.end(topic) == (0,)
        blobs = [random.Random(i).randbytes(1_900_000) for i in range(12)]  # which no compression makes small
        log.append(topic, [Record(blob) for blob in blobs])
        assert read_in_turns(log, topic, (0,), (12,), 5) == {Position(0, i): blob for i, blob in enumerate(blobs)}


def test_partitions_that_somebody_adds_are_not_left_unread(kafka: str, admin: AdminClient, topic: str) -> None:
    clock = ManualClock(0)
    with KafkaLog(parse_address(kafka), clock) as log:
        log.create(topic, 2)
        log.append(topic, [Record(b"1"), Record(b"2")])
        admin.create_partitions([NewPartitions(topic, 3)])[topic].result()
        clock.advance(61.0)
        with pytest.raises(ConflictError, match="2 partitions, as when it was made; got 3"):
            log.end(topic)


def test_brokers_that_are_not_there_are_unavailable_within_the_time_out(topic: str) -> None:
    (port,) = free_ports(1)
    with opened(f"kafka://127.0.0.1:{port}?timeout_seconds=1") as log:
        for ask in (lambda: log.create(topic, 1), lambda: log.end(topic), log.probe):
            with pytest.raises(UnavailableError):
                ask()


def test_what_the_driver_cannot_use_is_a_wrong_setting(topic: str) -> None:
    with opened("kafka://127.0.0.1?tls=true&ca=/nowhere/ca.pem") as log:
        for ask in (log.probe, lambda: log.end(topic)):
            with pytest.raises(SettingsError, match=r"ca.location|nowhere"):
                ask()


def test_the_mirror_shows_the_last_frontier_to_the_tools_that_show_lag(
    kafka: str, admin: AdminClient, topic: str
) -> None:
    with opened(f"{kafka}{'&' if '?' in kafka else '?'}group={topic}") as log:
        log.create(topic, 2)
        log.append(topic, [Record(b"%d" % i) for i in range(20)])
        for i in range(11):
            log.mirror(topic, (i, i))
        while positions(admin, topic) != {0: 10, 1: 10}:
            pass


def positions(admin: AdminClient, group: str) -> dict[int, int]:
    (future,) = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
    return {place.partition: place.offset for place in future.result().topic_partitions}


def test_a_mirror_that_fails_is_a_line_in_the_log(topic: str) -> None:
    (port,) = free_ports(1)
    said = threading.Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if f"topic {topic}: its frontier could not be shown in consumer group tools" in record.getMessage():
                said.set()

    listener = Listener()
    logging.getLogger("watersmeet.adapters.kafka.mirror").addHandler(listener)
    try:
        with opened(f"kafka://127.0.0.1:{port}?timeout_seconds=1&group=tools") as log:
            log.mirror(topic, (1,))
            assert said.wait(30)
    finally:
        logging.getLogger("watersmeet.adapters.kafka.mirror").removeHandler(listener)


def test_probe_names_the_release_the_brokers_and_the_cluster(kafka: str) -> None:
    with opened(kafka) as log:
        assert re.fullmatch(r"Kafka 4\.3, 1 broker, cluster \S+", log.probe())


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
