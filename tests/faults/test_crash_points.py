"""A crash at every moment that matters: the state directory is copied at every hit of every failpoint, and each copy,
recovered, must come to the answers of a run that never stopped."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from watersmeet.core import failpoint
from watersmeet.core.manifest import roll
from watersmeet.layers import ingest
from watersmeet.runtime.node import Node

from . import shop

pytestmark = pytest.mark.integration
PIECE = 5
PROVE = bool(os.environ.get("WATERSMEET_PROVE"))


@pytest.fixture(autouse=True)
def _no_hook_left() -> Iterator[None]:
    yield
    failpoint.install(None)


def play(node: Node, payloads: list[bytes], *, piece: int = PIECE) -> None:
    """Append and absorb in pieces; roll and let the batch layer work after every second one."""
    topic = node.declarations().topic("orders")
    for turn, at in enumerate(range(0, len(payloads), piece)):
        ingest.append(node.parts.log, topic, payloads[at : at + piece])
        node.absorb("orders")
        if turn % 2:
            now_us = node.parts.clock.now_us()
            node.parts.state.change("orders", lambda m, now_us=now_us: roll(m, now_us))  # type: ignore[misc]  # a lambda with a default
            node.catch_up({})


def recover(folder: Path, payloads: list[bytes]) -> Node:
    """What an operator and a producer do after a crash: apply, send everything again, run on."""
    node = shop.open_node(folder, shop.clock())
    node.apply()
    play(node, payloads, piece=len(payloads))
    node.catch_up({})
    return node


def good(payloads: list[bytes]) -> list[bytes]:
    return [p for p in payloads if p not in shop.POISON]


@pytest.mark.parametrize("name", shop.WORKLOADS)
def test_every_crash_point_recovers_to_the_same_answers(name: str, tmp_path: Path) -> None:
    payloads = shop.workload(name, 84 if PROVE else 24)
    steady = shop.open_node(tmp_path / "steady", shop.clock())
    steady.apply()
    play(steady, payloads)
    expected, copies, hits = shop.answers(steady), tmp_path / "copies", Counter[str]()

    live = tmp_path / "live"
    node = shop.open_node(live, shop.clock())

    def crash(point: str) -> None:
        hits[point] += 1
        shutil.copytree(live, copies / f"{sum(hits.values()):05d} {point}")

    failpoint.install(crash)
    node.apply()
    play(node, payloads)
    failpoint.install(None)

    assert len(hits) >= 40, sorted(hits)
    checked = 0
    for copy in sorted(copies.iterdir()):
        recovered = recover(copy, payloads)
        assert shop.answers(recovered) == expected, copy.name
        found = shop.sums(recovered)
        assert found.balanced, copy.name
        assert found.used == shop.sums(steady).used, copy.name
        shutil.rmtree(copy)
        checked += 1
    assert checked >= (834 if PROVE else 100)  # of each of the six workloads
