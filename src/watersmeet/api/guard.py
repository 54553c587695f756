"""Who may do what, and how often: one dependency a route, naming the scope that it needs.

The caller is known by its key's id, never by the key; without keys, by its address (`watersmeet.api.address`).
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from watersmeet.runtime.settings import Serve

from .address import client_address, is_loopback, networks
from .keys import Keys
from .problems import ProblemError

FAILED_PER_MINUTE = 30


class Guard:
    """Checks keys and limits.

    Args:
        keys: of the app.
        settings: limits and trusted proxies.
    """

    def __init__(self, keys: Keys, settings: Serve) -> None:
        self._keys, self._settings = keys, settings
        self._proxies = networks(settings.trusted_proxies)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._allowed = RateLimitItemPerMinute(settings.requests_per_minute)
        self._failed = RateLimitItemPerMinute(FAILED_PER_MINUTE)

    def needs(self, scope: str) -> Callable[[Request], None]:
        """A dependency that lets a request through if its key has ``scope`` and its limit is not used up."""

        def check(request: Request) -> None:
            peer = request.client.host if request.client else ""
            address = client_address(peer, request.headers.getlist("x-forwarded-for"), self._proxies)
            caller = self._identify(request, address, scope)
            if not self._limiter.hit(self._allowed, caller):
                raise ProblemError(429, "too many requests", headers={"Retry-After": self._wait(self._allowed, caller)})

        check.__name__ = f"needs_{scope}"
        return check

    def _identify(self, request: Request, address: str, scope: str) -> str:
        presented = _presented(request)
        if presented is None:
            # A header that is not believed still says that somebody elsewhere asks, through a proxy on this machine.
            if not self._keys.all() and is_loopback(address) and "x-forwarded-for" not in request.headers:
                return f"address:{address}"
            raise ProblemError(
                401, "send a key as 'Authorization: Bearer wm_…'", headers={"WWW-Authenticate": "Bearer"}
            )
        if not self._limiter.test(self._failed, f"failed:{address}"):
            wait = self._wait(self._failed, f"failed:{address}")
            raise ProblemError(429, "too many wrong keys", headers={"Retry-After": wait})
        key = self._keys.check(presented)
        if key is None:
            self._limiter.hit(self._failed, f"failed:{address}")
            raise ProblemError(401, "the key is not valid", headers={"WWW-Authenticate": "Bearer"})
        if scope not in key.scopes:
            raise ProblemError(403, f"the key has no scope {scope!r}")
        return f"key:{key.id}"

    def _wait(self, item: RateLimitItemPerMinute, caller: str) -> str:
        # The limiter reports when its window moves on in the machine's own time; a minute is its upper bound.
        return str(max(1, min(60, item.get_expiry() // max(1, item.amount))))


def _presented(request: Request) -> str | None:
    header = request.headers.get("authorization")
    if header is None:
        return request.headers.get("x-api-key")
    kind, _, value = header.partition(" ")
    return value.strip() if kind.lower() == "bearer" else ""
