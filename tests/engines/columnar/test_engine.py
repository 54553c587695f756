from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

import watersmeet as wm
from tests.engines.columnar.chunks import logged, topic
from watersmeet.core.engine import Engine, Selection
from watersmeet.engines.columnar.engine import ColumnarEngine

pytestmark = pytest.mark.unit

CLICKS = topic(
    {"id": "varchar not null", "page": "varchar not null", "at": "timestamp_ms not null"}, event_time="at", id="id"
)
HITS = wm.View("hits", topic=CLICKS, dimensions=["page"], window=wm.tumbling("5m"), measures={"n": wm.count()})


@pytest.fixture(scope="module")
def engine() -> Engine:
    return ColumnarEngine(threads=1)


def payloads(count: int) -> list[bytes]:
    return [b'{"id":"%d","page":"p%d","at":%d}' % (i % 90, i % 3, i * 1000) for i in range(count)]


def absorb(engine: Engine, chunk: list[bytes]) -> tuple[int, pa.Table]:
    decoded = engine.decode(CLICKS, logged([*chunk, b"{"]))
    decided = engine.decide(CLICKS, decoded.rows, engine.ids().lookup)
    cells = engine.lift(CLICKS, [HITS.cells], decided.used)[HITS.cells.fingerprint].cells
    return len(pa.table(decoded.dead)), engine.merge(HITS.cells, [cells])


def test_from_bytes_to_an_answer(engine: Engine) -> None:
    dead, cells = absorb(engine, payloads(100))
    held = engine.hold(HITS.cells)
    held.update({"slice": cells})
    rows = pa.table(held.rows(HITS, Selection()).rows)
    assert (dead, rows["page"].to_pylist(), rows["n"].to_pylist()) == (1, ["p0", "p1", "p2"], [30, 30, 30])


def test_threads_may_use_it_at_once(engine: Engine) -> None:
    expected = [absorb(engine, payloads(n)) for n in range(300, 320)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda n: absorb(engine, payloads(n)), range(300, 320)))
    assert [(dead, table.to_pylist()) for dead, table in found] == [(d, t.to_pylist()) for d, t in expected]
