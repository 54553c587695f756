"""How one catalogue follows another: by a proposal, and by what the batch layer has covered since.

* A name moves from one edition to the next in one step, and only when every cell of the new one is there: each sealed
  epoch covered by its runs or held in live blocks, or lost for ever. So a query moves together with all its inputs.
* Manifests follow the duty of their topic (`follow`), never the other way round; whoever finds one behind brings it up.
* A new topic version waits while the batch layer decides all history anew. Then its topics are *held* (nobody commits),
  what is left is decided, and all names that it touches move at once: no answer ever mixes versions, and none is behind
  for longer than it takes to work off one epoch.
* What was served before stays restorable for a time, which begins when the last name has moved.

All of it is pure: a catalogue and manifests in, a catalogue out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from . import normal
from .catalogue import Catalogue, Duty, Edition, Previous, editions
from .declarations import Declarations
from .manifest import Manifest, Transition, cover, declare
from .outcome import take_up, undecided
from .topic import Topic


def propose(
    old: Catalogue,
    running: Mapping[str, Topic],
    declarations: Declarations,
    stored: str,
    now_us: int,
    *,
    above: int = 0,
    gone: Collection[str] = (),
) -> Catalogue:
    """The catalogue in which ``declarations`` are the applied ones.

    Names whose meaning stays, or whose cells are all served already, move at once; removed ones are gone; the others
    keep their edition unless nobody can compute its cells any more, or wait for their first.

    Args:
        old: the catalogue to change.
        running: the topics in force that somebody works on, as the stored declarations have them.
        declarations: to be applied.
        stored: the name under which they are stored.
        now_us: the clock.
        above: the number will be higher than this, and than that of the old catalogue.
        gone: known cells fingerprints whose window functions the declarations do not have.
    """
    number, new = max(old.number, above) + 1, editions(declarations, stored)
    have = {address for edition in old.served.values() for address in _addresses(edition)}
    served = {}
    for name, edition in new.items():
        was = old.served.get(name)
        if (was is not None and was.fingerprint == edition.fingerprint) or _addresses(edition) <= have:
            served[name] = edition
        elif was is not None and not any(fingerprint in gone for _, _, fingerprint in _addresses(was)):
            served[name] = was
    previous = old.previous
    if old.number and not old.pending and not old.waiting:
        previous = Previous(old.declarations, old.served)
    if previous is not None and previous.declarations == stored:
        previous = None
    functions = normal.functions(declarations)
    duties = {n: replace(d, absent=True, waiting="", held=False) for n, d in old.duties.items()}
    changed = set()
    for topic in declarations.topics.values():
        duty, now = old.duties.get(topic.name), running.get(topic.name)
        if duty is None or duty.version == topic.version:
            duties[topic.name] = Duty(number, stored, topic.version)
            if now is None or _settings(now) != _settings(topic):
                changed.add(topic.name)
        else:
            # Once the old row functions are gone from the files, no process can go on by the version in force.
            held = now is None or bool(normal.absent(now, functions))
            duties[topic.name] = replace(duty, waiting=topic.version, held=held, absent=False)
    proposed = Catalogue(number, stored, served, new, duties, previous, now_us, gone=tuple(sorted(gone)))
    return _numbered(old, proposed, number, changed)


def advance(c: Catalogue, manifests: Mapping[str, Manifest], now_us: int, keep_us: int) -> Catalogue:
    """The next step that the manifests allow; an equal catalogue if there is none.

    Args:
        c: the catalogue.
        manifests: of every topic that is not absent; all of them follow their duty.
        now_us: the clock.
        keep_us: how long the previous editions stay restorable once the last name has moved.
    """
    waiting = set(c.waiting)
    touched = {
        name
        for name, edition in c.applied.items()
        if _topics(edition) & waiting or (name in c.served and _topics(c.served[name]) & waiting)
    }
    missing = {name: _missing(c.applied[name], manifests) for name in {*touched, *c.pending}}
    moved = {name for name in c.pending if name not in touched and not missing[name]}
    undone = any(undecided(manifests[t], c.duties[t].waiting) for t in waiting)
    duties = dict(c.duties)
    if waiting and not undone:
        still = {address for name in touched for address in missing[name]}
        if all(duties[t].held for t in waiting):
            if not still:
                moved |= touched
                duties.update((t, Duty(0, c.declarations, duties[t].waiting)) for t in waiting)
        elif still <= {(t, manifests[t].open_epoch) for t in waiting}:
            duties.update((t, replace(duties[t], held=True)) for t in waiting)
    served = {name: c.applied[name] if name in moved else edition for name, edition in c.served.items()}
    served.update((name, c.applied[name]) for name in moved)
    new = _aged(replace(c, served=served, duties=duties), now_us, keep_us)
    return _numbered(c, new, c.number + 1, set())


def follow(duty: Duty, now_us: int) -> Transition:
    """The change that brings a manifest to its duty; nothing if it is there already.

    Raises `ConflictError` when a version is to come into force that has not decided every sealed epoch.
    """

    def transition(m: Manifest) -> Manifest:
        if m.declaration >= duty.number:
            return m
        if duty.held or duty.absent:
            return declare(m, duty.number, duty.readable, now_us)
        return take_up(m, duty.number, duty.readable, now_us, duty.version)

    return transition


def kept(c: Catalogue, topic: str) -> tuple[frozenset[str], frozenset[str]]:
    """The cells fingerprints and the topic versions of a topic that must not be dropped."""
    duty, cells = c.duties[topic], c.cells(topic)
    fingerprints = frozenset(fp for x in cells for fp in x.fingerprints)
    return fingerprints, frozenset(x.version for x in cells) | {duty.version, duty.waiting}


def _settings(topic: Topic) -> tuple[object, ...]:
    """What runners heed of a topic besides its version."""
    return (topic.lateness_us, topic.idle_us, topic.retention_us, topic.horizon_us, topic.key, topic.zone)


def _topics(edition: Edition) -> set[str]:
    return {cells.topic for cells in edition.cells}


def _addresses(edition: Edition) -> set[tuple[str, str, str]]:
    return {(x.topic, x.version, fp) for x in edition.cells for fp in x.fingerprints}


def _missing(edition: Edition, manifests: Mapping[str, Manifest]) -> set[tuple[str, int]]:
    """(topic, epoch) where some cells are not there and will be; what is lost for ever is not waited for."""
    out = set()
    for cells in edition.cells:
        m = manifests[cells.topic]
        lost = {gap.epoch for gap in m.gaps if gap.lost}
        for fingerprint in cells.fingerprints:
            out |= {(m.topic, epoch) for epoch in cover(m, fingerprint).missing if epoch not in lost}
    return out


def _aged(c: Catalogue, now_us: int, keep_us: int) -> Catalogue:
    """Start the time of what was served before once nothing is pending, and end it."""
    if c.pending or c.waiting:
        return c
    previous = c.previous
    if not c.settled_us:
        c = replace(c, settled_us=now_us)
        previous = replace(previous, until_us=now_us + keep_us) if previous else None
    if previous is not None and now_us >= previous.until_us:
        previous = None
    return replace(c, previous=previous)


def _numbered(old: Catalogue, new: Catalogue, number: int, changed: Iterable[str]) -> Catalogue:
    """Give each duty the fingerprints that it keeps, and ``number`` to those that this or anything else changes."""
    duties = {}
    for name, duty in new.duties.items():
        now = replace(duty, readable=_readable(new, name, duty))
        was = old.duties.get(name)
        same = was is not None and replace(was, number=0, declarations="") == replace(now, number=0, declarations="")
        duties[name] = replace(now, number=was.number if was and same and name not in changed else number)
    newest = max((duty.number for duty in duties.values()), default=0)
    return replace(new, duties=duties, number=max(new.number, newest))


def _readable(c: Catalogue, topic: str, duty: Duty) -> tuple[str, ...]:
    if duty.absent:
        return ()
    found = (x.fingerprints for x in c.cells(topic) if x.version in (duty.version, duty.waiting))
    return tuple(sorted({fp for fingerprints in found for fp in fingerprints} - set(c.gone)))
