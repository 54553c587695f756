"""Every row of the table in docs/degradation.md, on real servers: each dependency with each fault.

While something is broken the node answers as the row says, within the time that it says, and shows what is broken. When
it is whole again, all that was sent has been counted once, nothing is a dead letter, and every answer is the one of a
node of its own over the same records.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from math import prod
from pathlib import Path
from typing import Any

import bson
import pytest

import watersmeet as wm
from watersmeet.api.problems import MEDIA_TYPE
from watersmeet.runtime import node as runtime
from watersmeet.runtime.watch import machine, watch
from watersmeet.runtime.wiring import system_clock

from .proxy import Fault
from .stage import OPTIONS, READ, Stage, stage, wait_until

pytestmark = pytest.mark.integration
TABLE = Path(__file__).parents[2] / "docs" / "degradation.md"
FAULTS = (
    "down at start", "down midway", "slow by 5 s", "hangs", "cut in an answer", "wrong data", "access refused", "flapping"
)  # fmt: skip
IMPOSSIBLE = {("clock", fault) for fault in ("hangs", "cut in an answer", "access refused")}
SLACK_SECONDS = 20.0
"""What a machine with other things to do may take on top."""
YEAR_US = 365 * 86_400 * 1_000_000
CLOCK = system_clock()


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Args:
        dependency, fault: what is broken, and how.
        answers, sending, ready: HTTP statuses that may be had; none: there is no process that could answer.
        shown: where it is to be seen.
        within: longest time an answer takes, as a product of options.
    """

    dependency: str
    fault: str
    answers: frozenset[int]
    sending: frozenset[int]
    ready: frozenset[int]
    shown: tuple[str, ...]
    within: str

    def __str__(self) -> str:
        return f"{self.dependency}, {self.fault}"

    @property
    def most_seconds(self) -> float:
        """The bound of one request."""
        options = OPTIONS[self.dependency]
        return sum(prod(_number(word, options) for word in term.split(" × ")) for term in self.within.split(" + "))


def _number(word: str, options: Mapping[str, float]) -> float:
    return options[word] if word in options else float(word.removesuffix(" s"))


def rows() -> list[Row]:
    found = []
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip("| ").split(" | ")]
        if cells[0] in OPTIONS:
            dependency, fault, *codes, shown, within = cells
            read, sent, ready = (frozenset(map(int, re.findall(r"\b[245]\d\d\b", code))) for code in codes)
            found.append(Row(dependency, fault, read, sent, ready, tuple(shown.split(", ")), within))
    return found


@pytest.fixture(scope="module")
def broken(
    tmp_path_factory: pytest.TempPathFactory, kafka: str, cassandra: str, s3: str, redis: str, mongo: str, registry: str
) -> Iterator[Stage]:
    """One node for all rows."""
    urls = {"Kafka": kafka, "Cassandra": cassandra, "S3": s3, "Redis": redis, "MongoDB": mongo, "registry": registry}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "RETRY_SECONDS", 0.2)
        with stage(tmp_path_factory.mktemp("degraded"), urls) as made:
            made.send(made.make_records())
            made.visit()
            made.settle()
            yield made


def test_the_table_has_every_dependency_with_every_fault() -> None:
    wanted = {(dependency, fault) for dependency in OPTIONS for fault in FAULTS} - IMPOSSIBLE
    assert sorted((row.dependency, row.fault) for row in rows()) == sorted(wanted)


@pytest.mark.parametrize("row", rows(), ids=str)
def test_what_a_fault_does_is_documented_and_passes_with_it(row: Row, broken: Stage) -> None:
    broken.seal()
    if row.dependency != "registry":
        broken.visit()
    before = figures(broken)
    inflict(row, broken)
    if row.fault == "down at start" or (row.dependency, row.fault) == ("Kafka", "access refused"):  # another process
        before = dict.fromkeys(before, 0.0)
    try:
        if row.answers:
            check_answers(row, broken)
            check_shown(row, broken, before)
    finally:
        mend(row, broken)
    broken.settle()
    if row.answers:
        check_alarm(row, broken, before)


def inflict(row: Row, on: Stage) -> None:
    """Break it; with a fault at the start, or of what is said only there, the node is opened anew."""
    if row.dependency == "clock":
        on.clock.wrong = wrong_clock(row.fault)
        if row.fault == "down at start":
            on.close()
            on.open()
            on.start()
    elif row.fault == "down at start":
        on.close()
        on.proxies[row.dependency].set(Fault("refuse"))
        if not row.answers:
            with pytest.raises(wm.UnavailableError, match=row.dependency.lower()):
                on.open()
            on.heal()
        on.open()
        on.start()
    elif (row.dependency, row.fault) == ("Kafka", "access refused"):
        on.close()
        on.open(user="nobody:wrong@")
        on.start()
    else:
        on.proxies[row.dependency].set(fault_of(row))
    if row.dependency == "registry":
        on.visit()


def mend(row: Row, on: Stage) -> None:
    on.heal()
    if (row.dependency, row.fault) == ("Kafka", "access refused"):
        on.close()
        on.open()
        on.start()


def check_answers(row: Row, on: Stage) -> None:
    tries = 1 if 503 in row.sending else 3  # a log on a busy machine may be late without any fault
    check_answer(row, row.sending, lambda: on.send(on.make_records(), tries))
    for name in READ if 200 in row.answers else READ[:1]:
        answer = check_answer(row, row.answers, lambda name=name: on.read(name))  # type: ignore[misc]  # bound now
        if answer.status_code == 200:
            check_receipt(row, answer.json()["receipt"])
    ready = on.client.get("/health/ready")
    assert ready.status_code in row.ready, ready.text
    assert on.client.get("/health/live").status_code == 200


def check_answer(row: Row, allowed: frozenset[int], ask: Callable[[], Any]) -> Any:
    began = CLOCK.monotonic()
    answer = ask()
    assert CLOCK.monotonic() - began < row.most_seconds + SLACK_SECONDS
    assert answer.status_code in allowed, answer.text
    if answer.status_code == 503:
        assert answer.headers["content-type"] == MEDIA_TYPE
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["detail"]
    return answer


def check_receipt(row: Row, receipt: Mapping[str, Any]) -> None:
    assert receipt["complete"] is True
    assert receipt["freshness_seconds"] is not None
    said = any("the log does not answer" in reason for reason in receipt["reasons"])
    assert "receipt may say" in row.shown or said == ("receipt" in row.shown)
    if "as_of_us" in row.shown:
        assert abs(receipt["as_of_us"] - CLOCK.now_us()) > 1_000_000


def figures(on: Stage) -> dict[str, float]:
    """What this process counts of failures."""
    jobs = {failure.job: failure.count for failure in on.node.events.failures.values()}
    return {**jobs, "cache": on.node.parts.cache.failures()}


def jobs_of(row: Row, on: Stage) -> list[str]:
    """The jobs that the row says will fail."""
    names = {
        "job speed": [f"speed {on.orders.name}"],
        "job speed of the topic in Avro": [f"speed {on.visits.name}"],
        "job batch": ["batch"],
        "job table": ["table by_minute"],
    }
    return [job for text in row.shown for job in names.get(text, [])]


def check_shown(row: Row, on: Stage, before: Mapping[str, float]) -> None:
    wanted = jobs_of(row, on) + ["cache"] * ("cache failures" in row.shown)

    def is_shown() -> bool:
        if row.dependency == "S3":
            on.seal()  # the batch layer may have been done with what was sealed before
        return all(figures(on).get(name, 0) > before.get(name, 0) for name in wanted)

    wait_until(is_shown, f"{wanted} fail")


def check_alarm(row: Row, on: Stage, before: Mapping[str, float]) -> None:
    """The failures are metrics, and those of jobs an alert of the platform itself."""
    if row.fault == "access refused" and row.dependency == "Kafka":
        return  # that process is over
    text = on.client.get("/metrics").text
    node = on.node
    rules = watch(
        node.status(), node.alive(), node.events.failures.values(), machine(on.folder), node.parts.settings.watch
    )
    failing = {seen.labels["job"] for rule, found in rules for seen in found if "job" in seen.labels and seen.holds}
    for job in jobs_of(row, on):
        counted = re.search(rf'^watersmeet_job_failures_total{{job="{job}"}} (\S+)$', text, re.MULTILINE)
        assert counted is not None
        assert float(counted[1]) > before.get(job, 0)
        assert job in failing
    if "cache failures" in row.shown:
        counted = re.search(r"^watersmeet_cache_failures_total (\S+)$", text, re.MULTILINE)
        assert counted is not None
        assert float(counted[1]) > before["cache"]


def fault_of(row: Row) -> Fault:
    match row.fault:
        case "down midway":
            return Fault("refuse")
        case "slow by 5 s":
            return Fault("delay", seconds=5.0)
        case "hangs":
            return Fault("hang")
        case "cut in an answer":
            return Fault("reset", after=20)
        case "wrong data":
            return Fault("garble")
        case "flapping":
            return Fault("flap", after=2_000)
    return Fault("reply", reply=REFUSALS[row.dependency])


def wrong_clock(fault: str) -> Callable[[int], int]:
    stood_us, turns = CLOCK.now_us() - 10_000_000, count()
    match fault:
        case "down at start":
            return lambda now_us: now_us % YEAR_US  # as if it had begun in 1970
        case "down midway":
            return lambda _: stood_us
        case "slow by 5 s":
            return lambda now_us: now_us - 5_000_000
        case "wrong data":
            return lambda now_us: now_us + YEAR_US
    return lambda now_us: now_us + (-1) ** next(turns) * 3_600_000_000


def _http(status: str, kind: str, body: bytes) -> Callable[[bytes], bytes]:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda request: head.encode() + body if request else b""


def _cassandra(request: bytes) -> bytes:
    said = b"Provided username and/or password are incorrect"
    body = struct.pack(">iH", 0x0100, len(said)) + said
    return struct.pack(">BB2sBi", 0x85, 0, request[2:4], 0, len(body)) + body if request else b""


def _mongo(request: bytes) -> bytes:
    said = bson.encode({"ok": 0.0, "code": 18, "codeName": "AuthenticationFailed", "errmsg": "Authentication failed."})
    body = struct.pack("<iB", 0, 0) + said
    return (
        struct.pack("<iiii", 16 + len(body), 1, *struct.unpack_from("<i", request, 4), 2013) + body if request else b""
    )


REFUSALS: Mapping[str, Callable[[bytes], bytes]] = {
    "Cassandra": _cassandra,
    "S3": _http("403 Forbidden", "application/xml", b"<Error><Code>SignatureDoesNotMatch</Code></Error>"),
    "registry": _http("401 Unauthorized", "application/json", b'{"error_code": 401, "message": "Unauthorized"}'),
    "Redis": lambda request: b"-NOAUTH Authentication required.\r\n" if request else b"",
    "MongoDB": _mongo,
}
"""What each says to those whose password is wrong."""
