"""Finished answers in Redis, shared by all serving processes.

    <prefix>:answer:<digest of the key>     one byte (plain or compressed), a checksum, the answer; goes after a while
    <prefix>:maker:<digest of the key>      who makes the answer now; goes when he is done, or after ``wait_seconds``

The checksum covers the key too, and what does not match it counts as nothing: a server that answers with bytes of
another question, or with no bytes of ours, costs the time to make the answer. A server that is down or slow costs a
few ``timeout_seconds`` every ``pause_seconds``; one that lets callers wait for a maker who never comes costs
``wait_seconds`` and counts as failing. Whatever fails, the answer is made here.

Within a process one thread makes an answer and the others wait for it; an exception goes to all of them and is not
kept. Among processes one makes it as far as Redis can tell, and for ``wait_seconds`` at most: an answer that takes
longer to make may be made twice.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import Future

from watersmeet.core.address import Address
from watersmeet.core.clock import Clock

from .connection import Server

_PLAIN, _COMPRESSED = b"p", b"z"
_CHECKSUM_BYTES = 16
_POLL_SECONDS = (0.005, 0.05)
_LET_GO = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


class RedisCache:
    """The `Cache` port on a Redis server. Safe to share between threads.

    Memory is bounded by the server's own ``maxmemory``, with ``maxmemory-policy allkeys-lru``.

    Args:
        address: ``redis://user:password@host:port/database?option=…``, see `RedisOptions`.
        clock: for the bounds of time.

    Raises:
        SettingsError: the address is not one server and the number of a database, or an option is unknown.
    """

    def __init__(self, address: Address, clock: Clock) -> None:
        self._server, self._clock = Server(address, clock), clock
        self._options = self._server.options
        self._lock = threading.Lock()
        self._flights: dict[str, Future[bytes]] = {}

    def get(self, key: str, make: Callable[[], bytes]) -> bytes:
        """The stored answer, or ``make()`` stored."""
        with self._lock:
            flight = self._flights.get(key)
            first = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if first:
            try:
                with _Told(flight):
                    flight.set_result(self._get(key, make))
            finally:
                with self._lock:
                    del self._flights[key]
        return flight.result()

    def failures(self) -> int:
        """How often the server was left alone for a while because it failed."""
        return self._server.failures

    def probe(self) -> str:
        """Reach the server and say what it is and its version; `UnavailableError` with a remedy if it cannot."""
        return self._server.probe()

    def close(self) -> None:
        """Close all connections."""
        self._server.close()

    def _get(self, key: str, make: Callable[[], bytes]) -> bytes:
        digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
        place, maker = (f"{self._options.prefix}:{kind}:{digest}" for kind in ("answer", "maker"))
        kept = self._look(key, place)
        if kept is not None:
            return kept
        token, until = secrets.token_hex(8), self._clock.monotonic() + self._options.wait_seconds
        pauses = _POLL_SECONDS[0]
        while self._is_taken(maker, token):
            if self._clock.monotonic() > until:
                self._server.fail()
                break
            self._clock.sleep(pauses)
            pauses = min(2 * pauses, _POLL_SECONDS[1])
            kept = self._look(key, place)
            if kept is not None:
                return kept
        try:
            kept = self._look(key, place)  # it may have been stored just before the maker's place became free
            if kept is not None:
                return kept
            answer = make()
            self._keep(key, place, answer)
            return answer
        finally:
            self._server.ask(lambda client: client.eval(_LET_GO, 1, maker, token))

    def _is_taken(self, maker: str, token: str) -> bool:
        """Try to become the maker; true if somebody else is."""
        milliseconds = max(int(self._options.wait_seconds * 1000), 1)
        # None stands both for a place that is taken and for a server that failed; here the first becomes false.
        mine = self._server.ask(lambda client: client.set(maker, token, nx=True, px=milliseconds) is True)
        return mine is False

    def _look(self, key: str, place: str) -> bytes | None:
        found = self._server.ask(lambda client: client.get(place))
        return unpacked(key, found, self._options.max_bytes) if isinstance(found, bytes) else None

    def _keep(self, key: str, place: str, answer: bytes) -> None:
        if len(answer) <= self._options.max_bytes:
            data = packed(key, answer, self._options.compress_bytes)
            self._server.ask(lambda client: client.set(place, data, ex=max(self._options.ttl_seconds, 1)))


class _Told:
    """What is raised inside goes to all who wait for the answer."""

    def __init__(self, answer: Future[bytes]) -> None:
        self._answer = answer

    def __enter__(self) -> None:
        return

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is not None:
            self._answer.set_exception(error)


def packed(key: str, answer: bytes, compress_bytes: int) -> bytes:
    """An answer as it is stored under a key."""
    body, kind = answer, _PLAIN
    if len(answer) >= compress_bytes:
        short = zlib.compress(answer, 1)
        body, kind = (short, _COMPRESSED) if len(short) < len(answer) else (body, kind)
    return kind + _checksum(key, answer) + body


def unpacked(key: str, data: bytes, max_bytes: int) -> bytes | None:
    """The answer; None if the bytes are not what was stored under the key."""
    kind, checksum, body = data[:1], data[1 : 1 + _CHECKSUM_BYTES], data[1 + _CHECKSUM_BYTES :]
    if kind == _COMPRESSED:
        try:
            body = zlib.decompressobj().decompress(body, max_bytes + 1)
        except zlib.error:
            return None
    elif kind != _PLAIN:
        return None
    whole = len(body) <= max_bytes and secrets.compare_digest(checksum, _checksum(key, body))
    return body if whole else None


def _checksum(key: str, answer: bytes) -> bytes:
    name = key.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(len(name).to_bytes(8, "little"), digest_size=_CHECKSUM_BYTES)
    digest.update(name)
    digest.update(answer)
    return digest.digest()
