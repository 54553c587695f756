"""Everything that one app declares, as one value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from .alert import Alert
from .errors import DeclarationError, RequestError
from .example import Example
from .function import RowFunction
from .query import Query, Readable
from .site import suggest
from .table import Table
from .topic import Topic
from .view import CellSpec, View

_D = TypeVar("_D", Topic, Readable, Table, Alert)
Declared = Topic | View | Query | Table | Alert | Example | RowFunction


@dataclass(frozen=True)
class Declarations:
    """The declarations of an app, by kind and name.

    Views made by `View.at` are not declared and not served by name; they are found through the queries that use them.
    """

    topics: dict[str, Topic] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    queries: dict[str, Query] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()

    @property
    def readables(self) -> dict[str, Readable]:
        """Everything that is served by name."""
        return {**self.views, **self.queries}

    def readable(self, name: str) -> Readable:
        """The view or query called ``name``; `RequestError` (unknown) with a suggestion."""
        found = self.readables.get(name)
        if found is None:
            raise RequestError(
                f"view {name!r}",
                kind="unknown",
                expected="a declared view or query",
                remedy=suggest(name, self.readables),
            )
        return found

    def topic(self, name: str) -> Topic:
        """The topic called ``name``; `RequestError` (unknown) with a suggestion."""
        if name not in self.topics:
            raise RequestError(
                f"topic {name!r}", kind="unknown", expected="a declared topic", remedy=suggest(name, self.topics)
            )
        return self.topics[name]

    def specs(self, topic: str) -> tuple[CellSpec, ...]:
        """The cells to keep for a topic, each fingerprint once."""
        out: dict[str, CellSpec] = {}
        for readable in self.readables.values():
            for view in (readable,) if isinstance(readable, View) else readable.views:
                for each in (view, view.through) if view.through else (view,):
                    if each.topic.name == topic:
                        for spec in each.specs:
                            out.setdefault(spec.fingerprint, spec)
        return tuple(out.values())


def collect(found: Iterable[object]) -> Declarations:
    """Sort declarations out; the topics that views need come along.

    A name declared twice is an error naming both lines.
    """
    topics: dict[str, Topic] = {}
    readables: dict[str, Readable] = {}
    tables: dict[str, Table] = {}
    alerts: dict[str, Alert] = {}
    examples: list[Example] = []
    for item in found:
        if isinstance(item, Topic):
            _add(topics, item)
        elif isinstance(item, View | Query):
            if isinstance(item, Query) or item.of is None:
                _add(readables, item)
            for view in (item,) if isinstance(item, View) else item.views:
                _add(topics, view.topic)
        elif isinstance(item, Table):
            _add(tables, item)
        elif isinstance(item, Alert):
            _add(alerts, item)
        elif isinstance(item, Example) and item not in examples:
            examples.append(item)
    views = {name: item for name, item in readables.items() if isinstance(item, View)}
    queries = {name: item for name, item in readables.items() if isinstance(item, Query)}
    return Declarations(topics, views, queries, tables, alerts, tuple(examples))


def _add(into: dict[str, _D], item: _D) -> None:
    old = into.setdefault(item.name, item)
    if old is not item and old != item:
        raise DeclarationError(
            f"{type(item).__name__.lower()} {item.name!r}",
            expected="each name once",
            got=f"a second one at {item.where_declared}",
            remedy="rename one of them",
            where=getattr(old, "where_declared", ""),
        )
