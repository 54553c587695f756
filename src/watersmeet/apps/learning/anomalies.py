"""What is out of the ordinary: each hour beside the same hour of the week in the weeks before.

    weeks before      -4       -3       -2       -1        now
    this hour          6        4        0        5         31     expected 4.5, spread 2.1, score 12.5

A score rests on its own hour and on earlier ones alone, 7, 14, 21 and 28 days before: nothing that comes later can
change it. An hour that is not over yet is scored by what it has so far, so that trouble is seen before the hour ends.

An hour without events has no row, yet counts as 0 among the weeks before. A week counts as history if anything at all
happened in the topic on that day; below `LEAST_WEEKS` of them nothing is flagged. What is expected is the median of the
weeks, so that one strange week neither hides the next nor causes an alarm. The spread is never less than that of a pure
chance count (the root of what is expected), than a fifth of it, since a campus grows and shrinks by as much, than how
the weeks differ among themselves, and than 1.

Of videos it is a share that is judged: those who left within the first tenth, among those who began. It is pooled over
the weeks before, as if `BEFORE_STARTS` more viewings had been seen of which one was left.
"""

from __future__ import annotations

import watersmeet as wm

from .assessment import SUBMIT
from .auth import FAILED
from .course import ENROLLED
from .topics import assessment, auth, course, video
from .video import WATCHED

LEAST_WEEKS, LEAST_SCORE = 2, 4
LEAST = {"failed_logins": 10, "submissions": 10, "video_drop_off": 5, "enrolments": 10}
"""Kind of anomaly -> fewer than so many in an hour are never one."""
BEFORE_STARTS = 20

_EARLIER = "order by window_start range between interval '28 days' preceding and interval '7 days' preceding"
_COUNT = (
    "list_median(padded)",
    "greatest(sqrt(expected), 0.2 * expected, 1.4826 * list_median([abs(x - expected) for x in padded]), 1)",
)
_SHARE = (
    f"exposure * ((coalesce(list_sum(earlier), 0) + 1)::double / (coalesce(list_sum(exposures), 0) + {BEFORE_STARTS}))",
    "greatest(sqrt(expected * (1 - expected / exposure::double)), 1)",
)


def _baseline(kind: str, hours: wm.View, noun: str, *, observed: str, exposure: str = "1") -> wm.Query:
    """A baseline of a count, or of a share where ``exposure`` is a column.

    Beside the verdict stand what was observed in the hour before, and in this hour of all together.

    Args:
        kind: of anomaly.
        hours: hours by one dimension; they count whatever happens in the topic.
        noun: what is counted, for reasons.
        observed: the column that is judged.
        exposure: the column of which ``observed`` is a part.
    """
    dimension = hours.by[0].name
    expected, spread = _COUNT if exposure == "1" else _SHARE
    return wm.Query(
        f"anomalies_of_{kind}",
        inputs={"hours": hours, "days": hours.at("1d", by=[])},
        key=["window_start", dimension],
        time="window_start",
        sql=f"""
    with counted as (
      select window_start, window_end, {dimension}, {observed} as observed, {exposure} as exposure,
             epoch_us(window_start) // 3600000000 % 168 as hour_of_week,
             sum({observed}) over (partition by window_start)::bigint as together
      from hours where {dimension} is not null and {observed if exposure == "1" else exposure} > 0),
    known as (
      select window_start as day,
             count(*) over (partition by dayofweek(window_start) {_EARLIER}) as weeks
      from days),
    past as (
      select counted.*, weeks,
             coalesce(max(observed) over (partition by {dimension} order by window_start
                      range between interval '1 hour' preceding and interval '1 hour' preceding), 0) as previous,
             coalesce(list(observed) over (partition by {dimension}, hour_of_week {_EARLIER}), []) as earlier,
             coalesce(list(exposure) over (partition by {dimension}, hour_of_week {_EARLIER}), []) as exposures
      from counted join known on day = date_trunc('day', window_start)),
    padded as (select *, list_concat([0 for x in range(weeks - len(earlier))], earlier) as padded from past),
    usual as (select *, case when weeks >= {LEAST_WEEKS} then {expected} end as expected from padded),
    spread as (select *, {spread} as spread from usual),
    scored as (select *, round((observed - expected) / spread::double, 2) as score from spread)
    select window_start, window_end, {dimension}, observed, round(expected, 2) as expected, score,
           coalesce(score >= {LEAST_SCORE} and observed >= {LEAST[kind]}, false) as is_anomaly,
           case when expected is null then format('{{}} {noun}; only {{}} weeks of history', observed, weeks)
                else format('{{}} {noun}, {{:.1f}} expected from {{}} weeks before: {{:.1f}} spreads of {{:.1f}} away',
                            observed, expected, weeks, score, spread) end as reason,
           previous, together
    from scored""",  # noqa: S608  # of the constants above
    )


failed_login_hours = wm.View(
    "failed_login_hours",
    topic=auth,
    dimensions=[f"case when {FAILED} then user_id end as user_id"],
    window=wm.tumbling("1h"),
    measures={"failed_logins": wm.count(where=FAILED)},
)
submission_hours = wm.View(
    "submission_hours",
    topic=assessment,
    dimensions=["course_id"],
    window=wm.tumbling("1h"),
    measures={"submissions": wm.count(where=SUBMIT)},
)
viewing_hours = wm.View(
    "viewing_hours",
    topic=video,
    dimensions=["course_id"],
    window=wm.tumbling("1h"),
    measures={
        "starts": wm.count(where=WATCHED),
        "abandoned": wm.count(where=f"{WATCHED} and 10 * watch_duration_seconds::bigint <= video_duration_seconds"),
    },
)
enrolment_hours = wm.View(
    "enrolment_hours",
    topic=course,
    dimensions=["course_id"],
    window=wm.tumbling("1h"),
    measures={"enrollments": wm.count(where=ENROLLED)},
)

failed_login_baseline = _baseline("failed_logins", failed_login_hours, "failed logins", observed="failed_logins")
submission_baseline = _baseline("submissions", submission_hours, "submissions", observed="submissions")
drop_off_baseline = _baseline(
    "video_drop_off", viewing_hours, "viewings left at once", observed="abandoned", exposure="starts"
)
enrolment_baseline = _baseline("enrolments", enrolment_hours, "enrolments", observed="enrollments")
BASELINES = {
    "failed_logins": failed_login_baseline,
    "submissions": submission_baseline,
    "video_drop_off": drop_off_baseline,
    "enrolments": enrolment_baseline,
}
"""Kind of anomaly -> its baseline."""
