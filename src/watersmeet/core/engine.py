"""The port to what computes: a pure function of columns, with no clock, no disk and no memory of its own.

The same engine runs in the embedded process and inside a fleet's executors. Chunks in and out are `Records`. Columns:

    LOGGED    see `watersmeet.core.record`
    DECODED   every column of the topic (declared, computed) · event_time, arrived_at timestamp (µs, UTC)
              · partition int32 · offset int64 · slice int64 · _hi, _lo uint64 (128-bit digest of the id; absent without
              id) · _content uint64 (digest of the payload)
    DEAD      partition · offset · arrival int64 (µs) · slice · key · value · reason varchar · detail varchar
    CELLS     pane timestamp (null for all time) · [pane_end timestamp for sessions and a user's own windows]
              · one column a dimension
              · p0_… p1_… the partial columns of lift 0, 1, … (`watersmeet.core.measure.PARTIALS`)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .declarations import Declarations
from .ledger import Entry
from .record import Records
from .topic import Topic
from .view import CellSpec, View

Known = Callable[[Records], Records]
"""Looks ids up: a chunk of (hi, lo) in, a chunk of (hi, lo, arrival µs) out, with the greatest kept arrival of each id
that is known; ids that are not known have no row."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Payloads, decoded strictly: every record of the chunk is in exactly one of the two."""

    rows: Records
    dead: Records


@dataclass(frozen=True, slots=True)
class Decided:
    """The outcome of each decoded record.

    Args:
        used: DECODED rows that count, in the order (slice, partition, offset).
        kept: KEPT rows: ids to remember, of used and filtered records; empty for a topic without id.
        counts: partition -> (used, duplicates, filtered, conflicts).
        newest: partition -> greatest event time in µs of the records that are not dead.
    """

    used: Records
    kept: Records
    counts: Mapping[int, tuple[int, int, int, int]]
    newest: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Lifted:
    """Cells of one fingerprint, and how often an expression of it gave nothing usable."""

    cells: Records
    rows: int
    unusable: int


@dataclass(frozen=True, slots=True)
class Filter:
    """``column op value`` on finished rows; op is one of = != < <= > >= in, is_null, not_null."""

    column: str
    op: str
    value: object = None


@dataclass(frozen=True, slots=True)
class Order:
    """A sort key; nulls come last."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows of a finished view are wanted.

    Args:
        lower_us, upper_us: half-open range of the time column; None: unbounded.
        where: all must hold.
        order: default the key.
        limit: at most so many rows; None: all.
        after: values of the key columns of the last row already seen, for paging in key order.
        fill: give empty windows a row, between the range's bounds (both must be set).
        upto_us: greatest accepted event time of the topic: boundaries of running windows end just after it.
    """

    lower_us: int | None = None
    upper_us: int | None = None
    where: tuple[Filter, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    after: tuple[object, ...] = ()
    fill: bool = False
    upto_us: int | None = None


class Ids(Protocol):
    """The ids that a topic remembers: 128-bit digests with their greatest kept arrival. Private to a process."""

    def add(self, kept: Records) -> None:
        """Remember KEPT rows; of an id that is there already the greater arrival stays."""
        ...

    def lookup(self, ids: Records) -> Records:
        """A `Known`: (hi, lo) in, (hi, lo, arrival) of those that are remembered out."""
        ...

    def purge(self, below_us: int) -> None:
        """Forget ids whose arrival is below ``below_us``."""
        ...

    def count(self) -> int:
        """How many ids are remembered."""
        ...


@dataclass(frozen=True, slots=True)
class Rows:
    """Finished rows, and the columns in which some value is an estimate with its relative standard error."""

    rows: Records
    errors: Mapping[str, float]


class Held(Protocol):
    """Cells of one fingerprint kept ready for reading; private to a process, rebuilt from blobs at any time.

    Used by many threads: `update` is atomic, a reader sees the blocks before or after it.
    """

    def update(self, add: Mapping[str, Records], drop: Sequence[str] = (), *, base: bool = False) -> None:
        """Take in cells by owner and forget others. With ``base`` they are folded into the sorted base (batch runs)."""
        ...

    def owners(self) -> frozenset[str]:
        """Whose cells are held."""
        ...

    def rows(
        self,
        view: View,
        selection: Selection,
        *,
        owners: frozenset[str] | None = None,
        tops: Mapping[str, Held] | None = None,
        through: Records | None = None,
    ) -> Rows:
        """Merge, compose windows, present, derive, having, then the selection.

        The rows have the view's columns. Derived columns see as far back as their lookback, whatever the range.

        Args:
            view: a reading of these cells.
            selection: which rows.
            owners: only these cells; None: all.
            tops: holders of the view's `top` measures, by measure.
            through: all rows of ``view.through``.
        """
        ...

    def cells(self, *, owners: frozenset[str] | None = None) -> Records:
        """The merged CELLS, sorted by dimensions and pane."""
        ...

    def close(self) -> None:
        """Free the memory."""
        ...


class Engine(Protocol):
    """Decode, decide, lift, merge, present, query. Called from several threads."""

    def bind(self, declarations: Declarations) -> Mapping[str, Mapping[str, str]]:
        """Check every expression's types on empty tables; readable name -> column -> SQL type.

        Called by plan, dev and test, before any record. Raises `DeclarationError` naming the declaration's line.
        """
        ...

    def decode(self, topic: Topic, records: Records, reads: Collection[str] | None = None) -> Decoded:
        """LOGGED to DECODED and DEAD. Never raises for what a record contains.

        Args:
            topic: as what to decode.
            records: LOGGED.
            reads: the rows need but these columns of the topic (names in lower case); None: all. Which records are dead
                does not depend on it.
        """
        ...

    def decide(self, topic: Topic, rows: Records, known: Known) -> Decided:
        """Duplicate, filtered or used. Order is (slice, partition, offset); ``known`` is asked once."""
        ...

    def lift(self, topic: Topic, specs: Sequence[CellSpec], used: Records) -> Mapping[str, Lifted]:
        """Cells of the used rows for each fingerprint, all specs in one pass over the chunk."""
        ...

    def merge(self, spec: CellSpec, cells: Sequence[Records]) -> Records:
        """Add cells up: CELLS sorted by dimensions and pane, each address once."""
        ...

    def hold(self, spec: CellSpec) -> Held:
        """An empty holder for cells of ``spec``."""
        ...

    def ids(self) -> Ids:
        """An empty memory of ids."""
        ...

    def query(self, sql: str, tables: Mapping[str, Records], *, as_of_us: int, limit: int | None = None) -> Records:
        """Run a checked SELECT over tables. Raises `RequestError` when it fails or takes too much memory."""
        ...

    def select(self, rows: Records, selection: Selection, *, key: Sequence[str], time: str | None) -> Records:
        """Range, where, page, order and limit over finished rows of a query; ties are broken by ``key``."""
        ...


@dataclass(frozen=True, slots=True)
class Absorbed:
    """An interval, computed: what a commit makes durable.

    Args:
        lower, upper: the interval.
        cells: fingerprint -> cells.
        kept, dead: KEPT and DEAD chunks.
        ledger: one entry a partition.
        newest: partition -> greatest accepted event time in µs.
        arrivals: partition -> greatest arrival in µs.
    """

    lower: tuple[int, ...]
    upper: tuple[int, ...]
    cells: Mapping[str, Lifted]
    kept: Records
    dead: Records
    ledger: tuple[Entry, ...]
    newest: Mapping[int, int]
    arrivals: Mapping[int, int]
