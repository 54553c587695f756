"""Requests a second of the API: a real server in this process, its client in another.

The client is ``wrk`` where it is installed, else `client`, a small asyncio one that takes a processor of its own: with
it, read the rate as a lower bound.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2

from watersmeet.cli.server import Served

from . import events
from .node import append, open_node
from .report import Figure
from .stopwatch import load
from .workload import WORKLOADS

PART = "api"
CONNECTIONS = 8
RECORDS = 20_000


def measure(folder: Path, *, seconds: float) -> Iterator[Figure]:
    """Ask for liveness, one key, and a hundred rows, over and over.

    Args:
        folder: for the stores.
        seconds: of each kind.
    """
    node = open_node(folder, [WORKLOADS[0].view], serve={"requests_per_minute": 1_000_000_000})
    append(node, "events", events.payloads(events.write(folder / "files", RECORDS)))
    node.absorb("events")
    kinds = {
        "liveness": "/health/live",
        "one key": "/v1/views/counts/rows?where=film_id:eq:7",
        "100 rows": "/v1/views/counts/rows?order=-n&limit=100",
        "status": "/v1/status",
    }
    with Served(node) as served:
        for name, path in kinds.items():
            url = served.url + path
            answer = httpx2.get(url)
            answer.raise_for_status()
            tool = "wrk" if shutil.which("wrk") else "client"
            rate, failed = (_wrk if tool == "wrk" else _client)(url, seconds)
            beside = {"bytes": len(answer.content), "failed": failed, "client": tool, "load": load()}
            yield Figure(PART, f"{name}, {CONNECTIONS} connections", rate, "requests/s", beside=beside)
    node.reader.close()


def _wrk(url: str, seconds: float) -> tuple[float, int]:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", url]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate, failed = re.search(r"Requests/sec:\s+([\d.]+)", told), re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    return float(rate[1]) if rate else 0.0, int(failed[1]) if failed else 0


def _client(url: str, seconds: float) -> tuple[float, int]:
    command = [sys.executable, "-m", "benchmarks.client", url, str(CONNECTIONS), str(seconds)]
    told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return float(told["rate"]), int(told["failed"])
