"""Declarations survive the way to bytes and back, without the files that they came from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import watersmeet as wm
from watersmeet.core import normal
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import CorruptError, DeclarationError, RequestError
from watersmeet.core.function import RowFunction
from watersmeet.core.topic import Exclusion

from . import figures

pytestmark = pytest.mark.unit

CLICKS = wm.Topic(
    "clicks",
    schema={"page": "varchar not null", "at": "timestamp not null", "n": "decimal(9,2) round"},
    event_time="at",
)


def scored(source: str = "aaaa") -> RowFunction:
    """A row function with a source of its own."""
    make = wm.function(version=3, returns="decimal(5,4) round")

    def score(texts: object) -> object:
        return texts

    return replace(make(score), source_hash=source)  # type: ignore[arg-type]  # never called


def reviewed(function: RowFunction) -> Declarations:
    topic = wm.Topic(
        "reviews", schema={"text": "varchar"}, compute={"s": "score(text)"}, functions=[function], lateness="1h"
    )
    return collect([wm.View("mood", topic=topic, measures={"mood": wm.mean("s")})])


def same(a: Declarations, b: Declarations) -> bool:
    """Equal in everything, fingerprints and lines of declaration included."""
    fingerprints = [{n: r.fingerprint for n, r in sorted(x.readables.items())} for x in (a, b)]
    lines = [[item.where_declared for _, item in sorted({**x.topics, **x.readables}.items())] for x in (a, b)]
    return a == b and fingerprints[0] == fingerprints[1] and lines[0] == lines[1]


@pytest.mark.parametrize("declare", [figures.films, figures.learning, figures.engagement])
def test_real_figures_come_back_equal(declare: Callable[[], Declarations]) -> None:
    declarations = declare()
    data = normal.encode(declarations)
    found = normal.decode(data, normal.functions(declarations))
    assert same(found, declarations)
    assert normal.encode(found) == data
    for name, query in found.queries.items():
        assert [v.cells.fingerprint for v in query.views] == [
            v.cells.fingerprint for v in declarations.queries[name].views
        ]


names = st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True)
columns = st.lists(names.map(lambda n: f"c_{n}"), min_size=1, max_size=4, unique=True)
lengths = st.one_of(st.sampled_from(["1m", "5m", "90s", "2h"]), st.integers(1, 10**6).map(lambda s: timedelta(0, s)))
types = st.sampled_from(["varchar", "integer not null", "decimal(9,2) round", "varchar[]", "double", "bigint"])
conditions = st.sampled_from(["", "event_time is not null", "partition = 0"])
measures = st.one_of(
    st.builds(wm.count, where=conditions),
    st.builds(lambda w, d: wm.mean("arrived_at", where=w, digits=d), conditions, st.sampled_from([None, 3])),
    st.builds(lambda n: wm.last("arrived_at", nulls=n), st.booleans()),
    st.builds(lambda k: wm.distinct("arrived_at", size=k), st.sampled_from([16, 4096])),
    st.builds(lambda k: wm.top("arrived_at", k), st.integers(1, 9)),
)
windows = st.sampled_from(
    [None, wm.tumbling("5m"), wm.hopping("1h", "5m"), wm.running("1h"), wm.calendar("day", "Europe/Berlin")]
)
plain_values = st.one_of(
    st.none(),
    st.integers(),
    st.booleans(),
    st.text(),
    st.just(Decimal("1.50")),
    st.just(datetime(2024, 1, 1, tzinfo=UTC)),
)


@st.composite
def topics(draw: st.DrawFn, name: str) -> wm.Topic:
    schema = {column: draw(types) for column in draw(columns)} | {"at": "timestamp not null", "k": "varchar not null"}
    exclusions = draw(
        st.lists(st.builds(Exclusion, st.just("why"), st.just("k is null"), st.just(((0, 7),))), max_size=2)
    )
    return wm.Topic(
        name,
        schema=schema,
        event_time=draw(st.sampled_from([None, "at"])),
        id=draw(st.sampled_from([None, "k"])),
        check={"reason": "k <> ''"} if draw(st.booleans()) else {},
        compute={"c": "upper(k)"} if draw(st.booleans()) else {},
        horizon=draw(st.one_of(st.none(), lengths)),
        lateness=draw(lengths),
        partitions=draw(st.integers(1, 9)),
        extra=draw(st.sampled_from(["reject", "ignore"])),
        exclusions=tuple(exclusions),
    )


@st.composite
def apps(draw: st.DrawFn) -> Declarations:
    """A topic, views of it declared and not, readings of them, queries of queries, tables, alerts and examples."""
    topic = draw(topics("t"))
    hidden = wm.View("hidden", topic=topic, measures={"n": wm.count()})
    views = [
        wm.View(
            f"v_{name}",
            topic=topic,
            measures=draw(st.dictionaries(names.map(lambda n: f"m_{n}"), measures, min_size=1, max_size=3)),
            dimensions=draw(st.sampled_from([(), [], ["k"], ("k", "lower(k) as low")])),
            window=draw(windows),
            where=draw(st.sampled_from([None, "k = 'a'"])),
            derive=draw(st.sampled_from([{}, {"twice": "window_end"}])),
            lookback=draw(st.one_of(st.none(), lengths)),
        )
        for name in draw(st.lists(names, min_size=1, max_size=2, unique=True))
    ]
    read = [v.at(draw(st.sampled_from([None, v.frame]))) for v in [*views, hidden]]
    first = wm.Query("q_first", inputs={"a": views[0], "b": read[-1]}, key=["x"], sql="select 1 as x from a, b")
    second = wm.Query("q_second", inputs={"q": first, "v": read[0]}, key=("x",), time=None, sql="select x from q, v")
    anything: st.SearchStrategy[wm.Topic | wm.View | wm.Query] = st.sampled_from(
        [topic, views[0], read[0], hidden, second]
    )
    readable: st.SearchStrategy[wm.View | wm.Query] = st.sampled_from([views[0], read[0], first])
    return collect(
        [
            *views,
            first,
            second,
            wm.Table("a_table", of=draw(anything), every=draw(lengths)),
            wm.Alert("an_alert", of=draw(readable), when="1 = 1"),
            wm.Example(of=first, given=[draw(st.dictionaries(names, plain_values, max_size=3))], expect=[{"x": 1}]),
        ]
    )


@settings(max_examples=40, deadline=None)
@given(apps())
def test_any_declarations_come_back_equal(declarations: Declarations) -> None:
    data = normal.encode(declarations)
    found = normal.decode(data, {})
    assert same(found, declarations)
    assert normal.encode(found) == data


def test_a_topic_is_one_thing_to_all_that_use_it() -> None:
    found = normal.decode(normal.encode(figures.engagement()), {})
    views = found.queries["trending_now_1h"].views
    assert {id(view.topic) for view in views} == {id(found.topics["views"]), id(found.topics["clicks"])}
    assert views[0].of is found.views["film_views"]


def test_a_row_function_is_looked_up_by_name_and_must_be_the_one_that_was_applied() -> None:
    declarations, data = reviewed(scored()), normal.encode(reviewed(scored()))
    found = normal.decode(data, {"score": scored()})
    assert found == declarations
    assert found.topics["reviews"].functions[0].call is not scored().call  # the one of the files, not of the bytes
    with pytest.raises(DeclarationError) as refused:
        normal.decode(data, {"score": scored("bbbb")})
    for word in ("'score'", "aaaa", "bbbb", "watersmeet apply", "restore"):
        assert word in str(refused.value)
    with pytest.raises(DeclarationError, match="no function of that name"):
        normal.decode(data, {})


def test_without_its_row_functions_a_topic_can_be_compared_but_not_run() -> None:
    declarations = reviewed(scored())
    found = normal.decode(normal.encode(declarations), {"score": scored("bbbb")}, strict=False)
    topic = found.topics["reviews"]
    assert found == declarations
    assert topic.version == declarations.topics["reviews"].version
    with pytest.raises(DeclarationError, match="bbbb"):
        topic.functions[0](["great"])
    assert [str(e) for e in normal.absent(topic, {"score": scored("bbbb")})] == [
        str(e) for e in normal.absent(declarations.topics["reviews"], {"score": scored("bbbb")})
    ]
    assert normal.absent(topic, {"score": scored()}) == ()


def test_two_row_functions_of_one_name_are_refused() -> None:
    other = wm.Topic("others", schema={"text": "varchar"}, functions=[scored("bbbb")])
    both = replace(reviewed(scored()), topics={**reviewed(scored()).topics, "others": other})
    with pytest.raises(DeclarationError, match="Rename"):
        normal.encode(both)


def test_exclusions_of_a_topic_change_for_everything_that_uses_it() -> None:
    declarations = figures.engagement()
    rule = Exclusion("bots", where="user_id = 'bot'")
    found = normal.with_exclusions(declarations, {"views": (rule,)})
    views = [view for query in found.queries.values() for view in query.views if view.topic.name == "views"]
    assert {view.topic.exclusions for view in [*views, found.views["film_views"]]} == {(rule,)}
    assert found.topics["clicks"] == declarations.topics["clicks"]
    assert normal.with_exclusions(found, {"views": ()}) == declarations
    with pytest.raises(RequestError, match="view"):
        normal.with_exclusions(declarations, {"view": ()})


def test_an_example_must_hold_plain_data() -> None:
    example = wm.Example(of=CLICKS, given=[{"page": object()}], expect=[])
    with pytest.raises(DeclarationError, match="plain data"):
        normal.encode(collect([CLICKS, example]))


def tampered(change: Callable[[dict[str, object]], object]) -> bytes:
    tree = json.loads(normal.encode(figures.learning()))
    change(tree)
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tree: tree.update(format=2), "format 2"),
        (lambda tree: tree.pop("views"), "a section views"),
        (lambda tree: tree["views"].pop("grading_flow"), "grading_flow among its views"),
        (
            lambda tree: tree["views"]["grading_flow"].update({"topic": {"$": "views", "of": "grading_flow"}}),
            "themselves",
        ),
        (lambda tree: tree["views"]["grading_flow"].update({"topic": {"$": "tables", "of": "x"}}), "tables x"),
        (lambda tree: tree["views"]["grading_flow"].update({"colour": "red"}), "colour"),
        (lambda tree: tree["topics"]["video"].update({"functions": [{"$": "function", "of": "f"}]}), "function f"),
    ],
    ids=["format", "section", "reference", "cycle", "kind", "field", "function"],
)
def test_bytes_that_were_not_written_so_are_refused(change: Callable[[dict[str, object]], object], says: str) -> None:
    with pytest.raises(CorruptError, match=says):
        normal.decode(tampered(change), {})


def test_the_format_is_pinned() -> None:
    """Stored declarations outlive the program: what it writes must not change under one format number."""
    view = wm.View("hits", topic=CLICKS, dimensions=["page"], measures={"n": wm.count()}, where_declared="app.py:2")
    written = normal.encode(collect([replace(view, topic=replace(CLICKS, where_declared="app.py:1"))]))
    assert normal.name_of(written) == "33fd2d9ca34d1f31dec3d4f4597df570"


def windowed(source: str = "aaaa", where: str = "") -> Declarations:
    """A view with a user's own windows, and a table of all time of it."""

    def minutes(event_time: object) -> object:
        return event_time

    window = wm.window(version=2)(minutes)  # type: ignore[arg-type]  # never called
    window = replace(window, function=replace(window.function, source_hash=source))
    view = wm.View("by_minute", topic=CLICKS, window=window, where=where, measures={"n": wm.count()})
    return collect([view, wm.Table("ever", of=view.at(None)), wm.Example(of=view, given=[], expect=[])])


def test_a_window_function_is_stored_like_a_row_function() -> None:
    declarations = windowed()
    data, known = normal.encode(declarations), normal.functions(declarations)
    found = normal.decode(data, known)
    assert same(found, declarations)
    assert normal.encode(found) == data
    assert list(known) == ["minutes"]
    assert found.views["by_minute"].frame == declarations.views["by_minute"].frame
    assert found.tables["ever"].of.cells is found.views["by_minute"].cells  # type: ignore[union-attr]  # a view


def test_a_window_function_of_another_source_is_refused_and_a_stand_in_can_be_compared() -> None:
    declarations, others = windowed(), normal.functions(windowed("bbbb"))
    with pytest.raises(DeclarationError, match=r"function 'minutes'.*aaaa.*bbbb"):
        normal.decode(normal.encode(declarations), others)
    found = normal.decode(normal.encode(declarations), others, strict=False)
    assert found == declarations
    (spec,) = found.views["by_minute"].specs
    assert len(normal.absent(spec, others)) == 1
    assert normal.absent(spec, normal.functions(declarations)) == ()


def test_a_row_function_and_a_window_function_share_their_names() -> None:
    topic = wm.Topic("t", schema={"x": "varchar"}, functions=[replace(scored(), name="minutes")])
    with pytest.raises(DeclarationError, match="one function of that name in an app"):
        normal.encode(collect([topic, *windowed().views.values()]))


def test_the_format_of_a_topic_is_stored_and_that_of_json_is_not_written() -> None:
    """What was stored before topics had a format stays equal, to the byte."""
    avro = replace(CLICKS, format="avro")
    for topic in (CLICKS, avro):
        declarations = collect([topic, wm.View("pages", topic=topic, dimensions=["page"], measures={"n": wm.count()})])
        data = normal.encode(declarations)
        assert normal.decode(data, {}) == declarations
        assert normal.decode(data, {}).topic("clicks").version == topic.version
        assert json.loads(data)["topics"]["clicks"].get("format") == (None if topic is CLICKS else "avro")


def test_declarations_in_json_are_the_same_but_for_the_format() -> None:
    def declared(topic: wm.Topic) -> Declarations:
        view = wm.View("pages", topic=topic, dimensions=["page"], measures={"n": wm.count()})
        return collect([topic, view, wm.Example(of=view, given=[], expect=[])])

    assert normal.in_json(declared(replace(CLICKS, format="avro"))) == declared(CLICKS)
