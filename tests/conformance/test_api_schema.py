"""Every operation of the description, with data that fits it and data that does not: no 5xx, and what is documented."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS

from tests.faults import shop
from watersmeet.api.app import create
from watersmeet.layers import ingest

pytestmark = pytest.mark.integration
CASES = 400 if os.environ.get("WATERSMEET_PROVE") else 15
STREAMS = "/v1/views/{name}/live"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> schemathesis.schemas.BaseSchema:
    """The API of a node that has seen some records."""
    folder: Path = tmp_path_factory.mktemp("described")
    node = shop.open_node(folder, shop.clock())
    node.apply()
    ingest.append(node.parts.log, node.declarations().topic("orders"), shop.workload("poison", 20))
    node.absorb("orders")
    serve = node.parts.settings.serve.model_copy(update={"requests_per_minute": 1_000_000})
    object.__setattr__(node.parts, "settings", node.parts.settings.model_copy(update={"serve": serve}))
    app = create(node)
    app.openapi_url = None

    async def loopback(scope, receive, send):  # type: ignore[no-untyped-def]  # an ASGI callable
        if scope["type"] == "http":
            scope = {**scope, "client": ("127.0.0.1", 1)}
        await app(scope, receive, send)

    return schemathesis.openapi.from_asgi("/openapi.json", loopback)


def test_no_request_breaks_the_api(described: schemathesis.schemas.BaseSchema) -> None:
    names = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
    checks: Any = CHECKS.get_by_names(names)
    tried = []

    for found in described.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]  # the description is our own
        if operation.path == STREAMS:
            continue
        tried.append(operation.label)

        @settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(case=operation.as_strategy())
        def holds(case: Any) -> None:
            case.call_and_validate(checks=checks)

        holds()
    assert len(tried) >= 14
