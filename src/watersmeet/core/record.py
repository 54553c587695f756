"""Records and the columnar chunks that carry them.

A chunk is anything with the Arrow C stream protocol (``Records``); core never looks inside. Two shapes are named here
because several adapters make or take them:

    LOGGED    partition int32 · offset int64 · arrival int64 (µs) · key binary · value binary
              · headers map<string, binary> · slice int64 (only from an archive: the slice that absorbed the record)
    KEPT      hi uint64 · lo uint64 (the id's 128-bit digest) · arrival int64 (µs) · partition int32 · offset int64
              · content uint64 (digest of the payload)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Records(Protocol):
    """A columnar chunk: anything that speaks the Arrow C stream protocol."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


@dataclass(frozen=True, slots=True)
class Record:
    """One event as a producer hands it over; the log adds partition, offset and arrival.

    Args:
        value: the payload, as received.
        key: routes the record to a partition; equal keys stay in order. ``None`` spreads records evenly.
        headers: small facts about the record, such as ``origin`` on a replayed dead letter.
    """

    value: bytes
    key: bytes | None = None
    headers: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where a record stands in its topic."""

    partition: int
    offset: int
