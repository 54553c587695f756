from __future__ import annotations

from pathlib import Path

import pytest

from watersmeet.core.errors import SettingsError
from watersmeet.runtime.settings import load

pytestmark = pytest.mark.unit

FILE = """
app: shop
directory: data
serve: {port: 9000}
profiles:
  prod: {serve: {port: 9001}}
"""


def write(folder: Path, text: str = FILE) -> Path:
    (folder / "watersmeet.yaml").write_text(text)
    return folder


def test_defaults_without_a_file(tmp_path: Path) -> None:
    found = load(start=tmp_path, environ={})
    assert found.settings.serve.host == "127.0.0.1"
    assert found.settings.directory == tmp_path / ".watersmeet"
    assert found.origins == {}


def test_the_nearest_file_upward_is_read_and_paths_start_there(tmp_path: Path) -> None:
    write(tmp_path)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    found = load(start=below, environ={})
    assert found.root == tmp_path
    assert found.settings.directory == tmp_path / "data"
    assert found.origins["app"] == "watersmeet.yaml"


def test_precedence_is_command_line_environment_dotenv_profile_file_default(tmp_path: Path) -> None:
    write(tmp_path)
    port = "serve.port"
    assert load(start=tmp_path, environ={}).settings.serve.port == 9000
    found = load(start=tmp_path, profile="prod", environ={})
    assert (found.settings.serve.port, found.origins[port]) == (9001, "watersmeet.yaml, profile prod")
    (tmp_path / ".env").write_text("WATERSMEET__SERVE__PORT=9002\n")
    found = load(start=tmp_path, profile="prod", environ={})
    assert (found.settings.serve.port, found.origins[port]) == (9002, ".env, WATERSMEET__SERVE__PORT")
    environ = {"WATERSMEET__SERVE__PORT": "9003"}
    found = load(start=tmp_path, profile="prod", environ=environ)
    assert (found.settings.serve.port, found.origins[port]) == (9003, "WATERSMEET__SERVE__PORT")
    found = load(start=tmp_path, profile="prod", environ=environ, overrides={port: 9004})
    assert (found.settings.serve.port, found.origins[port]) == (9004, "command line")


def test_an_unknown_key_names_itself_its_origin_and_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "serve: {prot: 1}\n")
    with pytest.raises(
        SettingsError, match=r"(?i)watersmeet.yaml: setting 'serve.prot'.*did you mean 'port'"
    ) as caught:
        load(start=tmp_path, environ={})
    assert caught.value.where == "watersmeet.yaml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serve: {port: many}\n", "serve.port"),
        ("- a\n", "keys and values"),
        ("a: [\n", "valid YAML"),
        ("log_level: loud\n", "log_level"),
        ("a: &x [1]\nb: *x\n", "anchors"),
    ],
)
def test_what_is_malformed_is_said_plainly(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, text)
    with pytest.raises(SettingsError, match=message):
        load(start=tmp_path, environ={})


def test_an_unknown_profile_suggests_the_nearest(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(SettingsError, match=r"(?i)did you mean 'prod'"):
        load(start=tmp_path, profile="prd", environ={})
