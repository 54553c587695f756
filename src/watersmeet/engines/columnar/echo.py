"""JSON payloads to typed columns, by echo.

Learn from some payloads how their producer writes: which keys, in which order, with which separators. Read the fields
leniently, *write* the object again in that form and compare with the payload. If the texts are equal, nothing can have
been lenient: the payload is the compact JSON of exactly these values.

It takes less than half as long as tokens. It vouches for payloads with no escapes but JSON's shortest ones and with
numbers in their shortest form, which is how most producers write most records; `decode_json` reads the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...core.schema import SqlType
from ...core.topic import Topic
from .decode_json import (
    LAX,
    Step,
    chain,
    column_list,
    given,
    literal,
    moment,
    parsed_fields,
    passed,
    raw_name,
    shallow,
    since_epoch,
    stepped,
)

SAMPLE = 32
_SEPARATORS = ((",", ":"), (", ", ": "))
_MAX_UNKNOWN = 64
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,62}")


@dataclass(frozen=True, slots=True)
class Form:
    """How a producer writes its objects.

    Args:
        keys: the keys, in order; the first stands in every object.
        comma, colon: what stands between.
        optional: keys that some objects lack or have as null; a form that has them is dearer.
        nulls: optional keys that are written as null rather than left out.
        escaped: keys whose strings have had escapes: read as tokens, at more cost.
    """

    keys: tuple[str, ...]
    comma: str
    colon: str
    optional: frozenset[str]
    nulls: frozenset[str]
    escaped: frozenset[str]


def learn(topic: Topic, payloads: Sequence[str | None], before: Form | None = None) -> Form | None:
    """The form in which some payloads are written; None where there is none to be learnt.

    Args:
        topic: whose payloads.
        payloads: some; null where a payload is no text.
        before: what was learnt of earlier payloads. Of a form with the same keys nulls and escapes are kept.
    """
    samples = [(text, fields) for text in payloads if text and (fields := _fields(text))]
    if not samples:
        return None
    keys, types = _joined(fields for _, fields in samples), dict(topic.types)
    unknown = [key for key in keys if key not in types]
    if (
        not keys
        or len({key.lower() for key in keys}) < len(keys)
        or len(unknown) > (0 if topic.extra == "reject" else _MAX_UNKNOWN)
        or not all(map(_KEY.fullmatch, unknown))
        or any(kind.required and name not in keys for name, kind in topic.types)
    ):
        return None
    nulls = {key for _, fields in samples for key, value in fields.items() if value is None}
    escaped = {
        key
        for _, fields in samples
        for key, value in fields.items()
        if isinstance(value, str) and json.dumps(value) != f'"{value}"'
    }
    optional = {key for key in keys for _, fields in samples if fields.get(key) is None}
    if before is not None and before.keys == keys:
        optional, nulls, escaped = optional | before.optional, nulls | before.nulls, escaped | before.escaped
    text, fields = max(samples, key=lambda sample: len(sample[1]))
    first, second = [*fields, "", ""][:2]
    for comma, colon in _SEPARATORS:
        if text.startswith(f'{{"{first}"{colon}') and (not second or f'{comma}"{second}"{colon}' in text):
            return Form(keys, comma, colon, frozenset(optional), frozenset(nulls), frozenset(escaped))
    return None


def _joined(objects: Iterable[dict[str, object]]) -> tuple[str, ...]:
    """All keys of some objects, each after the key that it followed where it was first seen."""
    keys: list[str] = []
    for fields in objects:
        after = 0
        for key in fields:
            if key not in keys:
                keys.insert(after, key)
            after = keys.index(key) + 1
    return tuple(keys)


def _fields(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def echo(topic: Topic, form: Form, source: str, *, trusting: bool = False) -> str:
    """SELECT the columns of the topic and ``_ok`` from ``source``, which has the `PASSED` columns, by the echo.

    With ``trusting`` it spares a tenth, but fails as a whole if a payload in braces is not JSON.
    """
    types = dict(topic.types)
    structure = json.dumps({key: _lenient(form, key, types.get(key)) for key in form.keys})
    condition = "prefix(_text, '{') AND suffix(_text, '}')" if trusting else "json_valid(_text)"
    parsed = f"SELECT {passed()}, {parsed_fields(structure, condition)} AS _f FROM {source}"
    fields = ["_f IS NOT NULL AS _object"]
    fields += [f"{_field(form, key, types.get(key))} AS {raw_name(key)}" for key in form.keys]
    fields += [f"NULL::{kind.sql} AS {raw_name(name)}" for name, kind in topic.types if name not in form.keys]
    chains = {name: _echoed(form, name, kind) for name, kind in topic.types}
    read = stepped(f"SELECT {passed()}, {', '.join(fields)} FROM ({parsed})", chains)
    vouched = ["_object", f"{_written(form, types)} = _text"]
    lax = literal(f"^-?[nNiI]|{LAX}")
    unread = [raw_name(key) for key in form.keys if key not in types]
    vouched += [f"({raw} IS NULL OR NOT regexp_matches({raw}, {lax}) AND {shallow(raw)})" for raw in unread]
    # Without steps the field itself is the value: that it was written says all but whether it may be null.
    judged = [(name, kind) for name, kind in topic.types if chains[name] or kind.required]
    vouched += [given(name, kind, f"{raw_name(name)} IS NULL") for name, kind in judged]
    return f"SELECT {passed()}, {column_list(topic)}, coalesce({' AND '.join(vouched)}, false) AS _ok FROM ({read})"


def _lenient(form: Form, key: str, kind: SqlType | None) -> str:
    """As what DuckDB is to read a field: whatever it can write again as it was."""
    if kind is None or kind.many or kind.name in ("double", "decimal"):
        return "JSON"
    if kind.name == "varchar":
        return "JSON" if key in form.escaped else "VARCHAR"
    return {"boolean": "BOOLEAN", "integer": "INTEGER", "date": "VARCHAR", "timestamp": "VARCHAR"}.get(
        kind.name, "BIGINT"
    )


def _field(form: Form, key: str, kind: SqlType | None) -> str:
    value = f"struct_extract(_f, {literal(key)})"
    return f"{value}::VARCHAR" if _lenient(form, key, kind) == "JSON" else value


def _echoed(form: Form, name: str, kind: SqlType) -> list[Step]:
    """From a field, as it was read leniently, to the value."""
    if name not in form.keys:
        return []
    if _lenient(form, name, kind) == "JSON":
        return chain(kind)
    return moment(kind) if kind.name in ("date", "timestamp") else since_epoch(kind)


def _written(form: Form, types: dict[str, SqlType]) -> str:
    """SQL: the object written again. Literal text between two fields is one piece."""
    pieces, text = [], "{"
    for place, key in enumerate(form.keys):
        kind, raw = types.get(key), raw_name(key)
        quote = '"' if _lenient(form, key, kind) == "VARCHAR" else ""
        before = f'{form.comma if place else ""}"{key}"{form.colon}{quote}'
        if key not in form.optional:  # concat leaves nulls out, and what is left is no such object
            pieces += [literal(text + before), raw]
            text = quote
        elif place and key not in form.nulls:
            whole = " || ".join(filter(None, [literal(before), raw if quote else f"{raw}::VARCHAR", quote and "'\"'"]))
            pieces += [literal(text), f"coalesce({whole}, '')"]
            text = ""
        else:
            whole = " || ".join(["'\"'", raw, "'\"'"]) if quote else f"{raw}::VARCHAR"
            pieces += [literal(text + before.removesuffix(quote)), f"coalesce({whole}, 'null')"]
            text = ""
    return f"concat({', '.join([*pieces, literal(text + '}')])})"
