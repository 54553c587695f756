"""What the cluster itself is asked and told: topics, their settings, their bounds. Every call is bounded in time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions as GroupPositions
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types say only where these come from
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from watersmeet.core.address import Address
from watersmeet.core.errors import UnavailableError
from watersmeet.core.frontier import Frontier

from .failure import told
from .options import DRIVER_LOGGER, KafkaOptions, client

_GRACE_SECONDS = 5.0
_PASSING_SECONDS = 0.05
_PASSING = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError._NOENT,  # no leader found
}
"""Said while a partition changes its leader, or has none yet; the driver does not try again by itself."""
_K = TypeVar("_K")


@dataclass(frozen=True, slots=True)
class Described:
    """A topic as the brokers have it.

    Args:
        partitions: how many.
        replication: copies of the partition that has fewest.
        config: Kafka's setting -> value, all of them.
    """

    partitions: int
    replication: int
    config: Mapping[str, str]


class Brokers:
    """The cluster's administration. Safe to share between threads.

    Args:
        address, options: of the cluster.
    """

    def __init__(self, address: Address, options: KafkaOptions) -> None:
        self._address = address
        self._seconds = options.timeout_seconds
        self._attempts = int(options.timeout_seconds / _PASSING_SECONDS)
        self._bound = {"request_timeout": options.timeout_seconds}
        self._pause = threading.Event()  # never set
        with told(f"{address}"):
            self._client = AdminClient(client(address, options), logger=DRIVER_LOGGER)

    def describe(self, topic: str) -> Described | None:
        """The topic as it is; None if there is none."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        with told(f"topic {topic}"):
            try:
                found = self._all(topic, lambda b: self._client.describe_topics(TopicCollection([topic]), **b))[topic]
                config = self._all(topic, lambda b: self._client.describe_configs([resource], **b))[resource]
            except KafkaException as error:
                if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    return None
                raise
        return Described(
            len(found.partitions),
            min(len(partition.replicas) for partition in found.partitions),
            {name: entry.value for name, entry in config.items()},
        )

    def create(self, topic: str, partitions: int, replication: int, config: Mapping[str, str]) -> KafkaError | None:
        """Make a topic; the driver's error if the brokers refuse, also if somebody else has made it meanwhile."""
        new = NewTopic(topic, partitions, replication, config=dict(config))
        with told(f"topic {topic}"):
            try:
                self._all(topic, lambda b: self._client.create_topics([new], operation_timeout=self._seconds, **b))
            except KafkaException as error:
                refusal: KafkaError = error.args[0]
                return refusal
        return None

    def starts(self, topic: str, partitions: int) -> Frontier:
        """The oldest offset kept in each partition."""
        return self._offsets(topic, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]  # the driver's

    def ends(self, topic: str, partitions: int) -> Frontier:
        """The offset after the last record of each partition that is committed, whatever was begun after it."""
        return self._offsets(topic, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]  # the driver's

    def delete(self, topic: str, below: Frontier) -> None:
        """Delete the records below a frontier."""
        places = [TopicPartition(topic, partition, offset) for partition, offset in enumerate(below)]
        with told(f"topic {topic}"):
            self._all(topic, lambda b: self._client.delete_records(places, **b))

    def move(self, group: str, topic: str, frontier: Frontier, done: Callable[[Future[Any]], None]) -> None:
        """Set where a consumer group stands, without waiting; ``done`` is told in a thread of the driver."""
        places = [TopicPartition(topic, partition, offset) for partition, offset in enumerate(frontier)]
        asked = self._client.alter_consumer_group_offsets([GroupPositions(group, places)], **self._bound)
        for future in asked.values():
            future.add_done_callback(done)

    def describe_cluster(self) -> tuple[str, list[tuple[str, int]]]:
        """Its id, and the host and port of each broker that is at work."""
        with told(f"{self._address}"):
            found = self._client.describe_cluster(**self._bound).result(self._seconds + _GRACE_SECONDS)
        return found.cluster_id, [(node.host, node.port) for node in found.nodes]

    def _offsets(self, topic: str, partitions: int, of: OffsetSpec) -> Frontier:
        asked = {TopicPartition(topic, partition): of for partition in range(partitions)}
        committed = IsolationLevel.READ_COMMITTED
        with told(f"topic {topic}"):
            for _ in range(self._attempts):
                found = self._all(topic, lambda b: self._client.list_offsets(asked, isolation_level=committed, **b))
                by_partition = {place.partition: result.offset for place, result in found.items()}
                offsets = tuple(by_partition[partition] for partition in range(partitions))
                if min(offsets) >= 0:
                    return offsets
                self._look_again(topic)  # of a partition whose leader is gone the driver says -1001, and no error
        raise UnavailableError(f"topic {topic}", expected="brokers that lead all partitions", got=str(offsets))

    def _all(self, topic: str, ask: Callable[[dict[str, float]], Mapping[_K, Future[Any]]]) -> dict[_K, Any]:
        """All answers; asked again while leaders change."""
        for _ in range(self._attempts):
            futures = ask(self._bound)
            try:
                return {key: future.result(self._seconds + _GRACE_SECONDS) for key, future in futures.items()}
            except KafkaException as error:
                if error.args[0].code() not in _PASSING:
                    raise
                passing = error
            self._look_again(topic)
        raise passing

    def _look_again(self, topic: str) -> None:
        """Wait a little, then have the driver learn who leads the topic; by itself it asks whom it knows."""
        self._pause.wait(_PASSING_SECONDS)
        self._client.list_topics(topic, self._seconds)
