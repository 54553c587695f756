"""The port through which answers are asked for; the serving layer is behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from .answer import Answer
from .duration import Duration
from .engine import Filter, Order
from .query import Readable
from .window import Window

Layer = Literal["merged", "batch", "speed"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a view or query.

    Args:
        of: its name, or the declaration itself (also one made by `View.at`).
        range: half open, (lower, upper) in µs of the time column; either may be None.
        where: all must hold.
        window: read a view at another window; ``"declared"`` keeps its own, None is all time.
        every: with a length, makes it a hopping window.
        by: fewer dimensions.
        order, limit, after: see `watersmeet.core.engine.Selection`.
        as_of_us: answer as of a past time.
        fill: rows for empty windows.
        layer: only what one layer contributes; for looking, such an answer is never complete.
    """

    of: str | Readable
    range: tuple[int | None, int | None] | None = None
    where: Sequence[Filter] = ()
    window: Duration | Window | None = "declared"
    every: Duration | None = None
    by: Sequence[str] | None = None
    order: Sequence[Order] = ()
    limit: int | None = None
    after: tuple[object, ...] = ()
    as_of_us: int | None = None
    fill: bool = False
    layer: Layer = "merged"


class Reader(Protocol):
    """Answers requests; used by publish, alerts, audit, the API, the CLI and an app's own routes, from many threads."""

    def read(self, request: Request) -> Answer:
        """One answer, consistent within each topic.

        Raises `RequestError` (unknown, invalid, gone, too_large) or `PendingError` (not covered yet).
        """
        ...
