"""What examples are written with: events on a day in December, and rows as tables read."""

from __future__ import annotations

import datetime as dt

DAY = dt.datetime(2025, 12, 15, tzinfo=dt.UTC)


def at(clock: str, *, days: int = 0) -> int:
    """Milliseconds since 1970-01-01Z when clocks show ``clock``, such as ``"12:00:10"``, so many days later."""
    hours, minutes, seconds = (float(part) for part in clock.split(":"))
    moment = DAY + dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return round(moment.timestamp() * 1000)


def event(
    category: str, name: str, clock: str, kind: str, user: str, *, days: int = 0, **more: object
) -> dict[str, object]:
    """One event as it is sent.

    Args:
        category: such as ``"COURSE"``.
        name: its id.
        clock, days: when; see `at`.
        kind: its type.
        user: who; ``SV…`` is a student, ``GV…`` a teacher.
        more: the fields of its type.
    """
    return {
        "event_id": name,
        "event_category": category,
        "event_type": kind,
        "user_id": user,
        "role": "student" if user.startswith("S") else "teacher",
        "timestamp": at(clock, days=days),
        **more,
    }


def rows(columns: str, *values: tuple[object, ...]) -> list[dict[str, object]]:
    """Rows from the names of their columns, in one text, and their values."""
    return [dict(zip(columns.split(), row, strict=True)) for row in values]


def time(clock: str, *, days: int = 0) -> str:
    """The same moment as `at`, as answers show it."""
    return dt.datetime.fromtimestamp(at(clock, days=days) / 1000, dt.UTC).isoformat()
