"""A server that answers as TMDB does, over real films whose figures move: for demos and tests, on loopback only.

It has the paths, shapes, paging and refusals that the client meets at TMDB, and fails now and then on purpose, by a
seeded plan, so that the client's real paths run: no network, no key, no waiting for a day until something trends.
"""

from __future__ import annotations

import email.utils
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Self

import msgspec
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError

from watersmeet import Clock, UnavailableError, WatersmeetError

from . import walks
from .films import Film
from .world import LAST_PAGE, World

_START_SECONDS = 30

_PageNumber = Annotated[int, Query(ge=1, le=LAST_PAGE)]


@dataclass(frozen=True, slots=True)
class Faults:
    """How often the sandbox fails on purpose. Shares are of requests, 0 to 1.

    Args:
        limited: share answered by 429.
        retry_after: share of those that say when to come back: as seconds or as a date, in turn.
        retry_after_seconds: what they say.
        broken: share answered by 500.
    """

    limited: float = 0.02
    retry_after: float = 0.5
    retry_after_seconds: int = 1
    broken: float = 0.01

    def __post_init__(self) -> None:
        shares = (self.limited, self.retry_after, self.broken)
        if not all(0 <= share <= 1 for share in shares) or self.limited + self.broken > 1:
            raise WatersmeetError("the sandbox's faults", expected="shares between 0 and 1", got=str(shares))


class _RefusedError(Exception):
    def __init__(self, status: int, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers


class Sandbox:
    """The application and what it has counted.

    Args:
        films: the films to serve.
        clock: what time it is in the sandbox's world.
        seed: of the figures and of the faults.
        key: the key to ask for, as bearer token or ``api_key``; ``None`` takes any, but one there must be.
        faults: how often to fail.

    Attributes:
        app: the ASGI application.
        answered: how often each status was sent.
    """

    def __init__(
        self,
        films: Sequence[Film],
        clock: Clock,
        *,
        seed: int = 0,
        key: str | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._world = World(films, seed)
        self._clock = clock
        self._seed = seed
        self._key = key
        self._faults = faults or Faults()
        self._requests = 0
        self.answered: Counter[int] = Counter()
        self.app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        self.app.include_router(self._routes())
        self.app.add_exception_handler(_RefusedError, self._refuse)
        self.app.add_exception_handler(RequestValidationError, self._invalid)

    def _routes(self) -> APIRouter:
        """The paths; all are coroutines, so that requests are counted and failed in one order."""
        routes = APIRouter(prefix="/3", dependencies=[Depends(self._admit)])

        @routes.get("/genre/movie/list")
        async def genres() -> Response:
            return self._send(self._world.genres())

        @routes.get("/trending/movie/day")
        async def trending(page: _PageNumber = 1) -> Response:
            return self._send(self._world.ranked("trending", page, self._minute()))

        @routes.get("/movie/popular")
        async def popular(page: _PageNumber = 1) -> Response:
            return self._send(self._world.ranked("popular", page, self._minute()))

        @routes.get("/movie/top_rated")
        async def top_rated(page: _PageNumber = 1) -> Response:
            return self._send(self._world.ranked("top_rated", page, self._minute()))

        @routes.get("/movie/latest")
        async def latest() -> Response:
            return self._send(self._world.latest(self._minute()))

        @routes.get("/movie/{film_id}")
        async def details(film_id: int) -> Response:
            return self._send(self._world.details(film_id, self._minute()))

        @routes.get("/movie/{film_id}/credits")
        async def credits(film_id: int) -> Response:
            return self._send(self._world.credits(film_id))

        @routes.get("/movie/{film_id}/reviews")
        async def reviews(film_id: int, page: _PageNumber = 1) -> Response:
            return self._send(self._world.reviews(film_id, page, self._clock.now_us() // 1_000_000))

        return routes

    def _minute(self) -> int:
        return self._clock.now_us() // 60_000_000

    def _send(self, answer: dict[str, object] | None) -> Response:
        if answer is None:
            raise _RefusedError(404, 34, "The resource you requested could not be found.")
        self.answered[200] += 1
        return Response(msgspec.json.encode(answer), media_type="application/json;charset=utf-8")

    async def _admit(self, request: Request) -> None:
        """Refuse what has no key, and now and then what has one."""
        given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.query_params.get("api_key")
        if not given or (self._key is not None and given != self._key):
            raise _RefusedError(401, 7, "Invalid API key: You must be granted a valid key.")
        self._requests += 1
        lot, kind = walks.unit(self._seed, 50, [self._requests, -self._requests]).tolist()
        if lot < self._faults.limited:
            raise _RefusedError(429, 25, "Your request count is over the allowed limit.", self._retry_after(kind))
        if lot < self._faults.limited + self._faults.broken:
            raise _RefusedError(500, 11, "Internal error: Something went wrong, contact TMDb.")

    def _retry_after(self, kind: float) -> dict[str, str]:
        seconds = self._faults.retry_after_seconds
        if kind >= self._faults.retry_after:
            return {}
        if kind < self._faults.retry_after / 2:
            return {"Retry-After": str(seconds)}
        return {"Retry-After": email.utils.formatdate(self._clock.now_us() // 1_000_000 + seconds, usegmt=True)}

    async def _refuse(self, request: Request, refusal: Exception) -> Response:
        if not isinstance(refusal, _RefusedError):
            raise refusal
        self.answered[refusal.status] += 1
        body = {"success": False, "status_code": refusal.code, "status_message": str(refusal)}
        return Response(msgspec.json.encode(body), refusal.status, refusal.headers, "application/json;charset=utf-8")

    async def _invalid(self, request: Request, error: Exception) -> Response:
        if "page" in request.query_params:
            text = "Invalid page: Pages start at 1 and max at 500. They are expected to be an integer."
            return await self._refuse(request, _RefusedError(400, 22, text))
        return await self._refuse(
            request, _RefusedError(404, 6, "Invalid id: The pre-requisite id is invalid or not found.")
        )


class Server:
    """An ASGI application served on a free loopback port by a thread of its own, until `stop`. Also a context manager.

    Args:
        app: the application, for instance ``Sandbox(...).app``; its own lifespan is not run.

    Attributes:
        url: where the API is, for ``TmdbClient(base_url=...)``.
    """

    def __init__(self, app: FastAPI) -> None:
        started = threading.Event()

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            started.set()
            yield

        app.router.lifespan_context = lifespan
        self._socket = socket.create_server(("127.0.0.1", 0))
        # asyncio does this only for sockets it made itself; without it each answer waits 40 ms for an acknowledgement
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/3"
        config = uvicorn.Config(
            app, log_config=None, log_level="warning", access_log=False, ws="none", timeout_graceful_shutdown=1
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="tmdb-sandbox", daemon=True
        )
        self._thread.start()
        if not started.wait(_START_SECONDS):
            self.stop()
            raise UnavailableError("the sandbox's server", expected="a start", got=f"none in {_START_SECONDS} s")

    def stop(self) -> None:
        """Stop the server, give up requests that are still open after a second, free the port."""
        self._server.should_exit = True
        self._thread.join(_START_SECONDS)
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
