"""The applied declarations, as processes run them: read from the state, never from the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from . import catalogue, normal
from .catalogue import Catalogue, Duty
from .declarations import Declarations
from .errors import CorruptError, PendingError
from .function import RowFunction
from .query import Query
from .state import State
from .topic import Topic
from .view import CellSpec, View

Work = tuple[int, Topic, tuple[CellSpec, ...]]
"""What to do with the records of a topic: the number that commits carry, the topic, and the cells to make."""


@dataclass(frozen=True)
class Applied:
    """What is applied, and what of it is served.

    Args:
        catalogue: which editions are served, and the duty of each topic.
        stored: the version of the catalogue, for compare-and-set.
        declarations: the newest applied declarations.
        served: what answers, tables and alerts go by now: each name in the edition that is served, a name without one
            as it is declared (reading it says that it is pending), and the topics in force.
        sets: the stored declarations that some edition or duty refers to, by name.
        functions: the row and window functions at hand; None for a process that computes nothing.
    """

    catalogue: Catalogue
    stored: int
    declarations: Declarations
    served: Declarations
    sets: Mapping[str, Declarations] = field(repr=False)
    functions: Mapping[str, RowFunction] | None = field(repr=False)

    @property
    def number(self) -> int:
        """Of the catalogue; grows with every change of what runs."""
        return self.catalogue.number

    @property
    def pending(self) -> tuple[str, ...]:
        """Names whose newest edition is not served yet, and topics whose newest version is not in force."""
        names = [name.replace("/", " ", 1) for name in self.catalogue.pending]
        return (*names, *(f"topic {name}" for name in self.catalogue.waiting))

    def incomputable(self, functions: Mapping[str, RowFunction]) -> frozenset[str]:
        """The cells fingerprints, of all that some edition or duty refers to, whose window functions are not there."""
        known = (spec for declarations in self.sets.values() for spec in catalogue.specs(declarations))
        return frozenset(spec.fingerprint for spec in known if normal.absent(spec, functions))

    def absorbs(self, topic: str) -> Work:
        """What the speed layer does.

        Raises `PendingError` while nobody may commit: a new version of the topic is about to come into force.
        """
        if self._duty(topic).held:
            raise PendingError(
                f"topic {topic}",
                expected="its new version decided for all its history",
                remedy="the batch layer is at it; the speed layer goes on by itself afterwards",
            )
        return self._work(topic, self._in_force(topic))

    def recomputes(self, topic: str) -> tuple[Work, ...]:
        """What the batch layer does, in this order: by the version in force, then by the one that waits.

        The version in force is left out once its row functions are gone from the files.
        """
        duty, in_force = self._duty(topic), self._in_force(topic)
        gone = duty.held and self.functions is not None and normal.absent(in_force, self.functions)
        first = () if gone else (self._work(topic, in_force),)
        return (*first, self._work(topic, self.declarations.topic(topic))) if duty.waiting else first

    def _duty(self, topic: str) -> Duty:
        return self.catalogue.duties[self.declarations.topic(topic).name]

    def _in_force(self, topic: str) -> Topic:
        return self.sets[self._duty(topic).declarations].topic(topic)

    def _work(self, name: str, topic: Topic) -> Work:
        duty = self._duty(name)
        found = {
            spec.fingerprint: spec
            for declarations in self.sets.values()
            for spec in catalogue.specs(declarations)
            if spec.topic.name == name and spec.topic.version == topic.version and spec.fingerprint in duty.readable
        }
        return duty.number, topic, tuple(found[fp] for fp in sorted(found))


def applied(
    state: State, functions: Mapping[str, RowFunction] | None = None, last: Applied | None = None
) -> Applied | None:
    """What is applied now; None before the first apply.

    Args:
        state: the port.
        functions: the row and window functions of the files, by name. None: this process only reads or compares.
        last: what was found before, for the same functions; it is returned again while nothing has changed, so asking
            costs one small read.

    Raises `DeclarationError` if a function that is needed to go on is missing or has another source.
    """
    value = state.get(catalogue.SPACE, catalogue.KEY)
    if value is None:
        return None
    if last is not None and last.stored == value.version:
        return last
    c = catalogue.decode(value.data)
    known = last.sets if last is not None else {}
    sets = {name: known.get(name) or _stored(state, name, functions or {}) for name in _used(c)}
    declarations = sets[c.declarations]
    found = Applied(c, value.version, declarations, _served(c, sets), sets, functions)
    if functions is not None:
        _check(found, functions)
    return found


def _used(c: Catalogue) -> list[str]:
    editions = [*c.served.values(), *c.applied.values(), *(c.previous.editions.values() if c.previous else ())]
    duties = [duty for duty in c.duties.values() if not duty.absent]
    return sorted({c.declarations, *(e.declarations for e in editions), *(d.declarations for d in duties)})


def _stored(state: State, name: str, functions: Mapping[str, RowFunction]) -> Declarations:
    value = state.get("declarations", name)
    if value is None:
        raise CorruptError(f"declarations {name}", expected="what the catalogue refers to", got="nothing")
    return normal.decode(value.data, functions, strict=False) if functions else _without_functions(value.data)


@lru_cache(maxsize=16)
def _without_functions(data: bytes) -> Declarations:
    """Stored declarations never change under their name, and reading them means parsing each of their expressions."""
    return normal.decode(data, {}, strict=False)


def _served(c: Catalogue, sets: Mapping[str, Declarations]) -> Declarations:
    newest = sets[c.declarations]
    readables = {
        name: sets[c.served[name].declarations].readable(name) if name in c.served else readable
        for name, readable in newest.readables.items()
    }
    editions = {name.partition("/")[::2]: sets[edition.declarations] for name, edition in c.served.items()}
    return replace(
        newest,
        topics={name: sets[c.duties[name].declarations].topic(name) for name in newest.topics},
        views={name: item for name, item in readables.items() if isinstance(item, View)},
        queries={name: item for name, item in readables.items() if isinstance(item, Query)},
        tables={name: found.tables[name] for (kind, name), found in editions.items() if kind == "table"},
        alerts={name: found.alerts[name] for (kind, name), found in editions.items() if kind == "alert"},
    )


def _check(found: Applied, functions: Mapping[str, RowFunction]) -> None:
    """Refuse to work on a topic whose functions are not those that were applied."""
    for topic in found.declarations.topics.values():
        held = found.catalogue.duties[topic.name].held
        used = (topic,) if held else (topic, found.served.topics[topic.name])
        cells = (spec for _, _, specs in found.recomputes(topic.name) for spec in specs)
        for each in (*used, *cells):
            if refusals := normal.absent(each, functions):
                raise refusals[0]
