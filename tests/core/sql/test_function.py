"""What functions do, against DuckDB's own catalogue of them."""

from __future__ import annotations

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from watersmeet.core.sql.function import depends_on_when, function_name, is_builtin, kind_of, totals_list

pytestmark = pytest.mark.unit

# Aggregates that combine states of others, or write; they are of no use in a declared query.
INTERNAL = {"combine_aggr", "variant_group_object"}


def parsed(text: str) -> exp.Expr:
    found: exp.Expr = sqlglot.parse_one(f"select {text}", read="duckdb").expressions[0]
    return found


def call(name: str) -> exp.Expr:
    """A call with as many arguments as the function takes, up to two."""
    for arguments in ("x", "x, y"):
        try:
            return parsed(f"{name}({arguments})")
        except SqlglotError:
            continue
    raise AssertionError(name)


@pytest.mark.parametrize(
    "name",
    [
        name
        for (name,) in duckdb.execute(
            "select distinct function_name from duckdb_functions() where function_type = 'aggregate' order by 1"
        ).fetchall()
        if name not in INTERNAL
    ],
)
def test_every_aggregate_of_duckdb_is_known_as_one(name: str) -> None:
    assert any(kind_of(node) is not None for node in call(name).walk()), name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("count(*)", "count"),
        ("count(distinct x)", "count"),
        ("approx_count_distinct(x)", "count"),
        ("rank()", "count"),
        ("max(x)", "selection"),
        ("list(x)", "selection"),
        ("arg_max(x, y)", "selection"),
        ("arg_min_null(x, y)", "selection"),
        ("median(x)", "selection"),
        ("bool_or(x)", "selection"),
        ("lag(x)", "selection"),
        ("sum(x)", "total"),
        ("avg(x)", "total"),
        ("mean(x)", "total"),
        ("product(x)", "total"),
        ("stddev(x)", "total"),
        ("var_pop(x)", "total"),
        ("corr(x, y)", "total"),
        ("kahan_sum(x)", "total"),
        ("upper(x)", None),
        ("ratio(x, y, 2)", None),
        ("x + y", None),
    ],
)
def test_what_an_aggregate_does_to_values(text: str, kind: str | None) -> None:
    assert kind_of(parsed(text)) == kind


@pytest.mark.parametrize("name", ["list_sum", "list_avg", "list_aggregate", "list_stddev_pop", "list_dot_product"])
def test_a_list_can_be_added_up_as_well(name: str) -> None:
    assert totals_list(parsed(f"{name}(x, y)"))
    assert not totals_list(parsed("list_max(x)"))


@pytest.mark.parametrize(
    ("text", "depends"), [("now()", True), ("uuid()", True), ("age(x)", True), ("age(x, y)", False), ("year(x)", False)]
)
def test_a_function_may_depend_on_when_it_is_asked(text: str, depends: bool) -> None:
    assert depends_on_when(parsed(text)) is depends


def test_a_function_is_called_by_its_name() -> None:
    assert [function_name(parsed(text)) for text in ("Ratio(x, y, 2)", "SUM(x)", "x + y", "x")] == [
        "ratio",
        "sum",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("name", "builtin"), [("length", True), ("round", True), ("case", True), ("vader", False), ("mood_of", False)]
)
def test_some_names_are_taken(name: str, builtin: bool) -> None:
    assert is_builtin(name) is builtin
