"""The local log beyond its port: laws over restarts and segments, damage, limits, processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import given

from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.core.errors import CorruptError, GapError, RequestError, SettingsError, UnavailableError
from watersmeet.core.record import Position, Record
from watersmeet.formats.logged import LOGGED
from watersmeet.formats.shares import shares

pytestmark = pytest.mark.integration


def opened(root: Path, *, segment_bytes: int = 2_000, fsync: bool = True) -> LocalLog:
    return LocalLog(root, ManualClock(1_000), segment_bytes=segment_bytes, fsync=fsync)


def contents(log: LocalLog, topic: str = "ratings") -> dict[Position, bytes]:
    table = log.read(topic, log.start(topic), log.end(topic), 1 << 30)
    columns = (table.column(name).to_pylist() for name in ("partition", "offset", "value"))
    return {Position(partition, offset): value for partition, offset, value in zip(*columns, strict=True)}


BATCHES = st.lists(
    st.tuples(st.one_of(st.none(), st.binary(max_size=3)), st.binary(max_size=80)), min_size=1, max_size=12
)
STEPS = st.lists(
    st.one_of(BATCHES, st.just("reopen"), st.tuples(st.just("trim"), st.floats(0, 1))), min_size=1, max_size=12
)


@given(partitions=st.integers(1, 3), steps=STEPS, data=st.data())
def test_every_read_equals_the_model(
    partitions: int, steps: list[object], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("model")
    clock = ManualClock(0)
    model: list[list[tuple[bytes | None, bytes, int]]] = [[] for _ in range(partitions)]
    log = LocalLog(root, clock, segment_bytes=1_500, fsync=False)
    log.create("ratings", partitions)
    for step in steps:
        clock.advance(1.0)
        if step == "reopen":
            log.close()
        elif isinstance(step, tuple):
            before = log.start("ratings")
            below = tuple(int(step[1] * len(rows)) for rows in model)
            log.trim("ratings", below)
            after = log.start("ratings")
            assert all(old <= new <= max(low, old) for old, new, low in zip(before, after, below, strict=True))
        elif isinstance(step, list):
            for position, (key, value) in zip(
                log.append("ratings", [Record(value, key) for key, value in step]), step, strict=True
            ):
                assert position.offset == len(model[position.partition])
                model[position.partition].append((key, value, clock.now_us()))
    start, end = log.start("ratings"), log.end("ratings")
    assert end == tuple(len(rows) for rows in model)
    lower = tuple(data.draw(st.integers(low, high)) for low, high in zip(start, end, strict=True))
    upper = tuple(data.draw(st.integers(low, high)) for low, high in zip(lower, end, strict=True))
    limit = data.draw(st.integers(1, 40))
    table = log.read("ratings", lower, upper, limit)
    assert table.schema.equals(LOGGED)
    table.validate(full=True)
    expected = [
        (partition, offset, arrival, key, value, None)
        for partition, (low, take) in enumerate(zip(lower, shares(lower, upper, limit), strict=True))
        for offset, (key, value, arrival) in enumerate(model[partition][low : low + take], low)
    ]
    assert list(zip(*(column.to_pylist() for column in table.columns), strict=True)) == expected
    log.close()
    shutil.rmtree(root)


def test_a_large_append_is_cut_into_frames_and_comes_back_whole(tmp_path: Path) -> None:
    values = [b"%06d" % i + b"x" * 100_000 for i in range(120)]
    with opened(tmp_path, fsync=False) as log:
        log.create("ratings", 1)
        log.append("ratings", [Record(value) for value in values])
        table = log.read("ratings", (0,), (120,), 200)
        assert table.column("value").to_pylist() == values
        assert table.column("value").num_chunks == 4
        assert log.read("ratings", (41,), (44,), 200).column("value").to_pylist() == values[41:44]


def test_many_small_frames_come_back_in_one_chunk(tmp_path: Path) -> None:
    with opened(tmp_path, fsync=False) as log:
        log.create("ratings", 1)
        for i in range(50):
            log.append("ratings", [Record(b"%d" % i)])
        table = log.read("ratings", (0,), (50,), 100)
    assert {column.num_chunks for column in table.columns} == {1}


def test_values_stay_when_their_segment_is_trimmed(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.create("ratings", 1)
        for i in range(10):
            log.append("ratings", [Record(b"%d" % i * 500)])
        table = log.read("ratings", (0,), (10,), 100)
        log.trim("ratings", (10,))
        assert log.start("ratings") == (9,)
    assert table.column("value").to_pylist() == [b"%d" % i * 500 for i in range(10)]


def test_the_end_costs_no_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path) as log, opened(tmp_path) as other:
        log.create("ratings", 2)
        log.append("ratings", [Record(b"1")])
        assert log.end("ratings") == other.end("ratings") == (1, 0)
        log.append("ratings", [Record(b"2")])
        with monkeypatch.context() as patch:
            for name in ("open", "stat", "pread", "listdir", "scandir", "fstat"):
                patch.setattr(os, name, None)
            assert log.end("ratings") == other.end("ratings") == (1, 1)
            assert other.start("ratings") == (0, 0)


def test_reading_at_the_end_of_a_long_log_reads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, segment_bytes=100_000, fsync=False) as log:
        log.create("ratings", 1)
        for i in range(300):
            log.append("ratings", [Record(b"%d" % i + b"x" * 10_000) for _ in range(3)])
        assert len(list((tmp_path / "ratings" / "0").iterdir())) > 90
    sizes = []
    pread = os.pread

    def counted(descriptor: int, size: int, position: int) -> bytes:
        data = pread(descriptor, size, position)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(os, "pread", counted)
    with opened(tmp_path) as log:
        for lower in (898, 450, 0):
            sizes.clear()
            assert log.read("ratings", (lower,), (900,), 2).num_rows == 2
            assert sum(sizes) <= 3 * 100_000


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/abs", "a\0b", "ä", "a" * 101, "-a", "a b"])
def test_a_name_that_is_no_safe_file_name_is_refused(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / "log") as log:
        with pytest.raises(RequestError, match="topic name") as caught:
            log.create(name, 1)
        assert caught.value.kind == "invalid"
        with pytest.raises(RequestError) as caught:
            log.end(name)
        assert caught.value.kind == "unknown"
    assert os.listdir(tmp_path) == ["log"]


@pytest.mark.parametrize("partitions", [0, -1, 1025])
def test_a_partition_count_out_of_range_is_refused(tmp_path: Path, partitions: int) -> None:
    with opened(tmp_path) as log, pytest.raises(RequestError, match="expected 1 to 1024"):
        log.create("ratings", partitions)


def test_a_name_nearly_right_is_offered(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.create("movie-ratings", 1)
        with pytest.raises(RequestError, match="Did you mean 'movie-ratings'"):
            log.end("movie_rating")
        with pytest.raises(RequestError, match="Apply its declaration first"):
            log.end("clicks")


@pytest.mark.parametrize(("segment_bytes", "value_bytes"), [(0, 1), (1, 0), (1, (1 << 30) + 1)])
def test_a_size_out_of_range_is_refused(tmp_path: Path, segment_bytes: int, value_bytes: int) -> None:
    with pytest.raises(SettingsError, match="expected 1 to 1,073,741,824"):
        LocalLog(tmp_path, ManualClock(0), segment_bytes=segment_bytes, value_bytes=value_bytes)


def test_a_bad_record_keeps_the_whole_append_out(tmp_path: Path) -> None:
    with LocalLog(tmp_path, ManualClock(0), value_bytes=10) as log:
        log.create("ratings", 1)
        with pytest.raises(RequestError, match="value of record 2 for topic ratings") as caught:
            log.append("ratings", [Record(b"1"), Record(b"2"), Record(b"x" * 11)])
        assert caught.value.kind == "too_large"
        assert log.end("ratings") == (0,)


def test_everything_is_for_its_owner_only(tmp_path: Path) -> None:
    with opened(tmp_path / "state" / "log") as log:
        log.create("ratings", 1)
        for i in range(10):
            log.append("ratings", [Record(b"%d" % i * 500)])
    paths = [tmp_path / "state" / "log", *(tmp_path / "state" / "log").rglob("*")]
    assert len(paths) > 10
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}


def test_a_root_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnavailableError, match="file"):
        opened(tmp_path / "file" / "log")


def test_a_closed_log_opens_again(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.create("ratings", 1)
    log.append("ratings", [Record(b"1")])
    log.close()
    log.append("ratings", [Record(b"2")])
    assert list(contents(log).values()) == [b"1", b"2"]
    log.close()


def test_damage_never_gives_a_wrong_record(tmp_path: Path) -> None:
    root = tmp_path / "log"
    with opened(root) as log:
        log.create("ratings", 1)
        for i in range(4):
            log.append("ratings", [Record(b"%d" % i * 40), Record(b"%d" % i)])
        sound = contents(log)
    segments = sorted((root / "ratings" / "0").iterdir())
    assert len(segments) == 2
    for path in segments:
        data = path.read_bytes()
        for at in range(0, len(data), 5):
            harmed = bytearray(data)
            harmed[at] ^= 1 << at % 8
            path.write_bytes(harmed)
            with opened(root, fsync=False) as log, pytest.raises(CorruptError, match=rf"{path.name} at byte \d+;"):
                assert contents(log) == sound
        path.write_bytes(data)
    with opened(root) as log:
        assert contents(log) == sound


def test_records_before_the_damage_can_be_read(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=1 << 20) as log:
        log.create("ratings", 1)
        for i in range(3):
            log.append("ratings", [Record(b"%d" % i * 100)])
        (path,) = (tmp_path / "ratings" / "0").iterdir()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert log.read("ratings", (0,), (1,), 10).num_rows == 1
        assert log.read("ratings", (2,), (3,), 10).num_rows == 1
        with pytest.raises(CorruptError, match=path.name):
            log.read("ratings", (0,), (2,), 10)


def test_files_of_two_partitions_that_were_swapped_are_noticed(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.create("ratings", 2)
        log.append("ratings", [Record(b"a"), Record(b"b")])
    first, second = (tmp_path / "ratings" / name / "00000000000000000000.log" for name in "01")
    data = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(data)
    with opened(tmp_path) as log, pytest.raises(CorruptError, match=r"0\.log at byte 0"):
        log.end("ratings")


def test_a_segment_that_is_missing_is_noticed(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.create("ratings", 1)
        for i in range(10):
            log.append("ratings", [Record(b"%d" % i * 500)])
    first, second, *_ = sorted((tmp_path / "ratings" / "0").iterdir())
    missing = int(second.stem)
    second.unlink()
    with opened(tmp_path) as log:
        assert log.read("ratings", (0,), (missing,), 10).num_rows == missing
        with pytest.raises(CorruptError, match=f"expected the segment with offset {missing}"):
            log.read("ratings", (0,), (10,), 10)
    os.truncate(first, 0)
    with opened(tmp_path) as log, pytest.raises(CorruptError, match="expected the segment with offset 0"):
        log.read("ratings", (0,), (1,), 10)


def test_bounds_that_are_lost_or_damaged_are_found_again(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.create("ratings", 2)
        log.append("ratings", [Record(b"%d" % i * 100) for i in range(50)])
        sound, bounds = contents(log), (log.start("ratings"), log.end("ratings"))
    path = tmp_path / "ratings" / "bounds"
    data = path.read_bytes()
    for harmed in (b"", bytes(len(data)), b"\xff" * len(data), data[:7], data[::-1]):
        path.write_bytes(harmed)
        with opened(tmp_path) as log:
            assert (log.start("ratings"), log.end("ratings")) == bounds
            assert contents(log) == sound
    path.unlink()
    with opened(tmp_path) as log:
        assert (log.start("ratings"), log.end("ratings")) == bounds


def test_trimming_takes_torn_copies_with_their_segment(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.create("ratings", 1)
        for i in range(10):
            log.append("ratings", [Record(b"%d" % i * 500)])
        directory = tmp_path / "ratings" / "0"
        first, *_, last = sorted(directory.iterdir())
        for path in (first, last):
            path.with_name(f"{path.name}.96-0123abcd.torn").touch()
        log.trim("ratings", (10,))
        assert sorted(path.name for path in directory.iterdir()) == [last.name, f"{last.name}.96-0123abcd.torn"]


@pytest.mark.parametrize("same", [False, True])
def test_a_reader_is_told_of_a_trim_that_overtakes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same: bool
) -> None:
    with opened(tmp_path) as log, opened(tmp_path) as other:
        log.create("ratings", 1)
        for i in range(10):
            log.append("ratings", [Record(b"%d" % i * 500)])
        # the reader has checked its interval when the trim comes
        checked = other._check_interval

        def check_then_trim(*interval: Any) -> None:
            checked(*interval)
            monkeypatch.undo()
            (other if same else log).trim("ratings", (10,))

        monkeypatch.setattr(other, "_check_interval", check_then_trim)
        with pytest.raises(GapError, match="expected 9 or above"):
            other.read("ratings", (0,), (10,), 10)
        assert other.read("ratings", (9,), (10,), 10).num_rows == 1


APPENDER = """
import json, sys
from pathlib import Path
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.core.record import Record
root, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
log = LocalLog(root, SystemClock(), segment_bytes=20_000)
for i in range(count):
    records = [Record(f"{name}-{i}-{j}".encode(), f"{j}".encode()) for j in range(3)]
    placed = log.append("ratings", records)
    print(json.dumps([(p.partition, p.offset, r.value.decode()) for p, r in zip(placed, records)]), flush=True)
"""


def start_appender(root: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDER, str(root), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def placed(lines: list[str]) -> dict[Position, bytes]:
    return {
        Position(partition, offset): value.encode() for line in lines for partition, offset, value in json.loads(line)
    }


def test_processes_append_to_one_topic_at_once(tmp_path: Path) -> None:
    with opened(tmp_path, segment_bytes=20_000) as log:
        log.create("ratings", 2)
        processes = [start_appender(tmp_path, name, 60) for name in "abc"]
        outputs = [process.communicate()[0].splitlines() for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0]
        acknowledged = placed([line for lines in outputs for line in lines])
        assert len(acknowledged) == 3 * 60 * 3
        assert contents(log) == acknowledged
        table = log.read("ratings", log.start("ratings"), log.end("ratings"), 1 << 20)
        for partition in range(2):
            arrivals = table.filter(pa.compute.equal(table.column("partition"), partition)).column("arrival")
            assert arrivals.to_pylist() == sorted(arrivals.to_pylist())


def test_a_killed_process_takes_nothing_that_was_acknowledged_with_it(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.create("ratings", 2)
        seen: dict[Position, bytes] = {}
        for lines in (1, 20, 45):
            process = start_appender(tmp_path, f"run{lines}", 100_000)
            assert process.stdout is not None
            output = [process.stdout.readline() for _ in range(lines)]
            process.send_signal(signal.SIGKILL)
            output += process.stdout.readlines()
            process.stdout.close()
            assert process.wait() == -signal.SIGKILL
            seen |= placed([line for line in output if line.endswith("\n")])
            # the next to append mends what the dead one left, without being opened anew
            (position,) = log.append("ratings", [Record(b"survivor")])
            seen[position] = b"survivor"
            found = contents(log)
            assert seen.items() <= found.items()
            # not acknowledged, because the kill came first: at most the last append
            assert len(found) - len(seen) <= 3
            offered = [value for value in found.values() if value != b"survivor"]
            assert len(set(offered)) == len(offered)
            seen = found
