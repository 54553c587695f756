from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow as pa
import pytest

from watersmeet.core.errors import UnavailableError
from watersmeet.engines.columnar import database as module
from watersmeet.engines.columnar.database import Database, run, table

pytestmark = pytest.mark.unit


@pytest.fixture
def database() -> Database:
    return Database(threads=1)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/hostname'",
        "COPY (SELECT 1) TO '/tmp/never.csv'",
        "ATTACH '/tmp/never.db'",
        "SET threads = 1",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM hidden",
        "SELECT getenv('HOME')",
    ],
)
def test_no_statement_reaches_outside(database: Database, statement: str) -> None:
    hidden = pa.table({"x": [1]})
    with database.cursor() as cursor, pytest.raises(duckdb.Error):
        cursor.execute(statement).fetchall()
    assert hidden.num_rows == 1


def test_time_is_utc_everywhere(database: Database) -> None:
    with database.cursor() as cursor:
        assert cursor.execute("SELECT '2025-07-01T00:00:00+02:00'::TIMESTAMPTZ::VARCHAR").fetchall() == [
            ("2025-06-30 22:00:00+00",)
        ]


def test_an_expression_that_fails_is_null_even_where_it_repeats_itself(database: Database) -> None:
    sql = "SELECT TRY(x::INTEGER > 0 AND x::INTEGER < 9) AS a, TRY(x::INTEGER * x::INTEGER) AS b FROM t"
    assert database.select(sql, {"t": pa.table({"x": ["3", "z"]})}).to_pylist() == [
        {"a": True, "b": 9},
        {"a": None, "b": None},
    ]


def test_a_plan_serves_other_chunks_and_keeps_none(database: Database) -> None:
    sql = "SELECT sum(x) AS s FROM t"
    chunks = [pa.table({"x": pa.array(range(n), pa.int64())}) for n in (5, 0, 1000, 3)]
    found = [database.select(sql, {"t": chunk})["s"][0].as_py() for chunk in chunks]
    assert found == [10, None, 499500, 3]
    [[plan]] = database._idle.values()
    assert [feed.content.num_rows for feed in plan._feeds.values()] == [0]


def test_a_plan_is_of_a_schema(database: Database) -> None:
    sql = "SELECT typeof(x) AS kind FROM t"
    kinds = [database.select(sql, {"t": pa.table({"x": pa.array([1], kind)})}) for kind in (pa.int32(), pa.int64())]
    assert [found["kind"][0].as_py() for found in kinds] == ["INTEGER", "BIGINT"]


def test_few_plans_are_kept_and_a_failed_one_is_not(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PLANS", 2)
    for number in range(5):
        database.select(f"SELECT {number} AS n FROM t", {"t": pa.table({"x": [1]})})
    assert len(database._idle) == 2
    with pytest.raises(duckdb.Error):
        database.select("SELECT error('no') FROM t", {"t": pa.table({"x": [1]})})
    with pytest.raises(duckdb.Error):
        database.select("SELECT nothing FROM t", {"t": pa.table({"x": [1]})})
    assert len(database._idle) == 2


def test_too_little_memory_is_said_so() -> None:
    small = Database(threads=1, memory="40MB")
    rows = pa.table({"x": pa.array(range(3_000_000), pa.int64())})
    with pytest.raises(UnavailableError, match="memory of the engine"):
        small.select("SELECT list(DISTINCT x::VARCHAR || '-' || x) AS l FROM t", {"t": rows})


def test_threads_share_it(database: Database) -> None:
    def total(n: int) -> object:
        return database.select("SELECT sum(x) AS s FROM t", {"t": pa.table({"x": list(range(n))})})["s"][0].as_py()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(total, range(1, 60))) == [n * (n - 1) // 2 for n in range(1, 60)]


def test_tables_are_read_by_name_and_chunks_are_not_copied(database: Database) -> None:
    rows = pa.table({"x": [1, 2]})
    with database.cursor({"rows": rows}) as cursor:
        assert run(cursor, "SELECT max(x) AS x FROM rows").to_pylist() == [{"x": 2}]
    assert table(rows) is rows


def test_a_process_ends_in_silence() -> None:
    code = (
        "import pyarrow as pa; from watersmeet.engines.columnar.database import Database; d = Database(threads=1); "
        "print(d.select('SELECT sum(x) AS s FROM t', {'t': pa.table({'x': [1, 2]})})['s'][0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("3\n", "")
