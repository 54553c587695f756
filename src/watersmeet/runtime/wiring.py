"""The only module that names adapters: settings in, ports out.

What the settings' ``stores`` leave out is embedded, in files of ``directory``. The scheme of a store's URL chooses its
adapter; its driver is imported only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from watersmeet.adapters.local import foreign
from watersmeet.adapters.local.archive import LocalArchive
from watersmeet.adapters.local.cache import LocalCache
from watersmeet.adapters.local.clock import ManualClock, ScaledClock, SystemClock
from watersmeet.adapters.local.log import LocalLog
from watersmeet.adapters.local.runner import LocalRunner
from watersmeet.adapters.local.schemas import LocalSchemas
from watersmeet.adapters.local.sink import open_sink
from watersmeet.adapters.local.state import LocalState
from watersmeet.core.address import Address, parse_address
from watersmeet.core.archive import Archive
from watersmeet.core.cache import Cache
from watersmeet.core.clock import Clock
from watersmeet.core.engine import Engine
from watersmeet.core.errors import SettingsError
from watersmeet.core.log import Log
from watersmeet.core.record import Records
from watersmeet.core.runner import Runner
from watersmeet.core.schemas import Schemas
from watersmeet.core.sink import Sink
from watersmeet.core.state import State
from watersmeet.engines.columnar.engine import ColumnarEngine
from watersmeet.layers.schemas import KeptSchemas

from .settings import Settings

Topics = Mapping[str, Mapping[str, str]]
Probe = Callable[[], str]
"""Reaches a store and says what it is; `UnavailableError` with a remedy if it cannot."""


@dataclass(frozen=True)
class Parts:
    """The ports of one process, wired.

    Args:
        settings: what they were made from.
        clock, log, state, archive, engine, runner, cache, schemas: the ports.
        sink: destination name or URL -> sink.
    """

    settings: Settings
    clock: Clock
    log: Log
    state: State
    archive: Archive
    engine: Engine
    runner: Runner
    cache: Cache
    schemas: KeptSchemas
    sink: Callable[[str], Sink]


def wire(settings: Settings, *, clock: Clock | None = None, engine: Engine | None = None) -> Parts:
    """Open every store that the settings name; makes the directory if it is missing (0700).

    Args:
        settings: what to open.
        clock: default the machine's.
        engine: shared with other nodes of this process; it keeps nothing but prepared statements. Default a new one.

    Raises:
        SettingsError: a store's URL means nothing, or its driver is not installed.
        UnavailableError: a store cannot be reached.
    """
    root: Path = settings.directory
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock = clock or SystemClock()
    state = _state(settings, clock)
    schemas = KeptSchemas(_registry(settings) or LocalSchemas(state), state)
    engine = engine or _engine(settings, schemas)
    log, archive = _log(settings, clock), _archive(settings)
    return Parts(
        settings,
        clock,
        log,
        state,
        archive,
        engine,
        _runner(settings, clock, log, archive, engine),
        _cache(settings, clock),
        schemas,
        cache(partial(_sink, settings)),
    )


def _engine(settings: Settings, schemas: Schemas | None) -> ColumnarEngine:
    threads, memory = settings.compute.threads or None, settings.compute.memory or None
    return ColumnarEngine(threads=threads, memory=memory, schemas=schemas)


def _executor_engine(settings: Settings) -> ColumnarEngine:
    """The engine of an executor, which asks the registry itself: it has no way to the state."""
    return ColumnarEngine(threads=1, memory=settings.compute.memory or None, schemas=_registry(settings))


def _registry(settings: Settings) -> Schemas | None:
    address = settings.stores.schemas
    return None if address is None else open_schemas(address)


def _log(settings: Settings, clock: Clock) -> Log:
    address = settings.stores.log
    if address is None:
        return LocalLog(settings.directory / "log", clock)
    return open_log(address, clock, settings.topics)


def _state(settings: Settings, clock: Clock) -> State:
    address = settings.stores.state
    if address is None:
        return LocalState(settings.directory / "state.db", clock)
    with _driver(address, "cassandra"):
        from watersmeet.adapters.cassandra.state import CassandraState

        named = {"app": settings.app or "app", **address.options}  # several apps may share a keyspace
        return CassandraState(replace(address, options=named), clock)


def _archive(settings: Settings) -> Archive:
    address = settings.stores.archive
    if address is None:
        return LocalArchive(settings.directory / "archive")
    with _driver(address, "s3", "hdfs", extra="lake"):
        from watersmeet.adapters.lake.archive import LakeArchive

        return LakeArchive(address, settings.directory / "parts")


def _runner(settings: Settings, clock: Clock, log: Log, archive: Archive, engine: Engine) -> Runner:
    address = settings.stores.runner
    if address is None:
        return LocalRunner(log, archive, engine, clock, slice_records=settings.speed.slice_records)
    with _driver(address, "spark"):
        from watersmeet.adapters.spark.runner import SparkRunner
        from watersmeet.adapters.spark.source import EpochFolder

        stores, factory = settings.stores, partial(_executor_engine, settings)
        epochs = EpochFolder(settings.directory / "archive") if stores.archive is None else None
        most = settings.speed.slice_records
        return SparkRunner(address, log, archive, engine, factory, clock, most, records=stores.log, epochs=epochs)


def _cache(settings: Settings, clock: Clock) -> Cache:
    address = settings.stores.cache
    if address is None:
        return LocalCache()
    with _driver(address, "redis"):
        from watersmeet.adapters.redis.cache import RedisCache

        return RedisCache(address, clock)


def _sink(settings: Settings, name: str) -> Sink:
    text = settings.sinks.get(name, name)
    scheme = text.partition("://")[0]
    if scheme in SINKS:
        address = parse_address(text)
        with _driver(address, *SINKS, extra=SINKS[scheme]):
            match SINKS[scheme]:
                case "cassandra":
                    from watersmeet.adapters.cassandra.sink import CassandraSink

                    return CassandraSink(address)
                case "mongo":
                    from watersmeet.adapters.mongo.sink import MongoSink

                    return MongoSink(address)
                case "iceberg":
                    from watersmeet.adapters.iceberg.sink import IcebergSink

                    return IcebergSink(address)
                case _:
                    from watersmeet.adapters.lake.sink import open_lake_sink

                    return open_lake_sink(address)
    return open_sink(text, settings.directory / "tables")


def open_log(
    address: Address, clock: Clock | None = None, topics: Mapping[str, Mapping[str, str]] | None = None
) -> Log:
    """The log at a URL; ``topics``: what it is told besides of each."""
    with _driver(address, "kafka"):
        from watersmeet.adapters.kafka.log import KafkaLog

        return KafkaLog(address, clock or SystemClock(), topics)


def open_schemas(address: Address) -> Schemas:
    """A schema registry."""
    with _driver(address, "registry", extra="kafka"):
        from watersmeet.adapters.kafka.registry import RegistrySchemas

        return RegistrySchemas(address)


def read_table(text: str) -> Records:
    """A table of somebody else's: a path, or the URL of a Cassandra table, a MongoDB collection or a Delta table."""
    found: Records
    if "://" not in text:
        found = foreign.read_table(Path(text))
        return found
    address = parse_address(text)
    with _driver(address, "cassandra", "mongodb", "delta", "s3+delta", extra=SINKS.get(address.scheme, "")):
        match address.scheme:
            case "cassandra":
                from watersmeet.adapters.cassandra.foreign import read_table as read_cassandra

                found = read_cassandra(address)
            case "mongodb":
                from watersmeet.adapters.mongo.foreign import read_table as read_mongo

                found = read_mongo(address)
            case _:
                from watersmeet.adapters.lake.foreign import read_table as read_delta

                found = read_delta(address)
    return found


SINKS: Mapping[str, str] = {
    "cassandra": "cassandra",
    "mongodb": "mongo",
    "iceberg": "iceberg",
    "delta": "lake",
    "s3+delta": "lake",
    "s3+parquet": "lake",
    "hdfs+delta": "lake",
    "hdfs+parquet": "lake",
}
"""Scheme of a destination that is not a file of this machine -> the extra with its driver."""


@contextmanager
def _driver(address: Address, *schemes: str, extra: str = "") -> Iterator[None]:
    """Refuse a URL of another technology, and name the extra whose driver is not installed."""
    if address.scheme not in schemes:
        raise SettingsError(f"store {address}", expected=f"a URL of {' or '.join(schemes)}", got=address.scheme)
    try:
        yield
    except ModuleNotFoundError as error:
        wanted = extra or address.scheme
        remedy = f"pip install 'watersmeet[{wanted}]'"
        raise SettingsError(
            f"store {address}", expected=f"the driver {error.name}", got="none installed", remedy=remedy
        ) from error


def probes(settings: Settings, clock: Clock) -> Mapping[str, Probe]:
    """Every store that the settings name by a URL, each by itself: one that is down hides no other."""
    found: dict[str, Probe] = {}
    stores = settings.stores
    makers: dict[str, tuple[Address | None, Callable[[], object]]] = {
        "log": (stores.log, partial(_log, settings, clock)),
        "state": (stores.state, partial(_state, settings, clock)),
        "archive": (stores.archive, partial(_archive, settings)),
        "cache": (stores.cache, partial(_cache, settings, clock)),
        "schemas": (stores.schemas, partial(_registry, settings)),
    }
    for name, (address, make) in makers.items():
        if address is not None:
            found[f"{name} {address}"] = partial(_probe, make)
    return found


def _probe(make: Callable[[], object]) -> str:
    store = make()
    try:
        said: str = store.probe()  # type: ignore[attr-defined]  # every adapter of a remote store can say what it is
        return said
    finally:
        store.close()  # type: ignore[attr-defined]  # and can be closed


def scaled_clock(start_us: int, factor: float) -> Clock:
    """A clock that runs ``factor`` times as fast as the machine's, from ``start_us``: for demonstrations."""
    return ScaledClock(start_us, factor)


def manual_clock(start_us: int) -> Clock:
    """A clock that only moves when it is slept on: for tests."""
    return ManualClock(start_us)


def system_clock() -> Clock:
    """The machine's clock."""
    return SystemClock()


def now_us() -> int:
    """The machine's time of day in microseconds."""
    return SystemClock().now_us()
