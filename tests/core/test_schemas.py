from __future__ import annotations

import pytest

from watersmeet.core.errors import RequestError
from watersmeet.core.schemas import LEVELS, check_level, framed, subject_of

pytestmark = pytest.mark.unit


def test_a_payload_is_a_zero_the_id_and_the_body() -> None:
    assert framed(258, b"xy") == b"\0\0\0\1\2xy"


def test_the_subject_of_a_topic() -> None:
    assert subject_of("movie.reviews") == "movie.reviews-value"


def test_levels_are_known_in_any_case() -> None:
    assert [check_level(level.lower()) for level in LEVELS] == list(LEVELS)
    with pytest.raises(RequestError, match="BACKWARD_TRANSITIVE"):
        check_level("backwards")
