"""Published tables on real servers: the server dies, the writer dies, or another overtakes it, at each step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from itertools import count, product
from pathlib import Path

import pyarrow as pa
import pytest

from tests.conformance.implementations import SINKS, connect
from tests.conformance.readers import Rows, mongo_rows
from tests.conformance.test_sink import NOON, SHAPE, TOPIC, row, table
from watersmeet.adapters.mongo.sink import MongoSink
from watersmeet.core import failpoint
from watersmeet.core.address import Address, parse_address
from watersmeet.core.errors import ConflictError, UnavailableError
from watersmeet.core.sink import Shape, Sink
from watersmeet.core.table import Table
from watersmeet.testing.services.mongo import mongo as own_mongo

pytestmark = pytest.mark.integration
MONGO = ["mongo.turn.after", "mongo.claim.after", "mongo.upserts.after", "mongo.deletes.after"]
CASSANDRA = [
    "tables.turn.after",
    "tables.places.after",
    "tables.claim.after",
    "tables.rows.after",
    "tables.vanished.after",
    "tables.forgotten.after",
]
NUMBERS = count()
BEFORE = [row(NOON, 1, "old"), row(NOON, 2, "old"), row(NOON, 3, "old"), row(NOON, 4, "old")]
PUTS = [row(NOON, 2, "new", "7"), row(NOON, 3, "new"), row(NOON, 5, "new")]
GONE = [row(NOON, 4)]


@dataclass(frozen=True)
class Case:
    """A sink and a shape.

    Args:
        row: of `SINKS`.
        shape: of the table.
        steps: the failpoints of a write, in order.
        gap: why a reader may find a mixture; empty: he never does.
    """

    row: str
    shape: Shape
    steps: list[str]
    gap: str = ""


CASES = {
    "mongo": Case("mongo", SHAPE, [*MONGO, "mongo.commit.after"]),
    "mongo-alone": Case("mongo-alone", SHAPE, MONGO, "never: a mongod alone has no transactions"),
    "cassandra": Case("cassandra", SHAPE, CASSANDRA),
    "cassandra-partitions": Case(
        "cassandra",
        replace(SHAPE, partition=("movie_id",)),
        CASSANDRA,
        "never: Cassandra changes several partitions one after the other",
    ),
}
GAPS = [
    pytest.param(name, marks=[pytest.mark.xfail(reason=case.gap, strict=True)] if case.gap else [])
    for name, case in CASES.items()
]


class CrashError(BaseException):
    """The writer dies; nothing in it may catch that."""


class Bench:
    """A table of a case, with what every writer and reader needs."""

    def __init__(self, case: Case, directory: Path) -> None:
        self.destination, self.directory = SINKS[case.row], directory
        self.case, self.shape = case, replace(case.shape, name=f"table{next(NUMBERS)}")
        with ExitStack() as stack:
            sink = stack.enter_context(self.destination.open(directory))
            sink.prepare(Table("any", TOPIC), self.shape)
            sink.replace(self.shape, NOON, self.table(BEFORE), 1)

    def table(self, rows: Rows) -> pa.Table:
        return table(*rows, shape=self.shape)

    def rows(self) -> Rows:
        found = self.destination.rows(self.directory, self.shape)
        return sorted(found, key=lambda each: (str(each["movie_id"]), str(each["score"])))

    def write(self, sequence: int, *, whole: bool, rows: Rows = PUTS, gone: Rows = GONE) -> None:
        """Write as a process of its own would."""
        with self.destination.open(self.directory) as sink:
            _write(sink, self.shape, sequence, whole=whole, rows=rows, gone=gone)


def _write(sink: Sink, shape: Shape, sequence: int, *, whole: bool, rows: Rows, gone: Rows) -> None:
    if whole:
        sink.replace(shape, NOON, table(*rows, shape=shape), sequence)
    else:
        sink.write(shape, NOON, table(*rows, shape=shape), table(*gone, shape=shape), sequence)


def after(*, whole: bool) -> Rows:
    return PUTS if whole else [BEFORE[0], *PUTS]


@pytest.fixture
def at() -> Iterator[Callable[[str, Callable[[], None]], None]]:
    """Do something once, when a failpoint is reached."""

    def install(name: str, act: Callable[[], None]) -> None:
        def hook(reached: str) -> None:
            if reached == name:
                failpoint.install(None)
                act()

        failpoint.install(hook)

    yield install
    failpoint.install(None)


At = Callable[[str, Callable[[], None]], None]


def die() -> None:
    raise CrashError


@pytest.mark.parametrize("name", CASES)
def test_a_write_that_died_at_any_step_is_ended_by_repeating_it(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, at: At
) -> None:
    connect(request, CASES[name].row)
    for whole in (True, False):
        bench = Bench(CASES[name], tmp_path)
        for sequence, step in enumerate(CASES[name].steps, 2):
            bench.write(sequence, whole=True, rows=BEFORE)
            assert bench.rows() == BEFORE
            at(step, die)
            with pytest.raises(CrashError):
                bench.write(sequence, whole=whole)
            bench.write(sequence, whole=whole)
            assert bench.rows() == after(whole=whole), step


@pytest.mark.parametrize("name", GAPS)
def test_a_reader_finds_the_rows_before_or_after_whatever_dies(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, at: At
) -> None:
    connect(request, CASES[name].row)
    bench, changed = Bench(CASES[name], tmp_path), []
    for sequence, step in enumerate(CASES[name].steps, 2):
        bench.write(sequence, whole=True, rows=BEFORE)
        at(step, die)
        with pytest.raises(CrashError):
            bench.write(sequence, whole=True)
        found = bench.rows()
        assert found in (BEFORE, PUTS), step
        changed.append(found == PUTS)
    assert changed == sorted(changed)
    assert changed[-1]


@pytest.mark.parametrize("name", CASES)
def test_a_writer_that_was_overtaken_changes_nothing_of_its_successors(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, at: At
) -> None:
    """The one stands still at a step; the other writes all of its own; then the first goes on."""
    connect(request, CASES[name].row)
    last = [row(NOON, 2, "last", "9"), row(NOON, 6, "last")]
    for whole in (True, False):
        bench = Bench(CASES[name], tmp_path)
        for sequence, step in enumerate(CASES[name].steps, 1):
            bench.write(10 * sequence, whole=True, rows=BEFORE)
            tried: list[str] = []

            def overtake(sequence: int = sequence, tried: list[str] = tried, bench: Bench = bench) -> None:
                tried.append("")
                try:
                    bench.write(10 * sequence + 2, whole=True, rows=last)
                except UnavailableError:  # the transaction of the one who stands still is in the way
                    tried.append("again")

            at(step, overtake)
            try:
                bench.write(10 * sequence + 1, whole=whole)
            except ConflictError:
                tried.append("refused")
            assert tried[0] == ""
            if "again" in tried:
                bench.write(10 * sequence + 2, whole=True, rows=last)
            assert bench.rows() == last, step
            assert step != CASES[name].steps[0] or "refused" in tried
            with pytest.raises(ConflictError):
                bench.write(10 * sequence + 1, whole=whole)


@pytest.mark.parametrize("alone", [False, True], ids=["replica set", "alone"])
def test_a_mongod_that_is_killed_at_any_step_ends_with_the_rows_that_were_asked_for(
    tmp_path: Path, at: At, alone: bool
) -> None:
    """At each step and while each step is on its way; it is started again at once."""
    with ExitStack() as stack:
        server = stack.enter_context(own_mongo(tmp_path, "" if alone else "rs0"))
        address = replace(parse_address(server.url), path="faults")
        sink = stack.enter_context(closing(MongoSink(address)))
        sink.prepare(Table("any", TOPIC), SHAPE)
        sequence, kills, found = 0, 0, list[Rows]()

        def restart() -> None:
            nonlocal kills
            server.kill()
            server.start()
            kills += 1
            found.append(_found(address))

        steps = MONGO if alone else [*MONGO, "mongo.commit.after"]
        for whole, step, racing in product((True,) if alone else (True, False), steps, (False, True)):
            old, sequence = _found(address), sequence + 1
            new = [row(NOON, movie, f"{sequence}") for movie in [*range(1, 400), 1000 + sequence]]
            killer = threading.Thread(target=restart)

            def kill(racing: bool = racing, killer: threading.Thread = killer) -> None:
                killer.start()
                if not racing:
                    killer.join()

            at(step, kill)
            gone = [row(NOON, 1000 + sequence - 1)]
            for _ in range(5):
                with suppress(UnavailableError):
                    _write(sink, SHAPE, sequence, whole=whole, rows=new, gone=gone)
                    break
            killer.join()
            wanted = sorted(new, key=str)
            assert _found(address) == wanted, (step, racing)
            assert alone or found.pop() in (old, wanted), (step, racing)
        assert kills == (8 if alone else 20)


def _found(address: Address) -> Rows:
    return sorted(mongo_rows(address, SHAPE), key=str)
