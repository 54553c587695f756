"""Row expressions: what one may say, and what is left of it for an engine."""

from __future__ import annotations

import duckdb
import pytest

from watersmeet.core.errors import DeclarationError
from watersmeet.core.sql.expression import Call, Lag, Scalar, canonical, named, scalar, with_lookback

pytestmark = pytest.mark.unit

KNOWN = ("film", "seconds", "tags", "Title", "window_start")


def check(text: str, **more: object) -> Scalar:
    return scalar(text, KNOWN, subject="derive 'x' of view v", where="app.py:3", **more)  # type: ignore[arg-type]  # what a test adds


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("film", {"film"}),
        ("FILM + 1", {"film"}),
        ('"title"', {"Title"}),
        ("1", set()),
        ("case when film > 1 then seconds else null end", {"film", "seconds"}),
        ("coalesce(seconds, 0)::decimal(10,2)", {"seconds"}),
        ("tags[1]", {"tags"}),
        ("list_transform(tags, t -> upper(t) || title)", {"tags", "Title"}),
        ("[t for t in tags if t <> title]", {"tags", "Title"}),
        ("date_trunc('hour', window_start) - interval '5 minutes'", {"window_start"}),
        ("title in ('a', 'b') and not (film is null)", {"Title", "film"}),
        ("ratio(seconds, film, 2)", {"seconds", "film"}),
        ("{'a': film}", {"film"}),
    ],
)
def test_the_columns_that_it_reads_are_known(text: str, columns: set[str]) -> None:
    found = check(text)
    assert found.columns == columns
    assert (found.text, found.body) == (text, text)


@pytest.mark.parametrize(
    ("text", "expected", "got"),
    [
        ("flim", "a known column", "'flim'"),
        ("views.film", "a known column", "'views.film'"),
        ("film +", "a SQL expression in DuckDB's dialect", "'film +'"),
        ("film)", "a SQL expression in DuckDB's dialect", "'film)'"),
        ("", "one SQL scalar expression", "''"),
        ("film, seconds", "one SQL scalar expression", "'film, seconds'"),
        ("film from x", "one SQL scalar expression", "'film from x'"),
        ("film where true", "one SQL scalar expression", "'film where true'"),
        ("film; drop table x", "one SQL scalar expression", "'film; drop table x'"),
        ("film as x", "a scalar of one row", "a name in 'film AS x'"),
        ("#1", "a scalar of one row", "a column by its place in '#1'"),
        ("*", "a scalar of one row", "'*' in '*'"),
        ("columns('f.*')", "a scalar of one row", "COLUMNS in"),
        ("unnest(tags)", "a scalar of one row", "unnest in"),
        ("sum(film)", "a scalar of one row", "an aggregate in"),
        ("fsum(film)", "a scalar of one row", "an aggregate in"),
        ("any_value(film)", "a scalar of one row", "an aggregate in"),
        ("count(*)", "a scalar of one row", "an aggregate in"),
        ("lag(film) over w", "a scalar of one row", "a window function in"),
        ("(select 1)", "a scalar of one row", "a subquery in"),
        ("film in (select 1)", "a scalar of one row", "a subquery in"),
        ("exists (select 1)", "a scalar of one row", "a subquery in"),
        ("film > ?", "a scalar of one row", "a parameter in"),
        ("film > $least", "a scalar of one row", "a parameter in"),
        ("now() - window_start", "at any time", "now()"),
        ("age(window_start)", "at any time", "age()"),
    ],
)
def test_anything_but_a_scalar_of_one_row_is_refused(text: str, expected: str, got: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        check(text)
    error = caught.value
    assert (error.subject, error.where) == ("derive 'x' of view v", "app.py:3")
    assert expected in error.expected
    assert got in error.got
    assert error.remedy


def volatile() -> list[str]:
    """Calls of every function whose result DuckDB itself says may change between statements."""
    rows = duckdb.execute(
        "select distinct function_name, len(parameters) from duckdb_functions()"
        " where function_type = 'scalar' and stability <> 'CONSISTENT' order by all"
    ).fetchall()
    return [f"{name}({', '.join(['1'] * count)})" for name, count in rows]


@pytest.mark.parametrize("text", [*volatile(), "current_timestamp", "localtime", "current_user", "today()"])
def test_nothing_that_duckdb_calls_volatile_can_be_said(text: str) -> None:
    with pytest.raises(DeclarationError, match="the same result at any time"):
        check(text)


def test_a_call_of_a_row_function_is_taken_out() -> None:
    found = check("coalesce(mood(title, film + 1), 0) + mood(title, 2)", functions=["mood"])
    assert found.calls == (Call("mood", ("title", "film + 1"), "_call0"), Call("mood", ("title", "2"), "_call1"))
    assert found.body == "COALESCE(_call0, 0) + _call1"
    assert found.columns == {"Title", "film"}


def test_row_functions_are_not_nested() -> None:
    with pytest.raises(DeclarationError, match="row functions that are not nested") as caught:
        check("mood(lower(mood(title)))", functions=["mood"])
    assert caught.value.remedy == "compute the inner one as a column of its own"


def test_a_lag_is_taken_out() -> None:
    found = check("film - lag(film) over w + lag(seconds * 2, 3) over w", lag=True)
    assert found.lags == (Lag("film", 1, "_lag0"), Lag("seconds * 2", 3, "_lag1"))
    assert found.body == "film - _lag0 + _lag1"
    assert found.columns == {"film", "seconds"}


@pytest.mark.parametrize(
    "text",
    [
        "lead(film) over w",
        "rank() over w",
        "sum(film) over w",
        "lag(film) over (order by window_start)",
        "lag(film) over v",
        "lag(film, 0) over w",
        "lag(film, -1) over w",
        "lag(film, film) over w",
        "lag(film, 1, 0) over w",
    ],
)
def test_only_a_plain_lag_looks_at_other_rows(text: str) -> None:
    with pytest.raises(DeclarationError, match="lag") as caught:
        check(text, lag=True)
    assert caught.value.remedy == "lag is the only window function here"


@pytest.mark.parametrize("text", ["lag(sum(film)) over w", "lag(now()) over w", "lag(flim) over w"])
def test_what_a_lag_looks_at_is_checked_too(text: str) -> None:
    with pytest.raises(DeclarationError):
        check(text, lag=True)


def test_a_lag_sees_no_further_than_the_lookback() -> None:
    hour = 3_600_000_000
    sql = with_lookback(check("film - lag(film) over w", lag=True), hour)
    rows = duckdb.execute(
        f"""select film, {sql} as change
        from (values (1, timestamp '2024-01-01 00:00'), (3, timestamp '2024-01-01 01:00'), (7, timestamp '2024-01-01 02:05'))
             as v(film, window_start)
        window w as (order by window_start) order by window_start"""
    ).fetchall()
    # 00:00 ── 1 h ── 01:00 ── 1 h 5 min ── 02:05
    assert rows == [(1, None), (3, 2), (7, None)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("film", ("film", "film")),
        (" film ", ("film", "film")),
        ("lower(title) as name", ("name", "LOWER(title)")),
        ("film name", ("name", "film")),
    ],
)
def test_a_column_is_named(text: str, expected: tuple[str, str]) -> None:
    assert named(text, subject="dimension", where="") == expected


@pytest.mark.parametrize("text", ["film + 1", "v.film", "1"])
def test_an_expression_needs_a_name(text: str) -> None:
    with pytest.raises(DeclarationError, match="'expression as name'"):
        named(text, subject="dimension of view v", where="app.py:3")


def test_how_it_is_written_is_not_what_it_means() -> None:
    assert canonical("film+1 -- next") == canonical("film  +  1")
    assert canonical("CASE when film THEN 1 end") == canonical("case WHEN film then 1 END")
    assert canonical("film + 1") != canonical("film + 2")
    assert canonical("") == ""
