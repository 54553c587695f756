"""Lakes that fail: at each request that changes something, in each way; servers that are killed; writers that race."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx2
import pyarrow as pa
import pytest

from tests.conformance.lake_files import delta_rows, download, parquet_rows
from tests.conformance.records import contents, in_order, logged, positions, sealed
from tests.conformance.test_sink import NOON, NOTHING, SHAPE, TOPIC, row, table
from watersmeet.adapters.lake.archive import LakeArchive
from watersmeet.adapters.lake.hdfs import HdfsStore
from watersmeet.adapters.lake.sink import LakeSink, open_lake_sink
from watersmeet.adapters.lake.store import Store
from watersmeet.adapters.lake.stores import open_store
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import ConflictError, UnavailableError
from watersmeet.core.sink import Sink
from watersmeet.core.table import Table
from watersmeet.testing.services.hdfs import hdfs as start_hdfs
from watersmeet.testing.services.s3 import versitygw

from .remote import Script, ScriptedTransport, s3_proxy

pytestmark = pytest.mark.integration
KILLS = 20
PLACES = [(p, o) for p in range(2) for o in range(6)]
EPOCH = sealed(3, (0, 0), (2, 3), (6, 6))
TABLE = Table("trending", TOPIC)
FATES = [("lost", False), ("silent", False), ("late", False), ("silent", True)]


def own(url: str, scheme: str = "") -> Address:
    """A place of its own on a server."""
    address = parse_address(url)
    path = f"{address.path}/{uuid4().hex}".strip("/")
    return replace(address, scheme=scheme or address.scheme, path=path)


@contextmanager
def faulty(address: Address, script: Script) -> Iterator[Address]:
    """The address of S3 behind a proxy, which tries nothing twice by itself."""
    with s3_proxy(address.hosts[0][1], script) as port:
        yield replace(address, hosts=(("127.0.0.1", port),), options={"retries": "0", "timeout_seconds": "20"})


@contextmanager
def faulty_store(address: Address, script: Script) -> Iterator[Store]:
    """A store whose requests go as the script says."""
    with ExitStack() as stack:
        if address.scheme.startswith("hdfs"):
            client = httpx2.Client(transport=ScriptedTransport(script), timeout=20)
            yield stack.enter_context(closing(HdfsStore(address, client)))
        else:
            yield stack.enter_context(closing(open_store(stack.enter_context(faulty(address, script)))))


def at_each_request(attempt: Callable[[Script], None]) -> int:
    """Try every request of an attempt in every way; say how many there were."""
    counted = Script(10**9, "none")
    attempt(counted)
    for number in range(counted.seen):
        for fate, dead in FATES:
            script = Script(number, fate, dead)
            attempt(script)
            assert script.reached, (number, fate)
    return counted.seen


@pytest.mark.parametrize("server", ["s3", "hdfs"])
def test_an_epoch_survives_every_outcome_of_every_request(request: pytest.FixtureRequest, server: str) -> None:
    url = request.getfixturevalue(server)

    def attempt(script: Script) -> None:
        address = own(url)
        with faulty_store(address, script) as store, closing(LakeArchive(address, store=store)) as archive:
            try:
                first = archive.append("t", EPOCH, [logged(PLACES)]).records
            except UnavailableError:
                first = 0
        with closing(LakeArchive(address)) as archive:
            assert [e.records for e in archive.epochs("t")] in ([[12]] if first else [[], [12]])
            archive.append("t", EPOCH, [logged(PLACES)])
            script.release()
        with closing(LakeArchive(address)) as archive:
            assert archive.verify("t", 3).records == 12
            assert positions(archive.read("t", 3, 5)) == in_order(EPOCH, PLACES)
            archive.sweep("t")
            with closing(open_store(address)) as store:
                assert len(store.keys("archive")) == 3, "the manifest and its two parts"

    assert at_each_request(attempt) >= 3


@pytest.mark.parametrize("kind", ["s3+parquet", "s3+delta"])
def test_a_table_survives_every_outcome_of_every_request(
    request: pytest.FixtureRequest, kind: str, tmp_path: Path
) -> None:
    server, _, form = kind.partition("+")
    url = request.getfixturevalue(server)

    def found(address: Address) -> list[tuple[object, object]]:
        place = download(address, tmp_path / uuid4().hex)
        rows = parquet_rows(place, SHAPE) if form == "parquet" else delta_rows(place / "tables", SHAPE)
        return sorted(((r["movie_id"], r["title"]) for r in rows), key=str)

    def change(sink: Sink) -> None:
        sink.prepare(TABLE, SHAPE)
        sink.write(SHAPE, NOON, table(row(NOON, 2, "new"), row(NOON, 3)), table(row(NOON, 1)), 2)

    before, after = [(1, "t"), (2, "t")], [(2, "new"), (3, "t")]

    def attempt(script: Script) -> None:
        address = own(url, kind)
        with closing(open_lake_sink(address)) as sink:
            sink.prepare(TABLE, SHAPE)
            sink.write(SHAPE, NOON, table(row(NOON, 1), row(NOON, 2)), NOTHING, 1)
            with ExitStack() as stack:
                if form == "parquet":
                    first: Sink = LakeSink(address, stack.enter_context(faulty_store(address, script)))
                else:
                    first = open_lake_sink(stack.enter_context(faulty(address, script)))
                try:
                    change(first)
                    done = True
                except UnavailableError:
                    done = False
            assert found(address) in ([after] if done else [before, after])
            change(sink)
            script.release()
            assert found(address) == after
            with pytest.raises(ConflictError):
                sink.write(SHAPE, NOON, table(row(NOON, 9)), NOTHING, 1)
            sink.replace(SHAPE, NOON, table(row(NOON, 7)), 3)
            assert found(address) == [(7, "t")]

    assert at_each_request(attempt) >= 2


def test_a_replacement_in_hdfs_survives_every_outcome_of_every_request(hdfs: str) -> None:
    """What tables of Parquet files in HDFS rest on; S3 does it in one request."""

    def attempt(script: Script) -> None:
        address = own(hdfs)
        with closing(open_store(address)) as store:
            store.replace("d/n", b"1", "")
            version = store.look("d/n").version
            with faulty_store(address, script) as faulty_one:
                try:
                    done = faulty_one.replace("d/n", b"2", version)
                except UnavailableError:
                    done = False
            assert store.get("d/n") in ([b"2"] if done else [b"1", b"2"])
            held = store.look("d/n")
            assert held.data in ([b"2"] if done else [b"1", b"2"])
            assert store.replace("d/n", b"3", held.version)
            script.release()
            assert store.look("d/n").data == store.get("d/n") == b"3"
            assert not store.replace("d/n", b"old", version)
            assert store.replace("d/n", b"4", store.look("d/n").version)
            assert store.get("d/n") == b"4"

    assert at_each_request(attempt) >= 4


def test_twenty_kills_of_s3_lose_no_epoch_that_was_acknowledged(tmp_path: Path) -> None:
    """A writer archives epoch after epoch; the server is killed in the middle of it, again and again."""
    dice = random.Random(5)
    acknowledged: list[int] = []
    refused = 0
    more, stop = threading.Condition(), threading.Event()
    failed: list[BaseException] = []

    def places(number: int) -> list[tuple[int, int]]:
        return [(p, number * 50 + o) for p in range(2) for o in range(50)]

    def write(address: Address) -> None:
        nonlocal refused
        number = 0
        with closing(LakeArchive(address)) as archive:
            while not stop.is_set():
                epoch = sealed(number, (number * 50,) * 2, (number * 50 + 50,) * 2)
                try:
                    archive.append("t", epoch, [logged(places(number))])
                except UnavailableError:
                    refused += 1
                    continue
                with more:
                    acknowledged.append(number)
                    more.notify()
                number += 1

    def guarded(address: Address) -> None:
        try:
            write(address)
        except BaseException as error:
            failed.append(error)
            raise

    with versitygw(tmp_path) as server:
        address = replace(parse_address(server.url), options={"retries": "0", "timeout_seconds": "10"})
        writer = threading.Thread(target=guarded, args=(address,))
        writer.start()
        try:
            for _ in range(KILLS):
                with more:
                    wanted = len(acknowledged) + dice.randint(1, 4)
                    assert more.wait_for(lambda wanted=wanted: len(acknowledged) >= wanted or failed, 120)  # type: ignore[misc]  # a lambda's default
                server.kill()
                server.start()
        finally:
            stop.set()
            writer.join()
        assert not failed
        assert refused > 0, "some uploads were broken off"
        with closing(LakeArchive(address)) as archive:
            assert [e.number for e in archive.epochs("t")][: len(acknowledged)] == acknowledged
            for number in acknowledged:
                assert archive.verify("t", number).records == 100
                assert contents(list(archive.read("t", number, 1000))) == contents([logged(places(number))])
            archive.sweep("t")
            with closing(open_store(address)) as store:
                made = len(archive.epochs("t"))
                assert len(store.keys("archive/topic=t/_epochs")) == made


@pytest.mark.parametrize("server", ["s3", "hdfs"])
def test_of_two_writers_of_an_epoch_one_wins_and_both_see_it(request: pytest.FixtureRequest, server: str) -> None:
    address = own(request.getfixturevalue(server))
    archives = [LakeArchive(address), LakeArchive(address)]
    meet = threading.Barrier(2)
    told: dict[tuple[int, int], object] = {}

    def race(who: int) -> None:
        for number in range(8):
            chunk = logged([(0, number)])
            chunk = chunk.set_column(4, "value", pa.array([f"writer {who}".encode()]))
            meet.wait()
            told[who, number] = archives[who].append("t", sealed(number, (number,), (number + 1,)), [chunk])

    threads = [threading.Thread(target=race, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(LakeArchive(address)) as reader:
        for number in range(8):
            assert told[0, number] == told[1, number] == reader.verify("t", number)
        reader.sweep("t")
        with closing(open_store(address)) as store:
            assert len(store.keys("archive")) == 16
    for archive in archives:
        archive.close()


def test_a_file_system_that_is_killed_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    with start_hdfs(tmp_path) as server:
        address = replace(parse_address(server.url), options={"timeout_seconds": "20"})
        with (
            closing(LakeArchive(address)) as archive,
            closing(LakeSink(replace(address, scheme="hdfs+parquet"))) as sink,
        ):
            sink.prepare(TABLE, SHAPE)
            archive.append("t", sealed(0, (0,), (5,)), [logged([(0, o) for o in range(5)])])
            sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 1)
            os.kill(server.pids[1], signal.SIGKILL)  # the data node: the name node still sends writers there
            with pytest.raises(UnavailableError):
                archive.append("t", sealed(1, (5,), (9,)), [logged([(0, o) for o in range(5, 9)])])
            server.kill()
            with pytest.raises(UnavailableError, match="hdfs"):
                sink.write(SHAPE, NOON, table(row(NOON, 2)), NOTHING, 2)
            server.start()
            sink.write(SHAPE, NOON, table(row(NOON, 2)), NOTHING, 2)
            archive.append("t", sealed(1, (5,), (9,)), [logged([(0, o) for o in range(5, 9)])])
            assert [archive.verify("t", e.number).records for e in archive.epochs("t")] == [5, 4]
            place = download(address, tmp_path / "found")
            assert sorted(str(r["movie_id"]) for r in parquet_rows(place, SHAPE)) == ["1", "2"]
