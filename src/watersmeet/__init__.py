"""Declare a view once; it is computed by a batch layer and a speed layer and served as one number.

>>> import watersmeet as wm
>>> clicks = wm.Topic("clicks", schema={"page": "varchar not null", "at": "timestamp_ms not null"}, event_time="at")
>>> hits = wm.View("hits", topic=clicks, dimensions=["page"], window=wm.tumbling("5m"), measures={"n": wm.count()})
>>> hits.columns
('window_start', 'window_end', 'page', 'n')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .core.alert import Alert
    from .core.answer import Answer, Receipt
    from .core.clock import Clock
    from .core.engine import Filter, Order
    from .core.errors import RequestError, UnavailableError, WatersmeetError
    from .core.example import Example
    from .core.function import function
    from .core.measure import count, distinct, first, last, max, mean, min, stddev, sum, top, variance
    from .core.query import Query
    from .core.reader import Reader, Request
    from .core.record import Record
    from .core.source import Pulled, Source
    from .core.table import Table
    from .core.topic import Topic
    from .core.user_window import window
    from .core.view import View
    from .core.window import calendar, hopping, running, session, tumbling

__version__ = "0.1.0"

_HOMES = {
    "alert": ("Alert",),
    "answer": ("Answer", "Receipt"),
    "clock": ("Clock",),
    "engine": ("Filter", "Order"),
    "errors": ("RequestError", "UnavailableError", "WatersmeetError"),
    "example": ("Example",),
    "function": ("function",),
    "measure": ("count", "distinct", "first", "last", "max", "mean", "min", "stddev", "sum", "top", "variance"),
    "query": ("Query",),
    "reader": ("Reader", "Request"),
    "record": ("Record",),
    "source": ("Pulled", "Source"),
    "table": ("Table",),
    "topic": ("Topic",),
    "user_window": ("window",),
    "view": ("View",),
    "window": ("calendar", "hopping", "running", "session", "tumbling"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Alert",
    "Answer",
    "Clock",
    "Example",
    "Filter",
    "Order",
    "Pulled",
    "Query",
    "Reader",
    "Receipt",
    "Record",
    "Request",
    "RequestError",
    "Source",
    "Table",
    "Topic",
    "UnavailableError",
    "View",
    "WatersmeetError",
    "calendar",
    "count",
    "distinct",
    "first",
    "function",
    "hopping",
    "last",
    "max",
    "mean",
    "min",
    "running",
    "session",
    "stddev",
    "sum",
    "top",
    "tumbling",
    "variance",
    "window",
]


def __getattr__(name: str) -> object:
    module = _HOME.get(name)
    if module is None:
        raise AttributeError(f"module 'watersmeet' has no attribute {name!r}")
    value = getattr(import_module(f".core.{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
