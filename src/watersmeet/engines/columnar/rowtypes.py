"""The SQL types of a view's columns, measure by measure and derived column by derived column.

Every error names the declaration and its line; nothing is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...core.errors import DeclarationError
from ...core.measure import Measure
from ...core.view import CellSpec, View
from . import partials
from .columns import Columns
from .present import digits_of, scale_of

UNKNOWN = '"NULL"'
"""What DuckDB calls the type of an expression that is nothing but null."""


@dataclass(frozen=True, slots=True)
class RowTypes:
    """Types of a view's rows.

    Args:
        columns: column -> SQL type, in the order of the view.
        doubles: derived columns that are doubles.
        scales: decimals of what variance and stddev measures are taken of.
    """

    columns: Mapping[str, str]
    doubles: frozenset[str]
    scales: Mapping[str, int]


def cell_types(columns: Columns, spec: CellSpec) -> dict[str, str]:
    """Column -> SQL type of the CELLS of a spec, in order."""
    bound = columns.spec(spec)
    ends = {"pane_end": "TIMESTAMP"} if spec.pane.carries_end else {}
    dimensions = {d.name: kind for d, kind in zip(spec.dimensions, bound.dimensions, strict=True)}
    return {"pane": "TIMESTAMP", **ends, **dimensions, **partials.partial_types(spec, bound.lifts)}


def row_types(columns: Columns, view: View) -> RowTypes:
    """The types of a view's rows. Raises `DeclarationError` for a measure or derived column that has none."""
    cells = cell_types(columns, view.cells)
    rows = {"window_start": "TIMESTAMP", "window_end": "TIMESTAMP"}
    through = row_types(columns, view.through).columns if view.through else {}
    own = {d.name for d in view.cells.dimensions}
    rows.update({d.name: cells[d.name] if d.name in own else through[d.name] for d in view.by})
    scales = {}
    for name, measure in view.measures.items():
        place = 0 if measure.kind == "top" else view.cells.lifts.index(measure.lifts[0])
        if measure.kind in ("variance", "stddev"):
            scales[name] = scale_of(cells[f"p{place}_s"])
        rows[name] = (
            f'STRUCT("value" {cell_types(columns, dict(view.tops)[name])["value"]}, count BIGINT)[]'
            if measure.kind == "top"
            else _measure_type(measure, f"p{place}", cells)
        )
    for name, item in view.derived:
        subject, where = f"derive {name!r} of view {view.name}", view.where_declared
        found = {lag.placeholder: columns.bind(lag.value, rows, subject=subject, where=where) for lag in item.lags}
        rows[name] = columns.bind(item.body, {**rows, **found}, subject=subject, where=where)
        if rows[name] == UNKNOWN:
            raise DeclarationError(
                subject, expected="a column with a type", got="null", remedy="cast it to one", where=where
            )
    doubles = frozenset(name for name, _ in view.derived if rows[name] in ("DOUBLE", "FLOAT"))
    return RowTypes(rows, doubles, scales)


def _measure_type(measure: Measure, p: str, cells: Mapping[str, str]) -> str:
    match measure.kind:
        case "count" | "distinct":
            return "BIGINT"
        case "sum":
            return cells[f"{p}_s"]
        case "mean" | "variance" | "stddev":
            return f"DECIMAL(38,{digits_of(measure, scale_of(cells[f'{p}_s']))})"
    return cells[f"{p}_v"]
