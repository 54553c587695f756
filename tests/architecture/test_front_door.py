"""The front door: what `import watersmeet` offers, and how little it loads."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import watersmeet

from .tree import ROOT, modules

NAMES = [
    "Alert",
    "Answer",
    "Clock",
    "Example",
    "Filter",
    "Order",
    "Pulled",
    "Query",
    "Reader",
    "Receipt",
    "Record",
    "Request",
    "RequestError",
    "Source",
    "Table",
    "Topic",
    "UnavailableError",
    "View",
    "WatersmeetError",
    "calendar",
    "count",
    "distinct",
    "first",
    "function",
    "hopping",
    "last",
    "max",
    "mean",
    "min",
    "running",
    "session",
    "stddev",
    "sum",
    "top",
    "tumbling",
    "variance",
    "window",
]

DRIVERS = {
    "cyclopts",
    "duckdb",
    "fastapi",
    "httpx2",
    "limits",
    "msgspec",
    "numpy",
    "pandas",
    "prometheus_client",
    "pyarrow",
    "pydantic",
    "pydantic_settings",
    "pyrate_limiter",
    "rich",
    "sklearn",
    "stamina",
    "starlette",
    "structlog",
    "uvicorn",
    "vaderSentiment",
}

LOADED = """
import sys
before = set(sys.modules)
{statement}
print(*sorted(name for name in set(sys.modules) - before if name.split(".")[0] not in sys.stdlib_module_names))
"""


def loaded_by(statement: str) -> set[str]:
    """The modules outside the standard library that a statement loads in a fresh interpreter."""
    command = [sys.executable, "-c", LOADED.format(statement=statement)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.unit
def test_the_public_names_are_these_in_this_order() -> None:
    assert watersmeet.__all__ == NAMES
    assert sorted(NAMES) == NAMES
    assert dir(watersmeet) == NAMES


@pytest.mark.unit
@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_resolves_and_says_what_it_is(name: str) -> None:
    said = inspect.getdoc(getattr(watersmeet, name)) or ""
    first = said.partition("\n")[0]
    assert first.endswith("."), f"{name}: its docstring opens with {first!r}, not with one sentence"


@pytest.mark.unit
def test_type_checkers_see_the_same_names() -> None:
    (door,) = (m for m in modules("src") if m.path == "src/watersmeet/__init__.py")
    (guard,) = (node for node in door.tree.body if isinstance(node, ast.If))
    seen = [alias.name for node in guard.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert sorted(seen) == NAMES


@pytest.mark.unit
def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'watersmeet' has no attribute 'Veiw'"):
        _ = watersmeet.Veiw


@pytest.mark.integration
def test_importing_the_package_loads_nothing_else() -> None:
    assert loaded_by("import watersmeet") == {"watersmeet"}


@pytest.mark.integration
def test_declaring_loads_core_and_sqlglot_and_no_driver() -> None:
    loaded = loaded_by("import watersmeet as wm; [getattr(wm, name) for name in wm.__all__]")
    assert {"watersmeet.core.view", "sqlglot"} <= loaded
    assert {name.split(".")[0] for name in loaded} & DRIVERS == set()
    assert [name for name in loaded if name.startswith("watersmeet.") and name.split(".")[1] != "core"] == []
