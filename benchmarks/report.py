"""Figures and what was hoped for, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured number.

    Args:
        part: which measurement it belongs to.
        name: what was measured.
        value: how much.
        unit: of the value.
        target: what was hoped for; None where nothing was.
        at_most: the target is an upper bound, not a lower one.
        beside: what it must be read with: sums, repeats, conditions.
    """

    part: str
    name: str
    value: float
    unit: str = ""
    target: float | None = None
    at_most: bool = False
    beside: Mapping[str, object] = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        """Whether the target was reached; None without one."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def line(figure: Figure) -> str:
    """The figure as a row of the table."""
    goal = ""
    if figure.target is not None:
        sign = "≤" if figure.at_most else "≥"
        goal = f"{sign} {_number(figure.target)} {'reached' if figure.reached else 'MISSED'}"
    beside = "  ".join(f"{name} {_shown(value)}" for name, value in figure.beside.items())
    return f"  {figure.name:<46} {_number(figure.value):>12} {figure.unit:<10} {goal:<17} {beside}".rstrip()


def write(path: Path, figures: Sequence[Figure], facts: Mapping[str, object]) -> None:
    """Keep a run."""
    found = [{**asdict(figure), "reached": figure.reached} for figure in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**facts, "figures": found}, indent=1, default=str) + "\n", encoding="utf-8")


def _shown(value: object) -> str:
    return _number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _number(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.4f}"
