from __future__ import annotations

from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.apps.learning import course
from watersmeet.apps.learning.examples_course import BATCH, REALTIME, TOPIC
from watersmeet.core.declarations import collect
from watersmeet.testing.kit import check

from . import oracle

pytestmark = pytest.mark.integration

WINDOW = "window_start timestamp, window_end timestamp"
COLUMNS = {
    "course_realtime_active_courses_1min": f"{WINDOW}, active_courses bigint, active_students bigint, "
    "total_interactions bigint, enrollments bigint, material_accesses bigint, downloads bigint",
    "course_realtime_enrollment_rate": f"{WINDOW}, course_id varchar, enrollment_count bigint, unique_students bigint, "
    "enrollments_per_minute decimal(24,2)",
    "course_realtime_material_access_5min": f"{WINDOW}, course_id varchar, material_id varchar, "
    "unique_students bigint, access_count bigint, accesses_per_minute decimal(24,2)",
    "course_realtime_download_activity": f"{WINDOW}, course_id varchar, resource_id varchar, "
    "unique_downloaders bigint, download_count bigint, downloads_per_minute decimal(24,2)",
    "course_realtime_engagement_metrics": f"{WINDOW}, course_id varchar, active_students bigint, "
    "total_interactions bigint, distinct_actions bigint, enrollments bigint, material_accesses bigint, "
    "downloads bigint, unique_materials_accessed bigint, unique_resources_downloaded bigint, "
    "avg_interactions_per_student double",
}


def test_outcomes() -> None:
    [outcome] = check(collect([TOPIC, course.realtime[0]]), torture=1)
    assert outcome.passed, outcome.complaints


def test_every_figure_has_an_example() -> None:
    assert {example.of.name for example in [*REALTIME, *BATCH]} == {q.name for q in [*course.realtime, *course.batch]}


def test_columns_and_types_of_real_time_views() -> None:
    assert oracle.columns(course.realtime) == COLUMNS


def test_published_tables_end_with_when_they_were_processed() -> None:
    oracle.check_published(course.tables, COLUMNS)


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["speed", "half and half", "batch"])
def test_figures_by_layer(part: float, tmp_path: Path) -> None:
    assert list(oracle.layered([*REALTIME, *BATCH], tmp_path, part)) == []


@pytest.mark.parametrize("example", [*REALTIME, *BATCH], ids=lambda example: example.title)
def test_figures_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []
