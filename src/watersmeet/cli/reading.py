"""``query``, ``list`` and ``tail``: answers and records on the terminal."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Annotated

import pyarrow as pa
from cyclopts import Parameter

from watersmeet.api import rows as parameters
from watersmeet.core.answer import Answer
from watersmeet.core.errors import RequestError
from watersmeet.core.query import Query, Readable
from watersmeet.core.reader import Layer
from watersmeet.core.sql import query as statements
from watersmeet.runtime.node import Node

from .context import DEFAULT, Common, open_node
from .output import out, plain, print_json, print_rows, say, sparkline

WATCH_SECONDS = 1.0
ROW = "result_row"


def query(
    what: str,
    *,
    since: str | None = None,
    window: str | None = None,
    by: str | None = None,
    where: Annotated[list[str] | None, Parameter(negative=())] = None,
    order: str | None = None,
    limit: int = 100,
    layer: Layer = "merged",
    as_of: str | None = None,
    watch: Annotated[bool, Parameter(negative=())] = False,
    plot: str | None = None,
    common: Common = DEFAULT,
) -> int:
    """Ask a view or query by name, or several of them in SQL.

    Parameters
    ----------
    what:
        A name, or "select … from name …".
    since:
        Only rows at most so old, such as 6h.
    window:
        Read a view at another window: a length such as 1h, or all.
    by:
        Fewer dimensions, between commas.
    where:
        column:op:value, several times; op is eq ne lt le gt ge in is_null not_null.
    order:
        Columns between commas, -column for descending.
    limit:
        At most so many rows.
    layer:
        merged, batch or speed.
    as_of:
        The answer as it was at a time.
    watch:
        Ask again every second until Ctrl-C.
    plot:
        Draw this column as a line instead of the table.
    """
    node = open_node(common)
    of = _resolve(node, what)

    def ask() -> Answer:
        types = (
            {} if isinstance(of, Query) and of.name == "sql" else node.parts.engine.bind(node.declarations())[of.name]
        )
        request = parameters.as_request(
            of, types, where=where or [], since=since, lower=None, upper=None, window=window, every=None, by=by,
            order=order, limit=limit, page=None, as_of=as_of, fill=False, layer=layer, now_us=node.parts.clock.now_us(),
        )  # fmt: skip
        return node.reader.read(request)

    _show(ask(), node, plot, common.json)
    stop = threading.Event()
    while watch and not node.parts.clock.sleep(WATCH_SECONDS, stop):
        if out().is_terminal:
            out().clear()
        _show(ask(), node, plot, common.json)
    return 0


def _resolve(node: Node, what: str) -> Readable:
    declarations = node.declarations()
    if not re.match(r"\s*(select|with|from)\b", what, re.IGNORECASE):
        return declarations.readable(what.strip())
    names = statements.tables(what, subject="query", where="")
    inputs = {name: declarations.readable(name) for name in names}
    sql = f"select row_number() over () as {ROW}, * from ({what})"  # noqa: S608  # checked as a query of its own
    return Query("sql", inputs, sql, key=[ROW], unsafe="asked by hand", where_declared="the command line")


def _show(answer: Answer, node: Node, plot: str | None, as_json: bool) -> None:
    table = pa.table(answer.rows)
    if ROW in table.column_names:  # only there to keep the order of a statement
        table = table.drop_columns([ROW])
    found: list[dict[str, object]] = table.to_pylist()
    now_us = node.parts.clock.now_us()
    if as_json:
        print_json({"rows": found, "receipt": answer.receipt.as_dict(now_us)})
    elif plot is not None:
        if plot not in table.column_names:
            raise RequestError(f"column {plot!r}", expected=f"one of {', '.join(table.column_names)}")
        values = [plain(row[plot]) for row in found]
        numbers = [float(v) if isinstance(v, int | float) else None for v in values]
        known = [n for n in numbers if n is not None]
        out().print(f"{plot}  {sparkline(numbers)}  {min(known, default='')} … {max(known, default='')}")
    else:
        print_rows(found, table.column_names)
    _receipt(answer, now_us)


def _receipt(answer: Answer, now_us: int) -> None:
    receipt = answer.receipt
    ages = [rest.arrival_us for rest in receipt.topics.values() if rest.arrival_us is not None]
    fresh = f"{(now_us - max(ages)) / 1e6:.1f} s old" if ages else "empty"
    notes = "; ".join(receipt.reasons)
    text = f"{fresh} · complete {receipt.complete} · exact {receipt.exact} · audit {receipt.audit}"
    say(
        text + (f" · {notes}" if notes else "") + (f" · unsafe: {receipt.unsafe}" if receipt.unsafe else ""),
        style="dim",
    )


def listing(*, common: Common = DEFAULT) -> int:
    """List topics, views, queries, tables and alerts that are applied."""
    node = open_node(common)
    declarations = node.declarations()
    kinds: Sequence[tuple[str, Sequence[str]]] = (
        ("topic", sorted(declarations.topics)),
        ("view", sorted(declarations.views)),
        ("query", sorted(declarations.queries)),
        ("table", sorted(declarations.tables)),
        ("alert", sorted(declarations.alerts)),
    )
    found: list[dict[str, object]] = [{"kind": kind, "name": name} for kind, names in kinds for name in names]
    if common.json:
        print_json(found)
    else:
        print_rows(found, ["kind", "name"])
    return 0


def tail(
    topic: str,
    *,
    last: int = 10,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], negative=())] = False,
    common: Common = DEFAULT,
) -> int:
    """Show the newest records of a topic, and with --follow those that come.

    Parameters
    ----------
    topic:
        Its name.
    last:
        How many of each partition to begin with.
    follow:
        Go on until Ctrl-C.
    """
    node = open_node(common)
    node.declarations().topic(topic)
    log, stop = node.parts.log, threading.Event()
    start, end = log.start(topic), log.end(topic)
    at = tuple(max(s, e - last) for s, e in zip(start, end, strict=True))
    while True:
        end = log.end(topic)
        while at != end:
            records = pa.table(log.read(topic, at, end, 1000)).to_pylist()
            for row in records:
                if common.json:
                    print_json({**row, "headers": dict(row["headers"] or [])})
                else:
                    out().print(
                        f"{row['partition']}:{row['offset']}  {row['value'].decode('utf-8', 'backslashreplace')}",
                        markup=False,
                    )
            reached = {row["partition"]: row["offset"] + 1 for row in records}
            at = tuple(reached.get(p, low) for p, low in enumerate(at)) if records else end
        if not follow:
            return 0
        node.parts.clock.sleep(0.2, stop)
