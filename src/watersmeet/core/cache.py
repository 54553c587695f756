"""The port to finished answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Cache(Protocol):
    """Answers by key. The key holds every version an answer rests on: an entry never becomes wrong, only old."""

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The stored answer, or ``make()`` stored.

        Concurrent calls for one key make it once. A cache that is down, slow or lying costs time and nothing else.
        """
        ...

    def failures(self) -> int:
        """How often what keeps the answers has failed in this process: nothing else shows that it did."""
        ...
