"""Alerts: conditions on rows that can be meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

import watersmeet as wm
from watersmeet.core.alert import Alert
from watersmeet.core.catalogue import editions
from watersmeet.core.declarations import collect

from .refusals import refusal

pytestmark = pytest.mark.unit

TOPIC = wm.Topic("clicks", {"page": "varchar not null", "at": "timestamp not null"}, event_time="at")
VIEW = wm.View("hits", topic=TOPIC, dimensions=["page"], window=wm.tumbling("5m"), measures={"hits": wm.count()})
QUERY = wm.Query("most", {"h": VIEW}, "select window_start as t, page, hits as total from h", ["t", "page"], "t")
EVER = wm.View("ever", topic=TOPIC, dimensions=["page"], measures={"hits": wm.count()})
OPEN = wm.Query("counted", {"h": VIEW}, "select window_start as t, count(*) from h group by t", ["t"], "t")

WRONG: Mapping[str, tuple[Callable[[], object], str, str, str]] = {
    "name": (lambda: Alert("a b", VIEW, "hits > 1"), "alert name", "beginning with a letter", "rename it"),
    "of a topic": (lambda: Alert("a", TOPIC, "page = 'x'"), "alert a", "of= a view or query", "of=my_view"),  # type: ignore[arg-type]  # as users do
    "severity": (lambda: Alert("a", VIEW, "hits > 1", severity="bad"), "severity of alert a", "info, warning or critical", "warning"),
    "unknown column of a view": (lambda: Alert("a", VIEW, "hit > 1"), "when of alert a", "a known column", "did you mean 'hits'?"),
    "unknown column of a query": (lambda: Alert("a", QUERY, "totl > 1"), "when of alert a", "a known column", "did you mean 'total'?"),
    "aggregate": (lambda: Alert("a", VIEW, "sum(hits) > 1"), "when of alert a", "a scalar of one row", "query"),
    "clock": (lambda: Alert("a", VIEW, "window_end < now()"), "when of alert a", "at any time", "event_time"),
    "no SQL": (lambda: Alert("a", VIEW, "hits >"), "when of alert a", "a SQL expression", "brackets"),
    "for": (lambda: Alert("a", VIEW, "hits > 1", for_="long"), "for_ of alert a", "a length of time", "units"),
    "within": (lambda: Alert("a", VIEW, "hits > 1", within="1 hour"), "within of alert a", "a length of time", "units"),
    "within of all time": (lambda: Alert("a", EVER, "hits > 1", within="1h"), "within of alert a", "rows that have a time", "leave it out"),
    "resolve": (lambda: Alert("a", VIEW, "hits > 1", resolve_after="0s"), "resolve_after of alert a", "a length of time", "units"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_alert_is_refused(name: str) -> None:
    declare, subject, expected, remedy = WRONG[name]
    error = refusal(declare)
    assert error.subject == subject
    assert expected in error.expected
    assert remedy in error.remedy


def test_a_condition_of_rows_that_are_not_known_is_left_to_the_engine() -> None:
    assert Alert("a", OPEN, "anything > 1").when == "anything > 1"


def test_an_alert_fires_and_is_over_at_once_unless_it_is_said() -> None:
    alert = Alert("a", VIEW, "hits > 1")
    assert (alert.for_us, alert.resolve_us, tuple(alert.notify), alert.severity) == (0, 0, (), "warning")
    assert alert.within_us is None
    patient = Alert("a", QUERY, "total > 1", for_="10m", resolve_after="1h")
    assert (patient.for_us, patient.resolve_us) == (600_000_000, 3_600_000_000)


def test_how_far_it_looks_back_is_part_of_what_it_says() -> None:
    said = {
        editions(collect([Alert("a", VIEW, "hits > 1", within=within)]), "")["alert/a"].fingerprint
        for within in (None, "5m", "10m")
    }
    assert len(said) == 3
