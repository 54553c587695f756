"""Errors: fields for programs, text for people."""

from __future__ import annotations

import copy
import pickle

import pytest

from watersmeet.core import errors
from watersmeet.core.errors import DeclarationError, RequestError, WatersmeetError

pytestmark = pytest.mark.unit

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WatersmeetError)]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "window size"),
        ({"where": "app.py:3"}, "app.py:3: window size"),
        ({"expected": "a length"}, "window size; expected a length"),
        ({"got": "'5x'"}, "window size; got '5x'"),
        ({"remedy": "write '5m'"}, "window size. Write '5m'"),
        (
            {"where": "app.py:3", "expected": "a length", "got": "'5x'", "remedy": "write '5m'"},
            "app.py:3: window size; expected a length; got '5x'. Write '5m'",
        ),
    ],
)
def test_the_text_is_made_of_the_fields_that_there_are(fields: dict[str, str], text: str) -> None:
    assert str(DeclarationError("window size", **fields)) == text


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_can_be_copied_and_sent_to_another_process(kind: type[WatersmeetError]) -> None:
    error = kind("x", expected="y", got="z", remedy="w", where="v:1")
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(other), str(other)) == (kind, str(error))


def test_a_request_says_what_kind_of_wrong_it_is() -> None:
    assert RequestError("view 'x'").kind == "invalid"
    assert RequestError("view 'x'", kind="unknown").kind == "unknown"


def test_the_tree_is_small_and_is_drawn_where_it_is_declared() -> None:
    names = [kind.__name__ for kind in KINDS]
    assert len(names) <= 10
    assert [name for name in names if name not in (errors.__doc__ or "")] == []
    assert all(kind.__base__ is WatersmeetError for kind in KINDS if kind is not WatersmeetError)
