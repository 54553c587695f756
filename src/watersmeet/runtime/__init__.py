"""Where the parts meet: settings, wiring, processes, and `connect` for notebooks."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection, Result, connect

__all__ = ["Connection", "Result", "connect"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'watersmeet.runtime' has no attribute {name!r}")
    return getattr(import_module(".connection", __name__), name)
