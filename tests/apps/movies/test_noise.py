"""Noise whose every deed is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watersmeet import Pulled, Record, UnavailableError, WatersmeetError
from watersmeet.apps.movies.noise import HELD_BYTES, Counts, Disturbance, NoisySource, Rates, counts, disturb

pytestmark = pytest.mark.unit

ALL = Rates(duplicated=0.15, delayed=0.15, truncated=0.1, mistyped=0.1, future=0.1, swapped=0.3)
NOW_MS = 1_780_000_000_000

Emitted = tuple[str, Record]


def record(number: int, topic: str = "movie.ratings", padding: int = 0) -> Emitted:
    fields = {"event_id": f"e{number}", "movie_id": number, "timestamp": NOW_MS + number, "padding": "x" * padding}
    return topic, Record(msgspec.json.encode(fields), key=str(number).encode(), headers={"h": b"1"})


def fate(value: bytes) -> str:
    """What a reader finds out about a payload."""
    try:
        fields = msgspec.json.decode(value)
    except msgspec.DecodeError:
        return "truncated"
    if not isinstance(fields["movie_id"], int):
        return "mistyped"
    return "future" if fields["timestamp"] > NOW_MS + 86_400_000 else "good"


class Numbers:
    """A source that brings ten records a pull, numbered through, until ``last``."""

    name = "numbers"

    def __init__(self, last: int) -> None:
        self._last = last

    def pull(self, position: bytes | None) -> Pulled:
        start = int(position or b"0")
        end = min(start + 10, self._last)
        return Pulled([record(number) for number in range(start, end)], str(end).encode(), 7.0)


def drain(source: NoisySource, pulls: int, crashes: Sequence[int] = ()) -> tuple[list[Emitted], bytes | None]:
    """Pull again and again; a pull whose number is in ``crashes`` is made twice, its first result lost."""
    position, out = None, list[Emitted]()
    for number in range(pulls):
        if number in crashes:
            source.pull(position)
        pulled = source.pull(position)
        assert pulled.wait_seconds == 7.0
        position = pulled.position
        out += pulled.records
    return out, position


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 300), st.sets(st.integers(0, 40)))
def test_the_counts_are_what_a_reader_finds(seed: int, last: int, crashes: set[int]) -> None:
    out, position = drain(NoisySource(Numbers(last), seed, ALL), 45, tuple(crashes))
    count = counts(position)["movie.ratings"]
    fates = Counter(fate(emitted.value) for _, emitted in out)
    assert (count.taken, count.emitted, count.held) == (last, len(out), 0)
    assert count.taken + count.duplicated == count.emitted + count.held
    assert (count.truncated, count.mistyped, count.future) == (
        fates["truncated"],
        fates["mistyped"],
        fates["future"],
    )
    good = [emitted.value for _, emitted in out if fate(emitted.value) == "good"]
    assert count.used == len(set(good))
    assert count.duplicated == len(good) - len(set(good))
    assert count.dead == len(out) - len(good)


def test_with_these_rates_everything_happens() -> None:
    out, position = drain(NoisySource(Numbers(1000), 5, ALL), 110)
    count = counts(position)["movie.ratings"]
    assert min(count.duplicated, count.delayed, count.truncated, count.mistyped, count.future, count.swapped) > 50
    assert [emitted.key for _, emitted in out] != sorted((emitted.key or b"" for _, emitted in out), key=int)
    assert all(emitted.headers == {"h": b"1"} for _, emitted in out)


def test_a_crash_changes_nothing() -> None:
    calm, end = drain(NoisySource(Numbers(200), 5, ALL), 30)
    assert drain(NoisySource(Numbers(200), 5, ALL), 30, range(30)) == (calm, end)
    assert drain(NoisySource(Numbers(200), 6, ALL), 30)[0] != calm


def test_no_noise_is_none() -> None:
    silent = Rates(duplicated=0, delayed=0, truncated=0, mistyped=0, future=0, swapped=0)
    out, position = drain(NoisySource(Numbers(95), 5, silent), 12)
    assert out == [record(number) for number in range(95)]
    assert counts(position) == {"movie.ratings": Counts(taken=95, emitted=95)}


def test_topics_are_counted_apart() -> None:
    state = Disturbance()
    disturb([record(1, "a"), record(2, "b"), record(3, "b")], 1, state, Rates())
    assert (state.counts["a"].taken, state.counts["b"].taken) == (1, 2)


def test_what_is_held_back_comes_within_four_pulls() -> None:
    state = Disturbance()
    held = Rates(duplicated=0, delayed=1, truncated=0, mistyped=0, future=0, swapped=0)
    assert disturb([record(number) for number in range(50)], 1, state, held) == []
    assert state.counts["movie.ratings"].held == 50
    out = [emitted for _ in range(4) for emitted in disturb([], 1, state, held)]
    assert Counter(emitted.key for _, emitted in out) == Counter(str(number).encode() for number in range(50))
    assert state.counts["movie.ratings"] == Counts(taken=50, emitted=50, delayed=50)


def test_no_more_is_held_back_than_the_position_may_hold() -> None:
    state = Disturbance()
    held = Rates(duplicated=0, delayed=1, truncated=0, mistyped=0, future=0, swapped=0)
    out = disturb([record(number, padding=60_000) for number in range(10)], 1, state, held)
    assert len(out) == 7
    assert sum(len(one.value) for one in state.held) <= HELD_BYTES


def test_a_source_that_has_not_begun_stays_so() -> None:
    asked: list[bytes | None] = []

    class Failing:
        name = "failing"

        def pull(self, position: bytes | None) -> Pulled:
            asked.append(position)
            if len(asked) == 1:
                raise UnavailableError("upstream")
            return Pulled([], b"line one\nline two")

    source = NoisySource(Failing(), 1)
    assert source.name == "failing+noise"
    with pytest.raises(UnavailableError):
        source.pull(None)
    position = source.pull(None).position
    source.pull(position)
    assert asked == [None, None, b"line one\nline two"]


def test_a_foreign_position_is_refused() -> None:
    with pytest.raises(WatersmeetError, match="the position of a noisy source"):
        NoisySource(Numbers(1), 1).pull(b"17")


@pytest.mark.parametrize("rates", [{"duplicated": 0.6, "delayed": 0.6}, {"swapped": 1.1}, {"future": -0.1}])
def test_rates_are_shares(rates: dict[str, float]) -> None:
    with pytest.raises(WatersmeetError, match="shares that sum to 1"):
        Rates(**rates)
