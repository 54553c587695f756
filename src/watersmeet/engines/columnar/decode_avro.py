"""Framed Avro payloads to typed columns, a block for each writer's schema.

The registry is asked once for each id of a chunk. Only its answer that there is no such schema makes dead letters; that
it cannot be reached comes out as `UnavailableError`, before anything of the chunk is decided. A block is read by
columns (`avro_body`, `avro_columns`) where its schema allows; a row for which that does not vouch is read alone
(`avro_record`). What comes out is the same whichever way a row took.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...core.avro_resolution import Reading, reading
from ...core.errors import RequestError, SettingsError
from ...core.schemas import HEADER_BYTES, MAGIC, Schemas
from ...core.topic import Topic
from .avro_body import PADDING, Body, Vector, Whole, is_columnar, is_flat
from .avro_columns import Truth, converted, is_convertible
from .avro_record import header, read_avro
from .decode_record import Letter, letter

_Found = tuple[pa.Table, dict[int, Letter]]


class AvroReader:
    """Reads the Avro of all topics; used by many threads.

    Args:
        schemas: where writers' schemas are; None: a chunk of a topic in Avro raises `SettingsError`.
    """

    def __init__(self, schemas: Schemas | None) -> None:
        self._schemas = schemas
        self._readings: dict[tuple[str, int], Reading | Letter] = {}

    def read(self, topic: Topic, source: pa.Table, payloads: pa.ChunkedArray, types: pa.Schema) -> _Found:
        """The rows that are read, with the topic's columns, in order; and the letters of the others, by row.

        Args:
            topic: as what to read.
            source: ``_row`` (place among the payloads) and whatever is to be handed on.
            payloads: one a row of the source.
            types: of the topic's columns.
        """
        letters: dict[int, Letter] = {}
        parts: list[pa.Table] = []
        bytes_ = _Bytes.of(payloads)
        for id_, rows in bytes_.blocks().items():
            if id_ is None:
                letters.update((row, _no_header(payloads[row].as_py())) for row in rows.tolist())
                continue
            how = self._reading(topic, id_)
            if isinstance(how, Letter):
                letters.update((row, how) for row in rows.tolist())
                continue
            part, left = _by_columns(topic, how, bytes_, rows, types)
            parts.append(part)
            if len(left):
                part, dead = _alone(topic, how, left, payloads, types)
                parts.append(part)
                letters.update(dead)
        found = pa.concat_tables(parts) if parts else types.insert(0, _ROW).empty_table()
        if len(parts) > 1:
            found = found.take(pa.array(np.argsort(found.column("_row").to_numpy())))
        rows_ = found.column("_row")
        out = source if len(rows_) == source.num_rows else source.take(rows_)
        for name in types.names:
            out = out.append_column(types.field(name), found.column(name))
        return out, letters

    def _reading(self, topic: Topic, id_: int) -> Reading | Letter:
        """How the topic reads what a schema wrote. That there is no such schema is not remembered: it may yet come."""
        key = (topic.version, id_)
        if key not in self._readings:
            if self._schemas is None:
                raise SettingsError(
                    f"topic {topic.name}",
                    expected="a schema registry, since its format is Avro",
                    got="none",
                    remedy="set stores.schemas, for example to registry://localhost:8081",
                )
            try:
                text = self._schemas.get(id_)
            except RequestError as error:
                if error.kind != "unknown":
                    raise
                return letter("unknown_schema", f"id {id_}: {error}")
            try:
                self._readings[key] = reading(topic, text)
            except RequestError as error:
                self._readings[key] = letter("incompatible_schema", f"id {id_}: {error.got}")
        return self._readings[key]


_ROW = pa.field("_row", pa.int32())


@dataclass(frozen=True, slots=True)
class _Bytes:
    """Payloads as one buffer, `PADDING` behind them; where each begins, and where it ends."""

    buffer: NDArray[np.uint8]
    begins: Whole
    ends: Whole
    null: Truth

    @classmethod
    def of(cls, payloads: pa.ChunkedArray) -> _Bytes:
        values = pa.concat_arrays([chunk.cast(pa.large_binary()) for chunk in payloads.chunks])
        _, offsets_, data = values.buffers()
        offsets = np.frombuffer(offsets_, np.int64)[values.offset : values.offset + len(values) + 1]
        used = np.frombuffer(data, np.uint8)[offsets[0] : offsets[-1]] if data else np.empty(0, np.uint8)
        buffer = np.concatenate([used, np.zeros(PADDING, np.uint8)])
        offsets = offsets - offsets[0]
        return cls(buffer, offsets[:-1], offsets[1:], values.is_null().to_numpy(zero_copy_only=False))

    def blocks(self) -> Mapping[int | None, Whole]:
        """Id of the writer's schema -> rows, in order; None for those without a header."""
        there = (self.ends - self.begins >= HEADER_BYTES) & ~self.null & (self.buffer[self.begins] == MAGIC)
        rows = np.flatnonzero(there)
        found: dict[int | None, Whole] = {}
        if len(rows) < len(there):
            found[None] = np.flatnonzero(~there)
        digits = self.buffer[self.begins[rows][:, None] + np.arange(1, HEADER_BYTES)]
        ids = np.ascontiguousarray(digits).view(">u4")[:, 0].astype(np.int64)
        for id_ in np.unique(ids).tolist():
            found[id_] = rows[ids == id_]
        return found


def _no_header(payload: bytes | None) -> Letter:
    found = header(payload)
    assert isinstance(found, Letter)
    return found


def _by_columns(topic: Topic, how: Reading, bytes_: _Bytes, rows: Whole, types: pa.Schema) -> tuple[pa.Table, Whole]:
    """The rows for which is vouched, with the topic's columns, and those that are left."""
    kinds = dict(topic.types)
    declared = {place: column for column, place in how.columns.items()}
    usable = not (topic.extra == "reject" and how.unexpected)
    for place, item in enumerate(how.writer.fields):
        column = declared.get(place)
        if column is None:
            usable &= is_flat(item.type)
        else:
            inner = [t for t in item.type.branches if t.type != "null"]
            scalars = [t.parts[0] if t.type == "array" else t for t in inner]
            usable &= is_columnar(item.type) and all(is_convertible(kinds[column], t) for t in scalars)
    if not usable:
        return types.insert(0, _ROW).empty_table(), rows
    body = Body(bytes_.buffer, bytes_.begins[rows] + HEADER_BYTES)
    vectors: dict[str, Vector] = {}
    for place, item in enumerate(how.writer.fields):
        if place in declared:
            vectors[declared[place]] = body.field(item.type)
        else:
            body.skip(item.type)
    good = body.ok & (body.at == bytes_.ends[rows])
    for column, vector in vectors.items():
        if vector.null is not None and kinds[column].required:
            good &= ~vector.null
    kept = np.flatnonzero(good)
    values, vouched = [], np.ones(len(kept), dtype=bool)
    for name, kind in topic.types:
        as_type = types.field(name).type
        if name not in vectors:
            values.append(pa.nulls(len(kept), as_type))
            continue
        vector = vectors[name] if len(kept) == len(rows) else vectors[name].take(kept)
        column_ = converted(kind, vector, bytes_.buffer, as_type)
        values.append(column_.values)
        vouched &= column_.good
    table = pa.Table.from_arrays([pa.array(rows[kept].astype(np.int32)), *values], schema=types.insert(0, _ROW))
    if not vouched.all():
        table = table.filter(pa.array(vouched))
        good[kept[~vouched]] = False
    return table, rows[~good]


def _alone(topic: Topic, how: Reading, rows: Whole, payloads: pa.ChunkedArray, types: pa.Schema) -> _Found:
    letters: dict[int, Letter] = {}
    found: list[dict[str, object]] = []
    places = []
    for row, payload in zip(rows.tolist(), payloads.take(pa.array(rows)).to_pylist(), strict=True):
        fields = read_avro(topic, how, payload)
        if isinstance(fields, Letter):
            letters[row] = fields
        else:
            found.append(fields)
            places.append(row)
    columns = [pa.array([row[field.name] for row in found], field.type) for field in types]
    return pa.Table.from_arrays([pa.array(places, pa.int32()), *columns], schema=types.insert(0, _ROW)), letters
