"""What every `Sink` must do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watersmeet.core.errors import ConflictError, RequestError
from watersmeet.core.sink import Shape, Sink
from watersmeet.core.table import Table
from watersmeet.core.topic import Topic

from .implementations import SERVERS, SINKS, connect, served
from .readers import Rows

pytestmark = pytest.mark.integration
TOPIC = Topic("movie.ratings", {"movie_id": "integer not null"})


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0, us: int = 0) -> datetime:
    """A time as a TIMESTAMP has it: in UTC, without saying so."""
    return datetime(year, month, day, hour, minute, second, us, UTC).replace(tzinfo=None)


NOON = at(2026, 3, 1, 12)
ONE = at(2026, 3, 1, 13)
SHAPE = Shape(
    name="trending",
    columns=(("hour", "TIMESTAMP"), ("movie_id", "INTEGER"), ("title", "VARCHAR"), ("score", "DECIMAL(12,4)")),
    key=("hour", "movie_id"),
    scope="hour",
    partition=("hour",),
    order=("score",),
)
WHOLE = Shape("films", (("movie_id", "INTEGER"), ("title", "VARCHAR")), ("movie_id",), None)
NOTHING = pa.table({})
TYPES = {
    "id": "INTEGER",
    "flag": "BOOLEAN",
    "big": "BIGINT",
    "huge": "HUGEINT",
    "money": "DECIMAL(38,9)",
    "rate": "DECIMAL(4,2)",
    "real": "DOUBLE",
    "text": "VARCHAR",
    "day": "DATE",
    "time": "TIMESTAMP",
    "bytes": "BLOB",
    "words": "VARCHAR[]",
    "top": 'STRUCT(title VARCHAR, "odd name" DECIMAL(20,4))[]',
}
TEXTS = [
    "",
    "a",
    "=1+1",
    "+1",
    "-1",
    "@x",
    "\tx",
    "\r",
    "\n=1",
    "'=1",
    "''-",
    "'",
    "＝1",
    'say "hi", she said',
    "a\nb",
    "a\r\nb",
    " a ",
    "NULL",
    "null",
    "é\U0001f600\u2028\x85\x0b",
    "\\N",
    "a,b;c\td",
    '"',
    "{}",
    "x" * 5000,
]


class Bench:
    """A sink under test and what a reader finds at its destination."""

    def __init__(self, name: str, directory: Path, stack: ExitStack) -> None:
        self._destination, self._directory, self._stack = SINKS[name], directory, stack
        self.place = served(SERVERS[name], directory).servers() if name in SERVERS else str(directory)
        self.sink = self.open()

    def open(self) -> Sink:
        return self._stack.enter_context(self._destination.open(self._directory))

    def prepare(self, *shapes: Shape) -> None:
        for shape in shapes:
            self.sink.prepare(Table("any", TOPIC), shape)

    def rows(self, shape: Shape = SHAPE) -> Rows:
        return sorted(self._destination.rows(self._directory, shape), key=lambda row: [str(row[k]) for k in shape.key])


@pytest.fixture(params=SINKS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    connect(request, request.param)
    with ExitStack() as stack:
        yield Bench(request.param, tmp_path, stack)


def table(*rows: Mapping[str, object], shape: Shape = SHAPE) -> pa.Table:
    """Rows of a shape as its engine would hand them over."""
    types = {
        "TIMESTAMP": pa.timestamp("us"),
        "INTEGER": pa.int32(),
        "VARCHAR": pa.string(),
        "DECIMAL(12,4)": pa.decimal128(12, 4),
    }
    schema = pa.schema([(name, types[type_]) for name, type_ in shape.columns])
    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema)


def row(hour: datetime | None, movie: int | None, title: str | None = "t", score: str = "1") -> dict[str, object]:
    return {"hour": hour, "movie_id": movie, "title": title, "score": Decimal(score).quantize(Decimal("1.0000"))}


def test_rows_are_put_and_deleted_by_key(bench: Bench) -> None:
    bench.prepare(SHAPE)
    assert bench.rows() == []
    bench.sink.write(SHAPE, NOON, table(row(NOON, 1), row(NOON, 2), row(NOON, 3)), NOTHING, 1)
    bench.sink.write(SHAPE, ONE, table(row(ONE, 1)), NOTHING, 2)
    assert bench.rows() == [row(NOON, 1), row(NOON, 2), row(NOON, 3), row(ONE, 1)]
    keys = pa.table({"movie_id": pa.array([3, 9], pa.int32()), "hour": pa.array([NOON, NOON], pa.timestamp("us"))})
    bench.sink.write(SHAPE, NOON, table(row(NOON, 2, "new", "-2.5")), keys, 3)
    assert bench.rows() == [row(NOON, 1), row(NOON, 2, "new", "-2.5"), row(ONE, 1)]
    bench.sink.write(SHAPE, NOON, NOTHING, table(row(NOON, 1), row(NOON, 2)), 4)
    assert bench.rows() == [row(ONE, 1)]


def test_a_key_that_is_deleted_and_put_is_put(bench: Bench) -> None:
    bench.prepare(SHAPE)
    bench.sink.write(SHAPE, NOON, table(row(NOON, 1)), table(row(NOON, 1, "old")), 1)
    assert bench.rows() == [row(NOON, 1)]


def test_a_delete_stays_in_its_scope(bench: Bench) -> None:
    """A row whose key does not hold its scope moved from noon to one; the delete of where it was comes last."""
    shape = replace(SHAPE, name="moves", key=("movie_id",), partition=(), order=())
    bench.prepare(shape)
    bench.sink.write(shape, NOON, table(row(NOON, 1)), NOTHING, 1)
    bench.sink.write(shape, ONE, table(row(ONE, 1, "moved")), NOTHING, 2)
    bench.sink.write(shape, NOON, NOTHING, table(row(NOON, 1)), 2)
    assert bench.rows(shape) == [row(ONE, 1, "moved")]


def test_null_is_a_key_like_any_other(bench: Bench) -> None:
    bench.prepare(SHAPE, WHOLE)
    bench.sink.write(SHAPE, NOON, table(row(NOON, None), row(NOON, 1)), NOTHING, 1)
    bench.sink.write(SHAPE, NOON, table(row(NOON, None, "again")), NOTHING, 2)
    assert bench.rows() == [row(NOON, 1), row(NOON, None, "again")]
    bench.sink.write(SHAPE, NOON, NOTHING, table(row(NOON, None)), 3)
    assert bench.rows() == [row(NOON, 1)]
    film: dict[str, object] = {"movie_id": None, "title": None}
    bench.sink.write(WHOLE, None, table(film, shape=WHOLE), NOTHING, 1)
    bench.sink.write(WHOLE, None, table(film, shape=WHOLE), NOTHING, 2)
    assert bench.rows(WHOLE) == [film]


def test_a_lower_sequence_number_is_refused_and_an_equal_one_repeats(bench: Bench) -> None:
    bench.prepare(SHAPE)
    other = bench.open()
    bench.sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 5)
    other.write(SHAPE, NOON, table(row(NOON, 2)), NOTHING, 7)
    with pytest.raises(ConflictError):
        bench.sink.write(SHAPE, NOON, table(row(NOON, 1, "zombie")), NOTHING, 6)
    with pytest.raises(ConflictError):
        bench.sink.replace(SHAPE, NOON, table(row(NOON, 1, "zombie")), 6)
    with pytest.raises(ConflictError):
        bench.sink.write(SHAPE, NOON, NOTHING, NOTHING, 0)
    assert bench.rows() == [row(NOON, 1), row(NOON, 2)]
    for _ in range(2):
        bench.sink.write(SHAPE, NOON, table(row(NOON, 3)), table(row(NOON, 1)), 7)
        assert bench.rows() == [row(NOON, 2), row(NOON, 3)]
    with pytest.raises(ConflictError):
        other.write(SHAPE, NOON, NOTHING, NOTHING, 6)


def test_a_write_that_changes_no_row_takes_up_its_sequence_number(bench: Bench) -> None:
    bench.prepare(SHAPE)
    bench.sink.write(SHAPE, NOON, NOTHING, NOTHING, 2)
    bench.sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 3)
    bench.sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 9)
    with pytest.raises(ConflictError):
        bench.sink.write(SHAPE, NOON, NOTHING, table(row(NOON, 1)), 8)
    assert bench.rows() == [row(NOON, 1)]


def test_a_scope_is_replaced_as_a_whole(bench: Bench) -> None:
    bench.prepare(SHAPE, WHOLE)
    bench.sink.write(SHAPE, NOON, table(row(NOON, 1), row(NOON, 2)), NOTHING, 1)
    bench.sink.write(SHAPE, ONE, table(row(ONE, 1)), NOTHING, 1)
    for _ in range(2):
        bench.sink.replace(SHAPE, NOON, table(row(NOON, 2, "new"), row(NOON, 3)), 2)
        assert bench.rows() == [row(NOON, 2, "new"), row(NOON, 3), row(ONE, 1)]
    bench.sink.replace(SHAPE, NOON, NOTHING, 3)
    assert bench.rows() == [row(ONE, 1)]
    films: list[dict[str, object]] = [{"movie_id": n, "title": str(n)} for n in range(3)]
    bench.sink.replace(WHOLE, None, table(*films, shape=WHOLE), 1)
    bench.sink.replace(WHOLE, None, table(*films[1:], shape=WHOLE), 2)
    assert bench.rows(WHOLE) == films[1:]


@pytest.mark.parametrize(
    "spelled",
    [
        NOON.replace(tzinfo=UTC),
        NOON.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=5, minutes=30))),
        int(NOON.replace(tzinfo=UTC).timestamp()) * 1_000_000,
        "2026-03-01 12:00:00",
        "2026-03-01T12:00:00Z",
    ],
    ids=str,
)
def test_a_time_is_one_scope_however_it_is_spelled(bench: Bench, spelled: object) -> None:
    bench.prepare(SHAPE)
    bench.sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 5)
    bench.sink.write(SHAPE, spelled, table(row(NOON, 2)), NOTHING, 6)
    with pytest.raises(ConflictError):
        bench.sink.write(SHAPE, spelled, NOTHING, NOTHING, 4)
    bench.sink.replace(SHAPE, spelled, table(row(NOON, 3)), 7)
    assert bench.rows() == [row(NOON, 3)]


@pytest.mark.parametrize("type_", ["VARCHAR", "INTEGER", "DATE", "DECIMAL(12,4)"])
def test_a_scope_may_be_of_any_type(bench: Bench, type_: str) -> None:
    shape = Shape("any", (("part", type_), ("n", "INTEGER")), ("part", "n"), "part")
    scopes: dict[str, list[object]] = {
        "VARCHAR": [*TEXTS[::4], None, "..", "/etc", "../x", "%2E", "A", "__HIVE_DEFAULT_PARTITION__", "None"],
        "INTEGER": [0, -1, None, 2**31 - 1],
        "DATE": [date(2026, 1, 1), date(1969, 12, 31), None],
        "DECIMAL(12,4)": [Decimal("1.5"), Decimal("-0.0001"), None],
    }
    bench.prepare(shape)
    for number, scope in enumerate(scopes[type_]):
        made = {"part": pa.array([scope, scope]), "n": pa.array([number, -1], pa.int32())}
        bench.sink.write(shape, scope, pa.table(made), NOTHING, 1)
        bench.sink.write(shape, scope, NOTHING, pa.table(made).slice(1), 2)
    found = {r["n"]: r["part"] for r in bench.rows(shape)}
    assert found == dict(enumerate(scopes[type_]))


def test_a_scope_may_be_a_stretch_of_time(bench: Bench) -> None:
    shape = replace(SHAPE, name="hours", scope_us=3_600_000_000)
    bench.prepare(shape)
    late, next_hour = NOON + timedelta(minutes=59, seconds=59), NOON + timedelta(hours=1)
    bench.sink.write(shape, NOON, table(row(NOON, 1), row(late, 2)), NOTHING, 1)
    bench.sink.write(shape, next_hour, table(row(next_hour, 1)), NOTHING, 1)
    assert len(bench.rows(shape)) == 3
    with pytest.raises(RequestError, match="rows of"):
        bench.sink.write(shape, NOON, table(row(next_hour, 7)), NOTHING, 2)
    bench.sink.write(shape, late, table(row(late, 3)), table(row(NOON, 1)), 2)
    assert len(bench.rows(shape)) == 3
    bench.sink.replace(shape, NOON, table(row(late, 9)), 3)
    assert len(bench.rows(shape)) == 2
    bench.sink.replace(shape, NOON, NOTHING, 4)
    assert len(bench.rows(shape)) == 1


def test_rows_of_another_scope_are_refused(bench: Bench) -> None:
    bench.prepare(SHAPE)
    for stray in (row(ONE, 2), row(None, 2)):
        with pytest.raises(RequestError, match="2026-03-01 12:00:00"):
            bench.sink.write(SHAPE, NOON, table(row(NOON, 1), stray), NOTHING, 1)
        with pytest.raises(RequestError):
            bench.sink.replace(SHAPE, NOON, table(stray), 1)
    with pytest.raises(RequestError):
        bench.sink.write(SHAPE, "not a time", NOTHING, NOTHING, 1)
    assert bench.rows() == []


def test_a_table_of_one_piece_has_no_scope(bench: Bench) -> None:
    bench.prepare(WHOLE)
    with pytest.raises(RequestError):
        bench.sink.write(WHOLE, 5, NOTHING, NOTHING, 1)


def test_two_rows_of_one_key_are_refused(bench: Bench) -> None:
    bench.prepare(SHAPE)
    for twice in (table(row(NOON, 1), row(NOON, 1, "other")), table(row(NOON, None), row(NOON, None))):
        with pytest.raises(RequestError, match="each key once"):
            bench.sink.write(SHAPE, NOON, twice, NOTHING, 1)
        with pytest.raises(RequestError, match="each key once"):
            bench.sink.replace(SHAPE, NOON, twice, 1)
    assert bench.rows() == []


def test_rows_that_do_not_fit_the_shape_are_refused_and_the_rest_stays(bench: Bench) -> None:
    bench.prepare(SHAPE)
    bench.sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 1)
    good = table(row(NOON, 2))
    for wrong in (
        good.drop(["title"]),
        good.set_column(1, "movie_id", pa.array([2**40])),
        good.set_column(1, "movie_id", pa.array(["many"])),
        good.set_column(3, "score", pa.array([Decimal(10**9)])),
    ):
        with pytest.raises(RequestError):
            bench.sink.write(SHAPE, NOON, wrong, NOTHING, 2)
    with pytest.raises(RequestError):
        bench.sink.write(SHAPE, NOON, NOTHING, good.drop(["movie_id"]), 2)
    assert bench.rows() == [row(NOON, 1)]
    bench.sink.write(SHAPE, NOON, good.select(["score", "title", "hour", "movie_id"]), NOTHING, 1)
    assert bench.rows() == [row(NOON, 1), row(NOON, 2)]


def test_every_type_keeps_every_value(bench: Bench) -> None:
    shape = Shape("types", tuple(TYPES.items()), ("id",), None)
    bench.prepare(shape)
    columns: dict[str, tuple[pa.DataType, list[object]]] = {
        "flag": (pa.bool_(), [True, False]),
        "big": (pa.int64(), [2**63 - 1, -(2**63), 0]),
        "huge": (pa.decimal128(38, 0), [Decimal(10**37), Decimal(-(10**37)), Decimal(2**63), Decimal(5)]),
        "money": (pa.decimal128(38, 9), [Decimal("12345678901234567890123456789.123456789"), Decimal("-0.000000001")]),
        "rate": (pa.decimal128(4, 2), [Decimal("99.99"), Decimal("-0.10"), Decimal("0.00")]),
        "real": (pa.float64(), [0.1, 1e308, -5e-324, float("inf"), 123456789.123456789, 1e16]),
        "text": (pa.string(), [*TEXTS, "long, " * 500_000]),
        "day": (pa.date32(), [date(2026, 2, 28), date(1, 1, 1), date(9999, 12, 31)]),
        "time": (
            pa.timestamp("us"),
            [NOON, at(1969, 12, 31, 23, 59, 59, 999_999), at(2026, 1, 1, 0, 0, 0, 1)],
        ),
        "bytes": (pa.binary(), [b"", b"\0\xff", b"=1", bytes(range(256))]),
        "words": (pa.list_(pa.string()), [[], [None], ["", "a,b", "c'd", 'e"f', "NULL", "[x]", "=1\n"]]),
        "top": (
            pa.list_(pa.struct([("title", pa.string()), ("odd name", pa.decimal128(20, 4))])),
            [
                [{"title": "a}", "odd name": Decimal("1234567890123456.0001")}, None],
                [{"title": None, "odd name": None}],
            ],
        ),
    }
    rows: list[dict[str, object]] = [dict.fromkeys(TYPES)]
    for name, (_, values) in columns.items():
        rows += [{**dict.fromkeys(TYPES), name: value} for value in values]
    rows = [{**r, "id": number} for number, r in enumerate(rows)]
    schema = pa.schema([("id", pa.int32()), *((name, type_) for name, (type_, _) in columns.items())])
    bench.sink.write(shape, None, pa.Table.from_pylist(rows, schema=schema), NOTHING, 1)
    for sequence in (1, 2):
        found = {r["id"]: r for r in bench.rows(shape)}
        assert [found[r["id"]] for r in rows] == rows
        assert len(found) == len(rows)
        bench.sink.write(shape, None, NOTHING, pa.table({"id": [10**6]}), sequence)


def test_a_table_is_made_once_and_keeps_its_shape(bench: Bench) -> None:
    bench.prepare(SHAPE, SHAPE, replace(SHAPE, ttl_us=5))
    same = replace(SHAPE, columns=(*SHAPE.columns[:-1], ("score", "decimal(12, 4)")))
    bench.prepare(same)
    bench.sink.write(same, NOON, table(row(NOON, 1)), NOTHING, 1)
    for other in (
        replace(SHAPE, columns=(*SHAPE.columns[:-1], ("score", "DOUBLE"))),
        replace(SHAPE, columns=(*SHAPE.columns, ("more", "DOUBLE"))),
        replace(SHAPE, key=("movie_id", "hour")),
        replace(SHAPE, scope=None),
        replace(SHAPE, order=()),
    ):
        with pytest.raises(ConflictError, match="table trending"):
            bench.prepare(other)
        with pytest.raises(ConflictError, match="table trending"):
            bench.sink.write(other, None if other.scope is None else NOON, NOTHING, NOTHING, 1)
    assert bench.rows() == [row(NOON, 1)]


def test_a_table_that_was_not_made_is_named(bench: Bench) -> None:
    with pytest.raises(RequestError) as caught:
        bench.sink.write(SHAPE, NOON, table(row(NOON, 1)), NOTHING, 1)
    assert caught.value.kind == "unknown"
    assert "apply" in caught.value.remedy


@pytest.mark.parametrize(
    "shape",
    [
        replace(SHAPE, key=()),
        replace(SHAPE, key=("nobody",)),
        replace(SHAPE, scope="nobody"),
        replace(SHAPE, partition=("nobody",)),
        replace(SHAPE, order=("nobody",)),
        replace(SHAPE, columns=(("hour", "TIMESTAMP"), ("movie_id", "SOMETHING"))),
        replace(SHAPE, columns=(("hour", "TIMESTAMP"), ("movie_id", "INTEGER); drop table x; --"))),
    ],
    ids=["no key", "key", "scope", "partition", "order", "type", "injected type"],
)
def test_a_shape_that_is_none_is_refused(bench: Bench, shape: Shape) -> None:
    with pytest.raises(RequestError):
        bench.prepare(shape)


@pytest.mark.parametrize("name", ["a", "A.b-c_d", 'odd "name"; drop table x', "../up", "é", "select", "x" * 120])
def test_any_name_is_a_table_of_its_own(bench: Bench, tmp_path: Path, name: str) -> None:
    shape = Shape(name, (('odd "column"', "INTEGER"), ("select", "VARCHAR")), ('odd "column"',), "select")
    around = set(tmp_path.parent.iterdir())
    bench.prepare(WHOLE, shape)
    for number, scope in enumerate(["x'); --", "../../up"]):
        bench.sink.write(shape, scope, pa.table({'odd "column"': [number], "select": [scope]}), NOTHING, 1)
    assert set(tmp_path.parent.iterdir()) == around
    bench.sink.replace(shape, "../../up", NOTHING, 2)
    with pytest.raises(ConflictError):
        bench.sink.replace(shape, "../../up", NOTHING, 1)


def test_writers_from_many_sides_lose_nothing(bench: Bench) -> None:
    """Each writer has a scope of its own, and all have one together, to which each adds its rows."""
    bench.prepare(SHAPE)
    sinks = [bench.sink, bench.open(), bench.open()]

    def work(number: int) -> None:
        mine = NOON + timedelta(days=1 + number)
        for step in range(6):
            sinks[number].write(SHAPE, mine, table(row(mine, step)), NOTHING, step)
            sinks[number].write(SHAPE, NOON, table(row(NOON, 10 * number + step)), NOTHING, 0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [row(NOON, 10 * number + step) for number in range(3) for step in range(6)]
    expected += [row(NOON + timedelta(days=1 + number), step) for number in range(3) for step in range(6)]
    assert bench.rows() == sorted(expected, key=lambda r: (str(r["hour"]), str(r["movie_id"])))


def test_it_says_what_it_is(bench: Bench) -> None:
    said = bench.sink.probe()
    assert bench.place in said
    assert any(character.isdigit() for character in said.replace(bench.place, ""))
    assert bench.rows() == []


NUMBERS = count()
Step = tuple[bool, int, dict[int | None, str], list[int | None], int]
KEYS = st.one_of(st.none(), st.integers(0, 4))
STEPS = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 1),
        st.dictionaries(KEYS, st.sampled_from(TEXTS), max_size=4),
        st.lists(KEYS, max_size=3),
        st.integers(-1, 2),
    ),
    max_size=8,
)


@settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_a_sink_behaves_like_a_dictionary(bench: Bench, steps: list[Step]) -> None:
    shape = replace(SHAPE, name=f"model{next(NUMBERS)}")
    bench.prepare(shape)
    model: dict[datetime, dict[int | None, str]] = {NOON: {}, ONE: {}}
    last = {NOON: 0, ONE: 0}
    for scope in last:
        bench.sink.write(shape, scope, NOTHING, NOTHING, 0)
    for whole, which, puts, gone, ahead in steps:
        scope = (NOON, ONE)[which]
        sequence = last[scope] + ahead
        new = table(*(row(scope, movie, title) for movie, title in puts.items()), shape=shape)
        old = table(*(row(scope, movie) for movie in gone), shape=shape)
        change: Callable[[], None] = partial(bench.sink.write, shape, scope, new, old, sequence)
        if whole:
            change = partial(bench.sink.replace, shape, scope, new, sequence)
        if sequence < last[scope]:
            with pytest.raises(ConflictError):
                change()
            continue
        change()
        kept = {} if whole else {movie: t for movie, t in model[scope].items() if movie not in gone}
        model[scope], last[scope] = {**kept, **puts}, sequence
        expected = [row(hour, movie, t) for hour, rows in model.items() for movie, t in rows.items()]
        assert bench.rows(shape) == sorted(expected, key=lambda r: (str(r["hour"]), str(r["movie_id"])))
