"""One node on real servers, each behind a proxy that breaks it; and the same records on a node that has nothing else."""

from __future__ import annotations

import json
import struct
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
from fastapi.testclient import TestClient

import watersmeet as wm
from watersmeet.adapters.kafka.registry import RegistrySchemas
from watersmeet.api.app import create
from watersmeet.core.address import parse_address
from watersmeet.core.avro import encode, schema_of
from watersmeet.core.clock import Clock
from watersmeet.core.declarations import collect
from watersmeet.core.manifest import roll
from watersmeet.core.record import Record
from watersmeet.core.schemas import framed, subject_of
from watersmeet.runtime.loading import App
from watersmeet.runtime.node import Node
from watersmeet.runtime.settings import Settings
from watersmeet.runtime.wiring import read_table, system_clock, wire

from .proxy import Fault, Proxy

NOON_MS = 1_700_000_400_000
READ = ("sales", "hourly", "visited")
OPTIONS: Mapping[str, Mapping[str, float]] = {
    "Kafka": {"timeout_seconds": 1},
    "Cassandra": {"timeout_seconds": 1, "tries": 2},
    "S3": {"timeout_seconds": 1, "retries": 0},
    "Redis": {"timeout_seconds": 0.2, "pause_seconds": 0.1, "wait_seconds": 2},
    "MongoDB": {"timeout_seconds": 1, "connect_seconds": 1},
    "registry": {"timeout_seconds": 1},
    "clock": {},
}
"""What the URLs say after the question mark."""
PATIENCE_SECONDS = 60.0
_CLOCK = system_clock()


class BrokenClock:
    """The machine's clock, or one that is wrong."""

    def __init__(self) -> None:
        self.wrong: Callable[[int], int] = int

    def now_us(self) -> int:
        return self.wrong(_CLOCK.now_us())

    def monotonic(self) -> float:
        return _CLOCK.monotonic()

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        return _CLOCK.sleep(seconds, stop)


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Look again and again; fail with ``what`` if it does not come to hold."""
    until = _CLOCK.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert _CLOCK.monotonic() < until, what
        _CLOCK.sleep(0.05)


class Stage:
    """The node, its proxies, everything that was sent, and the node that it is compared with.

    Args:
        folder: for files of both nodes.
        urls: of the real servers.
        stack: closes what is opened.
    """

    def __init__(self, folder: Path, urls: Mapping[str, str], stack: ExitStack) -> None:
        self.clock, self.folder, mark = BrokenClock(), folder, uuid.uuid4().hex[:8]
        self.proxies = {name: stack.enter_context(_proxy(name, url)) for name, url in urls.items()}
        self._urls = {name: _through(url, self.proxies[name].port, OPTIONS[name]) for name, url in urls.items()}
        self._urls["S3"] = self._urls["S3"].replace("?", f"/deg-{mark}?", 1)
        self._urls["Cassandra"] += f"&app=deg_{mark}"
        self._urls["Redis"] += f"&prefix=deg-{mark}"
        self._urls["MongoDB"] = self._urls["MongoDB"].replace("?", f"/deg_{mark}?", 1)
        self._table = f"{urls['MongoDB']}/deg_{mark}/by_minute"
        self.orders, self.visits, self._declared = _declarations(mark)
        self._registry = stack.enter_context(closing(RegistrySchemas(parse_address(urls["registry"]))))
        self._sent, self._schemas = 0, 0
        self._owed: list[dict[str, object]] = []
        alone = {"directory": folder / "oracle", "stores": {"schemas": urls["registry"]}}
        self._oracle = self._node(alone, _CLOCK)
        stack.callback(self._oracle.parts.schemas.close)
        self._oracle.apply()
        self.node: Node
        self.client: TestClient

    def open(self, user: str = "") -> None:
        """Open the node anew; all it has in common with the one before are its stores.

        Args:
            user: whom the log is to take it for.
        """
        urls = {**self._urls, "Kafka": self._urls["Kafka"].replace("://", f"://{user}", 1)}
        stores = {"log": "Kafka", "state": "Cassandra", "archive": "S3", "cache": "Redis", "schemas": "registry"}
        settings = {
            "directory": self.folder / "node",
            "stores": {name: urls[of] for name, of in stores.items()},
            "sinks": {"reports": urls["MongoDB"]},
            "batch": {"every_seconds": 0.2},
            "watch": {"failure_seconds": 3_600.0},
        }
        self.node = self._node(settings, self.clock)
        api = create(self.node)
        self.client = TestClient(api, client=("127.0.0.1", 50_000), raise_server_exceptions=False)

    def start(self) -> None:
        """Let its threads run."""
        self.node.start(("speed", "batch", "serve"))

    def close(self) -> None:
        """End its threads, and let go of its stores."""
        self.node.stop(drain_seconds=0)
        wait_until(lambda: not any(self.node.alive().values()), "every thread ends")
        parts = self.node.parts
        ports: list[Any] = [parts.log, parts.state, parts.cache, parts.schemas, parts.sink("reports")]
        for port in ports:
            port.close()

    def heal(self) -> None:
        """Break nothing any more."""
        for proxy in self.proxies.values():
            proxy.set(Fault())
        self.clock.wrong = int

    def make_records(self) -> list[dict[str, object]]:
        """Orders that nobody has sent yet."""
        numbers = range(self._sent, self._sent + 6)
        self._sent += len(numbers)
        return [
            {"order_id": f"o{n}", "product": "ab"[n % 2], "buyer": n % 5, "amount": n / 4, "at": NOON_MS + n * 7_001}
            for n in numbers
        ]

    def send(self, records: list[dict[str, object]], tries: int = 1) -> Any:
        """Send orders to the API, again while it asks for that; what it refuses is owed."""
        for _ in range(tries):
            answer = self.client.post(f"/v1/topics/{self.orders.name}/records", json=records)
            if answer.status_code != 503:
                break
        if answer.status_code != 200:
            self._owed += records
        self._oracle.parts.log.append(self.orders.name, [Record(json.dumps(r).encode()) for r in records])
        return answer

    def visit(self) -> None:
        """Append a record in Avro whose schema no one has seen yet."""
        self._schemas += 1
        schema = json.loads(schema_of(self.visits))
        schema["fields"].append({"name": f"extra{self._schemas}", "type": "null", "default": None})  # takes no bytes
        id_ = self._registry.register(subject_of(self.visits.name), json.dumps(schema))
        value = framed(id_, encode(self.visits, {"visit_id": f"v{self._schemas}", "page": "home"}))
        for node in (self.node, self._oracle):
            node.parts.log.append(self.visits.name, [Record(value)])

    def seal(self) -> None:
        """Close the open epoch, so that the batch layer has something to do."""
        self.node.parts.state.change(self.orders.name, lambda m: roll(m, self.node.parts.clock.now_us()))

    def read(self, name: str) -> Any:
        """Ask the API for rows."""
        return self.client.get(f"/v1/views/{name}/rows")

    def rows(self, node: Node) -> list[str]:
        """Everything that can be asked of a node."""
        answers = [node.reader.read(wm.Request(name)) for name in READ]
        assert all(answer.receipt.complete for answer in answers)
        return [repr(sorted(map(repr, pa.table(answer.rows).to_pylist()))) for answer in answers]

    def settle(self) -> None:
        """With nothing broken: send what is owed, and see that all of it is where it should be, and nothing more."""
        owed, self._owed = self._owed, []
        if owed:
            wait_until(lambda: self._is_sent(owed), "records that are owed are taken")
        wait_until(self._is_done, "everything is absorbed, archived, published and in the table")
        for topic in (self.orders.name, self.visits.name):
            self._oracle.absorb(topic)
        status = self.node.status()
        assert (status.balanced, status.ledger.dead, status.mismatches) == (True, 0, 0)
        assert self.rows(self.node) == self.rows(self._oracle)

    def _is_sent(self, records: list[dict[str, object]]) -> bool:
        return bool(self.client.post(f"/v1/topics/{self.orders.name}/records", json=records).status_code == 200)

    def _is_done(self) -> bool:
        try:
            status = self.node.status()
            topics = status.topics
            if any(t.unread != 0 or not t.epochs == t.archived == t.published for t in topics):
                return False
            wanted = pa.table(self.node.reader.read(wm.Request("sales")).rows)
            found = pa.table(read_table(self._table))
        except (wm.UnavailableError, wm.RequestError):  # nobody has written to the table yet
            return False
        return sorted(zip(wanted["product"].to_pylist(), wanted["orders"].to_pylist(), strict=True)) == sorted(
            zip(found["product"].to_pylist(), found["orders"].to_pylist(), strict=True)
        )

    def _node(self, settings: Mapping[str, object], clock: Clock) -> Node:
        app = App("degraded", self._declared, {}, ModuleType("degraded"))
        found = Settings.model_validate({**settings, "compute": {"threads": 1}})
        return Node(wire(found, clock=clock), app, sources=[])


@contextmanager
def stage(folder: Path, urls: Mapping[str, str]) -> Iterator[Stage]:
    """A node at work on servers that can be broken."""
    with ExitStack() as stack:
        made = Stage(folder, urls, stack)
        made.open()
        made.node.apply()
        made.start()
        try:
            yield made
        finally:
            made.heal()
            made.close()


def _declarations(mark: str) -> tuple[wm.Topic, wm.Topic, Any]:
    orders = wm.Topic(
        f"orders_{mark}",
        id="order_id",
        key="product",
        event_time="at",
        partitions=2,
        schema={
            "order_id": "varchar not null",
            "product": "varchar not null",
            "buyer": "integer",
            "amount": "decimal(10,2)",
            "at": "timestamp_ms not null",
        },
    )
    visits = wm.Topic(
        f"visits_{mark}",
        id="visit_id",
        format="avro",
        partitions=1,
        schema={"visit_id": "varchar not null", "page": "varchar"},
    )
    sales = wm.View(
        "sales",
        topic=orders,
        dimensions=["product"],
        window=wm.tumbling("1m"),
        measures={"orders": wm.count(), "revenue": wm.sum("amount"), "buyers": wm.distinct("buyer")},
    )
    hourly = wm.Query(
        "hourly",
        inputs={"s": sales.at("1h")},
        key=["hour", "product"],
        time="hour",
        sql="select window_start as hour, product, orders, revenue from s",
    )
    visited = wm.View("visited", topic=visits, dimensions=["page"], measures={"visits": wm.count()})
    table = wm.Table(
        "by_minute",
        of=sales,
        to="reports",
        partition=["product"],
        columns=["product", "window_start", "orders"],
        every="100ms",
    )
    return orders, visits, collect([sales, hourly, visited, table])


def _proxy(name: str, url: str) -> Proxy:
    """A proxy; Kafka and MongoDB tell their clients where they are, so it changes what they say."""
    host, port = "127.0.0.1", parse_address(url).hosts[0][1]
    match name:
        case "Kafka":
            form: Callable[[int], bytes] = lambda at: host.encode() + struct.pack(">i", at)  # noqa: E731  # one of two
        case "MongoDB":
            form = lambda at: f"{host}:{at:05d}".encode()  # noqa: E731  # the other
        case _:
            return Proxy(port)
    return Proxy(port, lambda own: (form(port), form(own)))


def _through(url: str, port: int, options: Mapping[str, float]) -> str:
    own = parse_address(url).hosts[0][1]
    text = url.replace(f":{own}", f":{port}", 1)
    return text + ("&" if "?" in text else "?") + "&".join(f"{name}={value:g}" for name, value in options.items())
