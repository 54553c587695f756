from __future__ import annotations

import socket
from pathlib import Path

import httpx2
import pytest

from tests.faults import shop
from watersmeet.cli.server import Served
from watersmeet.core.errors import UnavailableError
from watersmeet.runtime.node import Node

pytestmark = pytest.mark.integration


@pytest.fixture
def node(tmp_path: Path) -> Node:
    opened = shop.open_node(tmp_path, shop.clock())
    opened.apply()
    return opened


def test_it_answers_while_it_is_entered_and_not_afterwards(node: Node) -> None:
    with Served(node) as served:
        assert httpx2.get(f"{served.url}/health/live").json() == {"status": "alive"}
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(f"{served.url}/health/live")


def test_no_answer_waits_between_its_head_and_its_body(node: Node) -> None:
    with Served(node) as served:
        assert served._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_does_not_say_what_it_is_made_of(node: Node) -> None:
    with Served(node) as served:
        assert "server" not in httpx2.get(f"{served.url}/health/live").headers


def test_a_port_that_is_taken_is_named(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=f"port {port}"):
            Served(node, port=port)
