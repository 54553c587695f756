"""What the film demo runs on: real films behind a sandbox of TMDB, a scaled clock, and a node of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from watersmeet.apps.movies import films as film_data
from watersmeet.apps.movies import noise, source
from watersmeet.apps.movies.sandbox import Sandbox, Server
from watersmeet.core.clock import Clock
from watersmeet.core.errors import SettingsError
from watersmeet.runtime import loading, wiring
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings

FACTOR = 600.0
BACK_HOURS = 48
SEED = 7
FILMS_COMMAND = "pip install --no-deps bokeh_sampledata==2026.1"
SIMULATED = (
    "Films, years, genres, box office, critics' ratings, numbers of reviews are real (Wikidata, by bokeh_sampledata).",
    "Popularity, votes and vote averages move as seeded random walks that start from those figures.",
    "Reviews are put together from sentences written for this demo; when they appear is seeded.",
    "Some records are delayed, repeated, swapped and broken on purpose, as the counts show.",
)


@dataclass(frozen=True)
class Stage:
    """A running demo.

    Args:
        node: the app and its layers.
        clock: of the events.
        factor: event seconds in a real second.
        films: how many films the sandbox serves; 0 when the real service is polled.
        source_name: under which the source's position is stored.
        live: whether TMDB itself is polled.
    """

    node: Node
    clock: Clock
    factor: float
    films: int
    source_name: str
    live: bool

    def noise(self) -> dict[str, noise.Counts]:
        """What was done to the records on purpose, by topic."""
        stored = self.node.parts.state.get("positions", self.source_name)
        return noise.counts(stored.data) if stored and not self.live else {}


def find_films() -> Path:
    """The file of real films; `SettingsError` naming the one command when it is not there."""
    found = film_data.find_films()
    if found is None:
        raise SettingsError(
            "film file of the demo",
            expected="movies.db of bokeh_sampledata",
            got="nothing",
            remedy=f"run '{FILMS_COMMAND}' (its heavy dependencies are not needed)",
        )
    return found


@contextmanager
def sandboxed() -> Iterator[Stage]:
    """A stage on the sandbox: 1 s shows 10 min, beginning 48 h ago."""
    films = film_data.load_films(find_films())
    clock = wiring.scaled_clock(wiring.now_us() - BACK_HOURS * 3_600_000_000, FACTOR)
    with ExitStack() as stack:
        directory = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="watersmeet-demo-", ignore_cleanup_errors=True))
        )
        server = stack.enter_context(Server(Sandbox(films, clock, seed=SEED).app))
        environ = {"TMDB_API_KEY": "sandbox", "TMDB_BASE_URL": server.url}
        inner = source.connect(clock, directory=directory, environ=environ)
        stack.callback(inner.close)
        noisy = noise.NoisySource(inner, SEED)
        yield _stage(directory, clock, noisy, len(films), factor=FACTOR)


@contextmanager
def live(directory: Path) -> Iterator[Stage]:
    """A stage on the real service; needs ``TMDB_API_KEY``."""
    clock = wiring.system_clock()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    real = source.connect(clock, directory=directory, environ=os.environ)
    try:
        yield _stage(directory, clock, real, 0, factor=1.0)
    finally:
        real.close()


def _stage(
    directory: Path, clock: Clock, pulled: noise.NoisySource | source.TmdbSource, films: int, *, factor: float
) -> Stage:
    settings = Settings.model_validate(
        {
            "app": "watersmeet.apps.movies",
            "directory": directory,
            "speed": {"epoch_seconds": 2.5 * factor},
            "batch": {"every_seconds": 0.5},
        }
    )
    node = Node(wiring.wire(settings, clock=clock), loading.load(settings.app), sources=[pulled])
    node.apply()
    return Stage(node, clock, factor, films, pulled.name, live=not films)
