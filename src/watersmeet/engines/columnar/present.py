"""Rows of a view, presented from merged cells in SQL.

    merged ── plain ──────── measured ─────── derived ──────── finished
              measures that  those that are   stage by stage   only what was asked for:
              are a partial  computed         over all rows    range, fill, having, where,
                                              that were read   page, order, limit

Nothing that selects stands before the derived columns: a lag sees every row of its key that a lookback can reach. At
most whole keys are left out, when `picked` saw that none of their rows will be asked for. An expression that fails, or
gives no finite number, is null, as in a lift.

Over nothing a measure is null, except count and distinct: 0. `fill` gives each key that has a row in the range one for
each window that it lacks, with derived columns null; it is a row like any other to having and where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...core.measure import PARTIALS, Lift, Measure
from ...core.sql.expression import Scalar
from ...core.view import WINDOW_COLUMNS, View
from . import partials
from .partials import quoted
from .windows import Bounds, Merged, Source, compose

LARGEST = (1 << 63) - 1
"""An estimate of more different values than a bigint holds is given as this."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """Columns of measured rows that stand for something else.

    Args:
        estimates: measure -> its relative standard error in rows whose column ``_estimate_<measure>`` is true.
        spreads: the variance and stddev measures, made in Python of ``_n_``, ``_s_``, ``_hi_`` and ``_lo_<measure>``.
    """

    estimates: Mapping[str, float]
    spreads: Mapping[str, Measure]


def hidden(view: View) -> Hidden:
    """The hidden columns of a view."""
    estimates = {
        name: 1 / (measure.lifts[0].size - 2) ** 0.5
        for name, measure in view.measures.items()
        if measure.kind == "distinct" and measure.lifts[0].kind == "distinct"
    }
    return Hidden(estimates, {n: m for n, m in view.measures.items() if m.kind in ("variance", "stddev")})


@dataclass(frozen=True, slots=True)
class Pick:
    """A first look at few columns, which says whose rows are worth computing.

    Args:
        source: the view's cells.
        bounds: of the rows that are asked for.
        end: how they are picked, as it follows a FROM, by `plain_columns` alone.
        columns: those that ``end`` reads.
    """

    source: Source
    bounds: Bounds
    end: str
    columns: frozenset[str]


def picked(view: View, pick: Pick) -> list[tuple[str, str]]:
    """Common table expressions, the last of which has the dimensions of the rows that are picked."""
    measures = {name: view.measures[name] for name in view.measures if name in pick.columns}
    parts = frozenset(_plain_part(view, measure) for measure in measures.values())
    merged = compose(view, replace(pick.source, prefix="pick_", keep=parts), pick.bounds)
    by = [quoted(d.name) for d in view.by]
    shown = [_plain(view, name, measure) for name, measure in measures.items()]
    rows = f"SELECT {', '.join(['window_start', f'{merged.end} AS window_end', *by, *shown])} FROM {merged.name}"
    return [*merged.steps, ("picked", f"SELECT {', '.join(by)} FROM ({rows}){pick.end}")]


def measured(
    view: View, source: Source, types: Mapping[str, str], tops: Mapping[str, Source], bounds: Bounds
) -> list[tuple[str, str]]:
    """Common table expressions, the last of which has window bounds, dimensions, measures and hidden columns.

    A running view's has ``_b`` and ``_stop`` in the place of window bounds; see `spread`.

    Args:
        source: the view's cells, with ``keep`` set to `needed`.
        types: SQL types of the partial columns.
        tops: the cells of `top` measures.
    """
    merged = compose(view, source, bounds)
    by = [quoted(d.name) for d in view.by]
    time = ["_b", "_stop"] if merged.end is None else ["window_start", "window_end"]
    ends = [] if merged.end in (None, "window_end") else [f"{merged.end} AS window_end"]
    told = [name for name in merged.time if name not in time]
    given = [*time[: 2 - len(ends)], *ends, *told, *by]
    shown = [_plain(view, name, m) for name, m in view.measures.items() if m.kind in _PLAIN]
    kept = [f"{part} AS _{part}" for part in sorted(_worked_parts(view))]
    steps = [*merged.steps, ("plain", f"SELECT {', '.join([*given, *shown, *kept])} FROM {merged.name}")]
    columns, whole, joins = [f"m.{name}" for name in (*time, *by)], [], ""
    for i, (name, measure) in enumerate(view.measures.items()):
        if measure.kind in _PLAIN:
            columns.append(f"m.{quoted(name)}")
        elif measure.kind == "top":
            counted = compose(view, tops[name], bounds)
            ranked = (f"{tops[name].prefix}ranked", _ranked(counted, by, measure))
            steps += [*counted.steps, ranked]
            same = " AND ".join(f"m.{c} IS NOT DISTINCT FROM top{i}.{c}" for c in (*merged.time, *by))
            joins += f" LEFT JOIN {ranked[0]} top{i} ON {same}"
            columns.append(f"top{i}._ranked AS {quoted(name)}")
        else:
            columns += _worked(view, types, name, measure)
        if measure.kind == "mean":
            p = _places(view, measure)[0]
            whole += [
                f"replace(_{p}_s::VARCHAR, '.', '')::HUGEINT AS _{p}_whole",
                f"nullif(_{p}_n, 0)::HUGEINT AS _{p}_of",
            ]
    if whole:
        steps.append(("whole", f"SELECT *, {', '.join(dict.fromkeys(whole))} FROM plain"))
    return [*steps, ("measured", f"SELECT {', '.join(columns)} FROM {'whole' if whole else 'plain'} m{joins}")]


_PLAIN = {"count": "n", "sum": "s", "min": "v", "max": "v", "first": "v", "last": "v"}
"""Measures that are shown as one of their partials is."""


def plain_columns(view: View) -> frozenset[str]:
    """The columns of a row that are there before anything is computed."""
    return frozenset(view.columns[: 2 + len(view.by)]) | {n for n, m in view.measures.items() if m.kind in _PLAIN}


def needed(view: View) -> frozenset[str]:
    """The partial columns that the view's measures are presented from."""
    shown = (_plain_part(view, measure) for measure in view.measures.values() if measure.kind in _PLAIN)
    return frozenset(shown) | _worked_parts(view)


def _worked_parts(view: View) -> frozenset[str]:
    worked = (m for m in view.measures.values() if m.kind not in _PLAIN and m.kind != "top")
    lifts = {lift for measure in worked for lift in measure.lifts}
    return frozenset(f"p{view.cells.lifts.index(lift)}_{part}" for lift in lifts for part in PARTIALS[lift.kind])


def _places(view: View, measure: Measure) -> list[str]:
    return [f"p{view.cells.lifts.index(lift)}" for lift in measure.lifts]


def _plain(view: View, name: str, measure: Measure) -> str:
    part = _plain_part(view, measure)
    return f"{f'coalesce({part}, 0)' if measure.kind == 'count' else part} AS {quoted(name)}"


def _plain_part(view: View, measure: Measure) -> str:
    return f"{_places(view, measure)[0]}_{_PLAIN[measure.kind]}"


def _worked(view: View, types: Mapping[str, str], name: str, measure: Measure) -> list[str]:
    p, *more = _places(view, measure)
    if measure.kind == "mean":
        scale = scale_of(types[f"{p}_s"])
        return [f"{_mean(f'_{p}_whole', f'_{p}_of', scale, digits_of(measure, scale))} AS {quoted(name)}"]
    if measure.kind == "distinct":
        return _distinct(measure.lifts[0], f"_{p}", name)
    parts = {"n": f"_{p}_n", "s": f"_{p}_s", "hi": f"_{more[0]}_hi", "lo": f"_{more[0]}_lo"}
    return [f"{text}::VARCHAR AS {quoted(f'_{part}_{name}')}" for part, text in parts.items()]


def scale_of(kind: str) -> int:
    """Decimals of a DECIMAL type."""
    return int(kind[:-1].split(",")[1])


def digits_of(measure: Measure, scale: int) -> int:
    """Decimals of a mean, variance or stddev of values with ``scale`` decimals."""
    return min(scale + 4, 18) if measure.digits is None else measure.digits


def _mean(total: str, n: str, scale: int, digits: int) -> str:
    """The macros' formula; a count is short enough that no product passes 128 bits. Null if it has over 38 digits."""
    e = digits - scale
    quotient = f"_near({total}, {n}, {10**e})" if e >= 0 else f"_coarse({total}, {n}, {10**-e})"
    # A whole decimal times the least step of a scale has that scale and the same digits.
    step = f" * 0.{'1'.zfill(digits)}::DECIMAL({digits}, {digits})" if digits else ""
    return f"TRY({quotient}::DECIMAL(38, 0){step})"


def _distinct(lift: Lift, p: str, name: str) -> list[str]:
    if lift.kind == "values":
        return [f"coalesce(len({p}_v), 0) AS {quoted(name)}"]
    kth = f"{p}_h[{lift.size}]::HUGEINT"
    # (K − 1)·2⁶⁴ / u, half up.
    estimate = f"least(({(lift.size - 1) << 65} + {kth}) // (2 * {kth}), {LARGEST})::BIGINT"
    return [
        f"CASE WHEN {p}_cut THEN {estimate} ELSE coalesce(len({p}_h), 0) END AS {quoted(name)}",
        f"{p}_cut AS {quoted('_estimate_' + name)}",
    ]


def _ranked(counted: Merged, by: Sequence[str], measure: Measure) -> str:
    group = ", ".join([*counted.time, *by])
    ranked = f"list({{'value': \"value\", 'count': p0_n}} ORDER BY p0_n DESC, \"value\")[:{measure.limit}]"
    return (
        f"SELECT {group}, {ranked} AS _ranked FROM {counted.name}"
        f' WHERE p0_n > 0 AND "value" IS NOT NULL GROUP BY {group}'
    )


def derived(view: View, source: str, doubles: frozenset[str] = frozenset()) -> list[tuple[str, str]]:
    """Common table expressions that add the derived columns to ``source``, stage by stage.

    Args:
        doubles: derived columns that are doubles: null where they are not finite.
    """
    steps: list[tuple[str, str]] = []
    by = ", ".join(quoted(d.name) for d in view.by)
    order = ", ".join(name for name in view.key if name in WINDOW_COLUMNS)
    window = f"WINDOW w AS ({f'PARTITION BY {by} ' if by else ''}ORDER BY {order})"
    lookback = f"window_start - to_microseconds({view.lookback_us})"

    def add(select: str) -> None:
        last = steps[-1][0] if steps else source
        steps.append((f"derived{len(steps)}", select.format(last=last)))

    for stage in _stages(view):
        lags = [lag for _, item in stage for lag in item.lags]
        found = ", ".join(
            f"CASE WHEN lag(window_start, {lag.steps}) OVER w >= {lookback}"
            f" THEN lag(TRY({lag.value}), {lag.steps}) OVER w END AS {lag.placeholder}"
            for lag in lags
        )
        if lags:
            add(f"SELECT *, {_escaped(found)} FROM {{last}} {window}")
        bodies = {name: f"TRY({item.body})" for name, item in stage}
        added = ", ".join(
            f"{partials.finite('DOUBLE', body) if name in doubles else body} AS {quoted(name)}"
            for name, body in bodies.items()
        )
        dropped = f" EXCLUDE ({', '.join(lag.placeholder for lag in lags)})" if lags else ""
        add(f"SELECT *{dropped}, {_escaped(added)} FROM {{last}}")
    return steps


def _escaped(sql: str) -> str:
    return sql.replace("{", "{{").replace("}", "}}")


def _stages(view: View) -> list[list[tuple[str, Scalar]]]:
    """The derived columns in the fewest steps: a column comes after those it reads; one with lags stands alone."""
    stages: list[list[tuple[str, Scalar]]] = []
    for name, item in view.derived:
        stage = stages[-1] if stages else []
        alone = bool(item.lags) or any(other.lags for _, other in stage)
        if not stage or alone or item.columns & {other for other, _ in stage}:
            stages.append([])
        stages[-1].append((name, item))
    return stages


def finished(view: View, source: str, *, fill: bool) -> tuple[list[tuple[str, str]], str]:
    """Common table expressions for ``fill`` and having, and the SELECT … FROM of an answer, hidden columns last.

    ``fill`` takes the parameters ``$asked_lower`` and ``$asked_upper``, and lists of the windows between them in
    ``$asked_starts`` and ``$asked_ends``.
    """
    steps: list[tuple[str, str]] = []
    names = [quoted(name) for name in (*view.columns, *(f"_estimate_{name}" for name in hidden(view).estimates))]
    if fill:
        by = [quoted(d.name) for d in view.by]
        keys = f"(SELECT DISTINCT {', '.join(by)} FROM ranged) k CROSS JOIN " if by else ""
        windows = "(SELECT unnest($asked_starts) AS window_start, unnest($asked_ends) AS window_end) f"
        same = " AND ".join(["r.window_start = f.window_start", *(f"r.{c} IS NOT DISTINCT FROM k.{c}" for c in by)])
        zero = {quoted(name) for name, m in view.measures.items() if m.kind in ("count", "distinct")}
        columns = [f"coalesce(r.{name}, 0) AS {name}" if name in zero else f"r.{name}" for name in names]
        columns[: 2 + len(by)] = ["f.window_start", "f.window_end", *(f"k.{column}" for column in by)]
        steps.append(
            ("ranged", f"SELECT * FROM {source} WHERE window_start >= $asked_lower AND window_start < $asked_upper")
        )
        steps.append(("filled", f"SELECT {', '.join(columns)} FROM {keys}{windows} LEFT JOIN ranged r ON {same}"))
        source = "filled"
    if view.having:
        steps.append(("had", f"SELECT * FROM {source} WHERE TRY({view.having})"))
        source = "had"
    return steps, f"SELECT {', '.join(names)} FROM {source}"
