"""Payload bytes on Kafka to readable cells on Spark with two cores: watersmeet beside hand-written Spark queries.

The same topic, read in the same pieces, each side in a JVM of its own; the first pieces do not count, for the JVM
compiles. Ours commits every slice to a state on disk; Spark's rows go to its ``noop`` sink. The batch side reads the
same records from the same archived Parquet files, each job twice, of which the second counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from watersmeet.adapters.kafka.log import KafkaLog
from watersmeet.adapters.local.clock import SystemClock
from watersmeet.core.address import parse_address
from watersmeet.core.record import Record
from watersmeet.testing.services import kafka as kafka_service
from watersmeet.testing.services import spark as spark_service

from . import events
from .absorption import _run_one_shot
from .report import Figure
from .spark import SCRIPT, WARM_UP
from .stopwatch import load
from .workload import WORKLOADS, Workload

PART = "fleet"
NAMES = ("counts", "distinct")
SLICES = 10
APPEND = 20_000
OF_USUAL, OF_BEST = 4.0, 2.0
ROOT = Path(__file__).parents[1]


def measure(folder: Path, *, records: int, repeats: int) -> Iterator[Figure]:
    """Count and sum, and exact distinct, one after the other.

    Args:
        folder: for the broker's data, states and archives.
        records: on the topic.
        repeats: of each side; the best counts.
    """
    paths = events.write(folder / "events", records)
    with broker(folder / "kafka") as url:
        topic = f"events.{os.getpid()}.{int(time.time())}"
        fill(url, topic, events.payloads(paths))
        for name in NAMES:
            [workload] = [each for each in WORKLOADS if each.name == name]
            yield from compare(workload, paths, folder, url, topic, records, repeats)


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    """The URL of a broker: of WATERSMEET_TEST_KAFKA, else one of ours."""
    given = os.environ.get("WATERSMEET_TEST_KAFKA")
    if given:
        yield given
        return
    with kafka_service.kafka(folder) as server:
        yield server.url


def fill(url: str, topic: str, values: list[bytes]) -> None:
    """Append payloads durably, without keys."""
    with closing(KafkaLog(parse_address(url), SystemClock())) as log:
        log.create(topic, events.events.partitions)
        for at in range(0, len(values), APPEND):
            log.append(topic, [Record(value) for value in values[at : at + APPEND]])


def compare(
    workload: Workload, paths: list[Path], folder: Path, url: str, topic: str, records: int, repeats: int
) -> Iterator[Figure]:
    """One figure: ours, the usual form, the best form."""
    expected = _run_one_shot(workload, paths)
    total = sum(expected[workload.sum].to_pylist())
    found: dict[str, list[dict[str, Any]]] = {"watersmeet": [], "usual": [], "best": []}
    slice_records = records // SLICES
    for turn in range(repeats):
        at = folder / f"{workload.name}-{turn}"
        job: dict[str, Any] = {"figure": workload.name, "topic": topic, "slice_records": slice_records}
        ours = {**job, "folder": str(at / "ours"), "kafka": url, "fleet": _fleet(at, "local[2]")}
        found["watersmeet"].append(_run(["-m", "benchmarks.fleet_stream", json.dumps(ours)]))
        jars = ",".join(map(str, spark_service.connector()))
        archive = str(next((at / "ours" / "archive").iterdir()) / "epoch=00000000")
        for form in ("usual", "best"):
            theirs = {**job, "form": form, "folder": str(at / form), "jars": jars, "archive": archive}
            theirs["kafka"] = parse_address(url).servers(9092)
            (at / form).mkdir()
            found[form].append(_run([str(SCRIPT), json.dumps(theirs)]))
    single = {**ours, "folder": str(folder / f"{workload.name}-single"), "fleet": _fleet(folder, "local[1]")}
    alone = _steady(_run(["-m", "benchmarks.fleet_stream", json.dumps(single)]))
    rates = {side: max(_steady(each) for each in runs) for side, runs in found.items()}
    batch = {side: records / min(each["batch"] for each in runs) for side, runs in found.items()}
    first = {side: min(each["first"] for each in runs) for side, runs in found.items()}
    for side, runs in found.items():
        [groups, summed] = {(each["groups"], each["sum"]) for each in runs}.pop()
        equal = (groups, summed) == (expected.num_rows, total)
        beside = {"records": records, "rows": groups, f"sum of {workload.sum}": summed, "equal": equal, "load": load()}
        yield Figure(PART, f"{workload.name}: {_TITLES[side]}", rates[side], "records/s", beside=beside)
    for side, aim in (("usual", OF_USUAL), ("best", OF_BEST)):
        yield Figure(PART, f"{workload.name}: of {_TITLES[side]}", rates["watersmeet"] / rates[side], "x", aim)
    for side, aim in (("usual", OF_USUAL), ("best", OF_BEST)):
        beside = {"ours records/s": batch["watersmeet"], "theirs": batch[side]}
        ratio = batch["watersmeet"] / batch[side]
        yield Figure(PART, f"{workload.name}: batch, of {_TITLES[side]}", ratio, "x", aim, beside=beside)
    beside = {"one core, records/s": alone}
    yield Figure(PART, f"{workload.name}: two cores of one", rates["watersmeet"] / alone, "x", beside=beside)
    beside = {_TITLES[side]: first[side] for side in ("usual", "best")}
    yield Figure(
        PART,
        f"{workload.name}: start to the first slice",
        first["watersmeet"],
        "s",
        max(first["usual"], first["best"]),
        at_most=True,
        beside=beside,
    )


_TITLES = {"watersmeet": "watersmeet on Spark", "usual": "Spark as usual", "best": "Spark at its best"}


def _fleet(folder: Path, master: str) -> str:
    given = {"driver_memory": "2g", "properties": "", "every_seconds": "0"}
    return spark_service.spark(folder / "spark", master=master, **given)


def _run(arguments: list[str]) -> dict[str, Any]:
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )
    if done.returncode:
        sys.exit(f"{arguments[:2]} failed:\n{done.stderr[-3000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _steady(told: dict[str, Any]) -> float:
    counted = told["batches"][WARM_UP:]
    return float(sum(each["records"] for each in counted) / sum(each["seconds"] for each in counted))
