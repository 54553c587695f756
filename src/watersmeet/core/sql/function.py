"""Functions of DuckDB's dialect: their names, which of them depend on when they are asked, and what aggregates do.

An aggregate is one of three kinds, by what it does to values that must not be added up:

    COUNT       looks at how many there are, not at what they say
    SELECTION   gives back some of the values: the greatest, the last, the list of them
    TOTAL       puts values together into a new one: a sum, a mean of means

Presented means and distinct counts may be counted and selected. A total of them is another figure than the one that
merged partials would give, though it bears the same name.
"""

from __future__ import annotations

from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

Kind = Literal["count", "selection", "total"]
# fmt: off
NONDETERMINISTIC = frozenset([
    "now", "today", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp",
    "current_localtime", "current_localtimestamp", "get_current_time", "get_current_timestamp",
    "transaction_timestamp", "random", "rand", "setseed", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "nextval",
    "currval", "setval", "txid_current", "current_transaction_id", "current_connection_id", "current_query",
    "current_query_id", "pg_backend_pid", "current_setting", "getenv", "getvariable", "version", "current_user",
    "session_user", "user", "current_role", "current_schema", "current_schemas", "current_catalog",
    "current_database", "in_search_path", "which_secret", "stats", "vector_type", "error", "sleep_ms", "write_log"
])
# fmt: on
_COUNTS = (
    exp.Count,
    exp.CountIf,
    exp.ApproxDistinct,
    exp.RegrCount,
    exp.RowNumber,
    exp.Rank,
    exp.DenseRank,
    exp.PercentRank,
    exp.CumeDist,
    exp.Ntile,
    exp.Grouping,
)
_SELECTIONS = (
    exp.Min,
    exp.Max,
    exp.First,
    exp.Last,
    exp.AnyValue,
    exp.ArgMin,
    exp.ArgMax,
    exp.ArrayAgg,
    exp.GroupConcat,
    exp.Mode,
    exp.Median,
    exp.Quantile,
    exp.ApproxQuantile,
    exp.PercentileCont,
    exp.PercentileDisc,
    exp.ApproxTopK,
    exp.LogicalAnd,
    exp.LogicalOr,
    exp.FirstValue,
    exp.LastValue,
    exp.NthValue,
    exp.Lag,
    exp.Lead,
)
# DuckDB's aggregates that sqlglot has no class for.
_NAMES: dict[str, Kind] = {
    "count_star": "count",
    **dict.fromkeys(
        ("arbitrary", "histogram", "histogram_exact", "reservoir_quantile", "bitstring_agg", "lttb"), "selection"
    ),
    **dict.fromkeys((f"arg_{end}_{nulls}" for end in ("min", "max") for nulls in ("null", "nulls_last")), "selection"),
    **dict.fromkeys(("mean", "favg", "decimal_average", "fsum", "kahan_sum", "sumkahan", "sum_no_overflow"), "total"),
    **dict.fromkeys(("product", "geomean", "geometric_mean", "sem", "entropy", "kurtosis_pop", "mad", "wavg"), "total"),
}
_OF_LISTS = frozenset(
    [
        *(
            f"list_{name}"
            for name in ("sum", "avg", "mean", "product", "stddev_pop", "stddev_samp", "var_pop", "var_samp")
        ),
        *("list_sem", "list_aggregate", "list_aggr", "array_aggregate", "array_aggr", "aggregate", "list_dot_product"),
        *("list_reduce", "array_reduce", "reduce", "array_sum", "list_inner_product"),
    ]
)


def function_name(node: exp.Expr) -> str:
    """The lower-case SQL name of a function node; empty for anything else."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    return node.sql_name().lower() if isinstance(node, exp.Func) else ""


def is_builtin(name: str) -> bool:
    """True if a call of ``name`` means something else than a function that somebody declares."""
    try:
        call = sqlglot.parse_one(f"select {name}(x)", read="duckdb").expressions[0]
    except SqlglotError:
        return True
    return not isinstance(call, exp.Anonymous)


def depends_on_when(node: exp.Expr) -> bool:
    """True for a function of the clock, of chance, or of whoever asks."""
    name = function_name(node)
    # With one argument it is the distance to today.
    return name in NONDETERMINISTIC or (
        name == "age" and isinstance(node, exp.Anonymous) and len(node.expressions) == 1
    )


def kind_of(node: exp.Expr) -> Kind | None:
    """What an aggregate or window function does to values; None for anything else."""
    if isinstance(node, _COUNTS):
        return "count"
    if isinstance(node, _SELECTIONS):
        return "selection"
    if isinstance(node, exp.AggFunc):
        return "total"
    return _NAMES.get(function_name(node)) if isinstance(node, exp.Anonymous) else None


def totals_list(node: exp.Expr) -> bool:
    """True for a scalar that puts the values of a list together."""
    return function_name(node) in _OF_LISTS
