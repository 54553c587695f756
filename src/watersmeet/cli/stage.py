"""What a demo runs on: an app with records that come by themselves, a clock, and a node of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
from rich.console import RenderableType
from rich.table import Table

from watersmeet.core.clock import Clock
from watersmeet.core.reader import Request
from watersmeet.core.source import Source
from watersmeet.runtime import loading, wiring
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings

FACTOR = 600.0
BACK_HOURS = 48
Row = dict[str, object]


@dataclass(frozen=True)
class Figures:
    """What an app shows of itself at one moment.

    Args:
        is_answered: whether some merged answer has rows.
        tables: for the board.
        document: for the summary.
    """

    is_answered: bool = False
    tables: Sequence[RenderableType] = ()
    document: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """A running demo.

    Args:
        app: its name.
        node: the app and its layers.
        clock: of the events.
        factor: event seconds in a real second.
        headline: what is shown, in a few words.
        facts: for the summary.
        simulated: what is not real, in sentences.
        look: asks for the app's figures.
        disturbed: what was done to the records on purpose, by topic.
    """

    app: str
    node: Node
    clock: Clock
    factor: float
    headline: str
    facts: Mapping[str, object]
    simulated: Sequence[str]
    look: Callable[[Node], Figures]
    disturbed: Callable[[], Mapping[str, object]] = dict


def scaled() -> Clock:
    """A clock on which 1 s shows 10 min, begun 48 h ago."""
    return wiring.scaled_clock(wiring.now_us() - BACK_HOURS * 3_600_000_000, FACTOR)


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder for the state of a demo, gone with it."""
    with tempfile.TemporaryDirectory(prefix="watersmeet-demo-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def node(
    app: str,
    directory: Path,
    clock: Clock,
    sources: Sequence[Source],
    *,
    factor: float,
    tables: bool = True,
    stores: Mapping[str, str] | None = None,
) -> Node:
    """The app, applied. Without its tables if nobody would see them: on a fast clock they are due all the time."""
    settings = Settings.model_validate(
        {
            "app": f"watersmeet.apps.{app}",
            "directory": directory,
            "stores": stores or {},
            "speed": {"epoch_seconds": 2.5 * factor},
            "batch": {"every_seconds": 0.5},
            "watch": {
                "watermark_seconds": 3600 * factor,
                "unread_seconds": 60 * factor,
                "failure_seconds": 60 * factor,
            },
        }
    )
    loaded = loading.load(settings.app)
    if not tables:
        loaded = replace(loaded, declarations=replace(loaded.declarations, tables={}))
    made = Node(wiring.wire(settings, clock=clock), loaded, sources=sources)
    made.apply()
    return made


def rows(made: Node, request: Request) -> list[Row]:
    """The rows of an answer."""
    found: list[Row] = pa.table(made.reader.read(request).rows).to_pylist()
    return found


def table(title: str, *columns: str) -> Table:
    """An empty table of the board: words to the left, numbers to the right."""
    made = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False, expand=False)
    for place, name in enumerate(columns):
        made.add_column(name, justify="left" if place == 0 else "right", no_wrap=True, overflow="ellipsis")
    return made
