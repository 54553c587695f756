"""The app as a whole: what it promises is there, under the names that readers know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.core.declarations import Declarations
from watersmeet.core.view import View
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.runtime.loading import App, load

pytestmark = pytest.mark.integration

REALTIME = """
auth_realtime_active_users_1min auth_realtime_active_users_5min auth_realtime_login_rate auth_realtime_session_activity
auth_realtime_failed_logins assessment_realtime_submissions_1min assessment_realtime_active_students
assessment_realtime_quiz_attempts assessment_realtime_grading_queue assessment_realtime_submission_rate
video_realtime_viewers_1min video_realtime_watch_time_5min video_realtime_engagement_rate video_realtime_popular_videos
video_realtime_concurrent_viewers course_realtime_active_courses_1min course_realtime_enrollment_rate
course_realtime_material_access_5min course_realtime_download_activity course_realtime_engagement_metrics
profile_realtime_updates_1min notification_realtime_sent_1min notification_realtime_click_rate_5min
notification_realtime_delivery_status notification_realtime_engagement_metrics
""".split()  # noqa: SIM905  # names are read more easily so
BATCH = """
auth_daily_active_users auth_hourly_login_patterns auth_user_session_metrics auth_user_activity_summary
auth_registration_analytics assessment_student_submissions assessment_engagement_timeline assessment_quiz_performance
assessment_grading_stats assessment_teacher_workload assessment_submission_distribution
assessment_student_overall_performance video_total_watch_time video_student_engagement video_popularity
video_daily_engagement video_course_metrics video_student_course_summary video_drop_off_indicators
course_enrollment_stats course_material_access course_material_popularity course_download_analytics
course_resource_download_stats course_activity_summary course_daily_engagement course_overall_metrics
profile_update_frequency profile_field_changes profile_avatar_changes profile_daily_activity
notification_delivery_stats notification_engagement notification_click_through_rate notification_user_preferences
notification_daily_activity notification_user_summary
course_overview student_overview student_course_enrollment student_course_detailed
""".split()  # noqa: SIM905  # names are read more easily so


def row(declared: Declarations, name: str) -> str:
    """What the document says of a view: what it rests on, whether it counts distinct values, which test shows it."""
    of = declared.readables[name]
    roots = (of,) if isinstance(of, View) else of.views
    named = sorted({root.of.name if root.of else root.name for root in roots})
    text = "" if isinstance(of, View) else of.sql
    counts = sorted(
        (measure, kind.lifts[0].size)
        for root in roots
        for measure, kind in root.measures.items()
        if kind.kind == "distinct" and (isinstance(of, View) or re.search(rf"\b{measure}\b|select \*|\.\*", text))
    )
    sizes = {size for _, size in counts}
    exact = "none" if not counts else "exact" if sizes == {0} else f"exact up to {max(sizes):,} in a cell"
    module = name.partition("_")[0]
    test = f"test_{module}.py" if module not in ("student",) and name != "course_overview" else "test_overview.py"
    return f"| {name} | {', '.join(named)} | {exact} | {test} |"


@pytest.fixture(scope="module")
def app() -> App:
    return load("watersmeet.apps.learning")


def test_every_view_is_served_and_published_by_its_name(app: App) -> None:
    assert (len(REALTIME), len(BATCH)) == (25, 41)
    declared = app.declarations
    for names, destination in ((REALTIME, "realtime_views"), (BATCH, "batch_views")):
        for name in names:
            assert name in declared.readables
            assert (declared.tables[name].of, declared.tables[name].to) == (declared.readables[name], destination)


def test_every_expression_has_a_type(app: App) -> None:
    bound = ColumnarEngine(threads=1).bind(app.declarations)
    assert bound.keys() >= {*REALTIME, *BATCH}


def test_every_view_has_an_example(app: App) -> None:
    shown = {example.of.name for example in app.declarations.examples if not isinstance(example.of, wm.Topic)}
    assert {*REALTIME, *BATCH} <= shown


def test_the_document_says_what_each_view_rests_on(app: App) -> None:
    document = (Path(__file__).parents[3] / "docs" / "learning.md").read_text()
    missing = [line for name in (*REALTIME, *BATCH) if (line := row(app.declarations, name)) not in document]
    assert missing == []
    tests = Path(__file__).parent
    assert all(
        (tests / line.split(" | ")[-1].removesuffix(" |")).is_file()
        for line in document.splitlines()
        if line.startswith("| ") and line.endswith(".py |")
    )
