from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from watersmeet.core.errors import UnavailableError
from watersmeet.testing.services import artefacts

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WATERSMEET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_artefact_is_made_once_however_many_want_it(cache: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "thing").write_text("x")

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: artefacts.made("a/thing-1", make), range(8)))
    assert found == {cache / "a" / "thing-1"}
    assert len(made) == 1
    assert (cache / "a" / "thing-1" / "thing").read_text() == "x"


def test_one_that_cannot_be_made_leaves_nothing(cache: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise UnavailableError("thing", got="no index")

    with pytest.raises(UnavailableError):
        artefacts.made("thing-2", fail)
    assert [path.name for path in cache.iterdir()] == [".thing-2.lock"]
    assert artefacts.made("thing-2", lambda folder: None) == cache / "thing-2"


def test_a_program_that_is_not_there_is_named_with_its_remedy() -> None:
    with pytest.raises(UnavailableError, match="Install it"):
        artefacts.tool("no-such-program", "install it")


def test_a_command_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="nowhere"):
        artefacts.run(["ls", "nowhere"], tmp_path)


def test_a_java_that_is_new_enough_is_found() -> None:
    assert Path(artefacts.java(11)).name == "java"
    with pytest.raises(UnavailableError, match="version 999"):
        artefacts.java(999)
