from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import watersmeet as wm
from tests.engines.columnar.chunks import COLUMNS, logged, topic
from watersmeet.core.engine import Lifted
from watersmeet.core.measure import Lift, Measure
from watersmeet.core.view import EXPLODE_LIMIT, CellSpec, View
from watersmeet.engines.columnar.decode import Decoder
from watersmeet.engines.columnar.lift import lift
from watersmeet.engines.columnar.merge import merge
from watersmeet.engines.columnar.partials import LIMB, partial_names

pytestmark = pytest.mark.unit

DECODER = Decoder(COLUMNS)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
Row = dict[str, Any]
EVENTS = topic(
    {
        "at": "timestamp_ms not null",
        "k": "varchar",
        "x": "bigint",
        "i": "integer",
        "d": "decimal(6,2)",
        "w": "decimal(38,18)",
        "f": "double",
        "day": "date",
        "tags": "varchar[]",
    },
    event_time="at",
    skew="450000w",
    partitions=3,
)


def decoded(rows: list[Row], partitions: list[int] | None = None) -> pa.Table:
    payloads = [json.dumps({k: v for k, v in row.items() if v is not None}).encode() for row in rows]
    found = DECODER.decode(
        EVENTS, logged([p.replace(b'"~', b"").replace(b'~"', b"") for p in payloads], partitions=partitions)
    )
    assert len(pa.table(found.dead)) == 0
    return pa.table(found.rows)


def cells(spec: CellSpec, rows: pa.Table) -> Lifted:
    return lift(COLUMNS, EVENTS, [spec], rows)[spec.fingerprint]


def view(measures: dict[str, Measure], **more: Any) -> View:
    return View("v", topic=EVENTS, measures=measures, **more)


# Numbers as JSON writes them, without the quotes that Python would put round a decimal.
NUMBERS = st.decimals(-9999, 9999, places=2).map(lambda d: f"~{d}~")
WIDE = st.decimals(-(10**20) + 1, 10**20 - 1, places=18).map(lambda d: f"~{d:f}~")
FLOATS = st.one_of(
    st.floats(-1e6, 1e6), st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([-0.0, 0.0, 0.5e-9])
)
ROW = st.fixed_dictionaries(
    {
        "at": st.integers(-5000, 5000),
        "k": st.sampled_from(["a", "b", None]),
        "x": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3)),
        "i": st.one_of(st.none(), st.integers(-(2**31), 2**31 - 1)),
        "d": st.one_of(st.none(), NUMBERS),
        "w": st.one_of(st.none(), WIDE),
        "f": st.one_of(st.none(), FLOATS),
        "day": st.one_of(st.none(), st.sampled_from(["2024-02-29", "1999-12-31"])),
        "tags": st.one_of(st.none(), st.lists(st.sampled_from(["p", "q", "r"]), max_size=3)),
    }
)
ROWS = st.lists(st.tuples(ROW, st.integers(0, 2)), min_size=1, max_size=25)
EACH: dict[str, Measure] = {
    "n": wm.count(),
    "n_some": wm.count(where="x > 0"),
    "sum_x": wm.sum("x"),
    "sum_d": wm.sum("d", where="x > 0"),
    "sum_f": wm.sum("f"),
    "sum_f2": wm.sum("f", scale=2),
    "sum_f0": wm.sum("f", scale=0),
    "sum_w": wm.sum("w"),
    "var_i": wm.variance("i"),
    "var_x": wm.variance("x"),
    "var_d": wm.variance("d"),
    "var_f": wm.variance("f"),
    "var_w": wm.variance("w"),
    "min_f": wm.min("f"),
    "max_x": wm.max("x", where="d is not null"),
    "min_day": wm.min("day"),
    "first_x": wm.first("x"),
    "last_k": wm.last("k"),
    "last_null": wm.last("d", nulls=True),
    "first_tags": wm.first("tags"),
    "last_at": wm.last("at", where="x > 0"),
    "ids_k": wm.distinct("k", size=16),
    "ids_x": wm.distinct("x", size=16),
    "ids_d": wm.distinct("d", size=16),
    "ids_f": wm.distinct("f", size=16),
    "ids_at": wm.distinct("at", size=16),
    "all_x": wm.distinct("x", exact=True),
    "all_f": wm.distinct("f", exact=True),
}


def naive(item: Lift, rows: list[Row]) -> tuple[Any, ...]:
    """The partial of some rows by its definition; a sum of squares as one number."""
    chosen = [r for r in rows if not item.where or _holds(item.where, r)]
    if item.kind == "count":
        return (len(chosen),)
    ordered = sorted(chosen, key=lambda r: (r["event_time"], r["partition"], r["offset"], r.get("place", 0)))
    values = [r[item.expr] for r in ordered]
    given = [v for v in values if v is not None]
    match item.kind:
        case "sum" | "squares":
            units = [u for v in given if (u := _units(item, v)) is not None]
            if item.kind == "squares":
                return (sum(u * u for u in units),)
            return (sum(units) if units else None, len(units))
        case "min" | "max":
            return ((min if item.kind == "min" else max)(given, default=None),)
        case "first" | "last":
            left = [r for r in ordered if item.nulls or r[item.expr] is not None]
            if not left:
                return (None,) * 5
            r = left[0 if item.kind == "first" else -1]
            return r["event_time"], r["partition"], r["offset"], r.get("place", 0), r[item.expr]
        case "distinct":
            hashes = sorted({_hash(v) for v in given})
            return hashes[: item.size], len(hashes) > item.size
    return (sorted(set(given)),)


def _holds(where: str, row: Row) -> bool:
    if where == "x > 0":
        return row["x"] is not None and row["x"] > 0
    assert where == "d is not null"
    return row["d"] is not None


def _units(item: Lift, value: Any) -> int | None:
    if isinstance(value, float):
        product = value * float(10**item.size)
        return round(product) if abs(product) < 1e28 else None
    units = _digits(value) if isinstance(value, Decimal) else value
    return units if abs(units) < 10**28 else None


def _digits(value: Decimal) -> int:
    return int(f"{value:f}".replace(".", ""))


def _hash(value: Any) -> int:
    if isinstance(value, datetime):
        text = str((value - EPOCH) // timedelta(microseconds=1))
    elif isinstance(value, float):
        text = COLUMNS.database.select("SELECT x::VARCHAR AS x FROM t", {"t": pa.table({"x": [value]})})["x"][0].as_py()
    else:
        text = str(value)
    return int.from_bytes(hashlib.md5(text.encode()).digest()[8:], "little")


def partials(spec: CellSpec, found: Row) -> list[tuple[Any, ...]]:
    out = []
    for i, item in enumerate(spec.lifts):
        parts = [found[name] for name in partial_names(spec) if name.startswith(f"p{i}_")]
        if item.kind == "sum" and parts[0] is not None:
            parts[0] = _digits(parts[0])
        if item.kind == "squares":
            parts = [int(parts[0] or 0) * LIMB + int(parts[1] or 0)]
        out.append(tuple(parts))
    return out


@settings(max_examples=20, deadline=None)
@given(drawn=ROWS)
def test_each_lift_is_its_definition(drawn: list[tuple[Row, int]]) -> None:
    rows = decoded([row for row, _ in drawn], [p for _, p in drawn])
    spec = view(EACH, dimensions=["k"], window=wm.tumbling("2s")).cells
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows.to_pylist():
        pane = (row["event_time"] - EPOCH) // timedelta(seconds=2) * timedelta(seconds=2) + EPOCH
        groups[pane, row["k"]].append(row)
    lifted = cells(spec, rows)
    assert lifted.rows == len(drawn)
    found = {(row["pane"], row["k"]): partials(spec, row) for row in pa.table(lifted.cells).to_pylist()}
    assert found == {key: [naive(item, members) for item in spec.lifts] for key, members in groups.items()}


WINDOWS = [None, wm.tumbling("1s"), wm.running("3s"), wm.session("1s"), wm.calendar("day", "Europe/Berlin")]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
@settings(max_examples=6, deadline=None)
@given(drawn=ROWS, data=st.data())
def test_any_split_merged_is_the_whole_lifted(window: Any, drawn: list[tuple[Row, int]], data: st.DataObject) -> None:
    rows = decoded([row for row, _ in drawn], [p for _, p in drawn])
    spec = view(EACH, dimensions=["k", "tag"], explode="tags as tag", window=window).cells
    owner = data.draw(st.lists(st.integers(0, 3), min_size=len(drawn), max_size=len(drawn)))
    parts = [cells(spec, rows.filter(pa.array([o == i for o in owner]))).cells for i in range(4)]
    whole = merge(COLUMNS.database, spec, [cells(spec, rows).cells])
    assert merge(COLUMNS.database, spec, parts).equals(whole)
    left = merge(COLUMNS.database, spec, [merge(COLUMNS.database, spec, parts[:2]), *parts[2:]])
    assert left.equals(whole)


def test_the_least_hashes_are_kept_not_the_greatest() -> None:
    spec = view({"n": wm.distinct("x", size=16)}).cells
    rows = decoded([{"at": 0, "x": i} for i in range(100)])
    hashes = sorted(_hash(i) for i in range(100))
    [row] = pa.table(cells(spec, rows).cells).to_pylist()
    assert (row["p0_h"], row["p0_cut"]) == (hashes[:16], True)
    halves = [cells(spec, rows.slice(0, 10)).cells, cells(spec, rows.slice(6, 9)).cells]
    [row] = merge(COLUMNS.database, spec, halves).to_pylist()
    assert (row["p0_h"], row["p0_cut"]) == (sorted(_hash(i) for i in range(15)), False)


def panes(window: Any, *times_ms: int) -> list[Any]:
    spec = view({"n": wm.count()}, window=window).cells
    table = pa.table(cells(spec, decoded([{"at": t} for t in times_ms])).cells)
    return sorted(table["pane"].cast(pa.int64()).to_pylist())


def test_panes_before_1970_and_with_an_origin_are_floors() -> None:
    #           −3 s   −2 s   −1 s    0     1 s    2 s
    # panes 2 s   ───)[────────────)[────────────)[──
    # origin 1 s  [────────────)[────────────)[──────
    times = (-2001, -2000, -1, 0, 1999)
    assert panes(wm.tumbling("2s"), *times) == [-4_000_000, -2_000_000, 0]
    assert panes(wm.tumbling("2s", origin=1_000_000), *times) == [-3_000_000, -1_000_000, 1_000_000]
    assert panes(wm.hopping("6s", "4s"), *times) == [-4_000_000, -2_000_000, 0]
    assert panes(wm.running("4s"), *times) == [-4_000_000, 0]
    assert panes(None, *times) == [None]


def test_the_ends_of_the_calendar_have_panes() -> None:
    first, last = -62_135_596_800_000, 253_402_300_799_999
    assert panes(wm.tumbling("7d"), first, last) == [
        -62_135_942_400_000_000,
        253_402_300_799_999_000 // (7 * 86400 * 10**6) * 7 * 86400 * 10**6,
    ]
    assert len(panes(wm.calendar("year", "America/New_York"), first, last)) == 2


def test_local_days_change_where_clocks_change() -> None:
    # Berlin, 2025-03-30: 23 hours, from 23:00Z to 22:00Z.
    def ms(*when: int) -> int:
        return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]  # year, month, …

    times = [ms(2025, 3, 29, 22, 59), ms(2025, 3, 29, 23), ms(2025, 3, 30, 21, 59), ms(2025, 3, 30, 22)]
    starts = [ms(2025, 3, 28, 23), ms(2025, 3, 29, 23), ms(2025, 3, 30, 22)]
    assert panes(wm.calendar("day", "Europe/Berlin"), *times) == [start * 1000 for start in starts]


def test_session_fragments_join_where_they_are_nearer_than_the_gap() -> None:
    #  0 ─── 900 ─ 1800      2800 ─── 3700         gap 1 s: 1800 to 2800 is as far as the gap
    #  └──── one ────┘       └─ another ─┘
    spec = view({"n": wm.count()}, window=wm.session("1s"), dimensions=["k"]).cells
    rows = decoded([{"at": t, "k": "a"} for t in (900, 0, 3700, 1800, 2800)] + [{"at": 500, "k": None}])
    table = merge(COLUMNS.database, spec, [cells(spec, rows).cells])
    found = [
        (
            r["k"],
            (r["pane"] - EPOCH) // timedelta(milliseconds=1),
            (r["pane_end"] - EPOCH) // timedelta(milliseconds=1),
            r["p0_n"],
        )
        for r in table.to_pylist()
    ]
    assert found == [("a", 0, 1800, 3), ("a", 2800, 3700, 2), (None, 500, 500, 1)]


def test_explode_takes_each_element_in_its_place_and_ten_thousand_at_most() -> None:
    spec = view({"n": wm.count(), "first": wm.first("tag"), "last": wm.last("tag")}, explode="tags as tag").cells
    tags = ["b", "a", "c"]
    rows = decoded([{"at": 0, "tags": tags}, {"at": 0}, {"at": 0, "tags": []}])
    lifted = cells(spec, rows)
    [row] = pa.table(lifted.cells).to_pylist()
    kinds = [item.kind for item in spec.lifts]
    first, last = kinds.index("first"), kinds.index("last")
    assert (row[f"p{first}_i"], row[f"p{first}_v"], row[f"p{last}_i"], row[f"p{last}_v"]) == (1, "b", 3, "c")
    assert (lifted.rows, lifted.unusable) == (3, 0)
    lifted = cells(spec, decoded([{"at": 0, "tags": ["x"] * (EXPLODE_LIMIT + 1)}]))
    assert (lifted.rows, lifted.unusable) == (EXPLODE_LIMIT, 1)


def test_what_an_expression_cannot_give_is_null_and_counted() -> None:
    rows = decoded(
        [
            {"at": 0, "k": "7", "f": -1.0, "x": 1},
            {"at": 0, "k": "z", "f": 1e300, "x": None},
            {"at": 0, "f": 1.0, "x": 2},
        ]
    )

    def unusable(measure: Measure, **more: Any) -> tuple[int, int]:
        lifted = cells(view({"m": measure}, **more).cells, rows)
        return lifted.rows, lifted.unusable

    assert unusable(wm.sum("k::integer")) == (3, 1)
    assert unusable(wm.sum("k::integer * k::integer")) == (3, 1)
    assert unusable(wm.max("ln(f)")) == (3, 1)
    assert unusable(wm.sum("f")) == (3, 1)
    assert unusable(wm.sum("x")) == (3, 0)
    assert unusable(wm.sum("nullif(x, 1)")) == (3, 0)
    assert unusable(wm.count(where="k::integer > 0")) == (3, 1)
    assert unusable(wm.count(), dimensions=["k::integer as n"]) == (3, 1)
    assert unusable(wm.count(), where="k::integer > 0") == (1, 1)
    assert unusable(wm.count(), dimensions=["f / 0 as n"]) == (3, 3)


def test_double_dimensions_have_one_zero() -> None:
    spec = view({"n": wm.count()}, dimensions=["-(x * 0.0::double) as z"]).cells
    table = pa.table(cells(spec, decoded([{"at": 0, "x": 1}, {"at": 0, "x": -1}])).cells)
    assert [str(z) for z in table["z"].to_pylist()] == ["0.0"]


def test_an_empty_chunk_lifts_to_no_cells_of_the_same_columns() -> None:
    spec = view(EACH, dimensions=["k"], window=wm.session("1s")).cells
    full = cells(spec, decoded([{"at": 0}]))
    empty = cells(spec, decoded([{"at": 0}]).slice(0, 0))
    assert pa.table(empty.cells).schema == pa.table(full.cells).schema
    assert (empty.rows, empty.unusable, len(pa.table(empty.cells))) == (0, 0, 0)
    assert merge(COLUMNS.database, spec, [empty.cells]).equals(pa.table(empty.cells))


def test_a_spec_needs_but_the_columns_that_it_reads() -> None:
    for window in (None, wm.calendar("day"), wm.session("1s")):
        spec = view(
            {"n": wm.count(where="x > 0"), "s": wm.sum("x")}, window=window, explode="tags as item", where="k = 'a'"
        ).cells
        rows = decoded([{"at": 5, "k": "a", "x": 2, "tags": ["p", "q"]}, {"at": 6, "k": "b", "x": 3, "tags": ["p"]}])
        always = ["event_time", "partition", "offset"]
        few = rows.select([name for name in rows.column_names if name in spec.reads or name in always])
        assert few.num_columns < rows.num_columns
        assert pa.table(cells(spec, few).cells).equals(pa.table(cells(spec, rows).cells))
