"""SQL statements with names in them."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from watersmeet.formats.statement import Sql, statement

pytestmark = pytest.mark.unit


def test_names_are_quoted_and_sql_is_not() -> None:
    made = statement("select {columns}, {one} from {table}", columns=["a", Sql("b + 1")], one="c", table='t"; drop')
    assert made == 'select "a", b + 1, "c" from "t""; drop"'


def test_a_name_is_never_looked_into() -> None:
    assert statement("select {a}", a="{a} {b} %s ?") == 'select "{a} {b} %s ?"'
    assert statement("select {a}", a=statement("{b}", b="{a}")) == 'select "{a}"'


@pytest.mark.parametrize("name", ['"', '""', "'; drop table t; --", "select", "a.b", "é\n", "{}"])
def test_any_name_names_a_column(name: str) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(statement("create table {table} ({column} int)", table=name, column=name))
        connection.execute(statement("insert into {table} ({column}) values(5)", table=name, column=name))
        assert connection.execute(statement("select {column} from {table}", table=name, column=name)).fetchall() == [
            (5,)
        ]
        assert [row[1] for row in connection.execute(statement("pragma table_info({table})", table=name))] == [name]
