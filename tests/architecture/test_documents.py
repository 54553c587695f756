"""The documents are true of the code: their examples run, their links lead somewhere, their words and tests exist."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator

import pytest

import watersmeet

from .test_layout import named, sources
from .tree import ROOT, modules, tracked

DOCUMENTS = [path for path in tracked() if re.fullmatch(r"([A-Z]+|docs/[a-z-]+)\.md", path)]
LINK = re.compile(r"\[[^\]]+\]\((?!https?://|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
PATH = re.compile(r"`((?:src|tests|docs|benchmarks|deploy|web)/[\w./-]*[\w/])`")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)


def text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def prose(path: str) -> str:
    """A document without its code blocks."""
    return FENCE.sub("", text(path))


def anchors(path: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", prose(path), re.M)
    return {"#" + re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def classes(of: ast.Module) -> Iterator[str]:
    return (n.name for n in of.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_"))


@pytest.mark.unit
def test_each_public_word_is_in_the_glossary() -> None:
    core = [m for m in modules("src/watersmeet/core") if m.path.count("/") == 3]
    words = set(watersmeet.__all__) | {name for m in core for name in classes(m.tree)}
    explained = set(re.findall(r"`(\w+)`", text("docs/glossary.md")))
    assert sorted(words - explained) == []


@pytest.mark.unit
@pytest.mark.parametrize("path", DOCUMENTS)
def test_each_link_of_a_document_leads_somewhere(path: str) -> None:
    for target, anchor in LINK.findall(prose(path)):
        file = (ROOT / path).parent / target if target else ROOT / path
        assert file.exists(), f"{path} links to {target}"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(str(file.resolve().relative_to(ROOT))), f"{path} links to {target}{anchor}"


@pytest.mark.unit
@pytest.mark.parametrize("path", DOCUMENTS)
def test_each_file_that_a_document_names_exists(path: str) -> None:
    assert [found for found in PATH.findall(text(path)) if not (ROOT / found).exists()] == []


@pytest.mark.unit
@pytest.mark.parametrize("path", DOCUMENTS)
def test_each_make_target_that_a_document_names_exists(path: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), re.M))
    shell = "\n".join(body for language, body in FENCE.findall(text(path)) if language == "sh")
    assert set(re.findall(r"`make ([a-z]+)", prose(path)) + re.findall(r"^make ([a-z]+)", shell, re.M)) <= targets


@pytest.mark.unit
@pytest.mark.parametrize("path", DOCUMENTS)
def test_the_python_of_a_document_runs(path: str) -> None:
    code = "\n".join(body for language, body in FENCE.findall(text(path)) if language == "python")
    exec(compile(code, path, "exec"), {})


@pytest.mark.unit
@pytest.mark.parametrize("name", [m.name for m in modules("src") if ">>> " in m.text])
def test_the_examples_of_a_module_run(name: str) -> None:
    done = doctest.testmod(importlib.import_module(name))
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.unit
def test_each_promise_names_its_test_and_its_limit() -> None:
    table = re.search(r"^\| promise .*?\n\|[-| ]+\n((?:\|.*\n)+)", text("docs/guarantees.md"), re.M)
    assert table
    for row in table[1].splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 5, row
        assert all(cells), f"an empty cell: {row}"
        assert PATH.search(cells[3]), f"no test: {row}"


@pytest.mark.unit
def test_each_decision_has_a_day() -> None:
    days = [heading[:10] for heading in re.findall(r"^## (.+)$", text("docs/decisions.md"), re.M)]
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d", day) for day in days)
    assert sorted(days) == days


@pytest.mark.unit
def test_what_happens_at_each_failpoint_is_written_down() -> None:
    steps = {".".join(name.split(".")[:2]) for module in sources() for name in named(module, "declare")}
    told = set(re.findall(r"`([a-z]+\.[a-z_]+)(?:\.[a-z]+)?`", text("docs/how-it-works.md")))
    assert sorted(steps - told) == []
