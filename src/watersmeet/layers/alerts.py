"""Alerts: conditions with memory.

    condition   ····████████·██████········
    state       ok  pending firing   resolving ok
                    |-for_-| notice  |-resolve_after-| notice

Each value of the dimensions has a state of its own, kept durably, so a restart neither repeats nor forgets a notice. Of
a windowed view only the latest row of each value counts, and none that is older than the alert looks back.

A notice is stored as owed to each of its notifiers before it is sent, and is owed until that notifier has taken it; one
that cannot be reached delays no other. After a crash a notice may come twice, never not at all, and its ``id`` is the
same both times. Of what is owed to one notifier about one value, the latest `MAX_OWED` are kept.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from watersmeet.core.alert import Alert
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Engine
from watersmeet.core.errors import PendingError, SettingsError, UnavailableError
from watersmeet.core.reader import Reader, Request
from watersmeet.core.state import State
from watersmeet.core.view import WINDOW_COLUMNS, View

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
        key: the same for every notice about one alert and value, so that a receiver can match them.
        at_us: when it was found.
    """

    id: str
    alert: str
    severity: str
    status: str
    labels: Mapping[str, str]
    since_us: int
    row: Mapping[str, str]
    key: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Rule:
    """What an alert says beside its condition; see `watersmeet.core.alert.Alert`."""

    name: str
    severity: str
    for_us: int = 0
    resolve_us: int = 0
    notify: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """Whether a rule's condition holds of one thing now.

    Args:
        labels: which thing, as text.
        holds: whether.
        row: what decided, as text.
    """

    labels: Mapping[str, str]
    holds: bool
    row: Mapping[str, str]


Notify = Callable[[str, Notice], None]
"""Sends a notice to a named notifier; raises `UnavailableError` or `SettingsError` if it cannot, and is called again at
the next round."""
Routes = Mapping[str, Sequence[str]]
"""Severity -> notifiers of alerts that name none."""
TO_THE_LOG: Routes = dict.fromkeys(("info", "warning", "critical"), ("log",))
MAX_OWED = 16


def log_notice(name: str, notice: Notice) -> None:
    """The notifier called ``log``."""
    level = {"info": logging.INFO, "warning": logging.WARNING}.get(notice.severity, logging.ERROR)
    log.log(level, "alert %s %s %s", notice.alert, notice.status, dict(notice.labels))


Owed = tuple[str, Notice]
"""A notifier, and what it has not taken yet."""


class Alerts:
    """Evaluates alerts.

    Args:
        reader, state, engine, clock: the ports.
        notify: sends notices.
        routes: where they go.
    """

    def __init__(
        self,
        reader: Reader,
        state: State,
        engine: Engine,
        clock: Clock,
        *,
        notify: Notify = log_notice,
        routes: Routes = TO_THE_LOG,
    ) -> None:
        self._reader, self._state, self._engine, self._clock = reader, state, engine, clock
        self._notify, self._routes = notify, routes

    def evaluate(self, alert: Alert) -> list[Notice]:
        """Look once; returns the new notices, sent or owed."""
        try:
            answer = self._reader.read(Request(alert.of, range=self._range(alert)))
        except PendingError:
            return []
        bounds = WINDOW_COLUMNS if isinstance(alert.of, View) else WINDOW_COLUMNS[:1]
        key = [k for k in alert.of.key if k not in (*bounds, alert.of.time)]
        rule = Rule(alert.name, alert.severity, alert.for_us, alert.resolve_us, tuple(alert.notify))
        return self.observe(rule, [_observed(row, key) for row in self._latest(alert, pa.table(answer.rows), key)])

    def observe(self, rule: Rule, seen: Iterable[Observation]) -> list[Notice]:
        """Take in what holds now; of a thing that is not seen any more, nothing holds. Returns the new notices."""
        known = {k: json.loads(v.data) for k, v in self._state.scan("alerts", f"{rule.name}/").items()}
        looked = {f"{rule.name}/{_digest(found.labels)}": found for found in seen}
        for slot, before in known.items():
            looked.setdefault(slot, Observation(before["labels"], False, {}))
        new: list[Notice] = []
        for slot, found in looked.items():
            new += self._step(rule, slot, known.get(slot), found)
        return new

    def _step(self, rule: Rule, slot: str, before: Mapping[str, object] | None, found: Observation) -> list[Notice]:
        """Move one value's state on by one look, and send what is owed about it."""
        now_us = self._clock.now_us()
        old = before or {"state": "ok", "since": now_us, "labels": found.labels}
        after, status = _next(old, found.holds, now_us, rule)
        new = [self._notice(rule, status, found, int(str(after["since"])))] if status else []
        owed = _owed(old)
        for notice in new:
            for name in rule.notify or self._routes[rule.severity]:
                owed.append((name, notice))
        after = {**after, "owed": [[name, asdict(notice)] for name, notice in owed]}
        if new:
            self._store(slot, after)
        left = self._deliver(owed)
        after["owed"] = [[name, asdict(notice)] for name, notice in left]
        if after != {"owed": [], **old} or new:
            self._store(slot, after)
        return new

    def _notice(self, rule: Rule, status: str, found: Observation, since_us: int) -> Notice:
        labels, now_us = found.labels, self._clock.now_us()
        identity, key = _digest([rule.name, status, labels, since_us]), _digest([rule.name, labels])
        return Notice(identity, rule.name, rule.severity, status, labels, since_us, found.row, key, now_us)

    def _deliver(self, owed: Sequence[Owed]) -> list[Owed]:
        """Send each notice; what could not be sent comes back, with all that is owed to the same notifier after it."""
        left: list[Owed] = []
        for name, notice in owed:
            if any(name == other for other, _ in left):
                left.append((name, notice))
                continue
            try:
                self._notify(name, notice)
            except (UnavailableError, SettingsError) as error:
                log.warning("alert %s is owed to notifier %s: %s", notice.alert, name, error)
                left.append((name, notice))
        return left

    def _range(self, alert: Alert) -> tuple[int | None, int | None] | None:
        """The rows to look at; in whole minutes, so that many looks ask for the same."""
        if alert.within_us is None:
            return None
        lower_us = self._clock.now_us() - alert.within_us
        return lower_us - lower_us % 60_000_000, None

    def _latest(self, alert: Alert, rows: pa.Table, key: list[str]) -> list[dict[str, object]]:
        partition = ", ".join(f'"{k}"' for k in key) or "1"
        times = dict.fromkeys([alert.of.time, *(k for k in alert.of.key if k not in key)])
        order = ", ".join(f'"{time}" desc' for time in times)
        newest = f"qualify row_number() over (partition by {partition} order by {order}) = 1" if alert.of.time else ""
        sql = f"select *, coalesce(({alert.when}), false) as _holds from rows {newest}"  # noqa: S608  # checked when declared
        found: list[dict[str, object]] = pa.table(
            self._engine.query(sql, {"rows": rows}, as_of_us=self._clock.now_us())
        ).to_pylist()
        return found

    def _store(self, slot: str, after: Mapping[str, object]) -> None:
        gone = after["state"] == "ok" and not after["owed"]
        self._state.put("alerts", slot, None if gone else json.dumps(after).encode())

    def active(self) -> list[dict[str, object]]:
        """Every alert that is not ok, or of which a notice is owed: name, labels, state, since when, what is owed."""
        return [
            {"alert": slot.split("/")[0], **json.loads(value.data)}
            for slot, value in self._state.scan("alerts").items()
        ]


def _observed(row: Mapping[str, object], key: Sequence[str]) -> Observation:
    shown = {name: str(value) for name, value in row.items() if name != "_holds"}
    return Observation({name: str(row[name]) for name in key}, bool(row["_holds"]), shown)


def _owed(stored: Mapping[str, object]) -> list[Owed]:
    """What a stored state says is owed; of each notifier the latest `MAX_OWED`."""
    found: list[Any] = list(stored.get("owed") or ())  # type: ignore[call-overload]  # JSON of `_step`
    counts: Counter[str] = Counter(name for name, _ in found)
    out: list[Owed] = []
    for name, fields in found:
        counts[name] -= 1
        if counts[name] < MAX_OWED:
            out.append((name, Notice(**fields)))
        else:
            log.error("notifier %s: a notice of alert %s is given up, too many are owed", name, fields["alert"])
    return out


def _next(before: Mapping[str, object], holds: bool, now_us: int, rule: Rule) -> tuple[dict[str, object], str]:
    """The state after one look, and what to say about it: ``firing``, ``resolved`` or nothing."""
    state, since = str(before["state"]), int(str(before["since"]))
    if holds:
        if state in ("firing", "resolving"):
            return {**before, "state": "firing"}, ""
        since = since if state == "pending" else now_us
        fires = now_us - since >= rule.for_us
        return {**before, "state": "firing" if fires else "pending", "since": since}, "firing" if fires else ""
    if state in ("ok", "pending"):
        return {**before, "state": "ok", "since": now_us}, ""
    ended = int(str(before.get("ended", now_us))) if state == "resolving" else now_us
    over = now_us - ended >= rule.resolve_us
    after = {**before, "state": "ok" if over else "resolving", "ended": ended}
    return after, "resolved" if over else ""


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
