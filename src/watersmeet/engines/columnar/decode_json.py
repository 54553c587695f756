"""JSON payloads to typed columns, in two columnar readings. Each vouches for a row only if the rule of `decode_record`
accepts it with the same values; a row it does not vouch for goes on to the next reading, never to the dead letters.

DuckDB's JSON is lenient: ``"12"`` is 12 for an INTEGER, 1.5 is 2, true is 1, trailing commas and NaN parse, and numbers
pass through a double. Two ways round it:

    echo     Learn from some payloads how their producer writes (which keys, in which order, with which separators).
             Read the fields leniently, *write* the object again in that form and compare with the payload. If the texts
             are equal nothing can have been lenient: the payload is the compact JSON of exactly these values.
    tokens   Read each field as a JSON token and judge by the token's text. Laxities of the parser that leave no trace
             in a token (trailing commas, NaN in a field nobody reads, digits beyond a double's) are found by one regular
             expression over the payload, which may refuse too much, never too little.

The echo costs about half of the tokens. It holds for payloads without escapes in plain strings and with numbers in their
shortest form, which is how most producers write most records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
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
# A literal of at least 16 digits may not survive a double (so many before the point, so many after it), nor may one that
# is too small for it.
_LONG_NUMBERS = r"|\.[0-9]{13}|[0-9]{4}\.[0-9]{9}|[0-9]{8}\.[0-9]{5}|[0-9]{12}\.[0-9]|[0-9]{16}[eE]|[eE]-[0-9]{3}"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
_ZONE = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)?"
_TIME = rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[T ]{_CLOCK}{_ZONE}"
_PLAIN_TIMES = ("____-__-__T__:__:__.___Z", "____-__-__T__:__:__Z", "____-__-__T__:__:__.______Z")
_UNITS_US = {"timestamp_ms": 1_000, "timestamp_s": 1_000_000}


def literal(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def tokens(topic: Topic, source: str) -> str:
    """SELECT the columns of the topic and ``_ok`` from ``source``, which has the `PASSED` columns, by JSON tokens."""
    structure = json.dumps({name: "JSON" for name, _ in topic.types})
    names = [name for name, _ in topic.types]
    parsed = f"SELECT {_passed()}, {_vouched(topic)} AS _plain, {_parsed(structure)} AS _f FROM {source}"
    texts = ", ".join(f"struct_extract(_f, {literal(name)})::VARCHAR AS {quoted(_raw(name))}" for name in names)
    cut = f"SELECT {_passed()}, _plain AND _f IS NOT NULL AS _plain, {texts} FROM ({parsed})"
    values = ", ".join(f"{_value(kind, quoted(_raw(name)))} AS {quoted(name)}" for name, kind in topic.types)
    read = f"SELECT *, {values} FROM ({cut})"
    given = [_given(name, kind, f"{quoted(_raw(name))} IS NULL") for name, kind in topic.types]
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


def _parsed(structure: str) -> str:
    return f"from_json(CASE WHEN json_valid(_text) THEN _text END, {literal(structure)})"


def _passed() -> str:
    return ", ".join(PASSED)


def _columns(topic: Topic) -> str:
    return ", ".join(quoted(name) for name, _ in topic.types)


def _raw(name: str) -> str:
    return f"_raw_{name}"


def _given(name: str, kind: SqlType, absent: str) -> str:
    """SQL: the column has a value that it accepts, or none where it needs none."""
    column = quoted(name)
    there = f"coalesce(list_count({column}) = len({column}), false)" if kind.many else f"{column} IS NOT NULL"
    return there if kind.required else f"({absent} OR {there})"


def _value(kind: SqlType, token: str) -> str:
    """SQL: the value of a JSON token; null, or in a list some null, where the column does not accept it."""
    if kind.many:
        each = _scalar(kind, "_e::VARCHAR")
        items = f"from_json({token}, '[\"JSON\"]')"
        return f"CASE WHEN prefix({token}, '[') THEN list_transform({items}, lambda _e: {each}) END"
    return _scalar(kind, token)


def _scalar(kind: SqlType, token: str) -> str:
    match kind.name:
        case "boolean":
            return f"CASE {token} WHEN 'true' THEN true WHEN 'false' THEN false END"
        case "varchar":
            escaped = f"CASE WHEN NOT contains({token}, '\\u0000') THEN json_extract_string({token}, '$') END"
            content = f"CASE WHEN contains({token}, '\\') THEN {escaped} ELSE {_content(token)} END"
            return f"CASE WHEN prefix({token}, '\"') THEN {content} END"
        case "date" | "timestamp":
            return f"CASE WHEN prefix({token}, '\"') THEN {_moment(kind, _content(token))} END"
        case "double":
            number = f"TRY_CAST({token} AS DOUBLE)"
            return f"CASE WHEN isfinite({number}) THEN {number} + 0.0::DOUBLE END"
        case "decimal":
            return _decimal(kind, token)
    whole = f"contains({token}, '.') OR contains({token}, 'e')"
    if kind.name in _UNITS_US:
        return f"CASE WHEN NOT ({whole}) THEN {_since_epoch(kind, f'TRY_CAST({token} AS BIGINT)')} END"
    return f"CASE WHEN NOT ({whole}) THEN TRY_CAST({token} AS {kind.scalar_sql}) END"


def _content(token: str) -> str:
    return f"substring({token}, 2, length({token}) - 2)"


def _since_epoch(kind: SqlType, number: str) -> str:
    unit = _UNITS_US[kind.name]
    bounds = f"{-(-MIN_US // unit)} AND {MAX_US // unit}"
    return f"CASE WHEN {number} BETWEEN {bounds} THEN make_timestamp({number} * {unit}) END"


def _moment(kind: SqlType, text: str) -> str:
    if kind.name == "date":
        day = f"TRY_CAST({text} AS DATE)"
        plain = f"regexp_full_match({text}, '[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}') AND {day} >= DATE '0001-01-01'"
        return f"CASE WHEN {plain} THEN {day} END"
    likes = " OR ".join(f"{text} LIKE '{form}'" for form in _PLAIN_TIMES)
    # Without a blank or a sign every wildcard of these forms must be a digit, or the cast fails. It takes 24:00 for the
    # next day, and drops an offset without a word: so offsets go by TIMESTAMPTZ.
    plain = f"({likes}) AND NOT contains({text}, ' ') AND NOT prefix({text}, '-') AND {text}[12:13] <> '24'"
    zoned = f"timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ))"
    other = f"CASE WHEN regexp_full_match({text}, '{_TIME}') THEN {zoned} END"
    moment = f"CASE WHEN {plain} THEN TRY_CAST({text} AS TIMESTAMP) ELSE {other} END"
    return f"CASE WHEN epoch_us({moment}) BETWEEN {MIN_US} AND {MAX_US} THEN {moment} END"


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
        nulls: keys that are written as null rather than left out.
        escaped: keys whose strings have had escapes: read as tokens, at more cost.
    """

    keys: tuple[str, ...]
    comma: str
    colon: str
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
    if before is not None and before.keys == keys:
        nulls, escaped = nulls | before.nulls, escaped | before.escaped
    text, fields = max(samples, key=lambda sample: len(sample[1]))
    first, second = [*fields, "", ""][:2]
    for comma, colon in _SEPARATORS:
        if text.startswith(f'{{"{first}"{colon}') and (not second or f'{comma}"{second}"{colon}' in text):
            return Form(keys, comma, colon, frozenset(nulls), frozenset(escaped))
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


def echo(topic: Topic, form: Form, source: str) -> str:
    """SELECT the columns of the topic and ``_ok`` from ``source``, which has the `PASSED` columns, by the echo."""
    types = dict(topic.types)
    structure = json.dumps({key: _lenient(form, key, types.get(key)) for key in form.keys})
    parsed = f"SELECT {_passed()}, {_parsed(structure)} AS _f FROM {source}"
    cut = ", ".join(f"{_field(form, key, types.get(key))} AS {quoted(_raw(key))}" for key in form.keys)
    values = ", ".join(f"{_echoed(form, name, kind)} AS {quoted(name)}" for name, kind in topic.types)
    read = f"SELECT *, {values} FROM (SELECT {_passed()}, {cut} FROM ({parsed}))"
    vouched = [f"{_written(form, types)} = _text"]
    for key in form.keys:
        if key not in types:
            raw = quoted(_raw(key))
            lax = literal(f"^-?[nNiI]|{_EVERY_PAYLOAD}")
            vouched.append(f"({raw} IS NULL OR NOT regexp_matches({raw}, {lax}) AND {_shallow(raw)})")
    for name, kind in topic.types:
        absent = f"{quoted(_raw(name))} IS NULL" if name in form.keys else "true"
        if _is_judged(form, name, kind):
            vouched.append(_given(name, kind, absent))
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


def _is_judged(form: Form, name: str, kind: SqlType) -> bool:
    """True if the value may be refused though the field was echoed."""
    return _lenient(form, name, kind) == "JSON" or kind.name.startswith(("date", "timestamp"))


def _echoed(form: Form, name: str, kind: SqlType) -> str:
    if name not in form.keys:
        return f"NULL::{kind.sql}"
    raw = quoted(_raw(name))
    if _lenient(form, name, kind) == "JSON":
        return _value(kind, raw)
    if kind.name in _UNITS_US:
        return _since_epoch(kind, raw)
    return _moment(kind, raw) if kind.name in ("date", "timestamp") else raw


def _written(form: Form, types: dict[str, SqlType]) -> str:
    """SQL: the object written again. Literal text between two fields is one piece."""
    pieces, text = [], "{"
    for place, key in enumerate(form.keys):
        kind, raw = types.get(key), quoted(_raw(key))
        quote = '"' if _lenient(form, key, kind) == "VARCHAR" else ""
        before = f'{form.comma if place else ""}"{key}"{form.colon}{quote}'
        if kind is not None and kind.required:
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
