"""Windows of a user's own, which no length and no calendar gives: term weeks, examination periods, shifts.

    @wm.window(version=1)
    def term_weeks(event_time, faculty):        columns in, one value a record
        ...
        return starts, ends                     two columns out

A record lies in the window [start, end) that the function gives it, ``start <= event_time < end``, or in none where the
start is null: then the view does not count it. Anything else that the function gives is not usable, and the record is
counted as that.

Neither end follows from the other or from a length. So both are part of a cell's address: cells add up only where both
are equal, rows are told apart by both, and nothing but all time is put together from such windows: the sum of them all,
which leaves out what lies in none.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from .errors import DeclarationError
from .function import Column, RowFunction, check_version, described
from .site import caller, check_column, suggest
from .window import Window

WindowCall = Callable[..., Sequence[Column]]  # type: ignore[explicit-any]  # any number of columns
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWindow(Window):
    """Windows that a declared function gives; calling it calls the Python function.

    Args:
        function: with its version and the hash of its source.
        parameters: what it is given, in order: ``event_time`` and dimensions of the view.
    """

    function: RowFunction
    parameters: tuple[str, ...]

    @property
    def meaning(self) -> tuple[object, ...]:
        """See `Window.meaning`."""
        return self.kind, self.function.name, self.function.version, self.function.source_hash

    def check_parameters(self, dimensions: Sequence[str], subject: str, where: str) -> None:
        """Refuse a function that asks for what a view does not have."""
        for name in self.parameters:
            if name not in ("event_time", *dimensions):
                raise DeclarationError(
                    subject,
                    expected="parameters called event_time or as a dimension of the view",
                    got=f"{name!r} of {self.function.name}",
                    remedy=suggest(name, ("event_time", *dimensions)),
                    where=where,
                )

    def __call__(self, *columns: Column) -> Sequence[Column]:
        return cast("Sequence[Column]", self.function(*columns))

    def __str__(self) -> str:
        return f"{self.function.name}, version {self.function.version}"


def window(*, version: int) -> Callable[[WindowCall], UserWindow]:
    """Declare a window function; the result is the ``window`` of a view.

    The function's parameters are called ``event_time`` and, if it needs them, as dimensions of the view. It takes one
    sequence per parameter, all of one length, times as ``datetime`` in UTC without a zone, with None for null. It
    returns two columns of that length: lists of ``datetime`` (without a zone: UTC) or None, or NumPy or Arrow arrays of
    times. It must be pure: same arguments, same results, on every machine.

    Args:
        version: at least 1; part of the fingerprint. Raise it with every change of meaning.

    >>> from datetime import datetime, timedelta
    >>> @window(version=1)
    ... def shifts(event_time):
    ...     starts = [t.replace(hour=t.hour // 8 * 8, minute=0, second=0, microsecond=0) for t in event_time]
    ...     return starts, [start + timedelta(hours=8) for start in starts]
    >>> str(shifts)
    'shifts, version 1'
    """
    where = caller()
    check_version(version, where)

    def declare(call: WindowCall) -> UserWindow:
        check_column("window function", call.__name__, where)
        function = described(call, version, "timestamp", where)
        parameters = inspect.signature(call).parameters
        if "event_time" not in parameters or any(p.kind not in _POSITIONAL for p in parameters.values()):
            raise DeclarationError(
                f"window function {function.name}",
                expected="plain parameters, event_time among them",
                got=str(inspect.signature(call)),
                remedy=f"write def {function.name}(event_time, …), with dimensions of the view",
                where=where,
            )
        return UserWindow("user", function=function, parameters=tuple(parameters))

    return declare
