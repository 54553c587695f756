"""An app with some records in both layers, and its API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.faults import shop
from watersmeet.api.app import create
from watersmeet.core.manifest import roll
from watersmeet.layers import ingest
from watersmeet.runtime.node import Node


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Half of the records published by batch, half in the speed layer; some are dead and some are copies."""
    node = shop.open_node(tmp_path, shop.clock())
    node.apply()
    topic = node.declarations().topic("orders")
    payloads = shop.workload("poison", 40)
    ingest.append(node.parts.log, topic, [*payloads[:25], payloads[0]])
    node.absorb("orders")
    node.parts.state.change("orders", lambda m: roll(m, node.parts.clock.now_us()))
    node.catch_up({})
    ingest.append(node.parts.log, topic, payloads[25:])
    node.absorb("orders")
    return node


@pytest.fixture
def client(node: Node) -> Iterator[TestClient]:
    """A client on loopback, without a key."""
    with TestClient(create(node), client=("127.0.0.1", 50_000), raise_server_exceptions=False) as client:
        yield client
