"""What Spark is started with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from watersmeet.adapters.spark.session import Sessions, SparkOptions, session_settings
from watersmeet.core.address import options, parse_address
from watersmeet.core.errors import SettingsError

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("url", "master"),
    [
        ("spark:///", "local[*]"),
        ("spark:///?master=local[2]", "local[2]"),
        ("spark://node", "spark://node:7077"),
        ("spark://one:7000,two:7001", "spark://one:7000,two:7001"),
        ("spark:///?master=yarn", "yarn"),
        ("spark:///?master=k8s://https://cluster:6443", "k8s://https://cluster:6443"),
        ("spark://node?master=local[1]", "local[1]"),
    ],
)
def test_the_master_is_named_by_the_address(url: str, master: str) -> None:
    address = parse_address(url)
    assert Sessions(address, options(address, SparkOptions)).master == master


def test_a_local_session_stays_on_loopback_and_runs_this_python() -> None:
    found = session_settings(SparkOptions(), "local[2]")
    assert found["spark.driver.host"] == found["spark.driver.bindAddress"] == "127.0.0.1"
    assert found["spark.pyspark.python"] == sys.executable
    assert found["spark.ui.enabled"] == "false"
    assert found["spark.sql.session.timeZone"] == "UTC"
    assert "spark.jars" not in found


def test_a_fleet_is_sent_what_it_needs() -> None:
    url = "spark://node?archives=env.tar.gz%23env&python=./env/bin/python&py_files=app.zip&least_executors=3&cores=2"
    found = session_settings(options(parse_address(url), SparkOptions), "spark://node:7077")
    assert found["spark.archives"] == "env.tar.gz#env"
    assert found["spark.pyspark.python"] == "./env/bin/python"
    assert found["spark.submit.pyFiles"] == "app.zip"
    assert found["spark.executor.instances"] == "3"
    assert found["spark.executor.cores"] == "2"
    assert "spark.driver.host" not in found


def test_a_file_of_properties_wins(tmp_path: Path) -> None:
    path = tmp_path / "spark.conf"
    path.write_text("# ours\n\nspark.ui.enabled true\nspark.hadoop.fs.s3a.endpoint=http://s3:9000/?a=b\n")
    found = session_settings(SparkOptions(properties=str(path)), "local[2]")
    assert found["spark.ui.enabled"] == "true"
    assert found["spark.hadoop.fs.s3a.endpoint"] == "http://s3:9000/?a=b"


def test_a_file_of_properties_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.conf"):
        session_settings(SparkOptions(properties=str(tmp_path / "gone.conf")), "local[2]")
