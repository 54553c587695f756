"""Commands that are measured from outside."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .stopwatch import Lap


def compiled(cache: Path) -> dict[str, str]:
    """An environment in which Python keeps what it compiles, as an installed program does, in a folder of ours."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache)}


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, Lap]:
    """Run a command that succeeds: what it printed, and what it took."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, Lap(time.perf_counter() - began, cpu)
