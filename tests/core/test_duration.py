"""Lengths of time: written as text or `timedelta`, held as whole microseconds."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watersmeet.core.duration import microseconds, text
from watersmeet.core.errors import DeclarationError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("written", "us"),
    [
        ("1us", 1),
        ("250ms", 250_000),
        ("90s", 90_000_000),
        ("1h30m", 5_400_000_000),
        ("7d", 604_800_000_000),
        ("2w", 1_209_600_000_000),
        ("1m1m", 120_000_000),
        (timedelta(minutes=5), 300_000_000),
        (timedelta(microseconds=1), 1),
    ],
)
def test_every_unit_is_read(written: str | timedelta, us: int) -> None:
    assert microseconds(written) == us


@pytest.mark.parametrize(
    "written",
    [
        "",
        "5",
        "m",
        "0s",
        "-5m",
        "5 m",
        "5m ",
        "1.5h",
        "5y",
        "5M",
        "5m and 3s",
        "h5",
        timedelta(0),
        -timedelta(1),
        5,
        None,
    ],
)
def test_anything_else_is_refused_by_name(written: object) -> None:
    with pytest.raises(DeclarationError) as caught:
        microseconds(written, subject="lookback of view v")  # type: ignore[arg-type]  # what a user may write
    assert caught.value.subject == "lookback of view v"
    assert caught.value.got == repr(written)
    assert "'5m'" in caught.value.expected
    assert caught.value.where.startswith(__file__)


@given(st.integers(min_value=1, max_value=10**15))
def test_the_text_of_a_length_is_read_back(us: int) -> None:
    assert microseconds(text(us)) == us


@pytest.mark.parametrize(
    ("us", "written"), [(300_000_000, "5m"), (90_000_001, "1m30s1us"), (172_800_000_000, "2d"), (0, "0s")]
)
def test_the_text_of_a_length_is_short(us: int, written: str) -> None:
    assert text(us) == written
