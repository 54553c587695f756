"""From cells to answers: windows, presentation, derived columns, having, and the selection that a reader asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

from ...core.engine import Filter, Order, Selection
from ...core.errors import RequestError
from ...core.frontier import Frontier
from ...core.schemas import Schemas
from ...core.view import CellSpec, View
from .decoding import outcomes
from .partial import Cells, Partial, added, cells, present, shown_type, types
from .scalar import Row, evaluate, types_of
from .window import fixed_windows, floor, unit_of, windows_between

Windows = dict[tuple[Any, Any, tuple[Any, ...]], tuple[Partial, ...]]
"""(window start, window end, dimensions) -> one partial a lift."""


def answer(
    view: View,
    records: Iterable[Mapping[str, Any]],
    *,
    slices: Sequence[Frontier] | None = None,
    selection: Selection | None = None,
    through: Sequence[Row] = (),
    schemas: Schemas | None = None,
) -> list[Row]:
    """The rows of a view over LOGGED records, from scratch.

    Args:
        view: what is asked.
        records: mappings with partition, offset, arrival (µs), value and whatever else the log keeps.
        slices: frontiers at which the slices end, which fix the order of outcomes; None: one slice of everything.
        selection: which rows; without ``upto_us`` the greatest accepted event time of the records is taken.
        through: all rows of ``view.through``.
        schemas: of a topic in Avro.
    """
    fates, chosen = outcomes(view.topic, records, slices, schemas), selection or Selection()
    newest = max((fate.decoded.row["event_time"] for fate in fates if fate.outcome != "dead"), default=None)
    upto = newest if chosen.upto_us is None else chosen.upto_us
    return rows(view, cells(view.specs, fates), replace(chosen, upto_us=upto), through=through)


def rows(
    view: View,
    merged: Mapping[str, Cells],
    selection: Selection | None = None,
    *,
    through: Sequence[Row] = (),
) -> list[Row]:
    """The rows of a view over merged cells, by fingerprint; the arguments are those of `answer`."""
    chosen = selection or Selection()
    out = presented(view, merged, chosen.upto_us, through)
    out.sort(key=lambda row: _sorting(row, view.key))
    kinds = _measure_types(view)
    for name, item in view.derived:
        inner = dict(kinds)
        for mark in item.lags:
            (inner[mark.placeholder],) = types_of(kinds, [mark.value])
            (values,) = evaluate(kinds, out, [mark.value])
            _look_back(view, out, values, mark.steps, mark.placeholder)
        (found,) = evaluate(inner, out, [item.body])
        (kinds[name],) = types_of(inner, [item.body])
        for row, value in zip(out, found, strict=True):
            row[name] = value
            for mark in item.lags:
                del row[mark.placeholder]
    if chosen.fill:
        out += _empty(view, out, chosen)
    if view.having:
        (held,) = evaluate(kinds, out, [view.having])
        out = [row for row, keep in zip(out, held, strict=True) if keep]
    return select(out, chosen, key=view.key, time=view.time)


def presented(view: View, merged: Mapping[str, Cells], upto_us: int | None, through: Sequence[Row] = ()) -> list[Row]:
    """The rows of a view without its derived columns; not in any order."""
    names, out = [d.name for d in view.by], []
    ranks = {name: _ranked(view, spec, merged[spec.fingerprint], upto_us, through) for name, spec in view.tops}
    main = windows(view, view.cells, merged[view.cells.fingerprint], upto_us, through)
    for (start, end, dimensions), partials in main.items():
        row: Row = {"window_start": start, "window_end": end, **dict(zip(names, dimensions, strict=True))}
        for name, measure in view.measures.items():
            if measure.kind == "top":
                row[name] = tuple(ranks[name][start, end, dimensions][: measure.limit]) or None
            else:
                row[name] = present(measure, view.cells, partials)
        out.append(row)
    return out


def windows(view: View, spec: CellSpec, merged: Cells, upto_us: int | None, through: Sequence[Row] = ()) -> Windows:
    """Compose the windows of a view from panes, by its dimensions."""
    out: Windows = {}
    for key, found in _grouped(view, spec, merged, through).items():
        for (start, end), rest, partials in _frames(view, sorted(found, key=lambda x: _comparable(x[0])), upto_us):
            address = (start, end, key + rest)
            out[address] = added(spec.lifts, out[address], partials) if address in out else partials
    return out


Piece = tuple[Any, tuple[Any, ...], tuple[Partial, ...]]
"""A pane, what comes after the view's dimensions (the value that a top ranks), and the partials."""


def _grouped(view: View, spec: CellSpec, merged: Cells, through: Sequence[Row]) -> dict[tuple[Any, ...], list[Piece]]:
    """The pieces of each combination of the view's dimensions."""
    names, rest = [d.name for d in spec.dimensions], len(view.root.by)
    facts = {tuple(row[d.name] for d in view.through.by): row for row in through} if view.through else {}
    out: dict[tuple[Any, ...], list[Piece]] = defaultdict(list)
    for (pane, dimensions), partials in merged.items():
        known = dict(zip(names, dimensions, strict=True))
        if view.through:
            known = facts.get(tuple(known[d.name] for d in view.through.by), {}) | known
        out[tuple(known.get(d.name) for d in view.by)].append((pane, dimensions[rest:], partials))
    return out


def _frames(view: View, pieces: Sequence[Piece], upto_us: int | None) -> Iterator[tuple[tuple[Any, Any], Any, Any]]:
    """Each window that each piece of one key adds to."""
    frame = view.frame
    match frame.kind:
        case "all":
            yield from (((None, None), rest, partials) for _, rest, partials in pieces)
        case "session":
            yield from _sessions(frame.size_us, pieces)
        case "running":
            yield from _running(frame.every_us, frame.origin_us, view.expire_us, pieces, upto_us)
        case "user":
            yield from pieces
        case "calendar":
            yield from ((unit_of(frame, pane), rest, partials) for pane, rest, partials in pieces)
        case _:
            for pane, rest, partials in pieces:
                yield from ((window, rest, partials) for window in fixed_windows(frame, pane))


def _sessions(gap: int, pieces: Sequence[Piece]) -> Iterator[tuple[tuple[Any, Any], Any, Any]]:
    """Fragments that come nearer than the gap are one session."""
    sessions: list[list[Piece]] = []
    latest = 0
    for piece in pieces:
        first, last = piece[0]
        if not sessions or first - latest >= gap:
            sessions.append([])
            latest = last
        sessions[-1].append(piece)
        latest = max(latest, last)
    for session in sessions:
        start, end = session[0][0][0], max(last for (_, last), _, _ in session) + gap
        yield from (((start, end), rest, partials) for _, rest, partials in session)


def _running(
    every: int, origin: int, expire: int, pieces: Sequence[Piece], upto_us: int | None
) -> Iterator[tuple[tuple[Any, Any], Any, Any]]:
    """At each boundary everything before it, from the first record to just after the newest of the topic."""
    panes = [floor(pane, every, origin) for pane, _, _ in pieces]
    end = max(panes[-1], floor(panes[-1] if upto_us is None else upto_us, every, origin))
    for start in range(panes[0], end + 1, every):
        history: list[Piece] = []
        before = None
        for pane, piece in zip(panes, pieces, strict=True):
            if pane > start:
                break
            if before is not None and expire and pane - before > expire:
                history = []
            history.append(piece)
            before = pane
        if before is not None and not (expire and start - before > expire):
            yield from (((start, start + every), rest, partials) for _, rest, partials in history)


def _ranked(
    view: View, spec: CellSpec, merged: Cells, upto_us: int | None, through: Sequence[Row]
) -> dict[tuple[Any, Any, tuple[Any, ...]], list[Row]]:
    """The values of a top in each window, most frequent first, ties by value."""
    out: dict[tuple[Any, Any, tuple[Any, ...]], list[Row]] = defaultdict(list)
    for (start, end, (*dimensions, value)), (n,) in windows(view, spec, merged, upto_us, through).items():
        if value is not None and n:
            out[start, end, tuple(dimensions)].append({"value": value, "count": n})
    for found in out.values():
        found.sort(key=lambda item: (-item["count"], item["value"]))
    return out


def _look_back(view: View, ordered: Sequence[Row], values: Sequence[Any], steps: int, into: str) -> None:
    """Put into each row the value of the ``steps``-th row before it of its dimensions, if within the lookback."""
    before: dict[tuple[Any, ...], list[tuple[Any, Any]]] = defaultdict(list)
    for row, value in zip(ordered, values, strict=True):
        mine = before[tuple(row[d.name] for d in view.by)]
        near = len(mine) >= steps and mine[-steps][0] >= row["window_start"] - view.lookback_us
        row[into] = mine[-steps][1] if near else None
        mine.append((row["window_start"], value))


def _empty(view: View, found: Sequence[Row], selection: Selection) -> list[Row]:
    """For each key with a row in the range, a row for each window of the range that it lacks."""
    lower, upper = selection.lower_us, selection.upper_us
    if lower is None or upper is None:
        raise RequestError("fill", expected="a range with both bounds", got="an open range")
    names = [d.name for d in view.by]
    there = {tuple(row[name] for name in view.key) for row in found if lower <= row["window_start"] < upper}
    keys = {key[1:] for key in there} if names else {()}
    nothing = {name: 0 if measure.kind in ("count", "distinct") else None for name, measure in view.measures.items()}
    nothing |= dict.fromkeys(view.derive)
    return [
        {"window_start": start, "window_end": end, **dict(zip(names, key, strict=True)), **nothing}
        for start, end in windows_between(view.frame, lower, upper)
        for key in keys
        if (start, *key) not in there
    ]


def _measure_types(view: View) -> dict[str, str]:
    """Column -> SQL type of everything but derived columns."""
    kinds = {"window_start": "TIMESTAMP", "window_end": "TIMESTAMP"}
    own = dict(zip((d.name for d in view.root.by), types(view.cells).dimensions, strict=True))
    if view.through is not None:
        own = shown_types(view.through) | own
    kinds |= {d.name: own[d.name] for d in view.by}
    ranked = {name: types(spec).dimensions[-1] for name, spec in view.tops}
    for name, measure in view.measures.items():
        top = f'STRUCT("value" {ranked[name]}, count BIGINT)[]' if measure.kind == "top" else ""
        kinds[name] = top or shown_type(measure, view.cells)
    return kinds


def shown_types(view: View) -> dict[str, str]:
    """Column -> SQL type of a view's answer."""
    kinds = _measure_types(view)
    for name, item in view.derived:
        marks = {mark.placeholder: types_of(kinds, [mark.value])[0] for mark in item.lags}
        (kinds[name],) = types_of(kinds | marks, [item.body])
    return kinds


def select(found: Sequence[Row], selection: Selection, *, key: Sequence[str], time: str | None) -> list[Row]:
    """Range, where, order (then the key), page and limit over finished rows; nulls come last."""
    lower, upper = selection.lower_us, selection.upper_us
    out = [
        row
        for row in found
        if (lower is None or time is None or row[time] >= lower)
        and (upper is None or time is None or row[time] < upper)
        and all(holds(rule, row[rule.column]) for rule in selection.where)
    ]
    for order in (*(Order(name) for name in reversed(key)), *reversed(selection.order)):
        nulls = [row for row in out if row[order.column] is None]
        others = [row for row in out if row[order.column] is not None]
        others.sort(key=itemgetter(order.column), reverse=order.descending)
        out = others + nulls
    if selection.after:
        after = _sorting(dict(zip(key, selection.after, strict=True)), key)
        out = [row for row in out if _sorting(row, key) > after]
    return out[: selection.limit]


def holds(rule: Filter, value: Any) -> bool:
    """Whether a filter holds; a comparison with null never does."""
    if rule.op in ("is_null", "not_null"):
        return (value is None) == (rule.op == "is_null")
    wanted: Any = rule.value
    if value is None or wanted is None:
        return False
    match rule.op:
        case "in":
            return bool(value in wanted)
        case "=" | "!=":
            return bool(value == wanted) == (rule.op == "=")
        case "<" | "<=":
            return bool(value < wanted or (rule.op == "<=" and value == wanted))
    return bool(value > wanted or (rule.op == ">=" and value == wanted))


def _sorting(row: Row, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple((row[name] is None, row[name] if row[name] is not None else 0) for name in key)


def _comparable(pane: Any) -> Any:
    return 0 if pane is None else pane
