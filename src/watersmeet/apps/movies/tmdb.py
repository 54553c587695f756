"""The client of TMDB's API, version 3.

- A call waits for a token of the shared rate limit before each attempt.
- 429, 5xx, time-outs and broken connections are tried again, later each time, with jitter; ``Retry-After`` is obeyed.
- A body is read up to a fixed size; redirects are refused; what comes is decoded strictly (`answers`).
- The key is put on the request by the transport, under every layer that logs or reports a URL, so that no log, error or
  repr can hold it.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import ipaddress
import logging
import re
import secrets
import threading
import urllib.request
from collections.abc import Callable
from typing import Self, TypeVar

import httpx2
import msgspec
import stamina

from watersmeet import Clock, UnavailableError, WatersmeetError

from .answers import Credits, Details, Genres, ListAnswer, Listed, Page, Review, page_of
from .limiter import RateLimit

BASE_URL = "https://api.themoviedb.org/3"
LAST_PAGE = 500
"""TMDB shows no page of a list beyond this."""

T = TypeVar("T")

_V3_KEY = re.compile(r"[0-9a-f]{32}")
_REFUSAL_BYTES = 4096
_WIRE_LOG = logging.getLogger("httpcore2.http11")


class TmdbError(WatersmeetError):
    """TMDB answered, but not what it should: a refusal, a redirect, a body that is malformed or too large."""


class TmdbClient:
    """Asks TMDB, politely. Safe to share between threads.

    Args:
        clock: in whose time waits and limits are counted. Time-outs of the network are real seconds.
        api_key: a v4 read token (sent as a bearer token) or a v3 key (32 hex digits, sent as ``api_key``).
        base_url: where the API is. Plain http is accepted for a loopback address only.
        limit: the rate limit, closed with the client; by default 4 calls a second, bursts of 10, this process alone.
        attempts: how often a call is tried in all.
        backoff_seconds: the least wait before the second attempt; doubles each time, and up to half is added at random.
        wait_seconds: the longest wait between attempts. A longer ``Retry-After`` ends the call at once.
        timeout_seconds: real seconds for connecting, for each read, and for an answer as a whole.
        body_bytes: the largest body accepted.

    Raises:
        WatersmeetError: the key is empty or not sendable, or the address is not acceptable.

    Each call raises `UnavailableError` when TMDB cannot be reached or keeps failing, `TmdbError` when it answers what
    it should not, and `WatersmeetError` naming ``TMDB_API_KEY`` when it refuses the key. A film that TMDB does not have
    is ``None``.
    """

    def __init__(
        self,
        clock: Clock,
        api_key: str,
        *,
        base_url: str = BASE_URL,
        limit: RateLimit | None = None,
        attempts: int = 5,
        backoff_seconds: float = 0.5,
        wait_seconds: float = 60.0,
        timeout_seconds: float = 10.0,
        body_bytes: int = 4 << 20,
    ) -> None:
        key = api_key.strip()
        if not key or not key.isascii() or not key.isprintable():
            raise WatersmeetError(
                "TMDB_API_KEY", expected="a v4 read token or a v3 key", got="nothing usable", remedy="set it"
            )
        url = httpx2.URL(base_url)
        _check_address(url)
        self._clock = clock
        self._base_url = base_url.rstrip("/")
        self._limit = limit or RateLimit(clock)
        self._attempts = attempts
        self._backoff_seconds = backoff_seconds
        self._wait_seconds = wait_seconds
        self._timeout_seconds = timeout_seconds
        self._body_bytes = body_bytes
        self._stop = threading.Event()
        self._key = key
        self._discretion = _Discretion(self._hide)
        _WIRE_LOG.addFilter(self._discretion)
        self._http = httpx2.Client(
            transport=_KeyTransport(key, httpx2.HTTPTransport(proxy=_proxy(url))),
            timeout=timeout_seconds,
            follow_redirects=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )

    def __repr__(self) -> str:
        return f"TmdbClient({self._base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; a call that is waiting in another thread raises `UnavailableError`."""
        self._stop.set()
        self._http.close()
        self._limit.close()
        _WIRE_LOG.removeFilter(self._discretion)

    def latest(self) -> Details:
        """The newest film (S1)."""
        return self._need(self._get("/movie/latest", Details), "/movie/latest")

    def reviews(self, film_id: int, page: int = 1) -> Page[Review] | None:
        """A page of a film's reviews (S2, S9)."""
        return self._page(f"/movie/{film_id:d}/reviews", Review, page)

    def trending(self, page: int = 1) -> Page[Listed]:
        """A page of the films that trend today (S3)."""
        return self._need(self._page("/trending/movie/day", Listed, page), "/trending/movie/day")

    def popular(self, page: int = 1) -> Page[Listed]:
        """A page of the popular films (S4, S6)."""
        return self._need(self._page("/movie/popular", Listed, page), "/movie/popular")

    def top_rated(self, page: int = 1) -> Page[Listed]:
        """A page of the best rated films (S6)."""
        return self._need(self._page("/movie/top_rated", Listed, page), "/movie/top_rated")

    def details(self, film_id: int) -> Details | None:
        """A film's own page (S5, S7)."""
        return self._get(f"/movie/{film_id:d}", Details)

    def credits(self, film_id: int) -> Credits | None:
        """A film's cast and crew (S8)."""
        return self._get(f"/movie/{film_id:d}/credits", Credits)

    def genres(self) -> dict[int, str]:
        """The names of the genres by their numbers."""
        table = self._need(self._get("/genre/movie/list", Genres), "/genre/movie/list")
        return {genre.id: genre.name for genre in table.genres}

    def _page(self, path: str, shape: type[T], page: int) -> Page[T] | None:
        if not 1 <= page <= LAST_PAGE:
            raise WatersmeetError(f"TMDB {path}: the page", expected=f"1 to {LAST_PAGE}", got=str(page))
        answer = self._get(path, ListAnswer, page=page)
        return page_of(answer, shape) if answer else None

    def _need(self, found: T | None, path: str) -> T:
        if found is None:
            raise TmdbError(f"TMDB {path}", expected="an answer", got="404 not found", remedy="check the base URL")
        return found

    def _get(self, path: str, shape: type[T], **query: int) -> T | None:
        """The answer of one call as ``shape``; ``None`` for 404."""
        retry = _Retry(self._clock, self._stop, self._attempts, self._wait_seconds)
        try:
            for attempt in stamina.retry_context(
                on=retry,
                attempts=self._attempts,
                timeout=None,
                wait_initial=self._backoff_seconds,
                wait_max=self._wait_seconds / 1.5,
            ):
                retry.next_seconds, retry.attempt = attempt.next_wait, attempt.num
                with attempt:
                    body = self._once(path, query)
        except _TransientError as error:
            raise UnavailableError(
                f"TMDB {path}",
                expected="an answer",
                got=f"{error} at attempt {retry.attempt}",
                remedy="try again later",
            ) from error
        if body is None:
            return None
        try:
            return msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, RecursionError) as error:
            raise TmdbError(f"TMDB {path}", expected="an answer as documented", got=self._hide(str(error))) from error

    def _once(self, path: str, query: dict[str, int]) -> bytes | None:
        if self._stop.is_set() or not self._limit.acquire(self._stop):
            raise UnavailableError(f"TMDB {path}", got="the client was closed")
        started = self._clock.monotonic()
        try:
            with self._http.stream("GET", self._base_url + path, params=query) as response:
                if response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise self._refused(path, response)
                return self._read(path, response, started)
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise _TransientError(f"{type(error).__name__} {self._hide(str(error))}".strip()) from error

    def _read(self, path: str, response: httpx2.Response, started: float) -> bytes:
        """The body, if it is neither compressed (a small one could grow without bound), too large, nor too slow."""
        if (coding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise TmdbError(f"TMDB {path}", expected="a body that is not compressed", got=self._hide(coding[:40]))
        body = bytearray()
        for chunk in response.iter_raw():
            body += chunk
            if len(body) > self._body_bytes:
                raise TmdbError(
                    f"TMDB {path}", expected=f"a body of at most {self._body_bytes} bytes", got="a larger one"
                )
            if self._clock.monotonic() - started > self._timeout_seconds:
                raise _TransientError(f"a body that took longer than {self._timeout_seconds:g} s")
        return bytes(body)

    def _refused(self, path: str, response: httpx2.Response) -> Exception:
        """What a status other than 200 and 404 means."""
        status = response.status_code
        if status == 429 or status >= 500:
            wait = _retry_after(response.headers.get("Retry-After"), self._clock.now_us())
            return _TransientError(f"status {status}" + (f", asking to wait {wait:g} s" if wait else ""), wait)
        if status == 401:
            return WatersmeetError(
                "TMDB refused the API key (401)",
                expected="a valid v4 read token or v3 key in TMDB_API_KEY",
                remedy="set TMDB_API_KEY to a key of your TMDB account",
            )
        if response.is_redirect:
            return TmdbError(
                f"TMDB {path}", expected="an answer", got=f"a redirect ({status})", remedy="check the base URL"
            )
        return TmdbError(f"TMDB {path}", expected="status 200", got=f"{status} {self._message(response)}".strip())

    def _message(self, response: httpx2.Response) -> str:
        """TMDB's own words for a refusal, cut short; empty when there are none."""
        body = next(response.iter_raw(_REFUSAL_BYTES), b"")
        try:
            words = msgspec.json.decode(body, type=_Refusal).status_message
        except (msgspec.DecodeError, RecursionError):
            return ""
        return self._hide("".join(c for c in words if c.isprintable()))[:200]

    def _hide(self, text: str) -> str:
        """A text that came from outside, without the key."""
        return text.replace(self._key, "…")


class _Refusal(msgspec.Struct, frozen=True):
    status_message: str = ""


class _TransientError(Exception):
    """A failure that may pass. ``wait_seconds``: how long TMDB asks to wait, if it does."""

    def __init__(self, text: str, wait_seconds: float | None = None) -> None:
        super().__init__(text)
        self.wait_seconds = wait_seconds


class _Retry:
    """Tells stamina when to try again, and does the waiting.

    stamina sleeps in real seconds, which would be hours of a scaled clock; so this waits on the injected clock and
    tells stamina to wait no more. Attempts, backoff and instrumentation stay stamina's.
    """

    def __init__(self, clock: Clock, stop: threading.Event, attempts: int, wait_seconds: float) -> None:
        self._clock, self._stop, self._attempts, self._wait_seconds = clock, stop, attempts, wait_seconds
        self.next_seconds = 0.0
        self.attempt = 0

    def __call__(self, error: Exception) -> bool | float:
        if not isinstance(error, _TransientError) or self.attempt >= self._attempts:
            return False
        seconds = self.next_seconds * (1 + secrets.randbelow(1000) / 2000)
        seconds = max(seconds, error.wait_seconds or 0.0)
        if seconds > self._wait_seconds or self._clock.sleep(seconds, self._stop):
            return False
        return 0.0


class _Discretion(logging.Filter):
    """Hides the key in what the wire's log tells of an answer's headers: a redirect, say, may repeat the query."""

    def __init__(self, hide: Callable[[str], str]) -> None:
        super().__init__()
        self._hide = hide

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._hide(record.getMessage()), None
        return True


class _KeyTransport(httpx2.BaseTransport):
    """Adds the key to a request on its way to the wire; the request that the layers above know stays without."""

    def __init__(self, key: str, inner: httpx2.BaseTransport) -> None:
        self._key, self._inner = key, inner

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url, headers = request.url, request.headers
        if _V3_KEY.fullmatch(self._key):
            url = url.copy_merge_params({"api_key": self._key})
        else:
            headers = httpx2.Headers(headers)
            headers["Authorization"] = f"Bearer {self._key}"
        return self._inner.handle_request(
            httpx2.Request(request.method, url, headers=headers, stream=request.stream, extensions=request.extensions)
        )

    def close(self) -> None:
        self._inner.close()


def _retry_after(value: str | None, now_us: int) -> float | None:
    """``Retry-After``, a number of seconds or an HTTP date, in seconds from now; ``None`` if absent or malformed."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return float(value)
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, moment.timestamp() - now_us / 1e6)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_address(url: httpx2.URL) -> None:
    allowed = url.scheme == "https" or (url.scheme == "http" and _loopback(url.host))
    if not (allowed and url.host) or url.userinfo or url.query:
        raise WatersmeetError(
            "TMDB_BASE_URL",
            expected="an https address (or http on loopback) without user or query",
            got=f"{url.scheme}://{url.host}",
            remedy=f"use {BASE_URL}",
        )


def _proxy(url: httpx2.URL) -> str | None:
    """The environment's proxy for this address; an explicit transport makes httpx2 forget to look."""
    if _loopback(url.host) or urllib.request.proxy_bypass(url.host):
        return None
    return urllib.request.getproxies().get(url.scheme)
