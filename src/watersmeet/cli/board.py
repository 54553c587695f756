"""The demo's picture of what is going on, and its summary as a document."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import pyarrow as pa
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from watersmeet.core.engine import Order
from watersmeet.core.errors import PendingError
from watersmeet.core.reader import Layer, Request
from watersmeet.layers.status import Status

from .output import cell
from .stage import SIMULATED, Stage

Row = dict[str, object]
SHOWN = 8
OPINION = ["movie_id", "review_count", "avg_sentiment", "positive_count", "negative_count", "neutral_count"]


@dataclass
class Picture:
    """What is shown at one moment.

    Args:
        status: of the node.
        trending: the newest hour's leading films.
        leading: the films with most reviews, as long as nothing is trending.
        opinion: merged, batch and speed figures of one film.
        dead: topic -> reason -> how many dead letters.
        freshness_seconds: age of the newest record in the answers, in real seconds.
    """

    status: Status
    trending: list[Row] = field(default_factory=list)
    leading: list[Row] = field(default_factory=list)
    opinion: dict[Layer, Row] = field(default_factory=dict)
    title: str = ""
    dead: dict[str, dict[str, int]] = field(default_factory=dict)
    freshness_seconds: float | None = None

    @property
    def is_answered(self) -> bool:
        """Whether some merged answer has rows."""
        return bool(self.trending or self.leading)


def look(stage: Stage) -> Picture:
    """Ask the reader for everything that the board shows."""
    node = stage.node
    status = node.status()
    ages = [t.freshness_seconds for t in status.topics if t.freshness_seconds is not None]
    picture = Picture(status, freshness_seconds=min(ages) / stage.factor if ages else None)
    picture.dead = {t.name: node.repair.reasons(t.name) for t in status.topics if t.dead}
    with contextlib.suppress(PendingError):  # the first slice of a topic is not there yet; the next look has it
        picture.trending = _trending(stage)
    with contextlib.suppress(PendingError):
        picture.leading = [] if picture.trending else _leading(stage)
        picture.opinion, picture.title = _opinion(stage)
    return picture


def _leading(stage: Stage) -> list[Row]:
    answer = stage.node.reader.read(Request("sentiment_now", order=(Order("review_count", True),), limit=SHOWN))
    rows: list[Row] = pa.table(answer.rows).to_pylist()
    return rows


def _trending(stage: Stage) -> list[Row]:
    answer = stage.node.reader.read(Request("trending", order=(Order("hour", True), Order("rank")), limit=SHOWN))
    rows: list[Row] = pa.table(answer.rows).to_pylist()
    return [row for row in rows if row["hour"] == rows[0]["hour"]]


def _opinion(stage: Stage) -> tuple[dict[Layer, Row], str]:
    """The film with most reviews to which both layers contribute, as each layer and both together see it."""
    view = stage.node.declarations().views["review_sentiments"].at(None)
    found: dict[Layer, dict[object, Row]] = {}
    layers: tuple[Layer, ...] = ("merged", "batch", "speed")
    for layer in layers:
        answer = stage.node.reader.read(Request(view, layer=layer))
        rows = pa.table(answer.rows).select(OPINION).to_pylist()
        found[layer] = {row["movie_id"]: row for row in rows}
    both = found["batch"].keys() & found["speed"].keys() & found["merged"].keys()
    if not both:
        return {}, ""
    movie = max(both, key=lambda m: (int(str(found["merged"][m]["review_count"])), str(m)))
    films = stage.node.reader.read(Request("films"))
    titles = {row["movie_id"]: row["title"] for row in pa.table(films.rows).to_pylist()}
    return {layer: found[layer][movie] for layer in layers}, str(titles.get(movie) or movie)


def draw(picture: Picture, stage: Stage, *, url: str, first_seconds: float | None) -> RenderableType:
    """The board."""
    parts: list[RenderableType] = [_head(picture, stage, url, first_seconds), _trending_table(picture)]
    if picture.opinion:
        parts.append(_opinion_table(picture))
    parts += [_ledger_table(picture), _audit_line(picture, stage)]
    return Group(*parts)


def _head(picture: Picture, stage: Stage, url: str, first_seconds: float | None) -> RenderableType:
    text = Text()
    text.append("watersmeet demo", style="bold")
    text.append(f" · {stage.films:,} films · 1 s shows {stage.factor / 60:.0f} min" if stage.films else " · live TMDB")
    if picture.freshness_seconds is not None:
        text.append(f" · newest record in the answers is {picture.freshness_seconds:.2f} s old")
    if first_seconds is not None:
        text.append(f" · first merged answer after {first_seconds:.1f} s")
    if url:
        text.append(f"\nAPI {url}", style="cyan")
    return text


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", show_edge=False, pad_edge=False, expand=False)
    for place, name in enumerate(columns):
        table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True, overflow="ellipsis")
    return table


def _trending_table(picture: Picture) -> RenderableType:
    hour = f", hour of {picture.trending[0]['hour']:%a %H:%M}" if picture.trending else ""
    table = _table(f"Trending now{hour}", "film", "score", "velocity/h", "acceleration")
    for row in picture.trending:
        title = str(row["title"] or f"film {row['movie_id']}")
        table.add_row(title[:44], cell(row["trending_score"]), cell(row["velocity"]), cell(row["acceleration"]))
    if picture.trending:
        return table
    table = _table("Most discussed (a velocity needs two polls of a film)", "film", "reviews", "sentiment", "label")
    for row in picture.leading:
        title = str(row["title"] or f"film {row['movie_id']}")
        table.add_row(title[:44], cell(row["review_count"]), cell(row["avg_sentiment"]), cell(row["label"]))
    return table


def _opinion_table(picture: Picture) -> RenderableType:
    names = ("review_count", "avg_sentiment", "positive_count", "neutral_count", "negative_count")
    table = _table(f"What people say of {picture.title}", "layer", "reviews", "sentiment", "+", "0", "−")
    labels = {"batch": "batch (sealed)", "speed": "speed (since)", "merged": "answer"}
    for layer in ("batch", "speed", "merged"):
        row = picture.opinion[layer]
        table.add_row(labels[layer], *(cell(row[n]) for n in names), style="bold" if layer == "merged" else "")
    return table


def _ledger_table(picture: Picture) -> RenderableType:
    names = ("received", "used", "duplicates", "dead", "filtered", "holes", "late")
    table = _table("Ledger: every record has one outcome", "topic", *names, "balanced", "unread", "epochs")
    for topic in picture.status.topics:
        facts = asdict(topic)
        epochs = f"{topic.published}/{topic.epochs}"
        table.add_row(
            topic.name, *(cell(facts[n]) for n in names), "yes" if topic.balanced else "NO", cell(topic.unread), epochs
        )
    reasons = "; ".join(
        f"{t}: " + ", ".join(f"{n} {r}" for r, n in sorted(why.items())) for t, why in picture.dead.items()
    )
    return Group(table, Text(f"dead letters  {reasons}" if reasons else "", style="dim"))


def _audit_line(picture: Picture, stage: Stage) -> RenderableType:
    status = picture.status
    if status.match_rate is None:
        return Panel("audit: no epoch published yet", expand=False)
    agreed = status.mismatches == 0
    text = (
        f"audit: batch = speed in {status.match_rate:.2%} of {status.audited_cells:,} cells"
        f" over {status.audited_epochs} epochs"
    )
    return Panel(Text(text, style="green" if agreed else "bold red"), expand=False)


def summary(
    picture: Picture, stage: Stage, *, seconds: float, first_seconds: float | None, url: str
) -> dict[str, object]:
    """The demo's result as one document."""
    status = picture.status
    totals: Mapping[str, object] = {**asdict(status.ledger), "balanced": status.balanced}
    names = [*asdict(status.ledger), "balanced", "unread"]
    return {
        "app": "movies",
        "films": stage.films,
        "live": stage.live,
        "seconds": round(seconds, 2),
        "event_seconds_per_second": stage.factor,
        "first_answer_seconds": None if first_seconds is None else round(first_seconds, 2),
        "freshness_seconds": picture.freshness_seconds,
        "api": url,
        "ledger": totals,
        "ledger_by_topic": {t.name: {n: asdict(t)[n] for n in names} for t in status.topics},
        "dead_letters": picture.dead,
        "disturbed_on_purpose": {
            topic: {name: getattr(count, name) for name in count.__struct_fields__}
            for topic, count in stage.noise().items()
        },
        "epochs": {
            "published": sum(t.published for t in status.topics),
            "by_topic": {t.name: {"sealed": t.epochs, "published": t.published} for t in status.topics},
        },
        "audit": {
            "match_rate": status.match_rate,
            "cells": status.audited_cells,
            "epochs": status.audited_epochs,
            "mismatches": status.mismatches,
        },
        "answer": {
            "view": "review_sentiments",
            "film": picture.title,
            **{str(layer): row for layer, row in picture.opinion.items()},
        },
        "trending": picture.trending,
        "simulated": list(SIMULATED) if stage.films else [],
    }
