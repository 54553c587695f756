"""The records of a topic as the rows of a table: those that counted, or those that could not be used.

What the batch layer has decided about an epoch never changes under one version of the topic. So an epoch is one scope
of the table, written whole once it is decided, and all of them are written anew when another version is in force.
"""

from __future__ import annotations

from itertools import chain

import numpy as np
import pyarrow as pa

from watersmeet.core.archive import Archive
from watersmeet.core.engine import Engine
from watersmeet.core.outcome import outcome
from watersmeet.core.record import Records
from watersmeet.core.state import State
from watersmeet.core.topic import Topic

EPOCH = "_epoch"
"""The column that says which epoch a row came with."""
KEY = ("partition", "offset")
_INTERNAL = ("slice", "_hi", "_lo", "_content")
_CHUNK = 200_000
_LOGGED = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("arrival", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("headers", pa.map_(pa.string(), pa.binary())),
        ("slice", pa.int64()),
    ]
)


class Outcomes:
    """What became of the records of decided epochs.

    Args:
        state, archive, engine: the ports.
    """

    def __init__(self, state: State, archive: Archive, engine: Engine) -> None:
        self._state, self._archive, self._engine = state, archive, engine

    def epochs(self, topic: Topic) -> list[tuple[int, str]]:
        """The epochs that are decided under the topic's version: number, and owner of what was decided."""
        m = self._state.manifest(topic.name)
        lost = {gap.epoch for gap in m.gaps if gap.lost}
        decided = ((e.number, outcome(m, e, topic.version)) for e in m.epochs if e.number not in lost)
        return [(number, found.owner) for number, found in decided if found is not None]

    def used(self, topic: Topic, epoch: int, owner: str) -> pa.Table:
        """The records that counted: the topic's columns, ``event_time``, ``arrived_at``, position and `EPOCH`."""
        kept = None if topic.id is None else self._load(topic, "ids", owner)
        used = []
        nothing = _LOGGED.empty_table()  # from which an epoch without records still gets its columns
        for chunk in chain([nothing], self._archive.read(topic.name, epoch, _CHUNK)):
            rows = pa.table(self._engine.decode(topic, chunk).rows)
            if kept is not None:
                rows = rows.filter(pa.array(np.isin(_positions(rows), _positions(kept))))
            used.append(pa.table(self._engine.decide(topic, rows, _nothing).used))
        rows = pa.concat_tables(used)
        return _numbered(rows.drop_columns([name for name in _INTERNAL if name in rows.column_names]), epoch)

    def dead(self, topic: Topic, epoch: int, owner: str) -> pa.Table:
        """The dead letters: position, ``arrived_at``, ``key``, ``value``, ``reason``, ``detail`` and `EPOCH`."""
        letters = self._load(topic, "dead", owner)
        arrived = letters.column("arrival").cast(pa.timestamp("us"))
        rows = letters.drop_columns(["arrival", "slice"]).append_column("arrived_at", arrived)
        return _numbered(rows, epoch)

    def _load(self, topic: Topic, kind: str, owner: str) -> pa.Table:
        return pa.table(self._state.load(topic.name, kind, [owner])[owner])


def _nothing(_: Records) -> pa.Table:
    """No id is known: duplicates have been left out before."""
    return pa.table(
        {"hi": pa.array([], pa.uint64()), "lo": pa.array([], pa.uint64()), "arrival": pa.array([], pa.int64())}
    )


def _positions(table: pa.Table) -> np.ndarray:
    return np.rec.fromarrays([table.column(name).to_numpy().astype(np.int64) for name in KEY])


def _numbered(rows: pa.Table, epoch: int) -> pa.Table:
    return rows.append_column(EPOCH, pa.array(np.full(rows.num_rows, epoch), pa.int64()))
