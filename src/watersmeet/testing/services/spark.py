"""Spark in this process's own JVM: no server, but jars that pyspark comes without, and an address that names them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from .artefacts import jars, java

VERSION = "4.2.0"
_CONNECTOR = (
    f"org.apache.spark:spark-sql-kafka-0-10_2.13:{VERSION}",
    "org.apache.spark:spark-token-provider-kafka-0-10_2.13:4.0.0",
    "org.apache.kafka:kafka-clients:3.9.2",
    "org.apache.commons:commons-pool2:2.13.1",
)
_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""Half as long to start; a long run would rather have the better compiler: ``properties=`` of one's own."""


def connector() -> list[Path]:
    """The jars of Spark's Kafka connector, in no particular order; `UnavailableError` if they cannot be had."""
    return sorted(jars(f"spark-{VERSION}", *_CONNECTOR, alone=True).glob("*.jar"))


def spark(folder: Path, *, master: str = "local[2]", **options: str) -> str:
    """The URL of Spark on this machine.

    Args:
        folder: for what Spark spills.
        master: how many cores.
        options: further ones of the address, or others in place of these.

    Raises:
        UnavailableError: there is no Java 17, or the connector cannot be fetched.
    """
    java(17)
    folder.mkdir(parents=True, exist_ok=True)
    properties = folder / "spark.properties"
    properties.write_text(f"spark.driver.extraJavaOptions {_JAVA}\n")
    given = {"master": master, "jars": ",".join(map(str, connector())), "scratch": str(folder)}
    given |= {"properties": str(properties), **options}
    return f"spark:///?{urlencode(given)}"
