from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.frame import Piece, make_piece
from watersmeet.adapters.local.topic import Facts, Topic, make, read_facts
from watersmeet.core import failpoint
from watersmeet.core.errors import CorruptError, UnavailableError

pytestmark = pytest.mark.integration
FACTS = Facts("ratings", 2, "0123456789abcdef")


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make(tmp_path / "ratings", FACTS)
    return tmp_path / "ratings"


def opened(directory: Path) -> Topic:
    return Topic(directory, ManualClock(0), segment_bytes=1 << 20, fsync=True)


def one(value: bytes) -> list[Piece]:
    return [make_piece([None], [value], [{}], len(value))]


def test_a_topic_is_made_whole_and_private(directory: Path) -> None:
    files = {str(path.relative_to(directory)): path for path in directory.rglob("*")}
    assert set(files) == {
        "topic.json",
        "bounds",
        "0",
        "1",
        "0/00000000000000000000.log",
        "1/00000000000000000000.log",
    }
    modes = {name: path.stat().st_mode & 0o777 for name, path in files.items()}
    assert {mode for name, mode in modes.items() if files[name].is_dir()} == {0o700}
    assert {mode for name, mode in modes.items() if files[name].is_file()} == {0o600}
    assert read_facts(directory) == FACTS


def test_what_a_crash_left_of_a_draft_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / ".ratings.new" / "0").mkdir(parents=True)
    (tmp_path / ".ratings.new" / "0" / "junk").touch()
    make(tmp_path / "ratings", FACTS)
    assert os.listdir(tmp_path) == ["ratings"]
    assert os.listdir(tmp_path / "ratings" / "0") == ["00000000000000000000.log"]


def test_any_flipped_bit_of_the_facts_is_noticed(directory: Path) -> None:
    path = directory / "topic.json"
    sound = path.read_bytes()
    for bit in range(len(sound) * 8):
        harmed = bytearray(sound)
        harmed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(harmed)
        with pytest.raises(CorruptError, match=r"topic\.json"):
            read_facts(directory)


def test_a_renamed_directory_is_noticed(directory: Path) -> None:
    with pytest.raises(CorruptError, match="expected votes, format 1; got ratings, format 1"):
        read_facts(directory.rename(directory.with_name("votes")))


def test_missing_facts_are_unavailable(directory: Path) -> None:
    (directory / "topic.json").unlink()
    with pytest.raises(UnavailableError, match=r"topic\.json"):
        read_facts(directory)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", json.dumps({"format": 1}).encode()])
def test_facts_of_another_shape_are_damage(directory: Path, content: bytes) -> None:
    (directory / "topic.json").write_bytes(content)
    with pytest.raises(CorruptError, match="a JSON object with a crc"):
        read_facts(directory)


def test_those_who_wait_for_a_sync_share_the_next(directory: Path) -> None:
    topic = opened(directory)
    followers = [threading.Thread(target=topic.append, args=({0: one(b"%d" % i)},)) for i in range(10)]
    syncs = []

    def hook(name: str) -> None:
        if name != "log.fsync.before":
            return
        syncs.append(name)
        if len(syncs) == 1:
            for thread in followers:
                thread.start()
            while len(topic._queue) < len(followers):
                os.sched_yield()

    failpoint.install(hook)
    try:
        assert topic.append({0: one(b"first")}) == {0: 0}
        for thread in followers:
            thread.join()
    finally:
        failpoint.install(None)
    assert len(syncs) == 2
    assert topic.bounds.ends() == (11, 0)
    (first, group) = topic.partitions[0].read(0, 11)
    assert first.column("value").to_pylist() == [b"first"]
    assert sorted(group.column("value").to_pylist()) == [b"%d" % i for i in range(10)]
    topic.close()


def test_one_sync_a_touched_file(directory: Path) -> None:
    topic = opened(directory)
    syncs = []
    failpoint.install(lambda name: syncs.append(name) if name == "log.fsync.before" else None)
    try:
        topic.append({1: one(b"a") + one(b"b")})
        assert len(syncs) == 1
        topic.append({0: one(b"a"), 1: one(b"b")})
        assert len(syncs) == 3
    finally:
        failpoint.install(None)
    topic.close()


def test_a_partition_that_fails_fails_only_its_own_appends(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = opened(directory)
    outcomes: dict[int, object] = {}

    def append(partition: int) -> None:
        try:
            outcomes[partition] = topic.append({partition: one(b"x")})
        except UnavailableError as error:
            outcomes[partition] = error.got

    followers = [threading.Thread(target=append, args=(partition,)) for partition in (0, 1)]
    whole = os.fsync
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            for thread in followers:
                thread.start()
            while len(topic._queue) < 2:
                os.sched_yield()
        if len(calls) == 2:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        whole(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        topic.append({1: one(b"first")})
        for thread in followers:
            thread.join()
    assert outcomes == {0: "Input/output error", 1: {1: 1}}
    assert topic.bounds.ends() == (0, 2)
    topic.close()


def test_an_interrupted_leader_leaves_nobody_waiting(directory: Path) -> None:
    class StopError(Exception):
        pass

    topic = opened(directory)
    outcomes: list[object] = []

    def follow() -> None:
        try:
            outcomes.append(topic.append({1: one(b"follower")}))
        except UnavailableError as error:
            outcomes.append(error.subject)

    follower = threading.Thread(target=follow)
    reached = threading.Event()

    def hook(name: str) -> None:
        if name == "log.write.after" and not reached.is_set():
            reached.set()
            follower.start()
            while not topic._queue:
                os.sched_yield()
            raise StopError

    failpoint.install(hook)
    try:
        with pytest.raises(StopError):
            topic.append({0: one(b"leader")})
        follower.join()
    finally:
        failpoint.install(None)
    assert outcomes == [{1: 0}]
    with pytest.raises(UnavailableError, match="earlier write or sync failed"):
        topic.append({0: one(b"again")})
    topic.close()


def test_a_group_whose_leader_is_interrupted_is_told(directory: Path) -> None:
    class StopError(Exception):
        pass

    topic = opened(directory)
    outcomes: list[object] = []
    names: list[str] = []

    def append(partition: int) -> None:
        try:
            outcomes.append(topic.append({partition: one(b"x")}))
        except (UnavailableError, StopError) as error:
            outcomes.append(str(error) or "stopped")

    followers = [threading.Thread(target=append, args=(partition,)) for partition in (0, 1)]

    def hook(name: str) -> None:
        names.append(name)
        if name != "log.fsync.before":
            return
        if names.count(name) == 1:
            for thread in followers:
                thread.start()
            while len(topic._queue) < 2:
                os.sched_yield()
        elif names.count(name) == 2:
            raise StopError

    failpoint.install(hook)
    try:
        topic.append({1: one(b"first")})
        for thread in followers:
            thread.join()
    finally:
        failpoint.install(None)
    # the second group holds both; its leader was stopped at the sync of partition 0, before that of partition 1
    assert sorted(map(str, outcomes)) == ["an append was interrupted. Append again", "stopped"]
    assert topic.bounds.ends() == (0, 1)
    # what had been written to partition 1 is judged by the next to append: kept, before what is new
    assert topic.append({1: one(b"next")}) == {1: 2}
    assert [batch.column("value").to_pylist() for batch in topic.partitions[1].read(0, 3)] == [
        [b"first"],
        [b"x"],
        [b"next"],
    ]
    topic.close()
