"""How far long work is, on standard error: a bar on a terminal, elsewhere a line every two seconds."""

from __future__ import annotations

from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, Task, TextColumn, TimeRemainingColumn

from watersmeet.core.clock import Clock
from watersmeet.core.duration import text as duration

from .output import err, say

TELL_SECONDS = 2.0


class Pace:
    """Records done, as words: how many, how fast since the last time, and how long the rest takes at that rate.

    Args:
        clock: for the time between.
        done: at the start.
    """

    def __init__(self, clock: Clock, done: int = 0) -> None:
        self._clock, self._done, self._at = clock, done, clock.monotonic()

    @property
    def seconds(self) -> float:
        """Since the last words."""
        return self._clock.monotonic() - self._at

    def words(self, done: int, left: int | None = None) -> str:
        """Such as ``1,200 records/s, 3 s left``; nothing where nothing was done since."""
        rate = (done - self._done) / max(self.seconds, 1e-6)
        self._done, self._at = done, self._clock.monotonic()
        if rate <= 0:
            return ""
        rest = "" if not left else f", {duration(max(1, round(left / rate)) * 1_000_000)} left"
        return f"{rate:,.0f} records/s{rest}"


class Steps:
    """The progress of work on topics; called with (topic, records done, records in all)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._paces: dict[str, Pace] = {}
        self._tasks: dict[str, object] = {}
        rate = _Rate("{task.speed}")
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate)
        self._bars = Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal)

    def __enter__(self) -> Steps:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def __call__(self, topic: str, done: int, total: int) -> None:
        if not err.is_terminal:
            pace = self._paces.setdefault(topic, Pace(self._clock))
            if pace.seconds >= TELL_SECONDS:
                say(f"{topic}: {done:,} of {total:,} records · {pace.words(done, total - done)}")
            return
        if topic not in self._tasks:
            self._tasks[topic] = self._bars.add_task(topic, total=total)
        self._bars.update(self._tasks[topic], completed=done, total=total)  # type: ignore[arg-type]  # a TaskID


class _Rate(TextColumn):
    def render(self, task: Task) -> str:  # type: ignore[override]  # rich takes anything that can be shown
        return "" if task.speed is None else f"{task.speed:,.0f}/s"
