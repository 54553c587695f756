from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import watersmeet as wm
from tests.engines.columnar.chunks import COLUMNS, logged, topic
from watersmeet.core.errors import WatersmeetError
from watersmeet.engines.columnar.decode import Decoder

pytestmark = pytest.mark.unit


def test_computed_columns_may_use_earlier_ones_and_never_kill() -> None:
    @wm.function(version=1, returns="decimal(5,2)")
    def half(values: Any) -> Any:
        return [None if v is None else Decimal(v) / 2 for v in values]

    declared = topic(
        {"x": "integer", "s": "varchar"},
        compute={
            "double": "x * 2",
            "number": "s::integer",
            "root": "ln(x::double)",
            "h": "half(x + 1)",
            "more": "h + half(double)",
            "last": "more + number",
        },
        functions=[half],
    )
    decoded = Decoder(COLUMNS).decode(declared, logged([b'{"x":3,"s":"4"}', b'{"x":-1,"s":"z"}', b"{}", b"[]"]))
    names = ["double", "number", "h", "more", "last"]
    assert [tuple(row[n] for n in names) for row in pa.table(decoded.rows).to_pylist()] == [
        (6, 4, Decimal("2.00"), Decimal("5.00"), Decimal("9.00")),
        (-2, None, Decimal("0.00"), Decimal("-1.00"), None),
        (None, None, None, None, None),
    ]
    assert pa.table(decoded.rows)["root"].to_pylist()[1:] == [None, None]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda v: v[:-1], "a sequence of 2 values"),
        (lambda v: [1, "x"], "values of type integer"),
        (lambda v: "ab", "a sequence of 2 values"),
        (lambda v: 1 // 0, "ZeroDivisionError"),
    ],
)
def test_a_row_function_that_breaks_its_promise_is_named(result: Any, words: str) -> None:
    @wm.function(version=3, returns="integer")
    def broken(values: Any) -> Any:
        return result(values)

    declared = topic({"x": "integer"}, compute={"y": "broken(x)"}, functions=[broken])
    with pytest.raises(WatersmeetError, match=r"row function broken \(version 3\)") as caught:
        Decoder(COLUMNS).decode(declared, logged([b'{"x":1}', b'{"x":2}']))
    assert words in str(caught.value)
