"""The plan: what applying a proposal would do, worked out without doing any of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from watersmeet.core import catalogue, normal, succession
from watersmeet.core.applied import Applied, applied
from watersmeet.core.catalogue import Catalogue, Cells
from watersmeet.core.clock import Clock
from watersmeet.core.declarations import Declarations
from watersmeet.core.duration import microseconds, text
from watersmeet.core.errors import DeclarationError, RequestError
from watersmeet.core.log import Log
from watersmeet.core.manifest import Manifest
from watersmeet.core.outcome import undecided
from watersmeet.core.state import State

from .difference import Change, differences
from .exclusion import carried
from .workload import ID_BYTES, Backfill, amount, arrival_rate, backfill, growth, id_bytes, longest_horizon, owed_epochs

ID_LIMIT_BYTES = 4_000_000_000
SPEED_RETENTION = "48h"
MARGIN = "6h"
_SAYS = {
    "settings": "recomputes nothing",
    "presentation": "presentation only, keeps its cells: recomputes nothing",
    "cells": "new cells, served once their history is computed",
    "outcomes": "a new topic version: every record is decided anew, the old one is served until then",
}
_SIGNS = {"added": "+", "changed": "~", "removed": "-"}


class Binds(Protocol):
    """What a plan asks of an `Engine`."""

    def bind(self, declarations: Declarations) -> Mapping[str, Mapping[str, str]]:
        """See `watersmeet.core.engine.Engine.bind`."""
        ...


@dataclass(frozen=True, slots=True)
class Facts:
    """What the ports do not tell, where it is known.

    Args:
        records_per_second: arrivals by topic; default what the manifests show.
        keys: how many keys a view holds now, by name.
        log_retention_us: by topic, for logs that delete by age whether or not the archive has the records.
        id_limit_bytes: refuse a topic whose remembered ids would take more.
    """

    records_per_second: Mapping[str, float] = field(default_factory=dict)
    keys: Mapping[str, int] = field(default_factory=dict)
    log_retention_us: Mapping[str, int] = field(default_factory=dict)
    id_limit_bytes: int = ID_LIMIT_BYTES


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply would do.

    Args:
        proposed: the declarations to apply, with all exclusions.
        base: name of the stored declarations that it was worked out against, empty if nothing was applied; once others
            are applied, the plan is refused.
        number: of the applied declarations; 0: nothing is applied.
        changes: empty when nothing changes.
        unchanged: names of everything else, tables and alerts as ``table/<name>`` and ``alert/<name>``.
        creates: topics that the log does not have yet, and their partitions.
        pending: names that keep their old edition, or get none, until history has been computed.
        backfills: history that is to be computed.
        held: topics that take in nothing new until their history is computed.
        notes: what is worth knowing; one line each.
    """

    proposed: Declarations = field(repr=False)
    base: str
    number: int
    changes: tuple[Change, ...]
    unchanged: tuple[str, ...]
    creates: tuple[tuple[str, int], ...]
    pending: tuple[str, ...]
    backfills: tuple[Backfill, ...]
    held: tuple[str, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON; the keys are those of the fields, without ``proposed``."""
        return {
            "format": 1,
            "base": self.base,
            "number": self.number,
            "changes": [{**asdict(change), "parts": list(change.parts)} for change in self.changes],
            "unchanged": list(self.unchanged),
            "creates": [{"topic": name, "partitions": count} for name, count in self.creates],
            "pending": list(self.pending),
            "backfills": [asdict(item) for item in self.backfills],
            "held": list(self.held),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The plan as people read it."""
        out = []
        for change in self.changes:
            out.append(f"{_SIGNS[change.action]} {change.kind} {change.name}{self._says(change)}")
            out += [f"    {part}" for part in change.parts]
        out += [f"create topic {name} with {_count(partitions, 'partition')}" for name, partitions in self.creates]
        for item in self.backfills:
            how = "measured" if item.measured else "assumed"
            out.append(
                f"compute {_count(item.epochs, 'epoch')} of {item.topic}: about {_count(item.records, 'record')}, "
                f"{item.seconds:,.0f} s at {item.rate:,.0f} records/s ({how})"
            )
        out += [f"note: {note}" for note in self.notes]
        return out if self.changes else ["no changes", *out]

    def _says(self, change: Change) -> str:
        if change.action == "removed" or (change.kind, change.action) == ("topic", "added"):
            return ""
        if change.effect == "cells" and _name(change) not in self.pending:
            return ": new cells, and no history to compute"
        return f": {_SAYS[change.effect]}"


def plan(
    proposed: Declarations,
    state: State,
    log: Log,
    engine: Binds,
    clock: Clock,
    *,
    facts: Facts | None = None,
    exclusions: bool = False,
) -> Plan:
    """Work out what applying ``proposed`` would do; changes nothing.

    Args:
        proposed: the declarations as the files have them, or as `exclude` and `lift` return them.
        state, log, clock: the ports.
        engine: checks the types of every expression.
        facts: what else is known.
        exclusions: the proposal's exclusions are meant; by default the applied ones are kept.

    Raises `DeclarationError` for anything that cannot be applied.
    """
    facts, old = facts or Facts(), applied(state)
    if not exclusions:
        proposed = carried(proposed, old.declarations if old else None)
    engine.bind(proposed)
    stored = normal.name_of(normal.encode(proposed))
    _check_topics_are_declared(proposed)
    rates = {name: _rate(name, state, clock, facts) for name in proposed.topics}
    changes = differences(old.declarations if old else None, proposed)
    changed = {(c.kind, c.name) for c in changes}
    creates = _creates(proposed, log)
    notes = _id_notes(proposed, rates, changed, facts)
    _check_log_retention(proposed, facts)
    after = _after(old, proposed, stored, clock) if changes or old is None else old.catalogue
    held = tuple(sorted(name for name, duty in after.duties.items() if duty.held))
    if changes:
        notes += [f"topic {t} counts nothing new until then: its old row functions are not in the files" for t in held]
    notes += [
        note
        for view in proposed.views.values()
        if ("view", view.name) in changed
        if (note := growth(view, rates[view.topic.name], facts.keys.get(view.name))) is not None
    ]
    manifests = {name: state.manifest(name) for name, duty in sorted(after.duties.items()) if not duty.absent}
    pending = tuple(n for n in after.pending if any(_is_owed(after, manifests, x) for x in after.applied[n].cells))
    unserved = [n for n in pending if old and n in old.catalogue.served and n not in after.served]
    notes += [f"{n} is not served until then: its old window function is not in the files" for n in unserved]
    backfills = tuple(
        found for name, m in manifests.items() if (found := backfill(state, m, after.duties[name])) is not None
    )
    return Plan(
        proposed,
        old.catalogue.declarations if old else "",
        old.number if old else 0,
        changes,
        tuple(sorted(_names(proposed) - {_name(c) for c in changes})),
        creates,
        pending,
        backfills,
        held,
        tuple(notes),
    )


def _is_owed(after: Catalogue, manifests: Mapping[str, Manifest], cells: Cells) -> bool:
    """Whether something is to be computed before these cells can be served."""
    m, duty = manifests[cells.topic], after.duties[cells.topic]
    return bool(owed_epochs(m, cells.fingerprints) or (duty.waiting and undecided(m, duty.waiting)))


def _after(old: Applied | None, proposed: Declarations, stored: str, clock: Clock) -> Catalogue:
    before, running = (old.catalogue, old.served.topics) if old else (Catalogue(), {})
    gone = old.incomputable(normal.functions(proposed)) if old else ()
    return succession.propose(before, running, proposed, stored, clock.now_us(), gone=gone)


def _rate(name: str, state: State, clock: Clock, facts: Facts) -> float | None:
    return facts.records_per_second.get(name) or arrival_rate(state.manifest(name), clock.now_us())


def _check_topics_are_declared(proposed: Declarations) -> None:
    for name, edition in catalogue.editions(proposed, "").items():
        for cells in edition.cells:
            if cells.topic not in proposed.topics or proposed.topics[cells.topic].version != cells.version:
                raise DeclarationError(
                    name.replace("/", " "), expected=f"topic {cells.topic} among the declarations, and the same one"
                )


def _creates(proposed: Declarations, log: Log) -> tuple[tuple[str, int], ...]:
    """The topics that the log does not have; one with another number of partitions is refused."""
    out = []
    for topic in sorted(proposed.topics.values(), key=lambda t: t.name):
        try:
            existing = log.partitions(topic.name)
        except RequestError:
            out.append((topic.name, topic.partitions))
            continue
        if existing != topic.partitions:
            raise DeclarationError(
                f"partitions of topic {topic.name}",
                expected=f"{existing}, as it was created",
                got=str(topic.partitions),
                remedy="keep the number, or declare a topic of another name",
                where=topic.where_declared,
            )
    return tuple(out)


def _id_notes(
    proposed: Declarations, rates: Mapping[str, float | None], changed: set[tuple[str, str]], facts: Facts
) -> list[str]:
    """What remembering ids costs each topic that is new or changes; refused above the limit."""
    out = []
    for topic in proposed.topics.values():
        rate = rates[topic.name]
        if not (topic.id and rate and ("topic", topic.name) in changed):
            continue
        bytes_ = id_bytes(topic, rate)
        cost = f"{rate:,.3g} records/s x {text(topic.horizon_us)} x {ID_BYTES} bytes = {amount(bytes_)}"
        if bytes_ > facts.id_limit_bytes:
            raise DeclarationError(
                f"horizon of topic {topic.name}",
                expected=f"ids that take at most {amount(facts.id_limit_bytes)}",
                got=cost,
                remedy=f'declare horizon="{longest_horizon(rate, facts.id_limit_bytes)}" or less',
                where=topic.where_declared,
            )
        out.append(f"topic {topic.name} remembers ids: {cost}")
    return out


def _check_log_retention(proposed: Declarations, facts: Facts) -> None:
    least_us = microseconds(SPEED_RETENTION) + microseconds(MARGIN)
    for name, kept_us in facts.log_retention_us.items():
        if name in proposed.topics and kept_us < least_us:
            raise DeclarationError(
                f"retention of topic {name} in its log",
                expected=f"at least {text(least_us)}: {SPEED_RETENTION} that the batch layer may be late, and a margin",
                got=text(kept_us),
                remedy="raise it in the log's own settings",
                where=proposed.topics[name].where_declared,
            )


def _names(declarations: Declarations) -> set[str]:
    return {f"topic/{name}" for name in declarations.topics} | set(catalogue.editions(declarations, ""))


def _name(change: Change) -> str:
    return change.name if change.kind in ("view", "query") else f"{change.kind}/{change.name}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
