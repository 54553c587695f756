"""What differs is told by meaning, and part by part."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

import watersmeet as wm
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import DeclarationError
from watersmeet.core.normal import with_exclusions
from watersmeet.core.topic import Exclusion, Topic
from watersmeet.core.view import View
from watersmeet.layers.plan import Change, pending
from watersmeet.layers.plan.difference import differences

from .world import World

pytestmark = pytest.mark.unit

CLICKS = wm.Topic(
    "clicks",
    schema={"page": "varchar not null", "n": "integer", "at": "timestamp not null"},
    event_time="at",
    check={"negative": "n >= 0"},
    lateness="60m",
)


def hits(**more: object) -> View:
    declared: dict[str, object] = {
        "topic": CLICKS,
        "dimensions": ["page"],
        "window": wm.tumbling("5m"),
        "measures": {"n": wm.count(), "mean": wm.mean("n")},
        "derive": {"twice": "n * 2"},
    }
    return View("hits", **{**declared, **more})  # type: ignore[arg-type]  # what a test changes


def only(old: Declarations, new: Declarations, kind: str = "view") -> Change:
    (found,) = (c for c in differences(old, new) if c.kind == kind)
    return found


def test_nothing_differs_between_equal_meanings() -> None:
    spelled = replace(CLICKS, lateness=timedelta(hours=1), check={"negative": "n  >=  0"})
    old = collect([hits(), wm.Table("t", of=hits(), every="60s"), wm.Example(of=hits(), given=[], expect=[])])
    anew = hits(topic=spelled, derive={"twice": "n  *  2 -- doubled"})
    new = collect([anew, wm.Table("t", of=anew, every="1m")])
    assert differences(old, new) == ()


def test_everything_is_added_to_nothing() -> None:
    found = differences(None, collect([hits(), wm.Table("t", of=hits()), wm.Alert("a", of=hits(), when="n > 1")]))
    assert [(c.kind, c.name, c.action, c.effect) for c in found] == [
        ("topic", "clicks", "added", "settings"),
        ("view", "hits", "added", "cells"),
        ("table", "t", "added", "cells"),
        ("alert", "a", "added", "cells"),
    ]


def test_everything_is_removed() -> None:
    found = differences(collect([hits(), wm.Table("t", of=hits())]), Declarations())
    assert {(c.name, c.action) for c in found} == {("clicks", "removed"), ("hits", "removed"), ("t", "removed")}


@pytest.mark.parametrize(
    ("new", "effect", "parts"),
    [
        (hits(measures={"n": wm.count(), "average": wm.mean("n")}), "presentation", ("measures mean renamed average",)),
        (hits(measures={"n": wm.count(), "mean": wm.mean("n", digits=2)}), "presentation", ("measures mean changed",)),
        (hits(derive={"thrice": "n * 3"}), "presentation", ("derive thrice added", "derive twice removed")),
        (hits(window=wm.hopping("1h", "5m")), "presentation", ("window 5m -> 1h every 5m",)),
        (hits(having="n > 1", lookback="1h"), "presentation", ("lookback none -> 1h", "having none -> n > 1")),
        (hits(where="n > 1"), "cells", ("where none -> n > 1",)),
        (hits(dimensions=["page", "n as k"]), "cells", ("dimensions page -> page, n as k",)),
        (hits(window=wm.tumbling("1m")), "cells", ("window 5m -> 1m",)),
    ],
)
def test_a_view_says_which_part_changed_and_what_it_costs(new: View, effect: str, parts: tuple[str, ...]) -> None:
    change = only(collect([hits()]), collect([new]))
    assert (change.action, change.effect, change.parts) == ("changed", effect, parts)


@pytest.mark.parametrize(
    ("new", "effect", "parts"),
    [
        (replace(CLICKS, lateness="2h"), "settings", ("lateness 1h -> 2h",)),
        (replace(CLICKS, check={}), "outcomes", ("check negative removed",)),
        (replace(CLICKS, schema={**CLICKS.schema, "who": "varchar"}), "outcomes", ("schema who added",)),
        (
            replace(CLICKS, schema=dict(reversed(list(CLICKS.schema.items())))),
            "outcomes",
            ("order of columns or checks",),
        ),
        (replace(CLICKS, exclusions=(Exclusion("bots", "n = 1"),)), "outcomes", ("exclusions 'bots' of n = 1 added",)),
        (
            replace(CLICKS, exclusions=(Exclusion("superseded", positions=((0, 7), (2, 9))),)),
            "outcomes",
            ("exclusions 'superseded' of 0:7, 2:9 added",),
        ),
    ],
)
def test_a_topic_says_whether_records_are_decided_anew(new: Topic, effect: str, parts: tuple[str, ...]) -> None:
    change = only(collect([CLICKS]), collect([new]), "topic")
    assert (change.effect, change.parts) == (effect, parts)


def test_what_rests_on_a_topic_that_decides_anew_says_so() -> None:
    new = replace(CLICKS, check={})
    change = only(collect([hits()]), collect([hits(topic=new)]))
    assert (change.effect, change.parts) == ("cells", ("records of clicks are decided anew",))


def test_a_query_says_which_input_changed() -> None:
    def query(view: View, sql: str = "select sum(n) as n from h") -> Declarations:
        return collect([view, wm.Query("q", inputs={"h": view}, key=["n"], sql=sql)])

    change = only(query(hits()), query(hits(having="n > 1")), "query")
    assert (change.effect, change.parts) == ("presentation", ("inputs h changed",))
    long = "select sum(n) as n, 'a text that is too long to be shown in one line of a plan' as why from h"
    assert only(query(hits()), query(hits(), long), "query").parts == ("sql changed",)


def test_a_table_and_an_alert_say_which_setting_changed() -> None:
    def declared(every: str, when: str) -> Declarations:
        return collect([hits(), wm.Table("t", of=hits(), every=every), wm.Alert("a", of=hits(), when=when)])

    table, alert = differences(declared("30s", "n > 1"), declared("90s", "n > 2"))
    assert (table.effect, table.parts) == ("settings", ("every 30s -> 1m30s",))
    assert (alert.effect, alert.parts) == ("settings", ("when n > 1 -> n > 2",))


def test_a_new_name_for_the_same_view_is_a_new_name() -> None:
    found = differences(collect([hits()]), collect([replace(hits(), name="visits")]))
    assert {(c.name, c.action, c.effect, c.parts) for c in found} == {
        ("hits", "removed", "settings", ()),
        ("visits", "added", "presentation", ("renamed from hits",)),
    }


def test_a_row_function_says_that_it_changed() -> None:
    make = wm.function(version=1, returns="integer")

    def score(values: object) -> object:
        return values

    one = make(score)  # type: ignore[arg-type]  # never called
    old = replace(CLICKS, functions=[one], compute={"s": "score(n)"})
    new = replace(old, functions=[replace(one, source_hash="0")])
    assert only(collect([old]), collect([new]), "topic").parts == ("functions score changed",)


def test_status_says_what_the_files_would_change(world: World) -> None:
    assert pending(collect([hits()]), None) == ["topic clicks: added", "view hits: added"]
    found = world.apply(collect([hits()]))
    assert pending(collect([hits()]), found) == []
    assert pending(collect([hits(having="n > 1")]), found) == ["view hits: changed (having none -> n > 1)"]


def test_status_does_not_count_exclusions_since_files_never_say_them(world: World) -> None:
    found = world.apply(collect([hits()]))
    excluded = with_exclusions(found.declarations, {"clicks": (Exclusion("bots", "n = 1"),)})
    found = replace(found, declarations=excluded)
    assert pending(collect([hits()]), found) == []
    with pytest.raises(DeclarationError, match="watersmeet exclude"):
        pending(with_exclusions(collect([hits()]), {"clicks": (Exclusion("mine", "n = 2"),)}), found)
