"""Queries: one SELECT over named inputs, checked before it ever runs.

A query must give the same answer whenever it is asked for the same data: no clock, no chance, no LIMIT without an
order, no sample, no columns that depend on the data. It may read its inputs and its own common table expressions,
nothing else: no files, no table functions, no settings. Division yields doubles in DuckDB and doubles depend on the
order of addition, so rates are ``ratio`` and ``pct``; a bare ``/`` or ``avg`` stands only over an explicit cast.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ..errors import DeclarationError
from ..site import suggest
from .function import depends_on_when, function_name

_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
_MEAN = (
    "ratio(sum(x), count(x), digits), since this is a double",
    "or cast the argument to double to say that you want one",
)


def parse(sql: str, *, subject: str, where: str) -> exp.Query:
    """Read one SELECT; raises `DeclarationError` with line and column of a syntax error."""
    try:
        statements = [s for s in sqlglot.parse(sql, read="duckdb") if s is not None]
    except SqlglotError as error:
        raise DeclarationError(
            subject,
            expected="SQL in DuckDB's dialect",
            got=str(error).splitlines()[0],
            remedy="check brackets, quotes and commas there",
            where=where,
        ) from None
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise DeclarationError(
            subject,
            expected="one SELECT statement",
            got=f"{len(statements)} statements" if len(statements) != 1 else statements[0].key.upper(),
            remedy="begin with SELECT, WITH or FROM",
            where=where,
        )
    return statements[0]


def check(sql: str, inputs: Collection[str], *, subject: str, where: str) -> str:
    """Check a query that may read ``inputs``; returns its canonical text.

    Raises `DeclarationError` for an unknown table, anything non-deterministic, a table function, or a bare division.
    """
    tree = parse(sql, subject=subject, where=where)
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    known = {name.lower() for name in inputs} | ctes
    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Func):
            if function_name(table.this) not in _TABLE_FUNCTIONS:
                raise DeclarationError(
                    subject,
                    expected="tables among its inputs",
                    got=repr(table.sql(dialect="duckdb")),
                    remedy=f"declare what it reads as a view or query; known are {', '.join(sorted(known))}",
                    where=where,
                )
        elif table.db or table.name.lower() not in known:
            raise DeclarationError(
                subject,
                expected="a table among its inputs",
                got=repr(table.sql(dialect="duckdb")),
                remedy=suggest(table.name.lower(), known),
                where=where,
            )
    for node in tree.walk():
        _check_node(node, subject, where)
    return tree.sql(dialect="duckdb", comments=False)


def _check_node(node: exp.Expr, subject: str, where: str) -> None:
    fault = _fault(node)
    if fault is not None:
        expected, remedy = fault
        got = f"{function_name(node)}()" if depends_on_when(node) else repr(node.sql(dialect="duckdb").strip())
        raise DeclarationError(subject, expected=expected, got=got, remedy=remedy, where=where)


def _fault(node: exp.Expr) -> tuple[str, str] | None:
    """What is expected in place of a node that a query may not have, and the remedy."""
    if depends_on_when(node):
        return "an answer that does not depend on when it is asked", "use the parameter :as_of"
    match node:
        case exp.Placeholder() | exp.Parameter() if node.name != "as_of":
            return "no parameter but :as_of", "write the value itself, or make it a column to filter by"
        case exp.Limit() | exp.Fetch() | exp.Offset() if not (node.parent and node.parent.args.get("order")):
            return f"an ORDER BY beside {node.key.upper()}", "without one any rows may be left out"
        case exp.TableSample():
            return "no sampling", "an answer must be the same each time"
        case exp.Pivot():
            return (
                "the same columns whatever the data",
                "write each as sum(x) filter (where …), or use UNION ALL to unpivot",
            )
        case exp.Join() if str(node.args.get("method") or "").upper() == "POSITIONAL":
            return "a join by values", "rows have no order of their own; say ON or USING"
        case exp.IntDiv():
            return None
        case exp.Div() if not (_cast(node.this) or _cast(node.expression)):
            return (
                "ratio(a, b, digits) or pct(a, b), since this is a double",
                "or cast one side to double to say that you want one",
            )
        case exp.Avg() if not _cast(node.this):
            return _MEAN
        case exp.Anonymous() if function_name(node) in ("mean", "favg") and not any(map(_cast, node.expressions)):
            return _MEAN
    return None


def _cast(node: exp.Expr | None) -> bool:
    while isinstance(node, exp.Paren):
        node = node.this
    return isinstance(node, exp.Cast)


def tables(sql: str, *, subject: str, where: str) -> tuple[str, ...]:
    """The tables that a SELECT reads, other than its own common table expressions, each once."""
    tree = parse(sql, subject=subject, where=where)
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    found = (
        t.name for t in tree.find_all(exp.Table) if not isinstance(t.this, exp.Func) and t.name.lower() not in ctes
    )
    return tuple(dict.fromkeys(found))


def bare_division(text: str) -> str:
    """The first division of a scalar that stands over no cast, and so is a double; empty if there is none."""
    tree = sqlglot.parse_one(text, read="duckdb") if text else None
    for node in tree.find_all(exp.Div) if tree is not None else ():
        if not isinstance(node, exp.IntDiv) and not (_cast(node.this) or _cast(node.expression)):
            return node.sql(dialect="duckdb")
    return ""
