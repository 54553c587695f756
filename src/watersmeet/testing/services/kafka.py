"""Apache Kafka (KRaft, no ZooKeeper), from its makers' Maven artefacts: one broker, or several that form a cluster.

A topic is there once somebody makes it: brokers make none by themselves. The URL says how often topics are copied, so
that a cluster of three outlives the loss of one broker.
"""

from __future__ import annotations

import socket
import struct
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from .artefacts import jars, java, made, run
from .server import Server, free_ports

VERSION = "4.3.1"
_JARS = (
    f"org.apache.kafka:kafka_2.13:{VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.1",
    "org.apache.logging.log4j:log4j-core:2.25.1",
)
_JAVA = ("-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dlog4j2.configurationFile=log4j2.xml")
_CLUSTER = "d2F0ZXJzbWVldHdtZWV0cw"
_COPIES = 3
_CLASSES = "classes.jsa"
_PROPERTIES = """process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=data-{node}
num.partitions=4
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=300
log.initial.task.delay.ms=1000
log.retention.check.interval.ms=1000
log.cleaner.backoff.ms=500
log.cleaner.dedupe.buffer.size=16777216
offsets.topic.num.partitions=4
offsets.topic.replication.factor={copies}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={least}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={least}
"""
_LOGGING = """<Configuration><Appenders><Console name="out"><PatternLayout pattern="%d %p %c: %m%n"/></Console>
</Appenders><Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


def kafka(folder: Path, brokers: int = 1) -> Server:
    """One broker, or a cluster that keeps 3 copies of all, 2 of them in sync before it acknowledges.

    Args:
        folder: keeps the data, and is used again as it is if it has some.
        brokers: how many; 1, or 3 and more. They are the processes of the one server, in the order of the URL's
            hosts, so that ``os.kill(server.pids[0], SIGKILL)`` ends the first of them.

    Raises:
        UnavailableError: there is no Java 17 or no Maven, or the artefacts cannot be fetched.
    """
    program, *begin = _java()
    loaded = made(f"kafka-{VERSION}-classes-{Path(program).resolve().parents[1].name}", _load)
    return _server(folder, brokers, [program, f"-XX:SharedArchiveFile={loaded}/{_CLASSES}", *begin])


def _java() -> list[str]:
    return [java(), *_JAVA, "-cp", f"{jars(f'kafka-{VERSION}', *_JARS)}/*"]


def _load(target: Path) -> None:
    """Keep a broker's classes as they are in memory; with them it starts with two thirds of the work.

    Java writes them when it ends. It does without if they are of another version, or not whole.
    """
    program, *begin = _java()
    with TemporaryDirectory() as name:
        _make(Path(name), 1, 1, [program, *begin])
        with _server(Path(name), 1, [program, f"-XX:ArchiveClassesAtExit={target}/{_CLASSES}", *begin]):
            pass


def _server(folder: Path, brokers: int, begin: list[str]) -> Server:
    copies = min(brokers, _COPIES)
    options = f"replication={copies}&min_insync={max(copies - 1, 1)}"
    if not (folder / "ports").exists():
        _make(folder, brokers, copies, begin)
    ports = [int(port) for port in (folder / "ports").read_text().split()]
    return Server(
        "kafka",
        f"kafka://{','.join(f'127.0.0.1:{port}' for port in ports)}?{options}",
        *([*begin, "kafka.Kafka", f"{node}.properties"] for node in range(1, brokers + 1)),
        folder=folder,
        ready=lambda: all(_brokers(port) == brokers for port in ports),
    )


def _make(folder: Path, brokers: int, copies: int, begin: list[str]) -> None:
    """Write what the brokers read at their start, and format their data folders."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log4j2.xml").write_text(_LOGGING)
    ports = free_ports(2 * brokers)
    voters = ",".join(f"{node}@127.0.0.1:{port}" for node, port in enumerate(ports[brokers:], start=1))
    for node in range(1, brokers + 1):
        place = {"node": node, "port": ports[node - 1], "controller": ports[brokers + node - 1], "voters": voters}
        settings = folder / f"{node}.properties"
        settings.write_text(_PROPERTIES.format(**place, copies=copies, least=max(copies - 1, 1)))
        run([*begin, "kafka.tools.StorageTool", "format", "-t", _CLUSTER, "-c", settings.name], folder)
    (folder / "ports").write_text(" ".join(str(port) for port in ports[:brokers]))


def _brokers(port: int) -> int:
    """How many brokers the one at a port knows to be at work, by a metadata request (version 7, no topics)."""
    header = struct.pack(">hhih", 3, 7, 1, -1)
    body = struct.pack(">i?", 0, False)
    with closing(socket.create_connection(("127.0.0.1", port), timeout=2.0)) as connection:
        connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        answer = b""
        while len(answer) < 16:
            more = connection.recv(4096)
            if not more:
                raise ConnectionResetError("the broker closed the connection")
            answer += more
    (count,) = struct.unpack_from(">i", answer, 12)
    return int(count)
