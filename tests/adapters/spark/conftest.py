"""One Spark session for all tests of a process: it takes seconds to start."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from watersmeet.adapters.spark.session import Sessions, SparkOptions
from watersmeet.core.address import Address, options, parse_address
from watersmeet.core.errors import UnavailableError
from watersmeet.testing.services.spark import spark


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The address of Spark in this process, with two cores; a task may fail twice."""
    pytest.importorskip("pyspark")
    try:
        address = parse_address(spark(tmp_path_factory.mktemp("spark"), master="local[2,3]", every_seconds="0.05"))
    except UnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield address
    from pyspark import SparkContext

    if SparkContext._active_spark_context is not None:
        sessions = Sessions(address, options(address, SparkOptions))
        sessions.get()
        sessions.close()
