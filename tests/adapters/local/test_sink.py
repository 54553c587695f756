"""What is particular to tables in files and in SQLite: what others find there, crashes, damage, full disks."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conformance.implementations import SINKS
from tests.conformance.test_sink import NOON, NOTHING, ONE, SHAPE, TOPIC, WHOLE, Bench, row, table
from watersmeet.adapters.local.sink import CsvSink, FileSink, JsonSink, ParquetSink, open_sink
from watersmeet.adapters.local.sqlite_sink import SqliteSink
from watersmeet.core import failpoint
from watersmeet.core.errors import ConflictError, CorruptError, RequestError, SettingsError, UnavailableError
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table

pytestmark = pytest.mark.integration
FILES = {"parquet": (ParquetSink, "part.parquet"), "csv": (CsvSink, "part.csv"), "json": (JsonSink, "part.ndjson")}
TABLE = Table("trending", TOPIC)
SCOPE = "trending/scope=2026-03-01%2012%3A00%3A00"


@pytest.fixture(params=FILES)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[FileSink, Path]:
    """A sink of files with the rows 1 and 2 of noon, and noon's file."""
    open_files, file = FILES[request.param]
    sink = open_files(tmp_path)
    sink.prepare(TABLE, SHAPE)
    sink.write(SHAPE, NOON, table(row(NOON, 1, "a"), row(NOON, 2, "b")), NOTHING, 1)
    return sink, tmp_path / SCOPE / file


def test_a_csv_file_is_harmless_in_a_spreadsheet(tmp_path: Path) -> None:
    shape = Shape("t", (("n", "INTEGER"), ("text", "VARCHAR"), ("=odd", "DOUBLE")), ("n",), None, order=("n",))
    sink = CsvSink(tmp_path)
    sink.prepare(TABLE, shape)
    texts = ['=HYPERLINK("x")', "+1", "-1", "@sum", "\t=1", "\r=1", "plain", "", None, 'a "b", c']
    rows = pa.table({"n": range(-1, len(texts) - 1), "text": texts, "=odd": [-0.5] * len(texts)})
    sink.write(shape, None, rows, NOTHING, 1)
    with (tmp_path / "t" / "part.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["n", "text", "'=odd"]
    assert [line[1] for line in lines] == ["'" + t if t and t[0] in "=+-@\t\r" else t or "" for t in texts]
    assert [line[0] for line in lines] == [str(n) for n in range(-1, len(texts) - 1)]
    assert {line[2] for line in lines} == {"-0.5"}
    assert b'7,"",' in (tmp_path / "t" / "part.csv").read_bytes().replace(b"6,", b"7,", 1)


def test_a_json_file_has_a_strict_object_a_line(tmp_path: Path) -> None:
    shape = Shape(
        "t",
        (("n", "DECIMAL(38,9)"), ("at", "TIMESTAMP"), ("real", "DOUBLE"), ("text", "VARCHAR"), ("l", "VARCHAR[]")),
        ("n",),
        None,
    )
    sink = JsonSink(tmp_path)
    sink.prepare(TABLE, shape)
    n = Decimal("12345678901234567890123456789.123456789")
    rows = pa.table(
        {"n": [n, -n], "at": [NOON, None], "real": [1.5, float("nan")], "text": ['"\n\u2028', None], "l": [["a"], None]}
    )
    sink.write(shape, None, rows, NOTHING, 1)

    def refuse(text: str) -> None:
        raise AssertionError(text)

    lines = (tmp_path / "t" / "part.ndjson").read_text().split("\n")
    found = [json.loads(line, parse_float=Decimal, parse_constant=refuse) for line in lines[:-1]]
    assert lines[-1] == ""
    assert found == [
        {"n": -n, "at": None, "real": "nan", "text": None, "l": None},
        {"n": n, "at": "2026-03-01T12:00:00.000000Z", "real": Decimal("1.5"), "text": '"\n\u2028', "l": ["a"]},
    ]


def test_parquet_files_are_a_hive_table(tmp_path: Path) -> None:
    sink = ParquetSink(tmp_path)
    sink.prepare(TABLE, SHAPE)
    for hour in (NOON, ONE):
        sink.write(SHAPE, hour, table(row(hour, 1)), NOTHING, 1)
    with closing(duckdb.connect()) as connection:
        query = f"select * from read_parquet('{tmp_path}/trending/**/*.parquet', hive_partitioning=true) order by hour"
        found = connection.sql(query).to_arrow_table().to_pylist()
    assert [{**r, "scope": str(r["scope"])} for r in found] == [
        {**row(NOON, 1), "scope": "2026-03-01 12:00:00"},
        {**row(ONE, 1), "scope": "2026-03-01 13:00:00"},
    ]
    assert pq.read_table(tmp_path / "trending").num_rows == 2
    types = dict(
        zip(
            pq.read_schema(tmp_path / SCOPE / "part.parquet").names,
            pq.read_schema(tmp_path / SCOPE / "part.parquet").types,
            strict=True,
        )
    )
    assert types == {
        "hour": pa.timestamp("us"),
        "movie_id": pa.int32(),
        "title": pa.string(),
        "score": pa.decimal128(12, 4),
    }


def test_rows_are_sorted_by_partition_order_and_key(tmp_path: Path) -> None:
    """Nulls come last."""
    sink = CsvSink(tmp_path)
    sink.prepare(TABLE, SHAPE)
    scores = {1: "3", 2: "-10", 3: "2", 4: "2", None: "2", 5: "20"}
    rows = [row(NOON, movie, "t", score) for movie, score in scores.items()]
    random.Random(1).shuffle(rows)
    sink.write(SHAPE, NOON, table(*rows), NOTHING, 1)
    lines = (tmp_path / SCOPE / "part.csv").read_text().splitlines()[1:]
    assert [line.split(",")[1] for line in lines] == ["2", "3", "4", "", "1", "5"]


def test_what_changes_nothing_leaves_the_file_alone(made: tuple[FileSink, Path]) -> None:
    sink, path = made
    before, data = os.stat(path), path.read_bytes()
    sink.write(SHAPE, NOON, table(row(NOON, 1, "a")), table(row(NOON, 9)), 2)
    sink.replace(SHAPE, NOON, table(row(NOON, 2, "b"), row(NOON, 1, "a")), 3)
    assert (os.stat(path).st_ino, os.stat(path).st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    sink.write(SHAPE, NOON, table(row(NOON, 1, "x")), NOTHING, 4)
    assert path.read_bytes() != data
    sink.write(SHAPE, NOON, table(row(NOON, 1, "a")), NOTHING, 5)
    assert path.read_bytes() == data


@pytest.mark.parametrize("name", [*FILES, "sqlite"])
def test_a_crash_at_any_moment_leaves_the_piece_before_or_after(tmp_path: Path, name: str) -> None:
    """Every image still knows its sequence number, takes the same write again, and ends as if nothing had happened."""
    root, images = tmp_path / "root", list[tuple[str, Path]]()
    allowed: list[list[list[dict[str, object]]]] = []

    def copy(where: str) -> None:
        images.append((where, tmp_path / f"image-{len(images)}"))
        shutil.copytree(root, images[-1][1], ignore=shutil.ignore_patterns("*-shm"))

    first, second = [row(NOON, 1), row(NOON, 2)], [row(NOON, 2), row(NOON, 3)]
    with ExitStack() as stack:
        bench = Bench(name, root, stack)
        failpoint.install(copy)
        try:
            bench.prepare(SHAPE)
            allowed += [[[]]] * (len(images) - len(allowed))
            bench.sink.write(SHAPE, NOON, table(*first), NOTHING, 4)
            allowed += [[[], first]] * (len(images) - len(allowed))
            bench.sink.write(SHAPE, NOON, table(row(NOON, 3)), table(row(NOON, 1)), 5)
            allowed += [[first, second]] * (len(images) - len(allowed))
            bench.sink.replace(SHAPE, NOON, table(*second), 6)
            allowed += [[second]] * (len(images) - len(allowed))
        finally:
            failpoint.install(None)
        prefix = "sink.commit." if name == "sqlite" else "sink."
        expected = {n for n in failpoint.NAMES if n.startswith(prefix)} - (
            {"sink.commit.before", "sink.commit.after"} if name != "sqlite" else set()
        )
        assert {where for where, _ in images} == expected
        for (where, image), states in zip(images, allowed, strict=True):
            recovered = Bench(name, image, stack)
            found = recovered.rows()
            assert found in states, where
            recovered.prepare(SHAPE)
            if found == second:
                with pytest.raises(ConflictError):
                    recovered.sink.write(SHAPE, NOON, NOTHING, NOTHING, 4)
            elif found == first:
                with pytest.raises(ConflictError):
                    recovered.sink.write(SHAPE, NOON, NOTHING, NOTHING, 3)
            recovered.sink.replace(SHAPE, NOON, table(*second), 6)
            assert recovered.rows() == second, where
            with pytest.raises(ConflictError):
                recovered.sink.write(SHAPE, NOON, NOTHING, NOTHING, 5)


def test_a_file_that_somebody_changed_is_not_overwritten(made: tuple[FileSink, Path]) -> None:
    sink, path = made
    data, chance = path.read_bytes(), random.Random(4)
    for begin in range(0, len(data), 40):
        damaged = bytearray(data)
        damaged[min(begin + chance.randrange(40), len(data) - 1)] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(CorruptError, match="as it was last written") as caught:
            sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 2)
        assert "publish the table anew" in caught.value.remedy
        with pytest.raises(CorruptError, match="as it was last written"):
            sink.replace(SHAPE, NOON, NOTHING, 2)
        assert path.read_bytes() == damaged
    path.unlink()
    with pytest.raises(CorruptError, match="got none"):
        sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 2)
    path.write_bytes(data)
    sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 2)


def test_a_damaged_note_or_shape_is_named(made: tuple[FileSink, Path]) -> None:
    sink, path = made
    note = path.parent / f"_{path.name}.json"
    for beside, text in ((note, "{"), (path.parents[1] / "_shape.json", "[]"), (path.parents[1] / "_shape.json", "")):
        data = beside.read_bytes()
        beside.write_text(text)
        with pytest.raises(CorruptError, match=beside.name):
            sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 2)
        beside.write_bytes(data)
    note.unlink()
    with pytest.raises(CorruptError):
        sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 2)


def test_a_piece_under_another_scope_is_noticed(made: tuple[FileSink, Path]) -> None:
    sink, path = made
    shutil.copytree(path.parent, path.parent.with_name("scope=2026-03-01%2013%3A00%3A00"))
    with pytest.raises(CorruptError, match="scope 2026-03-01 12:00:00"):
        sink.write(SHAPE, ONE, NOTHING, NOTHING, 9)


def test_a_table_is_its_owners_alone_until_its_directory_is_opened(made: tuple[FileSink, Path]) -> None:
    sink, path = made
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent, path.parents[1])] == [0o600, 0o700, 0o700]
    for directory in (path.parent, path.parents[1]):
        directory.chmod(0o750)
    sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 2)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_link_is_not_followed(made: tuple[FileSink, Path]) -> None:
    sink, path = made
    elsewhere = path.parents[2] / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    with pytest.raises(UnavailableError):
        sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 2)


@pytest.mark.parametrize(("name", "form"), [("csv", "CSV"), ("json", "JSON")])
def test_what_a_format_cannot_hold_is_refused(tmp_path: Path, name: str, form: str) -> None:
    """Bytes within a list have no spelling that reads back."""
    shape = Shape("t", (("n", "INTEGER"), ("many", "BLOB[]")), ("n",), None)
    sink = FILES[name][0](tmp_path)
    sink.prepare(TABLE, shape)
    rows = pa.table({"n": [1], "many": pa.array([[b"\0\xff"]], pa.list_(pa.binary()))})
    with pytest.raises(RequestError, match=form):
        sink.write(shape, None, rows, NOTHING, 1)
    assert list((tmp_path / "t").glob("part.*")) == []


def test_a_full_disk_leaves_the_piece_as_it_was(tmp_path: Path) -> None:
    """The limit on file sizes makes every further write fail, as a full disk does."""
    script = f"""
        import resource
        from pathlib import Path
        from tests.conformance.test_sink import *
        from watersmeet.adapters.local.sink import ParquetSink
        from watersmeet.adapters.local.sqlite_sink import SqliteSink
        from watersmeet.core.errors import UnavailableError
        root = Path({str(tmp_path)!r})
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        for sink in (ParquetSink(root), SqliteSink(root / "tables.db")):
            sink.prepare(Table("any", TOPIC), SHAPE)
            sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
            try:
                sink.write(SHAPE, NOON, table(*(row(NOON, n, "x" * 1000) for n in range(900))), NOTHING, 2)
            except UnavailableError as error:
                resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
                print(error.subject)
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            sink.write(SHAPE, NOON, table(row(NOON, 2)), NOTHING, 2)
        """
    root = Path(__file__).parents[3]
    code = textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", code], cwd=root, text=True, stdout=subprocess.PIPE, check=True)
    assert done.stdout.split() == [str(tmp_path / "trending"), str(tmp_path / "tables.db")]
    for name in ("parquet", "sqlite"):
        assert sorted(str(r["movie_id"]) for r in SINKS[name].rows(tmp_path, SHAPE)) == ["1", "2"]


def test_sqlite_has_real_tables(tmp_path: Path) -> None:
    shape = replace(SHAPE, columns=(*SHAPE.columns, ("views", "HUGEINT"), ("mean", "DOUBLE"), ("words", "VARCHAR[]")))
    with closing(SqliteSink(tmp_path / "tables.db")) as sink:
        sink.prepare(TABLE, shape)
        rows = table(row(NOON, 1, None, "-0.5"), row(NOON, 2))
        rows = rows.append_column("views", pa.array([5, 2**70], pa.decimal128(38, 0)))
        rows = rows.append_column("mean", pa.array([0.5, float("nan")])).append_column("words", pa.array([["a"], []]))
        sink.write(shape, NOON, rows, NOTHING, 1)
    with closing(sqlite3.connect(tmp_path / "tables.db")) as other:
        assert other.execute("select * from trending order by movie_id").fetchall() == [
            ("2026-03-01 12:00:00", 1, None, "-0.5000", 5, 0.5, '["a"]'),
            ("2026-03-01 12:00:00", 2, "t", "1.0000", str(2**70), "nan", "[]"),
        ]
        assert other.execute("select name from pragma_table_info('trending') where pk > 0 order by pk").fetchall() == [
            ("hour",),
            ("movie_id",),
        ]
        plan = other.execute(
            "explain query plan select * from trending where hour is ? and movie_id is ?", ("", 1)
        ).fetchall()
        assert "SEARCH" in plan[0][3]
        assert other.execute(
            "select count(*) from trending where hour > datetime('2026-03-01T11:00:00')"
        ).fetchone() == (2,)


def test_sqlite_leaves_tables_of_others_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "tables.db")) as other:
        other.execute("create table Trending(mine)")
    with closing(SqliteSink(tmp_path / "tables.db")) as sink:
        with pytest.raises(ConflictError, match="in use"):
            sink.prepare(TABLE, SHAPE)
        sink.prepare(TABLE, WHOLE)
        with pytest.raises(ConflictError, match="that of films"):
            sink.prepare(TABLE, replace(WHOLE, name="Films"))
        for name in ("sqlite_stat9", "_watersmeet_shapes"):
            with pytest.raises(RequestError):
                sink.prepare(TABLE, replace(WHOLE, name=name))
    with closing(sqlite3.connect(tmp_path / "tables.db")) as other:
        assert other.execute("select * from pragma_table_info('Trending')").fetchall()[0][1] == "mine"


def test_sqlite_waits_for_nobody_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0.01}))
    with closing(SqliteSink(tmp_path / "tables.db")) as sink:
        sink.prepare(TABLE, SHAPE)
        with closing(connect(tmp_path / "tables.db", isolation_level=None)) as other:
            other.execute("begin immediate")
            with pytest.raises(UnavailableError, match="SQLITE_BUSY"):
                sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 1)
            with pytest.raises(UnavailableError, match="SQLITE_BUSY"):
                sink.probe()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opens: list[Callable[[Path], object]] = [ParquetSink, CsvSink, JsonSink, SqliteSink]
    for open_one in opens:
        with pytest.raises(UnavailableError, match=str(tmp_path / "file")):
            open_one(tmp_path / "file" / "below")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("parquet", "Parquet files in ROOT/parquet "),
        ("csv", "CSV files in ROOT/csv "),
        ("json", "newline-delimited JSON files in ROOT/json "),
        ("sqlite", "file ROOT/sqlite.db"),
        ("parquet://ROOT/some%20where", "Parquet files in ROOT/some where "),
        ("sqlite://ROOT/own.db", "file ROOT/own.db"),
    ],
)
def test_a_sink_is_opened_by_name_or_address(tmp_path: Path, address: str, said: str) -> None:
    sink = open_sink(address.replace("ROOT", str(tmp_path)), tmp_path)
    assert said.replace("ROOT", str(tmp_path)) in sink.probe()
    if isinstance(sink, SqliteSink):
        sink.close()


@pytest.mark.parametrize(
    "address", ["", "xml", "parquet:", "parquet:relative", "csv://host/path", "json:///a?b", "../csv"]
)
def test_an_address_of_nothing_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(SettingsError, match="parquet, csv, json or sqlite"):
        open_sink(address, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_formats_may_share_a_root(tmp_path: Path) -> None:
    for number, open_files in enumerate((ParquetSink, CsvSink)):
        sink = open_files(tmp_path)
        sink.prepare(TABLE, SHAPE)
        sink.write(SHAPE, NOON, table(row(NOON, number)), NOTHING, number)
    assert [SINKS[name].rows(tmp_path, SHAPE) for name in ("parquet", "csv")] == [[row(NOON, 0)], [row(NOON, 1)]]
