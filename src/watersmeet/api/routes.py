"""The routes under ``/v1``."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from watersmeet.core.errors import RequestError
from watersmeet.core.query import Readable
from watersmeet.core.reader import Request as Asked
from watersmeet.core.record import Position
from watersmeet.core.view import View
from watersmeet.layers import ingest
from watersmeet.layers.repair import DeadLetter
from watersmeet.layers.status import findings
from watersmeet.runtime.node import Node

from . import live, problems, rows
from .guard import Guard
from .problems import ProblemError

MAX_BATCH = 10_000
MAX_LIMIT = 100_000
Name = Annotated[str, Field(min_length=1, max_length=120)]


class Mend(BaseModel):
    """What to replay: the letter as it was, or with assignments, or with a whole new value."""

    model_config = ConfigDict(extra="forbid", strict=True)
    set: list[Annotated[str, Field(max_length=2000)]] = Field(default_factory=list, max_length=50)
    value: str | None = Field(None, max_length=1 << 20)
    dry_run: bool = True


def router(node: Node, guard: Guard) -> APIRouter:
    """All routes of one node."""
    api = APIRouter(prefix="/v1", responses=problems.DOCUMENTED)
    types = Types(node)
    _view_routes(api, node, guard, types)
    _row_routes(api, node, guard, types)
    _ingest_routes(api, node, guard)
    _status_routes(api, node, guard)
    _letter_routes(api, node, guard)
    return api


class Types:
    """SQL types of every served column, bound once for each number of declarations."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._known: tuple[int, Mapping[str, Mapping[str, str]]] = (-1, {})

    def of(self, name: str) -> Mapping[str, str]:
        """Column -> SQL type of a view or query."""
        applied = self._node.applied()
        if self._known[0] != applied.number:
            self._known = (applied.number, self._node.parts.engine.bind(applied.declarations))
        return self._known[1][name]


def _view_routes(api: APIRouter, node: Node, guard: Guard, types: Types) -> None:
    needs = [Depends(guard.needs("read"))]

    @api.get("/views", dependencies=needs)
    def views() -> dict[str, object]:
        """Everything that is served, with its state."""
        known = {v.name: asdict(v) for v in node.status().views}
        return {"views": [{**known[name], "columns": dict(types.of(name))} for name in sorted(known)]}

    @api.get("/views/{name}", dependencies=needs)
    def view(name: Name) -> dict[str, object]:
        """One view: its declaration, what it rests on, how fresh it is."""
        readable = node.declarations().readable(name)
        status = node.status()
        state = next(v for v in status.views if v.name == name)
        topics = {v.topic.name for v in _views(readable)}
        return {
            **asdict(state),
            "columns": dict(types.of(name)),
            "key": list(readable.key),
            "time": readable.time,
            "declaration": _declaration(readable),
            "lineage": {"views": sorted({v.root.name for v in _views(readable)}), "topics": sorted(topics)},
            "topics": [asdict(t) for t in status.topics if t.name in topics],
        }


def _row_routes(api: APIRouter, node: Node, guard: Guard, types: Types) -> None:
    needs = [Depends(guard.needs("read"))]

    @api.get(
        "/views/{name}/rows", dependencies=needs, responses={200: {"content": {m: {} for m in rows.MEDIA.values()}}}
    )
    def view_rows(
        request: Request,
        name: Name,
        where: Annotated[list[str], Query(max_length=20)] = [],  # noqa: B006  # FastAPI copies defaults
        since: Annotated[str | None, Query(max_length=20)] = None,
        lower: Annotated[str | None, Query(alias="from", max_length=40)] = None,
        upper: Annotated[str | None, Query(alias="to", max_length=40)] = None,
        window: Annotated[str | None, Query(max_length=20)] = None,
        every: Annotated[str | None, Query(max_length=20)] = None,
        by: Annotated[str | None, Query(max_length=400)] = None,
        order: Annotated[str | None, Query(max_length=400)] = None,
        limit: Annotated[int, Query(ge=0, le=MAX_LIMIT)] = 1000,
        page: Annotated[str | None, Query(max_length=4000)] = None,
        as_of: Annotated[str | None, Query(max_length=40)] = None,
        fill: bool = False,
        layer: Literal["merged", "batch", "speed"] = "merged",
        form: Annotated[rows.Format, Query(alias="format")] = "json",
    ) -> Response:
        """Rows and their receipt."""
        readable, now_us = node.declarations().readable(name), node.parts.clock.now_us()
        asked = rows.as_request(
            readable, types.of(name), where=where, since=since, lower=lower, upper=upper, window=window, every=every,
            by=by, order=order, limit=limit, page=page, as_of=as_of, fill=fill, layer=layer, now_us=now_us,
        )  # fmt: skip
        answer = node.reader.read(asked)
        headers = rows.headers(answer)
        # The tag stands for what was asked too: one page of one format has one tag.
        query = hashlib.sha256(str(request.url.query).encode()).hexdigest()[:12]
        headers["ETag"] = f'"{answer.receipt.etag}-{query}"'
        headers["Cache-Control"] = "private, no-cache"
        if request.headers.get("if-none-match") == headers["ETag"] and since is None:
            return Response(status_code=304, headers=headers)
        return Response(rows.render(answer, form, now_us), media_type=rows.MEDIA[form], headers=headers)

    @api.get("/views/{name}/live", dependencies=needs, response_class=StreamingResponse)
    async def view_live(
        request: Request,
        name: Name,
        order: Annotated[str | None, Query(max_length=400)] = None,
        limit: Annotated[int, Query(ge=0, le=1000)] = 100,
    ) -> StreamingResponse:
        """The answer now and whenever it changes, as server-sent events."""
        asked = Asked(name, order=rows.orders(order), limit=limit)
        node.declarations().readable(name)
        stream = live.events(request, lambda: node.reader.read(asked), node.parts.clock.now_us)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


def _ingest_routes(api: APIRouter, node: Node, guard: Guard) -> None:
    @api.post(
        "/topics/{topic}/records", status_code=200, dependencies=[Depends(guard.needs("ingest"))], openapi_extra=_BODY
    )
    async def records(
        request: Request,
        topic: Name,
        idempotency_key: Annotated[str | None, Header(max_length=200)] = None,
    ) -> dict[str, object]:
        """Append records: a JSON array or NDJSON. Each is durable before this answers."""
        body = await request.body()
        media = request.headers.get("content-type", "")
        return await run_in_threadpool(_append, node, topic, body, media, idempotency_key)


def _append(node: Node, name: str, body: bytes, media: str, idempotency_key: str | None) -> dict[str, object]:
    topic = node.declarations().topic(name)
    values = _payloads(body, media)
    digest = hashlib.sha256(body).hexdigest()
    slot = f"{name}/{hashlib.sha256(idempotency_key.encode()).hexdigest()}" if idempotency_key else ""
    if slot and (stored := node.parts.state.get("idempotency", slot)):
        before = json.loads(stored.data)
        if before["digest"] != digest:
            raise ProblemError(422, "this Idempotency-Key came with another body before")
        return {**before["answer"], "repeated": True}
    wait = node.backlog.wait_seconds(name)
    if wait:
        headers = {"Retry-After": str(math.ceil(wait))}
        raise ProblemError(429, f"topic {name} has more unread records than it may; send again later", headers=headers)
    positions = ingest.append(node.parts.log, topic, values)
    node.backlog.add(name, len(positions))
    answer: dict[str, object] = {
        "accepted": len(positions),
        "records": [{"partition": at.partition, "offset": at.offset} for at in positions],
        "repeated": False,
    }
    if slot:
        node.parts.state.put("idempotency", slot, json.dumps({"digest": digest, "answer": answer}).encode())
    return answer


def _payloads(body: bytes, media: str) -> list[bytes]:
    """The payloads of a body, each as bytes; what is inside them is for the topic to judge."""
    kind = media.partition(";")[0].strip().lower()
    if kind == "application/x-ndjson":
        values = [line for line in body.split(b"\n") if line.strip()]
    elif kind in ("application/json", ""):
        try:
            array = json.loads(body)
        except (ValueError, RecursionError):
            raise ProblemError(422, "the body is not JSON; send an array of records, or application/x-ndjson") from None
        if not isinstance(array, list):
            raise ProblemError(422, "the body must be an array of records")
        values = [json.dumps(item, ensure_ascii=False).encode("utf-8", "surrogatepass") for item in array]
    else:
        raise ProblemError(415, "send application/json or application/x-ndjson")
    if not values:
        raise ProblemError(422, "the body has no record")
    if len(values) > MAX_BATCH:
        raise RequestError("records", kind="too_large", expected=f"at most {MAX_BATCH} at once", got=str(len(values)))
    return values


def _status_routes(api: APIRouter, node: Node, guard: Guard) -> None:
    reads = [Depends(guard.needs("read"))]

    @api.get("/status", dependencies=reads)
    def status() -> dict[str, object]:
        """Everything at once."""
        return node.status().as_dict()

    @api.get("/ledger", dependencies=reads)
    def ledger() -> dict[str, object]:
        """What became of every record, in all and by topic."""
        found = node.status()
        return {"ledger": asdict(found.ledger), "balanced": found.balanced, "topics": [asdict(t) for t in found.topics]}

    @api.get("/audit", dependencies=reads)
    def audit(limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, object]:
        """How batch and speed agreed, newest epochs last."""
        found = node.status()
        return {
            "match_rate": found.match_rate,
            "cells": found.audited_cells,
            "epochs": found.audited_epochs,
            "mismatches": found.mismatches,
            "findings": [asdict(f) for f in findings(node.parts.state)[-limit:]],
        }

    @api.get("/plan", dependencies=reads)
    def plan() -> dict[str, object]:
        """What is applied, and what of the files is not."""
        applied = node.applied()
        return {"declaration": applied.number, "pending": list(node.status().pending), "plan": node.plan().as_dict()}


def _letter_routes(api: APIRouter, node: Node, guard: Guard) -> None:
    operates = [Depends(guard.needs("operate"))]

    @api.get("/topics/{topic}/dead-letters", dependencies=operates)
    def letters(
        topic: Name,
        reason: Annotated[str | None, Query(max_length=120)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        after: Annotated[str | None, Query(pattern=r"^\d{1,4}:\d{1,18}$")] = None,
    ) -> dict[str, object]:
        """Dead letters by position, each with its reason."""
        node.declarations().topic(topic)
        at = _position(after) if after else None
        found = node.repair.letters(topic, reason=reason, limit=limit, after=at)
        return {"reasons": node.repair.reasons(topic), "letters": [_letter(x) for x in found]}

    @api.get("/topics/{topic}/dead-letters/{position}", dependencies=operates)
    def letter(topic: Name, position: Annotated[str, Field(pattern=r"^\d{1,4}:\d{1,18}$")]) -> dict[str, object]:
        """One dead letter with its bytes."""
        node.declarations().topic(topic)
        return _letter(node.repair.letter(topic, _position(position)))

    @api.post("/topics/{topic}/dead-letters/{position}/replay", dependencies=operates)
    def replay(
        topic: Name, position: Annotated[str, Field(pattern=r"^\d{1,4}:\d{1,18}$")], mend: Annotated[Mend, Body()]
    ) -> dict[str, object]:
        """Append a dead letter again, mended or as it was; by default only says what would happen."""
        declared = node.declarations().topic(topic)
        found = node.repair.letter(topic, _position(position))
        value = mend.value.encode() if mend.value is not None else found.value
        if mend.set:
            value = node.repair.fixed(found, mend.set)
        complaint = node.repair.try_out(declared, found, value)
        outcome: dict[str, object] = {"usable": complaint is None, "value": value.decode("utf-8", "replace")}
        if complaint is not None:
            outcome |= {"reason": complaint.reason, "detail": complaint.detail}
        if mend.dry_run or complaint is not None:
            return {**outcome, "replayed": None}
        return {**outcome, "replayed": asdict(node.repair.replay(declared, found, value))}


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "array", "minItems": 1, "maxItems": MAX_BATCH, "items": {"type": "object"}}
            },
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}


def _views(of: Readable) -> tuple[View, ...]:
    return (of,) if isinstance(of, View) else of.views


def _declaration(of: Readable) -> dict[str, object]:
    if isinstance(of, View):
        return {
            "topic": of.topic.name,
            "window": str(of.frame),
            "dimensions": list(of.dimensions),
            "where": of.where,
            "measures": {
                n: {"kind": m.kind, "expr": m.lifts[0].expr or m.expr, "where": m.lifts[0].where}
                for n, m in of.measures.items()
            },
            "derive": dict(of.derive),
            "having": of.having,
        }
    return {"inputs": {a: x.name for a, x in of.inputs.items()}, "sql": of.sql, "unsafe": of.unsafe}


def _position(text: str) -> Position:
    partition, offset = text.split(":")
    return Position(int(partition), int(offset))


def _letter(found: DeadLetter) -> dict[str, object]:
    facts = asdict(found)
    facts["value"] = found.value.decode("utf-8", "backslashreplace")
    facts["key"] = None if found.key is None else found.key.decode("utf-8", "backslashreplace")
    return facts
