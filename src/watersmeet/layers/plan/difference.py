"""What differs between two sets of declarations, by meaning: spelling, comments and order of text do not count.

Examples are run from the files and change nothing that is served, so they are not compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Literal

from watersmeet.core.alert import Alert
from watersmeet.core.applied import Applied
from watersmeet.core.catalogue import Edition, editions
from watersmeet.core.declarations import Declarations
from watersmeet.core.duration import microseconds, text
from watersmeet.core.function import RowFunction
from watersmeet.core.query import Query
from watersmeet.core.table import Table
from watersmeet.core.topic import Exclusion, Topic
from watersmeet.core.user_window import UserWindow
from watersmeet.core.view import View

from .exclusion import carried

Action = Literal["added", "changed", "removed"]
Effect = Literal["settings", "presentation", "cells", "outcomes"]
Declared = Topic | View | Query | Table | Alert
_DURATIONS = {"lateness", "idle", "skew", "horizon", "retention", "lookback", "expire", "every", "ttl", "freeze"}
_DURATIONS |= {"for_", "resolve_after"}
_SETTINGS = frozenset({"lateness", "idle", "retention", "horizon", "key", "zone", "partitions"})
_UNSAID = frozenset({"name", "where_declared", "through"})
_LONG = 60


@dataclass(frozen=True, slots=True)
class Change:
    """One declaration that differs.

    Args:
        kind: ``topic``, ``view``, ``query``, ``table`` or ``alert``.
        name: of the declaration.
        action: what becomes of it.
        effect: ``settings`` (nothing stored or decided changes), ``presentation`` (the same cells, shown otherwise),
            ``cells`` (other cells, whose history is to be computed) or ``outcomes`` (each record is decided anew).
        parts: what differs, one item a field or entry.
    """

    kind: str
    name: str
    action: Action
    effect: Effect
    parts: tuple[str, ...] = ()


def differences(old: Declarations | None, new: Declarations) -> tuple[Change, ...]:
    """Every declaration that differs: topics, views, queries, tables, alerts, each in order of name."""
    old = old or Declarations()
    was, now = editions(old, ""), editions(new, "")
    have = {fp for edition in was.values() for cells in edition.cells for fp in cells.fingerprints}
    out = []
    for kind, before, after in _sections(old, new):
        for name in sorted({**before, **after}):
            a, b = before.get(name), after.get(name)
            if isinstance(a or b, Topic):
                change = _topic_change(name, a, b)
            else:
                key = f"{kind}/{name}" if kind in ("table", "alert") else name
                change = _change(kind, name, (a, b), (was.get(key), now.get(key)), have)
            if change is not None:
                out.append(change)
    return _renamed(out, was, now)


def pending(proposed: Declarations, found: Applied | None) -> list[str]:
    """What differs between the files and what is applied, one line each.

    Args:
        proposed: from the files.
        found: what is applied.
    """
    old = found.declarations if found else None
    changes = differences(old, carried(proposed, old))
    return [f"{c.kind} {c.name}: {c.action}" + (f" ({'; '.join(c.parts)})" if c.parts else "") for c in changes]


def _sections(
    old: Declarations, new: Declarations
) -> Iterator[tuple[str, Mapping[str, Declared], Mapping[str, Declared]]]:
    yield "topic", old.topics, new.topics
    yield "view", old.views, new.views
    yield "query", old.queries, new.queries
    yield "table", old.tables, new.tables
    yield "alert", old.alerts, new.alerts


def _topic_change(name: str, a: Declared | None, b: Declared | None) -> Change | None:
    if not (isinstance(a, Topic) and isinstance(b, Topic)):
        return Change("topic", name, "removed" if b is None else "added", "settings")
    if a.version != b.version:
        return Change("topic", name, "changed", "outcomes", tuple(_parts(a, b)) or ("order of columns or checks",))
    parts = tuple(_parts(a, b, _SETTINGS))
    return Change("topic", name, "changed", "settings", parts) if parts else None


def _change(
    kind: str,
    name: str,
    declared: tuple[Declared | None, Declared | None],
    edition: tuple[Edition | None, Edition | None],
    have: set[str],
) -> Change | None:
    (a, b), (was, now) = declared, edition
    if b is None or now is None:
        return Change(kind, name, "removed", "settings")
    kept = {fp for cells in now.cells for fp in cells.fingerprints} <= have
    effect: Effect = ("settings" if kind in ("table", "alert") else "presentation") if kept else "cells"
    if a is None or was is None:
        return Change(kind, name, "added", effect)
    if was.fingerprint == now.fingerprint:
        return None
    parts = list(_parts(a, b))
    versions = {(x.topic, x.version) for x in was.cells}
    anew = sorted({x.topic for x in now.cells if (x.topic, x.version) not in versions})
    parts += [f"records of {topic} are decided anew" for topic in anew]
    return Change(kind, name, "changed", effect, tuple(parts or ["what it reads"]))


def _renamed(changes: list[Change], was: Mapping[str, Edition], now: Mapping[str, Edition]) -> tuple[Change, ...]:
    """Say of a view or query that only changed its name that it did."""
    gone = {was[c.name].fingerprint: c.name for c in changes if c.action == "removed" and c.kind in ("view", "query")}
    out = []
    for c in changes:
        before = gone.get(now[c.name].fingerprint) if c.action == "added" and c.kind in ("view", "query") else None
        out.append(replace(c, parts=(f"renamed from {before}",)) if before else c)
    return tuple(out)


def _parts(a: Declared, b: Declared, of: Collection[str] = ()) -> Iterator[str]:
    for name in (f.name for f in fields(a) if f.name not in _UNSAID and (not of or f.name in of)):
        old, new = _comparable(name, getattr(a, name)), _comparable(name, getattr(b, name))
        label = name.rstrip("_")
        if isinstance(old, dict) and isinstance(new, dict):
            yield from (f"{label} {item}" for item in _entries(old, new))
        elif old != new:
            short = max(len(str(old)), len(str(new))) <= _LONG
            yield f"{label} {old} -> {new}" if short else f"{label} changed"


def _entries(old: dict[str, object], new: dict[str, object]) -> Iterator[str]:
    """What differs between two mappings; an entry that is gone and one that came with the same value was renamed."""
    gone = {name: value for name, value in old.items() if name not in new}
    for name, value in new.items():
        if name in old:
            if old[name] != value:
                yield f"{name} changed"
        elif (before := next((n for n, v in gone.items() if v == value), None)) is not None:
            del gone[before]
            yield f"{before} renamed {name}"
        else:
            yield f"{name} added"
    yield from (f"{name} removed" for name in gone)


def _comparable(field: str, value: object) -> object:
    match value:
        case None:
            return "none"
        case UserWindow():
            return f"{value} ({value.function.source_hash[:6]})"
        case Mapping():
            return {str(k): v.fingerprint if isinstance(v, View | Query) else v for k, v in value.items()}
        case Topic() | View() | Query():
            return value.name
        case str() | timedelta() if field in _DURATIONS:
            return text(microseconds(value))
        case str():
            return " ".join(value.split())
    if field == "functions" and isinstance(value, Sequence):
        return {f.name: (f.version, f.source_hash) for f in value if isinstance(f, RowFunction)}
    if field == "exclusions" and isinstance(value, Sequence):
        return {_label(x): x for x in value if isinstance(x, Exclusion)}
    return ", ".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


def _label(exclusion: Exclusion) -> str:
    at = ", ".join(f"{partition}:{offset}" for partition, offset in exclusion.positions)
    return f"{exclusion.reason!r} of {exclusion.where or at}"
