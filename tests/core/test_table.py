"""Tables: what a published output may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

import watersmeet as wm
from watersmeet.core.errors import DeclarationError
from watersmeet.core.table import Table

from .refusals import refusal

pytestmark = pytest.mark.unit

TOPIC = wm.Topic("clicks", {"page": "varchar not null", "at": "timestamp not null"}, event_time="at")
VIEW = wm.View("hits", topic=TOPIC, dimensions=["page"], window=wm.tumbling("5m"), measures={"n": wm.count()})
QUERY = wm.Query("most", {"h": VIEW}, "select window_start as t, page from h", ["t", "page"], "t")

WRONG: Mapping[str, tuple[Callable[[], object], str, str, str]] = {
    "name": (lambda: Table("a b", VIEW), "table name", "beginning with a letter", "rename it"),
    "of a name": (lambda: Table("t", "hits"), "table t", "of= a topic, view or query", "of=my_view"),  # type: ignore[arg-type]  # as users do
    "when": (lambda: Table("t", VIEW, when="late"), "when of table t", "'changed' or 'final'", "provisional"),  # type: ignore[arg-type]  # as users do
    "every": (lambda: Table("t", VIEW, every="often"), "every of table t", "a length of time", "units"),
    "ttl": (lambda: Table("t", VIEW, ttl="0s"), "ttl of table t", "a length of time", "units"),
    "freeze": (lambda: Table("t", VIEW, freeze="1x"), "freeze of table t", "a length of time", "units"),
    "dead letters of a view": (lambda: Table("t", VIEW, dead=True), "table t", "a topic only", "dead letters"),
    "dead letters of a query": (lambda: Table("t", QUERY, dead=True), "table t", "a topic only", "dead letters"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_table_is_refused(name: str) -> None:
    declare, subject, expected, remedy = WRONG[name]
    error = refusal(declare)
    assert error.subject == subject
    assert expected in error.expected
    assert remedy in error.remedy


@pytest.mark.parametrize("of", [TOPIC, VIEW, QUERY, VIEW.at("1h")])
def test_everything_with_rows_can_be_published(of: wm.Topic | wm.View | wm.Query) -> None:
    assert Table("t", of).of is of


def test_lengths_of_time_are_microseconds_inside() -> None:
    table = Table("t", VIEW, every="1m", ttl=timedelta(hours=48), freeze="7d")
    assert (table.every_us, table.ttl_us, table.freeze_us) == (60_000_000, 172_800_000_000, 604_800_000_000)


def test_a_table_keeps_everything_for_ever_unless_it_is_said() -> None:
    table = Table("t", VIEW)
    assert (table.every_us, table.ttl_us, table.freeze_us) == (30_000_000, None, None)
    assert (table.to, table.when, tuple(table.columns)) == ("parquet", "changed", ("*",))


def test_dead_letters_are_published_of_their_topic() -> None:
    assert Table("letters", TOPIC, dead=True).dead


def test_only_rows_that_settle_can_be_published_when_final() -> None:
    topic = wm.Topic("t", schema={"k": "varchar"})
    ever = wm.View("ever", topic=topic, measures={"n": wm.count()})
    visits = wm.View("visits", topic=topic, dimensions=["k"], window=wm.session("1h"), measures={"n": wm.count()})
    days = wm.View("days", topic=topic, window=wm.calendar("day"), measures={"n": wm.count()})
    with pytest.raises(DeclarationError, match="ever, whose rows may always change"):
        wm.Table("a", of=ever, when="final")
    query = wm.Query(
        "q",
        inputs={"v": visits},
        key=["window_start", "k"],
        time="window_start",
        sql="select window_start, k, n from v",
    )
    assert query.settles_us is None  # a session can last for any time
    with pytest.raises(DeclarationError, match="q, whose rows may always change"):
        wm.Table("b", of=query, when="final")
    of_days = wm.Query(
        "d",
        inputs={"v": days, "e": ever},
        key=["window_start"],
        time="window_start",
        sql="select window_start, v.n, e.n as all from v, e",
    )
    assert of_days.settles_us == 2 * 86_400_000_000
    over = wm.Query("o", inputs={"d": of_days}, key=["window_start"], time="window_start", sql="select * from d")
    assert over.settles_us == of_days.settles_us
    for of in (topic, visits, days, of_days, over):
        assert wm.Table("c", of=of, when="final").when == "final"
