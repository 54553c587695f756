"""Measuring: seconds on the wall, seconds of processors, percentiles, and how busy the machine was."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Lap:
    """What a block took.

    Args:
        seconds: on the wall.
        cpu_seconds: of processors, in every thread of this process.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def lap() -> Iterator[Lap]:
    """Measure a block; the lap is filled in when it ends."""
    taken = Lap()
    began, cpu = time.perf_counter(), time.process_time()
    yield taken
    taken.seconds, taken.cpu_seconds = time.perf_counter() - began, time.process_time() - cpu


def percentile(values: Sequence[float], percent: float) -> float:
    """The least value that at least so many percent of the values do not exceed."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100).__int__() - 1)]


def best(laps: Sequence[Lap]) -> Lap:
    """The least wall time and, apart from it, the least processor time."""
    return Lap(min(each.seconds for each in laps), min(each.cpu_seconds for each in laps))


def load() -> float:
    """How many tasks wanted a processor, on average over the last minute."""
    return os.getloadavg()[0]


def resident_mb(peak: bool = False) -> float:
    """Memory of this process that is in the machine's, in MB of 10⁶ bytes; 0 where the system does not tell."""
    name, status = ("VmHWM:" if peak else "VmRSS:"), Path("/proc/self/status")
    if not status.exists():
        return 0.0
    [line] = [line for line in status.read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024 / 1e6


def machine() -> dict[str, object]:
    """What this ran on."""
    return {"system": platform.system(), "python": platform.python_version(), "processors": os.cpu_count()}
