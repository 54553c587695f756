"""When somebody must be told: limits that are crossed, and what is out of the ordinary.

Critical is what cannot wait until morning: somebody guesses passwords, or the campus is full. Each alert looks at the
last minutes only, so that it is over once they are quiet. A count needs no whole window: it only grows, so what exceeds
a limit early does so for good. A share, and what is counted over overlapping windows, is judged once a window is over;
a share only of `LEAST_STARTS` or more.
"""

from __future__ import annotations

import watersmeet as wm

from .anomalies import BASELINES
from .assessment import grading_queue, submissions_1min
from .auth import failed_logins, login_rate, open_sessions
from .course import enrollment_rate, material_access
from .detector import learned_anomalies
from .video import concurrent_viewers, engagement_rate

LEAST_STARTS = 20

sessions_now = wm.Query(
    "auth_sessions_now",
    inputs={"sessions": open_sessions},
    key=["scope"],
    sql="select 'campus' as scope, sum(open_sessions)::bigint as open_sessions from sessions",
)
grading_backlog = wm.Query(
    "assessment_grading_backlog",
    inputs={"queue": grading_queue},
    key=["window_start"],
    time="window_start",
    sql="""
    select window_start, window_end, sum(pending_grading)::bigint as pending_grading,
           count(*) filter (where pending_grading > 0) as assignments
    from queue group by all""",
)
viewers_lately = wm.Query(
    "video_viewers_lately",
    inputs={"viewers": concurrent_viewers},
    key=["window_start", "video_id"],
    time="window_start",
    sql="""
    select window_start, window_end, video_id, concurrent_viewers, peak_concurrent_viewers
    from viewers where window_end <= :as_of""",
)
engagement_lately = wm.Query(
    "video_engagement_lately",
    inputs={"engagement": engagement_rate},
    key=["window_start", "video_id"],
    time="window_start",
    sql="""
    select window_start, window_end, video_id, starts, completions, completion_rate_pct
    from engagement where window_end <= :as_of""",
)

limits = [
    wm.Alert(
        "failed_logins_of_a_user",
        of=failed_logins,
        when="failed_attempt_count >= 10",
        resolve_after="10m",
        within="5m",
        severity="critical",
    ),
    wm.Alert("failed_logins_of_all", of=login_rate, when="failed_logins >= 10", resolve_after="10m", within="5m"),
    wm.Alert(
        "too_many_sessions",
        of=sessions_now,
        when="open_sessions > 1000",
        for_="5m",
        resolve_after="10m",
        severity="critical",
    ),
    wm.Alert("submission_spike", of=submissions_1min, when="total_submissions > 50", resolve_after="10m", within="5m"),
    wm.Alert(
        "grading_backlog",
        of=grading_backlog,
        when="pending_grading > 100",
        for_="15m",
        resolve_after="15m",
        within="3h",
    ),
    wm.Alert("too_many_viewers", of=viewers_lately, when="concurrent_viewers > 500", resolve_after="10m", within="15m"),
    wm.Alert(
        "low_engagement",
        of=engagement_lately,
        when=f"starts >= {LEAST_STARTS} and completion_rate_pct < 30",
        resolve_after="10m",
        within="15m",
    ),
    wm.Alert(
        "enrolment_spike", of=enrollment_rate, when="enrollments_per_minute > 20", resolve_after="15m", within="10m"
    ),
    wm.Alert("material_access_spike", of=material_access, when="access_count > 100", resolve_after="15m", within="10m"),
]

out_of_the_ordinary = [
    wm.Alert(
        f"unusual_{kind}",
        of=baseline,
        when="is_anomaly",
        resolve_after="30m",
        within="2h",
        severity="critical" if kind == "failed_logins" else "warning",
    )
    for kind, baseline in BASELINES.items()
]
learned = wm.Alert("learned_anomaly", of=learned_anomalies, when="anomalies > 0", resolve_after="30m", within="3h")
