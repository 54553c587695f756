"""Generated worlds: a log that does its worst, and a schedule of what the layers do with it.

A world is a row of cycles. In each, records arrive, then steps are taken in any order; between two cycles stands, more
often than not, a *flush*: everything is committed, rolled, archived, published for every fingerprint, compacted and
swept, and the next records to arrive are copies of earlier ones. Chance alone seldom comes to that, and it is just
where ids that left with their slices would be missed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings

import watersmeet as wm
from watersmeet.core.topic import Exclusion

PROVE = bool(os.environ.get("WATERSMEET_PROVE"))

LoggedRecord = dict[str, Any]
Step = tuple[Any, ...]

SECOND = 1_000_000
BASES = (60 * SECOND, 1_711_839_570 * SECOND)
"""First arrivals: a minute after 1970 began, so that events lie on both sides; half a minute before a day of Berlin."""

SCHEMA = {
    "id": "varchar not null",
    "at": "timestamp_ms not null",
    "k": "varchar",
    "x": "decimal(6,2)",
    "f": "double",
    "n": "integer",
    "tags": "varchar[]",
}


@cache
def topic(horizon: str, partitions: int, *, excluded: bool) -> wm.Topic:
    """The topic of a world."""
    rules = (Exclusion("test rows", where="k = 'x'"), Exclusion("one row", positions=((0, 2),)))
    return wm.Topic(
        "events",
        schema=SCHEMA,
        event_time="at",
        id="id",
        partitions=partitions,
        horizon=horizon,
        skew="3s",
        check={"unlucky": "n is null or n <> 13"},
        compute={"y": "x * 2 + coalesce(n, 0)"},
        exclusions=rules if excluded else (),
    )


@wm.window(version=1)
def turns(event_time: Sequence[datetime], k: Sequence[str | None]) -> tuple[list[Any], list[Any]]:
    """Windows that do their worst, from every tenth second on: two of one start, and for some keys none, or nonsense."""
    starts: list[Any] = []
    ends: list[Any] = []
    for at, name in zip(event_time, k, strict=True):
        start = at.replace(second=at.second // 10 * 10, microsecond=0)
        starts.append(None if name == "v" else start)
        ends.append(start if name is None else start + timedelta(seconds=4 if at.second % 10 < 4 else 10))
    return starts, ends


def _days(of: wm.Topic) -> wm.View:
    measures = {"records": wm.count(), "total": wm.sum("f", scale=3)}
    return wm.View("days", topic=of, window=wm.calendar("day", "Europe/Berlin"), measures=measures)


def _turns(of: wm.Topic) -> wm.View:
    return wm.View(
        "turns",
        topic=of,
        dimensions=["k", "coalesce(n, 0) % 2 as odd"],
        window=turns,
        where="x is null or x > -2",
        lookback="20s",
        measures={"records": wm.count(), "total": wm.sum("x"), "first": wm.first("f"), "often": wm.top("k", 2)},
        derive={"change": "records - lag(records) over w"},
    )


@cache
def views(of: wm.Topic) -> dict[str, wm.View]:
    """One view of every family of windows, together all measures."""
    return {
        "tumbling": wm.View(
            "tumbling",
            topic=of,
            dimensions=["k"],
            window=wm.tumbling("10s"),
            lookback="20s",
            measures={
                "records": wm.count(),
                "ones": wm.count(where="n = 1"),
                "total": wm.sum("x"),
                "average": wm.mean("f"),
                "spread": wm.stddev("x"),
                "wide": wm.variance("n"),
                "seen": wm.distinct("id", size=16),
                "first": wm.first("x"),
                "last": wm.last("n", nulls=True),
            },
            derive={
                "share": "pct(ones, records)",
                "change": "total - lag(total) over w",
                "turn": "change - lag(change, 2) over w",
            },
        ),
        "hopping": wm.View(
            "hopping",
            topic=of,
            dimensions=["coalesce(n, 0) % 2 as odd", "k"],
            window=wm.hopping("15s", "5s", origin=2 * SECOND),
            where="x is null or x > -2",
            measures={"least": wm.min("x"), "most": wm.max("f"), "kinds": wm.distinct("y", exact=True)},
            having="least is not null",
        ),
        "sessions": wm.View(
            "sessions",
            topic=of,
            dimensions=["k"],
            window=wm.session("4s"),
            measures={"records": wm.count(), "total": wm.sum("y"), "often": wm.top("n", 2)},
        ),
        "running": wm.View(
            "running",
            topic=of,
            dimensions=["k"],
            window=wm.running("15s"),
            measures={"records": wm.count(), "latest": wm.last("f"), "ids": wm.distinct("id", size=16)},
        ),
        "days": _days(of),
        "turns": _turns(of),
        "tags": wm.View(
            "tags",
            topic=of,
            dimensions=["tag"],
            explode="tags as tag",
            measures={"records": wm.count(), "first": wm.first("k"), "often": wm.top("k", 3)},
        ),
    }


@dataclass(frozen=True)
class World:
    """A topic, its views by name, the records in the order of their arrival, and the steps.

    ``same``: copies of an id are equal in content and partition, so an answer cannot depend on the cut.
    """

    topic: wm.Topic
    views: Mapping[str, wm.View]
    records: tuple[LoggedRecord, ...]
    steps: tuple[Step, ...]
    same: bool


PAYLOADS_DEAD = (
    b"",
    b"  ",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b"{'id': 'a'}",
    b"{}",
    b'{"id": "a"}',
    b'{"id": null, "at": 1}',
    b'{"id": "a", "at": 1} {}',
    b'{"id": "a", "at": 1,}',
    b'{"id": "a", "at": 1, "f": NaN}',
    b'{"id": "a", "at": 1, "x": 1.005}',
    b'{"id": "a", "at": 1, "x": 12345.0}',
    b'{"id": "a", "at": 1, "n": 1.0}',
    b'{"id": "a", "at": 1, "n": "1"}',
    b'{"id": "a", "at": 1, "n": true}',
    b'{"id": "a", "at": 1, "n": 2147483648}',
    b'{"id": "a", "at": "1970-01-01T00:00:00Z"}',
    b'{"id": 7, "at": 1}',
    b'{"id": "a", "at": 1, "f": 1e999}',
    b'{"id": "a", "at": 1, "tags": ["b", null]}',
    b'{"id": "a", "at": 1, "tags": "b"}',
    b'{"id": "\\ud800", "at": 1}',
    b'{"id": "a", "at": 1, "n": 13}',
)

_FLOATS = (None, 0.0, -0.0, 0.1, 0.2, 0.3, 5e-10, 1.5e-9, -2.5e-9, 1e15 / 3, 1e300, -7)
_DECIMALS = (None, -3, -2.0, -0.25, 0, 0.01, 1.5, 1.50, 9999.99, 1e2)


@st.composite
def payloads(draw: st.DrawFn, name: str, arrival: int, *, plain: bool) -> bytes:
    """A valid payload most of the time; ``plain``: one that depends on the id alone."""
    if not plain and draw(st.integers(0, 7)) == 0:
        return draw(st.sampled_from(PAYLOADS_DEAD))
    seed = ord(name)
    age = (seed * 7) % 23 if plain else draw(st.integers(-4, 25))
    at = (arrival // SECOND - age) * 1000 if not plain else BASES[0] // 1000 - age * 1000
    body: dict[str, object] = {"id": name, "at": at}
    if plain:
        body |= {"k": "uv"[seed % 2], "x": seed % 5, "f": seed / 7, "n": seed % 3, "tags": ["a", "b"][: seed % 3]}
    else:
        body["k"] = draw(st.sampled_from(["u", "v", "x", "Ω'", None]))
        body["x"], body["f"] = draw(st.sampled_from(_DECIMALS)), draw(st.sampled_from(_FLOATS))
        body["n"] = draw(st.sampled_from([None, 0, 1, 2, 2147483647]))
        body["tags"] = draw(st.sampled_from([None, [], ["a"], ["b", "a", "b"], ["", "c"]]))
    return json.dumps(body).encode()


@st.composite
def chunks(
    draw: st.DrawFn, partitions: int, now: int, earlier: list[LoggedRecord], *, same: bool
) -> list[LoggedRecord]:
    """Some records as they arrive, the first ones copies of earlier ones; without their offsets."""
    out: list[LoggedRecord] = []
    for copy in draw(st.lists(st.sampled_from(earlier), min_size=1, max_size=3)) if earlier else ():
        now += draw(st.integers(0, 4)) * SECOND
        partition = copy["partition"] if same else draw(st.integers(0, partitions - 1))
        out.append({**copy, "partition": partition, "arrival": now})
    for _ in range(draw(st.integers(0, 10))):
        now += draw(st.sampled_from([0, 0, 0, 1, 2, 9])) * SECOND
        name = draw(st.sampled_from("abcdefghijklmnopqrstuvwxyz"[: draw(st.sampled_from([4, 26]))]))
        partition = ord(name) % partitions if same else draw(st.integers(0, partitions - 1))
        value = draw(payloads(name, now, plain=same))
        out.append({"partition": partition, "arrival": now, "key": None, "value": value, "headers": {}})
    return out


SIZES = st.tuples(*[st.integers(0, 5)] * 3)
STEPS = st.one_of(
    SIZES.map(lambda sizes: ("commit", sizes)),
    SIZES.map(lambda sizes: ("crash", sizes)),
    st.just(("idle",)),
    st.just(("roll",)),
    st.just(("archive",)),
    st.integers(0, 2).map(lambda i: ("publish", i)),
    st.just(("merge blocks",)),
    st.integers(0, 2).map(lambda i: ("merge runs", i)),
    st.just(("sweep",)),
    st.just(("restart",)),
    SIZES.map(lambda sizes: ("seal", sizes)),
    st.integers(0, 7).map(lambda chosen: ("declare", chosen)),
    st.just(("expire",)),
)


@st.composite
def worlds(draw: st.DrawFn, *, same: bool = False, chosen: int = 3, steps: st.SearchStrategy[Step] = STEPS) -> World:
    """Worlds of up to four cycles over ``chosen`` of the views."""
    partitions = draw(st.integers(1 if same else 2, 3))
    of = topic(
        draw(st.sampled_from(["5s", "30s", "7d"] if not same else ["7d"])),
        partitions,
        excluded=draw(st.booleans()) and not same,
    )
    mine = views(of)
    names = draw(st.permutations(sorted(mine)))[:chosen]
    records: list[LoggedRecord] = []
    taken: list[Step] = []
    offsets = [0] * partitions
    now = draw(st.sampled_from(BASES))
    for _ in range(draw(st.integers(1, 4))):
        fresh = draw(chunks(partitions, now, records, same=same))
        for record in fresh:
            offsets[record["partition"]] += 0 if same or draw(st.integers(0, 15)) else 1  # a hole
            records.append({**record, "offset": offsets[record["partition"]]})
            offsets[record["partition"]] += 1
            now = record["arrival"]
        taken += [("arrive", len(records)), *draw(st.lists(steps, max_size=8))]
        if draw(st.integers(0, 3)):
            taken.append(("flush",))
    return World(of, {name: mine[name] for name in names}, tuple(records), tuple(taken), same)


def cases(few: int, many: int) -> settings:
    """How many cases a law is tried on: by default, and when it is to be proved."""
    return settings(max_examples=many if PROVE else few)
