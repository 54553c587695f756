"""Alerts: conditions with memory.

    condition   ····████████·██████········
    state       ok  pending firing   resolving ok
                    |-for_-| notice  |-resolve_after-| notice

Each value of the dimensions has a state of its own, kept durably, so a restart neither repeats nor forgets a notice. Of
a windowed view only the latest row of each value counts. A notice is sent before its state is stored: after a crash it
may come twice, never not at all; its ``id`` is the same both times.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import pyarrow as pa

from watersmeet.core.alert import Alert
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Engine
from watersmeet.core.errors import PendingError, UnavailableError
from watersmeet.core.reader import Reader, Request
from watersmeet.core.state import State

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Notice:
    """What is sent.

    Args:
        id: the same for every copy of one notice.
        alert, severity: of the declaration.
        status: ``firing`` or ``resolved``.
        labels: the dimensions, as text.
        since_us: since when the condition has held, or not held.
        row: the row that decided, as text.
    """

    id: str
    alert: str
    severity: str
    status: str
    labels: Mapping[str, str]
    since_us: int
    row: Mapping[str, str]


Notify = Callable[[str, Notice], None]
"""Sends a notice to a named notifier; raises `UnavailableError` if it cannot, and is called again at the next round."""


def log_notice(name: str, notice: Notice) -> None:
    """The notifier called ``log``."""
    level = {"info": logging.INFO, "warning": logging.WARNING}.get(notice.severity, logging.ERROR)
    log.log(level, "alert %s %s %s", notice.alert, notice.status, dict(notice.labels))


class Alerts:
    """Evaluates alerts.

    Args:
        reader, state, engine, clock: the ports.
        notify: sends notices.
    """

    def __init__(
        self, reader: Reader, state: State, engine: Engine, clock: Clock, *, notify: Notify = log_notice
    ) -> None:
        self._reader, self._state, self._engine, self._clock, self._notify = reader, state, engine, clock, notify

    def evaluate(self, alert: Alert) -> list[Notice]:
        """Look once; returns the notices that were sent."""
        try:
            answer = self._reader.read(Request(alert.of))
        except PendingError:
            return []
        key = [k for k in alert.of.key if k not in ("window_start", alert.of.time)]
        rows = self._latest(alert, pa.table(answer.rows), key)
        known = {k: json.loads(v.data) for k, v in self._state.scan("alerts", f"{alert.name}/").items()}
        looked: dict[str, tuple[Mapping[str, str], bool, Mapping[str, str]]] = {}
        for row in rows:
            labels = {k: str(row[k]) for k in key}
            shown = {k: str(v) for k, v in row.items() if k != "_holds"}
            looked[f"{alert.name}/{_digest(labels)}"] = (labels, bool(row["_holds"]), shown)
        for slot, before in known.items():  # a row that is gone does not hold any more
            looked.setdefault(slot, (before["labels"], False, {}))
        sent: list[Notice] = []
        for slot, (values, holds, text) in looked.items():
            sent += self._step(alert, slot, known.get(slot), values, holds, text)
        return sent

    def _step(
        self,
        alert: Alert,
        slot: str,
        before: Mapping[str, object] | None,
        labels: Mapping[str, str],
        holds: bool,
        shown: Mapping[str, str],
    ) -> list[Notice]:
        """Move one value's state on by one look."""
        now_us = self._clock.now_us()
        old = before or {"state": "ok", "since": now_us, "labels": labels}
        after, status = _next(old, holds, now_us, alert)
        sent = self._send(alert, status, labels, int(str(after["since"])), shown) if status else []
        if after != old:
            self._store(slot, after)
        return sent

    def _latest(self, alert: Alert, rows: pa.Table, key: list[str]) -> list[dict[str, object]]:
        partition = ", ".join(f'"{k}"' for k in key) or "1"
        newest = (
            f'qualify row_number() over (partition by {partition} order by "{alert.of.time}" desc) = 1'
            if alert.of.time
            else ""
        )
        sql = f"select *, coalesce(({alert.when}), false) as _holds from rows {newest}"  # noqa: S608  # checked when declared
        found: list[dict[str, object]] = pa.table(
            self._engine.query(sql, {"rows": rows}, as_of_us=self._clock.now_us())
        ).to_pylist()
        return found

    def _send(
        self, alert: Alert, status: str, labels: Mapping[str, str], since_us: int, row: Mapping[str, str]
    ) -> list[Notice]:
        notice = Notice(
            _digest([alert.name, status, labels, since_us]), alert.name, alert.severity, status, labels, since_us, row
        )
        for name in alert.notify:
            try:
                self._notify(name, notice)
            except UnavailableError as error:
                log.warning("notifier %s: %s", name, error)
                raise
        return [notice]

    def _store(self, slot: str, after: Mapping[str, object]) -> None:
        gone = after["state"] == "ok"
        self._state.put("alerts", slot, None if gone else json.dumps(after).encode())

    def active(self) -> list[dict[str, object]]:
        """Every alert that is not ok: name, labels, state and since when."""
        return [
            {"alert": slot.split("/")[0], **json.loads(value.data)}
            for slot, value in self._state.scan("alerts").items()
        ]


def _next(before: Mapping[str, object], holds: bool, now_us: int, alert: Alert) -> tuple[dict[str, object], str]:
    """The state after one look, and what to say about it: ``firing``, ``resolved`` or nothing."""
    state, since = str(before["state"]), int(str(before["since"]))
    if holds:
        if state in ("firing", "resolving"):
            return {**before, "state": "firing"}, ""
        since = since if state == "pending" else now_us
        fires = now_us - since >= alert.for_us
        return {**before, "state": "firing" if fires else "pending", "since": since}, "firing" if fires else ""
    if state in ("ok", "pending"):
        return {**before, "state": "ok", "since": now_us}, ""
    ended = int(str(before.get("ended", now_us))) if state == "resolving" else now_us
    over = now_us - ended >= alert.resolve_us
    after = {**before, "state": "ok" if over else "resolving", "ended": ended}
    return after, "resolved" if over else ""


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def as_json(notice: Notice) -> bytes:
    """A notice for a webhook."""
    return json.dumps(asdict(notice)).encode()
