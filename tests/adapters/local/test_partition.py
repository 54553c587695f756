"""What a disk that fails and a process that dies may do to a log, and what they may not.

Promised: an acknowledged record is there, at its position, with its bytes, for ever; nothing that nobody offered is
there; nothing is there twice; and a log that was opened anew takes records again.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.core import failpoint
from watersmeet.core.errors import UnavailableError
from watersmeet.core.record import Position, Record

pytestmark = pytest.mark.integration
RECOVERY = {f"log.{step}.{side}" for step in ("keep", "cut") for side in ("before", "after")}


def opened(root: Path, segment_bytes: int = 2_000) -> LocalLog:
    return LocalLog(root, ManualClock(1_000), segment_bytes=segment_bytes)


def contents(log: LocalLog) -> dict[Position, bytes]:
    table = log.read("ratings", log.start("ratings"), log.end("ratings"), 1 << 30)
    columns = (table.column(name).to_pylist() for name in ("partition", "offset", "value"))
    return {Position(partition, offset): value for partition, offset, value in zip(*columns, strict=True)}


@dataclass
class Producer:
    """Appends batches of different sizes and remembers what was acknowledged."""

    acknowledged: dict[Position, bytes] = field(default_factory=dict)
    offered: set[bytes] = field(default_factory=set)
    batches: int = 0

    def append(self, log: LocalLog) -> None:
        self.batches += 1
        values = [b"%d-%d-" % (self.batches, i) + b"x" * (97 * i % 400) for i in range(1 + self.batches % 3)]
        self.offered |= set(values)
        positions = log.append("ratings", [Record(value, value[:4]) for value in values])
        self.acknowledged |= dict(zip(positions, values, strict=True))

    def check(self, log: LocalLog) -> None:
        """Nothing acknowledged is lost, above the log's start; nothing is invented or there twice."""
        found, start = contents(log), log.start("ratings")
        kept = {place: value for place, value in self.acknowledged.items() if place.offset >= start[place.partition]}
        assert kept.items() <= found.items()
        assert set(found.values()) <= self.offered
        assert len(set(found.values())) == len(found)


@pytest.fixture
def crash() -> Iterator[Callable[[Callable[[str], None]], None]]:
    yield failpoint.install
    failpoint.install(None)


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip real syncs in sweeps of a hundred directories: a copy sees written bytes, synced or not."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@dataclass(frozen=True)
class Image:
    """A copy of the directory at one hit, with what had been acknowledged and synced by then."""

    name: str
    root: Path
    acknowledged: dict[Position, bytes]
    synced: dict[str, int]


def sizes(root: Path) -> dict[str, int]:
    return {str(path.relative_to(root)): path.stat().st_size for path in root.rglob("*.log")}


def make_images(root: Path, images: Path, install: Callable[[Callable[[str], None]], None]) -> list[Image]:
    """Run a workload with rolls and trims, and copy the directory at every hit."""
    producer, taken, synced = Producer(), list[Image](), dict[str, int]()

    def copy(name: str) -> None:
        image = Image(name, images / str(len(taken)), dict(producer.acknowledged), dict(synced))
        shutil.copytree(root, image.root)
        taken.append(image)

    install(copy)
    with opened(root) as log:
        log.create("ratings", 2)
        synced |= sizes(root)
        for batch in range(14):
            producer.append(log)
            synced |= sizes(root)
            if batch % 5 == 4:
                log.trim("ratings", log.end("ratings"))
    install(lambda name: None)
    assert {image.name for image in taken} == {name for name in failpoint.NAMES if name.startswith("log.")} - RECOVERY
    return taken


def check_image(image: Image, root: Path) -> None:
    """Open the image's directory ``root`` as a new process would, check it, and append to it."""
    producer = Producer(dict(image.acknowledged))
    producer.offered = {
        b"%d-%d-" % (batch, i) + b"x" * (97 * i % 400) for batch in range(1, 15) for i in range(1 + batch % 3)
    }
    with opened(root) as log:
        if not (root / "ratings").exists():
            assert not image.acknowledged
            log.create("ratings", 2)
        producer.check(log)
        producer.batches = 100
        producer.append(log)
        producer.check(log)
    with opened(root) as log:
        producer.check(log)


@pytest.mark.usefixtures("no_sync")
def test_every_crash_image_recovers(tmp_path: Path, crash: Callable[[Callable[[str], None]], None]) -> None:
    images = make_images(tmp_path / "log", tmp_path / "images", crash)
    assert len(images) > 150
    for image in images:
        check_image(image, image.root)


def lose(path: Path, synced: int | None, how: str) -> None:
    """Do to the unsynced end of a file, or to a file whose name is not synced, what a power cut may do."""
    size = path.stat().st_size
    if synced is None and how == "vanished":
        path.unlink()
        return
    synced = synced or 0
    if how == "zeros":
        with path.open("r+b") as file:
            file.seek(synced)
            file.write(bytes(size - synced))
    elif how == "first block lost":
        with path.open("r+b") as file:
            file.seek(synced)
            file.write(bytes(min(64, size - synced)))
    elif how == "cut":
        os.truncate(path, synced + (size - synced) * 2 // 3)


@pytest.mark.usefixtures("no_sync")
@pytest.mark.parametrize("how", ["kept", "zeros", "first block lost", "cut", "vanished"])
def test_every_power_cut_recovers(tmp_path: Path, crash: Callable[[Callable[[str], None]], None], how: str) -> None:
    images = make_images(tmp_path / "log", tmp_path / "images", crash)
    # from this hit on everything written has been synced
    written = [image for image in images if image.name in {"log.roll.after", "log.write.after", "log.fsync.before"}]
    assert len(written) > 40
    for image in written:
        topic = image.root / "ratings"
        for name in sizes(image.root):
            lose(image.root / name, image.synced.get(name), how)
        (topic / "bounds").write_bytes(bytes((topic / "bounds").stat().st_size))
        check_image(image, image.root)


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The files and directories with bytes or names that no sync has covered; locks do not matter."""
    dirty: set[str] = set()
    real = {name: getattr(os, name) for name in ("open", "pwrite", "ftruncate", "fsync", "unlink", "rename", "mkdir")}

    def path(descriptor: int) -> str:
        return os.readlink(f"/proc/self/fd/{descriptor}")

    def opened_file(name: str, flags: int, *rest: int) -> object:
        if flags & os.O_CREAT and not os.path.exists(name) and not str(name).endswith("lock"):
            dirty.add(os.path.dirname(name))
        return real["open"](name, flags, *rest)

    def written(descriptor: int, *rest: object) -> object:
        dirty.add(path(descriptor))
        return real["pwrite"](descriptor, *rest)

    def truncated(descriptor: int, size: int) -> None:
        dirty.add(path(descriptor))
        real["ftruncate"](descriptor, size)

    def synced(descriptor: int) -> None:
        real["fsync"](descriptor)
        dirty.discard(path(descriptor))

    def names_changed(name: str) -> Callable[..., object]:
        def call(*paths: object, **rest: object) -> object:
            dirty.update(os.path.dirname(str(each)) for each in paths if isinstance(each, str | Path))
            return real[name](*paths, **rest)

        return call

    for name, fake in {"open": opened_file, "pwrite": written, "ftruncate": truncated, "fsync": synced}.items():
        monkeypatch.setattr(os, name, fake)
    for name in ("unlink", "rename", "mkdir"):
        monkeypatch.setattr(os, name, names_changed(name))
    return dirty


def test_nothing_is_published_or_answered_before_it_is_synced(
    tmp_path: Path, unsynced: set[str], crash: Callable[[Callable[[str], None]], None]
) -> None:
    steps: list[tuple[str, bool]] = []
    crash(lambda name: steps.append((name, bool(unsynced))))
    with opened(tmp_path / "log") as log:
        assert unsynced == set()
        log.create("ratings", 1)
        assert unsynced == set()
        producer = Producer()
        for _ in range(12):
            producer.append(log)
            assert unsynced == set()
        log.trim("ratings", log.end("ratings"))
        assert unsynced == set()
    # what an interrupted process has left is synced too, before it is published
    tail = max((tmp_path / "log" / "ratings" / "0").glob("*.log"))
    for bounds_lost in (False, True):
        tail.write_bytes(tail.read_bytes() + b"torn")
        if bounds_lost:
            (tmp_path / "log" / "ratings" / "bounds").write_bytes(bytes(16))
        with opened(tmp_path / "log") as log:
            producer.check(log)
        assert unsynced == set()
    seen = {name for name, _ in steps}
    assert seen == {name for name in failpoint.NAMES if name.startswith("log.")}
    before = {name for name, dirty in steps if dirty}
    assert before >= {"log.write.after", "log.fsync.before", "log.roll.after", "log.directory.before"}
    assert before.isdisjoint({"log.publish.before", "log.create.after", "log.trim.after", "log.rewrite.after"})


def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int, at: int = 1) -> list[int]:
    """Make the ``at``-th call of ``os.<name>`` fail, once; the list counts the calls."""
    calls: list[int] = []
    whole = getattr(os, name)

    def call(*args: object) -> object:
        calls.append(len(calls) + 1)
        if len(calls) == at:
            raise OSError(code, os.strerror(code))
        return whole(*args)

    monkeypatch.setattr(os, name, call)
    return calls


@pytest.mark.parametrize(("name", "code"), [("fsync", errno.EIO), ("pwrite", errno.ENOSPC), ("pwrite", errno.EIO)])
def test_a_failed_write_or_sync_is_never_acknowledged_nor_believed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    with opened(tmp_path) as log, opened(tmp_path) as other:
        log.create("ratings", 2)
        log.append("ratings", [Record(b"before", b"user-1")])
        (sound,) = contents(log)
        with monkeypatch.context() as patch:
            failing(patch, name, code)
            with pytest.raises(UnavailableError, match=os.strerror(code)):
                log.append("ratings", [Record(b"failed", b"user-1")])
        assert contents(log) == contents(other) == {sound: b"before"}
        calls = failing(monkeypatch, "fsync", 0, at=-1)
        with pytest.raises(UnavailableError, match="an earlier write or sync failed"):
            log.append("ratings", [Record(b"refused", b"user-1")])
        assert calls == []
        # not even a part of an append that touches the failed partition
        with pytest.raises(UnavailableError, match="an earlier write or sync failed"):
            log.append("ratings", [Record(b"refused"), Record(b"refused")])
        healthy = 1 - sound.partition
        assert log.end("ratings")[healthy] == 0
        while not log.end("ratings")[healthy]:
            key = b"user-%d" % len(calls)
            calls.append(0)
            try:
                log.append("ratings", [Record(b"healthy", key)])
            except UnavailableError:
                continue
    with opened(tmp_path) as log:
        log.append("ratings", [Record(b"after", b"user-1")])
        assert sorted(contents(log).values()) == [b"after", b"before", b"healthy"]


def test_a_file_that_cannot_be_opened_fails_one_append_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as log:
        log.create("ratings", 1)
        # the lock, then the segment
        for at in (1, 2):
            with monkeypatch.context() as patch:
                failing(patch, "open", errno.EMFILE, at)
                with pytest.raises(UnavailableError, match=os.strerror(errno.EMFILE)):
                    log.append("ratings", [Record(b"failed")])
        log.append("ratings", [Record(b"after")])
        assert list(contents(log).values()) == [b"after"]


@pytest.mark.usefixtures("no_sync")
def test_the_disk_may_fail_at_any_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def workload(root: Path, producer: Producer) -> None:
        """Append and trim; after an error, open anew and go on, as a restarted process does."""
        log = None
        for step in range(9):
            try:
                log = log or opened(root, segment_bytes=700)
                log.create("ratings", 2)
                if step == 5:
                    log.trim("ratings", log.end("ratings"))
                else:
                    producer.append(log)
            except UnavailableError:
                if log is not None:
                    log.close()
                log = None
        if log is not None:
            log.close()

    tried = 0
    for name, code in [
        ("pwrite", errno.ENOSPC),
        ("fsync", errno.EIO),
        ("open", errno.EMFILE),
        ("ftruncate", errno.EIO),
    ]:
        at = 0
        while True:
            at += 1
            root, producer = tmp_path / f"{name}-{at}", Producer()
            with monkeypatch.context() as patch:
                calls = failing(patch, name, code, at)
                workload(root, producer)
            with opened(root) as log:
                log.create("ratings", 2)
                producer.check(log)
                producer.append(log)
                producer.check(log)
            shutil.rmtree(root)
            if len(calls) < at:
                break
            tried += 1
    assert tried > 80


def test_every_append_may_roll_whoever_makes_it(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=1) as one, opened(tmp_path, segment_bytes=1) as other:
        one.create("ratings", 1)
        producer = Producer()
        for log in (one, other, other, one, one, one, other, one, other, other):
            producer.append(log)
            producer.check(one)
            producer.check(other)
        assert len(list((tmp_path / "ratings" / "0").iterdir())) == 10


class StopError(Exception):
    """The process dies here."""


@pytest.mark.parametrize("at", ["log.roll.before", "log.roll.after", "log.write.before", "log.write.after"])
@pytest.mark.parametrize("value_bytes", [1, 900])
def test_others_go_on_where_one_has_died(
    tmp_path: Path, crash: Callable[[Callable[[str], None]], None], at: str, value_bytes: int
) -> None:
    def die(name: str) -> None:
        if name == at:
            raise StopError

    with opened(tmp_path) as one, opened(tmp_path) as other:
        one.create("ratings", 1)
        one.append("ratings", [Record(b"one" * 200)])
        assert other.append("ratings", [Record(b"other")]) == [Position(0, 1)]
        crash(die)
        with pytest.raises(StopError):
            one.append("ratings", [Record(b"x" * 3_000)])
        crash(lambda name: None)
        other.append("ratings", [Record(b"y" * value_bytes)])
        assert list(contents(other).values()) == [b"one" * 200, b"other", b"y" * value_bytes]
    with opened(tmp_path) as log:
        assert len(contents(log)) == 3


def test_arrival_does_not_go_back_where_a_segment_ends(
    tmp_path: Path, crash: Callable[[Callable[[str], None]], None]
) -> None:
    def interrupt(name: str) -> None:
        if name == "log.roll.after":
            raise StopError

    clock = ManualClock(5_000_000)
    with LocalLog(tmp_path, clock, segment_bytes=1) as log, LocalLog(tmp_path, ManualClock(0), segment_bytes=1) as slow:
        log.create("ratings", 1)
        for each in (log, slow, slow, log):
            each.append("ratings", [Record(b"x")])
        crash(interrupt)
        with pytest.raises(StopError):
            slow.append("ratings", [Record(b"interrupted")])
        crash(lambda name: None)
        slow.append("ratings", [Record(b"x")])
        arrivals = log.read("ratings", (0,), (5,), 10).column("arrival")
    assert arrivals.to_pylist() == [5_000_000] * 5


def test_a_group_of_several_frames_that_lost_its_first_is_cut(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.create("ratings", 1)
        log.append("ratings", [Record(b"before")])
        (path,) = (tmp_path / "ratings" / "0").iterdir()
        synced = path.stat().st_size
    with opened(tmp_path, segment_bytes=1 << 30) as log:
        log.append("ratings", [Record(b"%d" % i * (5 << 20)) for i in range(3)])
    lose(path, synced, "first block lost")
    bounds = tmp_path / "ratings" / "bounds"
    bounds.write_bytes(bytes(16))
    with opened(tmp_path) as log:
        assert list(contents(log).values()) == [b"before"]
    assert path.stat().st_size == synced
