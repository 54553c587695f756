from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.apps.learning import video
from watersmeet.apps.learning.examples_video import MATHS, PHYSICS, event, examples, watched
from watersmeet.core.declarations import collect
from watersmeet.testing.kit import check

from . import oracle

pytestmark = pytest.mark.integration

Row = Mapping[str, object]

OUTCOMES, FIGURES = examples[0], examples[1:]
WINDOW = "window_start timestamp, window_end timestamp"
REALTIME = {
    "video_realtime_viewers_1min": f"{WINDOW}, unique_viewers bigint, videos_watched bigint, total_events bigint, "
    "video_starts bigint, video_pauses bigint, video_completions bigint, total_watch_seconds bigint, "
    "total_watch_minutes decimal(24,2)",
    "video_realtime_watch_time_5min": f"{WINDOW}, video_id varchar, course_id varchar, unique_viewers bigint, "
    "total_watch_seconds bigint, total_watch_minutes decimal(24,2), avg_watch_seconds double, "
    "max_watch_seconds integer, view_count bigint",
    "video_realtime_engagement_rate": f"{WINDOW}, video_id varchar, starts bigint, pauses bigint, completions bigint, "
    "unique_users bigint, total_watch_seconds bigint, completion_rate_pct double, pause_rate_pct double, "
    "avg_watch_per_start double",
    "video_realtime_popular_videos": f"{WINDOW}, video_id varchar, course_id varchar, unique_viewers bigint, "
    "total_interactions bigint, total_watch_seconds bigint, starts bigint, completions bigint, "
    "completion_rate_pct double, rank bigint",
    "video_realtime_concurrent_viewers": f"{WINDOW}, video_id varchar, concurrent_viewers bigint, event_count bigint, "
    "total_watch_seconds bigint, total_watch_minutes decimal(24,2), peak_concurrent_viewers bigint",
}
BATCH = {
    "video_total_watch_time": "user_id varchar, video_id varchar, course_id varchar, total_watch_seconds bigint, "
    "total_watch_sessions bigint, avg_watch_duration_seconds double, longest_session_seconds integer, "
    "shortest_session_seconds integer, total_watch_minutes double, total_watch_hours double, watched_pct double, "
    "completion_status varchar",
    "video_student_engagement": "user_id varchar, course_id varchar, unique_videos_watched bigint, "
    "total_watch_seconds bigint, total_video_events bigint, avg_watch_duration_seconds double, "
    "total_watch_hours double",
    "video_popularity": "video_id varchar, course_id varchar, unique_viewers bigint, total_views_seconds bigint, "
    "total_view_events bigint, avg_view_duration_seconds double, total_views_hours double, total_interactions bigint, "
    "max_watch_seconds integer, completions bigint, completion_rate_pct double, rank bigint",
    "video_daily_engagement": "window_start timestamp, date varchar, course_id varchar, active_video_watchers bigint, "
    "unique_videos_watched bigint, total_watch_seconds bigint, total_watch_events bigint, total_watch_hours double",
    "video_course_metrics": "course_id varchar, total_students_watching bigint, total_videos_in_course bigint, "
    "total_course_watch_seconds bigint, total_course_watch_hours double",
    "video_student_course_summary": "user_id varchar, course_id varchar, videos_watched_count bigint, "
    "total_watch_seconds bigint, total_sessions bigint, total_watch_hours double, total_videos_in_course bigint, "
    "video_coverage_percentage decimal(5,2)",
    "video_drop_off_indicators": "video_id varchar, course_id varchar, total_views bigint, avg_watch_duration double, "
    "min_watch_duration integer, unique_viewers bigint, potential_drop_off varchar",
}


def test_outcomes() -> None:
    [outcome] = check(collect([OUTCOMES, video.viewers_1min]), torture=1)
    assert outcome.passed, outcome.complaints


def test_every_figure_has_an_example() -> None:
    assert [example.of.name for example in FIGURES] == [q.name for q in (*video.realtime, *video.batch)]


def test_columns_and_types() -> None:
    found = oracle.columns([*video.realtime, *video.batch])
    assert {name: found[name] for name in REALTIME | BATCH} == REALTIME | BATCH
    assert [q.name for q in video.realtime] == list(REALTIME)


def test_published_tables_end_with_when_they_were_processed() -> None:
    oracle.check_published(video.tables, REALTIME)
    assert [t.name for t in video.tables if t.to == "batch_views"] == [q.name for q in video.batch]


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["speed", "half and half", "batch"])
def test_figures_by_layer(part: float, tmp_path: Path) -> None:
    assert list(oracle.layered(FIGURES, tmp_path, part)) == []


@pytest.mark.parametrize("example", FIGURES, ids=lambda example: example.title)
def test_figures_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []


@pytest.mark.parametrize("query", [*video.realtime, *video.batch], ids=lambda q: q.name)
def test_of_nothing_there_is_no_row(query: wm.Query) -> None:
    assert oracle.referred(wm.Example(of=query, given={"video_topic": []}, expect=[])) == []


def test_a_minute_in_which_nothing_is_watched() -> None:
    # a sum over no viewing is null, not 0
    given = [event("SV001", "PAUSED", "12:00:00", "VID001", "w1")]
    oracle.holds(
        video.viewers_1min,
        given,
        [{"unique_viewers": 1, "video_starts": 0, "total_watch_seconds": None, "total_watch_minutes": None}],
    )
    oracle.holds(video.watch_time_5min, given, [])
    oracle.holds(video.engagement_rate, given, [])
    oracle.holds(video.popularity, given, [])


@pytest.mark.parametrize(("seconds", "length", "completions"), [(79, 100, 0), (80, 100, 1), (4, 5, 1), (500, None, 0)])
def test_a_viewing_is_complete_from_80_percent(seconds: int, length: int | None, completions: int) -> None:
    more: dict[str, object] = {} if length is None else {"video_duration_seconds": length}
    given = [watched("SV001", "12:00:00", "VID001", seconds, "w1") | more]
    expect = [{"completions": completions, "completion_rate_pct": 100 * completions}]
    oracle.holds(video.engagement_rate, given, expect)


def test_one_session_completes_once_and_two_twice() -> None:
    # w1 is complete by its length and by two words of the player, w2 by one; of three starts two: 66.67 %
    given = [
        watched("SV001", "12:00:00", "VID001", 100, "w1", video_duration_seconds=100),
        event("SV001", "COMPLETED", "12:00:00", "VID001", "w1"),
        event("SV001", "COMPLETED", "12:00:05", "VID001", "w1"),
        watched("SV001", "12:01:00", "VID001", 10, "w2", video_duration_seconds=100),
        event("SV001", "COMPLETED", "12:01:00", "VID001", "w2"),
        watched("SV001", "12:02:00", "VID001", 10, "w3", video_duration_seconds=100),
    ]
    oracle.holds(video.engagement_rate, given, [{"starts": 3, "completions": 2, "completion_rate_pct": 66.67}])


def test_ranks_by_viewers_then_by_seconds_with_ties() -> None:
    # VID004: two viewers; VID001 and VID002: one of 60 s each, which tie; VID003: one of 59 s; the next window is apart
    given = [
        watched("SV001", "12:00:00", "VID001", 60),
        watched("SV001", "12:00:10", "VID002", 60),
        watched("SV001", "12:00:20", "VID003", 59),
        watched("SV001", "12:00:30", "VID004", 1),
        watched("SV002", "12:00:40", "VID004", 1),
        watched("SV001", "12:05:00", "VID003", 1),
    ]
    expect = [
        {"video_id": name, "rank": rank}
        for name, rank in (("VID001", 2), ("VID002", 2), ("VID003", 4), ("VID004", 1), ("VID003", 1))
    ]
    oracle.holds(video.popular_videos, given, expect)


def test_a_peak_before_the_events_that_tell_of_it() -> None:
    # SV001 watches for an hour until 13:00, SV002 in the same hour for a minute until 12:30. In the windows with the
    # event of 12:30 both were there; in those with the event of 13:00 one was.
    given = [watched("SV001", "13:00:00", "VID001", 3600), watched("SV002", "12:30:00", "VID001", 60)]
    both = [{"concurrent_viewers": 1, "peak_concurrent_viewers": 2}] * 5
    one = [{"concurrent_viewers": 1, "peak_concurrent_viewers": 1}] * 5
    oracle.holds(video.concurrent_viewers, given, both + one)


def test_viewers_one_after_the_other_are_not_concurrent() -> None:
    # five in five minutes, never two at a moment: each begins a second after the last has ended
    given = [watched(f"SV00{n}", f"12:0{n}:00", "VID001", 59) for n in range(5)]
    given += [watched("SV009", "12:00:30", "VID002", 30, course=PHYSICS)]  # nor with another video
    oracle.holds(
        video.concurrent_viewers,
        given,
        [
            {
                "window_start": f"2025-12-15T{hour}:00",
                "video_id": name,
                "concurrent_viewers": n,
                "peak_concurrent_viewers": 1,
            }
            for hour, name, n in (
                ("11:56", "VID001", 1),
                ("11:56", "VID002", 1),
                ("11:57", "VID001", 2),
                ("11:57", "VID002", 1),
                ("11:58", "VID001", 3),
                ("11:58", "VID002", 1),
                ("11:59", "VID001", 4),
                ("11:59", "VID002", 1),
                ("12:00", "VID001", 5),
                ("12:00", "VID002", 1),
                ("12:01", "VID001", 4),
                ("12:02", "VID001", 3),
                ("12:03", "VID001", 2),
                ("12:04", "VID001", 1),
            )
        ],
    )


def test_a_viewing_of_no_length_is_there_for_a_moment() -> None:
    # 12:00:30 lies within the minute of SV002; 11:56 to 12:01 does not hold the event of 12:01:00, 12:01 to 12:06 only it
    given = [watched("SV001", "12:00:30", "VID001", 0), watched("SV002", "12:01:00", "VID001", 60)]
    expect = [{"concurrent_viewers": 1, "peak_concurrent_viewers": 2, "total_watch_minutes": "0.00"}]
    expect += [{"concurrent_viewers": 2, "peak_concurrent_viewers": 2, "total_watch_minutes": "1.00"}] * 4
    expect += [{"concurrent_viewers": 1, "peak_concurrent_viewers": 1, "total_watch_minutes": "1.00"}]
    oracle.holds(video.concurrent_viewers, given, expect)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [((59, 60), "High Risk"), ((60, 60), "Medium Risk"), ((179, 180), "Medium Risk"), ((180,), "Good Engagement")],
)
def test_drop_off_by_the_exact_mean(seconds: tuple[int, ...], said: str) -> None:
    # means of 59.5, 60, 179.5 and 180 s
    given = [watched(f"SV00{n}", "12:00:00", "VID001", length) for n, length in enumerate(seconds)]
    oracle.holds(video.drop_off_indicators, given, [{"potential_drop_off": said}])


@pytest.mark.parametrize(
    ("seconds", "status", "pct"),
    [(80, "Completed", 80), (79, "In Progress", 79), (50, "In Progress", 50), (49, "At Risk", 49)],
)
def test_how_far_a_student_came(seconds: int, status: str, pct: int) -> None:
    # in two viewings of a video of 100 s, the length of which only the later one tells
    given = [
        watched("SV001", "12:00:00", "VID001", 40),
        watched("SV001", "12:05:00", "VID001", seconds - 40, video_duration_seconds=100),
    ]
    oracle.holds(video.total_watch_time, given, [{"watched_pct": pct, "completion_status": status}])


def test_coverage_of_a_course_is_of_what_anybody_watched_in_it() -> None:
    # SV001 one of the three videos of maths: 33.33 %, rounded; physics, with the same videos, is apart
    given = [
        watched("SV001", "12:00:00", "VID001", 1),
        watched("SV002", "12:00:00", "VID002", 1),
        watched("SV002", "12:00:01", "VID003", 1),
        watched("SV001", "12:00:02", "VID003", 1, course=PHYSICS),
    ]
    expect = [
        {"user_id": user, "course_id": course, "total_videos_in_course": videos, "video_coverage_percentage": covered}
        for user, course, videos, covered in (
            ("SV001", MATHS, 3, "33.33"),
            ("SV001", PHYSICS, 1, "100.00"),
            ("SV002", MATHS, 3, "66.67"),
        )
    ]
    oracle.holds(video.student_course_summary, given, expect)
