"""Views: what is stored of them, how else their cells can be read, and what cannot be said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

import watersmeet as wm
from watersmeet.core.view import View
from watersmeet.core.window import Window

from .refusals import refusal

pytestmark = pytest.mark.unit

MINUTE = 60_000_000
TOPIC = wm.Topic(
    "plays",
    {
        "film": "integer not null",
        "viewer": "varchar",
        "tags": "varchar[] not null",
        "seconds": "decimal(8,2)",
        "at": "timestamp not null",
    },
    event_time="at",
)
PLAYS = View(
    "plays",
    topic=TOPIC,
    dimensions=["film", "lower(viewer) as who"],
    window=wm.tumbling("5m"),
    lookback="1h",
    measures={
        "n": wm.count(),
        "seconds": wm.sum("seconds"),
        "mean": wm.mean("seconds"),
        "viewers": wm.distinct("viewer"),
    },
    derive={"twice": "n * 2", "change": "twice - lag(twice) over w", "by_who": "who || '!'"},
)
FACTS = View("facts", topic=TOPIC, dimensions=["film"], measures={"genre": wm.last("viewer")})
SESSIONS = View("visits", topic=TOPIC, dimensions=["viewer"], window=wm.session("30m"), measures={"n": wm.count()})
DAYS = View("days", topic=TOPIC, window=wm.calendar("day", "Europe/Berlin"), measures={"n": wm.count()})


def view(**more: object) -> View:
    declared: dict[str, object] = {"topic": TOPIC, "window": wm.tumbling("5m"), "measures": {"n": wm.count()}}
    return View("v", **{**declared, **more})  # type: ignore[arg-type]  # what a test changes


# -- what cannot be said ---------------------------------------------------------------------------------------------

WRONG: Mapping[str, tuple[Callable[[], object], str, str, str]] = {
    "name": (lambda: View("1v", topic=TOPIC, measures={"n": wm.count()}), "view name", "beginning with a letter", "rename"),
    "topic": (lambda: view(topic=PLAYS), "topic of view v", "a wm.Topic", "wm.Query"),
    "window": (lambda: view(window="5m"), "window of view v", "wm.tumbling", "write window=wm.tumbling('5m')"),
    "no measure": (lambda: view(measures={}), "view v", "at least one measure", "wm.count()"),
    "no measure, but SQL": (lambda: view(measures={"n": "count(*)"}), "measure 'n' of view v", "wm.count()", "derive"),
    "no measure, but its maker": (lambda: view(measures={"n": wm.count}), "measure 'n' of view v", "wm.count()", "call"),
    "one dimension": (lambda: view(dimensions="film"), "dimensions of view v", "a list", "dimensions=['film']"),
    "dimension without a name": (lambda: view(dimensions=["film + 1"]), "dimension of view v", "expression as name", "as"),
    "unknown dimension": (lambda: view(dimensions=["flim"]), "dimension 'flim' of view v", "a known column", "did you mean 'film'?"),
    "unknown in a measure": (lambda: view(measures={"s": wm.sum("second")}), "measure 's' of view v", "a known column", "did you mean 'seconds'?"),
    "unknown in a top": (lambda: view(measures={"s": wm.top("viewr", 3)}), "measure 's' of view v", "a known column", "did you mean 'viewer'?"),
    "unknown where of a measure": (lambda: view(measures={"s": wm.count(where="fim = 1")}), "measure 's' of view v", "a known column", "did you mean 'film'?"),
    "unknown where": (lambda: view(where="sec > 1"), "where of view v", "a known column", "did you mean 'seconds'?"),
    "unknown having": (lambda: view(having="m > 1"), "having of view v", "a known column", "known are"),
    "unknown explode": (lambda: view(explode="tag as t"), "explode of view v", "a known column", "did you mean 'tags'?"),
    "explode without a name": (lambda: view(explode="tags"), "explode of view v", "'column as element'", "a name of its own"),
    "twice the same": (lambda: view(dimensions=["film"], measures={"FILM": wm.count()}), "column 'FILM' of view v", "each column once", "rename one"),
    "reserved": (lambda: view(measures={"final": wm.count()}), "view v column 'final'", "not reserved", "rename it"),
    "aggregate in a measure": (lambda: view(measures={"s": wm.sum("max(seconds)")}), "measure 's' of view v", "a scalar of one row", "put rows together in measures"),
    "chance": (lambda: view(where="random() < 0.1"), "where of view v", "the same result at any time", "event_time"),
    "derive of a later column": (lambda: view(window=None, derive={"a": "b", "b": "n"}), "derive 'a' of view v", "a known column", "known are"),
    "derive of a record's column": (lambda: view(window=None, derive={"a": "seconds"}), "derive 'a' of view v", "a known column", "known are"),
    "lag without a lookback": (lambda: view(derive={"a": "lag(n) over w"}), "derive 'a' of view v", "a lookback", 'lookback="24h"'),
    "lag over all time": (lambda: view(window=None, lookback="1h", derive={"a": "lag(n) over w"}), "derive 'a' of view v", "a window", "leave lag out"),
    "another window function": (lambda: view(lookback="1h", derive={"a": "rank() over w"}), "derive 'a' of view v", "lag(x) over w", "the only window function"),
    "lookback": (lambda: view(lookback="long"), "lookback of view v", "a length of time", "units"),
    "expire": (lambda: view(expire="never"), "expire of view v", "a length of time", "units"),
    "window that is no multiple": (lambda: PLAYS.at("7m"), "plays.at(7m)", "the panes of plays (5m)", "take a multiple of 5m"),
    "window finer than the pane": (lambda: PLAYS.at("1m"), "plays.at(1m)", "the panes of plays (5m)", "take a multiple of 5m"),
    "hop that is no multiple": (lambda: PLAYS.at("1h", every="7m"), "plays.at(1h every 7m)", "the panes of plays (5m)", "take a multiple of 5m"),
    "boundaries that are no multiple": (lambda: PLAYS.at(wm.running("7m")), "plays.at(running, every 7m)", "the panes of plays (5m)", "take a multiple of 5m"),
    "another origin": (lambda: PLAYS.at(wm.tumbling("10m", origin=MINUTE)), "plays.at(10m)", "the panes of plays (5m)", "take a multiple of 5m"),
    "days of panes": (lambda: PLAYS.at(wm.calendar("day")), "plays.at(day in UTC)", "the panes of plays (5m)", "take a multiple of 5m"),
    "sessions of panes": (lambda: PLAYS.at(wm.session("1h")), "plays.at(sessions with a gap of 1h)", "the panes of plays (5m)", "take a multiple of 5m"),
    "hours of sessions": (lambda: SESSIONS.at("1h"), "visits.at(1h)", "the panes of visits", "declare a view with that window"),
    "other sessions": (lambda: SESSIONS.at(wm.session("1h")), "visits.at(sessions with a gap of 1h)", "the panes of visits", "declare a view"),
    "all time of sessions": (lambda: SESSIONS.at(None), "visits.at(all time)", "the panes of visits", "declare a view"),
    "hours of days": (lambda: DAYS.at("1h"), "days.at(1h)", "the panes of days", "declare a view"),
    "days of another zone": (lambda: DAYS.at(wm.calendar("month")), "days.at(month in UTC)", "the panes of days", "declare a view"),
    "hours of all time": (lambda: FACTS.at("1h"), "facts.at(1h)", "the panes of facts (all time)", "declare a view"),
    "unknown by": (lambda: PLAYS.at("1h", by=["flim"]), "by of plays.at", "a list of dimensions", "did you mean 'film'?"),
    "by a measure": (lambda: PLAYS.at("1h", by=["n"]), "by of plays.at", "a list of dimensions", "known are film, who"),
    "by without a list": (lambda: PLAYS.at("1h", by="film"), "by of plays.at", "a list of dimensions", "write by=['film']"),
    "by facts that are not there": (lambda: PLAYS.at("1h", by=["genre"]), "by of plays.at", "a list of dimensions", "known are film, who"),
    "through a window": (lambda: PLAYS.at("1h", through=PLAYS), "through of plays.at", "an all-time view keyed by some of film, who", "window=None"),
    "through another key": (lambda: SESSIONS.at(wm.session("30m"), through=FACTS), "through of visits.at", "an all-time view keyed by some of viewer", "only these dimensions"),
    "having of what is gone": (lambda: view(dimensions=["film"], having="film > 1").at("1h", by=[]), "having of view v.1h.by_none", "a known column", "known are"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_a_view_cannot_mean_is_refused(name: str) -> None:
    declare, subject, expected, remedy = WRONG[name]
    error = refusal(declare)
    assert error.subject == subject
    assert expected in error.expected
    assert remedy in error.remedy


# -- what a view is --------------------------------------------------------------------------------------------------


def test_an_answer_has_the_window_the_dimensions_the_measures_and_what_is_derived() -> None:
    assert PLAYS.columns == (
        "window_start", "window_end", "film", "who", "n", "seconds", "mean", "viewers", "twice", "change", "by_who",
    )  # fmt: skip
    assert PLAYS.key == ("window_start", "film", "who")
    assert PLAYS.time == "window_start"
    assert FACTS.time is None


def test_equal_lifts_are_stored_once_and_in_one_order() -> None:
    kinds = [lift.kind for lift in PLAYS.cells.lifts]
    assert kinds == ["count", "distinct", "sum"], "a mean and a sum of one column share their partial"


def test_a_top_has_cells_of_its_own_by_the_value_that_it_ranks() -> None:
    ranked = view(dimensions=["film"], measures={"n": wm.count(), "best": wm.top("viewer", 3)})
    [(name, spec)] = ranked.tops
    assert name == "best"
    assert [d.name for d in spec.dimensions] == ["film", "value"]
    assert [lift.kind for lift in ranked.cells.lifts] == ["count"]
    assert ranked.specs == (ranked.cells, spec)


def test_a_read_reaches_back_one_lookback_for_each_stage_that_looks_back() -> None:
    two = view(lookback="1h", derive={"a": "lag(n) over w", "b": "lag(a, 2) over w", "c": "a + b"})
    assert two.reach_us == 2 * 60 * MINUTE
    assert view(lookback="1h").reach_us == 0


def test_a_derived_column_knows_what_it_lags() -> None:
    [lag] = dict(PLAYS.derived)["change"].lags
    assert (lag.value, lag.steps) == ("twice", 1)


# -- the same cells, read otherwise ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "every", "expected"),
    [
        ("5m", None, wm.tumbling("5m")),
        ("1h", None, wm.tumbling("1h")),
        ("1h", "5m", wm.hopping("1h", "5m")),
        ("1h", "15m", wm.hopping("1h", "15m")),
        (wm.hopping("24h", "15m"), None, wm.hopping("24h", "15m")),
        (wm.running("10m"), None, wm.running("10m")),
        (wm.tumbling("10m", origin=5 * MINUTE), None, wm.tumbling("10m", origin=5 * MINUTE)),
        (None, None, None),
    ],
)
def test_panes_compose_every_multiple(window: str | Window | None, every: str | None, expected: Window | None) -> None:
    found = PLAYS.at(window, every=every)
    assert found.window == expected
    assert found.cells is PLAYS.cells
    assert found.root is PLAYS


def test_a_reading_of_a_reading_is_one_of_the_view() -> None:
    assert PLAYS.at("1h").at("10m").cells is PLAYS.cells
    assert PLAYS.at("1h").at("10m").name == "plays.10m"


def test_days_compose_coarser_units_of_their_zone() -> None:
    for unit in ("week", "month", "quarter", "year"):
        window = wm.calendar(unit, "Europe/Berlin")
        found = DAYS.at(window)
        assert (found.window, found.cells) == (window, DAYS.cells)
        assert found.name == f"days.{unit}_in_Europe_Berlin"


def test_what_is_derived_is_derived_anew_where_its_columns_are_left() -> None:
    assert list(PLAYS.at("1h").derive) == ["twice", "change", "by_who"]
    assert list(PLAYS.at("1h", by=["film"]).derive) == ["twice", "change"]
    assert list(PLAYS.at(None).derive) == ["twice", "by_who"], "nothing comes before all time"


def test_fewer_dimensions_keep_the_cells() -> None:
    films = PLAYS.at("1h", by=["film"])
    assert films.columns == ("window_start", "window_end", "film", "n", "seconds", "mean", "viewers", "twice", "change")
    assert films.key == ("window_start", "film")
    assert films.cells is PLAYS.cells
    assert PLAYS.at(None, by=[]).key == ("window_start",)


def test_facts_regroup_by_their_columns() -> None:
    genres = PLAYS.at("1h", by=["genre"], through=FACTS)
    assert genres.columns[:3] == ("window_start", "window_end", "genre")
    assert genres.name == "plays.1h.by_genre.through_facts"
    assert genres.cells is PLAYS.cells
    assert genres.through is FACTS


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    dimensions = [f"film + {i} as dimension_number_{i}" for i in range(8)]
    wide = view(dimensions=dimensions)
    names = {wide.at("1h", by=[d.name for d in wide.by][:i]).name for i in range(9)}
    assert len(names) == 9
    assert max(map(len, names)) == 120


def test_having_is_for_windows_and_not_for_all_time() -> None:
    some = view(having="n > 1")
    assert some.at("1h").having == "n > 1"
    assert some.at(None).having is None


# -- fingerprints ------------------------------------------------------------------------------------------------------

KEEPS_CELLS: Mapping[str, Callable[[], View]] = {
    "name": lambda: replace(PLAYS, name="views"),
    "renamed measure": lambda: replace(
        PLAYS, measures={"total": wm.count(), **{k: v for k, v in PLAYS.measures.items() if k != "n"}}, derive={}
    ),
    "reordered measures": lambda: replace(
        PLAYS, measures={k: PLAYS.measures[k] for k in reversed(list(PLAYS.measures))}
    ),
    "another derived column": lambda: replace(PLAYS, derive={**PLAYS.derive, "thrice": "n * 3"}),
    "no derived column": lambda: replace(PLAYS, derive={}),
    "lookback": lambda: replace(PLAYS, lookback="2h"),
    "having": lambda: replace(PLAYS, having="n > 1"),
    "digits": lambda: replace(PLAYS, measures={**PLAYS.measures, "mean": wm.mean("seconds", digits=2)}),
    "a mean less, a sum kept": lambda: replace(
        PLAYS, measures={k: v for k, v in PLAYS.measures.items() if k != "mean"}
    ),
    "a window of the same panes": lambda: replace(PLAYS, window=wm.hopping("1h", "5m")),
    "boundaries of the same panes": lambda: replace(PLAYS, window=wm.running("5m")),
}
KEEPS_ALL: Mapping[str, Callable[[], View]] = {
    "place of the declaration": lambda: replace(PLAYS, where_declared="elsewhere:1"),
    "white space": lambda: replace(PLAYS, dimensions=["film", "lower( viewer )  as  who"]),
    "white space in a measure": lambda: replace(
        PLAYS, measures={**PLAYS.measures, "viewers": wm.distinct("/* who */ viewer")}
    ),
    "white space in what is derived": lambda: replace(PLAYS, derive={**PLAYS.derive, "twice": "n*2"}),
}
CHANGES_CELLS: Mapping[str, Callable[[], View]] = {
    "topic version": lambda: replace(PLAYS, topic=replace(TOPIC, skew="1m")),
    "where": lambda: replace(PLAYS, where="seconds > 1"),
    "explode": lambda: replace(PLAYS, explode="tags as tag"),
    "dimension": lambda: replace(PLAYS, dimensions=["film", "viewer as who"]),
    "renamed dimension": lambda: replace(PLAYS, dimensions=["film", "lower(viewer) as whom"], derive={}),
    "order of dimensions": lambda: replace(PLAYS, dimensions=list(reversed(PLAYS.dimensions))),
    "fewer dimensions": lambda: replace(PLAYS, dimensions=["film"], derive={}),
    "panes": lambda: replace(PLAYS, window=wm.tumbling("10m")),
    "origin": lambda: replace(PLAYS, window=wm.tumbling("5m", origin=MINUTE)),
    "hop": lambda: replace(PLAYS, window=wm.hopping("1h", "15m")),
    "days": lambda: replace(PLAYS, window=wm.calendar("day")),
    "days elsewhere": lambda: replace(PLAYS, window=wm.calendar("day", "Europe/Berlin")),
    "sessions": lambda: replace(PLAYS, window=wm.session("5m")),
    "another gap": lambda: replace(PLAYS, window=wm.session("10m")),
    "all time": lambda: replace(PLAYS, window=None, derive={}),
    "expire": lambda: replace(PLAYS, expire="90d"),
    "another measure": lambda: replace(PLAYS, measures={**PLAYS.measures, "longest": wm.max("seconds")}),
    "where of a measure": lambda: replace(PLAYS, measures={**PLAYS.measures, "n": wm.count(where="seconds > 1")}),
    "sketch": lambda: replace(PLAYS, measures={**PLAYS.measures, "viewers": wm.distinct("viewer", size=1024)}),
    "exact": lambda: replace(PLAYS, measures={**PLAYS.measures, "viewers": wm.distinct("viewer", exact=True)}),
}


@pytest.mark.parametrize("name", KEEPS_CELLS)
def test_what_is_only_shown_keeps_the_cells(name: str) -> None:
    found = KEEPS_CELLS[name]()
    assert found.cells.fingerprint == PLAYS.cells.fingerprint
    assert found.cells.lifts == PLAYS.cells.lifts
    assert (found.fingerprint == PLAYS.fingerprint) is (name == "name")


@pytest.mark.parametrize("name", KEEPS_ALL)
def test_how_it_is_written_changes_nothing(name: str) -> None:
    found = KEEPS_ALL[name]()
    assert found.cells.fingerprint == PLAYS.cells.fingerprint
    assert [lift.kind for lift in found.cells.lifts] == [lift.kind for lift in PLAYS.cells.lifts]
    assert found.fingerprint == PLAYS.fingerprint


def test_how_an_expression_is_spaced_does_not_move_its_partials() -> None:
    # As text "film*3" sorts after "film *2", and before it once it is spaced.
    tight = view(measures={"a": wm.sum("film*3"), "b": wm.sum("film *2")})
    loose = view(measures={"a": wm.sum("film   *3"), "b": wm.sum("film *2")})
    places = [[spec.cells.lifts.index(spec.measures[m].lifts[0]) for m in "ab"] for spec in (tight, loose)]
    assert tight.cells.fingerprint == loose.cells.fingerprint
    assert places == [[1, 0], [1, 0]]


@pytest.mark.parametrize("name", CHANGES_CELLS)
def test_what_is_stored_changes_the_cells(name: str) -> None:
    found = CHANGES_CELLS[name]()
    assert found.cells.fingerprint != PLAYS.cells.fingerprint
    assert found.fingerprint != PLAYS.fingerprint


def test_every_other_store_is_another_one() -> None:
    assert len({make().cells.fingerprint for make in CHANGES_CELLS.values()}) == len(CHANGES_CELLS)


def test_a_reading_serves_something_else_from_the_same_cells() -> None:
    readings = [PLAYS, PLAYS.at("1h"), PLAYS.at("1h", every="5m"), PLAYS.at(None), PLAYS.at("1h", by=["film"])]
    readings += [PLAYS.at("1h", by=["genre"], through=FACTS), PLAYS.at(wm.running("5m"))]
    assert len({reading.fingerprint for reading in readings}) == len(readings)
    assert {reading.cells.fingerprint for reading in readings} == {PLAYS.cells.fingerprint}
