"""A schema registry that speaks the interface of Confluent's: `watersmeet.core.schemas.Schemas` over HTTP.

What an id means never changes, so the text of a schema is fetched once. Everything that is not an answer about a schema
(no connection, a refused password, an error of the server, a page that is no registry) is `UnavailableError`: a pause.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

import httpx2
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from watersmeet.core.address import Address, options
from watersmeet.core.avro_resolution import conflicts
from watersmeet.core.avro_schema import parse_avro
from watersmeet.core.errors import RequestError, SettingsError, UnavailableError
from watersmeet.core.schemas import Level, Version, check_level

PORT = 8081
_NO_SUBJECT, _NO_VERSION, _NO_SCHEMA, _NO_LEVEL = 40401, 40402, 40403, 40408
_REFUSED = (409, 422)
_MAX_ID = (1 << 31) - 1
"""Registries number schemas with Java's int: of a larger number they say that it is none, not that there is none."""


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """Options of ``registry://host:8081/path``.

    Args:
        tls: speak HTTPS. Default false.
        ca: file with the certificates that are trusted, for TLS; empty (default): the system's.
        timeout_seconds: for one request. Default 10.
    """

    tls: bool = False
    ca: str = ""
    timeout_seconds: float = 10.0


class RegistrySchemas:
    """The `Schemas` port over a registry. Safe to share between threads.

    Args:
        address: ``registry://[user:password@]host:port[,host:port]/path``; the path is empty for Confluent's own and
            ``apis/ccompat/v7`` for Apicurio. Also ``http://`` and ``https://``.

    Raises:
        SettingsError: no host, or an option that means nothing.
    """

    def __init__(self, address: Address) -> None:
        of = options(address, RegistryOptions)
        if not address.hosts or of.timeout_seconds <= 0:
            raise SettingsError(f"{address}", expected="registry://host:8081 and a time-out above 0")
        scheme = "https" if of.tls or address.scheme == "https" else "http"
        port = PORT if address.scheme == "registry" else 0
        urls = [f"{scheme}://{host}/{address.path}" for host in address.servers(port).split(",")]
        conf = {"url": ",".join(urls), "timeout": of.timeout_seconds, "max.retries": 0}
        if address.user:
            conf["basic.auth.user.info"] = f"{address.user}:{address.password}"
        if of.ca:
            conf["ssl.ca.location"] = of.ca
        self._address = address
        self._client = SchemaRegistryClient(conf)
        self._texts: dict[int, str] = {}
        self._lock = threading.Lock()

    def get(self, id: int) -> str:
        """The text of a schema, fetched once."""
        found = self._texts.get(id)
        if found is None:
            subject = f"schema {id} of {self._address}"
            if id > _MAX_ID:
                raise RequestError(subject, kind="unknown", expected=f"an id up to {_MAX_ID}", got=str(id))
            with self._told(subject, _NO_SCHEMA):
                found = self._client.get_schema(id).schema_str
            if found is None:
                raise UnavailableError(subject, got="an answer without a schema")
            with self._lock:
                self._texts[id] = found
        return found

    def register(self, subject: str, schema: str) -> int:
        """Its id."""
        parse_avro(schema)
        try:
            with self._told(f"subject {subject} of {self._address}"):
                return self._client.register_schema(subject, Schema(schema, "AVRO"))
        except RequestError as error:
            complaints = self.check(subject, schema) or [error.got]
            raise RequestError(
                f"subject {subject}",
                expected=f"a schema that its level {self.level(subject)} allows",
                got="; ".join(complaints),
                remedy="give new fields a default, keep names and types, or set another level",
            ) from error

    def check(self, subject: str, schema: str) -> Sequence[str]:
        """Why the subject's level forbids to register a schema; the verdict is the registry's, the words are ours."""
        parsed = parse_avro(schema)
        versions = self.versions(subject)
        if not versions:
            return []
        with self._told(f"subject {subject} of {self._address}"):
            if self._client.test_compatibility(subject, Schema(schema, "AVRO"), "latest"):
                return []
        level = self.level(subject)
        known = conflicts(level, parsed, [parse_avro(version.schema) for version in versions])
        return known or [f"the registry refuses it at level {level}"]

    def level(self, subject: str, level: Level | None = None) -> Level:
        """The level of a subject, set first if one is given; else the registry's own where the subject has none."""
        with self._told(f"level of subject {subject} of {self._address}"):
            if level is not None:
                self._client.set_compatibility(subject, level)
                return level
            try:
                return check_level(self._client.get_compatibility(subject))
            except SchemaRegistryError as error:
                if error.error_code not in (_NO_SUBJECT, _NO_LEVEL):
                    raise
            return check_level(self._client.get_compatibility())

    def subjects(self) -> Sequence[str]:
        """All subjects, sorted."""
        with self._told(f"{self._address}"):
            return sorted(self._client.get_subjects())

    def versions(self, subject: str) -> Sequence[Version]:
        """All versions of a subject, oldest first."""
        try:
            with self._told(f"subject {subject} of {self._address}", _NO_SUBJECT):
                numbers = sorted(self._client.get_versions(subject))
        except RequestError as error:
            if error.kind == "unknown":
                return []
            raise
        return [self._version(subject, number) for number in numbers]

    def probe(self) -> str:
        """Reach the registry and say what it is."""
        return f"{self._address}, {len(self.subjects())} subjects"

    def close(self) -> None:
        """Let go of its connections."""
        self._client.close()

    def _version(self, subject: str, number: int) -> Version:
        with self._told(f"version {number} of subject {subject} of {self._address}", _NO_VERSION):
            found = self._client.get_version(subject, number)
        if found.schema_id is None or found.schema is None or found.schema.schema_str is None:
            raise UnavailableError(f"version {number} of subject {subject}", got="an answer without a schema")
        return Version(number, found.schema_id, found.schema.schema_str)

    @contextmanager
    def _told(self, subject: str, unknown: int | None = None) -> Iterator[None]:
        """Turn what the driver raises within into our errors; ``unknown``: the code that says there is none."""
        try:
            yield
        except SchemaRegistryError as error:
            _refuse(subject, error, unknown)
        except (httpx2.HTTPError, OSError, ValueError, KeyError, TypeError) as error:
            got = f"{type(error).__name__}: {error}"
            raise UnavailableError(subject, got=got, remedy="look whether the registry runs at that address") from error


def _refuse(subject: str, error: SchemaRegistryError, unknown: int | None) -> NoReturn:
    said = str(error.error_message)
    if unknown is not None and error.error_code == unknown:
        raise RequestError(subject, kind="unknown", expected="one that the registry has", got=said) from error
    if unknown is None and error.http_status_code in _REFUSED:
        raise RequestError(subject, expected="what the registry accepts", got=said) from error
    remedy = "look whether it is the address of a registry, and what the user may do"
    raise UnavailableError(subject, got=f"HTTP {error.http_status_code}: {said}", remedy=remedy) from error
