"""JSON payloads to typed columns, in two columnar readings. Each vouches for a row only if the rule of `decode_record`
accepts it with the same values; a row it does not vouch for goes on to the next reading, never to the dead letters.

DuckDB's JSON is lenient: ``"12"`` is 12 for an INTEGER, 1.5 is 2, true is 1, trailing commas and NaN parse, and numbers
pass through a double. Two ways round it:

    echo     Learn from some payloads how their producer writes (which keys, in which order, with which separators).
             Read the fields leniently, *write* the object again in that form and compare with the payload. If the texts
             are equal nothing can have been lenient: the payload is the compact JSON of exactly these values.
    tokens   Read each field as a JSON token and judge by the token's text. Laxities of the parser that leave no trace
             in a token (trailing commas, NaN in a field nobody reads, digits beyond a double's) are found by one
             regular expression over the payload, which may refuse too much, never too little.

The echo costs less than half of the tokens. It holds for payloads with no escapes but JSON's shortest ones and with
numbers in their shortest form, which is how most producers write most records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ...core.schema import SqlType
from ...core.topic import Topic
from .decode_record import MAX_DEPTH, MAX_US, MIN_US
from .partials import quoted

SAMPLE = 32
PASSED = ("_row", "_text", "arrived_at", "partition", '"offset"')
_SEPARATORS = ((",", ":"), (", ", ": "))
_MAX_UNKNOWN = 64
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]{0,62}")
_EVERY_PAYLOAD = r",\s*[}\]]|[:,\[]\s*-?(?:[nN][aA][nN]|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)\s*[,}\]]"
# A literal of at least 16 digits (so many before the point, so many after it) may not survive a double, nor one that is
# too small for it.
_LONG_NUMBERS = r"|\.[0-9]{13}|[0-9]{4}\.[0-9]{9}|[0-9]{8}\.[0-9]{5}|[0-9]{12}\.[0-9]|[0-9]{16}[eE]|[eE]-[0-9]{3}"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
_ZONE = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
_TIME = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}{_ZONE}"
_PLAIN_TIMES = ("____-__-__T__:__:__.___Z", "____-__-__T__:__:__Z", "____-__-__T__:__:__.______Z")
_UNITS_US = {"timestamp_ms": 1_000, "timestamp_s": 1_000_000}


Step = Callable[[str], str]
"""SQL of a column -> SQL of what is made of it."""


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def tokens(topic: Topic, source: str) -> str:
    """SELECT the columns of the topic and ``_ok`` from ``source``, which has the `PASSED` columns, by JSON tokens."""
    structure = json.dumps({name: "JSON" for name, _ in topic.types})
    names = [name for name, _ in topic.types]
    parsed = f"SELECT {_passed()}, {_vouched(topic)} AS _plain, {_parsed(structure)} AS _f FROM {source}"
    texts = ", ".join(f"struct_extract(_f, {literal(name)})::VARCHAR AS {_raw(name)}" for name in names)
    cut = f"SELECT {_passed()}, _plain AND _f IS NOT NULL AS _plain, {texts} FROM ({parsed})"
    read = _stepped(cut, {name: _chain(kind) for name, kind in topic.types})
    given = [_given(name, kind, f"{_raw(name)} IS NULL") for name, kind in topic.types]
    return f"SELECT {_passed()}, {_columns(topic)}, {' AND '.join(['_plain', *given])} AS _ok FROM ({read})"


def _vouched(topic: Topic) -> str:
    """SQL: nothing in the payload is more lenient than its tokens show."""
    exact = any(kind.name == "decimal" for _, kind in topic.types)
    conditions = [
        "prefix(_text, '{')",
        f"NOT regexp_matches(_text, {literal(_EVERY_PAYLOAD + _LONG_NUMBERS * exact)})",
        _shallow("_text"),
    ]
    if topic.extra == "reject":
        known = ", ".join(literal(name) for name, _ in topic.types)
        conditions.append(f"CASE WHEN json_valid(_text) THEN list_has_all([{known}], json_keys(_text)) END")
    return f"({' AND '.join(conditions)})"


def _shallow(text: str) -> str:
    opened = f"strlen({text}) - strlen(replace(replace({text}, '[', ''), '{{', ''))"
    return f"CASE WHEN strlen({text}) > {2 * MAX_DEPTH} THEN {opened} <= {MAX_DEPTH} ELSE true END"


def _parsed(structure: str, condition: str = "json_valid(_text)") -> str:
    return f"from_json(CASE WHEN {condition} THEN _text END, {literal(structure)})"


def _passed() -> str:
    return ", ".join(PASSED)


def _columns(topic: Topic) -> str:
    return ", ".join(quoted(name) for name, _ in topic.types)


def _raw(name: str) -> str:
    return quoted(f"_raw_{name}")


def _stepped(source: str, chains: Mapping[str, Sequence[Step]]) -> str:
    """SELECT what ``source`` has and each column, made of its raw field by steps, each in a SELECT of its own.

    Within one expression, what is used twice would be computed twice.
    """
    before = {name: _raw(name) for name in chains}
    for turn in range(max(map(len, chains.values()), default=0)):
        made = {name: chain[turn](before[name]) for name, chain in chains.items() if turn < len(chain)}
        after = {name: quoted(f"_{turn}_{name}") for name in made}
        source = f"SELECT *, {', '.join(f'{sql} AS {after[name]}' for name, sql in made.items())} FROM ({source})"
        before |= after
    return f"SELECT *, {', '.join(f'{column} AS {quoted(name)}' for name, column in before.items())} FROM ({source})"


def _given(name: str, kind: SqlType, absent: str) -> str:
    """SQL: the column has a value that it accepts, or none where it needs none."""
    column = quoted(name)
    there = f"coalesce(list_count({column}) = len({column}), false)" if kind.many else f"{column} IS NOT NULL"
    return there if kind.required else f"({absent} OR {there})"


def _chain(kind: SqlType) -> list[Step]:
    """From a JSON token to the value; null, or in a list some null, where the column does not accept it."""
    if not kind.many:
        return _scalar(kind)
    items = "CASE WHEN prefix({0}, '[') THEN list_transform(from_json({0}, '[\"JSON\"]'), lambda _e: _e::VARCHAR) END"
    return [items.format, *(_each(step) for step in _scalar(kind))]


def _each(step: Step) -> Step:
    return lambda items: f"list_transform({items}, lambda _e: {step('_e')})"


def _scalar(kind: SqlType) -> list[Step]:
    match kind.name:
        case "boolean":
            return ["CASE {0} WHEN 'true' THEN true WHEN 'false' THEN false END".format]
        case "varchar":
            return [_string]
        case "date" | "timestamp":
            return [lambda token: f"CASE WHEN prefix({token}, '\"') THEN {_content(token)} END", *_moment(kind)]
        case "double":
            return ["TRY_CAST({0} AS DOUBLE)".format, "CASE WHEN isfinite({0}) THEN {0} + 0.0::DOUBLE END".format]
        case "decimal":
            return [lambda token: _decimal(kind, token)]
    number = "BIGINT" if kind.name in _UNITS_US else kind.scalar_sql
    whole = f"CASE WHEN NOT (contains({{0}}, '.') OR contains({{0}}, 'e')) THEN TRY_CAST({{0}} AS {number}) END"
    return [whole.format, *_since_epoch(kind)]


def _string(token: str) -> str:
    escaped = f"CASE WHEN NOT contains({token}, '\\u0000') THEN json_extract_string({token}, '$') END"
    content = f"CASE WHEN contains({token}, '\\') THEN {escaped} ELSE {_content(token)} END"
    return f"CASE WHEN prefix({token}, '\"') THEN {content} END"


def _content(token: str) -> str:
    return f"substring({token}, 2, length({token}) - 2)"


def _since_epoch(kind: SqlType) -> list[Step]:
    """From a number of units to a timestamp; nothing for other types."""
    if kind.name not in _UNITS_US:
        return []
    unit = _UNITS_US[kind.name]
    bounds = f"{-(-MIN_US // unit)} AND {MAX_US // unit}"
    return [f"CASE WHEN {{0}} BETWEEN {bounds} THEN make_timestamp({{0}} * {unit}) END".format]


def _moment(kind: SqlType) -> list[Step]:
    """From the content of a string to a date or a timestamp."""
    if kind.name == "date":
        plain = "regexp_full_match({0}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}')"
        first = "CASE WHEN {0} >= DATE '0001-01-01' THEN {0} END"
        return [f"CASE WHEN {plain} THEN TRY_CAST({{0}} AS DATE) END".format, first.format]
    return [_time]


def _time(text: str) -> str:
    likes = " OR ".join(f"{text} LIKE '{form}'" for form in _PLAIN_TIMES)
    # Without a blank or a sign every wildcard of these forms must be a digit, or the cast fails. It takes 24:00 for the
    # next day and 0000 for a year; and it drops an offset without a word, so offsets go by TIMESTAMPTZ.
    odd = f"contains({text}, ' ') OR prefix({text}, '-') OR prefix({text}, '0000') OR contains({text}, 'T24')"
    zoned = f"timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ))"
    other = f"regexp_full_match({text}, '{_TIME}') AND epoch_us({zoned}) BETWEEN {MIN_US} AND {MAX_US}"
    return f"CASE WHEN ({likes}) AND NOT ({odd}) THEN TRY_CAST({text} AS TIMESTAMP) WHEN {other} THEN {zoned} END"


def _decimal(kind: SqlType, token: str) -> str:
    number = f"TRY_CAST({token} AS {kind.scalar_sql})"
    if kind.rounded:
        return f"CASE WHEN NOT contains({token}, 'e') THEN {number} END"
    point = f"strpos({token}, '.')"
    fits = f"{point} = 0 OR length({token}) - {point} <= {kind.scale} OR suffix({token}, '.0')"
    return f"CASE WHEN ({fits}) AND NOT contains({token}, 'e') THEN {number} END"


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
    parsed = f"SELECT {_passed()}, {_parsed(structure, condition)} AS _f FROM {source}"
    fields = [f"{_field(form, key, types.get(key))} AS {_raw(key)}" for key in form.keys]
    fields += [f"NULL::{kind.sql} AS {_raw(name)}" for name, kind in topic.types if name not in form.keys]
    chains = {name: _echoed(form, name, kind) for name, kind in topic.types}
    read = _stepped(f"SELECT {_passed()}, {', '.join(fields)} FROM ({parsed})", chains)
    vouched = [f"{_written(form, types)} = _text"]
    lax = literal(f"^-?[nNiI]|{_EVERY_PAYLOAD}")
    unread = [_raw(key) for key in form.keys if key not in types]
    vouched += [f"({raw} IS NULL OR NOT regexp_matches({raw}, {lax}) AND {_shallow(raw)})" for raw in unread]
    # Without steps the field itself is the value, and what was written of it is all there is to say.
    vouched += [_given(name, kind, f"{_raw(name)} IS NULL") for name, kind in topic.types if chains[name]]
    return f"SELECT {_passed()}, {_columns(topic)}, coalesce({' AND '.join(vouched)}, false) AS _ok FROM ({read})"


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
        return _chain(kind)
    return _moment(kind) if kind.name in ("date", "timestamp") else _since_epoch(kind)


def _written(form: Form, types: dict[str, SqlType]) -> str:
    """SQL: the object written again. Literal text between two fields is one piece."""
    pieces, text = [], "{"
    for place, key in enumerate(form.keys):
        kind, raw = types.get(key), _raw(key)
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
