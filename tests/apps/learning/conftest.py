"""The small campus that the tests of routes ask, in one node for all of them: none of them changes it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from watersmeet.runtime.node import Node

from . import campus_story as story


@pytest.fixture(scope="session")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Yesterday published by the batch layer, today in the speed layer."""
    return story.open_node(tmp_path_factory.mktemp("campus"), story.YESTERDAY, story.TODAY)


@pytest.fixture(scope="session")
def client(campus: Node) -> Iterator[TestClient]:
    with story.asked_of(campus) as client:
        yield client
