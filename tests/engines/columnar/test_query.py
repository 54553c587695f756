from __future__ import annotations

from datetime import datetime

import pyarrow as pa
import pytest

from watersmeet.core.engine import Selection
from watersmeet.core.errors import RequestError
from watersmeet.engines.columnar.query import Queries

pytestmark = pytest.mark.unit

QUERIES = Queries()
SECOND = 1_000_000
T = pa.table({"i": [3, 1, 2], "t": pa.array([0, SECOND, 2 * SECOND], pa.timestamp("us"))})


def run(sql: str, *, limit: int | None = None, as_of_us: int = 0) -> pa.Table:
    return QUERIES.run(sql, {"t": T, "u": T}, as_of_us=as_of_us, limit=limit)


def test_a_query_reads_the_tables_that_are_handed_in() -> None:
    assert run("select sum(t.i * u.i) as s from t join u using (t)").to_pylist() == [{"s": 14}]


@pytest.mark.parametrize("spelt", [":as_of", "$as_of"])
def test_the_time_of_the_answer_is_a_parameter(spelt: str) -> None:
    sql = f"select i, {spelt} as now from t where t < {spelt} order by i"
    now = datetime(1970, 1, 1, 0, 0, 2)
    assert run(sql, as_of_us=2 * SECOND).to_pylist() == [{"i": 1, "now": now}, {"i": 3, "now": now}]


def test_a_limit_keeps_the_first_rows_of_the_statement_s_order() -> None:
    assert run("select i from t order by i desc", limit=2)["i"].to_pylist() == [3, 2]
    assert run("with s as (select i from t) select i from s order by i", limit=1)["i"].to_pylist() == [1]
    assert run("select i from t order by i -- ascending", limit=1)["i"].to_pylist() == [1]
    assert run("select i from t order by i;", limit=1)["i"].to_pylist() == [1]


def test_rates_are_exact() -> None:
    assert [
        str(v) for v in run("select ratio(sum(i), 4, 1) as r, pct(1, count(*)) as p from t").to_pylist()[0].values()
    ] == [
        "1.5",
        "33.33",
    ]


def test_times_come_out_in_utc_without_a_zone() -> None:
    found = run(
        "select timezone('Europe/Berlin', timestamp '2024-07-01 12:00:00') as z, t::timestamp_s as s from t limit 1"
    )
    assert found.schema.types == [pa.timestamp("us"), pa.timestamp("us")]
    assert found["z"].to_pylist() == [datetime(2024, 7, 1, 10)]


def test_wide_integers_come_out_as_decimals() -> None:
    assert run("select sum(i) as s from t").schema.field("s").type == pa.decimal128(38, 0)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/hostname')",
        "select * from '/etc/hostname'",
        "select * from T_, (select 1)",
        "select nothing from t",
        "select i::tinyint * 100000::smallint from t",
        "select getenv('HOME')",
    ],
)
def test_what_fails_is_a_request_that_cannot_be_met(sql: str) -> None:
    with pytest.raises(RequestError, match="query; expected a statement that runs"):
        run(sql)


@pytest.mark.parametrize("sql", ["", "select 1; select 2"])
def test_a_query_is_one_statement(sql: str) -> None:
    with pytest.raises(RequestError, match="one statement"):
        run(sql)


def test_a_variable_of_the_program_is_no_table() -> None:
    secret = pa.table({"a": [1]})
    assert secret.num_rows == 1
    with pytest.raises(RequestError, match="secret does not exist"):
        run("select * from secret")


@pytest.mark.parametrize(
    "setting", ["memory_limit = '9GB'", "enable_external_access = true", "lock_configuration = false"]
)
def test_no_statement_changes_a_setting(setting: str) -> None:
    with pytest.raises(RequestError):
        run(f"set {setting}")


def test_a_query_that_takes_too_much_memory_is_refused_as_too_large() -> None:
    queries = Queries(memory="20MB")
    with pytest.raises(RequestError, match="fits the memory for queries") as caught:
        queries.run("select list(a.range) as x from range(4000000) a", {}, as_of_us=0)
    assert caught.value.kind == "too_large"
    assert queries.run("select 1 as one", {}, as_of_us=0).to_pylist() == [{"one": 1}]
    queries.close()


def test_one_call_does_not_see_the_tables_of_another() -> None:
    run("select 1 as one")
    with pytest.raises(RequestError):
        QUERIES.run("select * from t", {}, as_of_us=0)


def test_a_selection_needs_the_time_column_of_its_query() -> None:
    with pytest.raises(RequestError, match="'hour'; expected a column of the query; got i, t"):
        QUERIES.select(T, Selection(), key=["i"], time="hour")
