"""What is particular to an archive in a lake: other readers, damage, what attempts leave, where things lie."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import duckdb
import pyarrow.parquet as pq
import pytest

from tests.conformance.lake_files import download
from tests.conformance.records import contents, in_order, logged, positions, sealed
from watersmeet.adapters.lake.archive import LakeArchive, checkpoint
from watersmeet.adapters.lake.store import Store
from watersmeet.adapters.lake.stores import open_store
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import CorruptError

pytestmark = pytest.mark.integration
PLACES = [(p, o) for p in range(2) for o in range(60)]
EPOCH = sealed(12, (0, 0), (20, 7), (60, 60))
FOLDER = "archive/topic=movie.ratings"


@pytest.fixture
def address(s3: str) -> Address:
    """An archive that holds `EPOCH`."""
    found = parse_address(s3)
    found = replace(found, path=f"{found.path}/{uuid4().hex}")
    with closing(LakeArchive(found)) as archive:
        archive.append("movie.ratings", EPOCH, [logged(PLACES)])
    return found


@pytest.fixture
def store(address: Address) -> Iterator[Store]:
    with closing(open_store(address)) as found:
        yield found


@pytest.mark.parametrize("server", ["s3", "hdfs"])
def test_another_engine_reads_the_parts_that_the_manifest_names(
    request: pytest.FixtureRequest, server: str, tmp_path: Path
) -> None:
    address = parse_address(request.getfixturevalue(server))
    address = replace(address, path=f"{address.path}/{uuid4().hex}".strip("/"))
    with closing(LakeArchive(address)) as archive:
        for number in range(3):
            chunk = logged([(0, number * 4 + o) for o in range(4)])
            archive.append("movie.ratings", sealed(number, (number * 4,), (number * 4 + 4,)), [chunk])
    root = download(address, tmp_path / "lake") / FOLDER
    files = []
    for path in sorted((root / "_epochs").iterdir()):
        made = json.loads(path.read_text())
        number = made["epoch"]["epoch"]["number"]
        files += [
            f"{root}/epoch={number:08}/part-{part['partition']:05}-{made['attempt']}.parquet"
            for part in made["epoch"]["parts"]
        ]
    with closing(duckdb.connect()) as connection:
        query = 'select count(*), min("offset"), max("offset"), count(distinct slice) from read_parquet($1)'
        assert connection.execute(query, [files]).fetchall() == [(12, 0, 11, 3)]
        query = f"select epoch, count(*) from read_parquet('{root}/epoch=*/*.parquet') group by all order by all"
        assert connection.execute(query).fetchall() == [(f"{number:08}", 4) for number in range(3)]
    assert pq.read_table(root)["epoch"].unique().to_pylist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["part-00000", ".json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "bit", "swapped"])
def test_damage_is_named_and_nothing_of_it_is_used(address: Address, store: Store, kind: str, damage: str) -> None:
    (key,) = (k for k in store.keys(FOLDER) if kind in k)
    data = store.get(key)
    assert data is not None
    store.delete(key)
    changed: dict[str, Callable[[bytes], bytes]] = {
        "cut": lambda d: d[: len(d) // 2],
        "bit": lambda d: d[:200] + bytes([d[200] ^ 1]) + d[201:],
        "swapped": lambda d: b"{}" if kind == ".json" else d[::-1],
    }
    if damage != "gone":
        assert store.put_if_absent(key, changed[damage](data))
    with closing(LakeArchive(address)) as archive:
        if damage == "gone" and kind == ".json":
            assert list(archive.epochs("movie.ratings")) == []
            return
        for ask in (
            lambda: list(archive.read("movie.ratings", 12, 50)),
            lambda: archive.verify("movie.ratings", 12),
        ):
            with pytest.raises(CorruptError) as caught:
                ask()
            assert caught.value.remedy


def test_parts_that_were_read_are_kept_and_a_damaged_copy_is_fetched_anew(
    address: Address, store: Store, tmp_path: Path
) -> None:
    with closing(LakeArchive(address, tmp_path / "kept")) as archive:
        assert positions(archive.read("movie.ratings", 12, 50)) == in_order(EPOCH, PLACES)
        kept = sorted((tmp_path / "kept").iterdir())
        assert len(kept) == 2, "one a partition, and nothing else"
        kept[0].write_bytes(b"damaged")
        assert positions(archive.read("movie.ratings", 12, 50)) == in_order(EPOCH, PLACES)
        for key in store.keys(f"{FOLDER}/epoch=00000012"):
            store.delete(key)
        assert contents(list(archive.read("movie.ratings", 12, 9))) == contents([logged(PLACES)])
        with pytest.raises(CorruptError):
            archive.verify("movie.ratings", 12)


def test_what_other_attempts_leave_is_listed_by_nobody_and_deleted(address: Address, store: Store) -> None:
    left = f"{FOLDER}/epoch=00000012/part-00000-{'0' * 16}.parquet"
    owed = f"{FOLDER}/epoch=00000013/part-00000-{'0' * 16}.parquet"
    for key in (left, owed):
        store.put_if_absent(key, b"unfinished")
    with closing(LakeArchive(address)) as archive:
        assert [e.number for e in archive.epochs("movie.ratings")] == [12]
        assert archive.verify("movie.ratings", 12).records == len(PLACES)
        assert archive.sweep("movie.ratings") == 1
        assert owed in store.keys(FOLDER), "its writer may be at work"
        archive.append("movie.ratings", sealed(13, (60, 60), (61, 60)), [logged([(0, 60)])])
        assert not {left, owed} & set(store.keys(FOLDER))
        assert archive.sweep("movie.ratings") == 0


def test_a_checkpoint_lies_beside_the_lake() -> None:
    address = parse_address("s3://key:secret@127.0.0.1:9000/lake/shop")
    assert checkpoint(address, "spark", "A b") == "s3a://lake/shop/checkpoints/spark/topic=%41%20b"
