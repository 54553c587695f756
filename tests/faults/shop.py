"""A small app and its workloads, for tests that break things."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from types import ModuleType

import pyarrow as pa

import watersmeet as wm
from watersmeet.core.clock import Clock
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.ledger import Totals, total
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers.status import ledger
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire

NOON_MS = 1_700_000_400_000
Sent = tuple[str, bytes]

orders = wm.Topic(
    "orders",
    id="order_id",
    key="product",
    event_time="at",
    partitions=2,
    schema={
        "order_id": "varchar not null",
        "product": "varchar not null",
        "buyer": "integer",
        "amount": "decimal(10,2)",
        "at": "timestamp_ms not null",
    },
    check={"negative_amount": "amount is null or amount >= 0"},
)
sales = wm.View(
    "sales",
    topic=orders,
    dimensions=["product"],
    window=wm.tumbling("1m"),
    lookback="1h",
    measures={
        "orders": wm.count(),
        "revenue": wm.sum("amount"),
        "average": wm.mean("amount"),
        "buyers": wm.distinct("buyer"),
        "latest": wm.last("buyer"),
    },
    derive={"growth": "orders - lag(orders) over w"},
)
totals = wm.View("totals", topic=orders, measures={"orders": wm.count(), "buyers": wm.distinct("buyer", exact=True)})
hourly = wm.Query(
    "hourly",
    inputs={"s": sales.at("1h")},
    key=["hour", "product"],
    time="hour",
    sql="select window_start as hour, product, orders, revenue from s",
)
ENGINE = ColumnarEngine(threads=1)
declarations: Declarations = collect([sales, totals, hourly])


def open_node(folder: Path, clock: Clock, **sections: object) -> Node:
    """A node on the stores of a folder; ``sections`` are of its settings."""
    settings = Settings.model_validate({"directory": folder, "compute": {"threads": 1}, **sections})
    return Node(
        wire(settings, clock=clock, engine=ENGINE), App("shop", declarations, {}, ModuleType("shop")), sources=[]
    )


def clock() -> Clock:
    """A clock that begins after every event."""
    return manual_clock((NOON_MS + 3_600_000) * 1000)


def order(number: int, draw: random.Random, **changes: object) -> bytes:
    """One order; equal numbers give equal ids but not equal content."""
    fields: dict[str, object] = {
        "order_id": f"o{number}",
        "product": draw.choice(["tea", "coffee", "cocoa"]),
        "buyer": draw.choice([1, 2, 3, 4, None]),
        "amount": draw.choice([1.5, 2, 0.25, None]),
        "at": NOON_MS + draw.randrange(0, 600_000),
    }
    return json.dumps({**fields, **changes}).encode()


def workload(name: str, count: int = 24) -> list[bytes]:
    """The payloads of one of the workloads, in order."""
    draw = random.Random(name)
    plain = [order(n, draw) for n in range(count)]
    match name:
        case "steady":
            return plain
        case "hot key":
            return [order(n, draw, product="tea") for n in range(count)]
        case "duplicates":
            return [p for payload in plain for p in ([payload, payload] if draw.random() < 0.4 else [payload])]
        case "late":
            return sorted(plain, key=lambda p: -json.loads(p)["at"])
        case "poison":
            return [
                p for payload in plain for p in ([payload, draw.choice(POISON)] if draw.random() < 0.4 else [payload])
            ]
        case "borders":
            return [order(n, draw, at=NOON_MS + 60_000 * (n % 5) - n % 2) for n in range(count)]
    raise ValueError(name)


POISON = [
    b"{",
    b"",
    b"[]",
    b'{"order_id": 1}',
    b'{"order_id":"x","product":"tea","at":"yesterday"}',
    b"\xff\xfe",
    b"\x00",
]
WORKLOADS = ("steady", "hot key", "duplicates", "late", "poison", "borders")


def answers(node: Node) -> str:
    """A digest of everything that can be asked."""
    out = []
    for name in ("sales", "totals", "hourly"):
        answer = node.reader.read(wm.Request(name))
        assert answer.receipt.complete, answer.receipt
        rows = sorted(repr(sorted(row.items())) for row in pa.table(answer.rows).to_pylist())
        out.append(f"{name}\n" + "\n".join(rows))
    return hashlib.sha256("\n".join(out).encode()).hexdigest()


def sums(node: Node) -> Totals:
    """The ledger over all topics."""
    return total([ledger(node.parts.state.manifest(name)) for name in node.declarations().topics])
