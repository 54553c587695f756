"""The demo, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from watersmeet.apps.movies.films import find_films

pytestmark = pytest.mark.integration


@pytest.fixture
def _films() -> None:
    if find_films() is None:
        if os.environ.get("CI"):
            pytest.fail("the demo's film file is not installed: 'make test' installs it")
        pytest.skip("the demo's film file is not installed: run 'make test' or 'make demo'")


def run(*arguments: str) -> tuple[dict[str, Any], str]:
    """The demo's document, and what it told; its ledger balances, and both layers agree."""
    command = [sys.executable, "-m", "watersmeet", "demo", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, timeout=240, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    ledger = found["ledger"]
    outcomes = sum(ledger[name] for name in ("used", "duplicates", "dead", "filtered", "holes"))
    assert ledger["received"] == outcomes > 0
    assert ledger["duplicates"] > 0
    assert ledger["dead"] > 0
    assert sum(t["received"] for t in found["ledger_by_topic"].values()) == ledger["received"]
    assert all(t["balanced"] and t["unread"] == 0 for t in found["ledger_by_topic"].values())
    assert found["audit"]["match_rate"] == 1.0
    assert found["audit"]["cells"] > 0
    assert found["epochs"]["published"] >= 2
    told = done.stderr.decode()
    assert "draining" in told
    return found, told


def assert_both_layers(answer: dict[str, Any], count: str) -> None:
    assert answer["batch"][count] > 0
    assert answer["speed"][count] > 0
    assert answer["batch"][count] + answer["speed"][count] == answer["merged"][count]


@pytest.mark.usefixtures("_films")
def test_the_demo_ends_by_itself_with_a_balanced_ledger_and_two_layers_that_agree() -> None:
    found, _ = run("--for", "15s")
    assert found["films"] == 17_472
    assert_both_layers(found["answer"], "review_count")


def test_a_campus_is_shown_too() -> None:
    found, told = run("--app", "learning", "--for", "20s")
    assert_both_layers(found["answer"], "login_count")
    assert found["now"]["active_users"] > 0
    assert found["now"]["pending_grading"] is not None
    assert found["click_through"]
    assert len(found["ledger_by_topic"]) == 7
    assert not [alert for alert in found["alerts"] if alert["alert"].startswith("watersmeet:")]
    assert "simulated" in told


def test_without_the_film_file_the_demo_names_the_one_command() -> None:
    environ = {**os.environ, "WATERSMEET_FILMS": "/nonexistent/movies.db", "PYTHONPATH": ""}
    code = (
        "import watersmeet.cli.films as s; s.film_data.find_films = lambda: None\n"
        "from watersmeet.cli.app import run; raise SystemExit(run(['demo', '--for', '1s']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environ, timeout=120, check=False)
    assert done.returncode == 2
    assert b"pip install --no-deps bokeh_sampledata==2026.1" in done.stderr
    assert done.stdout == b""


def test_only_films_can_be_live() -> None:
    command = [sys.executable, "-m", "watersmeet", "demo", "--app", "learning", "--live", "--for", "1s"]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert (done.returncode, b"leave out --live" in done.stderr.lower()) == (2, True)


def test_live_needs_a_key() -> None:
    environ = {k: v for k, v in os.environ.items() if k != "TMDB_API_KEY"}
    command = [sys.executable, "-m", "watersmeet", "demo", "--live", "--for", "1s"]
    done = subprocess.run(command, capture_output=True, env=environ, timeout=120, check=False)
    assert done.returncode == 2
    assert b"TMDB_API_KEY" in done.stderr
