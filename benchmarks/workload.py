"""The four figures whose throughput is measured, each said three times: here for watersmeet and in SQL for DuckDB, in
`spark_stream` for Spark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import watersmeet as wm

from .events import LENIENT, events, once

MINUTE_US = 60_000_000
_MEASURES = {"n": wm.count(), "total": wm.sum("score")}
_BY_MINUTE = {"dimensions": ["film_id", "device"], "window": wm.tumbling("1m"), "measures": _MEASURES}


@dataclass(frozen=True)
class Workload:
    """A figure.

    Args:
        name: what ``--only`` and `spark_stream` know it by.
        title: what it is, for people.
        view: its declaration.
        sql: SELECT of the same rows, with the view's columns except ``window_end``, from ``lines``.
        sum: the measure whose sum over all rows is shown.
        copies: whether records repeat.
        faster: how many times Spark's steady rate is hoped for.
    """

    name: str
    title: str
    view: wm.View
    sql: str
    sum: str
    copies: bool
    faster: float


def _minute(start: str, source: str) -> str:
    return (
        f"SELECT {start} AS window_start, film_id, device, count(*) AS n, sum(score)::DECIMAL(38,2) AS total"
        f" FROM {source} GROUP BY ALL"
    )


def _start(minutes: int) -> str:
    width = minutes * MINUTE_US
    return f'make_timestamp("at" * 1000 // {width} * {width})'


_HOPPING = f"""
    SELECT window_start, film_id, device, sum(n)::BIGINT AS n, sum(total)::DECIMAL(38,2) AS total FROM (
        SELECT unnest(range(window_start, window_start - INTERVAL 5 MINUTE, -INTERVAL 1 MINUTE)) AS window_start,
            film_id, device, n, total
        FROM ({_minute(_start(1), "lines")}))
    GROUP BY ALL"""
WORKLOADS = (
    Workload(
        "counts",
        "1-minute count and sum by film and device",
        wm.View("counts", topic=events, **_BY_MINUTE),  # type: ignore[arg-type]  # a dictionary of several types
        _minute(_start(1), "lines"),
        "n",
        copies=False,
        faster=2.0,
    ),
    Workload(
        "distinct",
        "5-minute exact distinct viewers by film",
        wm.View(
            "viewers",
            topic=events,
            dimensions=["film_id"],
            window=wm.tumbling("5m"),
            measures={"viewers": wm.distinct("user_id", exact=True)},
        ),
        f"SELECT {_start(5)} AS window_start, film_id, count(DISTINCT user_id) AS viewers FROM lines GROUP BY ALL",
        "viewers",
        copies=False,
        faster=2.5,
    ),
    Workload(
        "hopping",
        "5-minute count and sum sliding by 1, by film and device",
        wm.View(
            "hopping",
            topic=events,
            dimensions=["film_id", "device"],
            window=wm.hopping("5m", "1m"),
            measures=_MEASURES,
        ),
        _HOPPING,
        "n",
        copies=False,
        faster=2.5,
    ),
    Workload(
        "copies",
        "the first, of records of which 10 % are copies",
        wm.View("copies", topic=once, **_BY_MINUTE),  # type: ignore[arg-type]  # a dictionary of several types
        _minute(_start(1), "(SELECT DISTINCT ON (event_id) * FROM lines)"),
        "n",
        copies=True,
        faster=4.0,
    ),
)


def one_shot(workload: Workload, paths: Sequence[Path], *, every_column: bool = False) -> str:
    """DuckDB's SELECT from the files: typed, lenient, nothing durable. What has no film is malformed.

    Args:
        workload: whose rows.
        paths: of the files.
        every_column: read all columns, as strict decoding must, and not only those that the figure needs.
    """
    files = ", ".join(f"'{path}'" for path in paths)
    columns = json.dumps(LENIENT).replace('"', "'")
    lines = (
        f"SELECT * FROM read_json([{files}], format='newline_delimited', ignore_errors=true, columns={columns})"
        " WHERE film_id IS NOT NULL"
    )
    if every_column:
        names = ", ".join(f'"{name}"' for name in LENIENT)
        lines += f" AND hash({names}) <> 0"
    return f"WITH lines AS ({lines}) {workload.sql}"
