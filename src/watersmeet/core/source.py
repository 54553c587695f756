"""The port to systems that must be asked for their records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from .record import Record


@dataclass(frozen=True, slots=True)
class Pulled:
    """What one pull brought.

    Args:
        records: (topic name, record), in the order in which they are to be appended.
        position: where to resume; stored once the records are durable, handed back to the next pull. At most 1 MiB.
        wait_seconds: how long to wait before the next pull, in the clock's seconds.
    """

    records: Sequence[tuple[str, Record]]
    position: bytes
    wait_seconds: float = 0.0


class Source(Protocol):
    """Pulls records from outside. One thread calls `pull` again and again; it may block on the network.

    The classic mistake is to advance ``position`` on the object: a crash between the pull and the append must bring
    the same records again, so all progress lives in the bytes returned.
    """

    @property
    def name(self) -> str:
        """A stable name; the position is stored under it."""
        ...

    def pull(self, position: bytes | None) -> Pulled:
        """The next records after ``position`` (``None`` at the very first call).

        Raises `UnavailableError` when the outside cannot be reached; it is called again later with the same position.
        """
        ...
