"""Queries: what they rest on, how far a range goes down into it, and what they may not do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

import watersmeet as wm
from watersmeet.core.query import Query
from watersmeet.core.sql.lineage import Shift

from .refusals import refusal

pytestmark = pytest.mark.unit

MINUTE = 60_000_000
HOUR = 60 * MINUTE
TOPIC = wm.Topic(
    "plays",
    {"film": "integer not null", "viewer": "varchar", "seconds": "decimal(8,2)", "at": "timestamp not null"},
    event_time="at",
)
FACTS = wm.View("facts", topic=TOPIC, dimensions=["film"], measures={"title": wm.last("viewer")})
PLAYS = wm.View(
    "plays",
    topic=TOPIC,
    dimensions=["film"],
    window=wm.tumbling("5m"),
    lookback="1h",
    measures={
        "n": wm.count(),
        "seconds": wm.sum("seconds"),
        "mean": wm.mean("seconds"),
        "spread": wm.stddev("seconds"),
        "viewers": wm.distinct("viewer"),
        "best": wm.top("viewer", 3),
        "title": wm.last("viewer"),
    },
    derive={
        "hour": "date_trunc('hour', window_start)",
        "half": "window_start + interval '30 minutes'",
        "shown": "mean || ' s'",
        "is_long": "mean > 60",
        "change": "n - lag(n) over w",
    },
)
HOURLY = PLAYS.at("1h", every="5m")
BACKLOG = PLAYS.at(wm.running("5m"))


def query(sql: str = "select window_start as t, film, n from p", **more: object) -> Query:
    declared: dict[str, object] = {"inputs": {"p": PLAYS, "f": FACTS}, "key": ["t", "film"], "time": "t", "sql": sql}
    return Query("q", **{**declared, **more})  # type: ignore[arg-type]  # what a test changes


# -- what a query may not do -------------------------------------------------------------------------------------------

FALSE = "totals of what may be added up"
WRONG: Mapping[str, tuple[Callable[[], object], str, str, str]] = {
    # How it is declared
    "name": (lambda: Query("q q", {"p": PLAYS}, "select 1 as a", ["a"]), "query name", "beginning with a letter", "rename"),
    "no input": (lambda: query(inputs={}), "query q", "at least one input", "inputs={"),
    "topic as input": (lambda: query(inputs={"p": TOPIC}), "input 'p' of query q", "a view or a query", "declare a wm.View"),
    "one alias twice": (lambda: query(inputs={"p": PLAYS, "P": PLAYS}), "input 'p' of query q", "each alias once", "rename one"),
    "one key": (lambda: query(key="t"), "key of query q", "a list of the columns", "write key=['t']"),
    "no key": (lambda: query(key=[]), "key of query q", "a list of the columns", "at least one"),
    "no such time": (lambda: query(time="tt"), "time of query q", "a column of its result", "did you mean 't'?"),
    # What it is
    "no SQL": (lambda: query("select from where"), "query q", "SQL in DuckDB's dialect", "check brackets"),
    "two statements": (lambda: query("select 1 as t; select 2 as t"), "query q", "one SELECT statement", "begin with"),
    "no SELECT": (lambda: query("create table x as select 1"), "query q", "one SELECT statement", "begin with SELECT"),
    "a change": (lambda: query("delete from p"), "query q", "one SELECT statement", "begin with SELECT"),
    # What it reads
    "unknown table": (lambda: query("select window_start as t from pp"), "query q", "a table among its inputs", "did you mean 'p'?"),
    "a file": (lambda: query("select * from 'x.parquet'"), "query q", "a table among its inputs", "known are f, p"),
    "a file by a function": (lambda: query("select * from read_csv('x.csv')"), "query q", "tables among its inputs", "known are f, p"),
    "another schema": (lambda: query("select * from information_schema.tables"), "query q", "a table among its inputs", "known are"),
    "unknown column": (lambda: query("select window_strat as t from p"), "query q", "a known column", "did you mean 'window_start'?"),
    "unknown column of a table": (lambda: query("select p.title, f.n from p join f using (film)"), "query q", "a known column", "known are film, title"),
    "unknown column of a subquery": (lambda: query("with x as (select film as k from p) select film from x"), "query q", "a known column", "known are k, x"),
    "unknown column of USING": (lambda: query("select n from p join f using (flim)"), "query q", "a known column", "did you mean 'film'?"),
    "place of a row": (lambda: query("select window_start as t, rowid from p"), "query q", "a known column", "known are"),
    # That an answer is the same each time
    "clock": (lambda: query("select now() as t from p"), "query q", "does not depend on when it is asked", ":as_of"),
    "today": (lambda: query("select current_date as t from p"), "query q", "does not depend on when it is asked", ":as_of"),
    "age to today": (lambda: query("select window_start as t, age(window_start) from p"), "query q", "does not depend", ":as_of"),
    "chance": (lambda: query("select window_start as t from p where random() < 0.5"), "query q", "does not depend", ":as_of"),
    "setting": (lambda: query("select current_setting('threads') as t"), "query q", "does not depend", ":as_of"),
    "sample of a table": (lambda: query("select window_start as t from p tablesample 10%"), "query q", "no sampling", "the same each time"),
    "sample of all": (lambda: query("select window_start as t from p using sample 3"), "query q", "no sampling", "the same each time"),
    "limit": (lambda: query("select window_start as t from p limit 3"), "query q", "an ORDER BY beside LIMIT", "any rows"),
    "limit in a table": (lambda: query("with x as (select * from p limit 3) select window_start as t from x"), "query q", "an ORDER BY beside LIMIT", "any rows"),
    "limit in an expression": (lambda: query("select (select n from p limit 1) as t"), "query q", "an ORDER BY beside LIMIT", "any rows"),
    "offset": (lambda: query("select window_start as t from p offset 3"), "query q", "an ORDER BY beside OFFSET", "any rows"),
    "fetch": (lambda: query("select window_start as t from p fetch first 3 rows only"), "query q", "an ORDER BY beside FETCH", "any rows"),
    "join by place": (lambda: query("select window_start as t from p positional join f"), "query q", "a join by values", "ON or USING"),
    "pivot": (lambda: query("select * from (pivot p on film using sum(n))"), "query q", "the same columns whatever the data", "filter"),
    "pivot of a table": (lambda: query("select * from p pivot (sum(n) for film in (1, 2))"), "query q", "the same columns whatever the data", "filter"),
    "unpivot": (lambda: query("select * from (unpivot p on n, seconds)"), "query q", "the same columns whatever the data", "UNION ALL"),
    # Parameters
    "a parameter": (lambda: query("select window_start as t from p where n > :least"), "query q", "no parameter but :as_of", "filter by"),
    "a parameter with a dollar": (lambda: query("select window_start as t from p where n > $least"), "query q", "no parameter but :as_of", "filter by"),
    "a parameter by place": (lambda: query("select window_start as t from p where n > ?"), "query q", "no parameter but :as_of", "filter by"),
    "a parameter by number": (lambda: query("select window_start as t from p where n > $1"), "query q", "no parameter but :as_of", "filter by"),
    # Doubles
    "division": (lambda: query("select window_start as t, seconds / n as x from p"), "query q", "ratio(a, b, digits) or pct(a, b)", "cast one side"),
    "mean": (lambda: query("select window_start as t, avg(n) as x from p group by t"), "query q", "ratio(sum(x), count(x), digits)", "cast the argument"),
    "mean by its other name": (lambda: query("select window_start as t, mean(n) as x from p group by t"), "query q", "ratio(sum(x), count(x), digits)", "cast"),
    # False totals
    "sum of means": (lambda: query("select window_start as t, sum(mean) as x from p group by t"), "query q", FALSE, 'unsafe="reason"'),
    "mean of means": (lambda: query("select window_start as t, ratio(sum(mean), count(mean), 2) as x from p group by t"), "query q", FALSE, "through="),
    "weighted means": (lambda: query("select window_start as t, sum(mean * n) as x from p group by t"), "query q", FALSE, "by="),
    "spread of spreads": (lambda: query("select window_start as t, stddev(spread) as x from p group by t"), "query q", FALSE, "by="),
    "sum of distinct counts": (lambda: query("select window_start as t, sum(viewers) as x from p group by t"), "query q", FALSE, "by="),
    "totals of what is cut": (lambda: query("select t, sum(b.count) as x from (select window_start as t, unnest(best) as b from p) group by t"), "query q", FALSE, "by="),
    "sum of what was made of a mean": (lambda: query("select window_start as t, sum(length(shown)) as x from p group by t"), "query q", FALSE, "by="),
    "running total of means": (lambda: query("select window_start as t, sum(mean) over (partition by film order by window_start) as x from p"), "query q", FALSE, "by="),
    "totals of all columns": (lambda: query("select window_start as t, sum(columns(p.* exclude (n, seconds, best, title, shown, is_long))) from p group by t"), "query q", FALSE, "by="),
    "totals of every column": (lambda: query("select sum(columns(*)) from p", time=None), "query q", FALSE, "by="),
    "total of a list of means": (lambda: query("select t, list_sum(l) as x from (select window_start as t, list(mean order by film) as l from p group by t)"), "query q", FALSE, "by="),
    "sum of rolling hours": (lambda: query("select film, sum(n) as n from p group by film", inputs={"p": HOURLY}, time=None), "query q", FALSE, "group by window_end"),
    "sum of rolling hours by the hour": (lambda: query("select date_trunc('hour', window_end) as t, sum(n) as n from p group by t", inputs={"p": HOURLY}), "query q", FALSE, "one window"),
    "sum of backlogs": (lambda: query("select sum(n) as n from p", inputs={"p": BACKLOG}, time=None), "query q", FALSE, "one window"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_a_query_may_not_do_is_refused(name: str) -> None:
    declare, subject, expected, remedy = WRONG[name]
    error = refusal(declare)
    assert error.subject == subject
    assert expected in error.expected
    assert remedy in error.remedy


def test_a_false_total_names_the_total_the_column_and_what_it_is() -> None:
    error = refusal(lambda: query("select window_start as t, sum(viewers) as x from p group by t"))
    assert error.got == "SUM(viewers) adds up viewers of p, a distinct count"


def test_a_false_total_is_allowed_with_a_reason() -> None:
    found = query("select window_start as t, sum(mean) as x from p group by t", unsafe="as the report has always done")
    assert found.lineage.falsehoods == ("SUM(mean) adds up mean of p, a mean",)


RIGHT = {
    "parameter": "select window_start as t, n from p where window_end <= :as_of",
    "selections": "select window_start as t, max(mean), min(viewers), arg_max(film, mean), list(mean order by film), first(mean order by film) from p group by t",
    "counts": "select window_start as t, count(*), count(mean), count(distinct viewers), count_if(mean > 1) from p group by t",
    "totals": "select window_start as t, sum(n), sum(seconds), ratio(sum(seconds), sum(n), 2) from p group by t",
    "a mean as a condition": "select window_start as t, sum(case when mean > 60 then 1 else 0 end), sum(n) filter (where mean > 60) from p group by t",
    "what was decided by a mean": "select window_start as t, sum(is_long::integer) as x from p group by t",
    "arithmetic of means": "select window_start as t, mean + spread as x, 2 * mean from p",
    "qualify": "select window_start as t, film, n from p qualify rank() over (partition by window_start order by n desc) <= 3",
    "ordered limit": "select window_start as t, film, n from p order by t, film limit 3",
    "tables of its own": "select t, x, u from (values (timestamp '2024-01-01', 1)) v(t, x), unnest([1, 2]) w(u), range(3) r(i)",
    "division of doubles, said so": "select window_start as t, n::double / seconds as x, avg(n::double) as y from p group by all",
    "totals of some columns": "select window_start as t, sum(columns('seconds|^n$')) from p group by t",
    "totals of all columns but some": "select window_start as t, sum(columns(* exclude (window_start, window_end, mean, spread, viewers, best, title, hour, half, shown, is_long))) from p group by t",
    "whole division": "select window_start as t, n // 2 as x from p",
    "local names": "select window_start as t, list_transform([1, 2], lambda x: x + n), [y + 1 for y in [1, 2]] from p",
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_a_query_may_do(name: str) -> None:
    assert query(RIGHT[name]).lineage.falsehoods == ()


@pytest.mark.parametrize(
    "sql",
    [
        "select window_end as t, sum(n) as n from p group by window_end",
        "select window_start as t, film, sum(n) over (partition by window_start) as n from p",
        "select window_end as t, max(n), count(*) from p group by t",
        "select film, max(n) as t from p group by film",
        "select sum(n) as t from p where window_end = :as_of",
        "select sum(n) as t from p where window_end = (select max(window_end) from p)",
        "select f.film as t, (select sum(n) from p where p.window_end = :as_of and p.film = f.film) as x from f",
    ],
)
@pytest.mark.parametrize("overlapping", [HOURLY, BACKLOG], ids=["rolling", "running"])
def test_within_one_window_there_is_nothing_to_count_twice(sql: str, overlapping: wm.View) -> None:
    assert query(sql, inputs={"p": overlapping, "f": FACTS}).lineage.falsehoods == ()


# -- queries of queries --------------------------------------------------------------------------------------------------


def test_what_is_presented_stays_so_through_queries() -> None:
    inner = query("select window_start as t, film, mean as average, n from p")
    assert query("select t, film, max(average) as x from i group by all", inputs={"i": inner}).lineage.falsehoods == ()
    error = refusal(lambda: query("select t, sum(average) as x from i group by t", inputs={"i": inner}))
    assert error.got == "SUM(average) adds up average of i, a mean"


def test_windows_overlap_through_queries() -> None:
    inner = query("select window_end as t, film, n as plays from p", inputs={"p": HOURLY})
    assert query("select t, sum(plays) as x from i group by t", inputs={"i": inner}).lineage.falsehoods == ()
    error = refusal(lambda: query("select film, sum(plays) as x from i group by film", inputs={"i": inner}, time=None))
    assert error.got == "SUM(plays) adds up rows of different windows that overlap"


def test_windows_that_can_no_longer_be_told_apart_are_never_added_up() -> None:
    inner = query("select film, n as plays from p", inputs={"p": HOURLY}, time=None, key=["film"])
    error = refusal(lambda: query("select film, sum(plays) as x from i group by film", inputs={"i": inner}, time=None))
    assert error.got == "SUM(plays) adds up plays of i, a value of overlapping windows"


def test_views_are_found_through_queries_each_once() -> None:
    inner = query()
    outer = query("select i.t, f.title from i join f using (film)", inputs={"i": inner, "f": FACTS, "p": PLAYS})
    assert outer.views == (PLAYS, FACTS)


# -- ranges --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "shift"),
    [
        ("select window_start as t, n from p", Shift()),
        ("select window_end as t, n from p", Shift(5 * MINUTE, -5 * MINUTE)),
        ("select hour as t, sum(n) from p group by hour", Shift(0, HOUR - 1)),
        ("select half as t, n from p", Shift(30 * MINUTE, -30 * MINUTE)),
        ("select film, max(window_start) as t from p group by film", None),
        ("select n as t from p", None),
    ],
)
def test_a_range_goes_down_as_far_as_time_is_kept(sql: str, shift: Shift | None) -> None:
    assert query(sql).shifts == {"p": shift, "f": None}


def test_a_query_without_time_reads_everything() -> None:
    assert query(time=None).shifts == {"p": None, "f": None}


@pytest.mark.parametrize(
    ("view", "shift"),
    [
        (PLAYS.at("1h"), Shift(HOUR, -HOUR)),
        (HOURLY, Shift(HOUR, -HOUR)),
        (BACKLOG, Shift(5 * MINUTE, -5 * MINUTE)),
        (replace(PLAYS, window=wm.calendar("day", "Europe/Berlin")), Shift(2 * 24 * HOUR, 0)),
        (replace(PLAYS, window=wm.calendar("year")), Shift(367 * 24 * HOUR, 0)),
        (replace(PLAYS, window=wm.session("1h")), None),
    ],
    ids=str,
)
def test_the_end_of_a_window_is_as_far_from_its_start_as_it_can_be(view: wm.View, shift: Shift | None) -> None:
    assert query("select window_end as t, n from p", inputs={"p": view}).shifts == {"p": shift}


def test_a_range_goes_down_through_queries() -> None:
    inner = query(
        "select date_trunc('hour', window_start) as t, t + interval '1 hour' as till, sum(n) as n from p group by t"
    )
    outer = query("select till as t, n from i", inputs={"i": inner})
    assert outer.shifts == {"i": Shift(HOUR, -HOUR)}
    assert inner.shifts["p"] == Shift(0, HOUR - 1)


def test_a_range_needs_no_row_that_lacks_the_time_of_its_query() -> None:
    inner = query(
        "select a.window_start as t, p.window_start as s from a left join p using (film)",
        inputs={"a": HOURLY, "p": PLAYS},
    )
    outer = query("select s as t from i", inputs={"i": inner})
    assert outer.shifts == {"i": None}, "a row with another time may have none of its own"


@pytest.mark.parametrize(
    ("shift", "lower", "upper", "expected"),
    [
        (Shift(), 10, 20, (10, 20)),
        (Shift(3, 4), 10, 20, (7, 24)),
        (Shift(5, -5), 10, 20, (5, 15)),
        (Shift(3, 4), None, 20, (None, 24)),
        (Shift(3, 4), 10, None, (7, None)),
        (Shift(3, 4), None, None, (None, None)),
    ],
)
def test_a_shift_moves_the_bounds_that_there_are(
    shift: Shift, lower: int | None, upper: int | None, expected: tuple[int | None, int | None]
) -> None:
    assert shift.apply(lower, upper) == expected


# -- identity ------------------------------------------------------------------------------------------------------------


def test_how_it_is_spaced_changes_nothing() -> None:
    assert query("SELECT window_start AS t, film, n -- plays\n  FROM p").fingerprint == query().fingerprint


@pytest.mark.parametrize(
    "other",
    [
        query("select window_start as t, film, n + 1 as n from p"),
        query(key=["film", "t"]),
        query(time=None),
        query(unsafe="for no reason"),
        query(inputs={"p": PLAYS}),
        query(inputs={"p": replace(PLAYS, having="n > 1"), "f": FACTS}),
        query(inputs={"p": PLAYS.at("1h"), "f": FACTS}),
    ],
)
def test_what_decides_an_answer_changes_the_fingerprint(other: Query) -> None:
    assert other.fingerprint != query().fingerprint


def test_columns_are_known_without_running_it() -> None:
    assert query("select *, n + 1 as more from p", time="hour").lineage.columns == (*PLAYS.columns, "more")
    assert query("select window_start as t, count(*) from p group by t").lineage.columns is None, "DuckDB names it"
