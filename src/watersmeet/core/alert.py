"""Alerts: a condition on the rows of a view or query, with memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .duration import Duration, microseconds
from .errors import DeclarationError
from .query import Query
from .site import caller, check_name
from .sql.expression import scalar
from .view import View


@dataclass(frozen=True)
class Alert:
    """Fires once when a row's condition has held long enough, and says once when it is over.

    Args:
        name: of the alert.
        of: the view or query whose rows are watched; each value of its dimensions has an alert of its own.
        when: SQL condition over the columns of a row.
        for_: how long it must hold before it fires; default at once.
        resolve_after: how long it must not hold before it is over; default at once.
        within: only rows whose time lies this far back at most are looked at; a value that has none does not hold.
            Default all: of a value that went silent the last row counts for ever, and all of history is read.
        notify: names of notifiers in the settings; default those that the settings' ``routes`` give its severity.
        severity: ``"info"``, ``"warning"`` or ``"critical"``.
    """

    name: str
    of: View | Query
    when: str
    for_: Duration | None = None
    resolve_after: Duration | None = None
    within: Duration | None = None
    notify: Sequence[str] = field(default=(), hash=False)
    severity: str = "warning"
    where_declared: str = field(default_factory=caller, compare=False, repr=False)

    def __post_init__(self) -> None:
        where = self.where_declared
        check_name("alert", self.name, where)
        if not isinstance(self.of, View | Query):
            raise DeclarationError(
                f"alert {self.name}",
                expected="of= a view or query",
                got=type(self.of).__name__,
                remedy="name the declaration itself: of=my_view",
                where=where,
            )
        if self.severity not in ("info", "warning", "critical"):
            raise DeclarationError(
                f"severity of alert {self.name}",
                expected="info, warning or critical",
                got=repr(self.severity),
                remedy="leave it out for a warning",
                where=where,
            )
        columns = self.of.columns if isinstance(self.of, View) else self.of.lineage.columns
        if columns is not None:
            scalar(self.when, columns, subject=f"when of alert {self.name}", where=where)
        if self.within is not None and self.of.time is None:
            raise DeclarationError(
                f"within of alert {self.name}",
                expected="rows that have a time",
                got=f"{self.of.name}, which has none",
                remedy="leave it out: there is one row for each value",
                where=where,
            )
        _ = self.for_us, self.resolve_us, self.within_us

    @property
    def for_us(self) -> int:
        return 0 if self.for_ is None else microseconds(self.for_, subject=f"for_ of alert {self.name}")

    @property
    def resolve_us(self) -> int:
        return (
            0
            if self.resolve_after is None
            else microseconds(self.resolve_after, subject=f"resolve_after of alert {self.name}")
        )

    @property
    def within_us(self) -> int | None:
        return None if self.within is None else microseconds(self.within, subject=f"within of alert {self.name}")
