"""What is served, what runs and what will be: one value per app, changed by compare-and-set.

Every served name has an *edition*: where it is declared, what it means, and the cells that it rests on. ``served``
holds the editions that are answered from, ``applied`` those of the newest declarations; a name that differs is pending.

Each topic has a *duty*: the version that decides its records, the fingerprints that its commits hold, and a number that
they carry. What was served before stays restorable for a time. `watersmeet.core.succession` says how all this moves on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from . import plain
from .declarations import Declarations, views_of
from .errors import CorruptError
from .fingerprint import digest
from .query import Readable
from .state import State
from .table import Table
from .topic import Topic
from .view import CellSpec

SPACE, KEY = "catalogue", "current"


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one topic that an edition rests on: decided by a topic version, under these cells fingerprints."""

    topic: str
    version: str
    fingerprints: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edition:
    """One meaning of a served name.

    Args:
        declarations: the name under which the declarations that hold it are stored.
        fingerprint: the view fingerprint; of a table or alert, of everything that it says.
        cells: by topic; none for a table of a topic.
    """

    declarations: str
    fingerprint: str
    cells: tuple[Cells, ...]


@dataclass(frozen=True, slots=True)
class Duty:
    """What is done with the records of one topic.

    Args:
        number: what the manifest's declaration must be for a commit.
        declarations: the name of the stored declarations whose topic is in force.
        version: the topic version in force.
        readable: the cells fingerprints to keep, of the version in force and of the one that waits.
        waiting: the topic version to be taken up; empty when there is none.
        held: nobody may commit until it is.
        absent: the topic is not declared any more; nobody works on it.
    """

    number: int
    declarations: str
    version: str
    readable: tuple[str, ...] = ()
    waiting: str = ""
    held: bool = False
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Previous:
    """What was served before, restorable until ``until_us``; 0: the time has not begun, some name is still pending."""

    declarations: str
    editions: dict[str, Edition]
    until_us: int = 0


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that processes of an app agree on.

    Args:
        number: grows with every change of what runs; 0: nothing was ever applied.
        declarations: the name under which the applied declarations are stored.
        served, applied: editions by name; those of tables and alerts under ``table/<name>`` and ``alert/<name>``.
        duties: by topic.
        previous: what can be restored.
        applied_us, settled_us: when they were applied, and when the last name had moved (0: one is still pending).
        gone: cells fingerprints that nobody can compute any more, their window functions having left the files.
    """

    number: int = 0
    declarations: str = ""
    served: dict[str, Edition] = field(default_factory=dict)
    applied: dict[str, Edition] = field(default_factory=dict)
    duties: dict[str, Duty] = field(default_factory=dict)
    previous: Previous | None = None
    applied_us: int = 0
    settled_us: int = 0
    gone: tuple[str, ...] = ()

    @property
    def pending(self) -> tuple[str, ...]:
        """The names whose newest edition is not served yet."""
        return tuple(sorted(name for name, edition in self.applied.items() if self.served.get(name) != edition))

    @property
    def waiting(self) -> tuple[str, ...]:
        """The topics with a version that is not in force yet."""
        return tuple(sorted(name for name, duty in self.duties.items() if duty.waiting))

    def cells(self, topic: str) -> tuple[Cells, ...]:
        """The cells of a topic that some edition rests on: served, applied, or restorable."""
        before = self.previous.editions.values() if self.previous else ()
        found = (edition.cells for edition in (*self.served.values(), *self.applied.values(), *before))
        return tuple(dict.fromkeys(x for cells in found for x in cells if x.topic == topic))


_KINDS: dict[str, type] = {cls.__name__: cls for cls in (Catalogue, Cells, Duty, Edition, Previous)}


def load(state: State) -> tuple[Catalogue, int]:
    """The stored catalogue and its version, for compare-and-set; an empty one and 0 before the first apply."""
    value = state.get(SPACE, KEY)
    return (Catalogue(), 0) if value is None else (decode(value.data), value.version)


def store(state: State, catalogue: Catalogue, expected: int) -> int:
    """Replace the catalogue that has version ``expected``; `ConflictError` if somebody else was first."""
    return state.put(SPACE, KEY, encode(catalogue), expected)


def encode(catalogue: Catalogue) -> bytes:
    """As canonical JSON."""
    return plain.dumps(plain.written_out(catalogue, lambda _: None))


def decode(data: bytes) -> Catalogue:
    """Back from `encode`; `CorruptError` for other bytes."""

    def unknown(kind: str, of: plain.Plain) -> object:
        raise CorruptError("catalogue", expected="editions and duties", got=kind)

    found = plain.read(plain.loads(data, subject="catalogue"), _KINDS, unknown, subject="catalogue")
    if not isinstance(found, Catalogue):
        raise CorruptError("catalogue", expected="a catalogue", got=type(found).__name__)
    return found


def specs_of(readable: Readable) -> tuple[CellSpec, ...]:
    """The cells that a view or query rests on, each fingerprint once."""
    return tuple({spec.fingerprint: spec for view in views_of(readable) for spec in view.specs}.values())


def specs(declarations: Declarations) -> tuple[CellSpec, ...]:
    """The cells that everything in some declarations rests on."""
    return tuple({spec.fingerprint: spec for of in _readables(declarations) for spec in specs_of(of)}.values())


def editions(declarations: Declarations, stored: str) -> dict[str, Edition]:
    """The editions of everything that is served, of declarations that are stored as ``stored``."""
    out = {n: Edition(stored, r.fingerprint, _cells(r)) for n, r in declarations.readables.items()}
    for table in declarations.tables.values():
        out[f"table/{table.name}"] = Edition(stored, _meaning(table), _cells(table.of))
    for alert in declarations.alerts.values():
        says = (alert.of.fingerprint, alert.when, alert.for_us, alert.resolve_us, tuple(alert.notify), alert.severity)
        looks = () if alert.within_us is None else (alert.within_us,)
        out[f"alert/{alert.name}"] = Edition(stored, digest(*says, *looks), _cells(alert.of))
    return out


def _readables(declarations: Declarations) -> Iterator[Readable]:
    yield from declarations.readables.values()
    yield from (table.of for table in declarations.tables.values() if not isinstance(table.of, Topic))
    yield from (alert.of for alert in declarations.alerts.values())


def _cells(of: Topic | Readable) -> tuple[Cells, ...]:
    found: dict[tuple[str, str], set[str]] = {}
    for spec in () if isinstance(of, Topic) else specs_of(of):
        found.setdefault((spec.topic.name, spec.topic.version), set()).add(spec.fingerprint)
    return tuple(Cells(*address, tuple(sorted(fps))) for address, fps in sorted(found.items()))


def _meaning(table: Table) -> str:
    of = table.of.version if isinstance(table.of, Topic) else table.of.fingerprint
    shape = (tuple(table.partition), tuple(table.order), tuple(table.columns))
    return digest(of, table.to, shape, table.every_us, table.ttl_us, table.when, table.freeze_us, table.dead)
