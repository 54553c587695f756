"""What is particular to Delta tables: versions, packing, types, other makers' tables, HDFS."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from tests.conformance.lake_files import delta_rows, download
from tests.conformance.test_sink import NOON, NOTHING, ONE, SHAPE, TOPIC, row, table
from watersmeet.adapters.lake.delta import DeltaSink
from watersmeet.core.address import parse_address
from watersmeet.core.errors import ConflictError, RequestError
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table

pytestmark = pytest.mark.integration
TABLE = Table("trending", TOPIC)


@pytest.fixture
def sink(tmp_path: Path) -> DeltaSink:
    found = DeltaSink(parse_address(f"delta://{tmp_path}"))
    found.prepare(TABLE, SHAPE)
    return found


def test_every_write_is_a_version_that_can_be_read(sink: DeltaSink, tmp_path: Path) -> None:
    for movie in range(1, 4):
        sink.write(SHAPE, NOON, table(row(NOON, movie)), NOTHING, movie)
    sink.write(SHAPE, NOON, table(row(NOON, 3)), NOTHING, 3)
    there = DeltaTable(tmp_path / "trending")
    assert there.version() == 3, "what repeats itself makes none"
    found = [pa.table(DeltaTable(tmp_path / "trending", version=v).scan()).num_rows for v in range(4)]
    assert found == [0, 1, 2, 3]


def test_scopes_do_not_rewrite_each_others_files(sink: DeltaSink, tmp_path: Path) -> None:
    sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 1)
    before = DeltaTable(tmp_path / "trending").file_uris()
    sink.write(SHAPE, ONE, table(row(ONE, 1)), NOTHING, 1)
    sink.replace(SHAPE, ONE, table(row(ONE, 2)), 2)
    after = DeltaTable(tmp_path / "trending").file_uris()
    assert len(after) == 2
    assert set(before) < set(after)


def test_small_files_are_packed_and_sequence_numbers_stay(sink: DeltaSink, tmp_path: Path) -> None:
    hours = [NOON.replace(hour=h) for h in range(12)]
    for hour in hours:
        sink.write(SHAPE, hour, table(row(hour, 1)), NOTHING, 5)
    assert len(DeltaTable(tmp_path / "trending").file_uris()) == 12
    sink.tidy(SHAPE)
    there = DeltaTable(tmp_path / "trending")
    assert len(there.file_uris()) == 1
    assert pa.table(there.scan()).num_rows == 12
    assert list((tmp_path / "trending" / "_delta_log").glob("*.checkpoint.parquet"))
    with pytest.raises(ConflictError):
        sink.write(SHAPE, hours[3], NOTHING, NOTHING, 4)
    sink.replace(SHAPE, hours[3], table(row(hours[3], 9)), 6)
    found = {(r["hour"], r["movie_id"]) for r in pa.table(DeltaTable(tmp_path / "trending").scan()).to_pylist()}
    assert len(found) == 12
    assert {movie for _, movie in found} == {1, 9}


def test_types_are_delta_s_own(tmp_path: Path) -> None:
    columns = (("id", "UINTEGER"), ("at", "TIMESTAMP"), ("n", "HUGEINT"), ("names", "VARCHAR[]"), ("small", "UTINYINT"))
    shape = Shape("types", columns, ("id",), None)
    sink = DeltaSink(parse_address(f"delta://{tmp_path}"))
    sink.prepare(TABLE, shape)
    given = pa.table({"id": [1], "at": [NOON], "n": pa.array([Decimal(2**70)]), "names": [["a", None]], "small": [255]})
    sink.write(shape, None, given, NOTHING, 1)
    found = pa.table(DeltaTable(tmp_path / "types").scan())
    assert str(found.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert found["n"].to_pylist() == [Decimal(2**70)]
    assert found["names"].to_pylist() == [["a", None]]
    assert (found["id"].to_pylist(), found["small"].to_pylist()) == ([1], [255])
    for type_ in ("TIME", "INTERVAL", "TIME[]"):
        with pytest.raises(RequestError, match="t_column"):
            sink.prepare(TABLE, Shape("no", (("id", "INTEGER"), ("t_column", type_)), ("id",), None))


def test_a_table_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    write_deltalake(tmp_path / "trending", pa.table({"a": [1]}))
    with pytest.raises(ConflictError, match="new name"):
        DeltaSink(parse_address(f"delta://{tmp_path}")).prepare(TABLE, SHAPE)
    assert pa.table(DeltaTable(tmp_path / "trending").scan()).num_rows == 1


def test_writers_in_hdfs_lose_nothing_and_overtaken_ones_are_refused(hdfs: str, tmp_path: Path) -> None:
    address = replace(parse_address(hdfs), scheme="hdfs+delta", path=uuid4().hex)
    with closing(DeltaSink(address)) as sink:
        assert "Delta" in sink.probe()
        sink.prepare(TABLE, SHAPE)

        def work(number: int) -> None:
            for step in range(3):
                DeltaSink(address).write(SHAPE, NOON, table(row(NOON, 10 * number + step)), NOTHING, 1)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sink.write(SHAPE, NOON, NOTHING, table(row(NOON, 22)), 3)
        with pytest.raises(ConflictError):
            sink.write(SHAPE, NOON, table(row(NOON, 99)), NOTHING, 2)
        found = delta_rows(download(address, tmp_path / "found") / "tables", SHAPE)
    assert sorted(str(r["movie_id"]) for r in found) == ["0", "1", "10", "11", "12", "2", "20", "21"]
