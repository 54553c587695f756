"""The records that are measured with: what films people watch, on which device, and how they score them.

About 175 bytes each as compact JSON, in the order in which they happened but for some seconds of jitter, 555 a second
of event time. Of 2,000 films each has 61 viewers. Every value follows from the record's number by integer arithmetic,
so any run anywhere makes the same bytes. One in a thousand is malformed, in four ways, all of which leave a lenient
reader without a ``film_id``.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

import watersmeet as wm

SCHEMA = {
    "event_id": "varchar not null",
    "film_id": "integer not null",
    "device": "varchar not null",
    "user_id": "integer not null",
    "score": "decimal(4,2)",
    "watched": "integer",
    "session": "varchar",
    "at": "timestamp_ms not null",
}
LENIENT = {
    "event_id": "VARCHAR",
    "film_id": "INTEGER",
    "device": "VARCHAR",
    "user_id": "INTEGER",
    "score": "DECIMAL(4,2)",
    "watched": "INTEGER",
    "session": "VARCHAR",
    "at": "BIGINT",
}
"""The same columns for DuckDB's typed reader."""
FILES = 8
FILMS, VIEWERS = 2000, 61
START_MS = 1_700_000_400_000
EVERY_MS = 1.8
_FILM = f"(s * 7919 % 104729 % {FILMS})"

events = wm.Topic("events", schema=SCHEMA, event_time="at", partitions=2)
once = wm.Topic("events", schema=SCHEMA, event_time="at", partitions=2, id="event_id")


def write(folder: Path, records: int, *, copies: bool = False) -> list[Path]:
    """Write records, one a line, to `FILES` files of about equal length.

    Args:
        folder: made if it is missing.
        records: how many lines.
        copies: every tenth record repeats, byte for byte, one of the 200,000 before it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with duckdb.connect() as connection:
        for number in range(FILES):
            begin, end = number * records // FILES, (number + 1) * records // FILES
            paths.append(folder / f"part-{number}.json")
            form = "FORMAT csv, HEADER false, DELIMITER '\t', QUOTE ''"
            connection.execute(f"COPY ({_lines(begin, end, copies)}) TO '{paths[-1]}' ({form})")
    return paths


def payloads(paths: list[Path]) -> list[bytes]:
    """The lines of the files."""
    return [line for path in paths for line in path.read_bytes().splitlines()]


def _lines(begin: int, end: int, copies: bool) -> str:
    """SELECT the lines of records ``[begin, end)``; ``s`` is the record whose content a line has."""
    source = "i - 1 - 10 * (i * 7919 % 104729 % (1 + least(i // 10, 20000)))" if copies else "i"
    number = f"CASE WHEN i % 10 = 9 THEN {source} ELSE i END" if copies else source
    fields = (
        """'"event_id":"e' || lpad(s::VARCHAR, 15, '0') || '"'""",
        f"""'"film_id":' || {_FILM}""",
        """'"device":"' || ['phone', 'tablet', 'television'][1 + s * 31 % 101 % 3] || '"'""",
        f"""'"user_id":' || {_FILM} * 97 + s * 31 % {VIEWERS}""",
        """'"score":' || (s * 37 % 1000 / 100)::DOUBLE""",
        """'"watched":' || s * 17 % 7200""",
        """'"session":"' || md5(s::VARCHAR) || '"'""",
        f"""'"at":' || {START_MS} + (s * {EVERY_MS})::BIGINT - s * 613 % 3000""",
    )
    whole = "'{' || " + " || ',' || ".join(fields) + " || '}'"
    broken = """CASE i // 1000 % 4
        WHEN 0 THEN whole[:60]
        WHEN 1 THEN regexp_replace(whole, '"film_id":([0-9]+)', '"film_id":"x\\1"')
        WHEN 2 THEN replace(whole, 'film_id', 'film')
        ELSE '"' || md5(i::VARCHAR) || '"' END"""
    return f"""
        SELECT CASE WHEN i % 1000 = 500 THEN {broken} ELSE whole END AS line
        FROM (SELECT i, {whole} AS whole FROM (SELECT i, {number} AS s FROM range({begin}, {end}) t(i)))
        ORDER BY i"""
