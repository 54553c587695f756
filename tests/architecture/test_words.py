"""What no file of the project may say: where packages come from, where it was built, and that it is wonderful."""

from __future__ import annotations

import re

import pytest

from .tree import ROOT, tracked

pytestmark = pytest.mark.unit

HERE = "tests/architecture/test_words.py"
REGISTRIES = re.compile(
    r"\b(pypi\.(org|python)|pythonhosted\.|registry\.(npmjs|yarnpkg)\.|(repo1?|central)\.maven\.|(static\.|index\.)?crates\.io"
    r"|proxy\.golang\.|deb\.debian\.|archive\.ubuntu\.)"
    r"|https?://[a-z0-9.-]*(py(pi|thon-?hosted)|npm|maven|golang|crates|debian|rust-?lang)[a-z0-9.-]*\.[a-z]{2,}",
    re.I,
)
MACHINE = re.compile(r"(^|[^A-Za-z0-9_.-])/(work|root|farm|home/[a-z]+|Users/[A-Za-z]+)/")
BOASTS = re.compile(
    r"\b(blazing(ly)?|world-class|cutting-edge|game-chang\w+|seamless(ly)?|effortless(ly)?|best-in-class|trusted by"
    r"|loved by|lorem ipsum|acme|co-authored-by)\b",
    re.I,
)
LOCKED = re.compile(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==\S+( ; .+)?", re.I)


def lines() -> list[tuple[str, str]]:
    """Each line of each text file but this one, with its place."""
    out = []
    for path in tracked():
        data = (ROOT / path).read_bytes()
        if path != HERE and b"\0" not in data[:8192]:
            text = data.decode("utf-8").splitlines()
            out += [(f"{path}:{number}", line) for number, line in enumerate(text, 1)]
    return out


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE], ids=["registries", "machine"])
def test_no_file_names_where_it_came_from(pattern: re.Pattern[str]) -> None:
    assert [(where, line[:160]) for where, line in lines() if pattern.search(line)] == []


def test_no_document_and_no_source_boasts() -> None:
    """Reviews of films, which are data, may."""
    ours = [(where, line) for where, line in lines() if re.search(r"\.(md|py|svelte|ts):", where)]
    assert [(where, line[:160]) for where, line in ours if BOASTS.search(line)] == []


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-demo.txt"])
def test_a_python_lock_is_names_versions_and_hashes(lock: str) -> None:
    text = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", (ROOT / lock).read_text(), flags=re.M))
    entries = [entry.split(" --hash=") for entry in text.splitlines() if entry.strip()]
    assert entries
    for name, *hashes in entries:
        assert LOCKED.fullmatch(name.strip()), name
        assert hashes, f"{name} has no hash"
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value.strip()) for value in hashes), name


def test_a_node_lock_names_no_host() -> None:
    locks = [path for path in tracked() if path.endswith("package-lock.json")]
    assert [path for path in locks if '"resolved": "http' in (ROOT / path).read_text()] == []
