"""What one request asks: readings of applied views, each of both layers as one, and one receipt for all of them.

A run of days or the last hours is read as one window of exactly that length. So what it says of distinct users, means
and extremes is right for the run, and nothing is added up that cannot be.

An id counts as known if any record that either layer holds has ever named it. That is asked only when there is
nothing else to say of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import pyarrow as pa
from fastapi import Path, Query

import watersmeet as wm

from .figures import Receipt

Row = dict[str, Any]
Where = Mapping[str, object]
Range = tuple[int | None, int | None]

FIRST_DAY, LAST_DAY = dt.date(1900, 1, 1), dt.date(2199, 12, 31)
DAY_US, HOUR_US, MINUTE_US = 86_400_000_000, 3_600_000_000, 60_000_000
AHEAD_US = 10 * MINUTE_US
"""Clocks of producers may run ahead; what they say of the next minutes belongs to the last hours too."""
STALE_SECONDS = 300

Day = Annotated[dt.date | None, Query(ge=FIRST_DAY, le=LAST_DAY)]
"""A day (UTC), as ``YYYY-MM-DD``."""
Id = Annotated[str, Path(min_length=1, max_length=64)]
MaybeId = Annotated[str | None, Query(min_length=1, max_length=64)]
Hours = Annotated[int, Query(ge=1, le=744)]
Limit = Annotated[int, Query(ge=1, le=10_000)]

_PEOPLE = (
    ("auth_activity", "user_id"),
    ("course_days", "user_id"),
    ("video_days", "user_id"),
    ("assessment_activity", "user_id"),
    ("work_days", "student_id"),
    ("profile_days", "user_id"),
    ("notification_recipients", "user_id"),
)
NAMED: Mapping[str, Sequence[tuple[str, str]]] = {
    "user": _PEOPLE,
    "student": _PEOPLE,
    "teacher": _PEOPLE,
    "course": (("course_activity", "course_id"), ("video_activity", "course_id"), ("assessment_activity", "course_id")),
    "video": (("video_activity", "video_id"),),
    "quiz": (("quiz_activity", "quiz_id"),),
    "assignment": (("work_days", "assignment_id"),),
    "material": (("course_days", "material_id"),),
}
"""Kind of id -> the views and columns in which it is named."""
_NEVER_US = 7_500_000_000_000_000  # in 2207, after every day that may be asked for
_LETTERS = {"student": "S", "teacher": "G"}


@dataclass(frozen=True, slots=True)
class Span:
    """A run of event time, [lower, upper) in microseconds; without bounds it is all time."""

    lower_us: int | None = None
    upper_us: int | None = None

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Both bounds, or None for all time."""
        if self.lower_us is None or self.upper_us is None:
            return None
        return self.lower_us, self.upper_us


def days(start: dt.date | None, end: dt.date | None) -> Span:
    """From the start of one day to the end of another (UTC), both included; a day that is None bounds nothing.

    Raises `RequestError` when it ends before it starts.
    """
    if start is None and end is None:
        return Span()
    if start is not None and end is not None and end < start:
        raise wm.RequestError("end_date", expected=f"{start} or later", got=str(end))
    return Span(midnight(start or FIRST_DAY), midnight(end or LAST_DAY) + DAY_US)


def midnight(day: dt.date) -> int:
    """Microseconds since 1970-01-01Z at the start of a day (UTC)."""
    return (day - dt.date(1970, 1, 1)).days * DAY_US


class Asking:
    """Everything that one request reads.

    Args:
        reader: of the app.
        name: of what is asked, for the receipt.
    """

    def __init__(self, reader: wm.Reader, name: str) -> None:
        self._reader, self._name = reader, name
        self._receipts: list[wm.Receipt] = []
        self._refusal: wm.WatersmeetError | None = None
        self._more = False

    def rows(
        self,
        of: str,
        where: Where | None = None,
        *,
        range: Range | None = None,
        also: Sequence[wm.Filter] = (),
        order: str = "",
        limit: int | None = None,
    ) -> list[Row]:
        """Rows of a view or query.

        Args:
            of: its name.
            where: column -> the value that it has, or a list of values; None: any.
            range: of its time column, [lower, upper) in microseconds.
            also: more conditions.
            order: a column, with ``-`` before it descending; default the key.
            limit: at most so many.
        """
        filters = (*_filters(where or {}), *also)
        return self._limited(wm.Request(of, range, filters, order=_order(order)), limit)

    def over(
        self,
        of: str,
        span: Span,
        by: Sequence[str],
        where: Where | None = None,
        *,
        every: str = "",
        also: Sequence[wm.Filter] = (),
        order: str = "",
        limit: int | None = None,
    ) -> list[Row]:
        """Rows of a view by some of its dimensions, over exactly a span: one row for each of them.

        Args:
            of: the view's name.
            span: whole panes of the view.
            by: its dimensions; those in ``where`` come along.
            where, also, order, limit: as for `rows`; ``where`` is about dimensions.
            every: instead of one window, windows of this length, such as ``"1h"``.
        """
        where = {column: value for column, value in (where or {}).items() if value is not None}
        columns = list(dict.fromkeys([*where, *by]))
        filters, bounds = (*_filters(where), *also), span.bounds
        request = wm.Request(of, bounds, filters, window=None, by=columns, order=_order(order))
        if every:
            request = replace(request, window=every)
        elif bounds is not None:
            length = dt.timedelta(microseconds=bounds[1] - bounds[0])
            request = replace(request, window=wm.tumbling(length, origin=bounds[0]))
        return self._limited(request, limit)

    def one(self, of: str, span: Span, where: Where | None = None) -> Row:
        """The row of a view for some of its dimensions over a span; empty if there is none."""
        found = self.over(of, span, (), where)
        return found[0] if found else {}

    def known(self, kind: str, name: str | None, *found: object) -> None:
        """Nothing, if a record has named the id; else `RequestError` (unknown).

        Args:
            kind: one of `NAMED`.
            name: the id; None is always known.
            found: what was read of it: anything there shows that it is known.
        """
        if name is None:
            return
        if name.startswith(_LETTERS.get(kind, "")):
            if any(found):
                return
            for view, column in NAMED[kind]:
                request = wm.Request(view, None, (wm.Filter(column, "=", name),), window=None, by=[column], limit=1)
                if pa.table(self._reader.read(request).rows).num_rows:
                    return
        raise wm.RequestError(f"{kind} {name!r}", kind="unknown", expected="one that a record has named")

    def probe(self, view: wm.View) -> str | None:
        """Why a declared view does not answer; None if it does. Reads no more than it must."""
        try:
            if view.time is None:
                self._read(wm.Request(view.name, window=None, by=[], limit=0))
            else:
                self._read(wm.Request(view.name, (_NEVER_US, _NEVER_US + 1)))
        except wm.WatersmeetError as error:
            self._refusal = error
            return str(error)
        return None

    def now_us(self) -> int:
        """The time of this request, as answers tell it."""
        if self._receipts:
            return self._receipts[0].as_of_us
        return self._reader.read(wm.Request("auth_activity", (_NEVER_US, _NEVER_US + 1))).receipt.as_of_us

    def last(self, hours: int) -> Span:
        """The last hours, by whole minutes."""
        now_us = self.now_us()
        return Span((now_us - hours * HOUR_US) // MINUTE_US * MINUTE_US, (now_us + AHEAD_US) // MINUTE_US * MINUTE_US)

    def last_minutes(self) -> Range:
        """The start of the five minutes that end with the minute of now, as a range that holds it alone."""
        start_us = (self.now_us() // MINUTE_US - 4) * MINUTE_US
        return start_us, start_us + 1

    def day(self, day: dt.date | None) -> dt.date:
        """That day, or today (UTC)."""
        return day or dt.date(1970, 1, 1) + dt.timedelta(days=self.now_us() // DAY_US)

    @property
    def rest(self) -> wm.Receipt:
        """What everything that was read rests on; if nothing could be read, why not is raised."""
        if not self._receipts and self._refusal is not None:
            raise self._refusal
        return joined(self._name, self._receipts)

    @property
    def basis(self) -> dict[str, Any]:
        """The fields that every answer has: its receipt, and whether a limit left rows out."""
        return {"receipt": Receipt.model_validate(self.rest.as_dict()), "more": self._more}

    def _limited(self, request: wm.Request, limit: int | None) -> list[Row]:
        rows = self._read(replace(request, limit=None if limit is None else limit + 1))
        self._more = self._more or (limit is not None and len(rows) > limit)
        return rows[:limit]

    def _read(self, request: wm.Request) -> list[Row]:
        answer = self._reader.read(request)
        self._receipts.append(answer.receipt)
        rows: list[Row] = pa.table(answer.rows).to_pylist()
        return rows


def joined(name: str, receipts: Sequence[wm.Receipt]) -> wm.Receipt:
    """One receipt for answers that were read one after the other: as good as the least of them.

    Where a topic moved on meanwhile, it speaks of the state that all of them have reached, and says so.
    """
    first = receipts[0]
    topics, moved = dict(first.topics), set()
    for receipt in receipts[1:]:
        for topic, rest in receipt.topics.items():
            old = topics.setdefault(topic, rest)
            if old.version != rest.version:
                moved.add(f"{topic} moved on while the answer was read")
            oldest = min(old, rest, key=lambda r: r.version)
            missing = tuple(sorted({*old.missing, *rest.missing}))
            topics[topic] = replace(
                oldest, epochs=min(old.epochs, rest.epochs), slices=max(old.slices, rest.slices), missing=missing
            )
    rates = [r.match_rate for r in receipts if r.match_rate is not None]
    verdicts = {r.audit for r in receipts}
    return wm.Receipt(
        name=name,
        as_of_us=first.as_of_us,
        complete=all(r.complete for r in receipts),
        exact=all(r.exact for r in receipts),
        audit=next(v for v in ("mismatch", "match", "none") if v in verdicts),
        match_rate=min(rates, default=None),
        topics=topics,
        fingerprint="+".join(dict.fromkeys(r.fingerprint for r in receipts)),
        reasons=tuple(sorted({*moved, *(reason for r in receipts for reason in r.reasons)})),
        errors={column: max(r.errors.get(column, 0) for r in receipts) for r in receipts for column in r.errors},
        unsafe="; ".join(dict.fromkeys(r.unsafe for r in receipts if r.unsafe)) or None,
    )


def health(receipt: wm.Receipt) -> str:
    """How what a receipt stands for does: ``incomplete`` (records are missing), ``mismatch`` (the layers disagree), or
    as `pulse` says of its topics together."""
    if not receipt.complete:
        return "incomplete"
    return "mismatch" if receipt.audit == "mismatch" else pulse(receipt)


def pulse(receipt: wm.Receipt, topic: str = "") -> str:
    """How fresh a topic is, or all topics together.

    ``empty`` (nothing has come yet); ``behind`` (records wait, for five minutes none was taken); ``stale`` (none came
    for five minutes); else ``healthy``.
    """
    rests = [rest for name, rest in receipt.topics.items() if topic in ("", name)]
    newest = [rest.arrival_us for rest in rests if rest.arrival_us is not None]
    if not newest:
        return "empty"
    if receipt.as_of_us - max(newest) <= STALE_SECONDS * 1_000_000:
        return "healthy"
    return "behind" if any(rest.unread for rest in rests) else "stale"


def _filters(where: Where) -> tuple[wm.Filter, ...]:
    return tuple(
        wm.Filter(column, "in" if isinstance(value, list) else "=", tuple(value) if isinstance(value, list) else value)
        for column, value in where.items()
        if value is not None
    )


def _order(text: str) -> tuple[wm.Order, ...]:
    return tuple(wm.Order(part.lstrip("-"), part.startswith("-")) for part in text.split(",") if part)
