"""Spark Structured Streaming as the other side of a comparison, run by a Python of its own.

pyspark is no dependency of this project. It is used where ``--spark-python`` or ``WATERSMEET_BENCH_SPARK_PYTHON`` names
a Python that has it, and Java is there: ``uv venv spark && uv pip install --python spark pyspark==4.2.0``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("spark_stream.py")
WARM_UP = 2
"""Micro-batches at the start that do not count: the JVM compiles."""


@dataclass(frozen=True)
class Steady:
    """What a streaming run came to.

    Args:
        rate: records a second in the micro-batches after the first `WARM_UP`, of the best repeat.
        groups, sum: rows in the state at the end, and the sum of the first measure over them.
        version: of Spark.
    """

    rate: float
    groups: int
    sum: int
    version: str


def missing(python: str) -> str:
    """Why Spark cannot be run by this Python; empty if it can."""
    if shutil.which("java") is None:
        return "there is no Java"
    if subprocess.run([python, "-c", "import pyspark"], capture_output=True, check=False).returncode:
        return f"{python} has no pyspark"
    return ""


def command(python: str, figure: str, files: Path, folder: Path) -> list[str]:
    """The command that runs one figure."""
    job = {"figure": figure, "files": str(files), "folder": str(folder)}
    return [python, str(SCRIPT), json.dumps(job)]


def run(python: str, figure: str, files: Path, folder: Path, *, repeats: int) -> Steady:
    """Stream the files through one figure, each time in a JVM of its own."""
    found = []
    for _ in range(repeats):
        folder.mkdir(parents=True)
        asked = command(python, figure, files, folder)
        done = subprocess.run(asked, capture_output=True, text=True, check=False, env=_environment(python))
        shutil.rmtree(folder)
        if done.returncode:
            sys.exit(f"Spark failed on {figure}:\n{done.stderr[-2000:]}")
        found.append(_steady(json.loads(done.stdout.splitlines()[-1])))
    return max(found, key=lambda steady: steady.rate)


def _environment(python: str) -> dict[str, str]:
    return {**os.environ, "PYSPARK_PYTHON": python, "SPARK_LOCAL_IP": "127.0.0.1"}


def _steady(told: dict[str, object]) -> Steady:
    batches = told["batches"]
    assert isinstance(batches, list)
    counted = batches[WARM_UP:]
    rate = sum(each["records"] for each in counted) / sum(each["seconds"] for each in counted)
    return Steady(rate, int(str(told["groups"])), int(str(told["sum"])), str(told["version"]))
