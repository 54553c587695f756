"""Variance and standard deviation, from exact integers.

With n values that are integers X at scale s, S = ΣX and Q = ΣX², the sample variance is (n·Q − S²) / (n·(n − 1)·10^2s).
Its numerator passes 128 bits soon, so it is made in Python, where integers have no end, once a row that is presented.
It is null for fewer than two values, and where it has more than 38 digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isqrt

import pyarrow as pa

from ...core.measure import Measure
from .partials import LIMB
from .present import digits_of

_FITS = 10**38


def settle(rows: pa.Table, spreads: Mapping[str, Measure], scales: Mapping[str, int]) -> pa.Table:
    """Put each measure in the place of the four text columns that it is made of."""
    for name, measure in spreads.items():
        parts = [f"_{part}_{name}" for part in ("n", "s", "hi", "lo")]
        digits = digits_of(measure, scales[name])
        sums = zip(*(rows[part].to_pylist() for part in parts), strict=True)
        values = [_spread(measure, sum_, scales[name], digits) for sum_ in sums]
        rows = rows.drop_columns(parts).append_column(name, pa.array(values, pa.decimal128(38, digits)))
    return rows


def _spread(measure: Measure, sums: tuple[str | None, ...], scale: int, digits: int) -> Decimal | None:
    n, total, high, low = (int(text.replace(".", "")) if text else 0 for text in sums)
    if n < 2:
        return None
    above = n * (high * LIMB + low) - total * total
    below = n * (n - 1) * _power(2 * scale)
    value = root(above, below, digits) if measure.kind == "stddev" else quotient(above, below, digits)
    return Decimal(f"{value}E-{digits}") if abs(value) < _FITS else None


def quotient(above: int, below: int, digits: int) -> int:
    """``above / below · 10**digits``, rounded half up, for above >= 0 and below > 0."""
    return (2 * above * _power(digits) + below) // (2 * below)


def root(above: int, below: int, digits: int) -> int:
    """``sqrt(above / below) · 10**digits``, rounded half up."""
    square = above * _power(2 * digits)
    floor = isqrt(square // below)
    # Up if the root is at least floor + ½, that is if 4 · square / below >= (2 · floor + 1)².
    return floor + (4 * square >= (2 * floor + 1) ** 2 * below)


def _power(digits: int) -> int:
    return int("1" + "0" * digits)
