"""The only module that names adapters: settings in, ports out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.cache import LocalCache
from watersmeet.adapters.local.clock import ManualClock, ScaledClock, SystemClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.adapters.local.runner import LocalRunner
from watersmeet.adapters.local.sink import open_sink
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.archive import Archive
from watersmeet.core.cache import Cache
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Engine
from watersmeet.core.log import Log
from watersmeet.core.runner import Runner
from watersmeet.core.sink import Sink
from watersmeet.core.state import State
from watersmeet.engines.columnar.engine import ColumnarEngine

from .settings import Settings


@dataclass(frozen=True)
class Parts:
    """The ports of one process, wired.

    Args:
        settings: what they were made from.
        clock, log, state, archive, engine, runner, cache: the ports.
        sink: destination name or URL -> sink.
    """

    settings: Settings
    clock: Clock
    log: Log
    state: State
    archive: Archive
    engine: Engine
    runner: Runner
    cache: Cache
    sink: Callable[[str], Sink]


def wire(settings: Settings, *, clock: Clock | None = None, engine: Engine | None = None) -> Parts:
    """Open every store that the settings name; makes the directory if it is missing (0700).

    Args:
        settings: what to open.
        clock: default the machine's.
        engine: shared with other nodes of this process; it keeps nothing but prepared statements. Default a new one.
    """
    root: Path = settings.directory
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock = clock or SystemClock()
    engine = engine or ColumnarEngine(threads=settings.compute.threads or None, memory=settings.compute.memory or None)
    source = LocalLog(root / "log", clock)
    archive = LocalArchive(root / "archive")
    runner = LocalRunner(source, archive, engine, clock, slice_records=settings.speed.slice_records)
    state = LocalState(root / "state.db", clock)
    return Parts(
        settings,
        clock,
        source,
        state,
        archive,
        engine,
        runner,
        LocalCache(),
        lambda name: open_sink(settings.sinks.get(name, name), root / "tables"),
    )


def scaled_clock(start_us: int, factor: float) -> Clock:
    """A clock that runs ``factor`` times as fast as the machine's, from ``start_us``: for demonstrations."""
    return ScaledClock(start_us, factor)


def manual_clock(start_us: int) -> Clock:
    """A clock that only moves when it is slept on: for tests."""
    return ManualClock(start_us)


def system_clock() -> Clock:
    """The machine's clock."""
    return SystemClock()


def now_us() -> int:
    """The machine's time of day in microseconds."""
    return SystemClock().now_us()
