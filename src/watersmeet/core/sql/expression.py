"""Row expressions: SQL scalars in DuckDB's dialect, checked where they are written.

A scalar may use columns, constants, operators, deterministic functions and declared row functions; never may it
aggregate, look at other rows, read tables, the clock or chance. `derive` columns may in addition use
``lag(x, k) over w``. Each such lag is null unless the row it finds starts within the declared lookback: otherwise an
answer would depend on how far back a read happened to look.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ..errors import DeclarationError
from ..site import suggest
from .function import depends_on_when, function_name, kind_of

_FORBIDDEN: dict[type[exp.Expr], str] = {
    exp.Query: "a subquery",
    exp.AggFunc: "an aggregate",
    exp.Window: "a window function",
    exp.Star: "'*'",
    exp.Alias: "a name",
    exp.PositionalColumn: "a column by its place",
    exp.Columns: "COLUMNS",
    exp.Explode: "unnest",
    exp.Unnest: "unnest",
    exp.Placeholder: "a parameter",
    exp.Parameter: "a parameter",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A row function to run before ``body`` can be evaluated: its name, argument expressions and placeholder column."""

    name: str
    arguments: tuple[str, ...]
    placeholder: str


@dataclass(frozen=True, slots=True)
class Lag:
    """``lag(value, steps) over w``, standing in ``body`` as the column ``placeholder``."""

    value: str
    steps: int
    placeholder: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """A checked expression.

    Args:
        text: as written.
        canonical: independent of white space and letter case of keywords; what fingerprints see.
        columns: the columns it reads.
        body: ``text`` with each call and lag replaced by its placeholder column.
        calls, lags: what the placeholders stand for.
    """

    text: str
    canonical: str
    columns: frozenset[str]
    body: str
    calls: tuple[Call, ...] = ()
    lags: tuple[Lag, ...] = ()


def scalar(
    text: str, known: Iterable[str], *, subject: str, where: str, functions: Collection[str] = (), lag: bool = False
) -> Scalar:
    """Check one expression against the columns it may read.

    Args:
        text: SQL scalar in DuckDB's dialect.
        known: columns it may use; others raise with "did you mean".
        subject: what it is, for errors.
        where: file:line of the declaration.
        functions: names of row functions that may be called.
        lag: allow ``lag(x, k) over w``.

    Raises `DeclarationError`.
    """
    tree = _parse(text, subject, where)
    names = {name.lower(): name for name in known}
    tree, lags = _take_lags(tree, subject, where) if lag else (tree, ())
    _refuse(tree, subject, where)
    inner = [_parse(item.value, subject, where) for item in lags]
    for part in inner:
        _refuse(part, subject, where)
    local = {item.placeholder for item in lags} | {c.expression.name for c in tree.find_all(exp.Comprehension)}
    columns = set()
    for column in (c for part in (tree, *inner) for c in part.find_all(exp.Column)):
        if column.name in local:
            continue
        if column.table or column.name.lower() not in names:
            wrong = column.sql(dialect="duckdb")
            raise DeclarationError(
                subject,
                expected="a known column",
                got=repr(wrong),
                remedy=suggest(column.name.lower(), names),
                where=where,
            )
        columns.add(names[column.name.lower()])
    tree, calls = _take_calls(tree, functions, subject, where)
    body = tree.sql(dialect="duckdb") if calls or lags else text
    return Scalar(text, canonical(text), frozenset(columns), body, calls, lags)


@cache
def canonical(text: str) -> str:
    """An expression that was checked, independent of white space, comments and letter case of keywords."""
    return _parse(text, "expression", "").sql(dialect="duckdb", comments=False) if text else ""


@cache
def names(text: str) -> frozenset[str]:
    """Every name that an expression which was checked could mean a column by, in lower case."""
    found = _parse(text, "expression", "").find_all(exp.Column) if text else ()
    return frozenset(part.name.lower() for column in found for part in column.parts)


def with_lookback(item: Scalar, lookback_us: int) -> str:
    """The SQL of a derived column, each lag bounded to rows that start within ``lookback_us`` before this one."""
    sql = _parse(item.body, "derive", "")
    bounded = {
        lag.placeholder: _parse(
            f"case when lag(window_start, {lag.steps}) over w >= window_start - to_microseconds({lookback_us})"
            f" then lag({lag.value}, {lag.steps}) over w end",
            "derive",
            "",
        )
        for lag in item.lags
    }
    return sql.transform(
        lambda node: bounded[node.name].copy() if isinstance(node, exp.Column) and node.name in bounded else node
    ).sql(dialect="duckdb")


def named(text: str, *, subject: str, where: str) -> tuple[str, str]:
    """Split ``"expression as name"`` into (name, expression); a plain column is its own name."""
    tree = _parse(text, subject, where)
    if isinstance(tree, exp.Alias):
        return tree.alias, tree.this.sql(dialect="duckdb")
    if isinstance(tree, exp.Column) and not tree.table:
        return tree.name, text.strip()
    raise DeclarationError(
        subject,
        expected="a column, or 'expression as name'",
        got=repr(text),
        remedy="give it a name with 'as'",
        where=where,
    )


def _parse(text: str, subject: str, where: str) -> exp.Expression:
    try:
        statement = sqlglot.parse_one(f"select {text}", read="duckdb")
    except SqlglotError as error:
        detail = str(error).splitlines()[0]
        raise DeclarationError(
            subject,
            expected="a SQL expression in DuckDB's dialect",
            got=f"{text!r} ({detail})",
            remedy="check brackets, quotes and commas",
            where=where,
        ) from None
    if (
        not isinstance(statement, exp.Select)
        or len(statement.expressions) != 1
        or len([v for v in statement.args.values() if v]) != 1
    ):
        raise DeclarationError(
            subject,
            expected="one SQL scalar expression",
            got=repr(text),
            remedy="write what could stand between SELECT and FROM",
            where=where,
        )
    only: exp.Expression = statement.expressions[0]
    return only


def _refuse(tree: exp.Expression, subject: str, where: str) -> None:
    for node in tree.walk():
        for kind, word in _FORBIDDEN.items():
            if isinstance(node, kind):
                raise DeclarationError(
                    subject,
                    expected="a scalar of one row",
                    got=f"{word} in {tree.sql(dialect='duckdb')!r}",
                    remedy="put rows together in measures, look at other rows in derive or in a query",
                    where=where,
                )
        if kind_of(node) is not None:
            raise DeclarationError(
                subject,
                expected="a scalar of one row",
                got=f"an aggregate in {tree.sql(dialect='duckdb')!r}",
                remedy="make it a measure",
                where=where,
            )
        if depends_on_when(node):
            raise DeclarationError(
                subject,
                expected="an expression that gives the same result at any time",
                got=f"{function_name(node)}()",
                remedy="use event_time or arrived_at",
                where=where,
            )


def _take_calls(
    tree: exp.Expression, functions: Collection[str], subject: str, where: str
) -> tuple[exp.Expression, tuple[Call, ...]]:
    calls: list[Call] = []

    def replace(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Anonymous) or str(node.this) not in functions:
            return node
        if any(
            isinstance(inner, exp.Anonymous) and str(inner.this) in functions
            for part in node.expressions
            for inner in part.walk()
        ):
            raise DeclarationError(
                subject,
                expected="row functions that are not nested",
                got=node.sql(dialect="duckdb"),
                remedy="compute the inner one as a column of its own",
                where=where,
            )
        call = Call(
            str(node.this), tuple(part.sql(dialect="duckdb") for part in node.expressions), f"_call{len(calls)}"
        )
        calls.append(call)
        return exp.column(call.placeholder)

    return tree.transform(replace), tuple(calls)


def _take_lags(tree: exp.Expression, subject: str, where: str) -> tuple[exp.Expression, tuple[Lag, ...]]:
    lags: list[Lag] = []

    def replace(node: exp.Expression) -> exp.Expression:
        if not isinstance(node, exp.Window):
            return node
        inner, steps = node.this, 1
        if isinstance(inner, exp.Lag) and inner.args.get("offset") is not None:
            offset = inner.args["offset"]
            steps = int(offset.name) if isinstance(offset, exp.Literal) and offset.name.isdigit() else 0
        named_w = str(node.args.get("alias") or "").lower() == "w"
        if not isinstance(inner, exp.Lag) or steps < 1 or inner.args.get("default") is not None or not named_w:
            raise DeclarationError(
                subject,
                expected="lag(x) over w or lag(x, k) over w with a whole k >= 1",
                got=node.sql(dialect="duckdb"),
                remedy="lag is the only window function here",
                where=where,
            )
        lag = Lag(inner.this.sql(dialect="duckdb"), steps, f"_lag{len(lags)}")
        lags.append(lag)
        return exp.column(lag.placeholder)

    return tree.transform(replace), tuple(lags)
