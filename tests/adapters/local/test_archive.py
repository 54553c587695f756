"""What is particular to an archive in Parquet files: crashes, damage, other processes, other readers."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conformance.records import contents, in_order, logged, positions, sealed
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.core import failpoint
from watersmeet.core.errors import CorruptError, SettingsError, UnavailableError
from watersmeet.core.record import Records
from watersmeet.formats import epoch, part
from watersmeet.formats.disk import locked
from watersmeet.formats.logged import ARCHIVED

pytestmark = pytest.mark.integration
TOPIC = "movie.ratings"
PLACES = [(p, o) for p in range(2) for o in range(60)]
EPOCH = sealed(12, (0, 0), (20, 7), (60, 60))
DIRECTORY = "movie.ratings/epoch=00000012"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An archive that holds `EPOCH`."""
    LocalArchive(tmp_path / "archive").append(TOPIC, EPOCH, [logged(PLACES)])
    return tmp_path / "archive"


def answers(root: Path) -> dict[str, object]:
    """All that an archive can be asked, each answered or refused as damaged."""
    found: dict[str, object] = {}
    questions: dict[str, Callable[[LocalArchive], object]] = {
        "epochs": lambda a: list(a.epochs(TOPIC)),
        "read": lambda a: contents(list(a.read(TOPIC, 12, 50))),
        "order": lambda a: positions(a.read(TOPIC, 12, 7)),
        "verify": lambda a: a.verify(TOPIC, 12),
        "append": lambda a: a.append(TOPIC, EPOCH, [logged(PLACES)]),
    }
    for name, question in questions.items():
        try:
            found[name] = question(LocalArchive(root))
        except (CorruptError, SettingsError) as error:
            found[name] = "refused" if DIRECTORY in error.subject and error.remedy else error
    return found


def test_a_crash_at_any_moment_leaves_the_whole_epoch_or_none(tmp_path: Path) -> None:
    """Every image is recovered and appended to; crashes while leftovers are cleared are tried too."""
    root, images = tmp_path / "archive", list[tuple[str, Path]]()

    def copy(name: str) -> None:
        images.append((name, tmp_path / f"image-{len(images)}"))
        shutil.copytree(root, images[-1][1])

    failpoint.install(copy)
    try:
        archive = LocalArchive(root)
        first = archive.append(TOPIC, sealed(11, (0, 0), (0, 0)), [])
        stored = archive.append(TOPIC, EPOCH, [logged(PLACES)])
        (root / TOPIC / ".epoch=00000013").mkdir()
        LocalArchive(root)
    finally:
        failpoint.install(None)
    assert {name for name, _ in images} == {name for name in failpoint.NAMES if name.startswith("archive.")}
    for name, image in images:
        recovered = LocalArchive(image)
        found = recovered.epochs(TOPIC)
        assert list(found) in ([], [first], [first, stored]), name
        assert all(recovered.verify(TOPIC, e.number) == e for e in found), name
        assert not list(image.glob("*/.epoch=*")), name
        assert recovered.append(TOPIC, EPOCH, [logged(PLACES)]) == stored, name
        assert positions(recovered.read(TOPIC, 12, 50)) == in_order(EPOCH, PLACES), name


def test_no_damaged_byte_passes_for_a_record(root: Path, tmp_path: Path) -> None:
    truth, chance = answers(root), random.Random(5)
    assert "refused" not in truth.values()
    for path in sorted((root / DIRECTORY).iterdir()):
        data = path.read_bytes()
        for begin in range(0, len(data), 97):
            damaged = bytearray(data)
            damaged[min(begin + chance.randrange(97), len(data) - 1)] ^= 1 << chance.randrange(8)
            path.write_bytes(damaged)
            found = answers(root)
            assert found["verify"] == "refused" or path.suffix == ".json"
            assert all(got in ("refused", truth[name]) for name, got in found.items()), (path.name, begin)
        path.write_bytes(data)
    assert answers(root) == truth


@pytest.mark.parametrize("damage", ["empty", "half", "zeroed", "missing", "swapped"])
def test_a_damaged_file_is_named_with_what_to_do(root: Path, damage: str) -> None:
    directory = root / DIRECTORY
    for path in sorted(directory.iterdir()):
        kept = {p: p.read_bytes() for p in directory.iterdir()}
        match damage:
            case "empty":
                path.write_bytes(b"")
            case "half":
                path.write_bytes(kept[path][: len(kept[path]) // 2])
            case "zeroed":
                path.write_bytes(bytes(len(kept[path])))
            case "missing":
                path.unlink()
            case "swapped":
                path.write_bytes(kept[next(p for p in sorted(kept) if p != path)])
        with pytest.raises(CorruptError, match=path.name) as caught:
            LocalArchive(root).verify(TOPIC, 12)
        assert "restore it from a copy" in caught.value.remedy
        with pytest.raises(CorruptError, match=path.name):
            list(LocalArchive(root).read(TOPIC, 12, 10))
        for p, data in kept.items():
            p.write_bytes(data)


def test_a_file_too_many_is_noticed(root: Path) -> None:
    shutil.copy(root / DIRECTORY / "part-00000.parquet", root / DIRECTORY / "part-00007.parquet")
    with pytest.raises(CorruptError, match=r"part-00007\.parquet too"):
        LocalArchive(root).verify(TOPIC, 12)


def test_a_part_that_was_made_to_match_its_digest_is_still_read_through(root: Path) -> None:
    """Records of other partitions, slices, offsets or numbers, under a manifest that fits the file."""
    directory = root / DIRECTORY
    manifest = epoch.read_manifest(directory, TOPIC, 12)
    table = pq.read_table(directory / "part-00001.parquet", partitioning=None)
    ones = pa.array([1] * table.num_rows, pa.int64())
    for wrong in (
        table.slice(1),
        table.set_column(0, ARCHIVED.field(0), pa.array([0] * table.num_rows, pa.int32())),
        table.set_column(6, ARCHIVED.field(6), ones),
        table.take(list(reversed(range(table.num_rows)))),
    ):
        (directory / "part-00001.parquet").unlink()
        writer = part.PartWriter(directory, 1)
        writer.write(wrong, 59)
        made = writer.close()
        told = (manifest.parts[0], part.Part(1, 60, made.bytes, made.memory_bytes, made.sha256))
        epoch.write_manifest(directory, TOPIC, EPOCH, told)
        with pytest.raises(CorruptError, match=r"part-00001\.parquet"):
            LocalArchive(root).verify(TOPIC, 12)


def test_a_newer_format_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epoch, "FORMAT", epoch.FORMAT - 1)
    with pytest.raises(SettingsError, match="Upgrade watersmeet"):
        LocalArchive(root).epochs(TOPIC)


def test_an_epoch_under_another_name_is_noticed(root: Path) -> None:
    (root / DIRECTORY).rename(root / TOPIC / "epoch=00000013")
    with pytest.raises(CorruptError, match="epoch 13 of topic"):
        LocalArchive(root).epochs(TOPIC)
    (root / TOPIC).rename(root / "other")
    (root / "other" / "epoch=00000013").rename(root / "other" / "epoch=00000012")
    with pytest.raises(CorruptError, match="epoch 12 of topic other"):
        LocalArchive(root).read("other", 12, 10)


def test_any_parquet_reader_reads_it(root: Path) -> None:
    LocalArchive(root).append(TOPIC, sealed(13, (60, 60), (61, 60)), [logged([(0, 60)])])
    query = f"""
        select epoch::integer as epoch, partition, "offset", arrival, key, value, headers, slice
        from read_parquet('{root}/{TOPIC}/*/*.parquet', hive_partitioning=true) order by partition, "offset"
        """
    table = duckdb.connect().sql(query).to_arrow_table()
    assert table["epoch"].to_pylist() == [12] * 60 + [13] + [12] * 60
    expected = contents([logged([*PLACES, (0, 60)])])
    assert table.drop(["epoch", "slice"]).to_pylist() == expected
    assert pq.read_table(root / TOPIC, partitioning="hive").num_rows == 121


def test_what_a_dead_writer_left_is_swept_and_what_a_living_one_writes_is_not(root: Path) -> None:
    left = root / TOPIC / ".epoch=00000013"
    left.mkdir()
    (left / "part-00000.parquet").touch()
    (root / "stray").touch()
    with locked(root / TOPIC / ".lock"):
        LocalArchive(root)
        assert left.exists()
    LocalArchive(root)
    assert not left.exists()
    left.mkdir()
    archive = LocalArchive(root)
    left.mkdir()
    archive.append(TOPIC, sealed(14, (60, 60), (60, 61)), [logged([(1, 60)])])
    assert not left.exists()


def test_it_is_its_owners_alone(root: Path) -> None:
    found = {(path.is_dir(), path.stat().st_mode & 0o777) for path in [root, *root.rglob("*")]}
    assert found == {(True, 0o700), (False, 0o600)}


def test_a_link_is_not_followed(root: Path) -> None:
    path = root / DIRECTORY / "part-00000.parquet"
    elsewhere = root / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(UnavailableError):
        list(LocalArchive(root).read(TOPIC, 12, 10))


def test_an_epoch_is_read_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first chunk is there after one row group of each partition was read."""
    monkeypatch.setattr(part, "GROUP_RECORDS", 100)
    archive = LocalArchive(tmp_path)
    wide = sealed(0, (0, 0), *((100 * n, 100 * n) for n in range(1, 21)))
    chunks = [logged((p, o) for p in range(2) for o in range(100 * n, 100 * n + 100)) for n in range(20)]
    archive.append(TOPIC, wide, chunks)
    groups: list[int] = []
    read = pq.ParquetFile.read_row_group

    def counted(file: pq.ParquetFile, number: int) -> pa.Table:
        groups.append(number)
        return read(file, number)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    chunks_back: Iterator[Records] = archive.read(TOPIC, 0, 200)
    first = pa.table(next(chunks_back))
    assert first.num_rows == 200
    assert len(groups) <= 4
    assert positions([first, *chunks_back]) == in_order(wide, [(p, o) for p in range(2) for o in range(2000)])
    assert len(groups) == 40


def test_large_values_make_small_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watersmeet.formats.epoch_rows._CHUNK_BYTES", 100_000)
    archive = LocalArchive(tmp_path)
    table = logged((0, o) for o in range(100))
    table = table.set_column(4, "value", pa.array([bytes(10_000)] * 100, pa.binary()))
    archive.append(TOPIC, sealed(0, (0,), (100,)), [table])
    chunks = [pa.table(chunk) for chunk in archive.read(TOPIC, 0, 1000)]
    assert max(chunk.num_rows for chunk in chunks) < 12
    assert sum(chunk.num_rows for chunk in chunks) == 100


def child(root: Path, script: str) -> subprocess.Popen[str]:
    """Run a script that finds the archive in ``archive`` in a process of its own."""
    begins = f"""
        import resource
        from pathlib import Path
        from tests.conformance.records import *
        from watersmeet.adapters.local.archive import LocalArchive
        from watersmeet.core.errors import *
        archive = LocalArchive(Path({str(root)!r}))
        """
    code = textwrap.dedent(begins) + textwrap.dedent(script)
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], text=True, stdout=subprocess.PIPE
    )


def test_two_processes_append_one_epoch_once(tmp_path: Path) -> None:
    script = """
        for number in range(5):
            places = [(0, o) for o in range(100 * number, 100 * number + 100)]
            stored = archive.append("t", sealed(number, (100 * number,), (100 * number + 100,)), [logged(places)])
            assert archive.verify("t", number) == stored
        """
    workers = [child(tmp_path, script) for _ in range(2)]
    for worker in workers:
        assert worker.communicate()[0] == ""
        assert worker.returncode == 0
    assert [e.records for e in LocalArchive(tmp_path).epochs("t")] == [100] * 5


def test_a_full_disk_leaves_nothing_and_heals(tmp_path: Path) -> None:
    """The limit on file sizes makes every further write fail, as a full disk does."""
    script = """
        import random
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        rows = logged((0, o) for o in range(100))
        noise = pa.array([random.Random(o).randbytes(1000) for o in range(100)], pa.binary())
        rows = rows.set_column(4, "value", noise)
        for limit in (0, 3, 5_000, 60_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                archive.append("t", sealed(0, (0,), (100,)), [rows])
            except UnavailableError as error:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
                print(error.subject, [p.name for p in Path(error.subject).iterdir()])
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert archive.append("t", sealed(0, (0,), (100,)), [rows]) == archive.verify("t", 0)
        """
    worker = child(tmp_path, script)
    output, _ = worker.communicate()
    assert worker.returncode == 0
    assert output.splitlines() == [f"{tmp_path / 't'} ['.lock']"] * 4


def test_a_topic_is_made_durable_before_its_first_epoch(tmp_path: Path) -> None:
    """A directory in the way of a topic is told as what it is."""
    (tmp_path / "t").touch()
    with pytest.raises(UnavailableError, match=str(tmp_path / "t")):
        LocalArchive(tmp_path).append("t", sealed(0, (0,), (1,)), [])
