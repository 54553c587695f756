from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from watersmeet.core.errors import UnavailableError
from watersmeet.testing.services.server import Server, answers, free_ports

pytestmark = pytest.mark.integration
SERVE = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (port,) = free_ports(1)
    command = [sys.executable, "-c", SERVE, str(port)]
    made = Server("files", f"http://127.0.0.1:{port}", command, folder=tmp_path / "files", ready=lambda: answers(port))
    with made:
        yield made
    assert made.pids == []


def test_it_runs_until_it_is_stopped_and_comes_back_on_the_same_port(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    first = server.pids
    server.kill()
    assert server.pids == []
    with pytest.raises(OSError, match="refused"):
        answers(port)
    server.start()
    assert len(server.pids) == 1
    assert server.pids != first
    assert answers(port)


def test_one_that_is_let_go_is_somebody_elses(server: Server) -> None:
    (pid,) = server.release()
    assert server.pids == []
    again = Server("other", server.url, folder=server.folder, ready=lambda: True)
    again.stop()  # ends nothing: it started nothing
    assert answers(int(server.url.rpartition(":")[2]))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_one_that_ends_says_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no room')"]
    with pytest.raises(UnavailableError, match="no room"):
        Server("brief", "", command, folder=tmp_path / "brief", ready=lambda: False).start()


def test_one_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    slow = Server("slow", "", command, folder=tmp_path / "slow", ready=lambda: False, seconds=0.3)
    with pytest.raises(UnavailableError, match=r"nothing for 0 s"):
        slow.start()
    assert slow.pids == []


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20
