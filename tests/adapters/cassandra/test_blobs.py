from __future__ import annotations

import pyarrow as pa
import pytest

from watersmeet.adapters.cassandra import blobs
from watersmeet.adapters.cassandra.blobs import Blobs, packed
from watersmeet.adapters.cassandra.session import Session
from watersmeet.core.errors import ConflictError, CorruptError, RequestError
from watersmeet.core.state import Blob

from ...conformance.changes import TOPIC, chunk
from .conftest import Open

pytestmark = pytest.mark.integration
ADDRESS = ("ids", "a")
ROWS = "select attempt, ttl(data) from {table} where app = ? and topic = ? and kind = ? and owner = ?"


@pytest.fixture
def stored(open_state: Open, session: Session, app: str) -> Blobs:
    open_state()
    return Blobs(session, app)


def _rows(session: Session, app: str, table: str) -> list[object]:
    return list(session.read(ROWS.format(table=table), (app, TOPIC, *ADDRESS)))


def test_long_blobs_are_cut_into_rows_and_partitions(stored: Blobs, session: Session, app: str) -> None:
    long = pa.table({"n": pa.array(range(2_000_000), pa.int64()), "m": pa.array([i * i for i in range(2_000_000)])})
    one = packed(TOPIC, Blob("ids", "a", long))
    assert len(one.data) > blobs.PART_BYTES * blobs.SECTION
    stored.write(TOPIC, [one], "x", set())
    assert pa.table(stored.load(TOPIC, "ids", ["a"], frozenset())["a"]).equals(long)
    parts = "select part from slices_parts where app = ? and topic = ? and kind = 'ids' and owner = 'a'"
    sections = [session.read(f"{parts} and attempt = 'x' and section = ?", (app, TOPIC, n)) for n in range(3)]
    assert len(sections[0]) == blobs.SECTION
    assert 0 < len(sections[1]) <= blobs.SECTION
    assert sections[2] == []
    assert stored.delete(TOPIC, [ADDRESS]) == 1
    assert session.read(f"{parts} and attempt = 'x' and section = 0", (app, TOPIC)) == []
    assert stored.delete(TOPIC, [ADDRESS]) == 0


def test_what_the_batch_layer_stores_never_expires(stored: Blobs, session: Session, app: str) -> None:
    one = packed(TOPIC, Blob("ids", "a", chunk(1)))
    stored.write(TOPIC, [one], "x", {ADDRESS})
    assert _rows(session, app, "runs") == [("x", None)]
    assert _rows(session, app, "slices") == []
    for lasting in (frozenset[str](), frozenset(["a"])):
        assert pa.table(stored.load(TOPIC, "ids", ["a"], lasting)["a"]).equals(chunk(1))


def test_what_the_speed_layer_stores_expires_in_the_end(stored: Blobs, session: Session, app: str) -> None:
    stored.write(TOPIC, [packed(TOPIC, Blob("ids", "a", chunk(1)))], "x", set())
    ((attempt, seconds),) = session.read(ROWS.format(table="slices"), (app, TOPIC, *ADDRESS))
    assert attempt == "x"
    assert 29 * 86_400 < seconds <= 30 * 86_400


def test_two_attempts_at_one_owner_say_the_same_or_the_second_is_refused(stored: Blobs) -> None:
    stored.write(TOPIC, [packed(TOPIC, Blob("ids", "a", chunk(1)))], "x", set())
    stored.write(TOPIC, [packed(TOPIC, Blob("ids", "a", chunk(1)))], "y", set())
    assert stored.delete(TOPIC, [ADDRESS], "x") == 1
    assert pa.table(stored.load(TOPIC, "ids", ["a"], frozenset())["a"]).equals(chunk(1))
    with pytest.raises(ConflictError, match="ids of a"):
        stored.write(TOPIC, [packed(TOPIC, Blob("ids", "a", chunk(2)))], "z", set())


@pytest.mark.parametrize("damage", ["data = 0x00", "crc = 1", "parts = 2"])
def test_damage_is_refused(stored: Blobs, session: Session, app: str, damage: str) -> None:
    stored.write(TOPIC, [packed(TOPIC, Blob("ids", "a", chunk(1)))], "x", set())
    place = "app = ? and topic = ? and kind = ? and owner = ? and attempt = 'x'"
    session.write(f"update slices set {damage} where {place}", (app, TOPIC, *ADDRESS))  # of this test
    with pytest.raises(CorruptError, match="ids of a"):
        stored.load(TOPIC, "ids", ["a"], frozenset())


def test_a_half_of_an_attempt_does_not_hide_a_whole_one(stored: Blobs, session: Session, app: str) -> None:
    one = packed(TOPIC, Blob("ids", "a", chunk(1)))
    stored.write(TOPIC, [one], "y", set())
    row = (app, TOPIC, *ADDRESS, "x", 2, one.crc)
    columns = "app, topic, kind, owner, attempt, parts, crc, data"
    session.write(f"insert into slices ({columns}) values (?, ?, ?, ?, ?, ?, ?, 0x)", row)  # of this test
    assert pa.table(stored.load(TOPIC, "ids", ["a"], frozenset())["a"]).equals(chunk(1))


def test_a_blob_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blobs, "LARGEST_BLOB_BYTES", 10)
    with pytest.raises(RequestError) as caught:
        packed(TOPIC, Blob("ids", "a", chunk(1)))
    assert caught.value.kind == "too_large"
