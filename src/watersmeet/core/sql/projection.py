"""Projections: the columns that leave a SELECT."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from sqlglot import exp

from .axis import Axis, Moment
from .relation import OVERLAPPING, Origin, Relation
from .scope import Scope

_Columns = tuple[tuple[str, Origin], ...]


def projected(scope: Scope, select: exp.Select) -> tuple[_Columns, bool]:
    """The columns of a SELECT list, and whether they are all that there are."""
    columns: list[tuple[str, Origin]] = []
    complete = True
    for item in select.expressions:
        if item.is_star and isinstance(item, exp.Star | exp.Column):
            found, known = _starred(scope, item)
            columns += found
            complete &= known
            continue
        name = item.alias_or_name if isinstance(item, exp.Alias | exp.Column) else ""
        value = item.unalias()
        columns.append((name, scope.shown(scope.origin(value))))
        # A struct that is unnested brings columns of its own; so does COLUMNS.
        complete &= not isinstance(value, exp.Explode | exp.Unnest | exp.Columns)
    return tuple(columns), complete


def _starred(scope: Scope, item: exp.Star | exp.Column) -> tuple[_Columns, bool]:
    star = item.this if isinstance(item, exp.Column) else item
    if isinstance(item, exp.Column):
        table = scope.tables.get(item.table.lower())
        if table is None:
            return (), False
        columns, complete = table.columns, table.complete
    else:
        columns, complete = tuple(scope.visible), all(table.complete for table in scope.tables.values())
    left_out = {part.name.lower() for part in star.args.get("except_") or ()}
    replaced = {part.alias.lower(): part.this for part in star.args.get("replace") or ()}
    renamed = {part.this.name.lower(): part.alias for part in star.args.get("rename") or ()}
    origins = {name: scope.origin(value) for name, value in replaced.items()}
    return (
        tuple(
            (renamed.get(name.lower(), name), scope.shown(origins.get(name.lower(), origin)))
            for name, origin in columns
            if name.lower() not in left_out
        ),
        complete,
    )


def deduplicated(relation: Relation, keys: set[Axis]) -> Relation:
    """The rows when only one is left of those that agree in some columns, ``keys`` being the times among these."""
    tied = {x: pin for x in relation.axes.reach for pin in keys if relation.axes.tied(x, pin)}
    columns = []
    for name, origin in relation.columns:
        kept = origin.moment if origin.moment and origin.moment.axis in keys else None
        columns.append((name, replace(moved(name, origin, tied), moment=kept)))
    return replace(relation, columns=tuple(columns), axes=relation.axes.kept(keys))


def stacked(left: Relation, right: Relation, *, by_name: bool) -> Relation:
    """The rows of a set operation."""
    if by_name:
        known = [name for name, _ in left.columns]
        names = [*known, *(name for name, _ in right.columns if left.find(name) is None)]
        columns = [(name, left.find(name), right.find(name)) for name in names]
    else:
        pairs = zip(left.columns, right.columns, strict=False)
        columns = [(name, origin, other) for (name, origin), (_, other) in pairs]
    firsts = [one.moment if one else None for _, one, _ in columns]
    seconds = [other.moment if other else None for _, _, other in columns]
    axes, made = left.axes.stacked(right.axes, list(zip(firsts, seconds, strict=True)))
    first, second = _tied(left, firsts, made), _tied(right, seconds, made)
    found = []
    for (name, one, other), axis in zip(columns, made, strict=True):
        origin = moved(name, one or Origin(), first).mixed(moved(name, other or Origin(), second))
        found.append((name, replace(origin, moment=None if axis is None else Moment(axis))))
    complete = left.complete and right.complete
    # Without names columns are paired by their place, and that is only known if all columns are.
    return Relation(tuple(found), axes if complete or by_name else axes.whole(), complete)


def _tied(side: Relation, moments: Iterable[Moment | None], made: Iterable[Axis | None]) -> dict[Axis, Axis]:
    """Which axis of a set operation stands for each axis of one of its sides."""
    pairs = [(m, axis) for m, axis in zip(moments, made, strict=True) if m is not None and axis is not None]
    return {x: axis for x in side.axes.reach for m, axis in pairs if side.axes.tied(x, m.axis)}


def moved(name: str, origin: Origin, windows: Mapping[Axis, Axis]) -> Origin:
    """The same origin where windows have other times; windows that have none left can never be told apart again."""
    lost = frozenset([f"{name}, {OVERLAPPING}"] if origin.windows - windows.keys() else ())
    return Origin(None, origin.presented | lost, frozenset(windows[x] for x in origin.windows if x in windows))
