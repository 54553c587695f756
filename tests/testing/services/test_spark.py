"""Spark's address names files that are there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watersmeet.core.address import parse_address
from watersmeet.core.errors import UnavailableError
from watersmeet.testing.services.spark import VERSION, spark

pytestmark = pytest.mark.integration


def test_the_address_names_the_connector(tmp_path: Path) -> None:
    try:
        address = parse_address(spark(tmp_path / "spark", master="local[1]", every_seconds="0.5"))
    except UnavailableError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    assert (address.options["master"], address.options["every_seconds"]) == ("local[1]", "0.5")
    jars = [Path(name) for name in address.options["jars"].split(",")]
    assert all(jar.is_file() for jar in jars)
    assert f"spark-sql-kafka-0-10_2.13-{VERSION}.jar" in [jar.name for jar in jars]
    assert Path(address.options["properties"]).read_text().startswith("spark.driver.extraJavaOptions ")
