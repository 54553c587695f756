"""The film demo: real films behind a sandbox of TMDB, or TMDB itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from rich.console import RenderableType

from watersmeet.apps.movies import films as film_data
from watersmeet.apps.movies import noise, source
from watersmeet.apps.movies.sandbox import Sandbox, Server
from watersmeet.core.engine import Order
from watersmeet.core.errors import PendingError, SettingsError
from watersmeet.core.reader import Layer, Request
from watersmeet.runtime import wiring
from watersmeet.runtime.node import Node

from . import stage
from .output import cell
from .stage import Figures, Row, Stage

SEED = 7
SHOWN = 8
FILMS_COMMAND = "pip install --no-deps bokeh_sampledata==2026.1"
SIMULATED = (
    "Films, years, genres, box office, critics' ratings, numbers of reviews are real (Wikidata, by bokeh_sampledata).",
    "Popularity, votes and vote averages move as seeded random walks that start from those figures.",
    "Reviews are put together from sentences written for this demo; when they appear is seeded.",
    "Some records are delayed, repeated, swapped and broken on purpose, as the counts show.",
)
OPINION = ["movie_id", "review_count", "avg_sentiment", "positive_count", "negative_count", "neutral_count"]


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


def _embedded(folder: Path) -> AbstractContextManager[Mapping[str, str]]:
    return nullcontext({})


@contextmanager
def sandboxed(stores: Callable[[Path], AbstractContextManager[Mapping[str, str]]] = _embedded) -> Iterator[Stage]:
    """A stage on the sandbox.

    Args:
        stores: given a folder, what stands under ``stores`` in the settings while the stage is up.
    """
    films = film_data.load_films(find_films())
    with ExitStack() as stack:
        directory = stack.enter_context(stage.temporary())
        named = stack.enter_context(stores(directory / "servers"))
        clock = stage.scaled()
        server = stack.enter_context(Server(Sandbox(films, clock, seed=SEED).app))
        environ = {"TMDB_API_KEY": "sandbox", "TMDB_BASE_URL": server.url}
        inner = source.connect(clock, directory=directory, environ=environ)
        stack.callback(inner.close)
        noisy = noise.NoisySource(inner, SEED)
        node = stage.node("movies", directory, clock, [noisy], factor=stage.FACTOR, stores=named)
        headline, facts = f"{len(films):,} films", {"films": len(films), "live": False}
        yield Stage(
            "movies",
            node,
            clock,
            stage.FACTOR,
            headline,
            facts,
            SIMULATED,
            figures,
            disturbed=lambda: _disturbed(node, noisy.name),
        )


@contextmanager
def live(directory: Path) -> Iterator[Stage]:
    """A stage on the real service; needs ``TMDB_API_KEY``."""
    if not os.environ.get("TMDB_API_KEY"):
        raise SettingsError(
            "TMDB_API_KEY",
            expected="a key of your TMDB account",
            got="nothing",
            remedy="set it, or run the demo without --live",
        )
    clock = wiring.system_clock()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.closing(source.connect(clock, directory=directory, environ=os.environ)) as real:
        node = stage.node("movies", directory, clock, [real], factor=1.0)
        yield Stage("movies", node, clock, 1.0, "live TMDB", {"films": 0, "live": True}, (), figures)


def figures(node: Node) -> Figures:
    """What is trending, and what people say of one film."""
    trending: list[Row] = []
    leading: list[Row] = []
    opinion: dict[Layer, Row] = {}
    title = ""
    with contextlib.suppress(PendingError):  # the first slice of a topic is not there yet; the next look has it
        trending = _trending(node)
    with contextlib.suppress(PendingError):
        leading = [] if trending else _leading(node)
        opinion, title = _opinion(node)
    tables = [_trending_table(trending, leading)] + ([_opinion_table(opinion, title)] if opinion else [])
    answer = {"view": "review_sentiments", "film": title, **{str(layer): row for layer, row in opinion.items()}}
    return Figures(bool(trending or leading), tables, {"answer": answer, "trending": trending})


def _disturbed(node: Node, source_name: str) -> Mapping[str, object]:
    stored = node.parts.state.get("positions", source_name)
    counts = noise.counts(stored.data) if stored else {}
    return {topic: {name: getattr(count, name) for name in count.__struct_fields__} for topic, count in counts.items()}


def _leading(node: Node) -> list[Row]:
    return stage.rows(node, Request("sentiment_now", order=(Order("review_count", True),), limit=SHOWN))


def _trending(node: Node) -> list[Row]:
    found = stage.rows(node, Request("trending", order=(Order("hour", True), Order("rank")), limit=SHOWN))
    return [row for row in found if row["hour"] == found[0]["hour"]]


def _opinion(node: Node) -> tuple[dict[Layer, Row], str]:
    """The film with most reviews to which both layers contribute, as each layer and both together see it."""
    view = node.declarations().views["review_sentiments"].at(None)
    found: dict[Layer, dict[object, Row]] = {}
    layers: tuple[Layer, ...] = ("merged", "batch", "speed")
    for layer in layers:
        answered = stage.rows(node, Request(view, layer=layer))
        found[layer] = {row["movie_id"]: {name: row[name] for name in OPINION} for row in answered}
    both = found["batch"].keys() & found["speed"].keys() & found["merged"].keys()
    if not both:
        return {}, ""
    movie = max(both, key=lambda m: (int(str(found["merged"][m]["review_count"])), str(m)))
    titles = {row["movie_id"]: row["title"] for row in stage.rows(node, Request("films"))}
    return {layer: found[layer][movie] for layer in layers}, str(titles.get(movie) or movie)


def _trending_table(trending: list[Row], leading: list[Row]) -> RenderableType:
    hour = f", hour of {trending[0]['hour']:%a %H:%M}" if trending else ""
    made = stage.table(f"Trending now{hour}", "film", "score", "velocity/h", "acceleration")
    for row in trending:
        made.add_row(_title(row), cell(row["trending_score"]), cell(row["velocity"]), cell(row["acceleration"]))
    if trending:
        return made
    title = "Most discussed (a velocity needs two polls of a film)"
    made = stage.table(title, "film", "reviews", "sentiment", "label")
    for row in leading:
        made.add_row(_title(row), cell(row["review_count"]), cell(row["avg_sentiment"]), cell(row["label"]))
    return made


def _title(row: Row) -> str:
    return str(row["title"] or f"film {row['movie_id']}")[:44]


def _opinion_table(opinion: Mapping[Layer, Row], title: str) -> RenderableType:
    names = ("review_count", "avg_sentiment", "positive_count", "neutral_count", "negative_count")
    made = stage.table(f"What people say of {title}", "layer", "reviews", "sentiment", "+", "0", "−")
    labels: dict[Layer, str] = {"batch": "batch (sealed)", "speed": "speed (since)", "merged": "answer"}
    for layer, label in labels.items():
        values = (cell(opinion[layer][name]) for name in names)
        made.add_row(label, *values, style="bold" if layer == "merged" else "")
    return made
