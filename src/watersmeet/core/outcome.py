"""What became of an epoch's records under a topic version, and how another version comes into force.

A topic version decides each record's fate; cells, kept ids, dead letters and ledgers of two versions are never mixed:

    in force    T1 ──────────────────────────────┤ fence ├── T2 ──────────>     what the speed layer commits by
    batch, T1   epochs 0 … 7, audited            │       │
    batch, T2   epochs 0 … 6, from the archive   │ 7     │
    served      cells of T1 ─────────────────────────────┤ cells of T2

* The batch layer decides every epoch anew under the waiting version, in epoch order, from the ids that *that* version
  kept before: its outcomes stand in `Epoch.others`.
* The fence is a declaration number that nobody may commit under: it seals the open epoch and keeps the next one empty
  until the waiting version has decided every epoch that is sealed.
* Then, and only then, `take_up` puts the version in force: owners, ledgers and greatest event times become its own.
  From there the speed layer starts with all the ids that the version has kept so far, so for either version what is
  covered by runs and what is absorbed later are decided as if that version alone had always been in force.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .errors import ConflictError
from .ledger import Outcome
from .manifest import Epoch, Manifest, declare, roll


def outcome(m: Manifest, epoch: Epoch, topic_version: str) -> Outcome | None:
    """What the batch layer decided of an epoch under a version; None if it has not yet."""
    if topic_version in ("", m.topic_version):
        return Outcome(topic_version, epoch.owner, epoch.ledger) if epoch.owner else None
    return next((o for o in epoch.others if o.topic_version == topic_version), None)


def undecided(m: Manifest, topic_version: str) -> tuple[int, ...]:
    """The sealed epochs that the batch layer has not decided under a version, but for those that are lost."""
    lost = {gap.epoch for gap in m.gaps if gap.lost}
    return tuple(e.number for e in m.epochs if e.number not in lost and outcome(m, e, topic_version) is None)


def take_up(m: Manifest, number: int, readable: Iterable[str], now_us: int, topic_version: str) -> Manifest:
    """Take up declarations ``number`` and put a topic version in force, if it is not: `manifest.declare`, and more.

    What the version before decided stays in `Epoch.others`. Raises `ConflictError` while some record was absorbed that
    the new version has not decided.
    """
    rolled = roll(m, now_us)
    if m.topic_version in ("", topic_version):
        rolled = replace(rolled, topic_version=topic_version)
    elif waiting := undecided(rolled, topic_version):
        raise ConflictError(
            f"version {topic_version} of topic {m.topic}",
            expected="every record up to the frontier decided by it",
            got=f"epoch {waiting[0]} is not",
            remedy="the batch layer decides it next",
        )
    else:
        rolled = _exchanged(rolled, topic_version)
    return replace(declare(rolled, number, readable, now_us), version=m.version + 1)


def forget(m: Manifest, keep: frozenset[str]) -> Manifest:
    """Drop what versions outside ``keep`` and not in force had decided; the same manifest if there is nothing."""
    epochs = tuple(replace(e, others=tuple(o for o in e.others if o.topic_version in keep)) for e in m.epochs)
    return m if epochs == m.epochs else replace(m, version=m.version + 1, epochs=epochs)


def _exchanged(m: Manifest, topic_version: str) -> Manifest:
    """The manifest with the owners, ledgers and greatest event times of another version."""
    found = [o for e in m.epochs for o in e.others if o.topic_version == topic_version]
    times = m.event_times
    if found and all(o.newest for o in found):
        columns = zip(*(o.newest for o in found), strict=True)
        times = tuple(max((t for t in column if t is not None), default=None) for column in columns)
    epochs = tuple(_exchanged_epoch(m, epoch, topic_version) for epoch in m.epochs)
    return replace(m, topic_version=topic_version, epochs=epochs, event_times=times)


def _exchanged_epoch(m: Manifest, epoch: Epoch, topic_version: str) -> Epoch:
    new = outcome(m, epoch, topic_version)
    if new is None:  # lost: neither version has it
        return epoch
    old = (Outcome(m.topic_version, epoch.owner, epoch.ledger, m.event_times),) if epoch.owner else ()
    others = tuple(o for o in epoch.others if o is not new)
    return replace(epoch, owner=new.owner, ledger=new.ledger, others=(*others, *old))
