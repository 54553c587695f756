"""Real windows of a user's own: the weeks of a university's terms, in both layers, whatever happens on the way.

    arts         Mon 14 Oct ── 21 ── 28 Oct          4 ── 11 Nov        two weeks, one without lectures, one week
    medicine     Mon  7 Oct ── 14 ── 21 ── 28 Oct ── 4 Nov               four weeks

Days are those of Berlin, where clocks go back on 27 October: the week of the 21st has 169 hours.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

import watersmeet as wm
from tests.faults import shop
from watersmeet.core import normal
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import DeclarationError, PendingError
from watersmeet.core.manifest import roll
from watersmeet.core.user_window import UserWindow
from watersmeet.engines import reference
from watersmeet.layers import ingest
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire
from watersmeet.testing.kit import check

pytestmark = pytest.mark.integration

BERLIN = ZoneInfo("Europe/Berlin")
TERMS = {
    "arts": [(date(2024, 10, 14), date(2024, 10, 28)), (date(2024, 11, 4), date(2024, 11, 11))],
    "medicine": [(date(2024, 10, 7), date(2024, 11, 4))],
}


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BERLIN)


@wm.window(version=1)
def term_weeks(event_time: Sequence[datetime], faculty: Sequence[str]) -> Any:
    """The Monday on or before, if it is in a term of the faculty, and the next one."""
    starts: list[datetime | None] = []
    ends: list[datetime | None] = []
    for at, name in zip(event_time, faculty, strict=True):
        day = at.replace(tzinfo=UTC).astimezone(BERLIN).date()
        monday = day - timedelta(days=day.weekday())
        lectures = any(first <= monday < last for first, last in TERMS.get(name, []))
        starts.append(midnight(monday) if lectures else None)
        ends.append(midnight(monday + timedelta(days=7)) if lectures else None)
    return starts, ends


auth = wm.Topic(
    "auth",
    schema={"id": "varchar not null", "at": "timestamp not null", "faculty": "varchar not null", "user": "varchar"},
    event_time="at",
    id="id",
    partitions=2,
    horizon="52w",
)


def weekly(window: UserWindow = term_weeks) -> wm.View:
    return wm.View(
        "logins_by_term_week",
        topic=auth,
        dimensions=["faculty"],
        window=window,
        lookback="3w",
        measures={"logins": wm.count(), "users": wm.distinct("user", exact=True), "often": wm.top("user", 1)},
        derive={"change": "logins - lag(logins) over w"},
    )


def login(at: str, faculty: str, user: str) -> dict[str, object]:
    return {"id": f"{at}{faculty}{user}", "at": at, "faculty": faculty, "user": user}


LOGINS = [
    login("2024-10-13T21:59:59Z", "arts", "ada"),  # Sunday, 23:59:59 in Berlin: before the term
    login("2024-10-13T22:00:00Z", "arts", "ada"),  # Monday, 0:00
    login("2024-10-20T21:59:59.999999Z", "arts", "bea"),  # the last moment of that week
    login("2024-10-20T22:00:00Z", "arts", "bea"),
    login("2024-10-26T12:00:00Z", "arts", "bea"),
    login("2024-10-27T22:30:00Z", "arts", "ada"),  # Sunday, 23:30 again by winter time
    login("2024-10-27T23:00:00Z", "arts", "ada"),  # Monday: no lectures
    login("2024-11-01T10:00:00Z", "arts", "bea"),  # nor now
    login("2024-11-05T10:00:00Z", "arts", "cem"),
    login("2024-11-10T23:00:00Z", "arts", "cem"),  # Monday, 0:00: the term has ended
    login("2024-10-13T21:59:59Z", "medicine", "dan"),  # the last moment of medicine's first week
    login("2024-11-01T10:00:00Z", "medicine", "dan"),  # lectures, while arts has none
    login("2024-11-05T10:00:00Z", "medicine", "dan"),
    login("2024-10-15T10:00:00Z", "law", "eve"),  # a faculty without terms
]


def row(start: str, end: str, faculty: str, logins: int, users: int, often: str, count: int, change: object) -> Any:
    bounds = {"window_start": start, "window_end": end, "faculty": faculty}
    top = [{"value": often, "count": count}]
    return {**bounds, "logins": logins, "users": users, "often": top, "change": change}


WEEKS = [
    row("2024-10-06T22:00:00", "2024-10-13T22:00:00", "medicine", 1, 1, "dan", 1, None),
    row("2024-10-13T22:00:00", "2024-10-20T22:00:00", "arts", 2, 2, "ada", 1, None),
    row("2024-10-20T22:00:00", "2024-10-27T23:00:00", "arts", 3, 2, "bea", 2, 1),
    row(
        "2024-10-27T23:00:00", "2024-11-03T23:00:00", "medicine", 1, 1, "dan", 1, None
    ),  # three weeks and an hour later
    row("2024-11-03T23:00:00", "2024-11-10T23:00:00", "arts", 1, 1, "cem", 1, -2),
]
ALWAYS = [{"faculty": "arts", "logins": 6, "users": 3}, {"faculty": "medicine", "logins": 2, "users": 1}]
ALL = [
    {"window_start": "2024-10-13T22:00:00", "logins": 2},
    {"window_start": "2024-10-20T22:00:00", "logins": 3},
    {"window_start": "2024-11-03T23:00:00", "logins": 1},
]


@pytest.mark.parametrize(
    ("of", "expect"),
    [
        (weekly(), WEEKS),
        (weekly().at(None), ALWAYS),
        (
            wm.Query(
                "arts",
                inputs={"v": weekly()},
                key=["window_start"],
                time="window_start",
                sql="select window_start, logins from v where faculty = 'arts'",
            ),
            ALL,
        ),
    ],
    ids=["weeks", "all time", "a query"],
)
def test_term_weeks_worked_out_by_hand_survive_the_torture(of: wm.View | wm.Query, expect: list[Any]) -> None:
    [outcome] = check(collect([weekly(), of, wm.Example(of=of, given=LOGINS, expect=expect)]), torture=3)
    assert outcome.passed, outcome.complaints


def test_the_reference_counts_the_same_weeks() -> None:
    late = 1_800_000_000_000_000
    records = [
        {"partition": 0, "offset": i, "arrival": late, "value": json.dumps(record).encode()}
        for i, record in enumerate(LOGINS)
    ]
    found = reference.answer(weekly(), records)
    epoch = datetime(1970, 1, 1)
    starts = [(epoch + timedelta(microseconds=r["window_start"])).isoformat() for r in found]
    assert [(s, r["faculty"], r["logins"], r["change"]) for s, r in zip(starts, found, strict=True)] == [
        (r["window_start"], r["faculty"], r["logins"], r["change"]) for r in WEEKS
    ]


# -- in a node


def app(window: UserWindow = term_weeks) -> Declarations:
    totals = wm.View("totals", topic=auth, measures={"logins": wm.count()})
    return collect([weekly(window), totals])


def start(folder: Path, declarations: Declarations) -> Node:
    settings = Settings.model_validate({"directory": folder, "compute": {"threads": 1}})
    parts = wire(settings, clock=manual_clock(1_800_000_000_000_000), engine=shop.ENGINE)
    return Node(parts, App("auth", declarations, normal.functions(declarations), ModuleType("auth")), sources=[])


def append(node: Node, records: Sequence[dict[str, object]]) -> None:
    ingest.append(node.parts.log, node.declarations().topic("auth"), [json.dumps(r).encode() for r in records])
    node.absorb("auth")


def settle(node: Node) -> None:
    """Let the batch layer own everything that was absorbed."""
    node.parts.state.change("auth", lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})


def read(node: Node, **asked: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.table(node.reader.read(wm.Request("logins_by_term_week", **asked)).rows).to_pylist()
    return rows


def counted(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, int]]:
    def iso(at: Any) -> str:
        return at if isinstance(at, str) else at.isoformat()

    return [(iso(row["window_start"]), row["faculty"], row["logins"]) for row in rows]


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def node(tmp_path: Path) -> Node:
    node = start(tmp_path, app())
    node.apply()
    append(node, LOGINS[:6])
    settle(node)
    append(node, LOGINS[6:])
    return node


def test_ranges_are_of_starts_and_pages_follow_both_bounds(node: Node) -> None:
    asked = (us("2024-10-20T22:00:00"), us("2024-11-03T23:00:00"))
    assert counted(read(node, range=asked)) == counted(WEEKS[2:4])
    pages: list[dict[str, Any]] = []
    after: tuple[object, ...] = ()
    while True:
        answer = node.reader.read(wm.Request("logins_by_term_week", limit=2, after=after))
        pages += pa.table(answer.rows).to_pylist()
        if answer.next is None:
            break
        after = answer.next
        assert after[:2] == (pages[-1]["window_start"], pages[-1]["window_end"])
    assert counted(pages) == counted(WEEKS)


def test_what_cannot_be_put_together_from_term_weeks_is_refused(node: Node) -> None:
    for asked in ({"window": "1w"}, {"window": wm.running("1w")}, {"window": wm.calendar("month")}):
        with pytest.raises(DeclarationError, match="a window composed of the panes of logins_by_term_week"):
            read(node, **asked)
    with pytest.raises(wm.RequestError, match="tumbling, hopping or calendar windows"):
        read(node, range=(us("2024-10-01T00:00:00"), us("2024-12-01T00:00:00")), fill=True)


def test_audit_and_retirement_leave_the_same_rows(node: Node) -> None:
    settle(node)
    answer = node.reader.read(wm.Request("logins_by_term_week"))
    rest = answer.receipt.topics["auth"]
    assert (answer.receipt.audit, rest.epochs, rest.slices) == ("match", 2, 0)
    assert counted(pa.table(answer.rows).to_pylist()) == counted(WEEKS)


def test_a_published_week_is_frozen_after_its_end_and_not_after_its_start(node: Node) -> None:
    """The watermark stands at the end of the week of 4 November: a day after that is to come, of 14 October long past."""
    table = wm.Table("weeks", of=weekly())
    assert node.publisher.publish(table).upserts == 5
    append(node, [login("2024-10-15T10:00:00Z", "arts", "gil"), login("2024-11-05T11:00:00Z", "arts", "gil")])
    again = node.publisher.publish(replace(table, freeze="1d"))
    assert (again.upserts, again.deletes) == (1, 0), "of 4 November"
    assert again.frozen == 2, "of 14 October, and the week after it, whose change looks back"


def test_an_alert_looks_at_the_newest_week_of_each_faculty(node: Node) -> None:
    quiet = wm.Alert("quiet", of=weekly(), when="logins < 2")
    found = node.alerts.evaluate(quiet)
    assert sorted((notice.labels["faculty"], notice.row["logins"], len(notice.labels)) for notice in found) == [
        ("arts", "1", 1),
        ("medicine", "1", 1),
    ]


@wm.window(version=2)
def later_weeks(event_time: Sequence[datetime], faculty: Sequence[str]) -> Any:
    """Lectures begin in the second week only."""
    starts, ends = term_weeks(event_time, faculty)
    return [start if start != midnight(TERMS["arts"][0][0]) else None for start in starts], ends


def edited() -> UserWindow:
    """Version 2 under the name of version 1, as after an edit in place."""
    return replace(later_weeks, function=replace(later_weeks.function, name="term_weeks"))


def test_another_version_is_another_figure_and_is_computed_anew(node: Node, tmp_path: Path) -> None:
    settle(node)
    after = start(tmp_path, app(edited()))
    with pytest.raises(DeclarationError, match=r"function 'term_weeks'; expected version 1.*got version 2"):
        after.applied()
    plan = after.plan()
    assert [(c.name, c.effect) for c in plan.changes] == [("logins_by_term_week", "cells")]
    assert "window term_weeks, version 1" in plan.changes[0].parts[0]
    assert plan.notes == ("logins_by_term_week is not served until then: its old window function is not in the files",)
    assert after.apply().pending == ("logins_by_term_week",)
    append(after, [login("2024-11-06T10:00:00Z", "arts", "fay")])
    with pytest.raises(PendingError):
        read(after)
    assert pa.table(after.reader.read(wm.Request("totals")).rows).to_pylist()[0]["logins"] == len(LOGINS) + 1
    after.catch_up({})
    assert after.applied().pending == ()
    expected = [r for r in counted(WEEKS) if r[:2] != ("2024-10-13T22:00:00", "arts")]
    assert counted(read(after)) == [*expected[:-1], ("2024-11-03T23:00:00", "arts", 2)]

    with pytest.raises(DeclarationError, match="expected version 1"):
        after.rollback()
    back = start(tmp_path, app())
    back.rollback()
    back.catch_up({})
    assert counted(read(back)) == [*counted(WEEKS)[:-1], ("2024-11-03T23:00:00", "arts", 2)]


def test_while_the_old_function_is_there_its_figures_are_served(node: Node, tmp_path: Path) -> None:
    """Under a name of its own the new version takes over in one step, and nothing is missing meanwhile."""
    old = wm.View("kept", topic=auth, dimensions=["faculty"], window=term_weeks, measures={"n": wm.count()})
    after = start(tmp_path, collect([*app(later_weeks).views.values(), old]))
    plan = after.plan()
    assert plan.notes == ()
    after.apply()
    append(after, [login("2024-11-06T10:00:00Z", "arts", "fay")])
    assert counted(read(after)) == [*counted(WEEKS)[:-1], ("2024-11-03T23:00:00", "arts", 2)]
    after.catch_up({})
    assert after.applied().pending == ()
    assert ("2024-10-13T22:00:00", "arts", 2) not in counted(read(after))


def test_a_function_that_raises_stops_the_slice_and_names_itself(tmp_path: Path) -> None:
    @wm.window(version=7)
    def term_days(event_time: Sequence[datetime], faculty: Sequence[str]) -> Any:
        return [TERMS[name][0][0] for name in faculty], event_time

    node = start(tmp_path, app(term_days))
    node.apply()
    with pytest.raises(wm.WatersmeetError, match=r"window function term_days \(version 7\).*KeyError: 'law'"):
        append(node, LOGINS)
    assert node.parts.state.manifest("auth").frontier == (0, 0)
