"""The port to published tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .record import Records
from .table import Table


@dataclass(frozen=True, slots=True)
class Shape:
    """What a table looks like at its destination.

    Args:
        name: of the table.
        columns: (name, SQL type), in order.
        key: columns that identify a row.
        scope: the column by whose values it is written piece by piece; None: the table is one piece.
        partition, order: as declared.
        ttl_us: as declared.
        scope_us: of a scope that is a time: a piece is a stretch of so long, counted from 1970-01-01Z, and is named by
            its start; 0: a piece for each value.
    """

    name: str
    columns: tuple[tuple[str, str], ...]
    key: tuple[str, ...]
    scope: str | None
    partition: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    ttl_us: int | None = None
    scope_us: int = 0


class Sink(Protocol):
    """One destination.

    Every write carries a sequence number; a lower one than stored is refused, so a retry repeats itself and a writer
    that was overtaken cannot overwrite its successor.
    """

    def prepare(self, table: Table, shape: Shape) -> None:
        """Make the table if it is missing; one that exists in another shape raises `ConflictError`. Called by apply."""
        ...

    def write(self, shape: Shape, scope: object, upserts: Records, deletes: Records, sequence: int) -> None:
        """Put and delete rows of one scope, by key. Unchanged rows are not handed over.

        `ConflictError` if overtaken.
        """
        ...

    def replace(self, shape: Shape, scope: object, rows: Records, sequence: int) -> None:
        """Make a scope hold exactly ``rows``, at once: a reader sees the old or the new."""
        ...

    def probe(self) -> str:
        """Reach the destination and say what it is and its version; `UnavailableError` with a remedy if it cannot."""
        ...
