"""A node in a folder, as `watersmeet run` would open it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from watersmeet.core.clock import Clock
from watersmeet.core.declarations import collect
from watersmeet.core.record import Record
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import wire

APPEND = 20_000


def open_node(folder: Path, declared: Iterable[object], *, clock: Clock | None = None, **settings: object) -> Node:
    """A node with the declarations applied, on the stores of a folder, which may hold records already."""
    given = Settings.model_validate({"directory": folder, **settings})
    node = Node(
        wire(given, clock=clock), App("benchmarks", collect(declared), {}, ModuleType("benchmarks")), sources=[]
    )
    node.apply()
    return node


def close_node(node: Node) -> None:
    """Free its cells and close its files."""
    node.reader.close()
    node.parts.log.close()  # type: ignore[attr-defined]  # of the local log
    node.parts.state.close()  # type: ignore[attr-defined]  # of the local state


def append(node: Node, topic: str, values: list[bytes]) -> None:
    """Append payloads durably, without keys."""
    for at in range(0, len(values), APPEND):
        node.parts.log.append(topic, [Record(value) for value in values[at : at + APPEND]])
