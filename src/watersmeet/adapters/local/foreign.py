"""Files that others wrote, as tables: what `watersmeet compare` reads."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow as pa

from watersmeet.core.errors import RequestError

_READERS = {
    ".parquet": "read_parquet($1, union_by_name=true)",
    ".csv": "read_csv($1)",
    ".jsonl": "read_json($1, format='newline_delimited')",
    ".ndjson": "read_json($1, format='newline_delimited')",
}


def read_table(path: Path) -> pa.Table:
    """A file, or all Parquet files below a folder, with the types that they show.

    Raises:
        RequestError: there is none, its name ends in nothing known, or it is damaged.
    """
    pattern = path / "**" / "*.parquet" if path.is_dir() else path
    if not path.exists() or pattern.suffix.lower() not in _READERS:
        expected = f"a folder of Parquet files, or a file ending in {', '.join(_READERS)}"
        raise RequestError(str(path), kind="unknown", expected=expected, got="none" if not path.exists() else path.name)
    with closing(duckdb.connect()) as db:
        db.execute("set TimeZone = 'UTC'")
        try:
            query = f"select * from {_READERS[pattern.suffix.lower()]}"  # noqa: S608  # one of the readers above
            return db.sql(query, params=[str(pattern)]).to_arrow_table()
        except duckdb.Error as error:
            raise RequestError(str(path), expected="a table", got=str(error).splitlines()[0]) from error
