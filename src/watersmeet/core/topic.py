"""Topics: what a record must be to be counted.

The fate of a record is decided by its topic alone, in this order: **dead → duplicate → filtered → used**. Whatever
decides it (format, schema, event time, id, horizon, skew, checks, row functions, exclusions) is the *topic version*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from .duration import Duration, microseconds
from .errors import DeclarationError
from .fingerprint import digest
from .function import RowFunction
from .plain import UNWRITTEN
from .schema import SqlType, parse_all
from .site import caller, check_column, check_name, check_zone, suggest
from .sql.expression import Scalar, scalar

PSEUDO = {
    "event_time": SqlType("timestamp"),
    "arrived_at": SqlType("timestamp"),
    "partition": SqlType("integer"),
    "offset": SqlType("bigint"),
}
DEAD_SCHEMA = {"reason": "varchar", "detail": "varchar", "value": "varchar"}


@dataclass(frozen=True)
class Exclusion:
    """Records that are set aside, with the reason why; added and lifted through plan and apply.

    Args:
        reason: why; ``superseded`` marks the origin of a replayed dead letter.
        where: SQL condition over the topic's columns, or empty.
        positions: (partition, offset) of single records, or empty.
    """

    reason: str
    where: str = ""
    positions: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Topic:
    """A partitioned log of one kind of record.

    Args:
        name: such as ``"movie.reviews"``.
        schema: column -> SQL type; see `watersmeet.core.schema`.
        event_time: the column that says when it happened; must be a timestamp. None uses the arrival.
        id: the column whose value makes a record unique; later copies within ``horizon`` are duplicates. None: position
            is the id, so copies that a producer sends twice count twice.
        key: the column that routes a record to a partition; None spreads evenly.
        check: reason -> SQL condition; a record for which it is false or null is dead with that reason.
        compute: column -> SQL expression over the schema's columns and row functions, evaluated once a record.
        functions: row functions that ``compute`` may call.
        lateness: how far events may be out of order before a window is called final; default 0 s… nothing is ever
            dropped for being late.
        idle: a partition that is read to its end and brings nothing for so long no longer holds back the watermark.
        skew: an event time later than arrival + skew is dead (``invalid_timestamp``).
        horizon: how long an id is remembered, by arrival; default the retention.
        zone: default zone of its calendar windows.
        partitions: how many; fixed once created.
        retention: how long the log keeps records that the archive holds already.
        extra: what an unknown field does: ``"ignore"`` (default) or ``"reject"`` (``unexpected_field``).
        exclusions: set by plan and apply, not by hand.
        format: of the payloads: ``"json"`` (default), or ``"avro"``: framed, by the schema id of their writer; see
            `watersmeet.core.avro`.
    """

    name: str
    schema: Mapping[str, str] = field(hash=False)
    event_time: str | None = None
    id: str | None = None
    key: str | None = None
    check: Mapping[str, str] = field(default_factory=dict, hash=False)
    compute: Mapping[str, str] = field(default_factory=dict, hash=False)
    functions: Sequence[RowFunction] = field(default=(), hash=False)
    lateness: Duration = "10m"
    idle: Duration = "1m"
    skew: Duration = "5m"
    horizon: Duration | None = None
    zone: str = "UTC"
    partitions: int = 1
    retention: Duration = "7d"
    extra: Literal["reject", "ignore"] = "ignore"
    exclusions: tuple[Exclusion, ...] = field(default=(), hash=False)
    format: Literal["json", "avro"] = field(default="json", metadata=UNWRITTEN)
    where_declared: str = field(default_factory=caller, compare=False, repr=False)

    def __post_init__(self) -> None:
        where = self.where_declared
        check_name("topic", self.name, where)
        types = dict(self.types)
        self._check_roles(types, where)
        if not 1 <= self.partitions <= 4096:
            raise DeclarationError(
                f"partitions of topic {self.name}",
                expected="1 to 4096",
                got=repr(self.partitions),
                remedy="one for each core that is to work on it",
                where=where,
            )
        if self.extra not in ("reject", "ignore"):
            raise DeclarationError(
                f"extra of topic {self.name}",
                expected="'reject' or 'ignore'",
                got=repr(self.extra),
                remedy="leave it out to ignore unknown fields",
                where=where,
            )
        if self.format not in ("json", "avro"):
            raise DeclarationError(
                f"format of topic {self.name}",
                expected="'json' or 'avro'",
                got=repr(self.format),
                remedy="leave it out for JSON",
                where=where,
            )
        check_zone(f"zone of topic {self.name}", self.zone, where)
        for item in self.functions:
            if not isinstance(item, RowFunction):
                raise DeclarationError(
                    f"function of topic {self.name}",
                    expected="row functions",
                    got=repr(item),
                    remedy="declare it with @wm.function(version=1, returns=…)",
                    where=where,
                )
        for name in ("lateness", "idle", "skew", "retention"):
            microseconds(getattr(self, name), subject=f"{name} of topic {self.name}")
        for column in self.compute:
            check_column(f"topic {self.name} compute", column, where)
            if column in types:
                raise DeclarationError(
                    f"computed column {column!r} of topic {self.name}",
                    expected="a name that the schema does not use",
                    got=repr(column),
                    remedy="rename one of the two",
                    where=where,
                )
        _ = self.computed, self.checks, self.horizon_us

    def _check_roles(self, types: Mapping[str, SqlType], where: str) -> None:
        """Refuse an event time, id or key that the schema cannot give."""
        for role, column in (("event_time", self.event_time), ("id", self.id), ("key", self.key)):
            if column is not None and column not in types:
                raise DeclarationError(
                    f"{role} of topic {self.name}",
                    expected="a column of the schema",
                    got=repr(column),
                    remedy=suggest(column, types),
                    where=where,
                )
        if self.event_time is not None and not (
            types[self.event_time].name.startswith("timestamp") and types[self.event_time].required
        ):
            raise DeclarationError(
                f"event_time of topic {self.name}",
                expected="a timestamp column that is not null",
                got=f"{self.event_time!r}, {self.schema[self.event_time]}",
                remedy="declare it 'timestamp not null' or 'timestamp_ms not null'",
                where=where,
            )
        for role, column in (("id", self.id), ("key", self.key)):
            if column is not None and (types[column].many or not types[column].required):
                raise DeclarationError(
                    f"{role} of topic {self.name}",
                    expected="a single column that is not null",
                    got=f"{column!r}, {self.schema[column]}",
                    remedy="declare the column 'not null', or choose another",
                    where=where,
                )
        if "event_time" in types and self.event_time != "event_time":
            raise DeclarationError(
                f"topic {self.name}",
                expected="a column called event_time to be the event time",
                got=f"event_time={self.event_time!r}",
                remedy='write event_time="event_time", or rename the column',
                where=where,
            )

    @cached_property
    def types(self) -> tuple[tuple[str, SqlType], ...]:
        """The schema, parsed, in order."""
        return parse_all(self.schema, where=self.where_declared)

    @cached_property
    def computed(self) -> tuple[tuple[str, Scalar], ...]:
        """The computed columns, checked; each may use the earlier ones."""
        known = [name for name, _ in self.types] + list(PSEUDO)
        names, out = {f.name for f in self.functions}, []
        for column, text in self.compute.items():
            subject = f"compute {column!r} of topic {self.name}"
            out.append((column, scalar(text, known, subject=subject, where=self.where_declared, functions=names)))
            known.append(column)
        return tuple(out)

    @cached_property
    def checks(self) -> tuple[tuple[str, Scalar], ...]:
        """The checks, by reason, over the schema's columns."""
        known = [name for name, _ in self.types] + list(PSEUDO)
        return tuple(
            (reason, scalar(text, known, subject=f"check {reason!r} of topic {self.name}", where=self.where_declared))
            for reason, text in self.check.items()
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a view of this topic may use."""
        return tuple(dict.fromkeys([name for name, _ in self.types] + list(self.compute) + list(PSEUDO)))

    @property
    def lateness_us(self) -> int:
        return microseconds(self.lateness)

    @property
    def idle_us(self) -> int:
        return microseconds(self.idle)

    @property
    def skew_us(self) -> int:
        return microseconds(self.skew)

    @property
    def horizon_us(self) -> int:
        return microseconds(
            self.retention if self.horizon is None else self.horizon, subject=f"horizon of topic {self.name}"
        )

    @property
    def retention_us(self) -> int:
        return microseconds(self.retention)

    @cached_property
    def version(self) -> str:
        """Digest of everything that decides what happens to a record."""
        return digest(
            self.name,
            self.types,
            self.event_time,
            self.id,
            tuple((reason, item.canonical) for reason, item in self.checks),
            tuple((column, item.canonical) for column, item in self.computed),
            tuple(sorted((f.name, f.version, f.source_hash) for f in self.functions)),
            self.horizon_us if self.id else 0,
            self.skew_us,
            self.extra,
            tuple((x.reason, x.where, x.positions) for x in self.exclusions),
            *(() if self.format == "json" else (self.format,)),
        )
