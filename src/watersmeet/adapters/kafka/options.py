"""What a ``kafka://`` URL may say after its question mark, and what the driver is told because of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from watersmeet.core.address import Address, options
from watersmeet.core.duration import microseconds
from watersmeet.core.errors import DeclarationError, SettingsError
from watersmeet.core.site import suggest

PORT = 9092
FOREVER = "forever"
LEAST_MESSAGE_BYTES = 1_048_588
_CLEANUPS = ("delete", "compact", "compact,delete")
_COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_OF_TOPICS = (
    "replication",
    "min_insync",
    "retention",
    "least_retention",
    "cleanup",
    "compaction_lag",
    "segment_bytes",
    "message_bytes",
)
_logger = logging.getLogger(__name__)


class _DriverLogger(logging.Logger):
    """What the driver has to say, at the lowest level: a refused connection, many times a second, and the like."""

    def log(self, level: int, msg: object, *args: object, **_: object) -> None:
        """Called by the driver."""
        _logger.debug(str(msg), *args)


DRIVER_LOGGER = _DriverLogger("kafka")


@dataclass(frozen=True)
class KafkaOptions:
    """The options of a Kafka URL; those of topics may also be given for one topic alone.

    Args:
        replication: copies of each record, for topics that are made.
        min_insync: copies that must be written before a record is acknowledged; below ``replication``, so that one
            broker may be lost.
        retention: how long brokers keep records, or ``forever``; where a topic declares none.
        least_retention: a retention or compaction lag below this is refused. Records have up to 48 h to get into the
            archive; the rest is time for somebody to notice that they do not.
        cleanup: ``delete``, ``compact`` or ``compact,delete``.
        compaction_lag: how long a record is safe from compaction; empty: as long as the retention.
        segment_bytes: when brokers begin a new file; 0: their own default.
        message_bytes: the largest record accepted, as sent.
        compression: of what is sent.
        acks: ``all``; ``1`` acknowledges what a single broker has, which can be lost with it.
        retries: how often the driver sends again by itself, within the time-out.
        in_flight: requests a connection sends before the first is answered, 1 to 5.
        linger_ms: how long records wait for others to be sent with.
        timeout_seconds: how long any call waits for brokers before it raises `UnavailableError`.
        arrival: whose time it is: ``broker``, or ``clock`` of whoever appends, for simulations with their own time.
        group: consumer group that `KafkaLog.mirror` writes frontiers to; empty: none.
        tls: encrypt.
        ca, certificate, key: files (PEM) of the authority that signed the brokers' certificates, and of our own.
        mechanism: how the user and password of the URL are proven.
    """

    replication: int = 3
    min_insync: int = 2
    retention: str = "7d"
    least_retention: str = "72h"
    cleanup: str = "delete"
    compaction_lag: str = ""
    segment_bytes: int = 0
    message_bytes: int = 16 << 20
    compression: str = "zstd"
    acks: str = "all"
    retries: int = 2_147_483_647
    in_flight: int = 5
    linger_ms: int = 5
    timeout_seconds: float = 30.0
    arrival: str = "broker"
    group: str = ""
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""
    mechanism: str = "SCRAM-SHA-512"


def parse(address: Address) -> KafkaOptions:
    """The options of an address; `SettingsError` names one that is unknown or out of range."""
    if not address.hosts:
        raise SettingsError(f"{address}", expected="at least one broker", remedy="write kafka://broker-1:9092")
    if address.path:
        raise SettingsError(f"{address}", expected="no path: topics are named by their declarations", got=address.path)
    found = options(address, KafkaOptions)
    _check(f"{address}", found)
    if address.user and not found.tls:
        _logger.warning("%s: the password and all records travel unencrypted; add ?tls=true", address)
    if found.acks != "all":
        _logger.warning("%s: with acks=%s, losing one broker can lose acknowledged records", address, found.acks)
    return found


def of_topic(address: Address, topic: str, overrides: Mapping[str, str]) -> KafkaOptions:
    """The options of an address with those of one topic in their place."""
    for name in overrides:
        if name not in _OF_TOPICS:
            subject = f"option {name!r} of topic {topic}"
            raise SettingsError(subject, expected=f"one of {', '.join(_OF_TOPICS)}", remedy=suggest(name, _OF_TOPICS))
    texts = {name: str(value) for name, value in overrides.items()}
    found = options(replace(address, options={**address.options, **texts}), KafkaOptions)
    _check(f"topic {topic} of {address}", found)
    return found


def duration_ms(subject: str, value: str) -> int:
    """A length of time in milliseconds; -1 for ever."""
    if value == FOREVER:
        return -1
    try:
        return microseconds(value) // 1_000
    except DeclarationError:
        raise SettingsError(subject, expected=f"a length of time such as '7d', or {FOREVER!r}", got=value) from None


def client(address: Address, of: KafkaOptions) -> dict[str, str | int | float | bool]:
    """What every client of the driver is told."""
    timeout_ms = int(of.timeout_seconds * 1_000)
    said: dict[str, str | int | float | bool] = {
        "bootstrap.servers": address.servers(PORT),
        "client.id": "watersmeet",
        "socket.timeout.ms": max(min(timeout_ms, 60_000), 1_000),
        "socket.keepalive.enable": True,
        "log.connection.close": False,
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 1_000,
        "security.protocol": ("SASL_" if address.user else "") + ("SSL" if of.tls else "PLAINTEXT"),
    }
    if address.user:
        said |= {"sasl.mechanism": of.mechanism, "sasl.username": address.user, "sasl.password": address.password}
    files = {"ssl.ca.location": of.ca, "ssl.certificate.location": of.certificate, "ssl.key.location": of.key}
    return said | {name: file for name, file in files.items() if file}


def _check(subject: str, of: KafkaOptions) -> None:
    ranges = {
        "replication": (1, 32_767),
        "min_insync": (1, of.replication),
        "in_flight": (1, 5),
        "retries": (1, 2_147_483_647),
        "linger_ms": (0, 900_000),
        "timeout_seconds": (1, 3_600),
        "message_bytes": (LEAST_MESSAGE_BYTES, 512 << 20),
    }
    for name, (least, most) in ranges.items():
        if not least <= getattr(of, name) <= most:
            expected, got = f"{least:,} to {most:,}", str(getattr(of, name))
            raise SettingsError(f"option {name!r} of {subject}", expected=expected, got=got)
    if of.segment_bytes and of.segment_bytes < 1 << 20:
        raise SettingsError(f"option 'segment_bytes' of {subject}", expected="1 MiB or more", got=f"{of.segment_bytes}")
    choices = {
        "acks": ("all", "1"),
        "arrival": ("broker", "clock"),
        "cleanup": _CLEANUPS,
        "compression": _COMPRESSIONS,
        "mechanism": _MECHANISMS,
    }
    for name, allowed in choices.items():
        if getattr(of, name) not in allowed:
            expected, got = f"one of {' '.join(allowed)}", str(getattr(of, name))
            raise SettingsError(f"option {name!r} of {subject}", expected=expected, got=got)
    for name in ("retention", "least_retention", "compaction_lag"):
        if getattr(of, name):
            duration_ms(f"option {name!r} of {subject}", getattr(of, name))
