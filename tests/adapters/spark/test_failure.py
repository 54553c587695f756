"""Whatever Spark says comes out as something that the runtime knows what to do with."""

from __future__ import annotations

import pytest

from watersmeet.adapters.spark.failure import translated
from watersmeet.core.errors import CorruptError, UnavailableError, WatersmeetError

pytestmark = pytest.mark.unit
LOST = """Job aborted due to stage failure: Task 0 in stage 3.0 failed 1 times
Driver stacktrace:
Caused by: org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)
Caused by: java.io.EOFException
"""
DAMAGED = """An exception was thrown from the Python worker:
  File "watersmeet/formats/part.py", line 150, in __init__
watersmeet.core.errors.CorruptError: part-00001.parquet; expected SHA-256 ab; got cd
"""


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (ConnectionRefusedError("nobody listens"), UnavailableError, "nobody listens"),
        (OSError(LOST), UnavailableError, r"java\.io\.EOFException"),
        (OSError(DAMAGED), CorruptError, r"part-00001\.parquet; expected SHA-256 ab; got cd"),
        (OSError("watersmeet.core.errors.UnavailableError: no disk"), UnavailableError, "no disk"),
        (OSError(""), UnavailableError, "nothing"),
    ],
    ids=["refused", "lost", "damaged", "ours", "mute"],
)
def test_translated(error: Exception, kind: type[WatersmeetError], said: str) -> None:
    with pytest.raises(kind, match=said) as caught, translated("a slice of topic orders"):
        raise error
    assert "a slice of topic orders" in str(caught.value)
    assert caught.value.__cause__ is error


def test_a_mistake_of_ours_stays_what_it_is() -> None:
    with pytest.raises(KeyError), translated("a slice"):
        raise KeyError("x")
