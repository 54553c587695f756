from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import watersmeet as wm
from watersmeet.apps.learning import auth
from watersmeet.apps.learning.examples_auth import DATE, at, event, examples
from watersmeet.core.declarations import collect
from watersmeet.testing.kit import check

from . import oracle

pytestmark = pytest.mark.integration

Row = Mapping[str, object]

OUTCOMES, FIGURES = examples[0], examples[1:]
WINDOW = "window_start timestamp, window_end timestamp"
REALTIME = {
    "auth_realtime_active_users_1min": f"{WINDOW}, active_users bigint, total_events bigint, login_count bigint, "
    "logout_count bigint",
    "auth_realtime_active_users_5min": f"{WINDOW}, active_users bigint, total_events bigint, login_count bigint, "
    "logout_count bigint, register_count bigint",
    "auth_realtime_login_rate": f"{WINDOW}, total_logins bigint, successful_logins bigint, failed_logins bigint, "
    "unique_users bigint, success_rate_pct double",
    "auth_realtime_session_activity": f"{WINDOW}, user_id varchar, event_count bigint, first_event timestamp, "
    "last_event timestamp, logins bigint, logouts bigint, session_duration_seconds bigint, sessions_ended bigint, "
    "true_session_seconds bigint",
    "auth_realtime_failed_logins": f"{WINDOW}, user_id varchar, failed_attempt_count bigint, "
    "first_failed_attempt timestamp, last_failed_attempt timestamp",
}
BATCH = {
    "auth_daily_active_users": "window_start timestamp, date varchar, daily_active_users bigint, total_sessions bigint",
    "auth_hourly_login_patterns": "window_start timestamp, date varchar, hour integer, login_count bigint",
    "auth_user_session_metrics": "user_id varchar, total_sessions bigint, avg_session_duration_minutes double, "
    "min_session_duration_minutes double, max_session_duration_minutes double, total_time_online_minutes double",
    "auth_user_activity_summary": "user_id varchar, role varchar, total_logins bigint, total_logouts bigint, "
    "first_activity timestamp, last_activity timestamp, unique_sessions bigint, total_events bigint",
    "auth_registration_analytics": "window_start timestamp, date varchar, registration_source varchar, role varchar, "
    "new_signups bigint",
}


def test_outcomes() -> None:
    [outcome] = check(collect([OUTCOMES, auth.active_users_1min]), torture=1)
    assert outcome.passed, outcome.complaints


def test_every_figure_has_an_example() -> None:
    assert [example.of.name for example in FIGURES] == [q.name for q in (*auth.realtime, *auth.batch)]


def test_columns_and_types() -> None:
    found = oracle.columns([*auth.realtime, *auth.batch])
    assert {name: found[name] for name in REALTIME | BATCH} == REALTIME | BATCH
    assert [q.name for q in auth.realtime] == list(REALTIME)


def test_published_tables_end_with_when_they_were_processed() -> None:
    oracle.check_published(auth.tables, REALTIME)
    assert [t.name for t in auth.tables if t.to == "batch_views"] == [q.name for q in auth.batch]


@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["speed", "half and half", "batch"])
def test_figures_by_layer(part: float, tmp_path: Path) -> None:
    assert list(oracle.layered(FIGURES, tmp_path, part)) == []


@pytest.mark.parametrize("example", FIGURES, ids=lambda example: example.title)
def test_figures_by_the_reference_engine(example: wm.Example) -> None:
    assert oracle.referred(example) == []


@pytest.mark.parametrize("query", [*auth.realtime, *auth.batch], ids=lambda q: q.name)
def test_of_nothing_there_is_no_row(query: wm.Query) -> None:
    assert oracle.referred(wm.Example(of=query, given={"auth_topic": []}, expect=[])) == []


def test_a_minute_in_which_every_login_fails() -> None:
    # 0 of 2: 0 %, not null; and the minute in which somebody leaves has no rate at all
    given = [
        event("SV001", "LOGIN", "12:00:00", success=False),
        event("SV001", "LOGIN", "12:00:59", success=False),
        event("SV001", "LOGOUT", "12:01:00", "s1"),
    ]
    oracle.holds(auth.login_rate, given, [{"total_logins": 2, "failed_logins": 2, "success_rate_pct": 0.0}])


def test_a_window_holds_its_start_and_not_its_end() -> None:
    given = [event("SV001", "LOGIN", "12:05:00", "s1"), event("SV002", "LOGIN", "12:04:59", "s2")]
    expect = [{"window_start": at(f"12:0{m}:00") * 1000, "active_users": 1} for m in (0, 5)]
    oracle.holds(auth.active_users_5min, given, expect)


def test_a_session_that_began_before_the_window() -> None:
    # in at 09:00:00, out at 12:00:00: three hours, 10800 s, though the user's only event of the window is the LOGOUT
    given = [event("SV001", "LOGIN", "09:00:00", "s1"), event("SV001", "LOGOUT", "12:00:00", "s1")]
    began = [{"logins": 1, "logouts": 0, "sessions_ended": 0, "true_session_seconds": None}] * 5
    ended = [
        {"logins": 0, "logouts": 1, "session_duration_seconds": 0, "sessions_ended": 1, "true_session_seconds": 10800}
    ] * 5
    oracle.holds(auth.session_activity, given, [*began, *ended])


def test_the_longest_of_the_sessions_that_end_in_a_window() -> None:
    # SV001 is out of s1 after 120 s and of s2 after 60 s, both in 12:02, which is in the windows from 11:58; SV002 of
    # s3 after 30 s, which is nobody else's
    given = [
        event("SV001", "LOGIN", "12:00:00", "s1"),
        event("SV001", "LOGIN", "12:01:30", "s2"),
        event("SV001", "LOGOUT", "12:02:00", "s1"),
        event("SV001", "LOGOUT", "12:02:30", "s2"),
        event("SV002", "LOGIN", "12:02:10", "s3"),
        event("SV002", "LOGOUT", "12:02:40", "s3"),
    ]
    before = [{"user_id": "SV001", "sessions_ended": 0, "true_session_seconds": None}] * 2
    both = [
        {"user_id": "SV001", "sessions_ended": 2, "true_session_seconds": 120},
        {"user_id": "SV002", "sessions_ended": 1, "true_session_seconds": 30},
    ] * 5
    oracle.holds(auth.session_activity, given, [*before, *both])


def test_a_failed_login_opens_no_session() -> None:
    given = [
        event("SV001", "LOGIN", "12:00:00", "s1", success=False),
        event("SV001", "LOGIN", "12:01:00", "s1", success=True),
        event("SV001", "LOGOUT", "12:02:00", "s1"),
    ]
    oracle.holds(auth.user_session_metrics, given, [{"user_id": "SV001", "total_time_online_minutes": 1.0}])


@pytest.mark.parametrize(("days", "sessions"), [(6, 1), (7, 0)])
def test_a_session_silent_for_seven_days_is_not_paired(days: int, sessions: int) -> None:
    given = [event("SV001", "LOGIN", "00:00:00", "s1"), event("SV001", "LOGOUT", f"{24 * days}:00:00", "s1")]
    oracle.holds(
        auth.user_session_metrics, given, [{"user_id": "SV001", "total_time_online_minutes": 1440.0 * days}] * sessions
    )


def test_a_session_without_a_logout_stays_open_for_seven_days() -> None:
    # s1 is as old as the newest event less seven days: over; s2 a second younger
    given = [
        event("SV001", "LOGIN", "12:00:00", "s1"),
        event("SV002", "LOGIN", "12:00:01", "s2"),
        event("GV001", "LOGIN", "180:00:00", "s3"),
        event("GV001", "LOGOUT", "180:00:00", "s3"),
    ]
    oracle.holds(auth.open_sessions, given, [{"role": "student", "open_sessions": 1, "users": 1}])


def test_sources_of_accounts_are_counted_apart() -> None:
    given = [
        event("SV001", "SIGNUP", "12:00:00", email="a@b", registration_source="web"),
        event("SV002", "SIGNUP", "12:00:01", email="a@b", registration_source="web"),
        event("GV001", "SIGNUP", "12:00:02", email="a@b", registration_source="web"),
        event("GV002", "SIGNUP", "12:00:03", email="a@b", registration_source="admin"),
    ]
    expect = [
        {"date": DATE, "registration_source": source, "role": role, "new_signups": n}
        for source, role, n in (("admin", "teacher", 1), ("web", "student", 2), ("web", "teacher", 1))
    ]
    oracle.holds(auth.registration_analytics, given, expect)
