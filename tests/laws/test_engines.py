"""The columnar engine equals the reference: what dies and why, what is kept and used, every cell and every answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import hypothesis.strategies as st
import pyarrow as pa
import pytest
from hypothesis import example, given

import watersmeet as wm
from watersmeet.core.engine import Filter, Order, Selection
from watersmeet.core.window import Window
from watersmeet.engines import reference
from watersmeet.engines.columnar.engine import ColumnarEngine

from . import test_measures as measures
from .columnar import ColumnarKit, chunk, plain
from .worlds import PAYLOADS_DEAD, SECOND, LoggedRecord, World, cases, turns, worlds

pytestmark = pytest.mark.unit

ENGINE = ColumnarEngine(threads=1)

TYPES = {
    "b": "boolean",
    "i": "integer",
    "l": "bigint",
    "f": "double",
    "x": "decimal(5,2)",
    "r": "decimal(5,2) round",
    "w": "decimal(38,18)",
    "s": "varchar",
    "d": "date",
    "t": "timestamp",
    "ms": "timestamp_ms",
    "sec": "timestamp_s",
    "many": "decimal(4,1)[]",
    "texts": "varchar[]",
    "days": "timestamp[]",
}


@wm.function(version=1, returns="decimal(6,1)")
def weight(text: Sequence[Any], at: Sequence[Any], many: Sequence[Any]) -> list[Any]:
    """A row function over a text, a time and a list."""
    rows = zip(text, at, many, strict=True)
    return [None if s is None or t is None else Decimal(len(s) + t.year + len(m or [])) / 2 for s, t, m in rows]


def typed(extra: str, event_time: str) -> wm.Topic:
    """A topic with a column of every type; its event time comes in another form each time."""
    times = {"iso": "timestamp not null", "whole": "timestamp_ms not null", "seconds": "timestamp_s not null"}
    schema = {"id": "varchar not null", **({"at": times[event_time]} if event_time in times else {}), **TYPES}
    return wm.Topic(
        f"typed.{extra}.{event_time}",
        schema=schema,
        event_time="at" if event_time in times else None,
        id="id",
        extra="reject" if extra == "reject" else "ignore",
        check={"even": "i is null or i % 2 = 0", "calm": "f is null or sqrt(f) < 1000"},
        compute={
            "half": "i / 2",
            "root": "ln(f)",
            "later": "half + 1",
            "code": "cast(s as integer)",
            "heavy": "weight(upper(s), coalesce(t, ms), many) + 1",
            "heavier": "heavy * 2",
        },
        functions=[weight],
    )


TOPICS = [typed(extra, kind) for extra in ("reject", "ignore") for kind in ("iso", "whole", "seconds", "arrival")]

NUMBERS = """
0 -0 1 -1 7 12 1.0 1.5 -1.50 0.005 1.005 -2.675 999.99 999.995 1e2 1E-2 1e400 -1e400 1e-400 123456 2147483647 2147483648
-2147483648 -2147483649 9223372036854775807 9223372036854775808 -9223372036854775808 99999999999999999999999
0.1234567890123456789 12345678901234567890.123456789012345678 1700000000 1700000000000 253402300799 253402300800
253402300799999 -62135596800 -62135596801 NaN Infinity -Infinity 01 1. .5 +1 0x1
"""
OTHERS = """
null true false [] {} {"a":1} [1] [1.25] [1,2.5,-0.0] [null] [1,null] [[1]] ["a"] ["","b"] ["2024-01-01T00:00:00Z"]
"""
TOKENS = NUMBERS.split() + OTHERS.split()
STRINGS = (
    "", "a", "Ω'\"", "true", "1", "12", "2024-02-29", "2023-02-29", "2024-2-9", "20240229", "0001-01-01", "9999-12-31",
    "0000-01-01", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00z", "2024-01-01t23:59:59.123456Z", "2024-01-01 05:06:07",
    "2024-01-01T05:06", "2024-01-01T05:06:07.1234567+05:30", "2024-01-01T05:06:07,5Z", "2024-01-01T24:00:00Z",
    "2024-01-01T23:59:60Z", "2024-01-01T05:06:07+0530", "2024-01-01T05:06:07-08", "2024-01-01T05:06:07+24:00",
    "2024-13-01T00:00:00Z", "2024-01-32T00:00:00Z", "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:59:59-01:00", " 2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z ", "infinity", "epoch", "now",
    "1969-12-31T23:59:59.999999Z",
)  # fmt: skip
ESCAPES = (
    '"\\u0041"',
    '"\\u0000"',
    '"\\ud83d\\ude00"',
    '"\\ud83d"',
    '"\\x41"',
    '"a\\nb"',
    '"a\tb"',
    '"\x7f"',
    '"\u2028"',
)
QUOTED = [st.just(text) for text in ESCAPES] + [
    st.sampled_from(STRINGS).map(lambda s: '"' + s.replace('"', '\\"') + '"')
]
TOKEN = st.one_of(st.sampled_from(TOKENS), *QUOTED)
FITTING: dict[str, st.SearchStrategy[str]] = {
    "id": st.sampled_from(['"a"', '"b"', '"c"']),
    "at": st.sampled_from(['"2024-01-01T00:00:00Z"', "1704067200000", "1704067200", "1704067200000000", "0"]),
    **dict.fromkeys(TYPES, TOKEN),
}
ARRIVAL = 1_704_067_200 * SECOND


@st.composite
def objects(draw: st.DrawFn) -> bytes:
    """The text of a JSON object, or of something that nearly is one."""
    names = ["id", "at", *draw(st.lists(st.sampled_from(sorted(TYPES)), max_size=4))]
    names = [name for name in names if draw(st.integers(0, 14))]
    names += draw(st.sampled_from([[], [], [], ["other"], ["id"], ["ID"]]))
    fields = [f'"{name}":{draw(FITTING.get(name, TOKEN) if draw(st.integers(0, 9)) else TOKEN)}' for name in names]
    space = draw(st.sampled_from(["", " ", "\n", "\r\n\t"]))
    text = "{" + space + f",{space}".join(fields) + space + "}" + space
    data = text.encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 40)):
        case 0:
            return data[: draw(st.integers(0, len(data)))]
        case 1:
            at = draw(st.integers(0, len(data)))
            return (
                data[:at]
                + draw(st.sampled_from([b"\xff", b"\0", b",", b"}", b"\xef\xbb\xbf", b"\\", b"["]))
                + data[at:]
            )
        case 2:
            return b"[" + data + b"]"
    return data


PAYLOAD = objects() | st.sampled_from(PAYLOADS_DEAD) | st.binary(max_size=4)
DEEP = [b'{"id":"a","at":0,"other":' + b"[" * n + b"]" * n + b"}" for n in (99, 100, 5000)]


def logged(payloads: Sequence[bytes | None]) -> list[LoggedRecord]:
    return [{"partition": 0, "offset": i, "arrival": ARRIVAL, "value": value} for i, value in enumerate(payloads)]


def same(found: Mapping[str, Any], expected: Mapping[str, Any], names: Sequence[str]) -> None:
    """Equal values, written alike: 1.50 is not 1.5, and −0.0 is not 0.0."""
    assert [(name, repr(found[name])) for name in names] == [(name, repr(expected[name])) for name in names]


@cases(60, 4000)
@given(st.sampled_from(TOPICS), st.lists(PAYLOAD, min_size=1, max_size=30))
@example(TOPICS[0], DEEP)
@example(TOPICS[4], DEEP)
def test_the_same_records_die_for_the_same_reasons(topic: wm.Topic, payloads: list[bytes]) -> None:
    records = logged(payloads)
    decoded, found = reference.decode(topic, records), ENGINE.decode(topic, chunk(records))
    reasons = {row["offset"]: row["reason"] for row in plain(found.dead)}
    expected = {d.record["offset"]: d.reason for d in decoded if d.reason}
    wrong = {
        i: (payloads[i], reasons.get(i), expected.get(i))
        for i in reasons.keys() | expected
        if reasons.get(i) != expected.get(i)
    }
    assert wrong == {}
    for row, d in zip(plain(found.rows), [d for d in decoded if not d.reason], strict=True):
        same(row, d.row, list(d.row))


@cases(30, 3000)
@given(worlds(), st.integers(0, 12))
def test_the_same_records_are_used_kept_and_counted(world: World, middle: int) -> None:
    """The second chunk starts from the ids that the first one kept."""
    topic, partitions = world.topic, world.topic.partitions
    decoded, known, ids = reference.decode(topic, world.records), reference.Known(), ENGINE.ids()
    ends = ((middle,) * partitions, (1 << 40,) * partitions)
    for number, part in enumerate(reference.cut(decoded, ends)):
        records = [d.record for d in part]
        before = dict(known)
        fates = reference.decide(topic, part, known)
        rows = ENGINE.decode(topic, chunk(records, [number] * len(records))).rows
        decided = ENGINE.decide(topic, rows, ids.lookup)
        ids.add(decided.kept)

        def places(*outcomes: str, of: Sequence[reference.Fate] = fates) -> list[tuple[int, int]]:
            return [(f.decoded.row["partition"], f.decoded.row["offset"]) for f in of if f.outcome in outcomes]

        def positions(chunk: Any) -> list[tuple[int, int]]:
            return [(row["partition"], row["offset"]) for row in plain(chunk)]

        assert positions(decided.used) == places("used")
        assert positions(decided.kept) == places("used", "filtered")
        for p in range(partitions):
            mine = [f for f in fates if f.decoded.record["partition"] == p]
            counted = tuple(sum(f.outcome == word for f in mine) for word in ("used", "duplicate", "filtered"))
            assert decided.counts.get(p, (0, 0, 0, 0))[:3] == counted
            if not before:  # a difference from what was kept earlier cannot be seen: only ids were remembered
                assert decided.counts.get(p, (0, 0, 0, 0))[3] == sum(f.conflict for f in mine)
            times = [f.decoded.row["event_time"] for f in mine if f.outcome != "dead"]
            assert decided.newest.get(p) == max(times, default=None)


def lifted(
    view: wm.View, records: Sequence[LoggedRecord], parts: int
) -> tuple[dict[str, Any], dict[str, Any], int | None]:
    """Cells by fingerprint of both engines, the columnar ones in some parts, and the newest event time."""
    topic = view.topic
    used = [d.row for d in reference.decode(topic, records) if not d.reason]
    ours = {
        s.fingerprint: reference.lift(s, [x for found in reference.inputs(s, used) for x in found]) for s in view.specs
    }
    theirs: dict[str, Any] = {spec.fingerprint: [] for spec in view.specs}
    for part in range(parts):
        rows = ENGINE.decode(topic, chunk(records[part::parts])).rows
        for fingerprint, found in ENGINE.lift(topic, view.specs, rows).items():
            theirs[fingerprint].append(found.cells)
    return ours, theirs, max((row["event_time"] for row in used), default=None)


def agree(
    view: wm.View, records: Sequence[LoggedRecord], parts: int, selection: Selection, through: wm.View | None = None
) -> None:
    """Both engines give the same rows, to the digit, in the same order."""
    ours, theirs, upto = lifted(view, records, parts)
    facts: list[dict[str, Any]] = []
    table = None
    kit = ColumnarKit(ENGINE, view.topic)
    if through is not None:
        mine, other, _ = lifted(through, records, 1)
        facts = reference.rows(through, mine)
        held = ENGINE.hold(through.cells)
        held.update({"all": other[through.cells.fingerprint][0]})
        table = held.rows(through, Selection()).rows
        assert plain(table) == facts
    chosen = replace(selection, upto_us=upto)
    expected = reference.rows(view, ours, chosen, through=facts)
    found = kit.rows(view, theirs, chosen, table)
    assert len(found) == len(expected), view.name
    for row, wanted in zip(found, expected, strict=True):
        same(row, wanted, view.columns)
    for spec in view.specs:
        if spec.pane.kind != "session" and len(theirs[spec.fingerprint]) > 1:
            merged = ENGINE.merge(spec, theirs[spec.fingerprint])
            assert len(ours[spec.fingerprint]) == pa.table(merged).num_rows, "one cell an address"


NAMES = ["tumbling", "hopping", "sessions", "running", "days", "turns", "tags"]
ALL = worlds(chosen=7, steps=st.just(("roll",)))


@cases(30, 2000)
@given(ALL, st.sampled_from(NAMES), st.integers(1, 3), st.data())
def test_the_same_rows_are_answered(world: World, name: str, parts: int, data: st.DataObject) -> None:
    view = world.views[name]
    times = sorted({(r["arrival"] // (5 * SECOND)) * 5 * SECOND for r in world.records}) or [0]
    edge = st.none() | st.sampled_from(times)
    lower, upper = (None, None) if view.time is None else (data.draw(edge), data.draw(edge))
    count = "records" if "records" in view.measures else "kinds"
    where = data.draw(st.sampled_from([(), (Filter(count, ">", 0),), (Filter(count, "!=", 1),)]))
    order = data.draw(st.sampled_from([(), (Order(count, True),)]))
    fill = (
        data.draw(st.booleans()) and lower is not None and upper is not None and name in ("tumbling", "hopping", "days")
    )
    limit = data.draw(st.none() | st.integers(0, 4))
    agree(view, world.records, parts, Selection(lower, upper, where, order, limit, fill=fill))


ROLLED: dict[str, list[Window | None]] = {
    "tumbling": [wm.tumbling("30s"), wm.hopping("20s", "10s"), wm.running("20s"), None],
    "hopping": [wm.tumbling("5s", origin=2 * SECOND), wm.tumbling("20s", origin=2 * SECOND), None],
    "running": [wm.tumbling("15s"), wm.tumbling("30s"), None],
    "days": [wm.calendar("week", "Europe/Berlin"), wm.calendar("month", "Europe/Berlin"), None],
    "sessions": [wm.session("4s")],
    "turns": [turns, None],
}


@cases(20, 1500)
@given(ALL, st.sampled_from(sorted(ROLLED)), st.booleans(), st.data())
def test_the_same_roll_ups_are_answered(world: World, name: str, grouped: bool, data: st.DataObject) -> None:
    view = world.views[name]
    rolled = view.at(data.draw(st.sampled_from(ROLLED[name])), by=None if grouped else [])
    agree(rolled, world.records, 2, Selection())


@cases(6, 400)
@given(ALL)
def test_the_same_roll_ups_through_another_view_are_answered(world: World) -> None:
    latest = wm.View("latest", topic=world.topic, dimensions=["k"], measures={"n": wm.last("n"), "f": wm.max("f")})
    agree(world.views["tumbling"].at("20s", by=["n"], through=latest), world.records, 1, Selection(), latest)
    agree(world.views["tumbling"].at(None, by=["f", "k"], through=latest), world.records, 1, Selection(), latest)


@cases(15, 1500)
@given(measures.ROWS, st.integers(1, 3))
def test_every_measure_shows_the_same(rows: list[dict[str, Any]], parts: int) -> None:
    def text(value: object) -> str:
        quoted = value.replace("\\", "\\\\") if isinstance(value, str) else ""
        return "null" if value is None else f'"{quoted}"' if isinstance(value, str) else str(value)

    payloads = ["{" + ", ".join(f'"{name}": {text(value)}' for name, value in row.items()) + "}" for row in rows]
    records = logged([payload.encode() for payload in payloads])
    agree(measures.VIEW, records, parts, Selection())
