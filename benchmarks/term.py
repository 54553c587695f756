"""The learning app over simulated days, and how soon its published tables show an event.

Days: each hour of a campus is appended and absorbed; four times a day the batch layer takes over what there is and old
cells are swept. Memory at the end of a day must not grow with the days.

Tables: a node runs by itself on the machine's clock with every job; logins are appended one by one, and a reader that
knows nothing of the platform looks into the Parquet files until their rows count them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from watersmeet.apps.learning.campus import Campus
from watersmeet.apps.learning.simulation import key_of
from watersmeet.core.manifest import roll
from watersmeet.core.reader import Request
from watersmeet.core.record import Record
from watersmeet.runtime.loading import load
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, now_us, wire

from .campus import OPENS_US
from .node import close_node
from .report import Figure
from .stopwatch import percentile, resident_mb

PART = "term"
RATE = 1.0
HOUR_US = 3_600_000_000
ROLLS_A_DAY = 4
PROVISIONAL_SECONDS, TARGET_MB = 60.0, 2_000.0
LOOK_SECONDS = 0.25


def measure(folder: Path, *, days: int, logins: int) -> Iterator[Figure]:
    """Memory day by day, then the way of logins into a table.

    Args:
        folder: for the stores.
        days: that are simulated.
        logins: that are followed into a table.
    """
    yield from _days(folder / "days", days)
    yield from _tables(folder / "tables", logins)


def _days(folder: Path, days: int) -> Iterator[Figure]:
    settings = Settings.model_validate({"directory": folder, "batch": {"keep_seconds": 6 * 3600}})
    clock = manual_clock(OPENS_US + HOUR_US)
    node = Node(wire(settings, clock=clock), load("watersmeet.apps.learning"), sources=[])
    node.apply()
    campus, taken, first = Campus(RATE, opens_us=OPENS_US, seed=1), 0, 0.0
    for hour in range(24 * days):
        start = OPENS_US + (1 + hour) * HOUR_US
        clock.sleep(HOUR_US / 1e6)
        by_topic: dict[str, list[Record]] = {}
        for topic, _, payload in campus.arrivals(start, start + HOUR_US):
            by_topic.setdefault(topic, []).append(Record(payload, key_of(payload)))
        for topic, records in by_topic.items():
            node.parts.log.append(topic, records)
            node.absorb(topic)
            taken += len(records)
        if (hour + 1) % (24 // ROLLS_A_DAY) == 0:
            for topic in node.declarations().topics:
                node.parts.state.change(topic, lambda m: roll(m, clock.now_us()))
            node.catch_up({})
        node.reader.read(Request("auth_activity"))
        if (hour + 1) % 24 == 0:
            memory, day = resident_mb(), (hour + 1) // 24
            first = first or memory
            beside = {"events": taken, "state_mb": (folder / "state.db").stat().st_size / 1e6}
            yield Figure(PART, f"memory after day {day}", memory, "MB", TARGET_MB, at_most=True, beside=beside)
    if days > 1:
        growth = (resident_mb() - first) / (days - 1)
        yield Figure(PART, "memory gained a day after the first", growth, "MB")
    ledger = node.status().ledger
    if not ledger.balanced or ledger.received != taken:
        raise SystemExit(f"the ledger does not balance: {ledger}")
    close_node(node)


def _tables(folder: Path, logins: int) -> Iterator[Figure]:
    sinks = {name: f"parquet://{folder.resolve() / name}" for name in ("realtime_views", "batch_views")}
    settings = Settings.model_validate({"directory": folder, "sinks": sinks})
    node = Node(wire(settings), load("watersmeet.apps.learning"), sources=[])
    node.apply()
    node.start(["speed", "batch", "serve"])
    taken = []
    try:
        for number in range(logins):
            user = f"SV{number:06d}"
            event = {
                "event_id": f"term{number}", "event_category": "AUTH", "event_type": "LOGIN", "user_id": user,
                "role": "student", "timestamp": now_us() // 1000, "session_id": f"s{number}",
            }  # fmt: skip
            began = time.perf_counter()
            node.parts.log.append("auth_topic", [Record(json.dumps(event).encode(), user.encode())])
            while not _is_published(folder, user):
                time.sleep(LOOK_SECONDS)
                if time.perf_counter() - began > 10 * PROVISIONAL_SECONDS:
                    raise SystemExit(f"the login of {user} is in no table")
            taken.append(time.perf_counter() - began)
    finally:
        node.stop()
    name = "from an append to a provisional row in Parquet"
    beside = {"logins": logins}
    yield Figure(PART, f"{name}: p50", percentile(taken, 50), "s", beside=beside)
    yield Figure(PART, f"{name}: most", max(taken), "s", PROVISIONAL_SECONDS, at_most=True)
    close_node(node)


def _is_published(folder: Path, user: str) -> bool:
    """Whether a reader of files finds the user in a table of what users do in five minutes."""
    files = folder / "realtime_views" / "auth_realtime_session_activity"
    if not list(files.glob("**/*.parquet")):
        return False
    with duckdb.connect() as db:
        query = f"select count(*) from read_parquet('{files}/**/*.parquet') where user_id = $1 and logins = 1"
        found = db.execute(query, [user]).fetchone()
    return bool(found and found[0])
