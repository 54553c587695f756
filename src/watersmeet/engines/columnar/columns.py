"""The columns of chunks: their names and types, as DuckDB binds them on empty tables.

The type of an expression is whatever DuckDB gives it, so it is asked, once a topic version or fingerprint.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from ...core.errors import DeclarationError
from ...core.sql.expression import Scalar
from ...core.topic import Topic
from ...core.view import CellSpec
from .database import Database, run
from .partials import quoted

DIGEST = {"_hi": "UBIGINT", "_lo": "UBIGINT"}
_TAKEN = re.compile(r"pane_end|p\d+_(n|s|hi|lo|v|t|p|o|i|h|cut)", re.IGNORECASE)
PLACE = {"event_time": "TIMESTAMP", "arrived_at": "TIMESTAMP", "partition": "INTEGER", "offset": "BIGINT"}


@dataclass(frozen=True, slots=True)
class SpecTypes:
    """SQL types of the expressions of a `CellSpec`; of a count, empty text."""

    dimensions: tuple[str, ...]
    lifts: tuple[str, ...]
    element: str | None


@dataclass
class Columns:
    """Types that were bound, remembered. Used by many threads."""

    database: Database
    _decoded: dict[str, Mapping[str, str]] = field(default_factory=dict)
    _specs: dict[str, SpecTypes] = field(default_factory=dict)
    _schemas: dict[tuple[tuple[str, str], ...], pa.Schema] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def decoded(self, topic: Topic) -> Mapping[str, str]:
        """Column -> SQL type of the DECODED rows of a topic, in order. Raises `DeclarationError`."""
        found = self._decoded.get(topic.version)
        if found is None:
            found = self._bind_topic(topic)
            with self._lock:
                self._decoded[topic.version] = found
        return found

    def spec(self, spec: CellSpec) -> SpecTypes:
        """The types of a spec's expressions. Raises `DeclarationError`."""
        found = self._specs.get(spec.fingerprint)
        if found is None:
            found = self._bind_spec(spec)
            with self._lock:
                self._specs[spec.fingerprint] = found
        return found

    def schema(self, types: Mapping[str, str]) -> pa.Schema:
        """The Arrow schema of a chunk with columns of these SQL types."""
        key = tuple(types.items())
        found = self._schemas.get(key)
        if found is None:
            with self.database.cursor() as cursor:
                found = run(cursor, f"SELECT {nulls(types)} LIMIT 0").schema
            with self._lock:
                self._schemas[key] = found
        return found

    def bind(self, sql: str, types: Mapping[str, str], *, subject: str, where: str) -> str:
        """The SQL type of an expression over columns of these types; raises `DeclarationError` naming ``subject``."""
        if is_column(sql, types):  # its name may be a word of SQL
            sql = quoted(sql.strip())
        with self.database.cursor() as cursor:
            try:
                [kind] = cursor.sql(f"SELECT {sql} AS x FROM (SELECT {nulls(types)})").types
            except duckdb.Error as error:
                raise DeclarationError(
                    subject, expected="an expression that DuckDB can type", got=_first_line(error), where=where
                ) from None
        return str(kind)

    def _bind_topic(self, topic: Topic) -> Mapping[str, str]:
        types = {**{name: kind.sql for name, kind in topic.types}, **PLACE}
        for name, item in topic.computed:
            types[name] = self._computed(topic, name, item, types)
        for reason, item in topic.checks:
            self._condition(item.text, types, f"check {reason!r} of topic {topic.name}", topic.where_declared)
        for exclusion in topic.exclusions:
            if exclusion.where:
                subject = f"exclusion {exclusion.reason!r} of topic {topic.name}"
                self._condition(exclusion.where, types, subject, topic.where_declared)
        places = {name: types.pop(name) for name in PLACE if name not in dict(topic.types)}
        digest = DIGEST if topic.id is not None else {}
        return {**types, **places, "slice": "BIGINT", **digest, "_content": "UBIGINT"}

    def _computed(self, topic: Topic, name: str, item: Scalar, types: Mapping[str, str]) -> str:
        returns = {f.name: f.returns.sql for f in topic.functions}
        subject, where = f"compute {name!r} of topic {topic.name}", topic.where_declared
        for call in item.calls:
            for argument in call.arguments:
                self.bind(argument, types, subject=subject, where=where)
        placeholders = {call.placeholder: returns[call.name] for call in item.calls}
        return self.bind(item.body, {**types, **placeholders}, subject=subject, where=where)

    def _condition(self, sql: str, types: Mapping[str, str], subject: str, where: str) -> None:
        kind = self.bind(sql, types, subject=subject, where=where)
        if kind not in ("BOOLEAN", '"NULL"'):
            raise DeclarationError(subject, expected="a condition", got=f"{sql!r}, a {kind.lower()}", where=where)

    def _bind_spec(self, spec: CellSpec) -> SpecTypes:
        where = spec.topic.where_declared
        for dimension in spec.dimensions:
            if _TAKEN.fullmatch(dimension.name):
                raise DeclarationError(
                    f"dimension {dimension.name!r} over topic {spec.topic.name}",
                    expected="a name that cells do not use themselves",
                    remedy="rename it",
                    where=where,
                )
        types = dict(self.decoded(spec.topic))
        element = None
        if spec.explode is not None:
            subject = f"explode {spec.explode.expr!r} over topic {spec.topic.name}"
            kind = self.bind(spec.explode.expr, types, subject=subject, where=where)
            if not kind.endswith("[]"):
                raise DeclarationError(subject, expected="a list", got=kind.lower(), where=where)
            types[spec.explode.name] = element = kind[:-2]
        for condition in filter(None, (spec.where, *(lift.where for lift in spec.lifts))):
            self._condition(condition, types, f"condition {condition!r} over topic {spec.topic.name}", where)
        return SpecTypes(
            tuple(self._expressions(spec, (d.expr for d in spec.dimensions), types)),
            tuple(self._expressions(spec, (lift.expr for lift in spec.lifts), types)),
            element,
        )

    def _expressions(self, spec: CellSpec, expressions: Iterable[str], types: Mapping[str, str]) -> Iterable[str]:
        for sql in expressions:
            subject = f"expression {sql!r} over topic {spec.topic.name}"
            yield self.bind(sql, types, subject=subject, where=spec.topic.where_declared) if sql else ""


def nulls(types: Mapping[str, str]) -> str:
    """A SELECT list that makes one row of nulls with these columns."""
    return ", ".join(f"NULL::{kind} AS {quoted(name)}" for name, kind in types.items())


def tried(sql: str, known: Iterable[str]) -> str:
    """SQL of an expression that never fails, but is null where it would; a plain column as it is."""
    return quoted(sql.strip()) if is_column(sql, known) else f"TRY({sql})"


def is_column(sql: str, known: Iterable[str]) -> bool:
    """True if the expression is nothing but a column."""
    return sql.strip().lower() in {name.lower() for name in known}


def _first_line(error: duckdb.Error) -> str:
    return str(error).splitlines()[0]
