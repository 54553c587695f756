"""Finding and importing an app: every declaration at the top of its modules belongs to it.

An app is a module or a package. Of a package, the submodules called topics, views, queries, tables, alerts and examples
are read too, where they exist, and the submodules that one of these imports whole. ``sources.py`` may define
``sources(clock) -> list[Source]``, or ``sources(clock, reader)`` for a source of what the app itself answers;
``routes.py`` may define ``routes(reader) -> fastapi.APIRouter``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from watersmeet.core.clock import Clock
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.errors import SettingsError
from watersmeet.core.function import RowFunction
from watersmeet.core.normal import functions
from watersmeet.core.query import Query
from watersmeet.core.reader import Reader
from watersmeet.core.source import Source
from watersmeet.core.view import View

PARTS = ("topics", "views", "queries", "tables", "alerts", "examples")


@dataclass(frozen=True)
class App:
    """What an app's files declare.

    Args:
        name: the module's name.
        declarations: as written in the files, applied or not.
        functions: its row and window functions, by name.
        module: the imported module or package.
    """

    name: str
    declarations: Declarations
    functions: Mapping[str, RowFunction]
    module: ModuleType

    def sources(self, clock: Clock, reader: Reader) -> list[Source]:
        """The app's own sources; none when it has no ``sources``. One with a parameter ``reader`` is given it."""
        make = _member(self.module, "sources", "sources")
        if make is None:
            return []
        return list(make(clock, reader=reader) if "reader" in inspect.signature(make).parameters else make(clock))

    def routes(self) -> Callable[..., object] | None:
        """The app's ``routes(reader)``, if it has one."""
        return _member(self.module, "routes", "routes")


def load(name: str, *, path: Path | None = None) -> App:
    """Import the app called ``name``, with ``path`` on the module search path.

    Raises `SettingsError` when there is no such module; whatever its declarations raise comes through.
    """
    if path is not None and str(path) not in sys.path:
        sys.path.insert(0, str(path))
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(error.name + ".")):
            raise
        where = f" in {path}" if path else ""
        raise SettingsError(
            "app",
            expected="a module or package that can be imported",
            got=f"{name!r}{where}",
            remedy="check 'app:' in watersmeet.yaml",
        ) from None
    modules = [module]
    if hasattr(module, "__path__"):
        modules += [
            importlib.import_module(f"{name}.{part}") for part in PARTS if importlib.util.find_spec(f"{name}.{part}")
        ]
        modules += {inner for outer in modules for inner in _submodules(outer, name)} - {*modules}
    found = list(_declared(modules))
    declarations = collect(found)
    return App(name, declarations, functions(declarations), module)


def _submodules(module: ModuleType, package: str) -> Iterable[ModuleType]:
    """The modules of the package that one of its modules has imported whole."""
    found = (value for value in vars(module).values() if isinstance(value, ModuleType))
    return [inner for inner in found if inner.__name__.startswith(f"{package}.")]


def _declared(modules: Iterable[ModuleType]) -> Iterable[object]:
    """Every module-level value, looking one level into lists, tuples and dictionaries."""
    for module in modules:
        for name, value in list(vars(module).items()):
            if name.startswith("__"):
                continue
            inner = (
                value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else (value,)
            )
            for item in inner:
                if isinstance(item, View) and item.of is not None:
                    continue
                yield item
                if isinstance(item, Query):
                    yield from (view for view in item.views if view.of is None)


def _member(module: ModuleType, part: str, name: str) -> Callable[..., Iterable[Source]] | None:
    if hasattr(module, "__path__") and importlib.util.find_spec(f"{module.__name__}.{part}"):
        found = getattr(importlib.import_module(f"{module.__name__}.{part}"), name, None)
    else:
        found = getattr(module, name, None)
    return found if callable(found) else None
