"""Where things are: tests mirror the source, and each named crash moment is one that the source reaches."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from .tree import ROOT, Module, modules, tracked

pytestmark = pytest.mark.unit

ACROSS = {"laws", "conformance", "architecture", "services", "faults", "incidents"}
"""Folders of tests about several modules at once."""


def calls(module: Module, function: str) -> Iterator[ast.Call]:
    """Calls of a function of `core.failpoint`, by name or as an attribute."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and "failpoint" in module.text:
            owner, _, name = ast.unparse(node.func).rpartition(".")
            if name == function and owner in ("", "failpoint"):
                yield node


def written(argument: ast.expr) -> str:
    """A name as it stands in the source; a part that is filled in while running is ``*``."""
    parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)


def named(module: Module, function: str) -> list[str]:
    """The failpoint names that a file hands to a function; not those that it was handed itself."""
    return [name for call in calls(module, function) for name in map(written, call.args) if name != "*"]


def handed_on(module: Module) -> set[str]:
    """Every name that a file hands to anything but ``declare``."""
    declarations = {id(call) for call in calls(module, "declare")}
    others = (n for n in ast.walk(module.tree) if isinstance(n, ast.Call) and id(n) not in declarations)
    names = {written(argument) for call in others for argument in call.args}
    return {name for name in names if re.fullmatch(r"[a-z*]+(\.[a-z_]+){2}", name)}


def sources() -> list[Module]:
    return [module for module in modules("src") if module.name != "watersmeet.core.failpoint"]


def test_each_test_file_stands_where_its_module_does() -> None:
    lost = []
    for path in tracked():
        found = re.fullmatch(r"tests/(.*/)?test_(\w+)\.py", path)
        if found and (found[1] or "").partition("/")[0] not in ACROSS:
            target = f"src/watersmeet/{found[1] or ''}{found[2]}"
            if not ((ROOT / f"{target}.py").is_file() or (ROOT / target).is_dir()):
                lost.append(f"{path}: no {target}.py")
    assert lost == []


def test_each_failpoint_is_declared_once_and_hit_somewhere() -> None:
    times = Counter(name for module in sources() for name in named(module, "declare"))
    hits = {name for module in sources() for name in named(module, "hit")}
    reached = {name for module in sources() for name in handed_on(module)}
    assert len(times) > 20, "the scan finds hardly any failpoint"
    assert [name for name, count in times.items() if count > 1] == []
    assert [name for name in times if not any(fnmatchcase(name, at) for at in reached)] == [], "declared, never hit"
    assert [hit for hit in hits if not any(fnmatchcase(name, hit) for name in times)] == [], "hit, never declared"


def test_a_failpoint_is_called_after_its_part_its_step_and_its_moment() -> None:
    names = [name for module in sources() for name in named(module, "declare")]
    assert [name for name in names if not re.fullmatch(r"[a-z]+(\.[a-z_]+){2}", name)] == []


def test_each_package_of_the_source_says_what_it_is() -> None:
    silent = [
        module.path for module in modules("src") if module.path.endswith(".py") and not ast.get_docstring(module.tree)
    ]
    assert silent == []
