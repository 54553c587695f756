"""Clauses: what the syntax tree of one SELECT says, before any name in it means anything."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from .axis import Span
from .function import kind_of
from .interval import span_of

_CLAUSES = ("expressions", "where", "group", "having", "qualify", "order", "distinct", "windows")
_AROUND = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)


def nodes(select: exp.Select) -> Iterator[exp.Expr]:
    """All nodes of its clauses; of a subquery only the first, of FROM only the conditions of joins."""
    parts = [select.args.get(clause) for clause in _CLAUSES]
    parts += [join.args.get("on") for join in select.args.get("joins") or ()]
    for part in parts:
        for root in part if isinstance(part, list) else [part]:
            if isinstance(root, exp.Expr):
                yield from root.walk(prune=lambda n: isinstance(n, exp.Query))


def conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The conditions that must all hold for a condition to hold."""
    match node:
        case exp.And():
            yield from conjuncts(node.this)
            yield from conjuncts(node.expression)
        case exp.Paren():
            yield from conjuncts(node.this)
        case exp.Expr():
            yield node


def is_cut(node: exp.Expr) -> bool:
    """True if rows are left out for how many there are."""
    return any(node.args.get(clause) for clause in ("limit", "offset", "sample"))


def keys(select: exp.Select) -> Iterator[exp.Expr]:
    """The expressions that it groups by; none if it groups in several ways at once, or not at all."""
    group = select.args.get("group")
    several = (exp.GroupingSets, exp.Rollup, exp.Cube)
    if group is None or any(isinstance(key, several) for key in group.expressions):
        return
    starred = any(item.is_star for item in select.expressions)
    for key in group.expressions:
        if not (isinstance(key, exp.Literal) and key.is_int):
            yield key
        elif not starred and 0 < int(key.name) <= len(select.expressions):
            yield select.expressions[int(key.name) - 1]
    if group.args.get("all"):
        yield from select.expressions


def function_of(window: exp.Window) -> exp.Expr:
    """The function that looks through a window."""
    found: exp.Expr = window.this
    while isinstance(found, _AROUND):
        found = found.this
    return found


def is_windowed(function: exp.Expr) -> bool:
    """True if it looks through a window, and does not put rows together."""
    parent = function.parent
    while isinstance(parent, _AROUND):
        parent = parent.parent
    return isinstance(parent, exp.Window) and function_of(parent) is function


def frame(window: exp.Window) -> tuple[exp.Expr, Span] | None:
    """The key by which a window is ordered, and within what span after it a bounded RANGE frame lies, if it has one.

    Ranks, and functions that count rows forth and back, see the whole partition whatever the frame.
    """
    spec, order = window.args.get("spec"), window.args.get("order")
    function = function_of(window)
    seeing = (exp.Count, exp.CountIf) if kind_of(function) == "count" else (exp.AggFunc,)
    if spec is None or order is None or len(order.expressions) != 1 or str(spec.args.get("kind")).upper() != "RANGE":
        return None
    if not isinstance(function, seeing) or isinstance(function, exp.Lag | exp.Lead):
        return None
    start = _edge(spec.args.get("start"), spec.args.get("start_side"))
    end = _edge(spec.args.get("end") or "CURRENT ROW", spec.args.get("end_side"))
    key = order.expressions[0]
    if start is None or end is None:
        return None
    return key.this, (-end[1], -start[0]) if key.args.get("desc") else (start[0], end[1])


def _edge(value: object, side: object) -> Span | None:
    """How far an edge of a frame lies after the row; None if it has no bound, or is not constant."""
    if value == "CURRENT ROW":
        return 0, 0
    span = span_of(value) if isinstance(value, exp.Expr) else None
    if span is None:
        return None
    return (-span[1], -span[0]) if str(side).upper() == "PRECEDING" else span
