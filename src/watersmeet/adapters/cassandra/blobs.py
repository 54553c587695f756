"""Blobs: written once under (topic, kind, owner, attempt), read by (topic, kind, owner), deleted, and never changed.

A blob exists once a manifest lists it; what is written before that is nobody's. Two attempts may leave a blob of one
owner behind, when the first was interrupted: both say the same, or the second is refused, so that a reader may take
either that is whole.

Up to `PART_BYTES` a blob is one row. Longer ones are cut into rows of that size, `SECTION` of them a partition.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from watersmeet.core.errors import ConflictError, CorruptError, RequestError
from watersmeet.core.record import Records
from watersmeet.core.state import Blob
from watersmeet.formats.chunk import pack, unpack
from watersmeet.formats.manifest_rows import check, checksum, corrupt

from .session import Request, Row, Session

PART_BYTES = 512 << 10
SECTION = 16
LARGEST_BLOB_BYTES = 999_000_000
_SHORT, _LASTING = "slices", "runs"
_HEAVY = 8
_PLACE = "app = ? and topic = ? and kind = ? and owner = ?"
_NAMES = "app, topic, kind, owner, attempt"


def _for_both(statement: str) -> dict[str, str]:
    return {table: statement.format(table=table, place=_PLACE, names=_NAMES) for table in (_SHORT, _LASTING)}


_INSERT = _for_both("insert into {table} ({names}, parts, crc, data) values (?, ?, ?, ?, ?, ?, ?, ?) using ttl ?")
_INSERT_PART = _for_both(
    "insert into {table}_parts ({names}, section, part, data) values (?, ?, ?, ?, ?, ?, ?, ?) using ttl ?"
)
_SELECT = _for_both("select attempt, parts, crc, data from {table} where {place}")
_SELECT_PARTS = _for_both("select data from {table}_parts where {place} and attempt = ? and section = ?")
_CHECKSUMS = _for_both("select crc from {table} where {place}")
_ATTEMPTS = _for_both("select attempt, parts from {table} where {place}")
_DELETE = _for_both("delete from {table} where {place} and attempt = ?")
_DELETE_PARTS = _for_both("delete from {table}_parts where {place} and attempt = ? and section = ?")
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Packed:
    """A blob as bytes, with their checksum."""

    kind: str
    owner: str
    data: bytes
    crc: int

    @property
    def address(self) -> tuple[str, str]:
        """Kind and owner."""
        return self.kind, self.owner


def packed(topic: str, blob: Blob) -> Packed:
    """Write a blob's records as bytes; too many are a `RequestError`."""
    data = pack(blob.records)
    if len(data) > LARGEST_BLOB_BYTES:
        subject, expected = f"blob {blob.kind} of {blob.owner}, topic {topic}", f"at most {LARGEST_BLOB_BYTES} bytes"
        raise RequestError(subject, kind="too_large", expected=expected, got=str(len(data)))
    return Packed(blob.kind, blob.owner, data, checksum(data, topic, blob.kind, blob.owner))


class Blobs:
    """Blobs of every topic. Safe to share between threads.

    Args:
        session: the connection.
        app: whose.
    """

    def __init__(self, session: Session, app: str) -> None:
        self._session, self._app = session, app
        self._ttl = session.options.slice_ttl_days * _DAY_SECONDS

    def write(self, topic: str, blobs: Sequence[Packed], attempt: str, lasting: Collection[tuple[str, str]]) -> None:
        """Write blobs of an attempt, those in ``lasting`` to where nothing expires.

        Raises:
            ConflictError: another attempt has stored something else under a kind and owner.
        """
        light: list[Request] = []
        heavy: list[Request] = []
        look: list[Request] = []
        for blob in blobs:
            table, ttl = (_LASTING, 0) if blob.address in lasting else (_SHORT, self._ttl)
            place = (self._app, topic, blob.kind, blob.owner)
            parts = _cut(blob.data)
            inline = parts[0] if len(parts) == 1 else b""
            light.append((_INSERT[table], (*place, attempt, len(parts), blob.crc, inline, ttl)))
            look.append((_CHECKSUMS[table], place))
            if len(parts) > 1:
                numbered = enumerate(parts)
                heavy += [(_INSERT_PART[table], (*place, attempt, n // SECTION, n, d, ttl)) for n, d in numbered]
        self._session.write_all(heavy, _HEAVY)
        self._session.write_all(light)
        for blob, rows in zip(blobs, self._session.read_all(look), strict=True):
            if any(crc != blob.crc for (crc,) in rows):
                expected = "blobs of owners that have none of that kind yet"
                raise ConflictError(f"change of topic {topic}", expected=expected, got=f"{blob.kind} of {blob.owner}")

    def load(self, topic: str, kind: str, owners: Sequence[str], lasting: Collection[str]) -> Mapping[str, Records]:
        """Blobs by owner, checked; those of owners in ``lasting`` are looked for first where nothing expires."""
        found: dict[str, Records] = {}
        left = list(dict.fromkeys(owners))
        for first in (True, False):
            where = [_LASTING if (o in lasting) == first else _SHORT for o in left]
            requests = [(_SELECT[t], (self._app, topic, kind, o)) for t, o in zip(where, left, strict=True)]
            for table, owner, rows in zip(where, left, self._session.read_all(requests), strict=True):
                if rows:
                    found[owner] = unpack(self._whole(table, topic, kind, owner, rows))
            left = [owner for owner in left if owner not in found]
            if not left:
                break
        for owner in left:
            raise corrupt(f"blob {kind} of {owner}, topic {topic}", "a stored blob", "none")
        return {owner: found[owner] for owner in owners}

    def delete(self, topic: str, addresses: Iterable[tuple[str, str]], attempt: str | None = None) -> int:
        """Delete blobs, of all attempts or of one; how many there were."""
        wanted = [(table, (self._app, topic, *address)) for address in addresses for table in (_SHORT, _LASTING)]
        found = self._session.read_all([(_ATTEMPTS[table], place) for table, place in wanted])
        parts: list[Request] = []
        rows: list[Request] = []
        gone: set[tuple[str, ...]] = set()
        for (table, place), attempts in zip(wanted, found, strict=True):
            mine = {one: count for one, count in attempts if attempt in (None, one)}
            if mine:
                gone.add(place)
            if attempt is not None:
                mine.setdefault(attempt, 1)  # a write that is still on its way must come to nothing
            for one, count in mine.items():
                sections = range((count - 1) // SECTION + 1) if count > 1 else ()
                parts += [(_DELETE_PARTS[table], (*place, one, section)) for section in sections]
                rows.append((_DELETE[table], (*place, one)))
        self._session.write_all(parts)
        self._session.write_all(rows)
        return len(gone)

    def _whole(self, table: str, topic: str, kind: str, owner: str, rows: list[Row]) -> bytes:
        subject = f"blob {kind} of {owner}, topic {topic}"
        if len({crc for _, _, crc, _ in rows}) > 1:
            raise corrupt(subject, "one content", "several")
        for attempt, parts, crc, data in rows:
            try:
                if parts > 1:
                    data = self._parts(table, (self._app, topic, kind, owner, attempt), parts)
                return check(subject, data, crc, topic, kind, owner)
            except CorruptError:
                if attempt == rows[-1][0]:
                    raise
        raise corrupt(subject, "a stored blob", "none")

    def _parts(self, table: str, place: tuple[str, ...], parts: int) -> bytes:
        requests = [(_SELECT_PARTS[table], (*place, section)) for section in range((parts - 1) // SECTION + 1)]
        sections = self._session.read_all(requests, 2)
        return b"".join(data for rows in sections for (data,) in rows)


def _cut(data: bytes) -> list[bytes]:
    return [data[begin : begin + PART_BYTES] for begin in range(0, max(len(data), 1), PART_BYTES)]
