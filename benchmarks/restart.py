"""A new process that answers one question and ends: ``python -m benchmarks.restart FOLDER``. See `serving`."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from .stopwatch import resident_mb


def main() -> None:
    """Print what the answer was and what it took."""
    began = time.perf_counter()
    import pyarrow as pa

    from watersmeet.core.reader import Request

    from .node import open_node
    from .serving import VIEWS, pages

    imported = time.perf_counter()
    node = open_node(Path(sys.argv[1]), VIEWS)
    opened = time.perf_counter()
    rows = node.reader.read(Request(pages.at(None, by=[]))).rows
    [row] = (rows if isinstance(rows, pa.Table) else pa.table(rows)).to_pylist()
    answered = time.perf_counter()
    told = {
        "n": row["n"],
        "imports_s": imported - began,
        "open_s": opened - imported,
        "answer_s": answered - opened,
        "cpu_s": time.process_time(),
        "resident_mb": resident_mb(),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
