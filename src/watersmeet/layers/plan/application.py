"""Apply, swap and roll back.

An apply is decided by one compare-and-set of the catalogue. What comes before it (topics, manifests, the stored
declarations) is harmless if nothing follows; what comes after it (manifests take up their duty, names move) is done by
whoever calls `swap` next, or by applying again. So a crash anywhere is resumed, and of two applies one wins. Stored
declarations are never deleted: they are small, and a name of one may be on its way into a catalogue.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from watersmeet.core import catalogue, failpoint, normal, succession
from watersmeet.core.applied import Applied, applied
from watersmeet.core.catalogue import Catalogue
from watersmeet.core.clock import Clock
from watersmeet.core.declarations import Declarations
from watersmeet.core.duration import Duration, microseconds
from watersmeet.core.errors import ConflictError, RequestError
from watersmeet.core.function import RowFunction
from watersmeet.core.log import Log
from watersmeet.core.manifest import Manifest, Transition, create, drop_runs
from watersmeet.core.outcome import forget
from watersmeet.core.state import State
from watersmeet.core.topic import Topic

from .proposal import Plan

failpoint.declare("apply.topic.before", "apply.topic.created", "apply.topic.after", "apply.declarations.before")
failpoint.declare("apply.catalogue.before", "apply.catalogue.after", "swap.follow.before", "swap.follow.after")
failpoint.declare("swap.catalogue.before", "swap.catalogue.after", "swap.drop.before", "swap.drop.after")
_logger = logging.getLogger(__name__)
KEEP: Duration = "24h"


def apply(plan: Plan, state: State, log: Log, clock: Clock, *, keep: Duration = KEEP) -> Applied:
    """Make a plan's declarations the applied ones, and serve at once what can be served.

    Applying again what is applied already finishes whatever was left half done.

    Args:
        plan: of what.
        state, log, clock: the ports.
        keep: how long the declarations before stay restorable.

    Raises `ConflictError` if others were applied since the plan was made.
    """
    data = normal.encode(plan.proposed)
    stored = normal.name_of(data)
    old, _ = catalogue.load(state)
    is_applied = old.declarations == stored or (bool(old.number) and not plan.changes)
    if not is_applied and old.declarations != plan.base:
        raise _overtaken()
    for topic in plan.proposed.topics.values():
        _create(topic, state, log)
    if not is_applied:
        failpoint.hit("apply.declarations.before")
        state.put("declarations", stored, data)
        _propose(state, plan.proposed, stored, plan.base, clock)
    return _swapped(state, clock, keep, normal.functions(plan.proposed))


def rollback(state: State, clock: Clock, functions: Mapping[str, RowFunction], *, keep: Duration = KEEP) -> Applied:
    """Go back to what was served before: the declarations and, where their cells are kept, at once.

    Cells of an older topic version are kept up to when the newer one came into force; the batch layer computes the
    rest, and the newer version is served until then.

    Args:
        state, clock: the ports.
        functions: the row and window functions of the files, by name.
        keep: how long what is left now stays restorable.

    Raises `RequestError` (gone) if there is nothing to go back to, `DeclarationError` if a function of then is not
    in the files any more, `ConflictError` if somebody else applies at the same time.
    """
    swap(state, clock, keep=keep)
    old, _ = catalogue.load(state)
    if old.previous is None:
        raise RequestError(
            "rollback",
            kind="gone",
            expected=f"declarations that were served within the last {keep}",
            got="none" if old.number else "nothing was ever applied",
            remedy="restore the files and run 'watersmeet plan': it shows what is to be computed",
        )
    stored = old.previous.declarations
    value = state.get("declarations", stored)
    if value is None:
        raise RequestError("rollback", kind="gone", expected=f"declarations {stored}", got="none")
    declarations = normal.decode(value.data, functions)
    _propose(state, declarations, stored, old.declarations, clock)
    return _swapped(state, clock, keep, functions)


def swap(state: State, clock: Clock, *, keep: Duration = KEEP) -> tuple[str, ...]:
    """Serve what has become ready, and drop what nobody can go back to; called whenever the batch layer has published.

    Args:
        state, clock: the ports.
        keep: how long what was served before stays restorable.

    Returns the names that are still pending. Safe to call at any time, by any number of processes.
    """
    while True:
        c, version = catalogue.load(state)
        manifests = _follow(state, c, clock.now_us()) if version else None
        if manifests is None:
            return c.pending
        new = succession.advance(c, manifests, clock.now_us(), microseconds(keep))
        if new == c:
            _drop(state, c)
            return c.pending
        failpoint.hit("swap.catalogue.before")
        try:
            catalogue.store(state, new, version)
        except ConflictError:
            continue  # somebody else moved it on; look again
        failpoint.hit("swap.catalogue.after")
        if moved := sorted(set(c.pending) - set(new.pending)):
            _logger.info("now served in their newest edition: %s", ", ".join(moved))


def _swapped(state: State, clock: Clock, keep: Duration, functions: Mapping[str, RowFunction]) -> Applied:
    swap(state, clock, keep=keep)
    found = applied(state, functions)
    if found is None:
        raise ConflictError("catalogue", expected="what was just applied", got="nothing")
    return found


def _create(topic: Topic, state: State, log: Log) -> None:
    failpoint.hit("apply.topic.before")
    log.create(topic.name, topic.partitions, topic.retention_us)
    failpoint.hit("apply.topic.created")
    start = log.start(topic.name)
    state.change(topic.name, lambda m: create(m, start))
    failpoint.hit("apply.topic.after")


def _propose(state: State, declarations: Declarations, stored: str, base: str, clock: Clock) -> None:
    """Make stored declarations the applied ones in place of those called ``base``."""
    while True:
        found = applied(state)
        old, running, version = (found.catalogue, found.served.topics, found.stored) if found else (Catalogue(), {}, 0)
        if old.declarations == stored:
            return
        if old.declarations != base:
            raise _overtaken()
        above = max((state.manifest(name).declaration for name in declarations.topics), default=0)
        gone = found.incomputable(normal.functions(declarations)) if found else ()
        new = succession.propose(old, running, declarations, stored, clock.now_us(), above=above, gone=gone)
        failpoint.hit("apply.catalogue.before")
        try:
            catalogue.store(state, new, version)
        except ConflictError:
            continue  # a swap has moved it on, or somebody else applies
        failpoint.hit("apply.catalogue.after")
        return


def _overtaken() -> ConflictError:
    return ConflictError(
        "declarations",
        expected="those that the plan was made for",
        got="others, applied since",
        remedy="run 'watersmeet plan' again",
    )


def _follow(state: State, c: Catalogue, now_us: int) -> dict[str, Manifest] | None:
    """Bring every manifest to its duty; None if one cannot follow yet."""
    out = {}
    for name, duty in c.duties.items():
        m = state.manifest(name)
        if not m.version:
            return None  # an apply has stopped halfway
        if m.declaration < duty.number:
            failpoint.hit("swap.follow.before")
            try:
                m = state.change(name, succession.follow(duty, now_us))
            except ConflictError as error:
                _logger.info("topic %s does not follow yet: %s", name, error)
                return None
            failpoint.hit("swap.follow.after")
        out[name] = m
    return out


def _drop(state: State, c: Catalogue) -> None:
    """Forget the runs and outcomes that nobody can go back to."""
    for name in c.duties:
        transition = _forgetting(*succession.kept(c, name))
        m = state.manifest(name)
        if transition(m) is not m:
            failpoint.hit("swap.drop.before")
            state.change(name, transition)
            failpoint.hit("swap.drop.after")


def _forgetting(cells: frozenset[str], versions: frozenset[str]) -> Transition:
    def transition(m: Manifest) -> Manifest:
        out = forget(m, versions)
        for fingerprint in {run.fingerprint for run in m.runs} - cells - m.readable:
            out = drop_runs(out, fingerprint)
        return m if out is m else replace(out, version=m.version + 1)

    return transition
