from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from watersmeet.adapters.local.foreign import read_table
from watersmeet.core.errors import RequestError

pytestmark = pytest.mark.unit
ROWS = [{"k": 1, "name": "a"}, {"k": 2, "name": "b"}]


def test_files_and_folders_are_read(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("k,name\n1,a\n2,b\n")
    (tmp_path / "x.jsonl").write_text('{"k":1,"name":"a"}\n{"k":2,"name":"b"}\n')
    for scope, row in enumerate(ROWS):
        (tmp_path / "t" / f"scope={scope}").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist([row]), tmp_path / "t" / f"scope={scope}" / "part.parquet")
    for name in ("x.csv", "x.jsonl", "t"):
        found = read_table(tmp_path / name).to_pylist()
        assert sorted(({"k": row["k"], "name": row["name"]} for row in found), key=str) == ROWS


@pytest.mark.parametrize("name", ["none.csv", "x.txt", "bad.parquet", "empty"])
def test_what_is_no_table_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.txt").touch()
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match=name):
        read_table(tmp_path / name)
