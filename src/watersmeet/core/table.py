"""Tables: published outputs in the shape that others expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .duration import Duration, microseconds
from .errors import DeclarationError
from .query import Query
from .site import caller, check_name
from .topic import Topic
from .view import View


@dataclass(frozen=True)
class Table:
    """What a sink is kept equal to.

    Args:
        name: of the table at its destination.
        of: the topic, view or query whose rows it holds.
        to: the destination, a name in the settings' ``sinks`` or a URL; ``"parquet"``, ``"sqlite"``, ``"csv"`` and
            ``"json"`` are files in the state directory.
        partition: columns by which it is partitioned.
        order: columns by which rows are ordered (clustering) within a partition.
        columns: ``"*"``, names, and ``"expression as name"``; ``published_at`` may be used.
        every: how often it is brought up to date.
        ttl: age after which the destination may drop a row.
        when: ``"changed"`` publishes provisional rows too, ``"final"`` only rows that the watermark has passed. Of a
            topic, records are published once the batch layer has decided their epoch, either way.
        freeze: once the watermark has passed a scope's end by so much, later changes are counted but not written.
        dead: publish the topic's dead letters instead of its records.
    """

    name: str
    of: Topic | View | Query
    to: str = "parquet"
    partition: Sequence[str] = field(default=(), hash=False)
    order: Sequence[str] = field(default=(), hash=False)
    columns: Sequence[str] = field(default=("*",), hash=False)
    every: Duration = "30s"
    ttl: Duration | None = None
    when: Literal["changed", "final"] = "changed"
    freeze: Duration | None = None
    dead: bool = False
    where_declared: str = field(default_factory=caller, compare=False, repr=False)

    def __post_init__(self) -> None:
        where = self.where_declared
        check_name("table", self.name, where)
        if not isinstance(self.of, Topic | View | Query):
            raise DeclarationError(
                f"table {self.name}",
                expected="of= a topic, view or query",
                got=type(self.of).__name__,
                remedy="name the declaration itself: of=my_view",
                where=where,
            )
        if self.when not in ("changed", "final"):
            raise DeclarationError(
                f"when of table {self.name}",
                expected="'changed' or 'final'",
                got=repr(self.when),
                remedy="leave it out to publish provisional rows too",
                where=where,
            )
        if self.dead and not isinstance(self.of, Topic):
            raise DeclarationError(
                f"table {self.name}",
                expected="dead=True with a topic only",
                got=f"{self.of.name}, a {type(self.of).__name__.lower()}",
                remedy="name the topic whose dead letters it holds",
                where=where,
            )
        if self.when == "final" and not _can_settle(self.of):
            raise DeclarationError(
                f"when of table {self.name}",
                expected="rows that become final: a view with windows, or a query whose time follows its inputs'",
                got=f"{self.of.name}, whose rows may always change",
                remedy="leave it out to publish rows as they are",
                where=where,
            )
        for name in ("every", "ttl", "freeze"):
            value = getattr(self, name)
            if value is not None:
                microseconds(value, subject=f"{name} of table {self.name}")

    @property
    def every_us(self) -> int:
        return microseconds(self.every)

    @property
    def freeze_us(self) -> int | None:
        return None if self.freeze is None else microseconds(self.freeze)

    @property
    def ttl_us(self) -> int | None:
        return None if self.ttl is None else microseconds(self.ttl)


def _can_settle(of: Topic | View | Query) -> bool:
    """Whether its rows become final some time."""
    if isinstance(of, Query):
        return of.time is not None and of.settles_us is not None
    return isinstance(of, Topic) or of.time is not None
