"""How many executors and tasks: on loads as they were recorded, and at the edges."""

from __future__ import annotations

import itertools

import pytest

from watersmeet.adapters.spark.scaling import Bounds, Load, Scale, decide

pytestmark = pytest.mark.unit
BOUNDS = Bounds(least=1, most=8, cores=2, partitions=4)


def play(arriving: list[float], each: float, *, bounds: Bounds = BOUNDS, seconds: float = 5.0) -> list[tuple[int, int]]:
    """(executors, lag) after each slice, of a fleet in which an executor does ``each`` records a second."""
    executors, lag, out = bounds.least, 0.0, []
    for rate in arriving:
        lag += rate * seconds
        done = min(lag, each * executors * seconds)
        load = Load(rate, int(lag - done), int(done), done / (each * executors) if done else 0.0, executors)
        lag -= done
        executors = decide(load, bounds, int(lag)).executors
        out.append((executors, int(lag)))
    return out


def test_a_steady_load_settles_and_stays() -> None:
    found = play([60_000.0] * 40, each=20_000.0)
    assert {executors for executors, _ in found[20:]} == {5}
    assert found[-1][1] == 0


def test_three_times_the_capacity_doubles_until_the_lag_drains_and_then_gives_back() -> None:
    found = play([10_000.0] * 5 + [60_000.0] * 30 + [10_000.0] * 60, each=20_000.0)
    executors = [n for n, _ in found]
    assert all(after <= 2 * before for before, after in itertools.pairwise(executors))
    assert all(before - after <= 1 for before, after in itertools.pairwise(executors))
    assert found[34][1] == 0
    assert executors[-1] <= 2


def test_what_cannot_be_had_is_not_asked_for() -> None:
    found = play([500_000.0] * 20, each=20_000.0)
    assert max(executors for executors, _ in found) == BOUNDS.most
    assert play([0.0] * 20, each=20_000.0, bounds=Bounds(least=2, most=8))[-1][0] == 2


def test_a_small_change_changes_nothing() -> None:
    load = Load(arriving=41_000.0, lag=0, records=200_000, seconds=2.5, executors=4)
    assert decide(load, BOUNDS, 0).executors == 4


def test_an_empty_slice_says_nothing() -> None:
    assert decide(Load(0.0, 10**9, 0, 0.0, 3), BOUNDS, 10).executors == 3


@pytest.mark.parametrize(
    ("records", "tasks"), [(0, 4), (100_000, 4), (1_000_000, 8), (250_000, 5)], ids=["none", "few", "many", "between"]
)
def test_tasks_follow_the_records_up_to_the_cores(records: int, tasks: int) -> None:
    load = Load(70_000.0, 0, 100_000, 1.0, 4)
    assert decide(load, BOUNDS, records) == Scale(4, tasks)
