"""Everything that one app declares, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
from .view import View

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


def collect(found: Iterable[object]) -> Declarations:
    """Sort declarations out; the topics that they need come along.

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
            _add_topics(topics, item)
        elif isinstance(item, Table):
            _add(tables, item)
            _add_topics(topics, item.of)
        elif isinstance(item, Alert):
            _add(alerts, item)
            _add_topics(topics, item.of)
        elif isinstance(item, Example) and item not in examples:
            examples.append(item)
    views = {name: item for name, item in readables.items() if isinstance(item, View)}
    queries = {name: item for name, item in readables.items() if isinstance(item, Query)}
    return Declarations(topics, views, queries, tables, alerts, tuple(examples))


def views_of(of: Readable) -> Iterator[View]:
    """The views that a view or query rests on, those that it reads through among them."""
    for view in (of,) if isinstance(of, View) else of.views:
        yield view
        if view.through is not None:
            yield from views_of(view.through)


def _add_topics(into: dict[str, Topic], of: Topic | Readable) -> None:
    for topic in (of,) if isinstance(of, Topic) else (view.topic for view in views_of(of)):
        _add(into, topic)


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
