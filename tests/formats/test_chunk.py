"""Chunks as bytes."""

from __future__ import annotations

import pyarrow as pa
import pytest

from watersmeet.formats.chunk import pack, unpack

pytestmark = pytest.mark.unit


def test_a_chunk_comes_back_as_it_was() -> None:
    table = pa.table({"n": pa.chunked_array([[1, 2], [None]]), "t": ["a", None, "é"]}).replace_schema_metadata(
        {"k": "v"}
    )
    for chunk in (table, table.slice(1, 1), table.slice(0, 0), table.to_batches()[0]):
        assert unpack(pack(chunk)).equals(pa.table(chunk))
    assert unpack(pack(table.to_reader())).equals(table)
    assert unpack(pack(table)).schema.metadata == {b"k": b"v"}


def test_small_chunks_are_written_as_they_are_and_large_ones_shrink() -> None:
    small, large = (pa.table({"n": pa.array([7] * rows, pa.int64())}) for rows in (10_000, 100_000))
    assert small.nbytes < len(pack(small)) < small.nbytes + 1_000
    assert len(pack(large)) < large.nbytes / 10
    assert unpack(pack(large)).equals(large)


def test_a_slice_of_a_large_chunk_is_small() -> None:
    table = pa.table({"n": range(100_000)})
    assert len(pack(table.slice(50_000, 10))) < 1_000
