from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import redis as driver

from watersmeet.testing.services.redis import redis, unpacked
from watersmeet.testing.services.server import Server

pytestmark = pytest.mark.integration


def test_it_starts_again_after_a_kill_and_holds_still_while_it_is_paused(tmp_path: Path) -> None:
    with redis(tmp_path) as server:
        check(server)
        server.kill()
        server.start()
        check(server)
        server.pause()
        with driver.Redis.from_url(server.url, socket_timeout=0.05) as client, pytest.raises(driver.RedisError):
            client.ping()
        server.resume()
        check(server)


@pytest.mark.skipif(shutil.which("apt-get") is None, reason="packages of Debian's form are fetched by apt-get")
def test_the_packages_run_without_being_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    binary, _ = unpacked()
    assert Path(binary).name == "redis-server"
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "redis-server" else which(name))
    with redis(tmp_path) as server:
        check(server)


def check(server: Server) -> None:
    with driver.Redis.from_url(server.url, socket_timeout=5) as client:
        assert client.set("k", "v")
        assert client.get("k") == b"v"
