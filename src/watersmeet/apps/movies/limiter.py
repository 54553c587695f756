"""A token bucket that several processes share, in the time of an injected clock.

    between two instants t seconds apart, at most  burst + per_second * t  calls pass

The arithmetic is pyrate-limiter's token bucket. The store is ours, because its SQLite bucket reads the machine's own
clock, keeps a row for each call, lets two processes read before either writes unless a lock file is added, and knows
only windows without a burst. Here one row holds the *theoretical arrival*, the instant at which the bucket will be full
again, and one immediate transaction moves it.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from pathlib import Path

from pyrate_limiter import Decision, InMemoryStateStore, Rate, StateAlgorithm, StateStore, TokenBucket

from watersmeet import Clock, UnavailableError, WatersmeetError

_UNITS = 1000  # a rate is so many calls in so many whole milliseconds: a thousand calls keep the rounding small


class RateLimit:
    """Lets calls through at a steady rate with a bounded burst.

    Args:
        clock: whose time counts. On a scaled clock the rate is per second of the event world.
        per_second: sustained rate, calls per second.
        burst: calls that may pass at once after a pause.
        path: SQLite file that all processes under one limit name; made when missing. ``None`` keeps the state in this
            process alone.

    Raises:
        WatersmeetError: the rate or the burst is not positive.
        UnavailableError: the file cannot be opened, or stays locked for ten seconds.
    """

    def __init__(
        self, clock: Clock, *, per_second: float = 4.0, burst: int = 10, path: Path | str | None = None
    ) -> None:
        if not (math.isfinite(per_second) and per_second > 0 and burst >= 1):
            raise WatersmeetError(
                "the rate limit", expected="a positive rate and a burst of at least 1", got=f"{per_second}/s, {burst}"
            )
        self._clock = clock
        self._rates = [Rate(_UNITS, math.ceil(_UNITS * 1000 / per_second), burst=burst)]
        self._algorithm = TokenBucket()
        self._store: StateStore = InMemoryStateStore() if path is None else _SqliteStore(Path(path))

    def take(self) -> float:
        """Take a token if there is one: 0.0 when taken, else the seconds until one may be there."""
        now_ms = self._clock.now_us() // 1000
        decision: Decision = self._store.check(self._algorithm, self._rates, now_ms, 1)  # type: ignore[assignment]  # both stores are synchronous
        return 0.0 if decision.allowed else (decision.retry_after_ms or 1) / 1000

    def acquire(self, stop: threading.Event | None = None) -> bool:
        """Wait for a token. False if ``stop`` was set first."""
        while wait := self.take():
            if self._clock.sleep(wait, stop):
                return False
        return True

    def close(self) -> None:
        """Close the file, if there is one."""
        self._store.close()


class _SqliteStore(StateStore):
    """The state of one bucket in a SQLite file, moved by one immediate transaction a check."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode = wal")
            self._db.execute("pragma synchronous = normal")  # no sync a call: a power cut loses a second's spending
            self._db.execute("create table if not exists bucket (id integer primary key, full_us integer)")
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def check(self, algorithm: StateAlgorithm, rates: list[Rate], now: int, weight: int) -> Decision:
        try:
            with self._lock, self._db:
                self._db.execute("begin immediate")
                state: tuple[float, ...] = (min(self._full_us(), _latest_full_us(rates, now)),)
                state, decision = algorithm.step(rates, state, now, weight)
                if decision.allowed:
                    self._db.execute("insert or replace into bucket values (1, ?)", (int(state[0]),))
                return decision
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def read(self, algorithm: StateAlgorithm, rates: list[Rate]) -> tuple[float, ...]:
        with self._lock:
            return (self._full_us(),)

    def reset(self) -> None:
        with self._lock:
            self._db.execute("delete from bucket")

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def _full_us(self) -> int:
        row = self._db.execute("select full_us from bucket").fetchone()
        return row[0] if row else 0

    def _unavailable(self, error: sqlite3.Error) -> UnavailableError:
        return UnavailableError(
            f"the rate limit's file {self._path}", got=str(error), remedy="check that its folder exists and is writable"
        )


def _latest_full_us(rates: list[Rate], now_ms: int) -> int:
    """When a bucket emptied at ``now_ms`` would be full again.

    A stored instant after that was written by a clock that ran ahead of ours (a demo's scaled clock, say); believing it
    would stop all calls until our clock gets there.
    """
    rate = rates[0]
    return now_ms * 1000 + rate.burst * math.ceil(rate.interval * 1000 / rate.limit)
