"""What is particular to state in an SQLite file: crashes, damage, other processes, full disks."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pytest

from tests.conformance.changes import TOPIC, absorb, begin, blobs, chunk, contents, listed, published, slice_
from watersmeet.adapters.local import state as module
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.state import LocalState
from watersmeet.core import failpoint
from watersmeet.core.errors import (
    ConflictError,
    CorruptError,
    RequestError,
    SettingsError,
    UnavailableError,
)
from watersmeet.core.manifest import Manifest, archived, commit, compact_blocks, create, declare, lease, roll
from watersmeet.core.state import Blob

pytestmark = pytest.mark.integration
NAME = "state.db"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000)


def opened(directory: Path, clock: ManualClock | None = None, busy_seconds: float = 10.0) -> closing[LocalState]:
    return closing(LocalState(directory / NAME, clock or ManualClock(10**12), busy_seconds=busy_seconds))


def child(directory: Path, script: str) -> subprocess.Popen[str]:
    """Run a script that finds the state in ``state`` in a process of its own."""
    begins = f"""
        import resource, sys
        from pathlib import Path
        from tests.conformance.changes import *
        from watersmeet.adapters.local.clock import SystemClock
        from watersmeet.adapters.local.state import LocalState
        from watersmeet.core.errors import *
        from watersmeet.core.manifest import lease
        state = LocalState(Path({str(directory / NAME)!r}), SystemClock())
        """
    code = textwrap.dedent(begins) + textwrap.dedent(script)
    root = Path(__file__).parents[3]
    return subprocess.Popen([sys.executable, "-c", code], cwd=root, text=True, stdout=subprocess.PIPE)


@pytest.fixture
def crashes(tmp_path: Path) -> Iterator[Callable[[Path], list[tuple[str, Path]]]]:
    """Copy a directory at every failpoint from here on: what a process that died there would leave behind."""
    taken: list[tuple[str, Path]] = []

    def watch(directory: Path) -> list[tuple[str, Path]]:
        def copy(name: str) -> None:
            image = tmp_path / f"image-{len(taken)}"
            # The shared-memory file is rebuilt by whoever opens the file first.
            shutil.copytree(directory, image, ignore=shutil.ignore_patterns("*-shm"))
            taken.append((name, image))

        failpoint.install(copy)
        return taken

    yield watch
    failpoint.install(None)


def test_a_crash_at_any_moment_leaves_the_state_before_or_after(
    tmp_path: Path, clock: ManualClock, crashes: Callable[[Path], list[tuple[str, Path]]]
) -> None:
    """Every image is recovered, read whole, and works on."""
    directory = tmp_path / "state"
    directory.mkdir()
    images = crashes(directory)
    allowed: list[set[tuple[Manifest, bytes | None]]] = []

    def step(change: Callable[[], object]) -> None:
        """Do one thing; its images may be as before it or as after it."""
        before = (state.manifest(TOPIC), _value(state))
        change()
        after = (state.manifest(TOPIC), _value(state))
        allowed.extend([{before, after}] * (len(images) - len(allowed)))

    with opened(directory, clock) as state:
        allowed.extend([{(Manifest(TOPIC), None)}] * len(images))
        step(lambda: state.change(TOPIC, lambda m: create(m, (0, 0))))
        step(lambda: state.change(TOPIC, lambda m: lease(m, "one")))
        step(lambda: state.change(TOPIC, lambda m: declare(m, 1, "fg", 0)))
        for number in range(4):
            step(lambda number=number: absorb(state, f"a{number}", number))  # type: ignore[misc]  # bound
            clock.advance(1)
        step(lambda: state.put("keys", "k", b"1"))
        merged = [Blob(f"cells:{fingerprint}", "m", chunk(1)) for fingerprint in "fg"]
        step(lambda: state.change(TOPIC, lambda m: compact_blocks(m, ["a0", "a1"], "m"), merged))
        step(lambda: state.change(TOPIC, lambda m: roll(m, 5)))
        step(lambda: state.change(TOPIC, lambda m: archived(m, 0)))
        batch = [Blob(f"cells:{fingerprint}", f"r.{fingerprint}", chunk(1)) for fingerprint in "fg"]
        batch += [Blob(kind, "r", chunk(2)) for kind in ("ids", "dead")]
        step(lambda: state.change(TOPIC, published(state.manifest(TOPIC), 0, "r"), batch))
        step(lambda: state.put("keys", "k", b"2"))
        step(lambda: state.put("keys", "k", None))
        clock.advance(1)
        step(lambda: state.sweep(TOPIC, clock.now_us()))
        failpoint.install(None)

    assert {name for name, _ in images} == {name for name in failpoint.NAMES if name.startswith("state.")}
    assert len(images) == len(allowed) > 90
    for (name, image), states in zip(images, allowed, strict=True):
        with opened(image) as recovered:
            m = recovered.manifest(TOPIC)
            assert (m, _value(recovered)) in states, name
            assert contents(recovered, listed(m)).keys() == listed(m), name
            assert recovered.change(TOPIC, lambda m: lease(m, "next")) == lease(m, "next"), name
            recovered.sweep(TOPIC, 10**13)
            assert contents(recovered, listed(m)).keys() == listed(m), name
        shutil.rmtree(image)


def _value(state: LocalState) -> bytes | None:
    value = state.get("keys", "k")
    return None if value is None else value.data


def test_a_killed_process_loses_nothing_that_it_was_told_is_safe(tmp_path: Path) -> None:
    """SIGKILL at whatever moment it hits, again and again on one file."""
    with opened(tmp_path) as state:
        begin(state)
    for life in range(6):
        worker = child(
            tmp_path,
            f"""
            for number in range(10**6):
                print(absorb(state, f"{life}-{{number}}", number).version, flush=True)
            """,
        )
        assert worker.stdout is not None
        told = [int(worker.stdout.readline()) for _ in range(10 + life)][-1]
        worker.kill()
        told = max([told, *map(int, worker.stdout.read().split())])
        assert worker.wait() == -signal.SIGKILL
        worker.stdout.close()
        with opened(tmp_path) as state:
            m = state.manifest(TOPIC)
            assert told <= m.version <= told + 1
            assert len(m.slices) == m.version - 3
            assert contents(state, listed(m)).keys() == listed(m)


def test_two_processes_change_one_file(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        start = begin(state)
        state.put("positions", "n", b"0")
        work = """
            for _ in range(40):
                state.change(TOPIC, lambda m: lease(m, "child"))
                while True:
                    old = state.get("positions", "n")
                    try:
                        state.put("positions", "n", b"%d" % (int(old.data) + 1), expected=old.version)
                        break
                    except ConflictError:
                        continue
            """
        token = state.token()
        workers = [child(tmp_path, work) for _ in range(2)]
        for worker in workers:
            assert worker.communicate()[0] == ""
            assert worker.returncode == 0
        m = state.manifest(TOPIC)
        value = state.get("positions", "n")
        assert (m.version - start.version, m.generation - start.generation) == (80, 80)
        assert value is not None
        assert value.data == b"80"
        assert state.token() != token


def test_a_full_disk_refuses_a_change_whole_and_heals(tmp_path: Path) -> None:
    """The limit on file sizes makes every further write fail, as a full disk does."""
    with opened(tmp_path) as state:
        begin(state)
    worker = child(
        tmp_path,
        """
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        kept = state.manifest(TOPIC)
        for number in range(10**6):
            try:
                kept = absorb(state, f"a{number}", number)
            except UnavailableError as error:
                print(error.subject)
                break
        for _ in range(2):
            try:
                state.put("keys", "k", bytes(300_000))
            except UnavailableError as error:
                print(error.subject)
        assert state.get("keys", "k") is None
        assert state.manifest(TOPIC) == kept
        assert contents(state, listed(kept)).keys() == listed(kept)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert absorb(state, "healed").version == kept.version + 1
        print(state.manifest(TOPIC).version)
        """,
    )
    output, _ = worker.communicate()
    *complaints, version = output.split()
    assert worker.returncode == 0
    assert complaints == [str(tmp_path / NAME)] * 3
    with opened(tmp_path) as state:
        m = state.manifest(TOPIC)
        assert m.version == int(version) > 4
        assert contents(state, listed(m)).keys() == listed(m)


def everything(directory: Path) -> dict[str, object]:
    """All that a state can be asked, each answered or refused as damaged."""
    found: dict[str, object] = {}

    def ask(name: str, question: Callable[[], object]) -> None:
        try:
            found[name] = question()
        except (CorruptError, RequestError, SettingsError, UnavailableError):
            found[name] = "refused"

    try:
        with opened(directory) as state:
            for at_us in (None, *range(1_000_000, 8_000_000, 1_000_000)):
                ask(f"as of {at_us}", lambda at_us=at_us: state.manifest(TOPIC, at_us))  # type: ignore[misc]  # bound
            for key in range(40):
                ask(f"get {key}", lambda key=key: state.get("keys", str(key)))  # type: ignore[misc]  # bound
            ask("scan", lambda: state.scan("keys"))
            ask("other", lambda: state.scan("tables"))
            for kind, owner in ADDRESSES:
                ask(f"{kind} {owner}", lambda a=(kind, owner): contents(state, [a])[a])  # type: ignore[misc]  # bound
    except (CorruptError, RequestError, SettingsError, UnavailableError):
        found["open"] = "refused"
    return found


ADDRESSES = [(kind, f"a{number}") for number in range(6) for kind in ("cells:f", "ids", "dead")]


@pytest.fixture
def full(tmp_path: Path, clock: ManualClock) -> Path:
    """A state with something of everything in it, closed."""
    directory = tmp_path / "state"
    with opened(directory, clock) as state:
        begin(state)
        for number in range(6):
            clock.advance(1)
            absorb(state, f"a{number}", number)
        state.change(TOPIC, lambda m: compact_blocks(m, ["a0", "a1"], "m"), [Blob("cells:f", "m", chunk(1, 2000))])
        for key in range(40):
            state.put("keys", str(key), b"value %d" % key)
        state.put("tables", "t", b"")
    return directory


def test_no_damaged_byte_passes_for_an_answer(tmp_path: Path, full: Path) -> None:
    """Flip bits all over the file: what is answered is true, what is not is refused by name."""
    truth = everything(full)
    assert "refused" not in truth.values()
    data = (full / NAME).read_bytes()
    chance = random.Random(7)
    places = [position + chance.randrange(1024) for position in range(0, len(data), 1024)]
    refused = 0
    for position in (*range(100), *places):
        damaged = bytearray(data)
        damaged[position] ^= 1 << chance.randrange(8)
        found = _read_damaged(tmp_path / "damaged", full, bytes(damaged))
        refused += "refused" in found.values()
        wrong = {name: got for name, got in found.items() if got != "refused" and not _same(got, truth[name])}
        assert wrong == {}, position
    assert refused > len(places) // 4


@pytest.mark.parametrize("damage", ["zeroed", "cut", "swapped"])
def test_no_damaged_page_passes_for_an_answer(tmp_path: Path, full: Path, damage: str) -> None:
    truth = everything(full)
    data = (full / NAME).read_bytes()
    size = 4096
    for begin_ in range(0, len(data), size):
        page, last = data[begin_ : begin_ + size], data[-size:]
        damaged = {
            "zeroed": data[:begin_] + bytes(len(page)) + data[begin_ + size :],
            "cut": data[:begin_],
            "swapped": data[:begin_] + last + data[begin_ + size : -size] + page,
        }[damage]
        found = _read_damaged(tmp_path / "damaged", full, damaged)
        wrong = {name: got for name, got in found.items() if got != "refused" and not _same(got, truth[name])}
        assert wrong == {}, begin_


def test_a_damaged_write_ahead_log_takes_the_state_back_whole(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    with opened(directory) as state:
        history = [Manifest(TOPIC), begin(state)]
        history += [absorb(state, f"a{number}", number) for number in range(8)]
        copy = tmp_path / "copy"
        shutil.copytree(directory, copy, ignore=shutil.ignore_patterns("*-shm"))
    log = copy / f"{NAME}-wal"
    data, chance = log.read_bytes(), random.Random(3)
    versions = set()
    for position in range(32, len(data), len(data) // 40):
        damaged = bytearray(data)
        damaged[position] ^= 1 << chance.randrange(8)
        log.write_bytes(damaged)
        image = tmp_path / "image"
        shutil.copytree(copy, image)
        with opened(image) as state:
            m = state.manifest(TOPIC)
            assert m in history or m.version < 3
            assert contents(state, listed(m)).keys() == listed(m)
            versions.add(m.version)
        shutil.rmtree(image)
    assert len(versions) > 5


def _read_damaged(directory: Path, full: Path, data: bytes) -> dict[str, object]:
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(full, directory)
    (directory / NAME).write_bytes(data)
    return everything(directory)


def _same(got: object, truth: object) -> bool:
    return got.equals(truth) if isinstance(got, pa.Table) else got == truth


def test_a_flipped_bit_of_a_blob_names_it(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        begin(state)
        absorb(state, "a")
        with closing(sqlite3.connect(tmp_path / NAME)) as other:
            (data,) = other.execute("select data from blobs where kind='ids'").fetchone()
            other.execute("update blobs set data=? where kind='ids'", (data[:-1] + bytes([data[-1] ^ 1]),))
            other.commit()
        with pytest.raises(CorruptError, match=f"blob ids of a, topic {TOPIC}"):
            state.load(TOPIC, "ids", ["a"])
        assert contents(state, [("dead", "a")]).keys() == {("dead", "a")}


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    with opened(tmp_path / "new") as state:
        begin(state)
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()}
    assert set(modes) == {NAME, f"{NAME}-wal", f"{NAME}-shm", f"{NAME}.lock", f"{NAME}.made"}
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    with closing(sqlite3.connect(tmp_path / NAME)) as other:
        other.execute(f"pragma user_version={module.FORMAT + 1}")
    with pytest.raises(SettingsError, match=f"format {module.FORMAT + 1}. Upgrade watersmeet"):
        opened(tmp_path)


def test_another_database_is_refused_untouched(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / NAME)) as other:
        other.execute("create table mine(n)")
    with pytest.raises(SettingsError, match="another SQLite file"):
        opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / NAME)) as other:
        assert other.execute("select name from sqlite_master").fetchall() == [("mine",)]


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"not a database at all" * 1000)
    with pytest.raises(CorruptError):
        opened(tmp_path)


def test_a_lost_file_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    (tmp_path / NAME).unlink()
    with pytest.raises(CorruptError, match=f"delete {NAME}.made too"):
        opened(tmp_path)
    (tmp_path / f"{NAME}.made").unlink()
    with opened(tmp_path) as state:
        assert state.manifest(TOPIC) == Manifest(TOPIC)


def test_a_blob_that_sqlite_cannot_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_BLOB_BYTES", 1000)
    with opened(tmp_path) as state:
        m = begin(state)
        with pytest.raises(RequestError) as caught:
            state.change(TOPIC, lambda m: commit(m, slice_(m, "a")), [Blob("ids", "a", chunk(1, 1000))])
        assert caught.value.kind == "too_large"
        assert state.manifest(TOPIC) == m


def test_space_of_swept_blobs_is_given_back(tmp_path: Path, clock: ManualClock) -> None:
    noise = pa.table({"n": [random.Random(1).randbytes(4_000_000)]})
    with opened(tmp_path, clock) as state:
        begin(state)
        m = state.manifest(TOPIC)
        state.change(TOPIC, lambda m: commit(m, slice_(m, "a")), [*blobs(m, "a", 1), Blob("cells:x", "a", noise)])
        assert state.sweep(TOPIC, clock.now_us()) == 1
    assert (tmp_path / NAME).stat().st_size < 500_000


def test_a_conflict_in_the_middle_of_writing_undoes_all_of_it(tmp_path: Path) -> None:
    with opened(tmp_path) as state:
        begin(state)
        m = absorb(state, "a")
        with pytest.raises(ConflictError, match="blobs of owners that have none"):
            state.change(TOPIC, lambda m: lease(m, "x"), [Blob("new", "a", chunk(1)), Blob("ids", "a", chunk(1))])
        assert state.manifest(TOPIC) == m
        with pytest.raises(CorruptError):
            state.load(TOPIC, "new", ["a"])
