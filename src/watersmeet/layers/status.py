"""One status, built from durable state alone: the CLI, ``/metrics``, the dashboard and alerts all show this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from watersmeet.core.clock import Clock
from watersmeet.core.declarations import Declarations
from watersmeet.core.errors import UnavailableError
from watersmeet.core.finding import Finding, match_rate
from watersmeet.core.frontier import size
from watersmeet.core.ledger import Totals, total
from watersmeet.core.log import Log
from watersmeet.core.manifest import Manifest, cover, covered
from watersmeet.core.state import State
from watersmeet.core.view import View


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """One topic.

    Args:
        name: of the topic.
        received, used, duplicates, dead, filtered, holes, late, conflicts: of the ledger up to the frontier.
        balanced: whether every record received has exactly one outcome.
        unread: records beyond the frontier; None: the log does not answer.
        epochs, archived, published: how many sealed epochs; how many of them the archive has, and the batch layer owns.
        open_slices, blocks, runs: live entries.
        generation, holder: of the speed lease.
        watermark_us, newest_us, arrival_us: event time that is final; greatest event time; greatest arrival.
        freshness_seconds: age of the newest record that is in the answers, by arrival; None before the first.
        gaps: epochs that neither layer can give.
    """

    name: str
    received: int
    used: int
    duplicates: int
    dead: int
    filtered: int
    holes: int
    late: int
    conflicts: int
    balanced: bool
    unread: int | None
    epochs: int
    archived: int
    published: int
    open_slices: int
    blocks: int
    runs: int
    generation: int
    holder: str
    watermark_us: int | None
    newest_us: int | None
    arrival_us: int | None
    freshness_seconds: float | None
    gaps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ViewStatus:
    """One view or query: whether it is served, and how far its history is covered.

    ``state`` is ``served``, ``pending`` (history is being covered) or ``incomplete`` (there is a gap).
    """

    name: str
    kind: str
    state: str
    covered: int
    epochs: int


@dataclass(frozen=True, slots=True)
class Status:
    """Everything at once.

    Args:
        at_us: when.
        declaration: number of the applied declarations; 0: nothing is applied.
        pending: names that differ between the files and what is applied.
        topics, views: in order of name.
        ledger: totals over all topics.
        balanced: whether every topic's ledger balances.
        match_rate, audited_cells, audited_epochs, mismatches: of the audit; the rate is None before the first.
    """

    at_us: int
    declaration: int
    pending: tuple[str, ...]
    topics: tuple[TopicStatus, ...]
    views: tuple[ViewStatus, ...]
    ledger: Totals
    balanced: bool
    match_rate: float | None
    audited_cells: int
    audited_epochs: int
    mismatches: int

    def as_dict(self) -> dict[str, object]:
        """Plain values, ready for JSON."""
        return asdict(self)


def ledger(m: Manifest) -> Totals:
    """What became of every record of a topic that either layer has decided."""
    unsealed = [entry for s in m.slices if s.epoch == m.open_epoch for entry in s.ledger]
    return total([entry for epoch in m.epochs for entry in epoch.ledger] + unsealed)


def findings(state: State) -> list[Finding]:
    """Every stored audit, oldest epoch first."""
    return [Finding.decode(value.data) for value in state.scan("audits").values()]


def status(
    declarations: Declarations, number: int, state: State, log: Log, clock: Clock, *, pending: Iterable[str] = ()
) -> Status:
    """Look at everything once.

    Args:
        declarations, number: as applied.
        state, log, clock: the ports.
        pending: names that differ between the files and what is applied.
    """
    manifests = {name: state.manifest(name) for name in sorted(declarations.topics)}
    unread = _unread([m for m in manifests.values() if m.version], log)
    topics = tuple(_topic(m, unread[name], clock) for name, m in manifests.items() if m.version)
    views = tuple(_view(name, declarations, manifests) for name in sorted(declarations.readables))
    audits = findings(state)
    rate, cells = match_rate(audits)
    sums = total(ledger(m) for m in manifests.values())
    return Status(
        clock.now_us(),
        number,
        tuple(pending),
        topics,
        views,
        sums,
        all(t.balanced for t in topics),
        rate,
        cells,
        len({(f.topic, f.epoch) for f in audits}),
        sum(not f.matches for f in audits),
    )


def _topic(m: Manifest, unread: int | None, clock: Clock) -> TopicStatus:
    sums = ledger(m)
    arrival = max((a for a in m.arrivals if a is not None), default=None)
    return TopicStatus(
        m.topic,
        sums.received,
        sums.used,
        sums.duplicates,
        sums.dead,
        sums.filtered,
        sums.holes,
        sums.late,
        sums.conflicts,
        sums.balanced,
        unread,
        len(m.epochs),
        sum(e.archived for e in m.epochs),
        sum(bool(e.owner) for e in m.epochs),
        sum(s.epoch == m.open_epoch for s in m.slices),
        len(m.blocks),
        len(m.runs),
        m.generation,
        m.holder,
        m.watermark_us,
        max((t for t in m.event_times if t is not None), default=None),
        arrival,
        None if arrival is None else max(0.0, (clock.now_us() - arrival) / 1e6),
        tuple(gap.epoch for gap in m.gaps),
    )


def _unread(manifests: Iterable[Manifest], log: Log) -> Mapping[str, int | None]:
    """By topic; None from the first on for which the log does not answer, so that it is waited for once."""
    found: dict[str, int | None] = {}
    failing = False
    for m in manifests:
        try:
            found[m.topic] = None if failing else size(m.frontier, log.end(m.topic))
        except UnavailableError:
            found[m.topic], failing = None, True
    return found


def _view(name: str, declarations: Declarations, manifests: Mapping[str, Manifest]) -> ViewStatus:
    readable = declarations.readables[name]
    views = (readable,) if isinstance(readable, View) else readable.views
    kind = "view" if isinstance(readable, View) else "query"
    done, epochs, state = 0, 0, "served"
    for spec in (spec for view in views for spec in view.specs):
        m = manifests[spec.topic.name]
        epochs += len(m.epochs)
        done += len(covered(m, spec.fingerprint))
        missing = set(cover(m, spec.fingerprint).missing)
        if missing - {gap.epoch for gap in m.gaps}:
            state = "pending"
        elif missing and state == "served":
            state = "incomplete"
    return ViewStatus(name, kind, state, done, epochs)
