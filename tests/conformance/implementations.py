"""Every implementation of a port, by name: the one table that its conformance suite runs over.

An entry opens a fresh handle. Two handles opened over the same directory are two processes' views of one store.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path

from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.archive import Archive
from watersmeet.core.clock import Clock
from watersmeet.core.state import State

STATES: Mapping[str, Callable[[Path, Clock], AbstractContextManager[State]]] = {
    "local": lambda directory, clock: closing(LocalState(directory / "state.db", clock)),
}
ARCHIVES: Mapping[str, Callable[[Path], AbstractContextManager[Archive]]] = {
    "local": lambda directory: nullcontext(LocalArchive(directory / "archive")),
}
