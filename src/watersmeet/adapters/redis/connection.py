"""A Redis server that may be down, slow or lying, asked in bounded time.

A command has one deadline for all its bytes: a server that sends a little now and then is as late as one that sends
nothing. After a failure it is left alone for a while; then one caller tries it, and all others if he succeeds.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from watersmeet.core.address import Address, options
from watersmeet.core.clock import Clock
from watersmeet.core.errors import SettingsError, UnavailableError

_PORT = 6379
_FAILURES = (redis.RedisError, OSError, ValueError, TypeError, IndexError, MemoryError, OverflowError, RecursionError)
"""What a lying server can make the driver raise beside its own errors: a length that is none, an answer cut short."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class RedisOptions:
    """What may follow the question mark of ``redis://user:password@host:port/database``.

    Args:
        prefix: in front of every key. Default ``watersmeet``.
        ttl_seconds: how long an answer is kept. Default 900.
        max_bytes: a larger answer is not kept. Default 8 MiB.
        compress_bytes: from this size on an answer is compressed. Default 4 KiB.
        timeout_seconds: for one command, and for one connection. Default 0.05.
        pause_seconds: how long a server that failed is left alone. Default 3.
        wait_seconds: how long an answer that somebody else makes is waited for. Default 2.
        tls: speak TLS. Default false.
    """

    prefix: str = "watersmeet"
    ttl_seconds: int = 900
    max_bytes: int = 8 << 20
    compress_bytes: int = 4 << 10
    timeout_seconds: float = 0.05
    pause_seconds: float = 3.0
    wait_seconds: float = 2.0
    tls: bool = False


class Server:
    """One database of a Redis server. Safe to share between threads. Nothing is sent before it is first asked.

    Raises:
        SettingsError: the address is not one server and the number of a database, or an option is unknown.
    """

    def __init__(self, address: Address, clock: Clock) -> None:
        self.address, self.options = address, options(address, RedisOptions)
        if len(address.hosts) != 1 or not (address.path or "0").isdecimal():
            expected = "one server and the number of a database, as in redis://localhost:6379/0"
            raise SettingsError("address of a cache", expected=expected, got=str(address))
        (host, port), seconds = address.hosts[0], self.options.timeout_seconds
        kind = _TlsConnection if self.options.tls else _Connection
        pool = redis.ConnectionPool(
            connection_class=kind,
            clock=clock,
            host=host,
            port=port or _PORT,
            db=int(address.path or 0),
            username=address.user or None,
            password=address.password or None,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            driver_info=None,
        )
        self._client = redis.Redis(connection_pool=pool)
        self._clock, self._lock, self._paused_until = clock, threading.Lock(), 0.0
        self.failures = 0

    def ask(self, call: Callable[[redis.Redis], _T]) -> _T | None:
        """What a call of the driver gives; None if the server fails, or has failed a moment ago."""
        if not self._may_try():
            return None
        try:
            answer = call(self._client)
        except _FAILURES:
            self.fail()
            return None
        self._paused_until = 0.0
        return answer

    def fail(self) -> None:
        """Leave the server alone for a while; what is still on its way in a connection is thrown away with it."""
        self.failures += 1
        self._paused_until = self._clock.monotonic() + self.options.pause_seconds
        self._client.connection_pool.disconnect(inuse_connections=False)

    def probe(self) -> str:
        """Reach the server and say what it is; `UnavailableError` if it cannot be reached."""
        try:
            version = self._client.info("server")["redis_version"]
        except (*_FAILURES, KeyError) as error:
            remedy = "start redis-server, or take the cache out of the settings: answers are the same without"
            expected = f"Redis at {self.address}"
            raise UnavailableError("cache", expected=expected, got=str(error)[:300], remedy=remedy) from error
        return f"Redis {version} at {self.address}"

    def close(self) -> None:
        """Close all connections."""
        self._client.connection_pool.disconnect()

    def _may_try(self) -> bool:
        with self._lock:
            if not self._paused_until:
                return True
            now = self._clock.monotonic()
            if now < self._paused_until:
                return False
            self._paused_until = now + self.options.pause_seconds  # for all but this one
            return True


class _Bounded:
    """A socket that has a while to receive in, from when something was last sent on it."""

    def __init__(self, inner: socket.socket, clock: Clock, seconds: float) -> None:
        self._inner, self._clock, self._seconds = inner, clock, seconds
        self._until, self._asked = clock.monotonic() + seconds, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def settimeout(self, seconds: float | None) -> None:
        self._asked = self._seconds if seconds is None else seconds
        self._inner.settimeout(self._asked)

    def sendall(self, data: bytes) -> None:
        self._until = self._clock.monotonic() + self._seconds
        self._inner.sendall(data)

    def recv(self, size: int) -> bytes:
        left = min(self._until - self._clock.monotonic(), self._asked)
        if left <= 0 < self._asked:
            raise TimeoutError("timed out")
        self._inner.settimeout(left if self._asked else 0)  # 0: only look whether something is there
        return self._inner.recv(size)


class _Connection(redis.Connection):
    """The driver's connection over a `_Bounded` socket."""

    def __init__(self, clock: Clock, **arguments: Any) -> None:
        super().__init__(**arguments)  # type: ignore[no-untyped-call]  # the driver's
        self._clock = clock

    def _connect(self) -> Any:
        inner = super()._connect()  # type: ignore[no-untyped-call]  # the driver's
        return _Bounded(inner, self._clock, self.socket_timeout or 0.0)


class _TlsConnection(redis.SSLConnection):
    """The same over TLS."""

    def __init__(self, clock: Clock, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._clock = clock

    def _connect(self) -> Any:
        inner = super()._connect()  # type: ignore[no-untyped-call]  # the driver's
        return _Bounded(inner, self._clock, self.socket_timeout or 0.0)
