"""Dependencies: what the source imports is declared, and what is declared is imported."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest

from .tree import ROOT, imports, modules

pytestmark = pytest.mark.unit

READ = {"tzdata"}
"""Data that the standard library reads where the system has none."""


def plain(requirement: str) -> str:
    """The name in a requirement, in its one spelling."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;~! ]", requirement)[0]).lower()


def test_the_source_imports_what_is_declared_and_nothing_else() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {plain(requirement) for requirement in project["dependencies"]}
    optional = {plain(requirement) for extra in project["optional-dependencies"].values() for requirement in extra}
    homes = packages_distributions()
    roots = {
        name.partition(".")[0]
        for module in modules("src")
        for _, name, level in imports(module)
        if not level and name.partition(".")[0] not in sys.stdlib_module_names
    }
    imported = {plain(home) for root in roots - {"watersmeet"} for home in homes.get(root, [root])}
    assert sorted(imported - declared - optional) == [], "imported, not declared"
    assert sorted(declared - imported - READ) == [], "declared, never imported"
