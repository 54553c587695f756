"""The project's own files, as the tests in this folder look at them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Module:
    """A Python file: its path from the root with ``/``, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        """Its dotted name as imports write it; empty outside ``src``."""
        if not self.path.startswith("src/"):
            return ""
        return self.path.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def tracked() -> tuple[str, ...]:
    """Every file of the project that git has, or would take: paths from the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return tuple(sorted(path for path in listing.split("\0") if path and (ROOT / path).is_file()))


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """The Python files below some folders of the root."""
    paths = [path for path in tracked() if path.endswith(".py") and path.startswith(tuple(f"{f}/" for f in folders))]
    assert paths, f"no Python file below {folders}"
    texts = [(path, (ROOT / path).read_text(encoding="utf-8")) for path in paths]
    return tuple(Module(path, text, ast.parse(text, path)) for path, text in texts)


def imports(module: Module) -> Iterator[tuple[int, str, int]]:
    """Each import anywhere in a file: its line, what it names in full, and the dots of a relative one."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = f"{node.module}." if node.module else ""
            yield from ((node.lineno, prefix + alias.name, node.level) for alias in node.names)
