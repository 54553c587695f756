from __future__ import annotations

import os
from pathlib import Path

import pytest

from watersmeet.testing.services.plugin import shared

pytestmark = pytest.mark.integration


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pids(root: Path) -> list[int]:
    return [int(text) for text in (root / "redis.json").read_text().partition("[")[2].partition("]")[0].split(",")]


def test_a_server_is_shared_until_the_last_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATERSMEET_TEST_REDIS", raising=False)
    with shared("redis", tmp_path) as one:
        with shared("redis", tmp_path) as other:
            assert one == other
            (pid,) = pids(tmp_path)
        assert is_alive(pid)
    assert not is_alive(pid)
    with shared("redis", tmp_path):
        (again,) = pids(tmp_path)
        assert again != pid


def test_an_address_from_the_environment_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATERSMEET_TEST_REDIS", "redis://10.0.0.1:6379/0")
    with shared("redis", tmp_path) as url:
        assert url == "redis://10.0.0.1:6379/0"
    assert list(tmp_path.iterdir()) == []
