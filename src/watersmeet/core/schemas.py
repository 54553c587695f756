"""The port to a schema registry: what the bytes of topics in Avro were written by.

A framed payload is the byte 0, the id of its writer's schema in four bytes (big-endian), and the Avro body. What an id
means never changes, so a schema that was fetched once is kept for ever. A subject is a series of versions of one
schema, ``<topic>-value`` for the values of a topic; its level says how versions must agree:

    NONE        nothing is asked
    BACKWARD    the new version reads what the latest one wrote: readers go first
    FORWARD     the latest version reads what the new one writes: writers go first
    FULL        both

With ``_TRANSITIVE`` behind it a level asks the same of all versions, not of the latest alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from .errors import RequestError

Level = Literal["NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"]
LEVELS: tuple[Level, ...] = get_args(Level)
MAGIC = 0
HEADER_BYTES = 5
MAX_SCHEMA_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a subject.

    Args:
        number: counts up from 1.
        id: of its schema; what the header of a payload names.
        schema: text.
    """

    number: int
    id: int
    schema: str


class Schemas(Protocol):
    """A registry. Any method raises `UnavailableError` if it cannot be reached: that is a pause, never a verdict."""

    def get(self, id: int) -> str:
        """The text of a schema; asked for each id that a chunk brings and the process has not seen.

        `RequestError` (unknown) only if the registry answers that there is none of that id.
        """
        ...

    def register(self, subject: str, schema: str) -> int:
        """Its id; the same schema again is no new version. `RequestError` with the complaints if the level forbids."""
        ...

    def check(self, subject: str, schema: str) -> Sequence[str]:
        """Why the subject's level forbids to register a schema; empty if nothing does. Changes nothing."""
        ...

    def level(self, subject: str, level: Level | None = None) -> Level:
        """The level of a subject, set first if one is given; the registry's own where the subject has none."""
        ...

    def subjects(self) -> Sequence[str]:
        """All subjects, sorted."""
        ...

    def versions(self, subject: str) -> Sequence[Version]:
        """All versions of a subject, oldest first; none of a subject that does not exist."""
        ...

    def probe(self) -> str:
        """Reach the registry and say what it is."""
        ...

    def close(self) -> None:
        """Let go of its connections."""
        ...


def subject_of(topic: str) -> str:
    """The subject of a topic's values."""
    return f"{topic}-value"


def framed(id: int, body: bytes) -> bytes:
    """A payload: header and body."""
    return bytes([MAGIC]) + id.to_bytes(4, "big") + body


def check_level(level: str) -> Level:
    """The level of that name, in any case; `RequestError` if there is none."""
    for known in LEVELS:
        if level.upper() == known:
            return known
    raise RequestError("compatibility level", expected=f"one of {', '.join(LEVELS)}", got=level)
