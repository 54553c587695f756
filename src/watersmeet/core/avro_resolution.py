"""What a writer's schema means to a reader: to another schema (`conflicts`), and to a topic (`reading`).

A topic reads a writer's record by the names of its columns, and a column takes:

    boolean        boolean                        varchar        string, enum (its symbol), uuid, bytes that are UTF-8
    integer        int                            date           int (date), string as in JSON
    bigint         int, long                      timestamp      long (timestamp-*, local or not), string as in JSON
    double         int, long, float, double       timestamp_ms   the same but no string; int, long: whole ms
    decimal        decimal, int, long             timestamp_s    the same but no string; int, long: whole s
    T[]            array of what T takes

These are Avro's promotions, but strict where Avro would look away: a number with a logical type is no plain number, and
a plain number is no date. A field that a column has no use for is skipped, whatever it is. A union is read by the
branch that came: null is null, a branch that the column does not take is an ``invalid_value`` of that record. A column
that the writer does not have is null. Where it must not be null, or takes no branch beside null, no record of that
writer can be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from .avro_schema import AvroField, AvroType, parse_avro
from .errors import RequestError
from .schema import SqlType
from .schemas import Level
from .topic import Topic

_PROMOTED = {
    "long": ("int",),
    "float": ("int", "long"),
    "double": ("int", "long", "float"),
    "string": ("bytes",),
    "bytes": ("string",),
}
_PLAIN = {
    "boolean": ("boolean",),
    "integer": ("int",),
    "bigint": ("int", "long"),
    "double": ("int", "long", "float", "double"),
    "decimal": ("int", "long"),
    "varchar": ("string", "enum", "bytes"),
    "date": ("string",),
    "timestamp": ("string",),
    "timestamp_ms": ("int", "long"),
    "timestamp_s": ("int", "long"),
}


@dataclass(frozen=True, slots=True)
class Reading:
    """How the records of one writer are read.

    Args:
        writer: a record.
        columns: column -> place of its field in the record; a column that the writer does not have is absent.
        unexpected: fields that the topic does not have.
    """

    writer: AvroType
    columns: Mapping[str, int]
    unexpected: tuple[str, ...]


def reading(topic: Topic, schema: str) -> Reading:
    """How a topic reads what was written by a schema; `RequestError` saying why it cannot."""
    writer = parse_avro(schema)
    if writer.type != "record":
        raise RequestError(f"topic {topic.name}", expected="a record", got=str(writer))
    places = {item.name: place for place, item in enumerate(writer.fields)}
    wrong = []
    for column, kind in topic.types:
        place = places.get(column)
        if place is None:
            if kind.required:
                wrong.append(f"{column}: the writer has no such field")
        elif not _is_readable(kind, writer.fields[place].type):
            wrong.append(f"{column}: expected {kind.sql.lower()}, got {writer.fields[place].type}")
    if wrong:
        raise RequestError(f"topic {topic.name}", expected="a schema that it can read", got="; ".join(wrong))
    known = {column for column, _ in topic.types}
    return Reading(
        writer,
        {column: place for column, place in places.items() if column in known},
        tuple(name for name in places if name not in known),
    )


def _is_readable(kind: SqlType, written: AvroType) -> bool:
    branches = [branch for branch in written.branches if branch.type != "null"]
    return any(takes(kind, branch) for branch in branches or written.branches)


def takes(kind: SqlType, branch: AvroType) -> bool:
    """Whether a column takes values of a type that is no union."""
    if branch.type == "null":
        return not kind.required
    if kind.many:
        return branch.type == "array" and any(
            item.type != "null" and takes_one(kind, item) for item in branch.parts[0].branches
        )
    return takes_one(kind, branch)


def takes_one(kind: SqlType, branch: AvroType) -> bool:
    """Whether one element of a column, or a column that is no array, takes values of a type that is no union."""
    if branch.logical in ("", "uuid"):
        return branch.type in _PLAIN[kind.name] or (kind.name == "varchar" and branch.logical == "uuid")
    if "timestamp" in branch.logical:
        return kind.name.startswith("timestamp")
    return branch.logical == kind.name


def complaints(reader: AvroType, writer: AvroType) -> list[str]:
    """Why ``reader`` cannot read what ``writer`` wrote, by the Avro specification; empty if it can."""
    return list(_complaints(reader, writer, "", set()))


def _complaints(reader: AvroType, writer: AvroType, path: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    pair = (id(reader), id(writer))
    if pair in seen:  # a type within itself: it is being looked at
        return
    seen = seen | {pair} if reader.type == "record" else seen
    if writer.type == "union":
        for branch in writer.parts:
            yield from _complaints(reader, branch, path, seen)
        return
    if reader.type == "union":
        if not any(next(_complaints(part, writer, path, seen), None) is None for part in reader.parts):
            yield f"{path or 'value'}: {reader} does not read {writer}"
        return
    if reader.type != writer.type:
        if writer.type not in _PROMOTED.get(reader.type, ()):
            yield f"{path or 'value'}: {reader} does not read {writer}"
        return
    if reader.type in ("record", "enum", "fixed") and not _same_name(reader, writer):
        yield f"{path or 'value'}: {reader.name} is not called {writer.name}"
        return
    match reader.type:
        case "array" | "map":
            yield from _complaints(reader.parts[0], writer.parts[0], f"{path}[]", seen)
        case "fixed" if reader.size != writer.size:
            yield f"{path}: {reader.size} bytes are not {writer.size}"
        case "enum" if reader.default is None:
            gone = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
            if gone:
                yield f"{path}: enum {reader.name} does not know {', '.join(gone)}"
        case "record":
            yield from _record_complaints(reader, writer, path, seen)


def _record_complaints(reader: AvroType, writer: AvroType, path: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    there = {item.name: item for item in writer.fields}
    for item in reader.fields:
        inner = f"{path}.{item.name}".lstrip(".")
        found = _named(item, there)
        if found is not None:
            yield from _complaints(item.type, found.type, inner, seen)
        elif not item.optional:
            yield f"{inner}: the writer has no such field, and it has no default"


def _named(item: AvroField, there: Mapping[str, AvroField]) -> AvroField | None:
    return next((there[name] for name in (item.name, *item.aliases) if name in there), None)


def _same_name(reader: AvroType, writer: AvroType) -> bool:
    return reader.name.rpartition(".")[2] == writer.name.rpartition(".")[2] or writer.name in reader.aliases


def conflicts(level: Level, new: AvroType, versions: Sequence[AvroType]) -> list[str]:
    """Why a level forbids a new version of a subject; empty if it does not.

    Args:
        level: of the subject; a transitive one asks about all versions, the others about the latest.
        new: the new version.
        versions: those that there are, oldest first.
    """
    found: list[str] = []
    direction, _, transitive = level.partition("_")
    for old in versions if transitive else versions[-1:]:
        if direction in ("BACKWARD", "FULL"):
            found += [f"new readers of old records: {text}" for text in complaints(new, old)]
        if direction in ("FORWARD", "FULL"):
            found += [f"old readers of new records: {text}" for text in complaints(old, new)]
    return list(dict.fromkeys(found))
