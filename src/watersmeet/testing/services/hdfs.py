"""HDFS: one name node and one data node, from the maker's Java packages."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .artefacts import jars, java, run
from .server import Server, free_ports

_VERSION = "3.4.2"
_PACKAGES = [f"org.apache.hadoop:{name}:{_VERSION}" for name in ("hadoop-hdfs", "hadoop-common", "hadoop-hdfs-client")]
_NODES = "org.apache.hadoop.hdfs.server"
_STATE = "/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
_SAFE = "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo"
_LOG4J = """log4j.rootLogger=WARN,console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %p %c: %m%n
"""
_SECONDS = 5.0


def hdfs(folder: Path) -> Server:
    """A file system without rights checks; its URL is ``hdfs://127.0.0.1:PORT?rpc=PORT``, the first that of WebHDFS.

    Args:
        folder: for its data, settings and log.

    Raises:
        UnavailableError: there is no Java or Maven, or the name node cannot be formatted.
    """
    libraries = jars(f"hdfs-{_VERSION}", *_PACKAGES)
    web, rpc, data, data_web, data_ipc = free_ports(5)
    _configure(folder, web, rpc, (data, data_web, data_ipc))
    machine = [java(), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true"]
    machine += ["--add-opens", "java.base/java.lang=ALL-UNNAMED", "-cp", f"conf:{libraries}/*"]
    if not (folder / "names").is_dir():
        run([*machine, f"{_NODES}.namenode.NameNode", "-format", "-nonInteractive", "-force"], folder)

    def ready() -> bool:
        return _bean(web, _STATE).get("NumLiveDataNodes") == 1 and not _bean(web, _SAFE).get("Safemode")

    commands = [[*machine, f"{_NODES}.namenode.NameNode"], [*machine, f"{_NODES}.datanode.DataNode"]]
    return Server("hdfs", f"hdfs://127.0.0.1:{web}?rpc={rpc}", *commands, folder=folder, ready=ready)


def _configure(folder: Path, web: int, rpc: int, data: tuple[int, int, int]) -> None:
    """Write the settings; a name node refuses to start without the two empty web applications."""
    for application in ("hdfs", "datanode"):
        place = folder / "conf" / "webapps" / application / "WEB-INF"
        place.mkdir(parents=True, exist_ok=True)
        (place / "web.xml").write_text("<web-app/>")
    here = "127.0.0.1"
    core = {"fs.defaultFS": f"hdfs://{here}:{rpc}", "hadoop.tmp.dir": str(folder / "temporary")}
    own = {
        "dfs.replication": "1",
        "dfs.namenode.name.dir": f"file://{folder}/names",
        "dfs.datanode.data.dir": f"file://{folder}/blocks",
        "dfs.namenode.http-address": f"{here}:{web}",
        "dfs.namenode.rpc-address": f"{here}:{rpc}",
        "dfs.datanode.address": f"{here}:{data[0]}",
        "dfs.datanode.http.address": f"{here}:{data[1]}",
        "dfs.datanode.ipc.address": f"{here}:{data[2]}",
        "dfs.datanode.hostname": here,
        "dfs.permissions.enabled": "false",
        "dfs.namenode.safemode.extension": "0",
        "dfs.namenode.datanode.registration.ip-hostname-check": "false",
        # One data node: a client that meets its restart has no other to write to.
        "dfs.client.block.write.replace-datanode-on-failure.policy": "NEVER",
        "dfs.heartbeat.interval": "1",
        # What a writer waits if the name node has not yet heard of its block: 400 ms otherwise, on nearly every file.
        "dfs.client.block.write.locateFollowingBlock.initial.delay.ms": "5",
    }
    for name, settings in (("core-site.xml", core), ("hdfs-site.xml", own)):
        lines = "".join(f"<property><name>{k}</name><value>{v}</value></property>\n" for k, v in settings.items())
        (folder / "conf" / name).write_text(f"<configuration>\n{lines}</configuration>\n")
    (folder / "conf" / "log4j.properties").write_text(_LOG4J)


def _bean(port: int, path: str) -> dict[str, object]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=_SECONDS)) as connection:
        try:
            connection.request("GET", path)
            beans = json.loads(connection.getresponse().read()).get("beans") or [{}]
        except (HTTPException, ValueError) as error:
            raise OSError(str(error)) from error
    found: dict[str, object] = beans[0]
    return found
