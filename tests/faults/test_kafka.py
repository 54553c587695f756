"""Kafka killed, paused, and one broker short: nothing acknowledged is lost, nothing is there twice, nothing hangs."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pytest

from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.core.address import parse_address
from watersmeet.core.errors import UnavailableError
from watersmeet.core.record import Position, Record
from watersmeet.testing.services.kafka import kafka
from watersmeet.testing.services.server import Server

pytestmark = pytest.mark.integration
KILLS = 20
PARTITIONS = 3
T = TypeVar("T")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("kafka")
    server = kafka(folder)
    with (folder / "1.properties").open("a") as settings:
        settings.write("broker.session.timeout.ms=500\nbroker.heartbeat.interval.ms=100\n")  # a restart is awaited less
    with server:
        yield server


class Writer:
    """A thread that appends without a pause, one small batch after the other, and knows what was acknowledged."""

    def __init__(self, log: KafkaLog, topic: str) -> None:
        self.log, self.topic = log, topic
        self.acknowledged: dict[Position, bytes] = {}
        self.attempts = Counter[bytes]()
        self._error: BaseException | None = None
        self._more = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(120)
        assert not self._thread.is_alive()
        assert self._error is None, self._error

    def wait(self, count: int) -> None:
        """Until so many more records are acknowledged."""
        with self._more:
            goal = len(self.acknowledged) + count
            done = self._more.wait_for(lambda: self._error or len(self.acknowledged) >= goal, timeout=120)
        assert done
        assert self._error is None, self._error

    def _run(self) -> None:
        number = 0
        try:
            while not self._stop.is_set():
                records = [Record(b"%d-%d" % (number, i), b"%d" % (number % 7)) for i in range(number % 5 + 1)]
                self._append(records)
                number += 1
        except BaseException as error:  # shown by the thread that waits
            self._error = error
            with self._more:
                self._more.notify_all()

    def _append(self, records: list[Record]) -> None:
        while True:
            self.attempts.update(record.value for record in records)
            try:
                positions = self.log.append(self.topic, records)
            except UnavailableError:
                continue
            with self._more:
                self.acknowledged.update(zip(positions, (record.value for record in records), strict=True))
                self._more.notify_all()
            return


def contents(log: KafkaLog, topic: str) -> dict[Position, bytes]:
    table: pa.Table = log.read(topic, log.start(topic), log.end(topic), 10_000_000)
    columns = (table.column(name).to_pylist() for name in ("partition", "offset", "value"))
    return {Position(partition, offset): value for partition, offset, value in zip(*columns, strict=True)}


def check(writer: Writer, found: dict[Position, bytes]) -> None:
    """All that was acknowledged is where it was said to be, copies are of attempts that failed, and keys in order."""
    assert {at: found.get(at) for at in writer.acknowledged} == writer.acknowledged
    copies = Counter(found.values())
    assert {value: n for value, n in copies.items() if n > writer.attempts[value]} == {}
    by_key: dict[int, list[tuple[int, int]]] = {}
    for _, value in sorted(writer.acknowledged.items()):
        number, _, index = value.partition(b"-")
        by_key.setdefault(int(number) % 7, []).append((int(number), int(index)))
    assert all(numbers == sorted(numbers) for numbers in by_key.values())


def test_a_broker_killed_again_and_again_loses_and_repeats_nothing(broker: Server) -> None:
    with KafkaLog(parse_address(broker.url), SystemClock()) as log:
        log.create("killed", PARTITIONS)
        with Writer(log, "killed") as writer:
            for _ in range(KILLS):
                writer.wait(20)
                broker.kill()
                broker.start()
            writer.wait(20)
        found = contents(log, "killed")
    check(writer, found)
    assert len(found) >= 20 * KILLS


def is_unavailable(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except UnavailableError:
        return True
    return False


def insist(ask: Callable[[], T]) -> T:
    """Ask until it is available, as the layers do."""
    while True:
        try:
            return ask()
        except UnavailableError:
            continue


def test_a_broker_that_hangs_is_unavailable_within_the_time_out_and_then_goes_on(broker: Server) -> None:
    with KafkaLog(parse_address(f"{broker.url}&timeout_seconds=1"), SystemClock()) as log:
        insist(lambda: log.create("paused", 1))
        insist(lambda: log.append("paused", [Record(b"before")]))
        assert set(insist(lambda: contents(log, "paused")).values()) == {b"before"}
        insist(lambda: log.append("paused", [Record(b"unread")]))
        end = insist(lambda: log.end("paused"))
        broker.pause()
        try:
            asks: dict[str, Callable[[], object]] = {
                "append": lambda: log.append("paused", [Record(b"during")]),
                "end": lambda: log.end("paused"),
                "start": lambda: log.start("paused"),
                "create": lambda: log.create("other", 1),
                "trim": lambda: log.trim("paused", (1,)),
                "probe": log.probe,
            }
            assert {name for name, ask in asks.items() if is_unavailable(ask)} == set(asks)
        finally:
            broker.resume()
        insist(lambda: log.append("paused", [Record(b"after")]))
        found = list(insist(lambda: contents(log, "paused")).values())
        unread = insist(lambda: log.read("paused", (end[0] - 1,), end, 10))
        assert unread.column("value").to_pylist() == [b"unread"]
    assert [value for value in dict.fromkeys(found) if value != b"during"] == [b"before", b"unread", b"after"]


def test_reading_from_a_broker_that_hangs_ends_with_the_time_out(broker: Server) -> None:
    with KafkaLog(parse_address(f"{broker.url}&timeout_seconds=1"), SystemClock()) as log:
        insist(lambda: log.create("read", 1))
        insist(lambda: log.append("read", [Record(bytes(100)) for _ in range(10)]))
        end = insist(lambda: log.end("read"))
        broker.pause()
        try:
            with pytest.raises(UnavailableError):
                log.read("read", (0,), end, 100)
        finally:
            broker.resume()
        assert insist(lambda: log.read("read", (0,), end, 100)).num_rows == end[0] >= 10


def test_of_three_brokers_one_may_be_killed(tmp_path: Path) -> None:
    with kafka(tmp_path, brokers=3) as cluster, KafkaLog(parse_address(cluster.url), SystemClock()) as log:
        log.create("copied", PARTITIONS)
        with Writer(log, "copied") as writer:
            writer.wait(100)
            before = contents(log, "copied")
            os.kill(cluster.pids[0], signal.SIGKILL)
            writer.wait(100)
            while len(during := contents(log, "copied")) < len(before) + 100:
                writer.wait(1)
        check(writer, contents(log, "copied"))
        assert before.items() <= during.items()
        assert set(writer.attempts.values()) == {1}
