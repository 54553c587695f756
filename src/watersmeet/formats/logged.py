"""The Arrow columns of `LOGGED` chunks, see `watersmeet.core.record`."""

from __future__ import annotations

import pyarrow as pa

PAYLOAD = pa.schema(
    [
        pa.field("arrival", pa.int64()),
        pa.field("key", pa.binary()),
        pa.field("value", pa.binary()),
        pa.field("headers", pa.map_(pa.string(), pa.binary())),
    ]
)
"""What a partition's file says of each record; partition and offset follow from where it stands."""
LOGGED = pa.schema([pa.field("partition", pa.int32()), pa.field("offset", pa.int64()), *PAYLOAD])
ARCHIVED = LOGGED.append(pa.field("slice", pa.int64()))
"""What an archive gives back: the slice that absorbed each record too."""
