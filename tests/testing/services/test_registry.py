from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from watersmeet.adapters.kafka.registry import RegistrySchemas
from watersmeet.core.address import parse_address
from watersmeet.core.errors import UnavailableError
from watersmeet.testing.services.registry import registry

pytestmark = pytest.mark.integration

SCHEMA = '{"type":"record","name":"r","fields":[{"name":"x","type":"long"}]}'


def test_what_was_registered_outlives_a_kill_and_its_absence_is_a_pause(tmp_path: Path) -> None:
    with registry(tmp_path) as server:
        address = parse_address(server.url)
        with closing(RegistrySchemas(address)) as before, closing(RegistrySchemas(address)) as other:
            id_ = before.register("a-value", SCHEMA)
            before.level("a-value", "FULL")
            assert before.get(id_) == SCHEMA
            server.kill()
            assert before.get(id_) == SCHEMA  # what is known needs nobody
            with pytest.raises(UnavailableError):
                other.get(id_)
            server.start()
            assert other.get(id_) == SCHEMA
            assert other.level("a-value") == "FULL"
            server.pause()
            try:
                slow = RegistrySchemas(parse_address(server.url + "?timeout_seconds=0.2"))
                with closing(slow), pytest.raises(UnavailableError):
                    slow.get(id_)
            finally:
                server.resume()


def test_the_shared_registry_answers(registry: str) -> None:
    with closing(RegistrySchemas(parse_address(registry))) as schemas:
        assert schemas.probe().startswith("registry://")
