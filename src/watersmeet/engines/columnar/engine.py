"""The columnar engine: `watersmeet.core.engine.Engine` over DuckDB in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from ...core.declarations import Declarations
from ...core.engine import Decided, Decoded, Known, Lifted, Selection
from ...core.record import Records
from ...core.schemas import Schemas
from ...core.topic import Topic
from ...core.view import CellSpec
from . import macros
from .bind import bind
from .columns import Columns
from .database import Database
from .decide import decide
from .decode import Decoder
from .held import ColumnarHeld
from .ids import TieredIds
from .lift import lift
from .merge import merge
from .query import Queries


class ColumnarEngine:
    """Decode, decide, lift, merge, present, query: columns in, columns out. Used by many threads.

    Args:
        threads: how many DuckDB may use; None: one a core.
        memory: limit such as ``"2GB"``; None: DuckDB's default.
        schemas: where the schemas of topics in Avro are; None: such topics cannot be decoded (`SettingsError`).
    """

    def __init__(
        self, *, threads: int | None = None, memory: str | None = None, schemas: Schemas | None = None
    ) -> None:
        self._database = Database(threads, memory)
        with self._database.cursor() as cursor:
            macros.install(cursor)
        self._columns = Columns(self._database)
        self._decoder = Decoder(self._columns, schemas)
        self._queries = Queries()

    def bind(self, declarations: Declarations) -> Mapping[str, Mapping[str, str]]:
        """See `watersmeet.core.engine.Engine.bind`."""
        return bind(self._columns, declarations)

    def decode(self, topic: Topic, records: Records, reads: Collection[str] | None = None) -> Decoded:
        """See `watersmeet.core.engine.Engine.decode`."""
        return self._decoder.decode(topic, records, reads)

    def decide(self, topic: Topic, rows: Records, known: Known) -> Decided:
        """See `watersmeet.core.engine.Engine.decide`."""
        return decide(self._columns, topic, rows, known)

    def lift(self, topic: Topic, specs: Sequence[CellSpec], used: Records) -> Mapping[str, Lifted]:
        """See `watersmeet.core.engine.Engine.lift`."""
        return lift(self._columns, topic, specs, used)

    def merge(self, spec: CellSpec, cells: Sequence[Records]) -> pa.Table:
        """See `watersmeet.core.engine.Engine.merge`."""
        return merge(self._database, spec, cells)

    def ids(self) -> TieredIds:
        """See `watersmeet.core.engine.Engine.ids`."""
        return TieredIds()

    def hold(self, spec: CellSpec) -> ColumnarHeld:
        """See `watersmeet.core.engine.Engine.hold`."""
        return ColumnarHeld(self._columns, spec)

    def query(self, sql: str, tables: Mapping[str, Records], *, as_of_us: int, limit: int | None = None) -> pa.Table:
        """See `watersmeet.core.engine.Engine.query`."""
        return self._queries.run(sql, tables, as_of_us=as_of_us, limit=limit)

    def select(self, rows: Records, selection: Selection, *, key: Sequence[str], time: str | None) -> pa.Table:
        """See `watersmeet.core.engine.Engine.select`."""
        return self._queries.select(rows, selection, key=key, time=time)
