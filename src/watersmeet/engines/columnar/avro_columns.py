"""Vectors of Avro values to the columns of a topic, all values of a column at once.

Each conversion gives an Arrow array of the column's type and says which values it vouches for; where it does not, what
stands in the array means nothing. The rule is that of `avro_record`; here only the usual part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ...core.avro_schema import AvroType
from ...core.schema import SqlType
from .avro_body import Vector, Whole
from .decode_record import MAX_US, MIN_US

Truth = NDArray[np.bool_]
_DAYS = (-719_162, 2_932_896)
_UNITS_US = {"timestamp_ms": 1_000, "timestamp_s": 1_000_000}
_DECIMAL_BYTES = 16
_LIMB = 1 << 64
_INT64 = 1 << 63
_SLAB_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Column:
    """Values of a column's Arrow type, and for which of them is vouched."""

    values: pa.Array
    good: Truth


def is_convertible(kind: SqlType, written: AvroType) -> bool:
    """Whether `converted` knows what to do; the column takes the type as it is."""
    if kind.name in ("date", "timestamp"):
        return written.type != "string"
    return not (written.type == "fixed" and written.logical == "uuid")


def converted(kind: SqlType, found: Vector, buffer: NDArray[np.uint8], as_type: pa.DataType) -> Column:
    """A column of a topic.

    Args:
        kind: of the column.
        found: what was read for it.
        buffer: the bytes that strings and decimals point into.
        as_type: its Arrow type.
    """
    if found.owners is None or found.items is None:
        return _scalars(kind, found, buffer, as_type)
    inner = _scalars(kind, found.items, buffer, as_type.value_type)
    good = np.ones(len(found.data), dtype=bool)
    good[found.owners[~inner.good]] = False
    offsets = np.zeros(len(found.data) + 1, np.int32)
    np.cumsum(found.data, out=offsets[1:])
    mask = None if found.null is None else pa.array(found.null)
    lists = pa.ListArray.from_arrays(pa.array(offsets), inner.values, type=as_type, mask=mask)
    return Column(lists, good)


def _scalars(kind: SqlType, found: Vector, buffer: NDArray[np.uint8], as_type: pa.DataType) -> Column:
    null = found.null if found.null is not None else np.zeros(len(found.data), dtype=bool)
    if kind.name == "varchar":
        out = _symbols(found, null) if found.type.type == "enum" else _texts(found, null, buffer)
    elif kind.name == "decimal":
        out = _decimals(kind, found, null, buffer)
    elif kind.name == "double":
        numbers = found.data.astype(np.float64) + 0.0
        out = Column(pa.array(numbers, mask=null), np.isfinite(numbers))
    elif kind.name == "boolean":
        out = Column(pa.array(found.data.astype(bool), mask=null), np.ones(len(null), dtype=bool))
    else:
        out = _wholes(kind, found, null)
    values = out.values if out.values.type == as_type else out.values.cast(as_type)
    return Column(values, out.good | null)


def _wholes(kind: SqlType, found: Vector, null: Truth) -> Column:
    numbers = found.data.astype(np.int64)
    if kind.name in ("integer", "bigint"):
        return Column(pa.array(numbers, mask=null), np.ones(len(null), dtype=bool))
    if kind.name == "date":
        good = (numbers >= _DAYS[0]) & (numbers <= _DAYS[1])
        return Column(pa.array(np.where(good, numbers, 0).astype(np.int32), mask=null).cast(pa.date32()), good)
    logical = found.type.logical
    unit = 1_000 if logical.endswith("millis") else 1 if logical else _UNITS_US[kind.name]
    if logical.endswith("nanos"):
        numbers = numbers // 1_000
    good = (numbers >= -(-MIN_US // unit)) & (numbers <= MAX_US // unit)
    return Column(pa.array(np.where(good, numbers, 0) * unit, mask=null).cast(pa.timestamp("us")), good)


def _symbols(found: Vector, null: Truth) -> Column:
    symbols = pa.array(found.type.symbols, pa.string())
    places = pa.array(found.data.astype(np.int32), mask=null)
    return Column(symbols.take(places), np.ones(len(null), dtype=bool))


def _texts(found: Vector, null: Truth, buffer: NDArray[np.uint8]) -> Column:
    """Strings; a value is good if it is UTF-8 without U+0000."""
    assert found.lengths is not None
    lengths = np.where(null, 0, found.lengths)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    data = gathered(buffer, found.data.astype(np.int64), offsets)
    validity = None if not null.any() else pa.array(~null).buffers()[1]
    parts = [validity, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    raw = pa.Array.from_buffers(pa.binary(), len(lengths), parts, int(null.sum()))
    good = np.ones(len(lengths), dtype=bool)
    zeros = np.flatnonzero(data == 0)
    if len(zeros):
        good[np.searchsorted(offsets, zeros, side="right") - 1] = False
    try:
        return Column(raw.cast(pa.string()), good)
    except pa.ArrowInvalid:
        good &= np.array([_is_text(item) for item in raw.to_pylist()])
        return Column(pc.if_else(pa.array(good), raw, pa.scalar(b"")).cast(pa.string()), good)


def gathered(buffer: NDArray[np.uint8], begins: Whole, offsets: Whole, slab: int = _SLAB_BYTES) -> NDArray[np.uint8]:
    """Pieces of the buffer one behind the other.

    Args:
        buffer: the bytes.
        begins: of each piece in the buffer.
        offsets: of each piece in the result, and its length.
        slab: about so many bytes at a time, since the place of each is a number of eight bytes.
    """
    data = np.empty(offsets[-1], np.uint8)
    inner = np.searchsorted(offsets, np.arange(slab, offsets[-1], slab))
    for low, high in pairwise(np.unique([0, *inner, len(begins)]).tolist()):
        shifts = np.repeat(begins[low:high] - offsets[low:high], np.diff(offsets[low : high + 1]))
        data[offsets[low] : offsets[high]] = buffer[shifts + np.arange(offsets[low], offsets[high])]
    return data


def _is_text(value: bytes | None) -> bool:
    try:
        return value is None or value.decode() is not None
    except UnicodeDecodeError:
        return False


def _decimals(kind: SqlType, found: Vector, null: Truth, buffer: NDArray[np.uint8]) -> Column:
    """Decimals of two limbs where the scale stays, of one where it changes."""
    if found.lengths is None:
        low = found.data.astype(np.int64)
        high, good = low >> 63, np.ones(len(low), dtype=bool)
    else:
        low, high, good = _limbs(found.data.astype(np.int64), found.lengths, buffer)
    shift = kind.scale - found.type.scale
    if shift == 0:
        good &= _below(low, high, 10**kind.precision)
    else:
        good &= high == low >> 63
        low, fits = _rescaled(low, shift, kind.precision)
        good &= fits
        high = low >> 63
    limbs = np.where((good & ~null)[:, None], np.stack([low, high], axis=1), 0)
    validity = None if not null.any() else pa.array(~null).buffers()[1]
    type_ = pa.decimal128(kind.precision, kind.scale)
    return Column(pa.Array.from_buffers(type_, len(low), [validity, pa.py_buffer(limbs)], int(null.sum())), good)


def _limbs(begins: Whole, lengths: Whole, buffer: NDArray[np.uint8]) -> tuple[Whole, Whole, Truth]:
    """The low and the high 64 bits of big-endian numbers of at most 16 bytes."""
    good = (lengths > 0) & (lengths <= _DECIMAL_BYTES)
    lengths = np.where(good, lengths, 1)
    places = np.arange(-_DECIMAL_BYTES, 0) + lengths[:, None]
    digits = buffer[begins[:, None] + np.maximum(places, 0)]
    negative = (buffer[begins] & 0x80 != 0)[:, None]
    digits = np.where(places < 0, np.where(negative, np.uint8(0xFF), np.uint8(0)), digits).astype(np.uint8)
    limbs = np.ascontiguousarray(digits).view(">i8").astype(np.int64)
    return limbs[:, 1].copy(), limbs[:, 0].copy(), good


def _below(low: Whole, high: Whole, limit: int) -> Truth:
    """Whether -limit < number < limit."""
    unsigned = low.view(np.uint64)

    def less(bound: int) -> Truth:
        top, bottom = bound >> 64, np.uint64(bound % _LIMB)
        smaller: Truth = (high < top) | ((high == top) & (unsigned < bottom))
        return smaller

    return less(limit) & ~less(1 - limit)


def _rescaled(low: Whole, shift: int, precision: int) -> tuple[Whole, Truth]:
    """Numbers of another scale, and where they are exact and of at most ``precision`` digits."""
    if shift > 0:
        factor = 10**shift
        limit = min(10**precision, _INT64) // factor
        good = (low > -limit) & (low < limit)
        return np.where(good, low, 0) * min(factor, _INT64 - 1), good
    if 10**-shift >= _INT64:
        return np.zeros_like(low), low == 0
    divisor, limit = 10**-shift, min(10**precision, _INT64 - 1)
    whole = low // divisor
    return whole, (whole * divisor == low) & (whole > -limit) & (whole < limit)
