"""The port to what remembers: manifests, the blobs they list, and small named values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .manifest import Manifest, Transition
from .record import Records


@dataclass(frozen=True, slots=True)
class Blob:
    """A chunk to be stored under (topic, kind, owner): kinds are ``cells:<fingerprint>``, ``ids`` and ``dead``."""

    kind: str
    owner: str
    records: Records


@dataclass(frozen=True, slots=True)
class Value:
    """A small stored value and its version, for compare-and-set."""

    data: bytes
    version: int


class State(Protocol):
    """Durable, shared by every process of an app. What `manifest` does not list does not exist."""

    def manifest(self, topic: str, as_of_us: int | None = None) -> Manifest:
        """The manifest now, or as it was at a time; version 0 for a topic that has none.

        Asked before every answer. Older than what is kept: `RequestError` (gone).
        """
        ...

    def change(self, topic: str, transition: Transition, blobs: Sequence[Blob] = ()) -> Manifest:
        """Apply a pure transition to the newest manifest and make it durable together with ``blobs``.

        Either all of it is visible afterwards or none. Whatever the transition raises comes through, and nothing is
        stored. A transition that returns its argument changes nothing. It may be called more than once.
        """
        ...

    def load(self, topic: str, kind: str, owners: Sequence[str]) -> Mapping[str, Records]:
        """Blobs by owner. One that is missing raises `CorruptError`; bytes are checked against their checksum."""
        ...

    def sweep(self, topic: str, before_us: int) -> int:
        """Delete what left the manifest before ``before_us`` and blobs that no manifest lists; how many blobs went."""
        ...

    def get(self, space: str, key: str) -> Value | None:
        """A small value. Spaces: declarations, catalogue, positions, alerts, tables, keys,
        idempotency, audits, replays, rates."""
        ...

    def put(self, space: str, key: str, data: bytes | None, expected: int | None = None) -> int:
        """Store a value, or delete it with None; returns the new version (0 when deleted).

        ``expected`` is the version it must have now (0: must not exist); otherwise `ConflictError`. None: any.
        """
        ...

    def scan(self, space: str, prefix: str = "") -> Mapping[str, Value]:
        """All values of a space whose key begins with ``prefix``, by key."""
        ...

    def token(self) -> int:
        """A number that changes whenever any process has changed anything; cheap enough for every answer."""
        ...
