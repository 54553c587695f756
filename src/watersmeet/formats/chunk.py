"""Chunks as bytes: Arrow IPC streams."""

from __future__ import annotations

import pyarrow as pa

from watersmeet.core.record import Records

_COMPRESS_FROM_BYTES = 128 << 10
"""Below it a chunk is written as it is. Cells of 1,000 records, about 100 KB, are read once and compacted away within
seconds, and zstd takes longer over them than the disk. What lives longer is larger, and becomes a third of its size."""


def pack(records: Records) -> bytes:
    """Write a chunk as an Arrow IPC stream, its buffers compressed by zstd if it is large."""
    table = pa.table(records)
    compression = "zstd" if table.nbytes >= _COMPRESS_FROM_BYTES else None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def unpack(data: bytes) -> pa.Table:
    """Read back what `pack` wrote, without a copy where nothing is compressed."""
    return pa.ipc.open_stream(pa.py_buffer(data)).read_all()
