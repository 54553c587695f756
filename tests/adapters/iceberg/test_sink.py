"""What is particular to Iceberg tables: snapshots, the catalogue, files on S3, other makers' tables."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from tests.conformance.test_sink import NOON, NOTHING, ONE, SHAPE, TOPIC, row, table
from watersmeet.adapters.iceberg.sink import IcebergSink
from watersmeet.core.address import parse_address
from watersmeet.core.errors import ConflictError, RequestError, SettingsError, UnavailableError
from watersmeet.core.sink import Shape
from watersmeet.core.table import Table

pytestmark = pytest.mark.integration
TABLE = Table("trending", TOPIC)


def catalogue(folder: Path) -> SqlCatalog:
    return SqlCatalog("watersmeet", uri=f"sqlite:///{folder}/catalogue.db", warehouse=folder.as_uri())


def test_every_write_is_a_snapshot_until_it_is_forgotten(tmp_path: Path) -> None:
    with closing(IcebergSink(parse_address(f"iceberg://{tmp_path}"))) as sink:
        sink.prepare(TABLE, SHAPE)
        for movie in range(1, 4):
            sink.write(SHAPE, NOON, table(row(NOON, movie)), NOTHING, movie)
        sink.write(SHAPE, ONE, table(row(ONE, 3)), NOTHING, 3)
        own = catalogue(tmp_path)
        there = own.load_table(("watersmeet", "trending"))
        found = {there.scan(snapshot_id=each.snapshot_id).to_arrow().num_rows for each in there.snapshots()}
        assert found >= {1, 2, 3, 4}
        sink.expire(SHAPE, datetime(2100, 1, 1, tzinfo=UTC))
        there = there.refresh()
        own.engine.dispose()
        assert len(there.snapshots()) == 1
        assert there.scan().to_arrow().num_rows == 4
        with pytest.raises(ConflictError):
            sink.write(SHAPE, NOON, NOTHING, NOTHING, 2)


def test_tables_lie_on_s3_and_the_catalogue_elsewhere(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")  # see the sink
    address = parse_address(s3)
    place = {"scheme": "iceberg", "path": f"{address.path}/{uuid4().hex}"}
    settings = {"catalogue": f"sqlite:///{tmp_path}/c.db", "timeout_seconds": "10"}
    with closing(IcebergSink(replace(address, options=settings, **place))) as sink:  # type: ignore[arg-type]  # texts
        sink.prepare(TABLE, SHAPE)
        sink.write(SHAPE, NOON, table(row(NOON, 1), row(NOON, 2)), NOTHING, 1)
        sink.write(SHAPE, NOON, table(row(NOON, 3)), table(row(NOON, 1)), 2)
        with pytest.raises(ConflictError):
            sink.write(SHAPE, NOON, table(row(NOON, 9)), NOTHING, 1)
        assert address.password not in sink.probe()
        keys = {"s3.access-key-id": address.user, "s3.secret-access-key": address.password}
        there = SqlCatalog(
            "watersmeet", uri=f"sqlite:///{tmp_path}/c.db", **keys, **{"s3.endpoint": f"http://{address.servers()}"}
        )
        found = there.load_table(("watersmeet", "trending")).scan().to_arrow()
        assert sorted(found["movie_id"].to_pylist()) == [2, 3]
        there.engine.dispose()


def test_types_are_iceberg_s_own(tmp_path: Path) -> None:
    columns = (("id", "UINTEGER"), ("at", "TIMESTAMP"), ("n", "HUGEINT"), ("names", "VARCHAR[]"), ("small", "TINYINT"))
    shape = Shape("types", columns, ("id",), None)
    with closing(IcebergSink(parse_address(f"iceberg://{tmp_path}"))) as sink:
        sink.prepare(TABLE, shape)
        given = {"id": [1], "at": [NOON], "n": pa.array([Decimal(2**70)]), "names": [["a", None]], "small": [-5]}
        sink.write(shape, None, pa.table(given), NOTHING, 1)
        own = catalogue(tmp_path)
        (found,) = own.load_table(("watersmeet", "types")).scan().to_arrow().to_pylist()
        own.engine.dispose()
        assert found == {"id": 1, "at": NOON, "n": Decimal(2**70), "names": ["a", None], "small": -5}
        for type_ in ("TIME", "INTERVAL"):
            with pytest.raises(RequestError, match="t_column"):
                sink.prepare(TABLE, Shape("no", (("id", "INTEGER"), ("t_column", type_)), ("id",), None))


def test_a_table_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    own = catalogue(tmp_path)
    own.create_namespace("watersmeet")
    own.create_table(("watersmeet", "trending"), pa.schema([("a", pa.int32())]))
    own.engine.dispose()
    sink = IcebergSink(parse_address(f"iceberg://{tmp_path}"))
    with closing(sink), pytest.raises(ConflictError, match="new name"):
        sink.prepare(TABLE, SHAPE)


@pytest.mark.parametrize("text", ["iceberg://", "iceberg://bucket/x", "iceberg:///x?catalog=y"])
def test_an_address_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        IcebergSink(parse_address(text))


def test_a_catalogue_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="catalogue"):
        IcebergSink(parse_address(f"iceberg://{tmp_path}?catalogue=sqlite:///{tmp_path}/none/c.db"))
