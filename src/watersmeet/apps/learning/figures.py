"""What the routes answer, for their description: rows by the names of their columns, and a receipt with everything.

Times are UTC. Durations say their unit in their name or description; ``*_pct`` and ``*_rate`` are out of 100.
Null is what nothing can be said of: a mean of nothing, a length that no event told.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict

R = TypeVar("R", bound=BaseModel)
Moment = Annotated[dt.datetime, AfterValidator(lambda at: at if at.tzinfo else at.replace(tzinfo=dt.UTC))]
"""A time; what comes without a zone is UTC."""


class Rest(BaseModel):
    """What an answer rests on in one topic."""

    model_config = ConfigDict(extra="allow")

    version: int
    frontier: list[int]
    epochs: int
    slices: int
    watermark_us: int | None
    newest_us: int | None
    arrival_us: int | None
    unread: int
    missing: list[int]
    late: int
    dead: int
    duplicates: int


class Receipt(BaseModel):
    """What an answer rests on: how complete, how exact, how fresh; times in microseconds since 1970-01-01Z."""

    model_config = ConfigDict(extra="allow")

    name: str
    as_of_us: int
    complete: bool
    exact: bool
    audit: str
    match_rate: float | None
    topics: dict[str, Rest]
    fingerprint: str
    reasons: list[str]
    errors: dict[str, float]
    unsafe: str | None
    freshness_seconds: float | None
    watermark_us: int | None


class Answered(BaseModel):
    """An answer with its receipt; ``more`` if a limit left rows out."""

    receipt: Receipt
    more: bool


class Listing(Answered, Generic[R]):
    """Rows, in the order that the route states."""

    rows: list[R]
