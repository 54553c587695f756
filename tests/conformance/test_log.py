"""What every `Log` must do, whichever technology it stands on.

Offsets may have holes elsewhere than in the local log, so nothing here counts with them: records are compared by
value, and frontiers are taken from `end`. A new implementation is one row of IMPLEMENTATIONS; what it cannot do yet or
ever is in its gaps, each a strict xfail, so that a gap that has been closed fails until its row is removed.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pytest

from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.core.address import parse_address
from watersmeet.core.clock import Clock
from watersmeet.core.errors import ConflictError, GapError, RequestError
from watersmeet.core.frontier import Frontier, covers, size
from watersmeet.core.log import Log
from watersmeet.core.record import Position, Record

pytestmark = pytest.mark.integration
START_US = 1_700_000_000_000_000


@dataclass(frozen=True)
class Gap:
    """Why an implementation fails one test: not built, waiting for something outside, or out of its reach."""

    kind: Literal["notimpl", "notyet", "never"]
    reason: str


@dataclass(frozen=True)
class Implementation:
    """How to open a log for a test; opening twice gives the same log.

    Args:
        name: of the implementation.
        open: given a directory of the test, or the URL of the server.
        server: the fixture of the server it needs; empty if none. Tests share it, each with a topic of its own.
        gaps: by test.
    """

    name: str
    open: Callable[[str, Clock], AbstractContextManager[Log]]
    server: str = ""
    gaps: Mapping[str, Gap] = field(default_factory=dict)


BROKERS_TIME = Gap("never", "arrivals are the brokers' time; what holds of them is in tests/adapters/kafka/test_log.py")
IMPLEMENTATIONS = [
    Implementation("local", lambda root, clock: LocalLog(Path(root) / "log", clock, segment_bytes=4096)),
    Implementation(
        "kafka",
        lambda url, clock: KafkaLog(parse_address(url), clock),
        server="kafka",
        gaps={
            "test_arrival_is_the_clocks_time_and_never_the_producers": BROKERS_TIME,
            "test_arrival_never_goes_back_over_a_restart": BROKERS_TIME,
        },
    ),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "implementation" not in metafunc.fixturenames:
        return
    rows = []
    for row in IMPLEMENTATIONS:
        gap = row.gaps.get(metafunc.function.__name__)
        marks = [pytest.mark.xfail(strict=True, reason=f"{gap.kind}: {gap.reason}")] if gap else []
        rows.append(pytest.param(row, id=row.name, marks=marks))
    metafunc.parametrize("implementation", rows)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_US)


@dataclass
class Bench:
    """A log under test, with what the tests ask of it again and again."""

    implementation: Implementation
    place: str
    clock: ManualClock
    topic: str

    def open(self) -> AbstractContextManager[Log]:
        return self.implementation.open(self.place, self.clock)


@pytest.fixture
def bench(request: pytest.FixtureRequest, implementation: Implementation, tmp_path: Path, clock: ManualClock) -> Bench:
    if not implementation.server:
        return Bench(implementation, str(tmp_path), clock, "ratings")
    url = request.getfixturevalue(implementation.server)
    return Bench(implementation, url, clock, f"ratings-{uuid.uuid4().hex[:12]}")


def rows(chunk: object) -> list[dict[str, object]]:
    return list(pa.table(chunk).to_pylist())


def values(chunk: object, partition: int | None = None) -> list[object]:
    return [row["value"] for row in rows(chunk) if partition is None or row["partition"] == partition]


def numbered(count: int, key: bytes | None = None) -> list[Record]:
    return [Record(b"%d" % i, key) for i in range(count)]


def behind(frontier: Frontier, chunk: object) -> Frontier:
    """The frontier after the last records of ``chunk``."""
    reached = list(frontier)
    for row in rows(chunk):
        partition, offset = row["partition"], row["offset"]
        assert isinstance(partition, int)
        assert isinstance(offset, int)
        reached[partition] = offset + 1
    return tuple(reached)


def test_every_gap_names_a_test() -> None:
    assert [gap for row in IMPLEMENTATIONS for gap in row.gaps if gap not in globals()] == []


def test_a_new_topic_is_empty(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 3)
        assert log.partitions(bench.topic) == 3
        assert log.start(bench.topic) == log.end(bench.topic)
        assert rows(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 10)) == []


def test_creating_again_keeps_what_is_there(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        log.append(bench.topic, numbered(3))
        log.create(bench.topic, 2)
        assert len(values(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 10))) == 3


def test_another_partition_count_is_a_conflict(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        with pytest.raises(ConflictError, match=bench.topic):
            log.create(bench.topic, 3)
        assert log.partitions(bench.topic) == 2


def test_a_topic_that_is_not_there_is_unknown(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 1)
        asks: list[Callable[[], object]] = [
            lambda: log.partitions(bench.topic + "s"),
            lambda: log.append(bench.topic + "s", numbered(1)),
            lambda: log.read(bench.topic + "s", (0,), (0,), 1),
            lambda: log.start(bench.topic + "s"),
            lambda: log.end(bench.topic + "s"),
            lambda: log.trim(bench.topic + "s", (0,)),
        ]
        for ask in asks:
            with pytest.raises(RequestError) as caught:
                ask()
            assert caught.value.kind == "unknown"


def test_what_is_appended_is_read(bench: Bench) -> None:
    records = [
        Record(b'{"movie": 1}', b"user-1"),
        Record(b"", b"user-1"),
        Record(b"\0\xff", b"user-1", {"origin": b"ratings/0/7", "trace": b""}),
    ]
    with bench.open() as log:
        log.create(bench.topic, 2)
        positions = log.append(bench.topic, records)
        found = rows(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 10))
    assert [Position(row["partition"], row["offset"]) for row in found] == positions  # type: ignore[arg-type]  # pylist
    assert [(row["value"], row["key"], dict(row["headers"] or {})) for row in found] == [  # type: ignore[call-overload]  # rows of any
        (record.value, record.key, record.headers) for record in records
    ]
    assert found[0]["headers"] is None


def test_a_chunk_has_the_logged_columns(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        empty = pa.table(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 10)).schema
        log.append(bench.topic, numbered(3))
        full = pa.table(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 10)).schema
    types = [pa.int32(), pa.int64(), pa.int64(), pa.binary(), pa.binary(), pa.map_(pa.string(), pa.binary())]
    assert full.names == ["partition", "offset", "arrival", "key", "value", "headers"]
    assert full.types == types
    assert empty.equals(full)


def test_nothing_appended_changes_nothing(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        assert log.append(bench.topic, []) == []
        assert log.end(bench.topic) == log.start(bench.topic)


def test_equal_keys_stay_in_one_partition_in_order(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 4)
        records = [Record(b"%d" % i, b"user-%d" % (i % 7)) for i in range(70)]
        positions = log.append(bench.topic, records[:35]) + log.append(bench.topic, records[35:])
        chunk = log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 100)
    for user in range(7):
        places = positions[user::7]
        assert len({place.partition for place in places}) == 1
        assert places == sorted(places)
    for partition in range(4):
        expected = [r.value for r, place in zip(records, positions, strict=True) if place.partition == partition]
        assert values(chunk, partition) == expected


def test_records_without_a_key_are_spread_evenly(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 4)
        log.append(bench.topic, numbered(40))
        for i in range(40):
            log.append(bench.topic, [Record(b"%d" % i)])
        chunk = log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 100)
    assert [len(values(chunk, partition)) for partition in range(4)] == [20] * 4


def test_any_interval_between_two_ends_is_what_was_appended_between_them(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        ends = [log.end(bench.topic)]
        for batch in range(5):
            log.append(bench.topic, [Record(b"%d-%d" % (batch, i), b"%d" % i) for i in range(8)])
            ends.append(log.end(bench.topic))
        for first in range(6):
            for last in range(first, 6):
                found = values(log.read(bench.topic, ends[first], ends[last], 100))
                expected = {b"%d-%d" % (batch, i) for batch in range(first, last) for i in range(8)}
                assert len(found) == len(expected)
                assert set(found) == expected


def test_reading_on_from_what_was_read_skips_and_repeats_nothing(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 3)
        for i in range(10):
            log.append(bench.topic, [Record(b"%d-%d" % (i, j), b"%d" % j) for j in range(20)])
        end = log.end(bench.topic)
        for limit in (1, 7, 64):
            reached, found = log.start(bench.topic), list[object]()
            while reached != end:
                chunk = log.read(bench.topic, reached, end, limit)
                found += values(chunk)
                assert behind(reached, chunk) != reached
                reached = behind(reached, chunk)
            assert len(found) == len(set(found)) == 200


def test_a_full_partition_starves_no_other(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        log.append(bench.topic, numbered(1))
        log.append(bench.topic, numbered(1))
        (busy,) = {place.partition for place in log.append(bench.topic, numbered(50, b"busy"))}
        start = log.start(bench.topic)
        chunk = log.read(bench.topic, start, log.end(bench.topic), 10)
        assert len(values(chunk, 1 - busy)) == 1
        # with one record a read, the other partition gets its turn though the first is never empty
        reached, seen = start, set[object]()
        for _ in range(10):
            log.append(bench.topic, numbered(5, b"busy"))
            chunk = log.read(bench.topic, reached, log.end(bench.topic), 1)
            seen |= {row["partition"] for row in rows(chunk)}
            reached = behind(reached, chunk)
        assert seen == {0, 1}


def test_arrival_is_the_clocks_time_and_never_the_producers(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 1)
        for _ in range(3):
            log.append(bench.topic, numbered(2))
            bench.clock.advance(1.0)
        found = rows(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 10))
    assert [row["arrival"] for row in found] == [START_US + second * 1_000_000 for second in (0, 0, 1, 1, 2, 2)]


def test_arrival_never_goes_back_over_a_restart(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 1)
        log.append(bench.topic, numbered(1))
    bench.clock = ManualClock(START_US - 5_000_000)
    with bench.open() as log:
        log.append(bench.topic, numbered(1))
        bench.clock.advance(10.0)
        log.append(bench.topic, numbered(1))
        found = rows(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 10))
    assert [row["arrival"] for row in found] == [START_US, START_US, START_US + 5_000_000]


def test_a_restart_keeps_records_and_frontiers(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        log.append(bench.topic, numbered(50, b"a"))
        before = log.end(bench.topic)
    with bench.open() as log:
        assert log.end(bench.topic) == before
        log.append(bench.topic, [Record(b"later", b"a")])
        assert values(log.read(bench.topic, before, log.end(bench.topic), 10)) == [b"later"]
        whole = values(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 100))
        assert whole == [*(record.value for record in numbered(50)), b"later"]


def test_two_who_open_it_see_each_others_records(bench: Bench) -> None:
    with bench.open() as one, bench.open() as other:
        one.create(bench.topic, 1)
        for i in range(30):
            log = (one, other)[i % 2]
            before = log.end(bench.topic)
            log.append(bench.topic, [Record(b"%d" % i * 100)])
            for reader in (one, other):
                assert values(reader.read(bench.topic, before, reader.end(bench.topic), 10)) == [b"%d" % i * 100]
        assert one.end(bench.topic) == other.end(bench.topic)


def test_below_the_start_and_above_the_end_are_gaps(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        log.append(bench.topic, numbered(10))
        end = log.end(bench.topic)
        above = (end[0], end[1] + 1)
        with pytest.raises(GapError, match=f"topic {bench.topic}, partition 1"):
            log.read(bench.topic, log.start(bench.topic), above, 10)
        for _ in range(100):
            log.append(bench.topic, numbered(20))
        log.trim(bench.topic, log.end(bench.topic))
        start = log.start(bench.topic)
        assert min(start) > 0
        with pytest.raises(GapError, match=f"topic {bench.topic}, partition 0"):
            log.read(bench.topic, (start[0] - 1, start[1]), log.end(bench.topic), 10)
        empty = (0, 0)
        assert values(log.read(bench.topic, empty, empty, 10)) == []


def test_trimming_keeps_what_is_at_or_above_the_frontier(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        ends = []
        for i in range(100):
            log.append(bench.topic, [Record(b"%d-%d" % (i, j)) for j in range(10)])
            ends.append(log.end(bench.topic))
        for below, kept_from in ((0, 0), (30, 30), (10, 30), (99, 99)):
            log.trim(bench.topic, ends[below])
            assert covers(ends[kept_from], log.start(bench.topic))
            found = values(log.read(bench.topic, ends[kept_from], log.end(bench.topic), 2_000))
            assert sorted(map(str, found)) == sorted(
                str(b"%d-%d" % (i, j)) for i in range(kept_from + 1, 100) for j in range(10)
            )
        assert size(ends[0], log.start(bench.topic)) > 0
        log.append(bench.topic, numbered(1))
        assert values(log.read(bench.topic, ends[-1], log.end(bench.topic), 10)) == [b"0"]


@pytest.mark.parametrize(
    ("lower", "upper", "limit"),
    [((0,), (0,), 1), ((0, 0, 0), (0, 0, 0), 1), ((1, 0), (0, 0), 1), ((-1, 0), (0, 0), 1), ((0, 0), (0, 0), 0)],
)
def test_a_malformed_interval_is_refused(bench: Bench, lower: Frontier, upper: Frontier, limit: int) -> None:
    with bench.open() as log:
        log.create(bench.topic, 2)
        with pytest.raises(RequestError) as caught:
            log.read(bench.topic, lower, upper, limit)
    assert caught.value.kind == "invalid"


def test_what_many_threads_append_is_there_once_in_each_threads_order(bench: Bench) -> None:
    with bench.open() as log:
        log.create(bench.topic, 3)
        placed: dict[Position, bytes] = {}
        lock = threading.Lock()

        def work(worker: int) -> None:
            for i in range(20):
                records = [Record(b"%d-%d-%d" % (worker, i, j), b"%d" % j) for j in range(worker % 3 + 1)]
                positions = log.append(bench.topic, records)
                end = log.end(bench.topic)
                assert all(place.offset < end[place.partition] for place in positions)
                with lock:
                    placed.update(zip(positions, (record.value for record in records), strict=True))

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = rows(log.read(bench.topic, log.start(bench.topic), log.end(bench.topic), 1_000))
    assert len(found) == len(placed) == 20 * sum(worker % 3 + 1 for worker in range(8))
    assert {Position(r["partition"], r["offset"]): r["value"] for r in found} == placed  # type: ignore[arg-type]  # pylist
    for worker in range(8):
        mine = [row["value"] for row in found if str(row["value"]).startswith(f"b'{worker}-")]
        for j in range(worker % 3 + 1):
            assert [v for v in mine if str(v).endswith(f"-{j}'")] == [b"%d-%d-%d" % (worker, i, j) for i in range(20)]


def test_showing_a_frontier_changes_nothing(bench: Bench) -> None:
    with bench.open() as log:
        log.create("ratings", 2)
        log.append("ratings", numbered(3))
        before = log.start("ratings"), log.end("ratings")
        log.mirror("ratings", log.end("ratings"))
        assert (log.start("ratings"), log.end("ratings")) == before
