"""JSON payloads to typed columns, by tokens.

DuckDB's JSON is lenient: ``"12"`` is 12 for an INTEGER, 1.5 is 2, true is 1, trailing commas and NaN parse, and numbers
pass through a double. So every field is read as a JSON *token*, and judged by the token's text. Laxities of the parser
that leave no trace in a token (trailing commas, NaN in a field nobody reads, digits beyond a double's) are found by one
regular expression over the payload, which may refuse too much, never too little.

This reading, like `echo`, vouches for a row only if the rule of `decode_record` accepts it with the same values. A row
for which it does not vouch goes on to the next reading, never to the dead letters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from ...core.schema import SqlType
from ...core.topic import Topic
from .decode_record import MAX_DEPTH, MAX_US, MIN_US
from .partials import quoted

PASSED = ("_row", "_text", "arrived_at", "partition", '"offset"')
"""What a reading is given beside a payload's text, and hands on."""
LAX = r",\s*[}\]]|[:,\[]\s*-?(?:[nN][aA][nN]|[iI][nN][fF](?:[iI][nN][iI][tT][yY])?)\s*[,}\]]"
"""Trailing commas and NaN, which the parser takes; also where they stand in a string."""
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
    parsed = f"SELECT {passed()}, {_vouched(topic)} AS _plain, {parsed_fields(structure)} AS _f FROM {source}"
    texts = ", ".join(f"struct_extract(_f, {literal(name)})::VARCHAR AS {raw_name(name)}" for name in names)
    cut = f"SELECT {passed()}, _plain AND _f IS NOT NULL AS _plain, {texts} FROM ({parsed})"
    read = stepped(cut, {name: chain(kind) for name, kind in topic.types})
    conditions = ["_plain", *(given(name, kind, f"{raw_name(name)} IS NULL") for name, kind in topic.types)]
    return f"SELECT {passed()}, {column_list(topic)}, {' AND '.join(conditions)} AS _ok FROM ({read})"


def _vouched(topic: Topic) -> str:
    """SQL: nothing in the payload is more lenient than its tokens show."""
    exact = any(kind.name == "decimal" for _, kind in topic.types)
    conditions = [
        "prefix(_text, '{')",
        f"NOT regexp_matches(_text, {literal(LAX + _LONG_NUMBERS * exact)})",
        shallow("_text"),
    ]
    if topic.extra == "reject":
        known = ", ".join(literal(name) for name, _ in topic.types)
        conditions.append(f"CASE WHEN json_valid(_text) THEN list_has_all([{known}], json_keys(_text)) END")
    return f"({' AND '.join(conditions)})"


def shallow(text: str) -> str:
    """SQL: a JSON text nests no deeper than is allowed, as far as counting brackets can tell."""
    opened = f"strlen({text}) - strlen(replace(replace({text}, '[', ''), '{{', ''))"
    return f"CASE WHEN strlen({text}) > {2 * MAX_DEPTH} THEN {opened} <= {MAX_DEPTH} ELSE true END"


def parsed_fields(structure: str, condition: str = "json_valid(_text)") -> str:
    """SQL: the fields of the payload, as DuckDB's JSON structure says; null where the condition does not hold."""
    return f"from_json(CASE WHEN {condition} THEN _text END, {literal(structure)})"


def passed() -> str:
    """The `PASSED` columns as a SELECT list."""
    return ", ".join(PASSED)


def column_list(topic: Topic) -> str:
    """The topic's columns as a SELECT list."""
    return ", ".join(quoted(name) for name, _ in topic.types)


def raw_name(name: str) -> str:
    """What the field of a column is called before it is judged."""
    return quoted(f"_raw_{name}")


def stepped(source: str, chains: Mapping[str, Sequence[Step]]) -> str:
    """SELECT what ``source`` has and each column, made of its raw field by steps, each in a SELECT of its own.

    Within one expression, what is used twice would be computed twice.
    """
    before = {name: raw_name(name) for name in chains}
    for turn in range(max(map(len, chains.values()), default=0)):
        made = {name: chain[turn](before[name]) for name, chain in chains.items() if turn < len(chain)}
        after = {name: quoted(f"_{turn}_{name}") for name in made}
        source = f"SELECT *, {', '.join(f'{sql} AS {after[name]}' for name, sql in made.items())} FROM ({source})"
        before |= after
    return f"SELECT *, {', '.join(f'{column} AS {quoted(name)}' for name, column in before.items())} FROM ({source})"


def given(name: str, kind: SqlType, absent: str) -> str:
    """SQL: the column has a value that it accepts, or none where it needs none."""
    column = quoted(name)
    there = f"coalesce(list_count({column}) = len({column}), false)" if kind.many else f"{column} IS NOT NULL"
    return there if kind.required else f"({absent} OR {there})"


def chain(kind: SqlType) -> list[Step]:
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
            return [lambda token: f"CASE WHEN prefix({token}, '\"') THEN {_content(token)} END", *moment(kind)]
        case "double":
            return ["TRY_CAST({0} AS DOUBLE)".format, "CASE WHEN isfinite({0}) THEN {0} + 0.0::DOUBLE END".format]
        case "decimal":
            return [lambda token: _decimal(kind, token)]
    number = "BIGINT" if kind.name in _UNITS_US else kind.scalar_sql
    whole = f"CASE WHEN NOT (contains({{0}}, '.') OR contains({{0}}, 'e')) THEN TRY_CAST({{0}} AS {number}) END"
    return [whole.format, *since_epoch(kind)]


def _string(token: str) -> str:
    escaped = f"CASE WHEN NOT contains({token}, '\\u0000') THEN json_extract_string({token}, '$') END"
    content = f"CASE WHEN contains({token}, '\\') THEN {escaped} ELSE {_content(token)} END"
    return f"CASE WHEN prefix({token}, '\"') THEN {content} END"


def _content(token: str) -> str:
    return f"substring({token}, 2, length({token}) - 2)"


def since_epoch(kind: SqlType) -> list[Step]:
    """From a number of units to a timestamp; nothing for other types."""
    if kind.name not in _UNITS_US:
        return []
    unit = _UNITS_US[kind.name]
    bounds = f"{-(-MIN_US // unit)} AND {MAX_US // unit}"
    return [f"CASE WHEN {{0}} BETWEEN {bounds} THEN make_timestamp({{0}} * {unit}) END".format]


def moment(kind: SqlType) -> list[Step]:
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
