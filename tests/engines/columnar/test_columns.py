from __future__ import annotations

import pytest

import watersmeet as wm
from tests.engines.columnar.chunks import COLUMNS, topic
from watersmeet.core.errors import DeclarationError
from watersmeet.engines.columnar.columns import is_column, tried

pytestmark = pytest.mark.unit


def test_decoded_rows_have_every_column_in_order() -> None:
    declared = topic(
        {"id": "varchar not null", "at": "timestamp_ms not null", "d": "decimal(6,2)", "l": "integer[]"},
        event_time="at",
        id="id",
        compute={"twice": "d * 2", "far": "twice > 10"},
    )
    assert dict(COLUMNS.decoded(declared)) == {
        "id": "VARCHAR",
        "at": "TIMESTAMP",
        "d": "DECIMAL(6,2)",
        "l": "INTEGER[]",
        "twice": "DECIMAL(16,2)",
        "far": "BOOLEAN",
        "event_time": "TIMESTAMP",
        "arrived_at": "TIMESTAMP",
        "partition": "INTEGER",
        "offset": "BIGINT",
        "slice": "BIGINT",
        "_hi": "UBIGINT",
        "_lo": "UBIGINT",
        "_content": "UBIGINT",
    }
    assert list(COLUMNS.decoded(declared)) == COLUMNS.schema(COLUMNS.decoded(declared)).names


def test_a_payload_may_carry_its_time_under_the_platforms_own_word() -> None:
    declared = topic({"event_time": "timestamp not null", "x": "integer"}, event_time="event_time")
    assert list(COLUMNS.decoded(declared))[:3] == ["event_time", "x", "arrived_at"]
    assert "_hi" not in COLUMNS.decoded(declared)


def test_expressions_of_a_spec_have_the_types_that_duckdb_gives_them() -> None:
    declared = topic({"at": "bigint", "s": "varchar", "tags": "varchar[]"})
    view = wm.View(
        "v",
        topic=declared,
        dimensions=["at", "length(tag) as n"],
        explode="tags as tag",
        measures={"c": wm.count(), "m": wm.max('"at" + 0.5'), "f": wm.first("tag")},
    )
    found = COLUMNS.spec(view.cells)
    assert (found.dimensions, found.element) == (("BIGINT", "BIGINT"), "VARCHAR")
    assert found.lifts == ("", "VARCHAR", "DECIMAL(21,1)")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ({"where": "length(s)"}, "a condition"),
        ({"explode": "s as tag"}, "expected a list; got varchar"),
        ({"dimensions": ["no_such_function(s) as n"]}, "an expression that DuckDB can type"),
        ({"measures": {"m": wm.count(where="length(s)")}}, "a condition"),
        ({"dimensions": ["s as p0_n"]}, "a name that cells do not use themselves"),
        ({"dimensions": ["s as pane_end"]}, "a name that cells do not use themselves"),
    ],
)
def test_what_has_no_type_is_refused_by_name(expression: dict[str, object], words: str) -> None:
    declared = topic({"s": "varchar"})
    view = wm.View("v", topic=declared, **{"measures": {"c": wm.count()}, **expression})  # type: ignore[arg-type]  # any field
    with pytest.raises(DeclarationError, match="topic t") as caught:
        COLUMNS.spec(view.cells)
    assert words in str(caught.value)


def test_a_plain_column_is_quoted_and_anything_else_guarded() -> None:
    assert tried(" Offset ", ["offset"]) == '"Offset"'
    assert tried("x + 1", ["x"]) == "TRY(x + 1)"
    assert is_column("X", ["x"])
    assert not is_column("y", ["x"])
