"""A schema registry: Apicurio, which speaks the interface of Confluent's at ``/apis/ccompat/v7``.

Its level of compatibility is NONE until one is set for a subject. What is registered is kept in a database in the
folder, so a server that was killed knows it again.
"""

from __future__ import annotations

import urllib.request
from pathlib import Path

from .artefacts import archive, java
from .server import Server, free_ports

_VERSION = "3.3.3"
_PATH = "apis/ccompat/v7"
_SECONDS = 2.0


def registry(folder: Path) -> Server:
    """A registry that keeps its data in ``folder``; it needs Java 21, Maven and about a minute.

    Raises:
        UnavailableError: there is no such Java, or the registry cannot be fetched.
    """
    home = archive(f"apicurio-registry-{_VERSION}", f"io.apicurio:apicurio-registry-app:{_VERSION}:tar.gz:all")
    port, management = free_ports(2)
    asked = f"http://127.0.0.1:{port}/{_PATH}/subjects"

    def ready() -> bool:
        with urllib.request.urlopen(asked, timeout=_SECONDS) as answer:
            return bool(answer.status == 200)

    memory = ["-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    return Server(
        "registry",
        f"registry://127.0.0.1:{port}/{_PATH}",
        [java(21), *memory, "-jar", str(home / "quarkus-run.jar")],
        folder=folder,
        ready=ready,
        environment={
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "h2",
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{folder.resolve()}/registry;WRITE_DELAY=0",
            "QUARKUS_HTTP_HOST": "127.0.0.1",
            "QUARKUS_HTTP_PORT": str(port),
            # Where it tells of its health: by default port 9000, where a second registry could not.
            "QUARKUS_MANAGEMENT_HOST": "127.0.0.1",
            "QUARKUS_MANAGEMENT_PORT": str(management),
        },
    )
