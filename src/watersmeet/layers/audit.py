"""The audit: batch against speed, before every publish.

Both layers have computed the epoch independently: one as it arrived, one from the archive. Every cell, every kept id
and the ledger must be equal. What differs is stored, counted and logged as an error; publishing goes on, because the
batch layer's figure is the one that can be explained from the archive.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa

from watersmeet.core.clock import Clock
from watersmeet.core.engine import Absorbed, Engine
from watersmeet.core.finding import Finding
from watersmeet.core.ledger import Entry
from watersmeet.core.manifest import Epoch, Manifest
from watersmeet.core.record import Records
from watersmeet.core.runner import Turn
from watersmeet.core.state import State
from watersmeet.core.view import CellSpec

log = logging.getLogger(__name__)

Oracle = Callable[[Epoch, Turn, Absorbed], tuple[int, int]]
"""Recomputes a sample by plain SQL over the archive: (cells sampled, cells that differ)."""


class Audit:
    """Compares and remembers.

    Args:
        state, engine, clock: the ports.
        oracle: recomputes a sample without the engine.
    """

    def __init__(self, state: State, engine: Engine, clock: Clock, *, oracle: Oracle | None = None) -> None:
        self._state, self._engine, self._clock, self._oracle = state, engine, clock, oracle

    def __call__(self, m: Manifest, epoch: Epoch, turn: Turn, batch: Absorbed) -> None:
        """Audit one epoch and store the finding under ``audits``."""
        topic = turn.topic.name
        cells, wrong, views = 0, 0, []
        for spec in turn.specs:
            compared = self._compare_cells(m, epoch, spec, batch)
            cells, wrong = cells + compared[0], wrong + compared[1]
            if compared[1]:
                views.append((spec.fingerprint, compared[1]))
        ids, wrong_ids = self._compare_ids(m, epoch, batch)
        sampled, wrong_sample = self._oracle(epoch, turn, batch) if self._oracle else (0, 0)
        finding = Finding(
            topic,
            epoch.number,
            self._clock.now_us(),
            cells,
            wrong,
            ids,
            wrong_ids,
            _without_late(epoch.ledger) == _without_late(batch.ledger),
            sampled,
            wrong_sample,
            tuple(views),
        )
        if not finding.matches:
            log.error("audit of %s epoch %d: batch and speed differ: %s", topic, epoch.number, finding)
        # A later fingerprint of the same epoch is a finding of its own, so the key carries what was compared.
        key = f"{topic}/{epoch.number:08d}/{'-'.join(sorted(s.fingerprint[:6] for s in turn.specs)) or 'ids'}"
        self._state.put("audits", key[:200], finding.encode())

    def _compare_cells(self, m: Manifest, epoch: Epoch, spec: CellSpec, batch: Absorbed) -> tuple[int, int]:
        blocks = [b for b in m.blocks if b.epoch == epoch.number and spec.fingerprint in b.fingerprints]
        if sum(b.last - b.first + 1 for b in blocks) != epoch.last - epoch.first + 1:
            return 0, 0  # the speed layer did not compute this fingerprint over the whole epoch
        loaded = self._state.load(m.topic, f"cells:{spec.fingerprint}", [b.owner for b in blocks])
        speed = self._engine.merge(spec, list(loaded.values()))
        return self.differences(speed, self._engine.merge(spec, [batch.cells[spec.fingerprint].cells]))

    def _compare_ids(self, m: Manifest, epoch: Epoch, batch: Absorbed) -> tuple[int, int]:
        if epoch.owner:
            return 0, 0  # compared when the epoch was published first
        attempts = [s.attempt for s in m.slices if s.epoch == epoch.number]
        loaded = [pa.table(x) for x in self._state.load(m.topic, "ids", attempts).values()]
        return self.differences(pa.concat_tables(loaded), batch.kept) if loaded else (0, 0)

    def differences(self, speed: Records, batch: Records) -> tuple[int, int]:
        """(rows compared, rows that differ): rows of either side that the other lacks, the longer side counting."""
        sql = """
            select (select count(*) from a) as a, (select count(*) from b) as b,
                   (select count(*) from (select * from a except all select * from b)) as only_a,
                   (select count(*) from (select * from b except all select * from a)) as only_b"""
        found = pa.table(self._engine.query(sql, {"a": speed, "b": batch}, as_of_us=0)).to_pylist()[0]
        return max(found["a"], found["b"]), max(found["only_a"], found["only_b"])


def _without_late(ledger: tuple[Entry, ...]) -> tuple[Entry, ...]:
    # Late depends on how far the watermark had come, which recomputation does not repeat.
    return tuple(replace(e, late=0, conflicts=0) for e in ledger)
