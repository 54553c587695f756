"""Finished answers in this process's memory, the least recently used going first.

At most one thread makes an answer; those who ask for it meanwhile wait for that one and get what it gets, be it an
answer or an exception. An exception is not kept. Making one answer may ask for others, but never for itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

_ENTRY_BYTES = 200
"""About what an entry takes beside its key and answer."""


class LocalCache:
    """The `Cache` port in memory. Safe to share between threads.

    Args:
        max_bytes: of keys and answers together; an answer that is larger alone is not kept. Default 64 MiB.
    """

    def __init__(self, max_bytes: int = 64 << 20) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._flights: dict[str, _Flight] = {}

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The stored answer, or ``make()`` stored."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            flight = self._flights.get(key)
            first = flight is None
            if flight is None:
                flight = self._flights[key] = _Flight()
        if first:
            try:
                with flight:
                    answer = make()
                    self._keep(key, answer)
                    flight.answer.set_result(answer)
            finally:
                with self._lock:
                    del self._flights[key]
        return flight.answer.result()

    def failures(self) -> int:
        """0: memory of this process does not fail."""
        return 0

    def _keep(self, key: str, answer: bytes) -> None:
        size = _size(key, answer)
        with self._lock:
            if size <= self._max_bytes:
                self._kept[key] = answer
                self._bytes += size
            while self._bytes > self._max_bytes:
                self._bytes -= _size(*self._kept.popitem(last=False))


class _Flight:
    """An answer that is being made; what is raised inside goes to all who wait for it."""

    def __init__(self) -> None:
        self.answer: Future[bytes] = Future()

    def __enter__(self) -> None:
        return

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self.answer.set_exception(error)


def _size(key: str, answer: bytes) -> int:
    return len(key.encode()) + len(answer) + _ENTRY_BYTES
