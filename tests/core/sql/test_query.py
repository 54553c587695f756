"""Queries as text: what they read, and their meaning apart from how they are written."""

from __future__ import annotations

import pytest

from watersmeet.core.errors import DeclarationError
from watersmeet.core.sql.query import check, parse, tables

pytestmark = pytest.mark.unit


def test_a_syntax_error_says_where_it_is() -> None:
    with pytest.raises(DeclarationError) as caught:
        parse("select a,\n  b c d\nfrom t", subject="query q", where="app.py:3")
    assert (caught.value.subject, caught.value.where) == ("query q", "app.py:3")
    assert "Line 2" in caught.value.got


def test_white_space_comments_and_letter_case_of_keywords_do_not_matter() -> None:
    one = check("SELECT  a -- first\nFROM t /* all */", ["t"], subject="query q", where="")
    assert one == check("select a from t", ["t"], subject="query q", where="")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select 1", ()),
        ("select * from b join a using (k), b as c", ("b", "a")),
        ("with x as (select * from a), y as (select * from x) select * from y, c", ("c", "a")),
        ("select * from a where k in (select k from b)", ("a", "b")),
        ("select * from range(3), unnest([1])", ()),
        ("from a union all from b", ("a", "b")),
    ],
)
def test_the_tables_that_it_reads(sql: str, expected: tuple[str, ...]) -> None:
    assert set(tables(sql, subject="query q", where="")) == set(expected)
