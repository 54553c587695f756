"""A manifest as rows: one head, and entries with the versions at which they were born and died.

An entry is live at version ``v`` if ``born <= v < died``; an entry that changes dies and is born again. So a commit
writes what it adds and nothing else, and a manifest as it was long ago is a query, not a copy.

Every row carries the CRC-32 of all that it says. The head holds the number and the exclusive or of the checksums of
all entries that are live at its version: a row that is missing, or that should be dead, shows in the sum.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import compress, count
from operator import is_not
from typing import Any

import msgspec

from watersmeet.core.errors import ConflictError, CorruptError
from watersmeet.core.manifest import Block, Epoch, Gap, Manifest, Run, Slice

_encode = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True, slots=True)
class Head:
    """What a manifest says besides its entries.

    Args:
        manifest: without them.
        live: how many entries there are.
        sum: the exclusive or of their checksums.
    """

    manifest: Manifest
    live: int
    sum: int


@dataclass(frozen=True, slots=True)
class Change:
    """The entries that a transition took away and added, each as (kind, identity), the added ones with a body."""

    gone: list[tuple[str, str]] = field(default_factory=list)
    added: list[tuple[str, str, bytes]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Kind:
    items: str
    identity: Callable[[Any], str]
    rank: Callable[[Any], Any]
    decode: Callable[[bytes], Any]


def _decoder(entry: type) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(entry).decode


_KINDS = {
    "slice": _Kind("slices", lambda e: str(e.sequence), lambda e: e.sequence, _decoder(Slice)),
    "block": _Kind("blocks", lambda e: e.owner, lambda e: e.first, _decoder(Block)),
    "epoch": _Kind("epochs", lambda e: str(e.number), lambda e: e.number, _decoder(Epoch)),
    "run": _Kind("runs", lambda e: f"{e.fingerprint}/{e.owner}", lambda e: (e.fingerprint, e.first), _decoder(Run)),
    "gap": _Kind("gaps", lambda e: str(e.epoch), lambda e: e.epoch, _decoder(Gap)),
    "readable": _Kind("readable", str, str, _decoder(str)),
}
_decode_head = msgspec.json.Decoder(Head).decode


def checksum(data: bytes, *names: object) -> int:
    """CRC-32 of ``data`` under ``names``, so that bytes do not pass for those of another row."""
    return zlib.crc32(data, zlib.crc32("".join(f"{name}\0" for name in names).encode()))


def check(subject: str, data: object, crc: object, *names: object) -> bytes:
    """Return ``data`` if it is what was stored under ``names``, else raise `CorruptError`."""
    if not isinstance(data, bytes) or checksum(data, *names) != crc:
        raise corrupt(subject, f"bytes with checksum {crc}", "others")
    return data


def corrupt(subject: str, expected: str, got: str) -> CorruptError:
    """Describe damage to the state."""
    return CorruptError(subject, expected=expected, got=got, remedy="restore the state from a copy")


def head_of(m: Manifest, live: int, sum_: int) -> Head:
    """The head of ``m``, which has ``live`` entries with checksums that make ``sum_``."""
    return Head(_with(m, dict.fromkeys(_KINDS, ())), live, sum_)


def head_bytes(head: Head) -> bytes:
    """Write a head."""
    return _encode(head)


def read_head(data: bytes) -> Head:
    """Read what `head_bytes` wrote."""
    head: Head = _decode_head(data)
    return head


def difference(old: Manifest, new: Manifest) -> Change:
    """What a transition did to the entries. What both manifests share is passed over at the speed of a comparison.

    Raises:
        ConflictError: two entries of the new manifest have one identity.
    """
    change = Change()
    for name, kind in _KINDS.items():
        before, after = getattr(old, kind.items), getattr(new, kind.items)
        if before is after:
            continue
        if isinstance(after, frozenset):
            before, after = sorted(before), sorted(after)
        shared = next(compress(count(), map(is_not, before, after)), min(len(before), len(after)))
        was = {kind.identity(e): e for e in before[shared:]}
        now = {kind.identity(e): e for e in after[shared:]}
        if len(now) != len(after) - shared:
            raise ConflictError(f"{kind.items} of topic {new.topic}", expected="each listed once")
        change.gone.extend((name, i) for i, e in was.items() if now.get(i) != e)
        change.added.extend((name, i, _encode(e)) for i, e in now.items() if was.get(i) != e)
    return change


def assemble(head: Head, entries: Iterable[tuple[str, bytes]]) -> Manifest:
    """Make a manifest of its head and all its entries, each as (kind, body) and in any order."""
    found: dict[str, list[Any]] = {name: [] for name in _KINDS}
    for name, body in entries:
        found[name].append(_KINDS[name].decode(body))
    return _with(head.manifest, {name: sorted(found[name], key=_KINDS[name].rank) for name in _KINDS})


def advance(old: Manifest, head: Head, gone: Iterable[tuple[str, str]], added: Iterable[tuple[str, bytes]]) -> Manifest:
    """Make the manifest that ``old`` has become: without the entries ``gone`` and with those ``added``."""
    dead: dict[str, set[str]] = {name: set() for name in _KINDS}
    for name, identity in gone:
        dead[name].add(identity)
    new: dict[str, list[Any]] = {name: [] for name in _KINDS}
    for name, body in added:
        new[name].append(_KINDS[name].decode(body))
    entries = {}
    for name, kind in _KINDS.items():
        kept = getattr(old, kind.items)
        if dead[name]:
            kept = [e for e in kept if kind.identity(e) not in dead[name]]
        if new[name]:
            kept = (*kept, *new[name])
            # Nearly always a commit adds at the end, and a topic may list thousands of slices.
            if len(new[name]) > 1 or (len(kept) > 1 and kind.rank(kept[-1]) < kind.rank(kept[-2])):
                kept = sorted(kept, key=kind.rank)
        entries[name] = kept
    return _with(head.manifest, entries)


def listed(kind: str, body: bytes) -> list[tuple[str, str]]:
    """The blobs, as (kind, owner), that an entry keeps alive."""
    entry = _KINDS[kind].decode(body)
    match entry:
        case Slice():
            return [("ids", entry.attempt), ("dead", entry.attempt)]
        case Epoch():
            owners = {entry.owner, *(outcome.owner for outcome in entry.others)} - {""}
            return [(kind, owner) for owner in owners for kind in ("ids", "dead")]
        case Block():
            return [(f"cells:{fingerprint}", entry.owner) for fingerprint in entry.fingerprints]
        case Run():
            return [(f"cells:{entry.fingerprint}", entry.owner)]
    return []


def _with(m: Manifest, entries: Mapping[str, Iterable[Any]]) -> Manifest:
    return replace(
        m,
        slices=tuple(entries["slice"]),
        blocks=tuple(entries["block"]),
        epochs=tuple(entries["epoch"]),
        runs=tuple(entries["run"]),
        gaps=tuple(entries["gap"]),
        readable=frozenset(entries["readable"]),
    )
