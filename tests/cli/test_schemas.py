"""``watersmeet schemas`` against a real registry."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from watersmeet.adapters.kafka.registry import RegistrySchemas
from watersmeet.cli.app import FAILED, MISUSED, UNREACHABLE, run
from watersmeet.core.address import parse_address
from watersmeet.core.errors import RequestError
from watersmeet.layers.schemas import KeptSchemas
from watersmeet.runtime.settings import load
from watersmeet.runtime.wiring import wire
from watersmeet.testing.services.server import free_ports

pytestmark = pytest.mark.integration


class Shop:
    """A project whose one file can be rewritten.

    Args:
        folder: of the project.
        monkeypatch: forgets the module between commands.
        registry: URL of the registry.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, registry: str) -> None:
        self.topic = f"sales-{uuid4().hex}"
        self.subject = f"{self.topic}-value"
        self._folder, self._monkeypatch = folder, monkeypatch
        (folder / "watersmeet.yaml").write_text(f"app: avroshop\nstores: {{schemas: '{registry}'}}\n")

    def declares(self, **schema: str) -> None:
        """Write the file."""
        text = f"import watersmeet as wm\n\nsales = wm.Topic({self.topic!r}, schema={schema!r}, format='avro')\n"
        text += "plain = wm.Topic('plain', schema={'n': 'bigint'})\n"
        (self._folder / "avroshop.py").write_text(text)

    def run(self, *arguments: str) -> int:
        """Run a command of the group with the file as it is now."""
        self._monkeypatch.delitem(sys.modules, "avroshop", raising=False)
        return run(["schemas", *arguments])


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: str) -> Shop:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return Shop(tmp_path, monkeypatch, registry)


def test_a_schema_is_checked_registered_and_listed(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.declares(id="varchar not null", paid="decimal(8,2)")
    assert shop.run("check", "--json") == 0
    [found] = json.loads(capsys.readouterr().out)
    assert (found["subject"], found["level"], found["id"], found["complaints"]) == (shop.subject, "BACKWARD", None, [])
    assert shop.run("register", "--json") == 0
    [id_] = json.loads(capsys.readouterr().out).values()
    assert shop.run("register", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {shop.topic: id_}
    assert shop.run("list", "--json") == 0
    listed = {row["subject"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed[shop.subject] == {"subject": shop.subject, "level": "BACKWARD", "versions": 1, "id": id_}


def test_what_a_level_forbids_is_not_registered(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.declares(id="varchar not null")
    assert shop.run("register") == 0
    shop.declares(id="varchar not null", city="varchar not null")
    assert shop.run("check") == FAILED
    said = capsys.readouterr().err
    assert "level BACKWARD forbids it" in said
    assert "records of version 1" in said
    assert shop.run("register") == MISUSED
    assert shop.run("register", "--level", "forward") == 0
    shop.declares(id="varchar not null")
    assert shop.run("register", shop.topic) == 0
    assert "as before" in capsys.readouterr().err


def test_a_topic_in_json_has_no_schema(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.declares(id="varchar not null")
    assert shop.run("check", "plain") == MISUSED
    assert "a topic in Avro" in capsys.readouterr().err


def test_an_id_that_was_unknown_is_asked_for_again(shop: Shop, tmp_path: Path, registry: str) -> None:
    shop.declares(id="varchar not null")
    assert shop.run("forget", "2000000001") == MISUSED
    state = wire(load(start=tmp_path).settings).state
    with closing(RegistrySchemas(parse_address(registry))) as schemas, pytest.raises(RequestError):
        KeptSchemas(schemas, state).get(2_000_000_001)
    assert shop.run("forget", "2000000001") == 0
    assert shop.run("forget", "2000000001") == MISUSED


def test_without_a_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["schemas", "list"]) == MISUSED
    [port] = free_ports(1)
    assert run(["schemas", "list", "--registry", f"registry://127.0.0.1:{port}"]) == UNREACHABLE
