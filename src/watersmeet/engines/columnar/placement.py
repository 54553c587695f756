"""Where records lie in a user's own windows: the function is called once a chunk, and what it gives is judged by row.

    null start                                          in no window
    start <= event_time < end, whole microseconds       in [start, end)
    anything else                                       unusable

A function that raises, or gives anything but two columns of times, stops the chunk with an error that names it, as a
row function does: declared Python that is wrong is no fault of a record.
"""

from __future__ import annotations

from datetime import date
from types import NoneType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ...core.errors import WatersmeetError
from ...core.user_window import UserWindow
from .functions import called

FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The first and last microsecond of the years 1 to 9999, beyond which no time can be shown."""
_TIMES = (date, np.datetime64, NoneType)


def placed(window: UserWindow, asked: pa.Table) -> tuple[pa.Table, int]:
    """The rows that lie in a window, as partition, offset, _place, _pane and _pane_end; and how many are unusable.

    Args:
        window: declares the function.
        asked: partition, offset, _place, event_time, and the dimensions that the function takes.

    Raises `WatersmeetError` for a function that breaks its promise.
    """
    rows = asked.num_rows
    columns: object = ([], [])
    if rows:
        # A list of datetimes out of NumPy: Arrow takes many times as long.
        times = asked.column("event_time").to_numpy().tolist()
        given = [times if name == "event_time" else asked.column(name).to_pylist() for name in window.parameters]
        columns = called(_subject(window), window.function, given)
    if not isinstance(columns, tuple | list) or len(columns) != 2:
        raise _broken(window, "two columns, starts and ends", type(columns).__name__)
    (start, has_start, start_is_whole), (end, has_end, end_is_whole) = (_times(window, c, rows) for c in columns)
    at = asked.column("event_time").cast(pa.int64()).to_numpy()
    usable = has_start & has_end & start_is_whole & end_is_whole & (start <= at) & (at < end)
    usable &= (start >= FIRST_US) & (end <= LAST_US)
    out = asked.select(["partition", "offset", "_place"])
    for name, bound in (("_pane", start), ("_pane_end", end)):
        out = out.append_column(name, pa.array(bound, pa.timestamp("us")))
    return out.filter(pa.array(usable)), int((has_start & ~usable).sum())


def _times(
    window: UserWindow, column: object, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """A column in µs, which of it is not null, and which of it is a whole number of them."""
    if isinstance(column, np.ndarray) and column.dtype == object:
        column = column.tolist()
    if isinstance(column, list | tuple) and (other := {type(x) for x in column if not isinstance(x, _TIMES)}):
        raise _broken(
            window, "columns of times", f"values of type {', '.join(sorted(kind.__name__ for kind in other))}"
        )
    try:
        found = column if isinstance(column, pa.Array) else pa.array(column)
        if pa.types.is_null(found.type) or pa.types.is_date(found.type):
            found = found.cast(pa.timestamp("us"))
        if pa.types.is_timestamp(found.type) and found.type.unit != "ns":
            found = found.cast(pa.timestamp("us", found.type.tz))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise _broken(window, "columns of times", str(error)) from error
    if not pa.types.is_timestamp(found.type):
        raise _broken(window, "columns of times", f"values of type {found.type}")
    if len(found) != rows:
        raise _broken(window, f"columns of {rows} values", f"{len(found)} values")
    known = pc.is_valid(found).to_numpy(zero_copy_only=False)
    whole = pc.fill_null(found.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    if found.type.unit == "ns":
        return whole // 1000, known, whole % 1000 == 0
    return whole, known, np.ones(rows, dtype=np.bool_)


def _broken(window: UserWindow, expected: str, got: str) -> WatersmeetError:
    return WatersmeetError(_subject(window), expected=expected, got=got, where=window.function.where)


def _subject(window: UserWindow) -> str:
    return f"window function {window.function.name} (version {window.function.version})"
