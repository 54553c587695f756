"""Apache Cassandra, one node, from its makers' Maven artefacts.

By default a write is acknowledged before it is on disk (``periodic``), as Cassandra's own default is: what was written
in the last second may be lost by a kill. With ``commitlog="group"`` or ``"batch"`` it is not.
"""

from __future__ import annotations

import socket
import struct
from contextlib import closing
from pathlib import Path
from typing import Literal

from .artefacts import jars, java
from .server import Server, free_ports

VERSION = "5.0.9"
_ARGUMENTS = """-Xms512m
-Xmx512m
-Xss256k
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:MaxDirectMemorySize=256m
-XX:+PerfDisableSharedMem
-XX:+ExitOnOutOfMemoryError
-Djava.net.preferIPv4Stack=true
-Djdk.attach.allowAttachSelf=true
-Dio.netty.tryReflectionSetAccessible=true
-Dcassandra.config=file:{folder}/conf/cassandra.yaml
-Dcassandra.storagedir={folder}/data
-Dlogback.configurationFile=conf/logback.xml
-Dcassandra-foreground=yes
-Dcassandra.superuser_setup_delay_ms=-1
-Dcassandra.skip_wait_for_gossip_to_settle=0
-Dcassandra.ring_delay_ms=0
-Dcassandra.jmx.local.port={jmx}
"""
_EXPORTS = """java.base/jdk.internal.misc java.management.rmi/com.sun.jmx.remote.internal.rmi java.rmi/sun.rmi.registry
java.rmi/sun.rmi.server java.sql/java.sql java.base/java.lang.ref jdk.unsupported/sun.misc
jdk.compiler/com.sun.tools.javac.file jdk.attach/sun.tools.attach"""
_OPENS = """java.base/java.lang.module java.base/jdk.internal.loader java.base/jdk.internal.ref
java.base/jdk.internal.reflect java.base/jdk.internal.math java.base/jdk.internal.module java.base/jdk.internal.util.jar
java.base/sun.nio.ch java.base/java.io java.base/java.lang.reflect java.base/java.lang java.base/java.util
jdk.management/com.sun.management.internal jdk.compiler/com.sun.tools.javac"""
_SETTINGS = """cluster_name: watersmeet
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: [{folder}/data/data]
commitlog_directory: {folder}/data/commitlog
saved_caches_directory: {folder}/data/saved_caches
hints_directory: {folder}/data/hints
commitlog_sync: {commitlog}
{sync}
commitlog_segment_size: 16MiB
commitlog_total_space: 256MiB
memtable_heap_space: 96MiB
memtable_offheap_space: 96MiB
key_cache_size: 16MiB
file_cache_size: 64MiB
networking_cache_size: 32MiB
concurrent_reads: 8
concurrent_writes: 16
concurrent_compactors: 1
disk_failure_policy: stop
commit_failure_policy: stop
authenticator: AllowAllAuthenticator
authorizer: AllowAllAuthorizer
role_manager: CassandraRoleManager
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters:
      - seeds: "127.0.0.1:{storage}"
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
storage_port: {storage}
ssl_storage_port: {secure}
native_transport_port: {port}
auto_snapshot: false
auto_bootstrap: false
"""
_SYNC = {
    "periodic": "commitlog_sync_period: 1000ms",
    "group": "commitlog_sync_group_window: 2ms",
    "batch": "",
}
_LOGGING = """<configuration><appender name="out" class="ch.qos.logback.core.ConsoleAppender">
<encoder><pattern>%d %-5level %logger{0}: %msg%n</pattern></encoder></appender>
<root level="INFO"><appender-ref ref="out"/></root></configuration>
"""


def cassandra(folder: Path, commitlog: Literal["periodic", "group", "batch"] = "periodic") -> Server:
    """One node on free ports; its URL is ``cassandra://127.0.0.1:PORT/watersmeet``, a keyspace it does not have yet.

    Args:
        folder: keeps the data, and is used again as it is if it has some.
        commitlog: when a write is on disk: up to a second after its acknowledgement, or before it.

    Raises:
        UnavailableError: there is no Java 17 or no Maven, or the artefacts cannot be fetched.
    """
    libraries, program = jars(f"cassandra-{VERSION}", f"org.apache.cassandra:cassandra-all:{VERSION}"), java()
    if not (folder / "port").exists():
        _make(folder, commitlog)
    port = int((folder / "port").read_text())
    daemon = "org.apache.cassandra.service.CassandraDaemon"
    return Server(
        "cassandra",
        f"cassandra://127.0.0.1:{port}/watersmeet",
        [program, "@conf/java.args", "-cp", f"conf:{libraries}/*", daemon],
        folder=folder,
        ready=lambda: _speaks(port),
    )


def _make(folder: Path, commitlog: str) -> None:
    """Write what the node reads at its start."""
    folder = folder.resolve()
    conf = folder / "conf"
    conf.mkdir(parents=True, exist_ok=True)
    port, storage, secure, jmx = free_ports(4)
    lines = [f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS.split()]
    lines += [f"--add-opens={name}=ALL-UNNAMED" for name in _OPENS.split()]
    (conf / "java.args").write_text(_ARGUMENTS.format(folder=folder, jmx=jmx) + "\n".join(lines) + "\n")
    (conf / "logback.xml").write_text(_LOGGING)
    place = {"folder": folder, "port": port, "storage": storage, "secure": secure}
    (conf / "cassandra.yaml").write_text(_SETTINGS.format(**place, commitlog=commitlog, sync=_SYNC[commitlog]))
    (folder / "port").write_text(str(port))


def _speaks(port: int) -> bool:
    """True if the node at a port answers a request of the CQL protocol (version 4, OPTIONS -> SUPPORTED)."""
    with closing(socket.create_connection(("127.0.0.1", port), timeout=2.0)) as connection:
        connection.sendall(struct.pack(">BBhBi", 4, 0, 0, 5, 0))
        header = connection.recv(9)
        return len(header) == 9 and header[4] == 6
