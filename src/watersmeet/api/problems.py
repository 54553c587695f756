"""Errors as problem documents (RFC 9457): what is wrong, what was expected, what to do; never a path or a traceback."""

from __future__ import annotations

import logging
import uuid

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from watersmeet.core.errors import (
    ConflictError,
    DeclarationError,
    GapError,
    PendingError,
    RequestError,
    SettingsError,
    UnavailableError,
    WatersmeetError,
)

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
_KINDS = {"unknown": 404, "invalid": 422, "gone": 410, "too_large": 413}
_TITLES = {
    400: "Bad request",
    401: "A key is needed",
    403: "The key does not allow this",
    404: "Not found",
    405: "Method not allowed",
    406: "Not acceptable",
    409: "Not now",
    410: "Gone",
    413: "Too large",
    415: "Unsupported media type",
    422: "The request cannot be answered as asked",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Temporarily unavailable",
}


_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
    },
}
DOCUMENTED: dict[int | str, dict[str, object]] = {
    status: {"description": _TITLES[status], "content": {MEDIA_TYPE: {"schema": _SCHEMA}}}
    for status in (400, 401, 403, 404, 405, 409, 410, 413, 415, 422, 429, 503)
}
"""What every route may answer instead, for its description."""


class ProblemError(Exception):
    """A refusal by the API itself."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers or {}


def response(status: int, detail: str, *, headers: dict[str, str] | None = None, **more: object) -> JSONResponse:
    """A problem document."""
    body = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers=headers, media_type=MEDIA_TYPE)


def status_of(error: WatersmeetError) -> int:
    """The HTTP status that says what the error means."""
    match error:
        case RequestError():
            return _KINDS.get(error.kind, 422)
        case PendingError() | ConflictError() | SettingsError():
            return 409
        case DeclarationError():
            return 422
        case GapError() | UnavailableError():
            return 503
    return 500


def install(app: FastAPI) -> None:
    """Answer every error with a problem document."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, WatersmeetError):
            raise error
        status = status_of(error)
        headers = {"Retry-After": "2"} if status == 503 else None
        facts = {"subject": error.subject, "expected": error.expected, "got": error.got, "remedy": error.remedy}
        shown = error.subject + (f"; expected {error.expected}" if error.expected else "")
        return response(status, shown, headers=headers, **{k: v for k, v in facts.items() if v})

    async def refused(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, ProblemError):
            raise error
        return response(error.status, error.detail, headers=error.headers)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, RequestValidationError):
            raise error
        found = [{"where": ".".join(str(p) for p in e["loc"]), "what": e["msg"]} for e in error.errors()]
        return response(422, "; ".join(f"{e['where']}: {e['what']}" for e in found), errors=found)

    async def http(_: Request, error: Exception) -> JSONResponse:
        if not isinstance(error, HTTPException):
            raise error
        return response(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def unexpected(_: Request, error: Exception) -> JSONResponse:
        reference = uuid.uuid4().hex[:12]
        log.error("request failed, reference %s", reference, exc_info=error)
        return response(500, f"the log has it under reference {reference}", reference=reference)

    app.add_exception_handler(WatersmeetError, known)
    app.add_exception_handler(ProblemError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, unexpected)
