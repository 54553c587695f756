"""Decode: LOGGED to DECODED and DEAD.

Every record is in exactly one of the two, in the order in which it came; the counts are checked. A chunk of Avro is
read by `decode_avro`. A chunk of JSON goes through up to three readings (`echo`; `decode_json`, by tokens;
`decode_record`, alone), each of which takes the rows that the one before it would not vouch for. What comes out is the
same whichever reading a row took, so chunking changes nothing.

Then a row is judged: event time within arrival + skew (``invalid_timestamp``), the topic's checks in the order declared
(false, null or failing: dead with that reason). Computed columns come last and never kill a record: an expression that
fails gives null. A topic without id has no use for digests: ``_hi`` and ``_lo`` are absent, ``_content`` is null.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import duckdb
import numpy as np
import pyarrow as pa

from ...core.duration import text as duration
from ...core.engine import Decoded
from ...core.record import Records
from ...core.schemas import Schemas
from ...core.sql.expression import names
from ...core.topic import Topic
from . import decode_json, echo
from .columns import Columns
from .database import BATCH_ROWS, table
from .decode_avro import AvroReader
from .decode_record import Letter, read
from .echo import Form
from .functions import call_functions
from .partials import finite, quoted

ALONE_ROWS = 256
"""So few rows are read one by one in less time than a statement takes."""
LEAST_SHARE = 25_000
"""Rows for which it is worth to wake another thread."""

DEAD = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("arrival", pa.int64()),
        ("slice", pa.int64()),
        ("key", pa.binary()),
        ("value", pa.binary()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
_PLACES = ["arrived_at", "partition", "offset", "slice"]
_ALWAYS = ("event_time", *_PLACES, "_hi", "_lo", "_content")
_GOOD, _UNREAD, _LATE, _CHECKED = 0, 1, 2, 3
Wanted = frozenset[str]
"""The columns of the topic that rows must have."""


class Decoder:
    """Decodes the chunks of all topics; used by many threads.

    It remembers how producers write (see `echo.Form`), which decides how long a chunk takes and nothing else.
    """

    def __init__(self, columns: Columns, schemas: Schemas | None = None) -> None:
        self._columns = columns
        self._avro = AvroReader(schemas)
        self._forms: dict[str, Form] = {}
        self._wary: set[str] = set()
        """Topics that have had something in braces that was not JSON."""
        # A statement over Arrow tables takes one thread of DuckDB's, so a large chunk is shared out.
        self._pool = ThreadPoolExecutor(columns.database.threads, thread_name_prefix="decode")

    def decode(self, topic: Topic, records: Records, reads: Collection[str] | None = None) -> Decoded:
        """See `watersmeet.core.engine.Engine.decode`."""
        logged, wanted = table(records), _wanted(topic, reads)
        shares = min(self._columns.database.threads, logged.num_rows // LEAST_SHARE)
        if shares < 2:
            return self._decode(topic, logged, wanted)
        size = -(-logged.num_rows // shares)
        parts = [logged.slice(start, size) for start in range(0, logged.num_rows, size)]
        found = list(self._pool.map(lambda part: self._decode(topic, part, wanted), parts))
        rows, dead = ([pa.table(getattr(part, name)) for part in found] for name in ("rows", "dead"))
        return Decoded(pa.concat_tables(rows), pa.concat_tables(dead))

    def _decode(self, topic: Topic, logged: pa.Table, wanted: Wanted) -> Decoded:
        whole = self._columns.schema(self._columns.decoded(topic))
        schema = pa.schema([field for field in whole if field.name in wanted or field.name in _ALWAYS])
        if logged.num_rows == 0:
            return Decoded(schema.empty_table(), DEAD.empty_table())
        payloads = logged.column("value")
        if topic.format == "avro":
            source = _source(logged, payloads)
            judged, letters = self._framed(topic, wanted, source, payloads)
        else:
            source = _source(logged, _texts(payloads))
            judged, letters = self._read(topic, wanted, source, payloads)
        verdicts = judged.column("_verdict").to_numpy()
        letters.update(_letters(topic, judged, verdicts, source))
        if verdicts.any():
            judged = judged.filter(pa.array(verdicts == _GOOD))
        assert judged.num_rows + len(letters) == logged.num_rows
        placed = source.select(_PLACES)
        if judged.num_rows < logged.num_rows:
            placed = placed.take(judged.column("_row"))
        rows = call_functions(self._columns, topic, _rows(topic, judged, placed), wanted)
        return Decoded(rows.select(schema.names).cast(schema), _dead(logged, letters))

    def _framed(
        self, topic: Topic, wanted: Wanted, source: pa.Table, payloads: pa.ChunkedArray
    ) -> tuple[pa.Table, dict[int, Letter]]:
        """As `_read`, of Avro."""
        types = self._columns.schema({name: kind.sql for name, kind in topic.types})
        typed, letters = self._avro.read(topic, source, payloads, types)
        return self._judge(topic, wanted, "SELECT *, true AS _ok FROM source", typed), letters

    def _read(
        self, topic: Topic, wanted: Wanted, source: pa.Table, payloads: pa.ChunkedArray
    ) -> tuple[pa.Table, dict[int, Letter]]:
        """Judged rows in order, and the letters of those that no reading accepts, by row."""
        parts, left = [], source
        form = self._forms.get(topic.version) or echo.learn(topic, _sample(source))
        if form is not None:
            part, left = self._echo(topic, wanted, form, left)
            parts.append(part)
            if 2 * left.num_rows > source.num_rows:
                form = echo.learn(topic, _sample(left), form) or form
            self._forms[topic.version] = form
        if left.num_rows > ALONE_ROWS:
            part, left = self._pass(topic, wanted, decode_json.tokens(topic, "source"), left)
            parts.append(part)
        letters: dict[int, Letter] = {}
        if left.num_rows:
            typed, letters = self._alone(topic, left, payloads)
            if typed.num_rows or not parts:
                parts.append(self._judge(topic, wanted, "SELECT *, true AS _ok FROM source", typed))
        kept = [part for part in parts if part.num_rows] or parts[:1]
        if len(kept) == 1:
            return kept[0], letters
        whole = pa.concat_tables(kept)
        return whole.take(pa.array(np.argsort(whole.column("_row").to_numpy(), kind="stable"))), letters

    def _echo(self, topic: Topic, wanted: Wanted, form: Form, source: pa.Table) -> tuple[pa.Table, pa.Table]:
        if topic.version not in self._wary:
            try:
                return self._pass(topic, wanted, echo.echo(topic, form, "source", trusting=True), source)
            except duckdb.InvalidInputException:
                self._wary.add(topic.version)
        return self._pass(topic, wanted, echo.echo(topic, form, "source"), source)

    def _pass(self, topic: Topic, wanted: Wanted, reading: str, source: pa.Table) -> tuple[pa.Table, pa.Table]:
        """Rows that the reading vouches for, and what it leaves of the source."""
        judged = self._judge(topic, wanted, reading, source)
        unread = judged.column("_verdict").to_numpy() == _UNREAD
        if not unread.any():
            return judged, source.slice(0, 0)
        return judged.filter(pa.array(~unread)), source.filter(pa.array(unread))

    def _alone(self, topic: Topic, source: pa.Table, payloads: pa.ChunkedArray) -> tuple[pa.Table, dict[int, Letter]]:
        letters: dict[int, Letter] = {}
        found: list[dict[str, object]] = []
        good = np.zeros(source.num_rows, dtype=bool)
        rows = source.column("_row").to_numpy()
        values = payloads.take(pa.array(rows)).to_pylist()
        for place, (row, payload) in enumerate(zip(rows.tolist(), values, strict=True)):
            fields = read(topic, payload)
            if isinstance(fields, Letter):
                letters[row] = fields
            else:
                found.append(fields)
                good[place] = True
        typed = source.filter(pa.array(good))
        for field in self._columns.schema({name: kind.sql for name, kind in topic.types}):
            typed = typed.append_column(field, pa.array([row[field.name] for row in found], field.type))
        return typed, letters

    def _judge(self, topic: Topic, wanted: Wanted, reading: str, source: pa.Table) -> pa.Table:
        """The rows of the reading with their computed columns, digests and verdict, in the order of the source."""
        sql = _judging(self._columns, topic, wanted, reading)
        judged = self._columns.database.select(sql, {"source": source})
        if not np.array_equal(judged.column("_row").to_numpy(), source.column("_row").to_numpy()):
            judged = judged.sort_by("_row")
        return judged


def _sample(source: pa.Table) -> list[str | None]:
    found: list[str | None] = source.column("_text").slice(0, echo.SAMPLE).to_pylist()
    return found


def _source(logged: pa.Table, texts: pa.ChunkedArray) -> pa.Table:
    """What the readings need, in batches that many threads can share; texts: the payloads, as their format has them."""
    arrival = logged.column("arrival")
    whole = pa.table(
        {
            "_row": pa.array(np.arange(logged.num_rows, dtype=np.int32)),
            "_text": texts,
            "arrived_at": arrival.cast(pa.timestamp("us")),
            "partition": logged.column("partition"),
            "offset": logged.column("offset"),
            "slice": logged.column("slice").cast(pa.int64())
            if "slice" in logged.column_names
            else pa.nulls(logged.num_rows, pa.int64()),
        }
    )
    return pa.Table.from_batches(whole.to_batches(max_chunksize=BATCH_ROWS), whole.schema)


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Payloads as text; null where they are not UTF-8."""
    return pa.chunked_array([part for chunk in values.chunks for part in _utf8(chunk)], pa.string())


def _utf8(values: pa.Array) -> list[pa.Array]:
    with suppress(pa.ArrowInvalid):
        return [values.cast(pa.string())]
    if len(values) <= 8:
        return [pa.array([_text(value.as_py()) for value in values], pa.string())]
    half = len(values) // 2
    return _utf8(values.slice(0, half)) + _utf8(values.slice(half))


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _judging(columns: Columns, topic: Topic, wanted: Wanted, reading: str) -> str:
    types = columns.decoded(topic)
    declared = [name for name, _ in topic.types]
    timed = reading
    if "event_time" not in declared:
        timed = f"SELECT *, {quoted(topic.event_time or 'arrived_at')} AS event_time FROM ({reading})"
    cases = [
        f"WHEN NOT coalesce(_ok, false) THEN {_UNREAD}",
        f"WHEN epoch_us(event_time) > epoch_us(arrived_at) + {topic.skew_us} THEN {_LATE}",
    ]
    for i, (_, condition) in enumerate(topic.checks):
        cases.append(f"WHEN NOT coalesce(TRY({condition.text}), false) THEN {_CHECKED + i}")
    sql = f"SELECT *, CASE {' '.join(cases)} ELSE {_GOOD} END::SMALLINT AS _verdict FROM ({timed})"
    names = list(declared)
    for name, item in _sql_computed(topic, wanted):
        sql = f"SELECT *, TRY({item}) AS _{name} FROM ({sql})"
        sql = f"SELECT *, {finite(types[name], f'_{name}')} AS {quoted(name)} FROM ({sql})"
        names.append(name)
    out = ["_row", "_verdict", *(quoted(name) for name in names if name in wanted)]
    if topic.id is None:
        out.append("NULL::UBIGINT AS _content")
    else:
        sql = f"SELECT *, md5_number({quoted(topic.id)}::VARCHAR) AS _digest FROM ({sql})"
        out.append("hash(_text) AS _content")
        out += ["(_digest >> 64)::UBIGINT AS _hi", "(_digest & 18446744073709551615::UHUGEINT)::UBIGINT AS _lo"]
    return f"SELECT {', '.join(out)} FROM ({sql})"


def _wanted(topic: Topic, reads: Collection[str] | None) -> Wanted:
    """The topic's columns that rows must have: those that are read, and what they are computed of."""
    every = [name for name, _ in (*topic.types, *topic.computed)]
    if reads is None:
        return frozenset(every)
    needed = {*reads, *(name for exclusion in topic.exclusions for name in names(exclusion.where))}
    needed.update(name.lower() for name in (topic.event_time, "event_time") if name)
    for name, item in reversed(topic.computed):
        if name.lower() in needed:
            needed.update(column.lower() for column in item.columns)
    return frozenset(name for name in every if name.lower() in needed)


def _sql_computed(topic: Topic, wanted: Wanted) -> list[tuple[str, str]]:
    """The computed columns before the first that calls a row function."""
    out = []
    for name, item in topic.computed:
        if name not in wanted:
            continue
        if item.calls:
            break
        out.append((name, item.body))
    return out


def _rows(topic: Topic, judged: pa.Table, placed: pa.Table) -> pa.Table:
    """Judged rows with the columns that never went through DuckDB."""
    rows = judged.drop_columns(["_row", "_verdict"])
    if "event_time" not in rows.column_names:
        source = rows.column(topic.event_time) if topic.event_time else placed.column("arrived_at")
        rows = rows.append_column("event_time", source)
    for name in _PLACES:
        rows = rows.append_column(name, placed.column(name))
    return rows


def _letters(topic: Topic, judged: pa.Table, verdicts: np.ndarray, source: pa.Table) -> dict[int, Letter]:
    """The letters of rows that were read but judged dead, by row."""
    bad = np.flatnonzero(verdicts)
    if not len(bad):
        return {}
    rows = judged.column("_row").to_numpy()[bad].tolist()
    arrived = source.column("arrived_at").cast(pa.int64())
    times = judged.column(topic.event_time).cast(pa.int64()) if topic.event_time else arrived
    out = {}
    for place, row in zip(bad.tolist(), rows, strict=True):
        if verdicts[place] == _LATE:
            ahead = (times[place].as_py() - arrived[row].as_py()) / 1e6
            allowed = f"at most {duration(topic.skew_us)} is allowed"
            out[row] = Letter("invalid_timestamp", f"{topic.event_time}: {ahead:g} s after its arrival; {allowed}")
        else:
            reason, condition = topic.checks[int(verdicts[place]) - _CHECKED]
            out[row] = Letter(reason, f"not true: {condition.text}")
    return out


def _dead(logged: pa.Table, letters: dict[int, Letter]) -> pa.Table:
    rows = sorted(letters)
    if not rows:
        return DEAD.empty_table()
    taken = logged.select([n for n in DEAD.names if n in logged.column_names]).take(pa.array(rows, pa.int64()))
    if "slice" not in taken.column_names:
        taken = taken.append_column("slice", pa.nulls(len(rows), pa.int64()))
    taken = taken.append_column("reason", pa.array([letters[row].reason for row in rows], pa.string()))
    taken = taken.append_column("detail", pa.array([letters[row].detail for row in rows], pa.string()))
    return taken.select(DEAD.names).cast(DEAD)
