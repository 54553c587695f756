"""A cluster of one machine for a demo: real servers on loopback, started together and stopped with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from pathlib import Path

from watersmeet.runtime.wiring import system_clock
from watersmeet.testing.services.cassandra import cassandra
from watersmeet.testing.services.kafka import kafka
from watersmeet.testing.services.redis import redis
from watersmeet.testing.services.s3 import s3
from watersmeet.testing.services.server import Server
from watersmeet.testing.services.spark import spark

from .output import say

SERVERS: Mapping[str, Callable[[Path], Server]] = {"Kafka": kafka, "Cassandra": cassandra, "S3": s3, "Redis": redis}


@contextmanager
def running(folder: Path) -> Iterator[Mapping[str, str]]:
    """The ``stores`` of settings, on servers that run as long as the context; their data is below ``folder``.

    The first start downloads them. Arrivals are of the demo's own clock, which runs fast, not of the brokers'.
    """
    clock = system_clock()
    began = clock.monotonic()
    say("starting Kafka, Cassandra, S3 and Redis; the first time downloads them, which takes minutes …")
    with ExitStack() as stack:
        with ThreadPoolExecutor(len(SERVERS)) as pool:
            making = {pool.submit(make, folder / name): name for name, make in SERVERS.items()}
            starting = {}
            for done in as_completed(making):
                server = done.result()
                stack.callback(server.stop)
                starting[pool.submit(server.start)] = (making[done], server)
            found = {}
            for ready in as_completed(starting):
                name, server = starting[ready]
                ready.result()
                found[name] = server.url
                say(f"  {name} is ready after {clock.monotonic() - began:.0f} s", style="dim")
        yield {
            "log": f"{found['Kafka']}&arrival=clock",
            "state": found["Cassandra"],
            "archive": found["S3"],
            "cache": found["Redis"],
            "runner": spark(folder / "spark"),
        }
