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
* Then, and only then, `take_over` puts the version in force: owners, ledgers and greatest event times become its own.
  From there the speed layer starts with all the ids that the version has kept so far, so for either version what is
  covered by runs and what is absorbed later are decided as if that version alone had always been in force.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .errors import ConflictError
from .ledger import Entry

if TYPE_CHECKING:
    from .manifest import Epoch, Manifest


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the batch layer decided of one epoch under a topic version.

    Args:
        topic_version: which.
        owner: of its ``ids`` and ``dead`` blobs.
        ledger: one entry a partition.
        newest: greatest accepted event time in µs, for each partition; empty if it is not known.
    """

    topic_version: str
    owner: str
    ledger: tuple[Entry, ...]
    newest: tuple[int | None, ...] = ()


def outcome(m: Manifest, epoch: Epoch, topic_version: str) -> Outcome | None:
    """What the batch layer decided of an epoch under a version; None if it has not yet."""
    if topic_version in ("", m.topic_version):
        return Outcome(topic_version, epoch.owner, epoch.ledger) if epoch.owner else None
    return next((o for o in epoch.others if o.topic_version == topic_version), None)


def undecided(m: Manifest, topic_version: str) -> tuple[int, ...]:
    """The sealed epochs that the batch layer has not decided under a version, but for those that are lost."""
    lost = {gap.epoch for gap in m.gaps if gap.lost}
    return tuple(e.number for e in m.epochs if e.number not in lost and outcome(m, e, topic_version) is None)


def take_over(m: Manifest, topic_version: str) -> Manifest:
    """Put a version in force; what the one before decided stays in `Epoch.others`.

    Raises `ConflictError` while some record was absorbed that the version has not decided. The caller counts the
    manifest's version on.
    """
    if m.topic_version in ("", topic_version):
        return replace(m, topic_version=topic_version)
    waiting = undecided(m, topic_version)
    if waiting or any(s.epoch == m.open_epoch for s in m.slices):
        raise ConflictError(
            f"version {topic_version} of topic {m.topic}",
            expected="every record up to the frontier decided by it",
            got=f"epoch {waiting[0] if waiting else m.open_epoch} is not",
            remedy="the batch layer decides it next",
        )
    found = [o for e in m.epochs for o in e.others if o.topic_version == topic_version]
    return replace(
        m,
        topic_version=topic_version,
        epochs=tuple(_exchanged(m, e, topic_version) for e in m.epochs),
        event_times=_greatest(m, found),
    )


def forget(m: Manifest, keep: frozenset[str]) -> Manifest:
    """Drop what versions outside ``keep`` and not in force had decided; the same manifest if there is nothing."""
    epochs = tuple(replace(e, others=tuple(o for o in e.others if o.topic_version in keep)) for e in m.epochs)
    return m if epochs == m.epochs else replace(m, version=m.version + 1, epochs=epochs)


def _exchanged(m: Manifest, epoch: Epoch, topic_version: str) -> Epoch:
    """The epoch with the outcome of a version in force, and the one that was there before among the others."""
    new = outcome(m, epoch, topic_version)
    if new is None:  # lost: neither version has it
        return epoch
    old = (Outcome(m.topic_version, epoch.owner, epoch.ledger, m.event_times),) if epoch.owner else ()
    others = tuple(o for o in epoch.others if o is not new)
    return replace(epoch, owner=new.owner, ledger=new.ledger, others=(*others, *old))


def _greatest(m: Manifest, found: list[Outcome]) -> tuple[int | None, ...]:
    """Greatest accepted event times under the new version; as they are where it was not told."""
    if not found or any(not o.newest for o in found):
        return m.event_times
    columns = zip(*(o.newest for o in found), strict=True)
    return tuple(max((t for t in column if t is not None), default=None) for column in columns)
