"""What becomes of a record: dead, duplicate, filtered or used, in this order.

A payload is decoded strictly by the topic's schema. One reason a dead letter; of several that apply, the first of:
``malformed_json`` (nested deeper than 100 too), ``not_an_object``, ``missing_field``, ``unexpected_field``,
``invalid_value``, ``invalid_timestamp`` (an event time that is no time of the years 1 to 9999, or later than arrival +
skew), then the topic's own checks as declared. In place of the first two, a topic in Avro has ``bad_magic``,
``truncated_bytes``, ``unknown_schema``, ``incompatible_schema``, ``malformed_avro`` and ``trailing_bytes``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import Any, Literal

from ...core.errors import SettingsError
from ...core.frontier import Frontier
from ...core.ledger import Entry
from ...core.schema import SqlType
from ...core.schemas import Schemas
from ...core.topic import PSEUDO, Topic
from . import avro
from .scalar import Row, evaluate, types_of

Outcome = Literal["dead", "duplicate", "filtered", "used"]
Known = dict[Any, tuple[int, bytes]]
"""Id -> greatest kept arrival in µs, and the payload that was kept with it."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LIMITS = {"integer": 2**31, "bigint": 2**63}
MAX_DEPTH = 100
MIN_US = (datetime(1, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
MAX_US = (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
UNITS_US = {"timestamp_ms": 1000, "timestamp_s": 1_000_000}
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?([Zz]|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)


@dataclass(slots=True)
class Decoded:
    """One record, decoded.

    Args:
        record: as logged.
        row: value of every column of the topic; empty if it is dead.
        reason: why it is dead; empty if it is not.
        excluded: whether an exclusion of the topic holds for it.
    """

    record: Mapping[str, Any]
    row: Row = field(default_factory=dict)
    reason: str = ""
    excluded: bool = False


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of a record; ``conflict``: a duplicate whose payload is not the one that it repeats."""

    decoded: Decoded
    outcome: Outcome
    conflict: bool = False


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def outcomes(
    topic: Topic,
    records: Iterable[Mapping[str, Any]],
    slices: Sequence[Frontier] | None = None,
    schemas: Schemas | None = None,
) -> list[Fate]:
    """What becomes of LOGGED records, in the order (slice, partition, offset), with nothing remembered from before.

    Args:
        topic: decides.
        records: mappings with partition, offset, arrival (µs) and value; whatever else they have is kept.
        slices: frontiers at which the slices end; records beyond the last are left out. None: one slice of everything.
        schemas: of a topic in Avro.
    """
    uppers = [tuple(1 << 63 for _ in range(topic.partitions))] if slices is None else slices
    return decide(topic, [d for part in cut(decode(topic, records, schemas), uppers) for d in part], {})


def decode(topic: Topic, records: Iterable[Mapping[str, Any]], schemas: Schemas | None = None) -> list[Decoded]:
    """Decode LOGGED records, each a mapping; in their order. A topic in Avro needs the schemas of its writers."""
    decoded = [_parse(topic, record, schemas) for record in records]
    types = column_types(topic, computed=False)
    alive = [d for d in decoded if not d.reason]
    verdicts = evaluate(types, [d.row for d in alive], [check.body for _, check in topic.checks])
    for i, d in enumerate(alive):
        d.reason = next((reason for (reason, _), v in zip(topic.checks, verdicts, strict=True) if not v[i]), "")
    alive = [d for d in alive if not d.reason]
    _compute(topic, types, [d.row for d in alive])
    rules = evaluate(column_types(topic), [d.row for d in alive], [x.where for x in topic.exclusions if x.where])
    positions = {position for x in topic.exclusions for position in x.positions}
    for i, d in enumerate(alive):
        d.excluded = (d.row["partition"], d.row["offset"]) in positions or any(rule[i] for rule in rules)
    return decoded


def decide(topic: Topic, decoded: Iterable[Decoded], known: Known) -> list[Fate]:
    """Outcomes of records given in the order (slice, partition, offset); ``known`` learns the ids that are kept."""
    return [_fate(topic, d, known) for d in decoded]


def _fate(topic: Topic, d: Decoded, known: Known) -> Fate:
    if d.reason:
        return Fate(d, "dead")
    if topic.id is not None:
        name, arrival, payload = d.row[topic.id], d.record["arrival"], bytes(d.record["value"])
        kept = known.get(name)
        if kept is not None and arrival - kept[0] <= topic.horizon_us:
            return Fate(d, "duplicate", kept[1] != payload)
        known[name] = (arrival, payload)
    return Fate(d, "filtered" if d.excluded else "used")


def cut(decoded: Iterable[Decoded], uppers: Sequence[Frontier]) -> list[list[Decoded]]:
    """The records of each slice, in order; ``uppers`` are the frontiers at which the slices end."""
    slices: list[list[Decoded]] = [[] for _ in uppers]
    for d in sorted(decoded, key=lambda d: (d.record["partition"], d.record["offset"])):
        partition, offset = d.record["partition"], d.record["offset"]
        mine = next((i for i, upper in enumerate(uppers) if offset < upper[partition]), None)
        if mine is not None:
            slices[mine].append(d)
    return slices


def ledger(fates: Sequence[Fate], lower: Frontier, upper: Frontier) -> tuple[Entry, ...]:
    """The entry of each partition of an interval; offsets without a record are holes."""
    out = []
    for partition, (low, up) in enumerate(zip(lower, upper, strict=True)):
        mine = [f for f in fates if f.decoded.record["partition"] == partition]
        n = {word: sum(f.outcome == word for f in mine) for word in ("used", "duplicate", "dead", "filtered")}
        holes, conflicts = up - low - len(mine), sum(f.conflict for f in mine)
        out.append(Entry(partition, low, up, n["used"], n["duplicate"], n["dead"], n["filtered"], holes, conflicts))
    return tuple(out)


def column_types(topic: Topic, *, computed: bool = True) -> dict[str, str]:
    """Column -> SQL type of everything a view of the topic may use."""
    types = {name: kind.sql for name, kind in (*topic.types, *PSEUDO.items())}
    return types | dict(_computed_types(topic, types)) if computed else types


def _parse(topic: Topic, record: Mapping[str, Any], schemas: Schemas | None) -> Decoded:
    if topic.format == "avro":
        if schemas is None:
            raise SettingsError(f"topic {topic.name}", expected="a schema registry", got="none")
        found = avro.body(topic, bytes(record["value"] or b""), schemas)
    else:
        found = _json(topic, bytes(record["value"] or b""))
    if isinstance(found, str):
        return Decoded(record, reason=found)
    body, unexpected = found
    if any(kind.required and body.get(name) is None for name, kind in topic.types):
        return Decoded(record, reason="missing_field")
    if topic.extra == "reject" and unexpected:
        return Decoded(record, reason="unexpected_field")
    row: Row = {}
    wrong: list[str] = []
    for name, kind in topic.types:
        try:
            row[name] = None if body.get(name) is None else _value(kind, body[name])
        except (ValueError, InvalidOperation) as error:
            is_time = name == topic.event_time and isinstance(error, avro.NotATimeError)
            wrong.append("invalid_timestamp" if is_time else "invalid_value")
    if wrong:
        return Decoded(record, reason="invalid_value" if "invalid_value" in wrong else "invalid_timestamp")
    arrival = record["arrival"]
    event_time = row[topic.event_time] if topic.event_time else arrival
    if event_time > arrival + topic.skew_us:
        return Decoded(record, reason="invalid_timestamp")
    row |= {"event_time": event_time, "arrived_at": arrival}
    return Decoded(record, row | {name: record[name] for name in ("partition", "offset")})


def _json(topic: Topic, payload: bytes) -> tuple[dict[str, Any], tuple[str, ...]] | str:
    """The fields of an object, and those that the topic does not have; or why there are none."""
    try:
        body = json.loads(
            payload.decode(),
            object_pairs_hook=lambda pairs: dict(reversed(pairs)),  # of equal fields the first wins
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse,
        )
        json.dumps(body, ensure_ascii=False).encode()  # a half of a surrogate pair is no text
    except (ValueError, RecursionError):
        return "malformed_json"
    if _depth(body) > MAX_DEPTH:
        return "malformed_json"
    if not isinstance(body, dict):
        return "not_an_object"
    return body, tuple(body.keys() - {name for name, _ in topic.types})


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _value(kind: SqlType, token: Any) -> Any:
    if not kind.many:
        return _scalar(kind, token)
    if not isinstance(token, list):
        raise ValueError(token)
    return tuple(_scalar(kind, item) for item in token)


def _scalar(kind: SqlType, token: Any) -> Any:
    if isinstance(token, avro.Written):
        return avro.value(kind, token, _scalar)
    came = "boolean" if isinstance(token, bool) else "number" if isinstance(token, _Number) else type(token).__name__
    if came != {"boolean": "boolean", "varchar": "str", "date": "str", "timestamp": "str"}.get(kind.name, "number"):
        raise ValueError(token)
    match kind.name:
        case "double":
            number = float(token)
            if not math.isfinite(number):
                raise ValueError(token)
            return number + 0.0
        case "decimal":
            return _decimal(kind, token)
        case "integer" | "bigint":
            number = _whole(token)
            if not -LIMITS[kind.name] <= number < LIMITS[kind.name]:
                raise ValueError(token)
            return number
        case "timestamp_ms" | "timestamp_s":
            return _in_range(_whole(token) * UNITS_US[kind.name])
        case "date":
            if not re.fullmatch(r"\d{4}-\d\d-\d\d", token, re.ASCII):
                raise ValueError(token)
            return date.fromisoformat(token)
        case "timestamp":
            return _instant(token)
        case "varchar" if "\0" in token:
            raise ValueError(token)
    return token


def _whole(token: str) -> int:
    if not re.fullmatch(r"-?\d+", token):
        raise ValueError(token)
    return int(token)


def _in_range(us: int) -> int:
    if not MIN_US <= us <= MAX_US:
        raise avro.NotATimeError(us)
    return us


def _decimal(kind: SqlType, token: str) -> Decimal:
    number, limit = Decimal(token), 10 ** (kind.precision - kind.scale)
    if number.copy_abs() >= limit:  # `abs` would round to the context's digits
        raise ValueError(token)
    fitted = number.quantize(Decimal(1).scaleb(-kind.scale), ROUND_HALF_UP, Context(prec=80))
    if fitted.copy_abs() >= limit or (fitted != number and not kind.rounded):
        raise ValueError(token)
    return fitted or fitted.copy_abs()


def _instant(token: str) -> int:
    """A time without a zone is UTC's; digits beyond the microsecond are dropped."""
    found = _TIMESTAMP.fullmatch(token)
    if found is None:
        raise avro.NotATimeError(token)
    *fields, fraction, zone = found.groups(default="")
    year, month, day, hour, minute, second = (int(part or 0) for part in fields)
    hours, minutes = int(zone[1:3] or 0), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise avro.NotATimeError(token)
    try:
        local = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - EPOCH
    except ValueError:
        raise avro.NotATimeError(token) from None
    east = timedelta(hours=hours, minutes=minutes) * (-1 if zone.startswith("-") else 1)
    return _in_range((local - east) // timedelta(microseconds=1) + int(fraction.ljust(6, "0")[:6]))


def _compute(topic: Topic, types: dict[str, str], rows: list[Row]) -> None:
    """Add the computed columns; each may use the earlier ones."""
    functions, types = {f.name: f for f in topic.functions}, dict(types)
    for (name, item), (_, kind) in zip(topic.computed, _computed_types(topic, types), strict=True):
        inner = dict(types)
        for call in item.calls:
            columns = zip(evaluate(types, rows, call.arguments), types_of(types, call.arguments), strict=True)
            given = [[handed(value, kind) for value in column] for column, kind in columns]
            results = functions[call.name](*given) if rows else ()
            inner[call.placeholder] = functions[call.name].returns.sql
            for row, result in zip(rows, results, strict=True):
                row[call.placeholder] = result
        for row, value in zip(rows, *evaluate(inner, rows, [item.body]), strict=True):
            row[name] = value
            for call in item.calls:
                del row[call.placeholder]
        types[name] = kind


def handed(value: Any, kind: str) -> Any:
    """A value as row and window functions are given it."""
    if isinstance(value, tuple):
        return [handed(item, kind.removesuffix("[]")) for item in value]
    return (
        EPOCH.replace(tzinfo=None) + timedelta(microseconds=value)
        if kind == "TIMESTAMP" and value is not None
        else value
    )


def _computed_types(topic: Topic, types: Mapping[str, str]) -> list[tuple[str, str]]:
    functions, known, out = {f.name: f for f in topic.functions}, dict(types), []
    for name, item in topic.computed:
        inner = known | {call.placeholder: functions[call.name].returns.sql for call in item.calls}
        known[name] = types_of(inner, [item.body])[0]
        out.append((name, known[name]))
    return out
