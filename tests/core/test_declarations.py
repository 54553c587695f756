"""An app's declarations, sorted out: each name once, and everything that they need."""

from __future__ import annotations

from dataclasses import replace

import pytest

import watersmeet as wm
from watersmeet.core.declarations import collect, views_of
from watersmeet.core.errors import DeclarationError, RequestError

pytestmark = pytest.mark.unit

TOPIC = wm.Topic("clicks", {"page": "varchar not null", "at": "timestamp not null"}, event_time="at")
FACTS = wm.Topic("pages", {"page": "varchar not null", "kind": "varchar", "at": "timestamp not null"}, event_time="at")
VIEW = wm.View("hits", topic=TOPIC, dimensions=["page"], window=wm.tumbling("5m"), measures={"n": wm.count()})
KINDS = wm.View("kinds", topic=FACTS, dimensions=["page"], measures={"kind": wm.last("kind")})
BY_KIND = VIEW.at("1h", by=["kind"], through=KINDS)
QUERY = wm.Query("popular", {"h": BY_KIND}, "select window_start as t, kind, n from h", ["t", "kind"], "t")


def test_each_kind_is_found_by_its_name() -> None:
    table, alert = wm.Table("hits_table", VIEW), wm.Alert("busy", VIEW, "n > 100")
    example = wm.Example(VIEW, [], [])
    found = collect([TOPIC, VIEW, QUERY, table, alert, example, "anything else", None])
    assert found.topics == {"clicks": TOPIC, "pages": FACTS}
    assert (found.views, found.queries) == ({"hits": VIEW}, {"popular": QUERY})
    assert (found.tables, found.alerts, found.examples) == ({"hits_table": table}, {"busy": alert}, (example,))
    assert found.readables == {"hits": VIEW, "popular": QUERY}


@pytest.mark.parametrize(
    ("item", "topics"),
    [
        (VIEW, {"clicks"}),
        (QUERY, {"clicks", "pages"}),
        (wm.Table("t", QUERY), {"clicks", "pages"}),
        (wm.Table("t", FACTS), {"pages"}),
        (wm.Alert("a", VIEW, "n > 1"), {"clicks"}),
    ],
    ids=["view", "query", "table of a query", "table of a topic", "alert"],
)
def test_the_topics_that_it_needs_come_along(item: object, topics: set[str]) -> None:
    assert collect([item]).topics.keys() == topics


def test_a_reading_of_a_view_is_not_served_by_name() -> None:
    assert collect([VIEW.at("1h")]).readables == {}


def test_views_that_are_only_read_through_are_found() -> None:
    assert list(views_of(QUERY)) == [BY_KIND, KINDS]
    assert list(views_of(VIEW)) == [VIEW]


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("topic", TOPIC, replace(TOPIC, lateness="1h")),
        ("view", VIEW, replace(VIEW, having="n > 1")),
        ("query", QUERY, replace(QUERY, unsafe="for no reason")),
        ("table", wm.Table("t", VIEW), wm.Table("t", QUERY)),
        ("alert", wm.Alert("a", VIEW, "n > 1"), wm.Alert("a", VIEW, "n > 2")),
        ("query", VIEW, replace(QUERY, name="hits")),
    ],
    ids=["topic", "view", "query", "table", "alert", "view and query"],
)
def test_a_name_declared_twice_names_both_lines(kind: str, one: wm.Topic, other: wm.Topic) -> None:
    first, second = replace(one, where_declared="app.py:3"), replace(other, where_declared="app.py:9")
    with pytest.raises(DeclarationError) as caught:
        collect([first, second])
    error = caught.value
    assert error.subject == f"{kind} {one.name!r}"
    assert (error.where, error.got) == ("app.py:3", "a second one at app.py:9")
    assert error.remedy == "rename one of them"


def test_a_topic_that_two_views_mean_differently_is_refused() -> None:
    with pytest.raises(DeclarationError, match="topic 'clicks'; expected each name once"):
        collect([VIEW, replace(VIEW, name="others", topic=replace(TOPIC, skew="1m"))])


def test_the_same_declaration_found_in_two_modules_is_one() -> None:
    equal = replace(VIEW, where_declared="elsewhere:1")
    example = wm.Example(VIEW, [], [])
    found = collect([VIEW, VIEW, equal, TOPIC, example, example])
    assert (found.views, found.examples) == ({"hits": VIEW}, (example,))


@pytest.mark.parametrize(("ask", "subject"), [("readable", "view 'hit'"), ("topic", "topic 'click'")])
def test_an_unknown_name_is_answered_with_the_nearest(ask: str, subject: str) -> None:
    found = collect([VIEW, QUERY])
    with pytest.raises(RequestError) as caught:
        getattr(found, ask)(subject.split("'")[1])
    assert (caught.value.kind, caught.value.subject) == ("unknown", subject)
    assert caught.value.remedy in ("did you mean 'hits'?", "did you mean 'clicks'?")
    assert found.readable("popular") is QUERY
    assert found.topic("pages") is FACTS
