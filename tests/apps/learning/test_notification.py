from __future__ import annotations

from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.apps.learning import notification
from watersmeet.apps.learning.examples_notification import BATCH, REALTIME, TOPIC
from watersmeet.core.declarations import collect
from watersmeet.testing.kit import check

from . import oracle

pytestmark = pytest.mark.integration

WINDOW = "window_start timestamp, window_end timestamp"
COLUMNS = {
    "notification_realtime_sent_1min": f"{WINDOW}, total_sent bigint, unique_recipients bigint, unique_types bigint",
    "notification_realtime_click_rate_5min": f"{WINDOW}, notification_type varchar, sent bigint, clicked bigint, "
    "unique_users bigint, click_through_rate_pct double, sent_clicked bigint, clicks_per_sent_pct double",
    "notification_realtime_delivery_status": f"{WINDOW}, notification_id varchar, notification_type varchar, "
    "sent_count bigint, viewed_count bigint, clicked_count bigint, unique_users bigint, sent_time timestamp, "
    "first_view_time timestamp, first_click_time timestamp, time_to_view_seconds bigint, time_to_click_seconds bigint",
    "notification_realtime_engagement_metrics": f"{WINDOW}, user_id varchar, total_events bigint, "
    "notifications_received bigint, notifications_viewed bigint, notifications_clicked bigint, "
    "unique_notification_types bigint, view_rate_pct double, click_rate_pct double",
}


def test_outcomes() -> None:
    [outcome] = check(collect([TOPIC, notification.realtime[0]]), torture=1)
    assert outcome.passed, outcome.complaints


def test_every_figure_has_an_example() -> None:
    assert {example.of.name for example in [*REALTIME, *BATCH]} == {
        q.name for q in [*notification.realtime, *notification.batch]
    }


def test_columns_and_types_of_real_time_views() -> None:
    assert oracle.columns(notification.realtime) == COLUMNS


def test_published_tables_end_with_when_they_were_processed() -> None:
    oracle.check_published(notification.tables, COLUMNS)


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["speed", "half and half", "batch"])
def test_figures_by_layer(part: float, tmp_path: Path) -> None:
    assert list(oracle.layered([*REALTIME, *BATCH], tmp_path, part)) == []


@pytest.mark.parametrize("example", [*REALTIME, *BATCH], ids=lambda example: example.title)
def test_figures_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []
