"""A demo's picture of what is going on, and its summary as a document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from watersmeet.layers.status import Status

from .output import cell
from .stage import Figures, Stage, table


@dataclass
class Picture:
    """What is shown at one moment.

    Args:
        status: of the node.
        figures: of the app.
        dead: topic -> reason -> how many dead letters.
        freshness_seconds: age of the newest record in the answers, in real seconds.
    """

    status: Status
    figures: Figures = field(default_factory=Figures)
    dead: dict[str, dict[str, int]] = field(default_factory=dict)
    freshness_seconds: float | None = None


def look(stage: Stage) -> Picture:
    """Ask the reader for everything that the board shows."""
    node = stage.node
    status = node.status()
    ages = [t.freshness_seconds for t in status.topics if t.freshness_seconds is not None]
    dead = {t.name: node.repair.reasons(t.name) for t in status.topics if t.dead}
    return Picture(status, stage.look(node), dead, min(ages) / stage.factor if ages else None)


def draw(picture: Picture, stage: Stage, *, url: str, first_seconds: float | None) -> RenderableType:
    """The board."""
    head = _head(picture, stage, url, first_seconds)
    return Group(head, *picture.figures.tables, _ledger_table(picture), _audit_line(picture))


def _head(picture: Picture, stage: Stage, url: str, first_seconds: float | None) -> RenderableType:
    text = Text()
    text.append("watersmeet demo", style="bold")
    text.append(f" · {stage.headline}")
    if stage.factor > 1:
        text.append(f" · 1 s shows {stage.factor / 60:.0f} min")
    if picture.freshness_seconds is not None:
        text.append(f" · newest record in the answers is {picture.freshness_seconds:.2f} s old")
    if first_seconds is not None:
        text.append(f" · first merged answer after {first_seconds:.1f} s")
    if url:
        text.append(f"\nAPI {url}", style="cyan")
    return text


def _ledger_table(picture: Picture) -> RenderableType:
    names = ("received", "used", "duplicates", "dead", "filtered", "holes", "late")
    made = table("Ledger: every record has one outcome", "topic", *names, "balanced", "unread", "epochs")
    for topic in picture.status.topics:
        facts = asdict(topic)
        epochs = f"{topic.published}/{topic.epochs}"
        made.add_row(
            topic.name, *(cell(facts[n]) for n in names), "yes" if topic.balanced else "NO", cell(topic.unread), epochs
        )
    reasons = "; ".join(
        f"{t}: " + ", ".join(f"{n} {r}" for r, n in sorted(why.items())) for t, why in picture.dead.items()
    )
    return Group(made, Text(f"dead letters  {reasons}" if reasons else "", style="dim"))


def _audit_line(picture: Picture) -> RenderableType:
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
        "app": stage.app,
        **stage.facts,
        "seconds": round(seconds, 2),
        "event_seconds_per_second": stage.factor,
        "first_answer_seconds": None if first_seconds is None else round(first_seconds, 2),
        "freshness_seconds": picture.freshness_seconds,
        "api": url,
        "ledger": totals,
        "ledger_by_topic": {t.name: {n: asdict(t)[n] for n in names} for t in status.topics},
        "dead_letters": picture.dead,
        "disturbed_on_purpose": stage.disturbed(),
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
        **picture.figures.document,
        "simulated": list(stage.simulated),
    }
