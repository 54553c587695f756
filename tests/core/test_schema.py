"""Column types: read from SQL, or refused by the name of the column."""

from __future__ import annotations

import pytest

from watersmeet.core.errors import DeclarationError
from watersmeet.core.schema import SqlType, parse, parse_all

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "expected", "sql"),
    [
        ("varchar", SqlType("varchar"), "VARCHAR"),
        ("Varchar  NOT  null", SqlType("varchar", required=True), "VARCHAR"),
        ("bigint[]", SqlType("bigint", many=True), "BIGINT[]"),
        ("varchar[] not null", SqlType("varchar", many=True, required=True), "VARCHAR[]"),
        ("decimal(4,2)", SqlType("decimal", 4, 2), "DECIMAL(4,2)"),
        ("decimal(12, 4) round", SqlType("decimal", 12, 4, rounded=True), "DECIMAL(12,4)"),
        ("decimal(38,18)[] round not null", SqlType("decimal", 38, 18, True, True, True), "DECIMAL(38,18)[]"),
        ("timestamp", SqlType("timestamp"), "TIMESTAMP"),
        ("timestamp_ms not null", SqlType("timestamp_ms", required=True), "TIMESTAMP"),
        ("timestamp_s", SqlType("timestamp_s"), "TIMESTAMP"),
        ("date", SqlType("date"), "DATE"),
        ("boolean", SqlType("boolean"), "BOOLEAN"),
        ("double", SqlType("double"), "DOUBLE"),
    ],
)
def test_a_type_is_read(written: str, expected: SqlType, sql: str) -> None:
    found = parse(written, column="c", where="here:1")
    assert found == expected
    assert found.sql == sql


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("text", "boolean, integer"),
        ("varchar null", "boolean, integer"),
        ("varchar not null[]", "boolean, integer"),
        ("varchar(10)", "boolean, integer"),
        ("", "boolean, integer"),
        (5, "boolean, integer"),
        ("decimal(39,2)", "p <= 38"),
        ("decimal(4,5)", "s <= p"),
        ("decimal(30,19)", "s <= 18"),
        ("decimal(0,0)", "p <= 38"),
        ("varchar round", "'round' on a decimal only"),
    ],
)
def test_any_other_type_is_refused(written: str, complaint: str) -> None:
    with pytest.raises(DeclarationError, match="type of column 'price'") as caught:
        parse(written, column="price", where="app.py:7")
    assert complaint in caught.value.expected
    assert caught.value.got.strip("'") == str(written)
    assert caught.value.remedy
    assert caught.value.where == "app.py:7"


def test_a_schema_keeps_its_order() -> None:
    found = parse_all({"b": "varchar", "a": "integer", "event_time": "timestamp"}, where="")
    assert [name for name, _ in found] == ["b", "a", "event_time"]


@pytest.mark.parametrize("column", ["", "1st", "a b", "a-b", "é", "window_start", "Partition", "offset", "x" * 64])
def test_a_column_needs_a_plain_name_of_its_own(column: str) -> None:
    with pytest.raises(DeclarationError, match="schema column") as caught:
        parse_all({column: "varchar"}, where="app.py:7")
    assert repr(column) in str(caught.value)
    assert caught.value.remedy.startswith("rename it")


def test_a_schema_needs_a_column() -> None:
    with pytest.raises(DeclarationError, match="at least one column"):
        parse_all({}, where="app.py:7")
