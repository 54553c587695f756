from __future__ import annotations

import numpy as np
import pytest

from watersmeet.engines.columnar.avro_columns import gathered

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("slab", [1, 3, 7, 1 << 20])
def test_pieces_are_gathered_whatever_is_taken_at_a_time(slab: int) -> None:
    buffer = np.arange(100, dtype=np.uint8)
    begins, lengths = np.array([5, 0, 40, 60, 61, 90, 0]), np.array([3, 0, 10, 1, 0, 10, 0])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    expected = [b for begin, length in zip(begins, lengths, strict=True) for b in range(begin, begin + length)]
    assert gathered(buffer, begins, offsets, slab).tolist() == expected


def test_no_pieces_are_nothing() -> None:
    assert gathered(np.zeros(4, np.uint8), np.array([0, 0]), np.array([0, 0, 0])).tolist() == []
    assert gathered(np.zeros(4, np.uint8), np.empty(0, np.int64), np.array([0])).tolist() == []
