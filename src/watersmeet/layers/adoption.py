"""A topic's declaration, drafted from records that are there already.

What a draft says is what the sample shows and no more: a column that is missing or null anywhere may be null, whole
numbers that all fit are integers, text that always reads as a time is a time. What cannot be a column of a topic
(objects, lists of objects) is left out, by name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import msgspec

from watersmeet.core.avro_schema import AvroType, parse_avro
from watersmeet.core.errors import RequestError
from watersmeet.core.site import RESERVED

SAMPLE = 100_000
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?")
_COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_ID = re.compile(r"(^|_)(id|uuid|key)$|[a-z]I[dD]$")
_TIMELY = re.compile(r"(^|_)(ts|at|time|timestamp|date|datetime)(_|$)|time|_ms$|_s$", re.IGNORECASE)
_FIRST_TIMES = ("event_time", "event_timestamp", "timestamp", "ts", "time", "occurred_at", "created_at")
_FIRST_IDS = ("event_id", "id", "uuid")
_MS, _S = (100_000_000_000, 10_000_000_000_000), (100_000_000, 10_000_000_000)
_AVRO = {
    "boolean": "boolean",
    "int": "integer",
    "long": "bigint",
    "float": "double",
    "double": "double",
    "string": "varchar",
    "enum": "varchar",
}
_MOST_SCALE = 18
_INTEGER = 2**31
_BIGINT = 2**63


@dataclass(frozen=True, slots=True)
class Draft:
    """A topic as a sample shows it.

    Args:
        name: of the topic.
        schema: column -> SQL type.
        event_time, id, key: columns, where the sample shows one.
        left_out: field -> why it is no column.
        records: how many records the sample has.
        format: of the records, as `Topic` has it.
    """

    name: str
    schema: Mapping[str, str]
    event_time: str | None
    id: str | None
    key: str | None
    left_out: Mapping[str, str]
    records: int
    format: str = "json"


def rows_of(path: Path, limit: int = SAMPLE) -> list[Mapping[str, object]]:
    """The first records of a file: ``.jsonl``, ``.ndjson`` or ``.json`` (one a line), ``.csv``, ``.parquet``.

    Raises:
        RequestError: there is no such file, or it is none of these.
    """
    if not path.is_file():
        raise RequestError(f"file {path}", kind="unknown", expected="a sample of records")
    kind = path.suffix.lower()
    if kind in (".jsonl", ".ndjson", ".json"):
        with path.open("rb") as file:
            lines = (line for line in file if line.strip())
            return decoded(line for line, _ in zip(lines, range(limit), strict=False))
    readers = {".csv": "read_csv($1)", ".parquet": "read_parquet($1)"}
    if kind not in readers:
        raise RequestError(f"file {path}", expected="a name ending in .jsonl, .ndjson, .json, .csv or .parquet")
    with closing(duckdb.connect()) as db:
        try:
            found = db.sql(f"select * from {readers[kind]} limit {int(limit)}", params=[str(path)])  # noqa: S608  # one of two
            rows: list[Mapping[str, object]] = found.to_arrow_table().to_pylist()
        except duckdb.Error as error:
            got = str(error).splitlines()[0]
            raise RequestError(f"file {path}", expected=f"records as {kind[1:]}", got=got) from error
    return rows


def decoded(values: Iterable[bytes]) -> list[Mapping[str, object]]:
    """The payloads that are JSON objects; others are not part of a sample."""
    out: list[Mapping[str, object]] = []
    for value in values:
        try:
            found = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(found, dict):
            out.append(found)
    return out


def draft(name: str, rows: Sequence[Mapping[str, object]]) -> Draft:
    """Draft a topic from records.

    Raises:
        RequestError: there is no record, or none has a field that can be a column.

    >>> draft("clicks", [{"event_id": "a", "user_id": 7, "at": 1700000000000}]).schema
    {'event_id': 'varchar not null', 'user_id': 'integer not null', 'at': 'timestamp_ms not null'}
    """
    names = dict.fromkeys(field for row in rows for field in row)
    schema, left_out = dict[str, str](), dict[str, str]()
    for field in names:
        values = [row.get(field) for row in rows]
        type_ = _type(field, [v for v in values if v is not None])
        if not _COLUMN.fullmatch(field) or (field in RESERVED and field != "event_time"):
            left_out[field] = "its name cannot be a column's"
        elif not type_:
            left_out[field] = "it holds objects, values of several kinds, or nothing"
        else:
            schema[field] = type_ + (" not null" if all(v is not None for v in values) else "")
    if not schema:
        got = f"{len(rows)} records" + (f" with {', '.join(left_out)}" if left_out else "")
        raise RequestError(f"sample of topic {name}", expected="records with fields that can be columns", got=got)
    ids = _ids(schema)
    unique = [c for c in ids if len({row[c] for row in rows}) == len(rows)] if len(rows) > 1 else ids[:1]
    found = min(unique, key=lambda c: (c not in _FIRST_IDS, ids.index(c)), default=None)
    key = next((c for c in ids if c != found), None)
    return Draft(name, schema, _event_time(schema), found, key, left_out, len(rows))


def draft_avro(name: str, schema: str) -> Draft:
    """Draft a topic from the Avro schema of its values; `RequestError` if that is no record.

    >>> text = '{"type": "record", "name": "c", "fields": [{"name": "n", "type": ["null", "int"]}]}'
    >>> draft_avro("clicks", text).schema
    {'n': 'integer'}
    """
    record = parse_avro(schema)
    if record.type != "record":
        raise RequestError(f"schema of topic {name}", expected="a record", got=str(record))
    columns, left_out = dict[str, str](), dict[str, str]()
    for field in record.fields:
        branches = [branch for branch in field.type.branches if branch.type != "null"]
        type_ = _avro_column(branches[0]) if len(branches) == 1 else ""
        if type_ and _COLUMN.fullmatch(field.name) and (field.name == "event_time" or field.name not in RESERVED):
            columns[field.name] = type_ + (" not null" if len(field.type.branches) == 1 else "")
        else:
            left_out[field.name] = (
                f"{field.type} is no type of a column" if not type_ else "its name cannot be a column's"
            )
    if not columns:
        raise RequestError(f"schema of topic {name}", expected="fields that can be columns", got=str(record))
    ids = _ids(columns)
    return Draft(
        name,
        columns,
        _event_time(columns),
        next((c for c in _FIRST_IDS if c in ids), None),
        next((c for c in ids if c not in _FIRST_IDS), None),
        left_out,
        0,
        format="avro",
    )


def _avro_column(of: AvroType) -> str:
    if of.type == "array":
        items = [item for item in of.parts[0].branches if item.type != "null"]
        inner = _avro_column(items[0]) if len(items) == 1 else ""
        return f"{inner}[]" if inner and not inner.endswith("]") else ""
    if of.logical == "decimal":
        return f"decimal({of.precision},{of.scale})" if of.scale <= _MOST_SCALE else ""
    if "timestamp" in of.logical:
        return "timestamp"
    return of.logical if of.logical == "date" else _AVRO.get(of.type, "") if of.logical in ("", "uuid") else ""


def written(made: Draft) -> str:
    """The draft as a Python file that declares it."""
    variable = re.sub(r"\W+", "_", made.name).strip("_").lower()
    variable = f"topic_{variable}" if not variable or variable[0].isdigit() else variable
    says = [f"    {made.name!r},"]
    if made.format != "json":
        says.append(f"    format={made.format!r},")
    for argument in ("id", "key", "event_time"):
        value = getattr(made, argument)
        if value:
            says.append(f"    {argument}={value!r},")
    says += ["    schema={", *(f"        {c!r}: {t!r}," for c, t in made.schema.items()), "    },"]
    notes = [f"# left out: {field!r}, since {why}" for field, why in made.left_out.items()]
    if not made.event_time:
        notes.append("# no field is always a time: the event time is the arrival")
    if not made.id:
        notes.append("# no field makes a record unique: copies that a producer sends twice count twice")
    opening = f'"""Drafted from {made.records:,} records of {made.name}; look at types, lateness and checks."""'
    if made.format != "json":
        opening = f'"""Drafted from the registered schema of {made.name}; look at id, lateness and checks."""'
    body = "\n".join([f"{variable} = wm.Topic(", *says, ")"])
    text = "\n".join([opening, "", "import watersmeet as wm", "", *notes, body, ""])
    return re.sub(r"'([^'\"\\\n]*)'", r'"\1"', text)


def _event_time(schema: Mapping[str, str]) -> str | None:
    """The column that most likely says when it happened."""
    times = [c for c, t in schema.items() if t.startswith("timestamp")]
    return next((c for c in _FIRST_TIMES if c in times), times[0] if times else None)


def _ids(schema: Mapping[str, str]) -> list[str]:
    """The columns that name something and are never null."""
    return [c for c, t in schema.items() if _ID.search(c) and t.endswith("not null") and "[]" not in t]


def _type(field: str, values: Sequence[object]) -> str:
    """The narrowest type of all values; empty if there is none."""
    kinds = {type(v) for v in values}
    if kinds == {list}:
        inner = _type("", [x for v in values if isinstance(v, list) for x in v])
        return f"{inner}[]" if inner and not inner.endswith("]") else ""
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        return _whole(field, [v for v in values if isinstance(v, int)])
    if kinds and kinds <= {int, float}:
        return "double"
    if kinds and kinds <= {int, Decimal}:
        return _decimal([v for v in values if isinstance(v, Decimal)])
    if kinds == {str}:
        texts = [str(v) for v in values]
        if all(map(_TIME.fullmatch, texts)):
            return "timestamp"
        return "date" if all(map(_DATE.fullmatch, texts)) else "varchar"
    if kinds == {datetime}:
        return "timestamp"
    return "date" if kinds == {date} else ""


def _whole(field: str, values: Sequence[int]) -> str:
    if _TIMELY.search(field):
        for type_, (low, high) in (("timestamp_ms", _MS), ("timestamp_s", _S)):
            if all(low <= v < high for v in values):
                return type_
    greatest = max((v if v >= 0 else -v - 1) for v in values)
    return "integer" if greatest < _INTEGER else "bigint" if greatest < _BIGINT else "double"


def _decimal(values: Sequence[Decimal]) -> str:
    scale = max(-int(v.as_tuple().exponent) for v in values)
    return f"decimal(38,{scale})" if 0 <= scale <= _MOST_SCALE else "double"
