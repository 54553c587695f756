from __future__ import annotations

from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.apps.learning import profile
from watersmeet.apps.learning.examples_profile import BATCH, REALTIME, TOPIC
from watersmeet.core.declarations import collect
from watersmeet.testing.kit import check

from . import oracle

pytestmark = pytest.mark.integration

WINDOW = "window_start timestamp, window_end timestamp"
COLUMNS = {
    "profile_realtime_updates_1min": f"{WINDOW}, users_updated_profile bigint, total_updates bigint, "
    "general_updates bigint, avatar_changes bigint, unique_fields_updated bigint, "
    "profiles_created bigint, password_changes bigint",
}


def test_outcomes() -> None:
    [outcome] = check(collect([TOPIC, profile.realtime[0]]), torture=1)
    assert outcome.passed, outcome.complaints


def test_every_figure_has_an_example() -> None:
    assert {example.of.name for example in [*REALTIME, *BATCH]} == {q.name for q in [*profile.realtime, *profile.batch]}


def test_columns_and_types_of_real_time_views() -> None:
    assert oracle.columns(profile.realtime) == COLUMNS


def test_published_tables_end_with_when_they_were_processed() -> None:
    oracle.check_published(profile.tables, COLUMNS)


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["speed", "half and half", "batch"])
def test_figures_by_layer(part: float, tmp_path: Path) -> None:
    assert list(oracle.layered([*REALTIME, *BATCH], tmp_path, part)) == []


@pytest.mark.parametrize("example", [*REALTIME, *BATCH], ids=lambda example: example.title)
def test_figures_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []
