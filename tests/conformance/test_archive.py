"""What every `Archive` must do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watersmeet.core.archive import Archive, Sealed
from watersmeet.core.errors import ConflictError, RequestError, WatersmeetError
from watersmeet.core.frontier import Frontier
from watersmeet.core.record import Records

from .implementations import ARCHIVES, connect
from .records import SCHEMA, Place, contents, in_order, logged, positions, sealed

pytestmark = pytest.mark.integration
TOPIC = "movie.ratings"
Open = Callable[[], Archive]
EPOCH = sealed(0, (0, 10), (2, 10), (2, 13), (5, 14))
"""partition 0   0 1 | | 2 3 4         partition 1   | 10 11 12 | 13         slices 0, 1 and 2"""
TOPICS = (f"t{number}" for number in count())
PLACES = [(0, 0), (0, 1), (1, 10), (1, 11), (1, 12), (0, 2), (0, 3), (0, 4), (1, 13)]


@pytest.fixture(params=ARCHIVES)
def open_archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens further handles on one archive."""
    connect(request, request.param)
    with ExitStack() as stack:
        yield lambda: stack.enter_context(ARCHIVES[request.param](tmp_path))


@pytest.fixture
def archive(open_archive: Open) -> Archive:
    return open_archive()


def test_an_epoch_reads_back_record_by_record(archive: Archive) -> None:
    chunks = [logged(PLACES[:4]), logged([]), logged(PLACES[4:])]
    stored = archive.append(TOPIC, EPOCH, chunks)
    assert replace(stored, bytes=0) == replace(EPOCH, records=len(PLACES))
    assert stored.bytes > 0
    back = [pa.table(chunk) for chunk in archive.read(TOPIC, 0, 1000)]
    assert contents(back) == contents(chunks)
    assert all(chunk.schema.equals(SCHEMA.append(pa.field("slice", pa.int64()))) for chunk in back)
    assert positions(back) == in_order(EPOCH, PLACES)


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_chunks_are_about_as_large_as_asked_and_in_the_order_of_decisions(archive: Archive, limit: int) -> None:
    archive.append(TOPIC, EPOCH, [logged(PLACES)])
    chunks = [pa.table(chunk) for chunk in archive.read(TOPIC, 0, limit)]
    assert positions(chunks) == in_order(EPOCH, PLACES)
    assert all(0 < chunk.num_rows <= limit for chunk in chunks)


def test_partitions_may_come_interleaved(archive: Archive) -> None:
    epoch = sealed(3, (0, 0, 0), (400, 400, 400), (1000, 1000, 1000))
    places = [(p, o) for o in range(1000) for p in (2, 0, 1)]
    archive.append(TOPIC, epoch, [logged(places[begin : begin + 700]) for begin in range(0, 3000, 700)])
    assert positions(archive.read(TOPIC, 3, 256)) == in_order(epoch, places)
    assert contents(list(archive.read(TOPIC, 3, 256))) == contents([logged(places)])


def test_offsets_may_have_holes(archive: Archive) -> None:
    epoch = sealed(0, (0,), (100,), (200,), (10**12,))
    places = [(0, o) for o in (3, 99, 150, 10**12 - 1)]
    assert archive.append(TOPIC, epoch, [logged(places)]).records == 4
    assert positions(archive.read(TOPIC, 0, 10)) == [(0, 0, 3), (0, 0, 99), (1, 0, 150), (2, 0, 10**12 - 1)]
    assert archive.verify(TOPIC, 0).records == 4


def test_an_epoch_may_have_no_record(archive: Archive) -> None:
    empty = sealed(0, (5, 5), (5, 5), (5, 9))
    assert archive.append(TOPIC, empty, []).records == 0
    assert list(archive.read(TOPIC, 0, 10)) == []
    assert archive.verify(TOPIC, 0) == archive.epochs(TOPIC)[0]


def test_any_arrow_stream_is_a_chunk(archive: Archive) -> None:
    """Columns in another order, one more of them, and wider types of the same values."""
    table = logged(PLACES)
    odd = table.select(list(reversed(table.column_names))).append_column("more", pa.array([1] * len(PLACES)))
    odd = odd.set_column(odd.column_names.index("value"), "value", odd["value"].cast(pa.large_binary()))
    archive.append(TOPIC, EPOCH, [pa.RecordBatchReader.from_batches(odd.schema, odd.to_batches(max_chunksize=2))])
    assert contents(list(archive.read(TOPIC, 0, 10))) == contents([table])


def test_appending_again_changes_nothing(open_archive: Open) -> None:
    one, other = open_archive(), open_archive()
    stored = one.append(TOPIC, EPOCH, [logged(PLACES)])

    def never() -> Iterator[Records]:
        yield logged([(0, 0)])

    assert one.append(TOPIC, EPOCH, never()) == other.append(TOPIC, EPOCH, never()) == stored
    assert positions(other.read(TOPIC, 0, 10)) == in_order(EPOCH, PLACES)


@pytest.mark.parametrize(
    "wrong",
    [
        sealed(0, (0, 10), (2, 10), (5, 14)),
        sealed(0, (1, 10), (2, 10), (2, 13), (5, 14)),
        replace(EPOCH, slices=tuple((sequence + 1, upper) for sequence, upper in EPOCH.slices)),
    ],
)
def test_an_epoch_that_is_there_has_its_bounds_for_ever(archive: Archive, wrong: Sealed) -> None:
    archive.append(TOPIC, EPOCH, [logged(PLACES)])
    with pytest.raises(ConflictError):
        archive.append(TOPIC, wrong, [logged(PLACES)])
    assert positions(archive.read(TOPIC, 0, 10)) == in_order(EPOCH, PLACES)


@pytest.mark.parametrize(
    "places",
    [
        [(0, 0), (0, 0)],
        [(0, 1), (0, 0)],
        [(0, 0), (0, 5)],
        [(1, 9)],
        [(1, 14)],
        [(2, 0)],
        [(-1, 0)],
    ],
    ids=["twice", "backwards", "above", "below", "at the upper bound", "unknown partition", "no partition"],
)
@pytest.mark.parametrize("split", [False, True])
def test_a_record_out_of_place_refuses_the_whole_epoch(archive: Archive, places: list[Place], split: bool) -> None:
    chunks = [logged([place]) for place in places] if split else [logged(places)]
    with pytest.raises(RequestError):
        archive.append(TOPIC, EPOCH, chunks)
    assert list(archive.epochs(TOPIC)) == []
    archive.append(TOPIC, EPOCH, [logged(PLACES)])
    assert positions(archive.read(TOPIC, 0, 10)) == in_order(EPOCH, PLACES)


@pytest.mark.parametrize(
    "epoch",
    [
        replace(EPOCH, slices=()),
        replace(EPOCH, slices=EPOCH.slices[:-1]),
        replace(EPOCH, slices=EPOCH.slices[::-1]),
        replace(EPOCH, slices=((0, (2, 10)), (0, (5, 14)))),
        sealed(0, (0, 10), (5,)),
        sealed(-1, (0, 10), (5, 14)),
    ],
    ids=["none", "short", "backwards", "one number twice", "another width", "no number"],
)
def test_slices_must_lead_from_bound_to_bound(archive: Archive, epoch: Sealed) -> None:
    with pytest.raises(RequestError):
        archive.append(TOPIC, epoch, [])
    assert list(archive.epochs(TOPIC)) == []


@pytest.mark.parametrize("name", ["partition", "offset", "arrival", "headers"])
def test_a_chunk_that_is_not_logged_is_refused(archive: Archive, name: str) -> None:
    table = logged(PLACES)
    at = table.column_names.index(name)
    odd = [pa.array([{"a": 1}] * len(PLACES))]
    if name != "headers":
        odd.append(pa.nulls(len(PLACES), pa.int64()))
    for wrong in (table.drop([name]), *(table.set_column(at, name, column) for column in odd)):
        with pytest.raises(RequestError):
            archive.append(TOPIC, EPOCH, [wrong])
    assert list(archive.epochs(TOPIC)) == []


def test_an_append_that_fails_midway_leaves_nothing(archive: Archive) -> None:
    def breaks() -> Iterator[Records]:
        yield logged(PLACES[:3])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive.append(TOPIC, EPOCH, breaks())
    assert list(archive.epochs(TOPIC)) == []
    archive.append(TOPIC, EPOCH, [logged(PLACES)])
    assert archive.verify(TOPIC, 0).records == len(PLACES)


def test_epochs_are_listed_by_number_and_topic(open_archive: Open) -> None:
    archive, other = open_archive(), open_archive()
    assert list(other.epochs(TOPIC)) == []
    stored = {n: archive.append(TOPIC, sealed(n, (n,), (n + 1,)), [logged([(0, n)])]) for n in (11, 2, 10**9, 0)}
    archive.append("another", sealed(1, (0,), (1,)), [])
    assert list(other.epochs(TOPIC)) == [stored[n] for n in sorted(stored)]
    assert [e.number for e in open_archive().epochs("another")] == [1]
    assert list(archive.epochs("nothing")) == []
    assert positions(other.read(TOPIC, 10**9, 1)) == [(10**10, 0, 10**9)]


@pytest.mark.parametrize("topic", ["a", "A", "..", "a/b", "../a", "é", "a" * 300, " "])
def test_any_topic_is_a_place_of_its_own(archive: Archive, topic: str) -> None:
    archive.append("b", sealed(7, (0,), (1,)), [])
    archive.append(topic, sealed(1, (0,), (1,)), [logged([(0, 0)])])
    assert positions(archive.read(topic, 1, 10)) == [(10, 0, 0)]
    assert [e.number for e in archive.epochs("b")] == [7]


def test_what_is_not_there_is_named(archive: Archive) -> None:
    archive.append(TOPIC, EPOCH, [])
    for ask in (lambda: list(archive.read(TOPIC, 1, 10)), lambda: archive.verify(TOPIC, 1)):
        with pytest.raises(RequestError) as caught:
            ask()
        assert caught.value.kind == "unknown"
    with pytest.raises(WatersmeetError):
        archive.verify("nothing", 0)


def test_an_epoch_may_be_read_by_several_at_once(archive: Archive) -> None:
    archive.append(TOPIC, EPOCH, [logged(PLACES)])
    one, two = archive.read(TOPIC, 0, 2), archive.read(TOPIC, 0, 3)
    first = pa.table(next(iter(one)))
    assert positions(two) == in_order(EPOCH, PLACES)
    assert positions([first, *one]) == in_order(EPOCH, PLACES)


@st.composite
def epochs(draw: st.DrawFn) -> tuple[Sealed, list[list[Place]], int]:
    """An epoch of any slices and holes, its records in chunks that keep each partition's order, and a limit."""
    width = draw(st.integers(1, 3))
    lower: Frontier = tuple(draw(st.integers(0, 3)) for _ in range(width))
    uppers: list[Frontier] = []
    for _ in range(draw(st.integers(1, 6))):
        uppers.append(tuple(low + draw(st.integers(0, 9)) for low in (uppers[-1] if uppers else lower)))
    records = [(p, o) for p in range(width) for o in range(lower[p], uppers[-1][p]) if draw(st.integers(0, 9))]
    queues = [[place for place in records if place[0] == p] for p in range(width)]
    chunks: list[list[Place]] = [[]]
    while any(queues):
        queue = draw(st.sampled_from([q for q in queues if q]))
        chunks[-1] += [queue.pop(0) for _ in range(min(len(queue), draw(st.integers(1, 5))))]
        if draw(st.booleans()):
            chunks.append([])
    return sealed(4, lower, *uppers), chunks, draw(st.integers(1, 20))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(case=epochs())
def test_any_epoch_reads_back_in_the_order_of_decisions(
    archive: Archive, case: tuple[Sealed, list[list[Place]], int]
) -> None:
    epoch, chunks, limit = case
    topic = next(TOPICS)
    places = [place for chunk in chunks for place in chunk]
    stored = archive.append(topic, epoch, [logged(chunk) for chunk in chunks])
    assert positions(archive.read(topic, 4, limit)) == in_order(epoch, places)
    assert archive.verify(topic, 4) == stored
    assert stored.records == len(places)
