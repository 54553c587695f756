"""What the import contract cannot say: core is the standard library and sqlglot in one folder, named from inside."""

from __future__ import annotations

import sys

import pytest

from .tree import imports, modules

pytestmark = pytest.mark.unit

CORE = "src/watersmeet/core/"


def test_core_imports_the_standard_library_and_sqlglot_in_core_sql() -> None:
    outside = {
        f"{module.path}:{line} {name}"
        for module in modules("src/watersmeet/core")
        for line, name, level in imports(module)
        if not level and (root := name.partition(".")[0]) not in sys.stdlib_module_names
        if not (root == "sqlglot" and module.path.startswith(CORE + "sql/"))
    }
    assert outside == set()


def test_core_names_itself_from_inside_and_nothing_outside() -> None:
    """`core/x.py` may take one dot, `core/sql/x.py` two: one more would leave core."""
    escapes = {
        f"{module.path}:{line} {'.' * level}{name}"
        for module in modules("src/watersmeet/core")
        for line, name, level in imports(module)
        if level > module.path.removeprefix(CORE).count("/") + 1 or name.partition(".")[0] == "watersmeet"
    }
    assert escapes == set()


@pytest.mark.parametrize(
    ("package", "home"), [("structlog", "src/watersmeet/runtime/logging.py"), ("cyclopts", "src/watersmeet/cli/")]
)
def test_a_library_is_known_in_one_place(package: str, home: str) -> None:
    found = {
        module.path
        for module in modules("src")
        for _, name, level in imports(module)
        if not level and name.partition(".")[0] == package
    }
    assert {path for path in found if not path.startswith(home)} == set()
