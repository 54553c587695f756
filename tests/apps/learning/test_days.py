from __future__ import annotations

from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.apps.learning import days
from watersmeet.apps.learning.examples_days import BATCH

from . import oracle

pytestmark = pytest.mark.integration


def test_every_figure_has_an_example() -> None:
    assert [example.of.name for example in BATCH] == [q.name for q in days.batch]


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["speed", "half and half", "batch"])
def test_figures_by_layer(part: float, tmp_path: Path) -> None:
    assert list(oracle.layered(BATCH, tmp_path, part)) == []


# What the distribution rests on is a query, whose own example the reference engine answers too.
OF_VIEWS = [example for example in BATCH if example.of is not days.student_engagement_distribution]


@pytest.mark.parametrize("example", OF_VIEWS, ids=lambda example: example.title)
def test_figures_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []
