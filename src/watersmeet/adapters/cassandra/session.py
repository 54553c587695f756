"""A connection to a Cassandra cluster: every statement that this package sends goes through here.

* Each request is bounded in time, prepared once, and sent again only if sending it twice is the same as once: reads,
  and writes of whole rows, are; a decision (a compare-and-set) is not.
* A decision whose outcome is unknown says so (None) and never guesses: the write timed out, the reply was lost, or the
  server died. Whoever asked reads on serially who has won.
* Levels are the options': reads and writes overlap (`check_levels`), and a decision is committed at a quorum at least.
* Errors of the driver come out as ours: `UnavailableError` for all that may pass by waiting, `SettingsError` for wrong
  credentials or rights, `RequestError` for what the server refuses to understand.
"""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from cassandra import (
    AuthenticationFailed,
    ConsistencyLevel,
    DependencyException,
    DriverException,
    RequestValidationException,
    Unauthorized,
)
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable
from cassandra.connection import ConnectionException
from cassandra.policies import (
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    FallthroughRetryPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.protocol import ErrorMessage
from cassandra.protocol import RequestValidationException as InvalidMessage
from cassandra.query import BatchStatement, BatchType, SimpleStatement, tuple_factory

from watersmeet.core.address import Address, options
from watersmeet.core.errors import RequestError, SettingsError, UnavailableError, WatersmeetError

from .options import KEYSPACE, Options, check_levels, replication

Row = tuple[Any, ...]
T = TypeVar("T")
Request = tuple[str, Sequence[object]]
"""A statement of CQL with ``?`` for each value, and the values."""
PORT = 9042
PAGE_ROWS = 500
_CONCURRENT = 32
_AGREE_SECONDS = 30.0
_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
_STRONG = ("LOCAL_QUORUM", "QUORUM", "EACH_QUORUM", "ALL")
_FAILURES = (DriverException, NoHostAvailable, ConnectionException, ErrorMessage)


class Session:
    """A connection to one keyspace. Safe to share between threads; open it once a process and after any fork.

    Args:
        driver: the driver's session; anything with its ``prepare`` and ``execute_async``.
        address: for messages.
        wanted: the options.
        close: ends the connection.
    """

    def __init__(
        self,
        driver: Any,
        address: Address,
        wanted: Options,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self.driver, self.address, self.options, self.close = driver, address, wanted, close
        self._prepared: dict[str, Any] = {}
        self._made: set[str] = set()
        self._turn = threading.Lock()
        serial = wanted.serial.upper()
        commits = wanted.writes if wanted.writes in _STRONG else "LOCAL_QUORUM" if "LOCAL" in serial else "QUORUM"
        levels = {"read": wanted.reads, "write": wanted.writes, "decide": commits, "serial": serial}
        self._levels = {kind: getattr(ConsistencyLevel, level) for kind, level in levels.items()}

    def read(self, cql: str, values: Sequence[object] = (), *, serial: bool = False) -> list[Row]:
        """All rows of a query, in the order of the store.

        Args:
            cql: selects; with ``?`` for each value.
            values: bound to them.
            serial: see every decision made so far, undecided ones included, which it brings to an end. One partition.

        Raises:
            UnavailableError: the cluster has not answered in any try.
        """
        kind = "serial" if serial else "read"
        return self._repeat(lambda: list(self._start(kind, cql, values).result()))

    def write(self, cql: str, values: Sequence[object] = ()) -> None:
        """Insert or delete whole rows; done twice it is as done once.

        Raises:
            UnavailableError: it may or may not have been written.
        """
        self._repeat(lambda: self._start("write", cql, values).result())

    def read_all(self, requests: Sequence[Request], concurrent: int = _CONCURRENT) -> list[list[Row]]:
        """The rows of several queries, ``concurrent`` of them asked at a time."""
        return self._all("read", requests, concurrent)

    def write_all(self, requests: Sequence[Request], concurrent: int = _CONCURRENT) -> None:
        """Make several writes in any order, ``concurrent`` of them at a time; see `write`."""
        self._all("write", requests, concurrent)

    def write_batch(self, requests: Sequence[Request]) -> None:
        """Make several writes to rows of one partition as one unlogged batch: all of them or none.

        The caller bounds it: some hundred rows and well below a megabyte.
        """

        def send() -> object:
            batch = BatchStatement(BatchType.UNLOGGED)
            for cql, values in requests:
                batch.add(self._prepare(cql), values)
            return self._send("write", batch).result()

        self._repeat(send)

    def decide(self, cql: str, values: Sequence[object] = ()) -> bool | None:
        """Make a conditional write, or a batch of them in one partition; it is sent once.

        Returns:
            Whether it was applied. None: nobody knows, it may even be applied later; read serially.
        """
        prepared = self._repeat(lambda: self._prepare(cql))
        try:
            rows = list(self._send("decide", prepared.bind(values)).result())
        except _FAILURES as error:
            if isinstance(known := named(self.address, error), UnavailableError):
                return None
            raise known from error
        return bool(rows[0][0])

    def define(self, cql: str) -> None:
        """Change the schema, and wait until all nodes agree on it. Says ``if not exists``, since it may be repeated."""

        def send() -> object:
            future = self._send("write", SimpleStatement(cql), seconds=_AGREE_SECONDS)
            future.result()
            if not future.is_schema_agreed:
                raise UnavailableError(f"schema of {self.address}", expected="nodes that agree", got="several versions")
            return None

        self._repeat(send)

    def once(self, name: str, make: Callable[[], None]) -> None:
        """Call ``make`` unless this session has called it under this name before, such as to make its tables."""
        with self._turn:
            if name not in self._made:
                make()
                self._made.add(name)

    def _all(self, kind: str, requests: Sequence[Request], concurrent: int) -> list[list[Row]]:
        found: list[list[Row]] = []
        for begin in range(0, len(requests), concurrent):
            some = requests[begin : begin + concurrent]
            started = [self._started(kind, *request) for request in some]
            found += [self._finished(kind, request, future) for request, future in zip(some, started, strict=True)]
        return found

    def _started(self, kind: str, cql: str, values: Sequence[object]) -> Any:
        return self._repeat(lambda: self._start(kind, cql, values))

    def _finished(self, kind: str, request: Request, future: Any) -> list[Row]:
        first = [future]
        return self._repeat(lambda: list((first.pop() if first else self._start(kind, *request)).result()))

    def _start(self, kind: str, cql: str, values: Sequence[object]) -> Any:
        return self._send(kind, self._prepare(cql).bind(values))

    def _prepare(self, cql: str) -> Any:
        if cql not in self._prepared:
            self._prepared[cql] = self.driver.prepare(cql)
        return self._prepared[cql]

    def _send(self, kind: str, statement: Any, seconds: float = 0.0) -> Any:
        statement.consistency_level = self._levels[kind]
        statement.is_idempotent = kind != "decide"
        statement.fetch_size = PAGE_ROWS
        if kind == "decide":
            statement.serial_consistency_level = self._levels["serial"]
        return self.driver.execute_async(statement, timeout=seconds or self.options.timeout_seconds)

    def _repeat(self, send: Callable[[], T]) -> T:
        """Call ``send`` until it succeeds, at once each time: whoever can wait is asked to by the error."""
        for left in reversed(range(self.options.tries)):
            try:
                return send()
            except _FAILURES as error:
                known = named(self.address, error)
                if not left or not isinstance(known, UnavailableError):
                    raise known from error
        raise SettingsError(f"option 'tries' of {self.address}", expected="1 or more", got=str(self.options.tries))


def open_session(address: Address) -> Session:
    """Connect to a cluster, make the keyspace if it is missing, and check that reads see every acknowledged write.

    Raises:
        SettingsError: an option is wrong, the credentials are, the keyspace is replicated in another way, or the
            levels are too weak for it.
        UnavailableError: no node answers.
    """
    wanted = options(address, Options)
    keyspace = address.path or KEYSPACE
    if not _NAME.fullmatch(keyspace):
        raise SettingsError(f"keyspace of {address}", expected="small letters, digits and underscores", got=keyspace)
    made = replication(wanted.replication, address)
    cluster = _cluster(address, wanted)
    try:
        connected = cluster.connect()
        check_levels(wanted, _copies(Session(connected, address, wanted), keyspace, made), address)
        connected.set_keyspace(keyspace)
    except _FAILURES as error:
        centres = {host.datacenter for host in cluster.metadata.all_hosts() if host.datacenter}
        cluster.shutdown()
        if wanted.dc and centres and wanted.dc not in centres:
            subject, expected = f"option 'dc' of {address}", f"one of {', '.join(sorted(centres))}"
            raise SettingsError(subject, expected=expected, got=wanted.dc) from error
        raise named(address, error) from error
    except WatersmeetError:
        cluster.shutdown()
        raise
    return Session(connected, address, wanted, cluster.shutdown)


def open_reading(address: Address) -> Session:
    """Connect to read keyspaces of others: none is made, and nothing about them is checked.

    Raises:
        SettingsError: an option is wrong, or the credentials are.
        UnavailableError: no node answers.
    """
    wanted = options(address, Options)
    cluster = _cluster(address, wanted)
    try:
        return Session(cluster.connect(), address, wanted, cluster.shutdown)
    except _FAILURES as error:
        cluster.shutdown()
        raise named(address, error) from error


def named(address: Address, error: Exception) -> WatersmeetError:
    """An error of the driver as one of ours."""
    hosts = getattr(error, "errors", None)  # of `NoHostAvailable`: what each of them said, if any was asked
    causes = [error, *hosts.values()] if isinstance(hosts, dict) else [error]
    for cause in causes:
        if isinstance(cause, AuthenticationFailed | Unauthorized):
            return SettingsError(f"access to {address}", got=str(cause), remedy="check its user, password and rights")
        if isinstance(cause, RequestValidationException | InvalidMessage):
            return RequestError(f"statement for {address}", got=str(cause))
    got = f"{type(error).__name__}: {error}"
    return UnavailableError(str(address), expected="a cluster that answers", got=got)


def _cluster(address: Address, wanted: Options) -> Any:
    near = DCAwareRoundRobinPolicy(local_dc=wanted.dc) if wanted.dc else RoundRobinPolicy()
    profile = ExecutionProfile(
        load_balancing_policy=TokenAwarePolicy(near),
        retry_policy=FallthroughRetryPolicy(),
        request_timeout=wanted.timeout_seconds,
        row_factory=tuple_factory,
    )
    return Cluster(
        [(host, port or PORT) for host, port in address.hosts],
        port=address.hosts[0][1] or PORT if address.hosts else PORT,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        protocol_version=wanted.protocol,
        connection_class=_connection_class(),
        auth_provider=PlainTextAuthProvider(address.user, address.password) if address.user else None,
        ssl_context=ssl.create_default_context(cafile=wanted.tls_ca or None) if wanted.tls else None,
        reconnection_policy=ExponentialReconnectionPolicy(0.2, 5.0, max_attempts=None),
        connect_timeout=wanted.timeout_seconds,
        control_connection_timeout=wanted.timeout_seconds,
    )


def _connection_class() -> Any:
    """The event loop of the driver: named, since what it finds by itself differs between Python versions."""
    try:
        from cassandra.io.libevreactor import LibevConnection
    except DependencyException:
        from cassandra.io.asyncioreactor import AsyncioConnection

        return AsyncioConnection
    return LibevConnection


def _copies(session: Session, keyspace: str, made: Mapping[str, str]) -> dict[str, int]:
    """Replicas in each data centre of a keyspace, which is made if it is missing."""
    query = "select replication from system_schema.keyspaces where keyspace_name = ?"
    if not session.read(query, (keyspace,)):
        spelled = ", ".join(f"'{name}': '{value}'" for name, value in made.items())
        session.define(f"create keyspace if not exists {keyspace} with replication = {{{spelled}}}")
    found = dict(session.read(query, (keyspace,))[0][0])
    strategy = found.pop("class").rpartition(".")[2]
    copies = {name: int(count.partition("/")[0]) for name, count in found.items()}
    wanted = {name: int(count) for name, count in made.items() if name != "class"}
    same = copies == wanted or set(copies.values()) == {wanted.get("replication_factor")}
    if session.options.replication and not same:
        raise SettingsError(
            f"replication of keyspace {keyspace}, {session.address}",
            expected=session.options.replication,
            got=", ".join(f"{name}: {count}" for name, count in sorted(copies.items())),
            remedy="alter the keyspace and repair it, or correct the option",
        )
    return {"" if strategy == "SimpleStrategy" else name: count for name, count in copies.items()}
