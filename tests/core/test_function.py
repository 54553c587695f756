"""Row functions: named, versioned, and known by their source."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

import watersmeet as wm
from watersmeet.core.function import Column, RowFunction
from watersmeet.core.schema import SqlType

from .refusals import refusal

pytestmark = pytest.mark.unit

make = wm.function(version=1, returns="integer")


@make
def letters(text: Sequence[str | None]) -> Column:
    return [None if item is None else len(item) for item in text]


def declared(source: str, name: str = "letters", version: int = 1, returns: str = "integer") -> RowFunction:
    """A row function as if ``source`` stood in a file."""
    space: dict[str, object] = {}
    exec(source, space)
    return wm.function(version=version, returns=returns)(space[name])  # type: ignore[arg-type]  # made just now


def test_it_is_still_called_like_a_function() -> None:
    assert letters(["abc", None]) == [3, None]


def test_it_knows_its_name_version_type_and_place() -> None:
    assert (letters.name, letters.version, letters.returns) == ("letters", 1, SqlType("integer"))
    assert letters.where.startswith(f"{__file__}:")


def doubled() -> RowFunction:
    @make
    def twice(number: Sequence[int]) -> Column:
        return [2 * item for item in number]

    return twice


def added() -> RowFunction:
    @make
    def twice(number: Sequence[int]) -> Column:
        return [item + item for item in number]

    return twice


def test_its_source_is_what_it_is_known_by() -> None:
    assert doubled() == doubled()
    assert doubled().source_hash != added().source_hash
    assert doubled() != added()


def test_without_a_file_the_compiled_body_stands_in() -> None:
    one = declared("def letters(text):\n    return [len(t) for t in text]")
    same = declared("def letters(text):\n\n    return [len(t) for t in text]")
    other = declared("def letters(text):\n    return list(text)")
    assert one.source_hash == same.source_hash != other.source_hash


@pytest.mark.parametrize("version", [0, -1, "1", 1.5, None])
def test_a_version_is_a_whole_number_from_one(version: int) -> None:
    error = refusal(lambda: wm.function(version=version, returns="integer"))
    assert (error.subject, error.expected, error.got) == ("function version", "a whole number from 1", repr(version))


def test_a_result_has_a_type() -> None:
    error = refusal(lambda: wm.function(version=1, returns="text")(letters.call))
    assert error.subject == "type of column 'letters'"


def test_it_cannot_be_called_like_a_function_of_sql() -> None:
    def length(text: Sequence[str]) -> Column:
        return [len(item) for item in text]

    error = refusal(lambda: wm.function(version=1, returns="integer")(length))
    assert error.subject == "function length"
    assert "the SQL function would be called in its place" in error.remedy


def test_it_needs_a_name() -> None:
    error = refusal(lambda: wm.function(version=1, returns="integer")(lambda text: text))
    assert error.got == "'<lambda>'"


def test_it_is_written_in_python() -> None:
    error = refusal(lambda: wm.function(version=1, returns="double")(math.dist))  # type: ignore[arg-type]  # as users do
    assert error.subject == "function dist"
    assert error.remedy == "wrap it in a def of its own"
