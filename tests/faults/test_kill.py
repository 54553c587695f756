"""SIGKILL of the real ``watersmeet run``, again and again: no acknowledged record is lost, none counts twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration
KILLS = 20

APP = """
import watersmeet as wm

orders = wm.Topic("orders", id="order_id", key="product", event_time="at", partitions=2,
    schema={"order_id": "varchar not null", "product": "varchar not null", "at": "timestamp_ms not null"})
sales = wm.View("sales", topic=orders, dimensions=["product"], window=wm.tumbling("1m"),
    measures={"orders": wm.count(), "buyers": wm.distinct("order_id")})
"""
SETTINGS = """
app: killed
speed: {epoch_seconds: 0.2, slice_records: 50}
batch: {every_seconds: 0.05}
"""


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "watersmeet", *arguments, "-C", str(folder)]


def ask(folder: Path, *arguments: str) -> dict[str, object]:
    done = subprocess.run(command(folder, *arguments, "--json"), capture_output=True, check=True, timeout=120)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_twenty_kills_lose_nothing_and_repeat_nothing(tmp_path: Path) -> None:
    (tmp_path / "killed.py").write_text(APP)
    (tmp_path / "watersmeet.yaml").write_text(SETTINGS)
    subprocess.run(command(tmp_path, "apply"), check=True, capture_output=True, timeout=120)
    sent = 0
    for turn in range(KILLS):
        lines = [
            json.dumps({"order_id": f"{n}", "product": "ab"[n % 2], "at": 1_700_000_000_000 + n * 1000})
            for n in range(turn * 40, turn * 40 + 40)
        ]
        feed = "\n".join(lines + lines[:5]).encode()
        runner = subprocess.Popen(
            command(tmp_path, "run", "ingest", "speed", "batch"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            assert runner.stderr is not None
            said = b""
            while b"running" not in (line := runner.stderr.readline()):
                said += line
                assert line, said.decode()
            subprocess.run(
                command(tmp_path, "send", "orders", "-"), input=feed, check=True, capture_output=True, timeout=60
            )
            sent += len(lines) + 5
        finally:
            os.kill(runner.pid, signal.SIGKILL)
            runner.wait()
            if runner.stderr is not None:
                runner.stderr.close()
    subprocess.run(
        command(tmp_path, "run", "--for", "3s", "ingest", "speed", "batch"),
        check=True,
        capture_output=True,
        timeout=120,
    )
    status = ask(tmp_path, "status")
    ledger = status["ledger"]
    assert isinstance(ledger, dict)
    assert status["balanced"] is True
    assert ledger["received"] == sent
    assert (ledger["used"], ledger["duplicates"], ledger["dead"]) == (KILLS * 40, KILLS * 5, 0)
    rows = ask(tmp_path, "query", "sales", "--window", "all")["rows"]
    assert isinstance(rows, list)
    assert {row["product"]: row["orders"] for row in rows} == {"a": KILLS * 20, "b": KILLS * 20}
    audit = ask(tmp_path, "audit")
    assert audit["match_rate"] in (1.0, None)
