from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

import watersmeet as wm
from watersmeet.apps.learning import detector
from watersmeet.apps.learning.anomalies import BASELINES
from watersmeet.apps.learning.detector import LearnedDetector, Plan
from watersmeet.apps.learning.forest import Growth
from watersmeet.apps.learning.sample import at, event
from watersmeet.core.declarations import collect
from watersmeet.core.manifest import roll
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers import ingest
from watersmeet.layers.status import ledger
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import manual_clock, wire

pytestmark = pytest.mark.integration

ENGINE = ColumnarEngine(threads=1)
DAYS, HOURS = 24, range(8, 14)
OUTBREAK = (22, 10, "C1")
PLAN = Plan(days=7, windows=50, back_days=3, growth=Growth(trees=20, sample=64))


def node(folder: Path) -> Node:
    """The windows' views and the findings' on the stores of a folder."""
    declared = collect([*BASELINES.values(), detector.learned_anomalies])
    settings = Settings.model_validate({"directory": folder, "compute": {"threads": 1}})
    parts = wire(settings, clock=manual_clock(at("00:00:00", days=DAYS) * 1000), engine=ENGINE)
    made = Node(parts, App("learning", declared, {}, ModuleType("learning")), sources=[])
    made.apply()
    return made


def take(made: Node, topic: str, records: list[dict[str, object]]) -> None:
    payloads = [json.dumps(record).encode() for record in records]
    ingest.append(made.parts.log, made.declarations().topic(topic), payloads)
    made.absorb(topic)


def publish(made: Node) -> None:
    made.parts.state.change("course_topic", lambda m: roll(m, made.parts.clock.now_us()))
    made.catch_up({})


def enrolments() -> list[dict[str, object]]:
    """Some weeks of two courses, with four to nine enrolments in each of six hours a day, and sixty in one of them."""
    draw, out = random.Random(5), []
    for day in range(DAYS):
        for hour in HOURS:
            for course in ("C1", "C2"):
                for n in range(60 if (day, hour, course) == OUTBREAK else draw.randint(4, 9)):
                    name, clock = f"{day}-{hour}-{course}-{n}", f"{hour:02d}:{n % 60:02d}:00"
                    out.append(event("COURSE", name, clock, "COURSE_ENROLLED", "SV001", days=day, course_id=course))
    return out


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Everything published."""
    made = node(tmp_path_factory.mktemp("campus"))
    take(made, "course_topic", enrolments())
    publish(made)
    return made


def run(found: LearnedDetector, position: bytes | None = None, pulls: int = 20) -> tuple[list[bytes], bytes]:
    """What it brings until there is nothing to do, or for so many pulls; and where it stands then."""
    values: list[bytes] = []
    for _ in range(pulls):
        pulled = found.pull(position)
        position = pulled.position
        values += [record.value for _, record in pulled.records]
        if pulled.wait_seconds:
            break
    assert position is not None
    return values, position


def rows(made: Node, request: wm.Request) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pa.table(made.reader.read(request).rows).to_pylist()
    return found


def test_it_finds_an_outbreak_and_says_why(published: Node) -> None:
    verdicts = [json.loads(value) for value in run(LearnedDetector(published.reader, PLAN))[0]]
    [strange] = [verdict for verdict in verdicts if verdict["is_anomaly"]]
    day, hour, course = OUTBREAK
    assert strange["anomaly_id"] == f"isolation_forest/enrolments/{at(f'{hour}:00:00', days=day)}/{course}"
    assert (strange["kind"], strange["dimension"], strange["observed"]) == ("enrolments", course, 60)
    assert strange["score"] > strange["threshold"]
    assert strange["reason"].split(":")[0] in ("observed", "above what is expected", "above the hour before")


def test_every_finished_window_is_scored_once_by_the_model_of_its_day(published: Node) -> None:
    verdicts = [json.loads(value) for value in run(LearnedDetector(published.reader, PLAN))[0]]
    days = range(DAYS - 1 - PLAN.back_days, DAYS)
    # of the last day, the last hour is not finished: nothing later has come that would move the watermark past it
    expected = {
        (at(f"{hour:02d}:00:00", days=day), course)
        for day in days
        for hour in HOURS
        for course in ("C1", "C2")
        if (day, hour) != (DAYS - 1, HOURS[-1])
    }
    assert {(verdict["starts_at"], verdict["dimension"]) for verdict in verdicts} == expected
    assert len(verdicts) == len(expected)
    models = {verdict["starts_at"] // 86_400_000: verdict["model_version"] for verdict in verdicts}
    assert len(set(models.values())) == len(days)


def test_equal_history_gives_equal_scores(published: Node) -> None:
    first, again = (run(LearnedDetector(published.reader, PLAN)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("pulls", [1, 2, 3])
def test_a_restart_goes_on_with_the_same_scores(published: Node, pulls: int) -> None:
    whole, end = run(LearnedDetector(published.reader, PLAN))
    before, position = run(LearnedDetector(published.reader, PLAN), pulls=pulls)
    after, last = run(LearnedDetector(published.reader, PLAN), position)
    assert before + after == whole
    assert last == end
    assert before
    assert after


def test_what_comes_later_does_not_change_a_score(published: Node, tmp_path: Path) -> None:
    whole = run(LearnedDetector(published.reader, PLAN))[0]
    earlier = node(tmp_path)
    cut = at("00:00:00", days=DAYS - 1)
    take(earlier, "course_topic", [record for record in enrolments() if int(str(record["timestamp"])) < cut])
    publish(earlier)
    found = run(LearnedDetector(earlier.reader, Plan(PLAN.days, 1, PLAN.windows, PLAN.back_days - 1, 60, PLAN.growth)))
    assert found[0]
    assert set(found[0]) <= set(whole)


def test_findings_are_counted_like_events_and_a_repeat_is_a_duplicate(tmp_path: Path) -> None:
    made = node(tmp_path)
    take(made, "course_topic", enrolments())
    publish(made)
    pull = ingest.Pull(LearnedDetector(made.reader, PLAN), made.parts.log, made.parts.state, made.parts.clock)
    while pull.once() == 0:
        made.absorb(detector.anomalies.name)
    figures = rows(made, wm.Request(detector.learned_anomalies))
    assert sum(row["anomalies"] for row in figures) == 1
    for value in run(LearnedDetector(made.reader, PLAN))[0]:
        ingest.append(made.parts.log, detector.anomalies, [value])
    made.absorb(detector.anomalies.name)
    sums = ledger(made.parts.state.manifest(detector.anomalies.name))
    assert (sums.used, sums.duplicates, sums.dead) == (len(figures), len(figures), 0)
    assert rows(made, wm.Request(detector.learned_anomalies)) == figures


def test_it_waits_until_the_history_is_published(tmp_path: Path) -> None:
    made = node(tmp_path)
    take(made, "course_topic", enrolments())
    found = LearnedDetector(made.reader, PLAN)
    values, position = run(found)
    assert values == []
    assert found.pull(position).wait_seconds == PLAN.every_seconds
    publish(made)
    assert run(found, position)[0] == run(LearnedDetector(made.reader, PLAN))[0] != []


def test_without_events_it_waits(tmp_path: Path) -> None:
    made = node(tmp_path)
    pulled = LearnedDetector(made.reader, PLAN).pull(None)
    assert (list(pulled.records), pulled.wait_seconds) == ([], 60.0)


def test_windows_of_a_day_with_too_little_to_learn_from_are_passed_over(published: Node) -> None:
    values, position = run(LearnedDetector(published.reader, Plan(days=7, windows=10_000, back_days=3)))
    assert values == []
    assert json.loads(position) == json.loads(run(LearnedDetector(published.reader, PLAN))[1])


def test_without_the_library_it_says_at_once_what_to_install(published: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(wm.WatersmeetError, match="learned"):
        LearnedDetector(published.reader)
