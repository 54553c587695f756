"""A catalogue of queries over four tables, and how far a range on each result reaches into them.

a, b   window_start, window_end (five minutes later), k, n     tumbling windows
h      window_start, window_end (an hour later), k, n          hopping windows
q      t (may be null), k, n                                   the result of another query
d      k, label                                                all time
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from watersmeet.core.sql.relation import Field, Input

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
AT = (0, 0)
WITHIN_HOUR = (0, HOUR - 1)
Reach = Mapping[str, tuple[int, int] | None]


def window(size_us: int, *, overlapping: bool = False) -> Input:
    values = (Field("k"), Field("n", overlapping=overlapping))
    return Input((Field("window_start", AT), Field("window_end", (size_us, size_us)), *values), always=True)


INPUTS: dict[str, Input] = {
    "a": window(5 * MINUTE),
    "b": window(5 * MINUTE),
    "h": window(HOUR, overlapping=True),
    "q": Input((Field("t", AT), Field("k"), Field("n"))),
    "d": Input((Field("k"), Field("label"))),
}


@dataclass(frozen=True)
class Case:
    """A query whose column ``t`` is its time.

    Args:
        sql: the query.
        reach: by table, which of its rows a result row at ``t`` rests on: from t − before to t + after, as (before,
            after) in µs; None: on all. Tables that are not named are not used.
    """

    sql: str
    reach: Reach


CASES: dict[str, Case] = {
    # Projections
    "projection": Case("select window_start as t, k, n from a", {"a": AT}),
    "another column": Case("select window_end as t, k from a", {"a": (5 * MINUTE, -5 * MINUTE)}),
    "constant shift back": Case("select window_end - interval '5 minutes' as t, k from a", {"a": AT}),
    "constant shift forth": Case("select interval 2 hours + window_start as t, k from a", {"a": (2 * HOUR, -2 * HOUR)}),
    "shift by a function": Case("select date_add(window_start, interval '1 day') as t from a", {"a": (DAY, -DAY)}),
    "shift of several units": Case(
        "select window_start + '1 hour 30 minutes'::interval as t from a",
        {"a": (HOUR + 30 * MINUTE, -HOUR - 30 * MINUTE)},
    ),
    "shift by a month": Case("select window_start + interval 1 month as t, n from a", {"a": (31 * DAY, -28 * DAY)}),
    "shift back by a year": Case(
        "select window_start - interval 1 year as t, n from a", {"a": (-12 * 28 * DAY, 12 * 31 * DAY)}
    ),
    "hour": Case("select date_trunc('hour', window_start) as t, n from a", {"a": WITHIN_HOUR}),
    "hour of the end": Case(
        "select date_trunc('hour', window_end) as t, n from a", {"a": (5 * MINUTE, HOUR - 1 - 5 * MINUTE)}
    ),
    "week": Case("select date_trunc('week', window_start) as t, n from a", {"a": (0, 7 * DAY - 1)}),
    "month": Case("select date_trunc('month', window_start) as t, n from a", {"a": (0, 31 * DAY - 1)}),
    "date": Case("select window_start::date as t, n from a", {"a": (0, DAY - 1)}),
    "bucket": Case(
        "select time_bucket(interval '15 minutes', window_start) as t, n from a", {"a": (0, 15 * MINUTE - 1)}
    ),
    "bucket with an offset": Case(
        "select time_bucket(interval '1 hour', window_start, interval '10 minutes') as t, n from a", {"a": WITHIN_HOUR}
    ),
    "bucket of months": Case(
        "select time_bucket(interval '2 months', window_start) as t, n from a", {"a": (0, 62 * DAY - 1)}
    ),
    "bucket and its end": Case(
        "select time_bucket(interval '5 minutes', window_start) as t, t + interval '5 minutes' as till,"
        " a.* exclude (window_start, window_end) from a",
        {"a": (0, 5 * MINUTE - 1)},
    ),
    "replaced in a star": Case(
        "select * rename (window_start as t) from (select * replace (date_trunc('hour', window_start) as window_start) from a)",
        {"a": WITHIN_HOUR},
    ),
    "columns renamed by an alias": Case("select x.t, x.k from a as x(t, e, k)", {"a": AT}),
    "not understood": Case("select date_trunc('hour', window_start + n * interval 1 minute) as t from a", {"a": None}),
    "chosen by a condition": Case(
        "select case when n > 3 then window_start else window_end end as t from a", {"a": None}
    ),
    "the later of two": Case("select greatest(window_start, window_end) as t from a", {"a": (5 * MINUTE, 0)}),
    "the first that there is": Case(
        "select coalesce(x.window_start, y.t) as t, x.n, y.n as m from a x full join q y on x.window_start = y.t",
        {"a": AT, "q": AT},
    ),
    "or a constant": Case("select coalesce(t, '2024-02-29 22:00'::timestamp) as t, n from q", {"q": None}),
    # Grouping
    "group by time": Case("select window_start as t, sum(n) as n from a group by window_start", {"a": AT}),
    "group by time and more": Case("select window_start as t, k, sum(n) as n from a group by all", {"a": AT}),
    "group by place": Case(
        "select date_trunc('hour', window_start) as t, k, count(*) from a group by 1, 2", {"a": WITHIN_HOUR}
    ),
    "group by alias": Case(
        "select date_trunc('hour', window_start) as t, max(n) from a group by t", {"a": WITHIN_HOUR}
    ),
    "group by the column, not the alias": Case(
        "select * rename (window_start as t)"
        " from (select date_trunc('hour', window_start) as window_start, sum(n) from a group by window_start)",
        {"a": WITHIN_HOUR},
    ),
    "group without time": Case("select max(window_start) as t, k from a group by k", {"a": None}),
    "one group": Case("select max(window_start) as t, sum(n) from a", {"a": None}),
    "several groupings": Case(
        "select window_start as t, k, sum(n) from a group by grouping sets ((window_start, k), (window_start), ())",
        {"a": None},
    ),
    "rollup": Case("select window_start as t, k, sum(n) from a group by rollup (window_start, k)", {"a": None}),
    "having": Case("select window_start as t, sum(n) as n from a group by window_start having count(*) > 1", {"a": AT}),
    "groups of groups": Case(
        "with hourly as (select date_trunc('hour', window_start) as hour, k, sum(n) as n from a group by all)"
        " select hour::date as t, ratio(sum(n), count(*), 2) as n from hourly group by all",
        {"a": (0, DAY + HOUR - 2)},
    ),
    "distinct": Case("select distinct window_start as t, k from a", {"a": AT}),
    "distinct without time": Case(
        "select window_start as t, k from a join (select distinct k from b) using (k)", {"a": AT, "b": None}
    ),
    "distinct on time": Case(
        "select distinct on (window_start) window_start as t, k, n from a order by window_start, k, n", {"a": AT}
    ),
    "distinct on an alias": Case(
        "select distinct on (t) date_trunc('hour', window_start) as t, n, k from a order by t, n, k", {"a": WITHIN_HOUR}
    ),
    "distinct on an alias called like a column": Case(
        "select distinct on (window_start) date_trunc('hour', window_start) as window_start, window_start as t, n, k from a order by t, n, k",
        {"a": None},
    ),
    "distinct on, chosen by a window": Case(
        "select distinct on (window_start) window_start as t, k, n from a order by sum(n) over (partition by window_start), k, n",
        {"a": None},
    ),
    "distinct on something else": Case(
        "select distinct on (k) window_start as t, k, n from a order by k, window_start, n", {"a": None}
    ),
    "group by all of a star": Case(
        "select *, count(*) as c from (select window_start as t, k from a) group by all", {"a": AT}
    ),
    # Joins
    "join using time": Case(
        "select window_start as t, a.n, b.n as m from a join b using (window_start, k)", {"a": AT, "b": AT}
    ),
    "join on time": Case(
        "select b.window_end as t, a.n, b.n as m from a join b on a.window_start = b.window_start and a.k < b.k",
        {"a": (5 * MINUTE, -5 * MINUTE), "b": (5 * MINUTE, -5 * MINUTE)},
    ),
    "left join": Case(
        "select a.window_start as t, a.n, b.n as m from a left join b using (window_start, k)", {"a": AT, "b": AT}
    ),
    "right join": Case(
        "select window_start as t, a.n, b.n as m from a right join b using (window_start)", {"a": AT, "b": AT}
    ),
    "full join": Case(
        "select window_end as t, k, coalesce(a.n, 0) + coalesce(b.n, 0) as n from a full join b using (window_end, k)",
        {"a": (5 * MINUTE, -5 * MINUTE), "b": (5 * MINUTE, -5 * MINUTE)},
    ),
    "one side of a full join": Case(
        "select b.window_start as t, a.n, b.n as m from a full join b using (window_start, k)", {"a": AT, "b": AT}
    ),
    "three full joins": Case(
        "select window_end as t, k, a.n, b.n as m, h.n as o from a full join b using (window_end, k) full join h using (window_end, k)",
        {"a": (5 * MINUTE, -5 * MINUTE), "b": (5 * MINUTE, -5 * MINUTE), "h": (HOUR, -HOUR)},
    ),
    "natural join": Case("select window_start as t, n from a natural join b", {"a": AT, "b": AT}),
    "join to an earlier hour": Case(
        "select a.window_start as t, a.n, b.n as m from a left join b on b.window_start = a.window_start - interval 1 hour",
        {"a": AT, "b": (HOUR, -HOUR)},
    ),
    "join within a span": Case(
        "select a.window_start as t, sum(b.n) as n from a join b"
        " on b.window_start between a.window_start - interval 1 hour and a.window_start group by all",
        {"a": AT, "b": (HOUR, 0)},
    ),
    "join on hours": Case(
        "select date_trunc('hour', a.window_start) as t, sum(a.n), sum(b.n) from a join b"
        " on date_trunc('hour', a.window_start) = date_trunc('hour', b.window_start) group by t",
        {"a": WITHIN_HOUR, "b": WITHIN_HOUR},
    ),
    "join on half a span": Case(
        "select a.window_start as t, count(*) from a join b on b.window_start <= a.window_start group by t",
        {"a": AT, "b": None},
    ),
    "join not on time": Case("select a.window_start as t, b.n from a join b using (k)", {"a": AT, "b": None}),
    "join on time or not": Case(
        "select a.window_start as t, b.n from a join b on a.window_start = b.window_start or a.k = b.k",
        {"a": AT, "b": None},
    ),
    "facts": Case("select window_start as t, k, label, n from a left join d using (k)", {"a": AT, "d": None}),
    "facts first": Case("select window_start as t, k, label, n from d full join a using (k)", {"a": AT, "d": None}),
    "comma and condition": Case(
        "select x.window_start as t, x.n, y.n as m from a x, b y, d where y.window_start = x.window_start and d.k = x.k",
        {"a": AT, "b": AT, "d": None},
    ),
    "a condition after a left join": Case(
        "select a.window_start as t, b.n from a left join b using (k) where a.window_start = b.window_start",
        {"a": AT, "b": None},
    ),
    "itself, an hour before": Case(
        "select x.window_start as t, x.n - y.n as change from a x join a y"
        " on x.window_start = y.window_start + interval '1 hour' and x.k = y.k",
        {"a": (HOUR, 0)},
    ),
    "semi join": Case("select window_start as t, n from a semi join b using (window_start, k)", {"a": AT, "b": AT}),
    "anti join": Case(
        "select a.window_start as t, a.n from a anti join b on a.window_start = b.window_end",
        {"a": AT, "b": (5 * MINUTE, -5 * MINUTE)},
    ),
    "semi join not on time": Case("select window_start as t, n from a semi join b using (k)", {"a": AT, "b": None}),
    "asof join": Case(
        "select a.window_start as t, a.k, max(b.n) from a asof join b on a.k = b.k and a.window_start >= b.window_start group by all",
        {"a": AT, "b": None},
    ),
    "joins in parentheses": Case(
        "select t, n from d join (select window_start as t, b.k, a.n from (a join b using (window_start, k))) using (k)",
        {"a": AT, "b": AT, "d": None},
    ),
    "lateral": Case(
        "select a.window_start as t, s.n from a, lateral (select sum(n) as n from b where b.window_start <= a.window_start) s",
        {"a": AT, "b": None},
    ),
    "unnested": Case("select window_start as t, u.x, n from a, unnest([1, 2]) as u(x)", {"a": AT}),
    "made of nothing": Case("select window_start as t, n + i as n from a, range(3) r(i)", {"a": AT}),
    "made of values": Case(
        "with v(k, label) as (values (0, 'x'), (1, 'y')) select window_start as t, n, label from a join v using (k)",
        {"a": AT},
    ),
    # Subqueries in expressions
    "exists": Case(
        "select window_start as t, n from a where exists (select 1 from b where b.window_start = a.window_start)",
        {"a": AT, "b": None},
    ),
    "scalar subquery": Case("select window_start as t, n - (select max(n) from b) as n from a", {"a": AT, "b": None}),
    "share of all": Case("select window_start as t, n - (select sum(n) from a) as n from a", {"a": None}),
    "in": Case("select window_start as t, n from a where k in (select k from d)", {"a": AT, "d": None}),
    "having a subquery": Case(
        "select window_start as t, sum(n) from a group by t having sum(n) > (select min(n) from b)",
        {"a": AT, "b": None},
    ),
    # Windows
    "partition by time": Case(
        "select window_start as t, k, n, rank() over (partition by window_start order by n desc) as rank from a",
        {"a": AT},
    ),
    "partition by hour": Case(
        "select window_start as t, sum(n) over (partition by date_trunc('hour', window_start)) as n from a",
        {"a": (HOUR - 1, HOUR - 1)},
    ),
    "best of the hour": Case(
        "select date_trunc('hour', window_start) as t, k, n from a"
        " qualify row_number() over (partition by date_trunc('hour', window_start) order by n desc, k, window_start) <= 2",
        {"a": WITHIN_HOUR},
    ),
    "ranks of groups": Case(
        "select date_trunc('hour', window_start) as t, k, sum(n) as n,"
        " rank() over (partition by date_trunc('hour', window_start) order by sum(n)) as rank from a group by 1, 2",
        {"a": WITHIN_HOUR},
    ),
    "trending": Case(
        """with scored as (select window_end as hour, k, n, 2 * n as heat from a where n is not null)
        select hour as t, row_number() over (partition by hour order by heat desc, k, n) as rank, k, label,
               coalesce(ratio(100 * (rank() over (partition by hour order by heat) - 1), count(*) over (partition by hour) - 1, 2), 100)
        from scored left join d using (k) qualify rank <= 2""",
        {"a": (5 * MINUTE, -5 * MINUTE), "d": None},
    ),
    "partition by something else": Case(
        "select window_start as t, sum(n) over (partition by k) as n from a", {"a": None}
    ),
    "no partition": Case("select window_start as t, count(*) over () as n from a", {"a": None}),
    "partition by what may be missing": Case(
        "select a.window_start as t, count(*) over (partition by b.window_start) as n from a left join b using (window_start, k)",
        {"a": None, "b": None},
    ),
    "partition by a column of both": Case(
        "select a.window_start as t, count(*) over (partition by window_start) as n from a full join b using (window_start, k)",
        {"a": AT, "b": AT},
    ),
    "partition by a time that may be missing": Case("select t, count(*) over (partition by t) as n from q", {"q": AT}),
    "frame of an hour": Case(
        "select window_start as t, k, sum(n) over (order by window_start range between interval '1 hour' preceding and current row) as n"
        " from a",
        {"a": (HOUR, 0)},
    ),
    "frame on both sides": Case(
        "select window_start as t, sum(n) over (partition by k order by window_start"
        " range between interval '1 hour' preceding and interval '10 minutes' following) as n from a",
        {"a": (HOUR, 10 * MINUTE)},
    ),
    "frame of some rows": Case(
        "select window_start as t, sum(n) filter (where k > 0) over (order by window_start"
        " range between interval '30 minutes' preceding and current row) as n from a",
        {"a": (30 * MINUTE, 0)},
    ),
    "frame behind": Case(
        "select window_start as t, sum(n) over (order by window_start"
        " range between interval '2 hours' preceding and interval '1 hour' preceding) as n from a",
        {"a": (2 * HOUR, 0)},
    ),
    "frame downwards": Case(
        "select window_start as t, sum(n) over (order by window_start desc"
        " range between interval '1 hour' preceding and current row) as n from a",
        {"a": (0, HOUR)},
    ),
    "two frames": Case(
        "select window_start as t,"
        " sum(n) over (order by window_start range between interval '1 hour' preceding and current row) as n,"
        " sum(n) over (order by window_start range between interval '2 hour' preceding and current row) as m from a",
        {"a": (2 * HOUR, 0)},
    ),
    "frame over a frame": Case(
        "with s as (select window_start, sum(n) over (order by window_start"
        " range between interval '1 hour' preceding and current row) as n from a)"
        " select window_start as t, max(n) over (order by window_start"
        " range between interval '1 hour' preceding and current row) as n from s",
        {"a": (2 * HOUR, 0)},
    ),
    "frame of a short form": Case(
        "select window_start as t, sum(n) over (order by window_start range interval '30 minutes' preceding) as n from a",
        {"a": (30 * MINUTE, 0)},
    ),
    "frame by a time that may be missing": Case(
        "select a.window_start as t, sum(q.n) over (order by q.t range between interval '1 hour' preceding and current row) as n"
        " from a left join q on a.window_start = q.t",
        {"a": None, "q": None},
    ),
    "unbounded frame": Case(
        "select window_start as t, sum(n) over (order by window_start range between unbounded preceding and current row) as n from a",
        {"a": None},
    ),
    "no frame": Case("select window_start as t, sum(n) over (order by window_start) as n from a", {"a": None}),
    "frame of rows": Case(
        "select window_start as t, sum(n) over (order by window_start, k, n rows between 3 preceding and current row) as n from a",
        {"a": None},
    ),
    "rank in a frame": Case(
        "select window_start as t, rank() over (order by window_start range between interval '1 hour' preceding and current row) as n"
        " from a",
        {"a": None},
    ),
    "lag": Case(
        "select window_start as t, n - lag(n) over w as change from a window w as (partition by k order by window_start, n)",
        {"a": None},
    ),
    "lag within an hour": Case(
        "select window_start as t, n - lag(n) over w as change from a"
        " window w as (partition by date_trunc('hour', window_start), k order by window_start, n)",
        {"a": (HOUR - 1, HOUR - 1)},
    ),
    # Set operations
    "union all": Case(
        "select window_start as t, n from a union all select window_end, n from b",
        {"a": AT, "b": (5 * MINUTE, -5 * MINUTE)},
    ),
    "union": Case("select window_start as t, k from a union select window_start, k from b", {"a": AT, "b": AT}),
    "partition of a union": Case(
        "select s as t, k, sum(n) over (partition by e) as n from (select window_start as s, window_end as e, k, n from a"
        " union all select window_start, window_end, k, n from b)",
        {"a": AT, "b": AT},
    ),
    "union of itself": Case(
        "select window_start as t, n from a union all select window_start + interval '1 hour', -n from a",
        {"a": (HOUR, 0)},
    ),
    "except": Case("select window_start as t, k from a except select window_start, k from b", {"a": AT, "b": AT}),
    "intersect": Case("select window_start as t, k from a intersect select window_start, k from b", {"a": AT, "b": AT}),
    "union by name": Case(
        "select k, window_start as t from a union by name select window_start as t, n from b", {"a": AT, "b": AT}
    ),
    "union with a summary": Case(
        "select window_start as t, n from a union all select max(window_start), sum(n) from b", {"a": AT, "b": None}
    ),
    "union with a constant": Case(
        "select window_start as t, n from a union all select '2024-02-29 23:00'::timestamp, 0", {"a": AT}
    ),
    "groups of a union": Case(
        "select date_trunc('hour', t) as t, sum(n) from (select window_start as t, n from a union all select window_start, n from b)"
        " group by all",
        {"a": WITHIN_HOUR, "b": WITHIN_HOUR},
    ),
    # Cuts
    "limit": Case("select window_start as t, k, n from a order by window_start, k, n limit 3", {"a": None}),
    "offset": Case("select window_start as t, k, n from a order by window_start, k, n offset 2", {"a": None}),
    "limit in a table": Case(
        "with few as (select window_start, k from b order by window_start, k limit 2)"
        " select a.window_start as t, n from a join few using (k)",
        {"a": AT, "b": None},
    ),
    "limit of a union": Case(
        "(select window_start as t, k from a) union all (select window_start, k from b) order by t, k limit 3",
        {"a": None, "b": None},
    ),
    "order": Case("select window_start as t, n from a order by n", {"a": AT}),
    # Tables made of tables
    "used twice": Case(
        "with s as (select date_trunc('hour', window_start) as hour, k, sum(n) as n from a group by all)"
        " select now.hour as t, now.k, now.n - before.n as change from s as now left join s as before"
        " on before.hour = now.hour - interval '1 hour' and before.k = now.k",
        {"a": (HOUR, HOUR - 1)},
    ),
    "a table called like its input": Case(
        "with a as (select * from a where n > 1) select window_start as t, n from a", {"a": AT}
    ),
    "chain": Case(
        "with x as (select window_start, k, n from a), y(s, k, n) as (select * from x where n > 0),"
        " z as (select s + interval '5 minutes' as e, max(n) as n from y group by all)"
        " select e - interval '5 minutes' as t, n from z",
        {"a": AT},
    ),
    "recursive": Case(
        "with recursive r(t, i) as (select window_start, 0 from a union all select t, i + 1 from r where i < 1) select t, i from r",
        {"a": None},
    ),
    "backlog": Case(
        "with backlog as (select window_end, k, count(*) filter (where n > 1) as pending from h group by all)"
        " select window_end - interval '5 minutes' as t, k, a.n, pending from backlog left join a using (window_end, k)"
        " where a.n is not null or pending > 0",
        {"h": (HOUR - 5 * MINUTE, 5 * MINUTE - HOUR), "a": AT},
    ),
    "rows as structs": Case("select a.window_start as t, a as row from a", {"a": AT}),
}
