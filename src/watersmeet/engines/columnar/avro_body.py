"""Avro bodies of one writer, walked together: field by field, all records of a block at once.

Each record has a cursor into one buffer. A field moves every cursor and gives one vector of values. Nothing is checked
against the end of a record on the way: cursors only grow, so a record that runs over its end is found at the end, where
its cursor must stand exactly there. Until then it reads what is not its own, and comes to nothing. What is not what its
schema writes loses its record the vouch (`Body.ok`); so does what is rare: more than 64 items, blocks with a size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...core.avro_schema import AvroType

Whole: TypeAlias = NDArray[np.int64]
MAX_ITEMS = 64
PADDING = 32
"""Bytes behind the buffer, more than one read takes."""
_LAST_SHIFT = 63


@dataclass(frozen=True, slots=True)
class Vector:
    """The values of one field, one a record.

    Args:
        type: what they were written as: the one branch of a union that is not null.
        data: numbers; of strings, bytes and fixed where they begin; of an array how many items.
        lengths: of strings, bytes and fixed.
        null: where there is none, if the field is a union; the data there is 0.
        owners, items: of an array: which record each item belongs to, in order, and the items.
    """

    type: AvroType
    data: NDArray[np.generic]
    lengths: Whole | None = None
    null: NDArray[np.bool_] | None = None
    owners: Whole | None = None
    items: Vector | None = None

    def take(self, rows: Whole) -> Vector:
        """The vector of some records, in their order."""
        owners, items = self.owners, self.items
        if owners is not None and items is not None:
            places = np.full(len(self.data), -1, np.int64)
            places[rows] = np.arange(len(rows))
            kept = np.flatnonzero(places[owners] >= 0)
            owners, items = places[owners[kept]], items.take(kept)
        return Vector(
            self.type,
            self.data[rows],
            None if self.lengths is None else self.lengths[rows],
            None if self.null is None else self.null[rows],
            owners,
            items,
        )


class Body:
    """Cursors of a block of records.

    Args:
        buffer: bytes, with `PADDING` behind them.
        at: where each record's cursor stands.
    """

    def __init__(self, buffer: NDArray[np.uint8], at: Whole) -> None:
        self._buffer, self.at = buffer, at
        self._limit = len(buffer) - PADDING + 1
        self.ok = np.ones(len(at), dtype=bool)

    def skip(self, kind: AvroType) -> None:
        """Move over a field that nobody needs; for types that `is_flat`, and arrays and maps of such."""
        match kind.type:
            case "union":
                self._each_branch(kind)
            case "record":
                for item in kind.fields:
                    self.skip(item.type)
            case "array" | "map":
                self._items(kind)
            case "null":
                pass
            case _:
                self.scalar(kind)

    def field(self, kind: AvroType) -> Vector:
        """The values of a field that `is_columnar`."""
        if kind.type == "array":
            return self._array(kind)
        if kind.type != "union":
            return self.scalar(kind)
        branch = self._chosen(len(kind.parts))
        [value] = [part for part in kind.parts if part.type != "null"]
        null = branch != kind.parts.index(value)
        rows = np.flatnonzero(~null)
        if len(rows) == len(null):
            return self.field(value)
        inner = self._of(rows)
        found = inner.field(value)
        self._back(rows, inner)
        return _spread(found, rows, null)

    def scalar(self, kind: AvroType) -> Vector:
        """The values of a type that holds no other."""
        match kind.type:
            case "int" | "long":
                return Vector(kind, self._whole(32 if kind.type == "int" else 64))
            case "boolean":
                found = self._take(1)[:, 0]
                self.ok &= found <= 1
                return Vector(kind, found)
            case "float" | "double":
                wide = kind.type == "double"
                return Vector(kind, self._take(8 if wide else 4).view("<f8" if wide else "<f4")[:, 0])
            case "enum":
                return Vector(kind, self._chosen(len(kind.symbols)))
        lengths = np.full(len(self.at), kind.size) if kind.type == "fixed" else self._whole(64)
        self.ok &= lengths >= 0
        lengths = np.clip(lengths, 0, self._limit)
        begins = self.at
        self.at = np.minimum(begins + lengths, self._limit)
        return Vector(kind, begins, lengths)

    def _take(self, count: int) -> NDArray[np.uint8]:
        found: NDArray[np.uint8] = self._buffer[self.at[:, None] + np.arange(count)]
        self.at = np.minimum(self.at + count, self._limit)
        return found

    def _whole(self, bits: int) -> Whole:
        """Zigzag numbers: seven bits a byte, the lowest first."""
        at, byte = self.at, self._buffer[self.at]
        number = (byte & 0x7F).astype(np.uint64)
        at = at + 1
        more, shift = np.flatnonzero(byte & 0x80), 7
        while len(more):
            byte = self._buffer[at[more]]
            number[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
            at[more] += 1
            if shift == _LAST_SHIFT:
                self.ok[more[byte > 1]] = False
                break
            more, shift = more[byte >= 0x80], shift + 7
        if bits < 64:
            self.ok &= number >> np.uint64(bits) == 0
        self.at = np.minimum(at, self._limit)
        return (number >> np.uint64(1)).astype(np.int64) ^ -(number & np.uint64(1)).astype(np.int64)

    def _chosen(self, of: int) -> Whole:
        found = self._whole(32)
        wrong = (found < 0) | (found >= of)
        if wrong.any():
            self.ok &= ~wrong
            found[wrong] = 0
        return found

    def _each_branch(self, kind: AvroType) -> None:
        branch = self._chosen(len(kind.parts))
        for place, part in enumerate(kind.parts):
            rows = np.flatnonzero(branch == place)
            if len(rows) and part.type != "null":
                inner = self._of(rows)
                inner.skip(part)
                self._back(rows, inner)

    def _array(self, kind: AvroType) -> Vector:
        rounds = self._items(kind)
        owners = np.concatenate([np.empty(0, np.int64), *(rows for rows, _ in rounds)])
        order = np.argsort(owners, kind="stable")
        items = _joined(kind.parts[0], [found for _, found in rounds])
        counts = np.bincount(owners, minlength=len(self.at)).astype(np.int64)
        return Vector(kind, counts, owners=owners[order], items=items.take(order))

    def _items(self, kind: AvroType) -> list[tuple[Whole, Vector]]:
        """The items of an array in rounds of one a record: whose, and what; nothing of a map or of what is skipped."""
        rounds: list[tuple[Whole, Vector]] = []
        rows, blocks = np.arange(len(self.at)), 0
        [item] = kind.parts
        while len(rows):
            inner = self._of(rows)
            counts = inner._whole(64)
            usual = (counts >= 0) & (counts <= MAX_ITEMS) & (blocks < MAX_ITEMS)
            inner.ok &= usual
            self._back(rows, inner)
            rows, counts = rows[usual & (counts > 0)], counts[usual & (counts > 0)]
            for turn in range(int(counts.max(initial=0))):
                these = rows[counts > turn]
                one = self._of(these)
                if kind.type == "map":
                    one.scalar(_KEY)
                if is_scalar(item) and kind.type == "array":
                    rounds.append((these, one.scalar(item)))
                else:
                    one.skip(item)
                self._back(these, one)
            blocks += 1
        return rounds

    def _of(self, rows: Whole) -> Body:
        return Body(self._buffer, self.at[rows])

    def _back(self, rows: Whole, inner: Body) -> None:
        self.at[rows] = inner.at
        self.ok[rows] &= inner.ok


_KEY = AvroType("string")


def is_scalar(kind: AvroType) -> bool:
    """Whether values of a type hold no others."""
    return kind.type not in ("null", "union", "record", "array", "map")


def is_columnar(kind: AvroType) -> bool:
    """Whether `Body.field` reads it: a scalar or an array of scalars, or a union of one such and null."""
    if kind.type == "union":
        inner = [part for part in kind.parts if part.type != "null"]
        return len(inner) == 1 and len(kind.parts) == 2 and inner[0].type != "union" and is_columnar(inner[0])
    return is_scalar(kind) or (kind.type == "array" and is_scalar(kind.parts[0]))


def is_flat(kind: AvroType, depth: int = 0) -> bool:
    """Whether `Body.skip` moves over it: nothing within itself, and no arrays within arrays."""
    if depth > MAX_ITEMS:
        return False
    if kind.type == "record":
        return all(is_flat(item.type, depth + 1) for item in kind.fields)
    if kind.type in ("array", "map"):
        return _is_plain(kind.parts[0], depth + 1)
    return all(is_flat(part, depth + 1) for part in kind.parts)


def _is_plain(kind: AvroType, depth: int) -> bool:
    """Whether there is no array or map in it."""
    if depth > MAX_ITEMS or kind.type in ("array", "map"):
        return False
    inner = [item.type for item in kind.fields] if kind.type == "record" else kind.parts
    return all(_is_plain(part, depth + 1) for part in inner)


def _spread(found: Vector, rows: Whole, null: NDArray[np.bool_]) -> Vector:
    """The vector of all records from that of those which have a value."""

    def wide(given: NDArray[np.generic]) -> NDArray[np.generic]:
        out = np.zeros(len(null), given.dtype)
        out[rows] = given
        return out

    lengths = None if found.lengths is None else wide(found.lengths).astype(np.int64)
    owners = None if found.owners is None else rows[found.owners]
    return Vector(found.type, wide(found.data), lengths, null, owners, found.items)


def _joined(kind: AvroType, parts: list[Vector]) -> Vector:
    if not parts:
        none = np.empty(0, np.int64)
        return Vector(kind, none, None if kind.type in _NUMBERS else none)
    lengths = [part.lengths for part in parts if part.lengths is not None]
    return Vector(kind, np.concatenate([part.data for part in parts]), np.concatenate(lengths) if lengths else None)


_NUMBERS = ("int", "long", "float", "double", "boolean", "enum")
