"""A registry that is away stops nothing but time: no record is lost, none is dead, and batch agrees with speed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest

import watersmeet as wm
from tests.registries import MemorySchemas
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.avro import encode, schema_of
from watersmeet.core.declarations import collect
from watersmeet.core.errors import UnavailableError
from watersmeet.core.manifest import roll
from watersmeet.core.reader import Request
from watersmeet.core.schemas import framed
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers import ingest
from watersmeet.layers.schemas import KeptSchemas
from watersmeet.layers.status import ledger
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire

pytestmark = pytest.mark.integration

NOW_US = 1_766_000_000_000_000
SALES = wm.Topic("sales", schema={"id": "varchar not null", "paid": "decimal(8,2)"}, id="id", format="avro")
WIDER = wm.Topic("sales", schema={**SALES.schema, "city": "varchar"}, format="avro")
TOTAL = wm.View("total", topic=SALES, measures={"paid": wm.sum("paid"), "n": wm.count()})


def test_a_registry_that_is_away_loses_nothing(tmp_path: Path) -> None:
    registry = MemorySchemas(schema_of(SALES), schema_of(WIDER))
    settings = Settings.model_validate({"directory": tmp_path, "compute": {"threads": 1}})
    with closing(LocalState(tmp_path / "state.db", ManualClock(NOW_US))) as state:
        engine = ColumnarEngine(threads=1, schemas=KeptSchemas(registry, state))
        app = App("shop", collect([SALES, TOTAL]), {}, ModuleType("shop"))
        node = Node(wire(settings, clock=manual_clock(NOW_US), engine=engine), app, sources=[])
        node.apply()
        payloads = [framed(1, encode(SALES, {"id": f"{n}", "paid": n})) for n in range(20)]
        payloads += [framed(2, encode(WIDER, {"id": f"w{n}", "paid": n, "city": "x"})) for n in range(20)]
        payloads += [payloads[0], b"{}", framed(3, b"\0"), payloads[1] + b"\0"]
        ingest.append(node.parts.log, SALES, payloads)

        registry.down = True
        for _ in range(3):
            with pytest.raises(UnavailableError):
                node.absorb("sales")
        assert ledger(node.parts.state.manifest("sales")).used == 0
        registry.down = False
        node.absorb("sales")

        sums = ledger(node.parts.state.manifest("sales"))
        assert (sums.used, sums.duplicates, sums.dead) == (40, 1, 3)
        assert node.repair.reasons("sales") == {"bad_magic": 1, "unknown_schema": 1, "trailing_bytes": 1}

        registry.add("{}")  # too late: what was dead to speed is dead to batch
        registry.down = True  # and batch needs no registry
        node.parts.state.change("sales", lambda m: roll(m, NOW_US))
        node.catch_up({})
        sums = ledger(node.parts.state.manifest("sales"))
        assert (sums.used, sums.duplicates, sums.dead) == (40, 1, 3)
        [row] = pa.table(node.reader.read(Request(TOTAL)).rows).to_pylist()
        assert (row["n"], row["paid"]) == (40, 380)
