"""What is out of the ordinary and what is not, worked out by hand."""

from __future__ import annotations

import watersmeet as wm

from .alerts import engagement_lately, grading_backlog, sessions_now, viewers_lately
from .anomalies import drop_off_baseline, enrolment_baseline, failed_login_baseline, submission_baseline
from .detector import anomalies, learned_anomalies
from .sample import at, event


def _weeks(category: str, kind: str, **more: object) -> list[dict[str, object]]:
    """One event of SV001 at noon in each of two weeks, then twelve in the same hour of the third."""
    days = [(0, 1), (7, 1), (14, 12)]
    return [
        event(category, f"{day}-{n}", f"12:{n:02d}:00", kind, "SV001", days=day, **more)
        for day, count in days
        for n in range(count)
    ]


def _judged(expected: float, score: float, reason: str, noun: str) -> list[dict[str, object]]:
    """Two weeks that nobody can judge, then an anomaly."""
    return [
        {"observed": 1, "expected": None, "is_anomaly": False, "reason": f"1 {noun}; only 0 weeks of history"},
        {"observed": 1, "expected": None, "is_anomaly": False, "reason": f"1 {noun}; only 1 weeks of history"},
        {
            "observed": 12,
            "expected": expected,
            "score": score,
            "is_anomaly": True,
            "reason": f"12 {noun}, {reason}",
            "previous": 0,
            "together": 12,
        },
    ]


_WORK = {"assignment_id": "A1", "course_id": "C1", "file_url": "f"}
_VIEWING = {"video_id": "V1", "course_id": "C1", "session_id": "s", "video_duration_seconds": 600}
_OFTEN = "1.0 expected from 2 weeks before: 11.0 spreads of 1.0 away"  # the median of 1 and 1; the spread is its root

_VERDICT: dict[str, object] = {
    "anomaly_id": "isolation_forest/enrolments/1/C1",
    "detector": "isolation_forest",
    "kind": "enrolments",
    "dimension": "C1",
    "starts_at": at("12:00:00"),
    "ends_at": at("13:00:00"),
    "observed": 60,
    "score": 0.8,
    "threshold": 0.7,
    "is_anomaly": True,
    "model_version": "1",
    "reason": "observed: 7.75, in training 2.00 with a spread of 0.50",
}

_SUBMITTED = [
    event(
        "ASSESSMENT",
        f"{n}",
        f"12:0{n}:00",
        "SUBMIT_ASSIGNMENT",
        f"SV00{n}",
        assignment_id=f"A{n % 2}",
        course_id="C1",
        file_url="f",
    )
    for n in range(3)
]
_WATCHED = [
    event("VIDEO", video, clock, "VIDEO_WATCHED", "SV001", watch_duration_seconds=30, **{**_VIEWING, "video_id": video})  # type: ignore[arg-type]  # fields
    for video, clock in (("V1", "12:00:30"), ("V2", "12:07:00"))
]

examples = [
    wm.Example(
        of=failed_login_baseline,
        given=_weeks("AUTH", "LOGIN", success=False),
        expect=_judged(1, 11, _OFTEN, "failed logins"),
    ),
    wm.Example(
        of=submission_baseline,
        given=_weeks("ASSESSMENT", "SUBMIT_ASSIGNMENT", **_WORK),
        expect=_judged(1, 11, _OFTEN, "submissions"),
    ),
    wm.Example(
        of=enrolment_baseline,
        given=_weeks("COURSE", "COURSE_ENROLLED", course_id="C1"),
        expect=_judged(1, 11, _OFTEN, "enrolments"),
    ),
    # of two viewings two were left, with the twenty and one beside them 3 of 22: of twelve 1.64 are expected, with a
    # spread of the root of 1.64 · 19/22 = 1.19
    wm.Example(
        of=drop_off_baseline,
        given=_weeks("VIDEO", "VIDEO_WATCHED", watch_duration_seconds=60, **_VIEWING),
        expect=_judged(
            1.64, 8.72, "1.6 expected from 2 weeks before: 8.7 spreads of 1.2 away", "viewings left at once"
        ),
    ),
    # a repeat is a copy, whatever it says
    wm.Example(
        of=learned_anomalies,
        given=[_VERDICT, {**_VERDICT, "score": 0.9, "model_version": "2"}],
        expect=[{"windows": 1, "anomalies": 1, "highest_score": 0.8, "model_version": "1"}],
    ),
    wm.Example(
        of=anomalies,
        given=[_VERDICT, _VERDICT, {**_VERDICT, "anomaly_id": "x", "ends_at": at("12:00:00")}],
        expect=[{"used": 1, "duplicates": 1, "dead": 1, "filtered": 0}],
    ),
    wm.Example(
        of=sessions_now,
        given={
            "auth_topic": [
                event("AUTH", "a", "12:00:00", "LOGIN", "SV001", session_id="1"),
                event("AUTH", "b", "12:00:10", "LOGIN", "GV001", session_id="2"),
                event("AUTH", "c", "12:00:20", "LOGIN", "SV002", session_id="3"),
                event("AUTH", "d", "12:00:30", "LOGOUT", "SV002", session_id="3"),
            ]
        },
        expect=[{"scope": "campus", "open_sessions": 2}],
    ),
    wm.Example(
        of=grading_backlog,
        given={"assessment_topic": _SUBMITTED},
        expect=[{"pending_grading": 3, "assignments": 2}],
    ),
    # the clock stands at 12:07: of V2 nothing is over yet
    wm.Example(
        of=viewers_lately,
        given={"video_topic": _WATCHED},
        expect=[{"video_id": "V1", "concurrent_viewers": 1, "peak_concurrent_viewers": 1}] * 5,
    ),
    wm.Example(
        of=engagement_lately,
        given={"video_topic": _WATCHED},
        expect=[{"video_id": "V1", "starts": 1, "completions": 0, "completion_rate_pct": 0}],
    ),
]
