"""The loop over the log: slices are read and decoded ahead, and nobody can tell by what is committed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import watersmeet as wm
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.clock import ManualClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.adapters.local.runner import LocalRunner
from watersmeet.core.engine import Absorbed
from watersmeet.core.errors import UnavailableError
from watersmeet.core.frontier import Frontier
from watersmeet.core.runner import Turn
from watersmeet.engines.columnar.engine import ColumnarEngine

pytestmark = pytest.mark.integration

START_US = 1_700_000_000_000_000
SLICE, PATIENCE = 10, 30.0
ENGINE = ColumnarEngine(threads=1)


def topic(**changes: object) -> wm.Topic:
    return wm.Topic(
        "numbers",
        schema={"v": "integer not null", "w": "integer not null", "at": "timestamp_ms not null"},
        event_time="at",
        **changes,  # type: ignore[arg-type]  # some of its fields
    )


NUMBERS = topic()
SUMS = wm.View("sums", topic=NUMBERS, measures={"n": wm.count(), "total": wm.sum("v")})
PLAIN = Turn(NUMBERS, SUMS.specs)


class Watched(LocalLog):
    """A log that notes in which thread it is read, and can fail.

    Args:
        root, clock: see `LocalLog`.
    """

    def __init__(self, root: Path, clock: ManualClock) -> None:
        super().__init__(root, clock, fsync=False)
        self.reads: list[tuple[Frontier, str]] = []
        self.fails_at: Frontier | None = None
        self.read_at: dict[Frontier, threading.Event] = {}

    def read(self, topic: str, lower: Frontier, upper: Frontier, limit: int) -> pa.Table:
        """See `LocalLog.read`."""
        self.reads.append((lower, threading.current_thread().name))
        if lower == self.fails_at:
            self.fails_at = None
            raise UnavailableError("the disk", got="an error")
        found = super().read(topic, lower, upper, limit)
        if lower in self.read_at:
            self.read_at[lower].set()
        return found

    def read_ahead(self) -> list[Frontier]:
        """Where the reads began that were made ahead."""
        return [lower for lower, thread in self.reads if thread.startswith("ahead")]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Watched]:
    opened = Watched(tmp_path / "log", ManualClock(START_US))
    opened.create("numbers", 1)
    yield opened
    opened.close()


def append(log: LocalLog, values: range) -> None:
    lines = [json.dumps({"v": v, "w": -v, "at": START_US // 1000 + v}).encode() for v in values]
    log.append("numbers", [wm.Record(line) for line in lines])


def stream(
    log: LocalLog,
    turn: Callable[[], Turn],
    commit: Callable[[Absorbed], Frontier],
    stop: threading.Event,
    *,
    clock: ManualClock | None = None,
) -> None:
    """Run the loop; afterwards no thread of it is left."""
    runner = LocalRunner(
        log, LocalArchive(Path("nowhere")), ENGINE, clock or ManualClock(START_US), slice_records=SLICE
    )
    try:
        runner.stream(turn, (0,), ENGINE.ids().lookup, commit, stop)
    finally:
        assert not [t.name for t in threading.enumerate() if t.name.startswith("ahead")]


class Commits:
    """Keeps what is committed; stops at a frontier."""

    def __init__(self, until: int) -> None:
        self.stop, self.made, self._until = threading.Event(), list[Absorbed](), until

    def __call__(self, absorbed: Absorbed) -> Frontier:
        """Keep a slice."""
        self.made.append(absorbed)
        if absorbed.upper[0] >= self._until:
            self.stop.set()
        return absorbed.upper

    @property
    def intervals(self) -> list[tuple[int, int]]:
        """Of the slices."""
        return [(a.lower[0], a.upper[0]) for a in self.made]

    def figures(self) -> list[tuple[int, int]]:
        """Each slice's count and total, of its first cells."""
        found = []
        for absorbed in self.made:
            [lifted] = absorbed.cells.values()
            [cell] = pa.table(lifted.cells).to_pylist()
            found.append((cell["p0_n"], int(cell["p1_s"])))
        return found


def test_the_next_slice_is_read_and_decoded_while_this_one_is_committed(log: Watched) -> None:
    append(log, range(25))
    commits, following = Commits(25), threading.Event()
    log.read_at[(SLICE,)] = following

    def commit(absorbed: Absorbed) -> Frontier:
        assert following.wait(PATIENCE)
        return commits(absorbed)

    stream(log, lambda: PLAIN, commit, commits.stop)
    assert commits.intervals == [(0, 10), (10, 20), (20, 25)]
    assert log.read_ahead() == [(10,), (20,)]
    assert [lower for lower, _ in log.reads] == [(0,), (10,), (20,)]
    assert [sum(e.used for e in a.ledger) for a in commits.made] == [10, 10, 5]


def test_nothing_is_read_ahead_of_a_slice_that_was_not_cut_short(log: Watched) -> None:
    append(log, range(7))
    commits = Commits(14)

    def commit(absorbed: Absorbed) -> Frontier:
        if absorbed.upper == (7,):
            append(log, range(7, 14))
        return commits(absorbed)

    stream(log, lambda: PLAIN, commit, commits.stop)
    assert commits.intervals == [(0, 7), (7, 14)]
    assert log.read_ahead() == []


def test_each_slice_is_computed_under_the_turn_asked_for_before_it(log: Watched) -> None:
    append(log, range(40))
    strict = topic(check={"odd": "v % 2 = 0"})
    wider = wm.View("wider", topic=strict, measures={"n": wm.count(), "total": wm.sum("w")})
    turns = {
        0: PLAIN,
        10: Turn(NUMBERS, SUMS.specs, START_US + 15_000),
        20: Turn(strict, SUMS.specs),
        30: Turn(strict, wider.specs),
    }
    commits, asked = Commits(40), list[int]()

    def turn() -> Turn:
        asked.append(commits.made[-1].upper[0] if commits.made else 0)
        return turns[asked[-1]]

    stream(log, turn, commits, commits.stop)
    assert asked == [0, 10, 20, 30]
    assert commits.intervals == [(0, 10), (10, 20), (20, 30), (30, 40)]
    assert commits.figures() == [(10, 45), (10, 145), (5, 120), (5, -170)]
    assert [a.ledger[0].late for a in commits.made] == [0, 5, 0, 0]
    assert [pc.sum(pa.table(a.dead)["offset"]).as_py() for a in commits.made] == [None, None, 125, 175]
    assert sorted(lower for lower, _ in log.reads) == [(0,), (10,), (20,), (20,), (30,), (30,)]


def test_an_equal_topic_that_is_another_object_costs_a_decoding_and_no_more(log: Watched) -> None:
    append(log, range(30))
    commits = Commits(30)
    stream(log, lambda: Turn(topic(), SUMS.specs), commits, commits.stop)
    assert commits.intervals == [(0, 10), (10, 20), (20, 30)]
    assert [n for n, _ in commits.figures()] == [10, 10, 10]


@pytest.mark.parametrize("back", [0, 4, 14])
def test_a_commit_that_returns_another_frontier_is_followed_from_there(log: Watched, back: int) -> None:
    append(log, range(30))
    commits = Commits(30)

    def commit(absorbed: Absorbed) -> Frontier:
        upper = commits(absorbed)
        return (back,) if len(commits.made) == 1 else upper

    stream(log, lambda: PLAIN, commit, commits.stop)
    assert [low for low, _ in commits.intervals] == [0, *range(back, 30, SLICE)]
    assert [high for _, high in commits.intervals] == [10, *range(back + SLICE, 30, SLICE), 30]
    assert [total for _, total in commits.figures()] == [sum(range(*each)) for each in commits.intervals]


def test_an_error_ahead_is_raised_after_the_commit_before_it(log: Watched) -> None:
    append(log, range(30))
    commits, log.fails_at = Commits(30), (10,)
    with pytest.raises(UnavailableError, match="the disk"):
        stream(log, lambda: PLAIN, commits, commits.stop)
    assert commits.intervals == [(0, 10)]


def test_an_error_of_what_is_thrown_away_is_thrown_away_with_it(log: Watched) -> None:
    append(log, range(30))
    commits, log.fails_at = Commits(30), (10,)

    def commit(absorbed: Absorbed) -> Frontier:
        upper = commits(absorbed)
        return (5,) if len(commits.made) == 1 else upper

    stream(log, lambda: PLAIN, commit, commits.stop)
    assert commits.intervals == [(0, 10), (5, 15), (15, 25), (25, 30)]


def test_an_error_of_a_commit_ends_what_is_ahead(log: Watched) -> None:
    append(log, range(30))

    def commit(absorbed: Absorbed) -> Frontier:
        raise UnavailableError("the state", got="an error")

    with pytest.raises(UnavailableError, match="the state"):
        stream(log, lambda: PLAIN, commit, threading.Event())


def test_when_stopped_what_is_ahead_is_not_committed(log: Watched) -> None:
    append(log, range(30))
    commits = Commits(10)
    stream(log, lambda: PLAIN, commits, commits.stop)
    assert commits.intervals == [(0, 10)]


class Passing(threading.Event):
    """A stop that lets a clock go on whenever the loop waits."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        """See `threading.Event`."""
        self._clock.advance(timeout or 0.0)
        return self.is_set()


def test_while_nothing_is_unread_an_empty_slice_is_committed_about_once_a_second(log: Watched) -> None:
    append(log, range(3))
    clock, commits, at = ManualClock(START_US), Commits(4), list[float]()
    stop = Passing(clock)

    def commit(absorbed: Absorbed) -> Frontier:
        at.append(round(clock.monotonic()))
        if len(at) == 4:
            stop.set()
        return commits(absorbed)

    stream(log, lambda: PLAIN, commit, stop, clock=clock)
    assert commits.intervals == [(0, 3), (3, 3), (3, 3), (3, 3)]
    assert at == [0, 1, 2, 3]
