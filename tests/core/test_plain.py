"""Values survive the way to JSON and back, in kind and order; anything else is refused by name."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watersmeet.core import plain
from watersmeet.core.errors import CorruptError, DeclarationError

pytestmark = pytest.mark.unit

_T = TypeVar("_T", time, datetime)


@dataclass(frozen=True)
class Pair:
    left: object
    right: object = 0


def unfolded(value: _T) -> _T:
    """Which of two equal local times it is cannot be said in ISO 8601, and does not count when they are compared."""
    return value.replace(fold=0)


leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.times().map(unfolded),
    st.datetimes(timezones=st.sampled_from([None, UTC])).map(unfolded),
    st.timedeltas(),
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(), inner, max_size=3),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=8,
)


def back(written: plain.Plain) -> object:
    return plain.read(written, {"Pair": Pair}, _nothing, subject="a test")


def _nothing(kind: str, of: plain.Plain) -> object:
    raise CorruptError("a test", got=kind)


def kinds(value: object) -> object:
    """A value with the kind of everything in it, since 1 == 1.0 == True."""
    match value:
        case list() | tuple():
            return type(value), [kinds(item) for item in value]
        case dict():
            return [(kinds(k), kinds(v)) for k, v in value.items()]
        case Pair():
            return Pair, kinds(value.left), kinds(value.right)
    return type(value), repr(value)


@given(values)
def test_a_value_comes_back_in_kind_and_order(value: object) -> None:
    data = plain.dumps({"of": plain.write(value)})
    assert kinds(back(plain.loads(data, subject="a test")["of"])) == kinds(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_comes_back_too(value: float) -> None:
    data = plain.dumps({"of": plain.write(value)})
    assert repr(back(plain.loads(data, subject="a test")["of"])) == repr(value)


def test_the_bytes_are_sorted_unspaced_and_pinned() -> None:
    value = {
        "b": (1, Decimal("1.50")),
        "a": [date(2024, 2, 29), time(1, 2), datetime(2024, 1, 1, tzinfo=UTC), timedelta(0, 1)],
    }
    assert (
        plain.dumps({"z": plain.write(value), "a": plain.write(Pair(b"\0", "ü"))})
        == (
            '{"a":{"$":"Pair","left":{"$":"bytes","of":"00"},"right":"ü"},'
            '"z":{"$":"dict","of":[["b",{"$":"tuple","of":[1,{"$":"decimal","of":"1.50"}]}],'
            '["a",[{"$":"date","of":"2024-02-29"},{"$":"time","of":"01:02:00"},'
            '{"$":"datetime","of":"2024-01-01T00:00:00+00:00"},{"$":"microseconds","of":1000000}]]]}}'
        ).encode()
    )


@pytest.mark.parametrize("value", [object(), {1, 2}, Pair, 1j])
def test_what_is_not_plain_is_refused(value: object) -> None:
    with pytest.raises(DeclarationError, match="plain data"):
        plain.write([value])


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff", b"1"])
def test_bytes_that_hold_no_object_are_refused(data: bytes) -> None:
    with pytest.raises(CorruptError, match="a test"):
        plain.loads(data, subject="a test")


@pytest.mark.parametrize(
    "written",
    [
        {"$": "Pair"},
        {"$": "Pair", "left": 1, "middle": 2},
        {"$": "dict", "of": [[1]]},
        {"$": "decimal", "of": "one"},
        {"$": "date", "of": "yesterday"},
        {"$": "who", "of": 1},
        {"of": 1},
        {},
    ],
)
def test_objects_that_are_not_written_so_are_refused(written: plain.Plain) -> None:
    with pytest.raises(CorruptError):
        back(written)


def test_a_field_that_is_missing_takes_its_default() -> None:
    assert back({"$": "Pair", "left": 1}) == Pair(1, 0)
