"""The Kafka of tests: started, killed and started again over its data."""

from __future__ import annotations

from pathlib import Path

import pytest

from watersmeet.core.address import parse_address
from watersmeet.testing.services.kafka import kafka

pytestmark = pytest.mark.integration


def test_it_comes_back_on_its_port_after_a_kill(tmp_path: Path) -> None:
    with kafka(tmp_path) as server:
        url = server.url
        server.kill()
        assert server.pids == []
        with kafka(tmp_path) as again:
            assert again.url == url
            assert len(again.pids) == 1
    address = parse_address(url)
    assert len(address.hosts) == 1
    assert address.options == {"replication": "1", "min_insync": "1"}
