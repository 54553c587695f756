"""The application: routes, guards, limits on what comes in, and headers on what goes out."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from importlib.metadata import version

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from watersmeet.core.errors import SettingsError
from watersmeet.runtime.node import Node

from . import metrics, problems, routes
from .guard import Guard
from .keys import Keys

log = logging.getLogger(__name__)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
)


def create(node: Node) -> FastAPI:
    """The API of a node.

    Raises `SettingsError` when it would listen beyond loopback while no key exists.
    """
    settings = node.parts.settings.serve
    keys = Keys(node.parts.state, node.parts.clock)
    if settings.host not in ("127.0.0.1", "::1", "localhost") and not keys.all():
        raise SettingsError(
            f"serve.host {settings.host}",
            expected="keys, before listening beyond loopback",
            remedy="run 'watersmeet keys new read'",
        )
    guard = Guard(keys, settings)
    app = FastAPI(title="watersmeet", version=version("watersmeet"), docs_url=None, redoc_url=None, openapi_url=None)
    problems.install(app)
    app.include_router(_health(app, node, guard))
    app.include_router(routes.router(node, guard))
    own = node.app.routes()
    if own is not None:
        mounted = own(node.reader)
        if isinstance(mounted, APIRouter):
            app.include_router(mounted, dependencies=[Depends(guard.needs("read"))], responses=problems.DOCUMENTED)
    if settings.allowed_origins:
        app.add_middleware(CORSMiddleware, allow_origins=list(settings.allowed_origins), allow_methods=["GET"])
    app.add_middleware(_Shield, max_bytes=settings.max_body_bytes)
    return app


def _health(app: FastAPI, node: Node, guard: Guard) -> APIRouter:
    api, reads = APIRouter(responses=problems.DOCUMENTED), [Depends(guard.needs("read"))]

    @api.get("/health/live")
    def alive() -> dict[str, str]:
        """The process answers. Says nothing else and needs no key."""
        return {"status": "alive"}

    @api.get("/health/ready", dependencies=reads, responses={503: {"description": "Not ready"}})
    def ready(response: Response) -> dict[str, object]:
        """Whether every store answers, every thread runs, and the ledger balances."""
        checks = _checks(node)
        if not all(checks.values()):
            response.status_code = 503
        return {"status": "ready" if all(checks.values()) else "not ready", "checks": checks}

    @api.get("/metrics", dependencies=reads, response_class=Response)
    def prometheus() -> Response:
        """The status for Prometheus."""
        found = metrics.render(node.status(), list(node.events.failures.values()), node.parts.cache.failures())
        return Response(found, media_type="text/plain; version=1.0.0; charset=utf-8")

    @api.get("/openapi.json", dependencies=reads)
    def openapi() -> dict[str, object]:
        """The description of this API."""
        return app.openapi()

    return api


def _checks(node: Node) -> dict[str, bool]:
    """Each dependency asked for real."""
    out: dict[str, bool] = {}

    def attempt(name: str, look: Callable[[], bool]) -> None:
        try:
            out[name] = look()
        except Exception as error:
            log.warning("not ready: %s: %s", name, error)
            out[name] = False

    topics = list(node.declarations().topics)
    attempt("state", lambda: node.parts.state.token() is not None)
    attempt("log", lambda: all(node.parts.log.end(t) is not None for t in topics))
    attempt("archive", lambda: all(node.parts.archive.epochs(t) is not None for t in topics))
    attempt("ledger", lambda: node.status().balanced)
    attempt("threads", lambda: all(node.alive().values()))
    return out


class _Shield:
    """Stops bodies that are too large while they stream in, and sets headers on every answer."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._max_bytes:
            await problems.response(413, f"a body has at most {self._max_bytes} bytes")(scope, receive, send)
            return
        await self._app(scope, self._counting(receive), _with_headers(send))

    def _counting(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._max_bytes:
                raise problems.ProblemError(413, f"a body has at most {self._max_bytes} bytes")
            return message

        return counted


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(h for h in _HEADERS if h[0] not in present)]
        await send(message)

    return sending
