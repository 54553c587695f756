from __future__ import annotations

from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.apps.learning import overview
from watersmeet.apps.learning.examples_overview import BATCH

from . import oracle

pytestmark = pytest.mark.integration


def test_every_figure_has_an_example() -> None:
    assert [example.of.name for example in BATCH] == [q.name for q in overview.batch]


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["speed", "half and half", "batch"])
def test_figures_by_layer(part: float, tmp_path: Path) -> None:
    assert list(oracle.layered(BATCH, tmp_path, part)) == []


@pytest.mark.parametrize("example", BATCH, ids=lambda example: example.title)
def test_figures_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []
