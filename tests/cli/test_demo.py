"""The demo, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from watersmeet.apps.movies.films import find_films

pytestmark = pytest.mark.integration


@pytest.fixture
def _films() -> None:
    if find_films() is None:
        if os.environ.get("CI"):
            pytest.fail("the demo's film file is not installed: 'make test' installs it")
        pytest.skip("the demo's film file is not installed: run 'make test' or 'make demo'")


@pytest.mark.usefixtures("_films")
def test_the_demo_ends_by_itself_with_a_balanced_ledger_and_two_layers_that_agree() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "watersmeet", "demo", "--for", "15s", "--json"],
        capture_output=True,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    ledger = found["ledger"]
    outcomes = sum(ledger[name] for name in ("used", "duplicates", "dead", "filtered", "holes"))
    assert ledger["received"] == outcomes > 0
    assert ledger["duplicates"] > 0
    assert ledger["dead"] > 0
    assert sum(t["received"] for t in found["ledger_by_topic"].values()) == ledger["received"]
    assert all(t["balanced"] and t["unread"] == 0 for t in found["ledger_by_topic"].values())
    assert found["films"] == 17_472
    assert found["audit"]["match_rate"] == 1.0
    assert found["audit"]["cells"] > 0
    assert found["epochs"]["published"] >= 2
    answer = found["answer"]
    assert answer["batch"]["review_count"] > 0
    assert answer["speed"]["review_count"] > 0
    assert answer["batch"]["review_count"] + answer["speed"]["review_count"] == answer["merged"]["review_count"]
    assert "draining" in done.stderr.decode()


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


def test_live_needs_a_key() -> None:
    environ = {k: v for k, v in os.environ.items() if k != "TMDB_API_KEY"}
    command = [sys.executable, "-m", "watersmeet", "demo", "--live", "--for", "1s"]
    done = subprocess.run(command, capture_output=True, env=environ, timeout=120, check=False)
    assert done.returncode == 2
    assert b"TMDB_API_KEY" in done.stderr
