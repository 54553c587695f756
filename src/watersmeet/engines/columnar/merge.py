"""Merge: cells of one spec added up, each address once.

    merge(lift(a), lift(b)) = lift(a + b)        bit for bit, for any a and b

For sessions that law holds because fragments of one key that lie nearer than the gap become one, here as in a lift:
however slices cut the records, the same fragments are left.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from ...core.record import Records
from ...core.view import CellSpec
from .database import Database, table
from .partials import key_columns, merge_columns


def merge(database: Database, spec: CellSpec, cells: Sequence[Records]) -> pa.Table:
    """See `watersmeet.core.engine.Engine.merge`."""
    parts = [table(part) for part in cells]
    whole = pa.concat_tables([part.cast(parts[0].schema) for part in parts])
    keys = key_columns(spec)
    dimensions = keys[len(keys) - len(spec.dimensions) :]
    if spec.pane.kind == "session":
        sql = islands("SELECT * FROM cells", dimensions, merge_columns(spec), spec.pane.size_us)
    else:
        sql = f"SELECT {', '.join([*keys, *merge_columns(spec)])} FROM cells GROUP BY {', '.join(keys)}"
    order = ", ".join([*dimensions, *keys[: len(keys) - len(dimensions)]])
    return database.select(f"SELECT * FROM ({sql}) ORDER BY {order}", {"cells": whole}).cast(whole.schema)


def islands(source: str, dimensions: Sequence[str], aggregates: Sequence[str], gap_us: int) -> str:
    """SQL: the fragments of ``source`` (pane, pane_end, dimensions, …), of one key those nearer than the gap joined."""
    key = f"PARTITION BY {', '.join(dimensions)} " if dimensions else ""
    before = f"max(pane_end) OVER ({key}ORDER BY pane, pane_end ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
    begins = f"SELECT *, {before} AS _before FROM ({source})"
    is_new = f"coalesce(pane >= _before + to_microseconds({gap_us}), true)"
    numbered = (
        f"SELECT *, sum({is_new}::INTEGER) OVER ({key}ORDER BY pane, pane_end "
        # RANGE, not ROWS: of fragments that are equal, either may have been the first above.
        f"RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS _island FROM ({begins})"
    )
    columns = ["min(pane) AS pane", "max(pane_end) AS pane_end", *dimensions, *aggregates]
    return f"SELECT {', '.join(columns)} FROM ({numbered}) GROUP BY {', '.join(['_island', *dimensions])}"
