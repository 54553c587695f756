"""Names as parts of a path."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watersmeet.formats.naming import path_name

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("movie.ratings", "movie.ratings"),
        ("2026-03-01 12:00:00", "2026-03-01%2012%3A00%3A00"),
        ("", "%"),
        (".", "%2E"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("../../x", "%2E.%2F..%2Fx"),
        ("/abs", "%2Fabs"),
        ("Drama", "%44rama"),
        ("a\0b\n", "a%00b%0A"),
        ("é", "%C3%A9"),
        ("%2E", "%252%45"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_a_name_is_spelled_so(text: str, name: str) -> None:
    assert path_name(text) == name


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(texts=st.lists(st.text(), min_size=2, max_size=6, unique=True))
def test_no_two_texts_share_a_name_whatever_the_file_system(texts: list[str]) -> None:
    names = [path_name(text) for text in texts]
    assert len({name.lower() for name in names}) == len(texts)
    for text, name in zip(texts, names, strict=True):
        assert re.fullmatch(r"(%|[a-z0-9_-]|%[0-9A-F]{2})([a-z0-9_.~-]|%[0-9A-F]{2})*", name)
        assert len(name) <= 200
        assert "~" in name or not text or unquote(name) == text


def test_long_texts_that_begin_alike_are_told_apart() -> None:
    names = {path_name("x" * 5_000 + end) for end in ("", "a", "b")}
    assert len(names) == 3
    assert max(map(len, names)) <= 200
    assert path_name("x" * 200) == "x" * 200
