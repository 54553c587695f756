"""Names in a query: whatever DuckDB finds is found, and what is refused DuckDB does not find either."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest

from watersmeet.core.errors import DeclarationError
from watersmeet.core.sql.lineage import Lineage, pushdown, trace
from watersmeet.core.sql.relation import Field, Input

pytestmark = pytest.mark.unit

INPUTS = {
    "a": Input((Field("t", (0, 0)), Field("k"), Field("n"), Field("l")), always=True),
    "b": Input((Field("t", (0, 0)), Field("k"), Field("m")), always=True),
    "s": Input((Field("k"), Field("w"))),
}


def traced(sql: str) -> Lineage:
    return trace(sql, INPUTS, subject="query q", where="app.py:3")


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as found:
        found.execute("create table a (t timestamp, k integer, n integer, l integer[])")
        found.execute("create table b (t timestamp, k integer, m integer)")
        found.execute("create table s (k integer, w struct(p integer, q struct(r integer)))")
        yield found


KNOWN = [
    "select T, A.N from A",
    'select "t" from "a"',
    "select x.t from a as x",
    "select x.u, k from a as x(u)",
    "select a from a",
    "select w.p, s.w.q.r, w.q.r from s",
    "select w.* from s",
    "select n + 1 as more, more * 2 as most from a where more > 1 order by most",
    "select k, sum(n) as total from a group by k having total > 1 order by total",
    "select k as g, count(*) from a group by g",
    "select k as g, count(*) from a group by all order by all",
    "select t, row_number() over (order by n) as r from a qualify r = 1",
    "select t, sum(n) over w from a window w as (partition by k order by t)",
    "select t, k, n, m from a join b using (t, k)",
    "select a.t, b.t, t from a full join b using (t)",
    "select * from a natural join b",
    "select t from a semi join b using (k)",
    "select a.t from a anti join b on a.k = b.k and m > 1",
    "select k, n from a where exists (select 1 from b where b.t = a.t and m > n)",
    "select k, (select max(m) from b where b.k = a.k) from a",
    "select k, (select n) from a",
    "select x.z from a, lateral (select n + k as z) as x",
    "select x.z from a, (select a.n + 1 as z) as x",
    "select u.x, n from a, unnest(a.l) as u(x)",
    "select unnest(l) as x, n from a",
    "select x from (select unnest(l) as x from a)",
    "select p, r from (select unnest({'p': 1, 'r': 2}) from a)",
    "select list_transform(l, lambda x: x + n), list_filter(l, lambda x, i: i > n) from a",
    "select [x + n for x in l if x > k] from a",
    "select {'k': n, 'n': k}.k from a",
    "select columns('[kn]'), columns(lambda c: c = 't') from a",
    "select max(columns(*)) from b",
    "select * exclude (n) replace (k + 1 as k) rename (t as u) from a",
    "select u from (select * rename (t as u) from a)",
    "select b.* exclude (k) from a join b using (k)",
    'select "count_star()" from (select count(*) from a)',
    "select t_1 from (select * from a join b on a.k = b.k)",
    "select z from (select t, count(*) from a group by t) as x(u, z)",
    "with x(u) as (select t from a), y as (select u as v from x) select v from y",
    "with a as (select t as u from a) select u from a",
    "with recursive r(i) as (select 1 union all select i + 1 from r where i < 3) select i from r",
    "select k from a union select m from b order by k",
    "select k, m from (select k from a union by name select k, m from b)",
    "select k from (a join b using (t, k))",
    "select x.n, y.m from (a as x join b as y using (t))",
    "select i, col0 from range(3) r(i), (values (1)) v",
    "select range from range(3)",
    "from a select k where n > 1",
    "select extract(hour from t), date_part('day', t), t at time zone 'UTC' from a",
    "select case k when 1 then n end, if(n > 1, k, 0), cast(n as varchar), n::double from a",
    "select struct_pack(k := n), map {'k': n} from a",
    "select interval '1 hour' + t, date '2024-01-01', 'infinity'::timestamp, true, null from a",
    "(select k from a) union all (select k from b order by k limit 1)",
    "select 1 as one",
]
UNKNOWN = [
    "select z from a",
    "select a.z from a",
    "select z.k from a",
    "select z.* from a",
    "select x.k from a as x where a.k = 1",
    "select k from a where z > 1",
    "select k from a group by z",
    "select k from a group by k having max(z) > 1",
    "select k from a qualify row_number() over (order by z) = 1",
    "select k, sum(n) over (partition by z) from a",
    "select k, sum(n) over w from a window w as (partition by z)",
    "select k from a order by z",
    "select a.k from a join b on a.k = b.z",
    "select k from a join b using (z)",
    "select k from a join b using (m)",
    "select k from a where exists (select 1 from b where b.k = a.z)",
    "select t from (select k from a)",
    "with x as (select k from a) select n from x",
    "select t from (select t as u from a)",
    "select * replace (z + 1 as k) from a",
    "select k from a where k in (select z from b)",
    "select list_transform(l, lambda x: y) from a",
]


@pytest.mark.parametrize("sql", KNOWN)
def test_what_duckdb_finds_is_found(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    connection.execute(f"explain {sql}")
    columns = traced(sql).columns
    names = [name for name, *_ in connection.execute(f"describe {sql}").fetchall()]
    assert columns is None or [name.lower() for name in columns] == [name.lower() for name in names]


@pytest.mark.parametrize("sql", UNKNOWN)
def test_what_is_refused_duckdb_does_not_find(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    with pytest.raises(DeclarationError, match="a known column") as caught:
        traced(sql)
    assert (caught.value.subject, caught.value.where) == ("query q", "app.py:3")
    with pytest.raises(duckdb.BinderException):
        connection.execute(f"explain {sql}")


@pytest.mark.parametrize(
    "sql",
    [
        "select t from (select columns('t|k') from a)",
        "select t from q",
        "select x.t from (a as x join b as y using (k))",
        "select case when n > 1 then t end as t from a",
        "select min(t) over (partition by t) as t from a",
        "select t + n * interval '1 hour' as t from a",
        "select date_trunc(k, t) as t from a",
        "select time_bucket(n * interval '1 hour', t) as t from a",
        "select time_bucket(interval '0 hours', t) as t from a",
        "select coalesce(t, null) as t from a",
        "select date_trunc('hour', t) as t from a group by t, k limit 0",
        "select t from a union all select columns('t') from b",
        "select a.t from a positional join b",
        "select *, count(*) as c from a group by 1, 2, 3, 4",
        "select t, sum(n) over (order by t range between n preceding and current row) from a",
        "select t, sum(n) over (order by t, k range between current row and current row) from a",
        "select t, upper(k) over (order by t range between current row and current row) from a",
    ],
)
def test_what_is_not_understood_is_read_whole(sql: str) -> None:
    shifts = pushdown(traced(sql), "t")
    used = [name for name in INPUTS if f" {name}" in sql.replace("(", " ").replace(")", " ").split("from", 1)[1]]
    assert [shifts[name] for name in used] == [None] * len(used)
