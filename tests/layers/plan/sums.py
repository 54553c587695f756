"""One view of the world's numbers, in the variants that tests change between."""

from __future__ import annotations

from dataclasses import replace

import watersmeet as wm
from watersmeet.core.declarations import Declarations, collect
from watersmeet.core.function import RowFunction
from watersmeet.core.topic import Topic

from .world import World, topic


def summed(numbers: Topic | None = None, column: str = "total", least: int | None = None) -> wm.View:
    where = "" if least is None else f"v > {least}"
    return wm.View("sums", topic=numbers or topic(), measures={column: wm.sum("v", where=where)})


def app(numbers: Topic | None = None, column: str = "total", least: int | None = None) -> Declarations:
    return collect([summed(numbers, column, least)])


def total(world: World) -> int:
    (answer,) = world.answer("sums").values()
    return answer


def filled(world: World, *, epochs: int = 2) -> None:
    """Records in some sealed, published epochs and in the open one."""
    for _ in range(epochs):
        world.append((len(world.records.get("numbers", [])), 6), (0, 5))
        world.absorb()
        world.roll()
    world.batch()
    world.append((100, 7))
    world.absorb()


def scored(source: str) -> Topic:
    make = wm.function(version=1, returns="integer")

    def score(values: object) -> object:
        return values

    function: RowFunction = replace(make(score), source_hash=source)  # type: ignore[arg-type]  # never called
    return topic(compute={"s": "score(v)"}, functions=[function])
