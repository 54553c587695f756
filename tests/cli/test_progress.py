from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.faults import shop
from watersmeet.cli import progress as module
from watersmeet.cli.progress import Pace, Steps
from watersmeet.core.manifest import roll
from watersmeet.layers import ingest
from watersmeet.runtime.wiring import manual_clock

pytestmark = pytest.mark.unit


def test_a_pace_is_what_was_done_since_the_last_words_and_what_is_left_at_it() -> None:
    clock = manual_clock(0)
    pace = Pace(clock, 1_000)
    clock.sleep(2)
    assert pace.words(7_000, 90_000) == "3,000 records/s, 30s left"
    clock.sleep(1)
    assert pace.words(8_000, 0) == "1,000 records/s"
    clock.sleep(1)
    assert pace.words(8_000, 500) == ""


def test_without_a_terminal_there_is_a_line_every_two_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    clock = manual_clock(0)
    with Steps(clock) as steps:
        for second in range(5):
            steps("orders", second * 100, 1_000)
            clock.sleep(1)
    assert capsys.readouterr().err.splitlines() == [
        "orders: 200 of 1,000 records · 100 records/s, 8s left",
        "orders: 400 of 1,000 records · 100 records/s, 6s left",
    ]


def test_on_a_terminal_there_is_a_bar_for_each_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr(module, "err", Console(file=seen, force_terminal=True, width=100))
    with Steps(manual_clock(0)) as steps:
        steps("orders", 300, 1_000)
        steps("clicks", 5, 5)
        steps("orders", 700, 1_000)
        steps._bars.refresh()
    assert "orders" in seen.getvalue()
    assert "700/1000" in seen.getvalue()
    assert "5/5" in seen.getvalue()


def test_the_batch_layer_tells_of_all_that_it_owes(tmp_path: Path) -> None:
    node = shop.open_node(tmp_path, shop.clock())
    node.apply()
    topic, payloads = node.declarations().topic("orders"), shop.workload("steady", 40)
    for part in (payloads[:25], payloads[25:]):
        ingest.append(node.parts.log, topic, part)
        node.absorb("orders")
        node.parts.state.change("orders", lambda m: roll(m, node.parts.clock.now_us()))
    assert node.batch("orders").owing() == 40
    told: list[tuple[str, int, int]] = []
    node.catch_up({}, progress=lambda *what: told.append(what))
    assert told == [("orders", 25, 40), ("orders", 40, 40)]
    assert node.batch("orders").owing() == 0
    told.clear()
    [again] = node.recheck(0, None, lambda *what: told.append(what))
    assert (again.epochs, again.differences, told[-1][1]) == (2, 0, told[-1][2])
