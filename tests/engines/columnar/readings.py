"""The readings of payloads, each made to take all it can, and what becomes of payloads."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from watersmeet.core.topic import Topic
from watersmeet.engines.columnar import decode, echo
from watersmeet.engines.columnar.decode import Decoder

from .chunks import COLUMNS, logged


def outcomes(declared: Topic, payloads: list[bytes | None], decoder: Decoder | None = None) -> list[Any]:
    """For each payload its row as a dict, or the reason why it is dead."""
    chunk = logged(payloads)
    decoded = (decoder or Decoder(COLUMNS)).decode(declared, chunk)
    rows, dead = pa.table(decoded.rows), pa.table(decoded.dead)
    names = [name for name, _ in declared.types]
    out: dict[int, Any] = dict(zip(dead["offset"].to_pylist(), dead["reason"].to_pylist(), strict=True))
    assert rows["offset"].to_pylist() == sorted(rows["offset"].to_pylist())
    assert dead["offset"].to_pylist() == sorted(out)
    out.update(zip(rows["offset"].to_pylist(), rows.select(names).to_pylist(), strict=True))
    assert sorted(out) == list(range(len(payloads)))
    return [out[i] for i in range(len(payloads))]


class Readings:
    """The three readings, each made to take all it can."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    def alone(self) -> Decoder:
        self._patch.setattr(decode, "ALONE_ROWS", 1 << 40)
        self._patch.setattr(echo, "learn", lambda *_: None)
        return Decoder(COLUMNS)

    def tokens(self) -> Decoder:
        self._patch.setattr(decode, "ALONE_ROWS", 0)
        self._patch.setattr(echo, "learn", lambda *_: None)
        return Decoder(COLUMNS)

    def echo(self) -> Decoder:
        self._patch.undo()
        self._patch.setattr(decode, "ALONE_ROWS", 0)
        return Decoder(COLUMNS)
