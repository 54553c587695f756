"""Live answers by server-sent events: a message whenever the answer's versions have moved.

The id of an event is the answer's ETag. A client that comes back with ``Last-Event-ID`` gets nothing until the answer
differs from what it has seen, and then the whole answer: resuming can neither repeat nor miss.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from watersmeet.core.answer import Answer
from watersmeet.core.errors import PendingError, WatersmeetError

from .rows import render

POLL_SECONDS = 0.25
HEARTBEAT_TURNS = 60


async def events(request: Request, read: Callable[[], Answer], now_us: Callable[[], int]) -> AsyncIterator[bytes]:
    """The stream of one client, until it goes away."""
    seen, quiet = request.headers.get("last-event-id", ""), 0
    yield b"retry: 1000\n\n"
    while not await request.is_disconnected():
        try:
            answer = await run_in_threadpool(read)
        except PendingError:
            answer = None
        except WatersmeetError as error:
            yield f"event: problem\ndata: {_line(error.subject)}\n\n".encode()
            return
        if answer is not None and answer.receipt.etag != seen:
            seen, quiet = answer.receipt.etag, 0
            body = render(answer, "json", now_us()).decode()
            yield f"id: {seen}\nevent: answer\ndata: {body}\n\n".encode()
        quiet += 1
        if quiet % HEARTBEAT_TURNS == 0:
            yield b": still here\n\n"
        await asyncio.sleep(POLL_SECONDS)


def _line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")
